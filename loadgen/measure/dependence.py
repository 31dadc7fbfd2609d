"""How much less many invocations say than as many independent ones: the method of batch means.

Theory of operation. Slow invocations come in bursts: a cold start, a full queue or a busy neighbour hits many at once.
n of them then say as much about a percentile as n / v independent ones. The inflation v is that of the indicator
"slower than this percentile", for it is the number of those that its interval rests on; each percentile has its own, as
bursts may leave the median alone and make up all of p99. Cut into batches of consecutive invocations, independent ones
would have a share p of slow ones that varies by p(1 - p)/nᵢ from batch to batch; v is how many times as much it does
vary,

    v = Σ nᵢ (pᵢ - p)² / (p (1 - p)) / (b - 1),

which is the variance of batch means for batches of one size, and Pearson's statistic for any. Few batches tell it
roughly, and so do many in which hardly any is slow: what was seen is as many episodes as (Σ kᵢ)² / Σ kᵢ², kᵢ being the
slow ones of a batch. So v is multiplied by (t/z)², with Student's t of one less than the episodes, which makes the
interval the one that so few would have; very few leave none.

Of independent invocations v is a χ² over its degrees of freedom, about 1. It counts by how far it is from that: not at
all at 1, and wholly where chance reaches it once in a thousand times.

Batches are of time, because agents report each second, and are made by when invocations ended. Their number stays
bounded: when there are too many, each two neighbours become one. From 20 to 39 are left for the estimate. Bursts that
last longer than such a batch inflate more than it shows: where dependence is plain, batches twice and four times as
long are looked at, too, and the largest inflation counts. What ends right after the beginning is fast, and what ends
after the load is slow, whatever the target does: batches that begin before the p99 of latency is over, or that the load
does not fill, are left out.

Sources: L. W. Schruben, Confidence Interval Estimation Using Standardized Time Series, 1983, and A. M. Law, Simulation
Modeling and Analysis, chapter 9 (batch means and Student's law); P. Heidelberger and P. A. W. Lewis, Quantile
Estimation in Dependent Sequences, 1984 (of the indicator, for quantiles); L. Kish, Survey Sampling, 1965 (the effective
number of unequal parts).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from loadgen.measure.histogram import Histogram, slot
from loadgen.text.units import NS_PER_S, NS_PER_US

EFFECTIVE_SHARE = 0.3
"""Below this share of independent invocations rule dependent_samples may fire."""
LEAST_BATCHES, MOST_BATCHES = 20, 64
LEAST_BEYOND = 10
"""How many invocations there have to be on either side of a percentile for an inflation of its own."""

_LEAST_LONGER = 5
_SHORT = 0.1  # of a batch: so much of it may lack slow invocations
_CHANCE = {19: 2.31, 24: 2.13, 29: 2.01, 34: 1.91, 39: 1.84}
"""What a χ² exceeds once in a thousand times, over its degrees of freedom."""
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09)
"""Student's t of 95 % intervals, by degrees of freedom from 1 on."""
_Z = 1.96


class Inflation:
    """By how much less a sample says about each percentile than as many independent invocations."""

    def __init__(self, batches: Sequence[Histogram] = ()) -> None:
        """``batches`` are of consecutive invocations; none say that they are independent, as far as is known."""
        self._batches = tuple(batches)
        self._whole = _joined(self._batches)
        self._found: dict[float, float] = {}

    def at(self, p: float) -> float:
        """What the size of a sample is divided by for the interval of the percentile ``p`` (in percent), at least 1.

        Of a percentile with too few on one side for an inflation of its own it is that of the nearest that has one.
        """
        if p not in self._found:
            self._found[p] = self._at(p)
        return self._found[p]

    def _at(self, p: float) -> float:
        count = self._whole.count
        if sum(batch.count > 0 for batch in self._batches) < LEAST_BATCHES or count <= 2 * LEAST_BEYOND:
            return 1.0
        beyond = 100 * LEAST_BEYOND / count
        value = self._whole.value_at(min(max(p, beyond), 100 - beyond))
        assert value is not None
        # many may have the very value: what is above it, and what is not below it
        return max(self._of(value, 0), self._of(value, -1))

    def _of(self, value_us: int, least: int) -> float:
        """That of the indicator of slots beyond a value's by more than ``least``; 1 where it tells too little."""
        limit = slot(value_us) + least
        counts = [(sum(n for at, n in each.counts.items() if at > limit), each.count) for each in self._batches]
        if not LEAST_BEYOND <= sum(k for k, _ in counts) <= self._whole.count - LEAST_BEYOND:
            return 1.0
        weight = _weight(_spread(counts), len(counts) - 1)
        if weight < 1:
            return max(1.0, 1 + weight * (_allowed(counts) - 1))
        found = _allowed(counts)
        while len(counts) >= 2 * _LEAST_LONGER:
            odd = len(counts) % 2
            counts = [(a + b, m + n) for (a, m), (b, n) in zip(counts[odd::2], counts[odd + 1 :: 2], strict=True)]
            found = max(found, _allowed(counts))
        return found


