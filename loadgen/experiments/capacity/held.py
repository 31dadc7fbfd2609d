"""One rate that was held, and the verdict on it.

A probe is invalid, and says nothing about the function, when the generator could not be trusted or the rate never
settled.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from loadgen.experiments.capacity.attribution import EXECUTION, QUEUEING, QUOTA, causes, full
from loadgen.experiments.capacity.batches import Batches
from loadgen.experiments.capacity.findings import CapacityProbe
from loadgen.experiments.capacity.lane import Lane
from loadgen.experiments.capacity.sequential import FAIL, INVALID, PASS, UNDECIDED
from loadgen.experiments.capacity.watch import DROWNED, Hold, drowned, overloaded
from loadgen.experiments.decision import Seen
from loadgen.invocation.outcome import OK, Outcome
from loadgen.invocation.sample import Sample
from loadgen.measure.histogram import rank
from loadgen.measure.percentile import needed
from loadgen.measure.ranking import percentile_fails
from loadgen.text.units import NS_PER_S

SPELL = 200
"""How many invocations show how fast handlers are at a time."""
GROWING = "invocations in flight and latency kept growing"


@dataclass(frozen=True, slots=True)
class Durations:
    """How long calls were busy: their number, and the sum of their durations in s and of its squares."""

    n: int
    total_s: float
    squares: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Durations:
        """Of the calls that told."""
        told = [sample.duration_ns / NS_PER_S for sample in samples if sample.duration_ns is not None]
        return cls(len(told), sum(told), sum(each * each for each in told))

    def __add__(self, other: Durations) -> Durations:
        return Durations(self.n + other.n, self.total_s + other.total_s, self.squares + other.squares)

    @property
    def mean_s(self) -> float:
        """The mean; 0 of none."""
        return self.total_s / self.n if self.n else 0.0

    @property
    def error(self) -> float:
        """The standard error of the mean, as a share of it; 0 of no time at all."""
        if not self.total_s:
            return 0.0
        variance = max(0.0, self.squares / self.n - self.mean_s**2)
        return math.sqrt(variance / self.n) / self.mean_s


@dataclass(frozen=True, slots=True)
class Probe:
    """A judged probe and its evidence: invocations and violations of each criterion while the rate was settled.

    ``spells`` are the durations of stretches of it. ``shares`` is which part of the invocations violates a rule, by
    cause, and ``calls`` by call; where a backlog grows, what makes it grow.
    """

    report: CapacityProbe
    rate: float
    verdict: str
    n: int
    k: tuple[int, ...]
    inflation: tuple[float, ...]
    shares: dict[str, float]
    ok_per_s: float
    served_per_s: float
    unstable: bool
    durations: Durations
    spells: tuple[Durations, ...] = ()
    calls: dict[str, float] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it may be used as evidence."""
        return self.verdict != INVALID and self.n > 0

    @property
    def drowned(self) -> bool:
        """Whether nearly every invocation broke a rule."""
        return any(k > DROWNED * self.n for k in self.k)


@dataclass(frozen=True, slots=True)
class Asked:
    """A rate to hold in a phase of this name; a ``share`` of its invocations is seen."""

    phase: str
    rate: float
    approach: str
    hold: Hold
    share: float


def judged(seen: Seen, asked: Asked, lane: Lane, limit: int | None) -> Probe:
    """The probe that a run showed, ``limit`` being how many calls may run at once, None when that is not known."""
    hold, rate, share = asked.hold, asked.rate, asked.share
    fulls = full(seen.samples, None if limit is None else math.ceil(limit * share))
    colds = [not at_limit and lane.cold(each) for each, at_limit in zip(seen.samples, fulls, strict=True)]
    whole = hold.whole(seen.samples, colds)
    settled = whole.settled_from(len(whole.n))
    verdict, why = _verdict(seen, hold, whole, settled)
    start = whole.ramp if settled is None else settled
    begin = sum(whole.n[:start])
    measured = seen.samples[begin:]
    n, k = len(measured), tuple(sum(counts[start:]) for counts in whole.broken)
    inflation = tuple(whole.inflation(start, counts) for counts in whole.broken)
    length_ns = max(1, len(whole.n) - start) * whole.batch_ns
    latency = next((criterion.latency_ns for criterion in hold.criteria if criterion.latency_ns), None)
    violates = partial(_violates, hold)
    longest_ns = None if latency is None else latency - lane.overhead_ns
    shares = causes(measured, colds[begin:], fulls[begin:], violates, longest_ns)
    calls = {call: count / n for call, count in Counter(each.call for each in filter(violates, measured)).items()}
    p50, p95, p99 = (_percentile(measured, p) for p in (50.0, 95.0, 99.0))
    report = CapacityProbe(
        phase=asked.phase,
        rate_per_s=rate,
        approach=asked.approach,
        verdict=verdict,
        why=why,
        invocations=n,
        broken=list(k),
        throttled=sum(sample.outcome == Outcome.THROTTLED.value for sample in measured),
        failed=sum(sample.outcome != OK for sample in measured),
        colds=sum(colds[begin:]),
        inflation=max(inflation, default=1.0),
        measured_ns=length_ns,
        settling_ns=start * whole.batch_ns,
        settling_colds=sum(colds[:begin]),
        p50_ns=p50,
        p95_ns=p95,
        p99_ns=p99,
    )
    ok_per_s = sum(sample.outcome == OK for sample in measured) / n * rate if n else 0.0
    served_per_s = min(ok_per_s, whole.ended_per_s(start) / share)
    if verdict == FAIL and settled is None:  # a backlog grows: what ends is what can be served
        ok_per_s = served_per_s
    unstable = verdict == FAIL and (settled is None or why == GROWING)
    if why == GROWING:
        shares, calls = {_grows(measured, fulls[begin:], lane.busy_ns): 1.0}, _slowing(measured)
    durations = Durations.of(measured)
    spells = tuple(Durations.of(each) for each in _stretches(measured))
    return Probe(
        report, rate, verdict, n, k, inflation, shares, ok_per_s, served_per_s, unstable, durations, spells, calls
    )


