"""How long a probe is held: until its rate has settled, and then until there is evidence enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadgen.experiments.capacity import sequential
from loadgen.experiments.capacity.batches import WINDOW, Batches
from loadgen.experiments.capacity.plan import Criterion
from loadgen.experiments.capacity.sequential import FAIL, UNDECIDED
from loadgen.invocation.sample import Sample
from loadgen.text.units import NS_PER_S

DROWNED = 0.9
"""The share of violations at its end, and twice that of the whole, from which a rate fails without having settled."""


@dataclass(frozen=True, slots=True)
class Hold:
    """How a rate is held, and how much of it is measured.

    Batches are of ``batch_ns``, and the first ``ramp`` of them lead to the rate, which has ``settle_ns`` to settle. It
    is measured for ``least_ns``, until every rule is decided or there are ``most`` invocations.
    """

    criteria: tuple[Criterion, ...]
    batch_ns: int
    ramp: int
    settle_ns: int
    most: int
    least_ns: int

    def batches(self, origin_ns: int) -> Batches:
        """Batches from a first start on, without any invocation."""
        return Batches(self.batch_ns, self.ramp, [[] for _ in self.criteria], origin_ns)

    def broken(self, sample: Sample) -> list[bool]:
        """Which of the rules an invocation breaks."""
        return [criterion.broken(sample) for criterion in self.criteria]

    def whole(self, samples: Sequence[Sample], colds: Sequence[bool]) -> Batches:
        """The batches of all samples of the probe, in order of intended start, and whether each was cold."""
        batches = self.batches(samples[0].intended_ns if samples else 0)
        for sample, cold in zip(samples, colds, strict=True):
            batches.add(sample, self.broken(sample), cold)
        return batches


class Watch:
    """Says when a probe is enough. It is told the samples so far once a second, and looks at the new ones alone.

    ``standing`` says in a few words how the rate stood when it last looked.
    """

    def __init__(self, hold: Hold, cold: Callable[[Sample], bool]) -> None:
        self._hold = hold
        self._cold = cold
        self._batches = hold.batches(0)
        self._looked_at = 0
        self._now_ns = 0
        self._settled: int | None = None
        self._rising_from: int | None = None
        self.standing = "this rate is settling"

    def __call__(self, samples: Sequence[Sample]) -> bool:
        """Whether the samples so far are enough."""
        if not samples:
            return False
        batches, hold = self._batches, self._hold
        if not self._looked_at:
            batches.origin_ns = min(sample.intended_ns for sample in samples)
        for sample in samples[self._looked_at :]:
            batches.add(sample, hold.broken(sample), self._cold(sample))
            self._now_ns = max(self._now_ns, sample.ended_ns)
        self._looked_at = len(samples)
        closed = (self._now_ns - batches.origin_ns) // batches.batch_ns - self._open
        upto = max(0, min(closed, len(batches.n)))
        if self._settled is None:
            self._settled = batches.settled_from(upto)
        if self._settled is None:
            late = (upto - batches.ramp) * batches.batch_ns > hold.settle_ns
            return late or overloaded(hold.criteria, batches, upto) is not None or self._keeps_rising(upto)
        return self._decided(self._settled, upto)

    @property
    def _open(self) -> int:
        """The last batches, in which calls may still be under way."""
        slowest_ns = max((criterion.latency_ns or 0 for criterion in self._hold.criteria), default=0)
        return 1 + min(slowest_ns, 10 * NS_PER_S) // self._hold.batch_ns

    def _keeps_rising(self, upto: int) -> bool:
        """Whether a backlog grows, and has done so for half a window: one look of many may be mistaken."""
        if not self._batches.rising(self._batches.ramp, upto):
            self._rising_from = None
            return False
        if self._rising_from is None:
            self._rising_from = upto
        return upto - self._rising_from >= WINDOW // 2

    def _decided(self, settled: int, upto: int) -> bool:
        batches, hold = self._batches, self._hold
        n = sum(batches.n[settled:upto])
        verdicts = [batches.verdict(at, each.limit, settled, upto) for at, each in enumerate(hold.criteria)]
        self.standing = _standing(verdicts)
        if FAIL in verdicts:
            self._settled = batches.settled_from(upto)  # calls that ended since may show that it had not
            return self._settled == settled
        if (upto - settled) * batches.batch_ns < hold.least_ns:
            return False
        return n >= hold.most or UNDECIDED not in verdicts


def _standing(verdicts: Sequence[str]) -> str:
    """How a rate stands whose rules do so, in words."""
    if FAIL in verdicts:
        return "broken at this rate"
    return "open at this rate" if UNDECIDED in verdicts else "met at this rate so far"


def overloaded(criteria: Sequence[Criterion], batches: Batches, upto: int) -> Criterion | None:
    """A criterion broken so often, and not less and less, that waiting for a steady state is of no use."""
    start = batches.ramp
    n = sum(batches.n[start:upto])
    if (upto - start) * batches.batch_ns < 2 * batches.slowest_ns or batches.draining(upto):
        return None  # what scaling up left behind may yet be worked off
    for at, (criterion, counts) in enumerate(zip(criteria, batches.broken, strict=True)):
        k = sum(counts[start:upto])
        lately = slice(upto - WINDOW // 2, upto)
        if (
            upto - start >= WINDOW // 2
            and k > 3 * criterion.limit * n
            and sum(counts[lately]) > 3 * criterion.limit * sum(batches.n[lately])
            and batches.verdict(at, criterion.limit, start, upto) == FAIL
            and sequential.slope(counts[lately]) >= 0
        ):
            return criterion
    return None


def drowned(criteria: Sequence[Criterion], batches: Batches) -> Criterion | None:
    """A criterion that nearly every invocation broke to the end: it need not be known when that would settle."""
    lately = slice(-WINDOW // 2, None)
    n, all_n = sum(batches.n[lately]), sum(batches.n[batches.ramp :])
    for criterion, *every in zip(criteria, batches.broken, batches.moved, strict=True):
        counts = [broken - moved for broken, moved in zip(*every, strict=True)]  # whatever the generator did
        share, whole = sum(counts[lately]) / max(1, n), sum(counts[batches.ramp :]) / max(1, all_n)
        if min(share, 2 * whole) > DROWNED and criterion.limit < DROWNED / 3:
            return criterion
    return None