class Largest(Inflation):
    """That of several samples together, as far as it is known: the largest of theirs."""

    def __init__(self, parts: Iterable[Inflation]) -> None:
        super().__init__()
        self._parts = tuple(parts)

    def _at(self, p: float) -> float:
        return max((part.at(p) for part in self._parts), default=1.0)


class KeptBatches(Struct, frozen=True):
    """All of some Batches, to be written down."""

    begin_ns: int | None
    width_ns: int
    packed: dict[int, bytes]


class Batches:
    """The latencies of one phase's ok invocations by when they ended, all agents together.

    At most ``MOST_BATCHES`` histograms, packed but for the one under way: a run may have many phases.
    """

    def __init__(self) -> None:
        self._begin_ns: int | None = None
        self._width_ns = NS_PER_S
        self._packed: dict[int, bytes] = {}
        self._at = 0
        self._under_way = Histogram()

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
        if at != self._at:
            self._put_away()
            self._at, self._under_way = at, Histogram.unpack(self._packed.get(at, b""))
        for packed in latencies:
            self._under_way.add_packed(packed)

    @property
    def begin_ns(self) -> int | None:
        """When the phase began; None where nothing says so yet."""
        return self._begin_ns

    def kept(self) -> KeptBatches:
        """All of it, see ``restored``."""
        self._put_away()
        return KeptBatches(self._begin_ns, self._width_ns, dict(self._packed))

    @classmethod
    def restored(cls, kept: KeptBatches) -> Batches:
        """The Batches that these were."""
        batches = cls()
        batches._begin_ns, batches._width_ns, batches._packed = kept.begin_ns, kept.width_ns, dict(kept.packed)
        batches._under_way = Histogram.unpack(kept.packed.get(batches._at, b""))
        return batches

    def inflation(self, load_ns: int) -> Inflation:
        """The Inflation of the phase, which sent load for ``load_ns``; none where it was too short to tell."""
        self._put_away()
        within = min(load_ns // self._width_ns, MOST_BATCHES)
        every = [Histogram.unpack(self._packed.get(at, b"")) for at in range(within)]
        return inflation_of(every, self._width_ns)

    def _put_away(self) -> None:
        """Pack the batch under way; it goes on, if more is added to it."""
        if self._under_way.counts:
            self._packed[self._at] = self._under_way.pack()

    def _join(self) -> None:
        """Make one batch of each two neighbours."""
        self._put_away()
        halves = [Histogram.unpack(self._packed.get(at, b"")) for at in range(MOST_BATCHES)]
        joined = [_joined(pair) for pair in zip(halves[::2], halves[1::2], strict=True)]
        self._packed = {at: each.pack() for at, each in enumerate(joined) if each.counts}
        self._width_ns *= 2
        self._at //= 2
        self._under_way = joined[self._at]


def width_of(seconds: int) -> int:
    """How many seconds a batch is long where there are so many seconds, at most ``MOST_BATCHES`` batches."""
    width = 1
    while (seconds - 1) // width >= MOST_BATCHES:
        width *= 2
    return width


def inflation_of(every: Sequence[Histogram], width_ns: int) -> Inflation:
    """The Inflation of consecutive batches that are so long; none where there are too few to tell."""
    p99_us = _joined(every).value_at(99)
    if p99_us is None:
        return INDEPENDENT
    steady = every[_settling(p99_us * NS_PER_US, width_ns) :]
    together = len(steady) // LEAST_BATCHES
    if not together:
        return INDEPENDENT
    first = len(steady) % together
    return Inflation([_joined(steady[at : at + together]) for at in range(first, len(steady), together)])


def _settling(p99_ns: int, width_ns: int) -> int:
    """How many batches at the beginning lack slow invocations, which had not ended yet."""
    return -(-p99_ns // width_ns) if p99_ns > _SHORT * width_ns else 0


def _joined(batches: Sequence[Histogram]) -> Histogram:
    whole = Histogram()
    for batch in batches:
        whole.add(batch)
    return whole


def _weight(found: float, freedom: int) -> float:
    """How far an inflation is from what chance gives, from 0 to 1."""
    chance = next((limit for most, limit in _CHANCE.items() if freedom <= most), 1.84)
    return min(1.0, max(0.0, (found - 1) / (chance - 1)))


def _allowed(counts: Sequence[tuple[int, int]]) -> float:
    """The inflation with an allowance for how few batches, and episodes, it was seen in."""
    slow = [k for k, _ in counts]
    episodes = sum(slow) ** 2 / sum(k * k for k in slow)
    freedom = max(1, round(min(episodes, len(counts)) - 1))
    return _spread(counts) * ((_T[freedom - 1] if freedom <= len(_T) else 2.04) / _Z) ** 2


def _spread(counts: Sequence[tuple[int, int]]) -> float:
    """Of (slow ones, invocations) of each batch: by how much the share varies more than by chance, at least 1."""
    counts = [(k, n) for k, n in counts if n]
    share = sum(k for k, _ in counts) / sum(n for _, n in counts)
    chance = share * (1 - share)
    if len(counts) < 2 or not chance:
        return 1.0
    return max(1.0, sum(n * (k / n - share) ** 2 for k, n in counts) / chance / (len(counts) - 1))


INDEPENDENT = Inflation()