def _violates(hold: Hold, sample: Sample) -> bool:
    return any(criterion.broken(sample) for criterion in hold.criteria)


def _slowing(measured: Sequence[Sample]) -> dict[str, float]:
    """Which part of what latency has grown by, from the first half to the second, is each call's."""
    late = len(measured) // 2
    grown: Counter[str] = Counter()
    for sample in measured[len(measured) - late :]:
        grown[sample.call] += sample.latency_ns
    for sample in measured[:late]:
        grown[sample.call] -= sample.latency_ns
    longer = {call: ns for call, ns in grown.items() if ns > 0}
    return {call: ns / sum(longer.values()) for call, ns in longer.items()}


def _stretches(measured: Sequence[Sample]) -> list[Sequence[Sample]]:
    """Consecutive invocations, in parts of so many that their mean says something."""
    parts = len(measured) // SPELL
    return [measured[part * len(measured) // parts : (part + 1) * len(measured) // parts] for part in range(parts)]


def _verdict(seen: Seen, hold: Hold, whole: Batches, settled: int | None) -> tuple[str, str]:
    """The verdict on a probe, and what decided it."""
    if seen.stopped:
        return INVALID, "the run was stopped"
    bad = next((reason for reason in seen.verdict.reasons if reason.severity == "invalid"), None)
    if bad is not None:
        return INVALID, f"the load generator cannot be trusted: {bad.message}"
    if settled is None:
        far = overloaded(hold.criteria, whole, len(whole.n)) or drowned(hold.criteria, whole)
        if far is not None:
            return FAIL, f"{far.text} is not met by far, and violations did not become fewer"
        if whole.rising(whole.ramp):
            return FAIL, GROWING
        return INVALID, "the rate did not settle"
    found = {each.text: whole.verdict(at, each.limit, settled) for at, each in enumerate(hold.criteria)}
    for wanted, one, several in (
        (FAIL, "is not met", "are not met"),
        (UNDECIDED, "is neither shown to be met nor not to be", "are neither shown to be met nor not to be"),
    ):
        texts = [text for text, verdict in found.items() if verdict == wanted]
        if texts:
            return wanted, f"{' and '.join(texts)} {several if len(texts) > 1 else one}"
    if whole.rising(settled):
        return FAIL, GROWING
    if sum(whole.n[settled:]) and (len(whole.n) - settled) * whole.batch_ns < hold.least_ns:
        return UNDECIDED, "it was not held to the end, as for a while a rule did not seem to be met"
    return PASS, "every rule is met"


def _grows(measured: Sequence[Sample], fulls: Sequence[bool], busy_ns: int) -> str:
    """What makes a backlog grow: the limit, if it was reached most of the time in the end, or a slower handler.

    The handler is it when most of what calls take longer than ``busy_ns``, without load, is in their durations.
    """
    late = len(measured) // 2
    if 2 * sum(fulls[late:]) > len(fulls[late:]):
        return QUOTA
    told = [
        (sample.duration_ns, sample.overhead_ns or 0) for sample in measured[late:] if sample.duration_ns is not None
    ]
    slower_ns = sum(duration_ns - busy_ns for duration_ns, _ in told)
    return EXECUTION if told and 2 * slower_ns > slower_ns + sum(over for _, over in told) else QUEUEING


def _percentile(samples: Sequence[Sample], p: float) -> int | None:
    """A percentile of latency over all samples; None where one that failed or too few of them are in the way."""
    if not samples or len(samples) < (needed(p) or 0):
        return None
    ok = sorted(sample.latency_ns for sample in samples if sample.outcome == OK)
    return None if percentile_fails(p, len(ok), len(samples)) else ok[rank(p, len(samples)) - 1]
