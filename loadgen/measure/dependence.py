"""How much less many invocations say than as many independent ones: the method of batch means.

Theory of operation. Slow invocations come in bursts: a cold start, a full queue or a busy neighbour hits many at once.
n of them then say as much about a percentile as n / v independent ones. The inflation v is that of the indicator
"slower than the q-quantile", for it is the number of those that the interval of a percentile rests on. Cut into batches
of consecutive invocations, independent ones would have a share p of slow ones that varies by p(1 - p)/nᵢ from batch to
batch; v is how many times as much it does vary,

    v = Σ nᵢ (pᵢ - p)² / (p (1 - p)) / (b - 1),

which is the variance of batch means for batches of one size, and Pearson's statistic for any. It is taken at the median
and at p90, where the sample has 20 on either side, and the larger one counts.

Batches are of time, because agents report each second, and are made by when invocations ended. Their number stays
bounded: when there are too many, each two neighbours become one. From 20 to 39 are left for the estimate, so many that
independent invocations do not look dependent by chance. Bursts that last longer than such a batch inflate more than it
shows; where dependence is plain, batches twice and four times as long are looked at, too, and the largest inflation
counts. What ends right after the beginning is fast, and what ends after the
load is slow, whatever the target does: batches that begin before the p99 of latency is over, or that the load does not
fill, are left out.

Sources: L. W. Schruben, Confidence Interval Estimation Using Standardized Time Series, 1983, and A. M. Law, Simulation
Modeling and Analysis, chapter 9 (batch means); P. Heidelberger and P. A. W. Lewis, Quantile Estimation in Dependent
Sequences, 1984 (of the indicator, for quantiles).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loadgen.measure.histogram import Histogram, slot
from loadgen.text.units import NS_PER_S, NS_PER_US

EFFECTIVE_SHARE = 0.3
"""Below this share of independent invocations intervals are made wider, and rule dependent_samples fires."""
LEAST_BATCHES, MOST_BATCHES = 20, 64
LEAST_BEYOND = 20
"""How many invocations there have to be on either side of a quantile."""

_QUANTILES = (50.0, 90.0)
_LEAST_LONGER = 5
_SHORT = 0.1  # of a batch: so much of it may lack slow invocations


class Batches:
    """The latencies of one phase's ok invocations by when they ended, all agents together.

    At most ``MOST_BATCHES`` histograms, packed: a run may have many phases.
    """

    def __init__(self) -> None:
        self._begin_ns: int | None = None
        self._width_ns = NS_PER_S
        self._packed: dict[int, bytes] = {}

    def add(self, from_ns: int, to_ns: int, latencies: Iterable[bytes]) -> None:
        """Add what ended in an interval, as packed histograms; the first interval of some length begins the phase.

        Raises ValueError for a histogram that is malformed.
        """
        if self._begin_ns is None:
            if to_ns - from_ns < NS_PER_S // 2:  # an agent says that it is ready
                return
            self._begin_ns = from_ns
        at = max(0, (from_ns + to_ns) // 2 - self._begin_ns) // self._width_ns
        while at >= MOST_BATCHES:
            self._join()
            at //= 2
        for packed in latencies:
            self._put(at, packed)

    def inflation(self, load_ns: int) -> float | None:
        """By how much the share of slow invocations varies more than if they were independent, at least 1.

        ``load_ns`` is how long the phase sent load. None where it was too short, or had too few invocations, to tell.
        """
        within = min(load_ns // self._width_ns, MOST_BATCHES)
        every = [Histogram.unpack(self._packed.get(at, b"")) for at in range(within)]
        p99_us = _joined(every).value_at(99)
        if p99_us is None:
            return None
        steady = every[self._settling(p99_us * NS_PER_US) :]
        together = len(steady) // LEAST_BATCHES
        if not together:
            return None
        first = len(steady) % together
        batches = [_joined(steady[at : at + together]) for at in range(first, len(steady), together)]
        found = [_inflation(batches, p) for p in _QUANTILES]
        return max((each for each in found if each is not None), default=None)

    def _settling(self, p99_ns: int) -> int:
        """How many batches at the beginning lack slow invocations, which had not ended yet."""
        return -(-p99_ns // self._width_ns) if p99_ns > _SHORT * self._width_ns else 0

    def _put(self, at: int, packed: bytes) -> None:
        there = Histogram.unpack(self._packed.get(at, b""))
        there.add_packed(packed)
        self._packed[at] = there.pack()

    def _join(self) -> None:
        """Make one batch of each two neighbours."""
        halves, self._packed = self._packed, {}
        self._width_ns *= 2
        for at, packed in halves.items():
            self._put(at // 2, packed)


def widening(inflation: float | None) -> float:
    """What the size of a sample is divided by for its intervals: 1 unless it is clear that it says less."""
    return inflation if inflation is not None and 1 / inflation < EFFECTIVE_SHARE else 1.0


def _joined(batches: Sequence[Histogram]) -> Histogram:
    whole = Histogram()
    for batch in batches:
        whole.add(batch)
    return whole


def _inflation(batches: Sequence[Histogram], p: float) -> float | None:
    """The inflation of the indicator of being above the percentile ``p``; None where there is too little to tell."""
    value = _joined(batches).value_at(p)
    if value is None:
        return None
    counts = [(_above(batch, value), batch.count) for batch in batches]
    above, count = sum(k for k, _ in counts), sum(n for _, n in counts)
    if sum(n > 0 for _, n in counts) < LEAST_BATCHES or not LEAST_BEYOND <= above <= count - LEAST_BEYOND:
        return None
    found = _spread(counts)
    if widening(found) == 1:
        return found
    while len(counts) >= 2 * _LEAST_LONGER:
        odd = len(counts) % 2
        counts = [(a + b, m + n) for (a, m), (b, n) in zip(counts[odd::2], counts[odd + 1 :: 2], strict=True)]
        found = max(found, _spread(counts))
    return found


def _spread(counts: Sequence[tuple[int, int]]) -> float:
    """Of (slow ones, invocations) of each batch: by how much the share varies more than by chance, at least 1."""
    counts = [(k, n) for k, n in counts if n]
    share = sum(k for k, _ in counts) / sum(n for _, n in counts)
    chance = share * (1 - share)
    if len(counts) < 2 or not chance:
        return 1.0
    return max(1.0, sum(n * (k / n - share) ** 2 for k, n in counts) / chance / (len(counts) - 1))


def _above(batch: Histogram, value_us: int) -> int:
    limit = slot(value_us)
    return sum(n for at, n in batch.counts.items() if at > limit)
