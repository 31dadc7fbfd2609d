"""Kind ``cold-starts``: how slow cold and warm starts are, and how long instances are kept.

Theory of operation. First a warm lane: one call after another on one instance. Its overheads are the calibration of the
classifier, for all but the first call of a lane are known to be warm. Then, in turns, the means that the scenario
allows: silence ends all instances, and what comes next should be cold: one call (``gap``), many at once (``burst``), or
one at each of several memory sizes or versions, which have pools of their own (``memory``, ``version``). A change of
settings makes all instances new without silence, and one call follows it (``config``). After a burst the same number of
calls comes at once again, on the instances that it left: warm calls of many instances, where the lane has one.

That a call was meant to be cold is no evidence that it was. Labels come from the answer where it tells (a probe, the
log), else from a fit to all overheads (``mixture``); what can be told by neither stays unknown, and no figure is made
of it. The keep-alive time is looked for last, when single calls can be labelled (``keepalive``), and with it the whole
trace is replayed on pools of instances (``shadow``), which shows other traffic, instances started ahead and evictions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.coldstarts.keepalive import estimate, next_gap
from loadgen.experiments.coldstarts.shadow import Call, replay
from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.invocation.bill import GB_SECONDS, Rates
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK, Outcome
from loadgen.invocation.sample import Sample
from loadgen.invocation.start import AMBIGUOUS, APART, COLD, MIXTURE, NONE, PROBE, UNKNOWN, WARM, Cuts
from loadgen.load.bursts import Bursts
from loadgen.load.phase import Phase, Shape
from loadgen.load.workers import Workers
from loadgen.measure.experiment import (
    ColdStartsResult,
    Figure,
    GapProbe,
    KeepAlive,
    Labelling,
    Means,
    PoolCheck,
    Population,
    Spread,
)
from loadgen.measure.findings import LEAST_CALIBRATION, LEAST_COLD
from loadgen.measure.histogram import Histogram
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.percentile import ranks, supported
from loadgen.measure.relabel import relabel
from loadgen.stats.mixture import Mixture, fit, labelling
from loadgen.stats.prevalence import share

VERSION = 1
_NS_PER_S = 1_000_000_000
_LANE_NS = 2 * _NS_PER_S
_LONGEST_LANE_NS = 60 * _NS_PER_S
_MOST_LANES = 20
_AT_ONCE_NS = 100_000_000  # a phase of calls at once ends when they have ended
_MORE_ROUNDS = 2  # times the rounds that should do, before the means are given up
_RESAMPLES = 999
_MILLION = 1_000_000
_FOREVER_NS = 1 << 60
_ALWAYS_THERE = (
    "single calls met an instance after every silence, but calls at once after shorter ones had to wait for more: some "
    "instances are always there (reserved ones), or someone else calls the function"
)
_TIMES = (Metric.LATENCY, Metric.SERVICE_TIME, Metric.OVERHEAD, Metric.DURATION, Metric.BILLED_DURATION)
_WARM_LANE = "warm"
_AGAIN = "again"
_KEEP_ALIVE = "keep-alive"
_APART = {Induce.MEMORY.value: "at other memory sizes", Induce.VERSION.value: "of other versions"}
"""Means whose calls have pools of their own, and handlers that may run at another speed."""


def cold_starts(
    settings: ColdStarts, grace_ns: int, seed: int, rates: Rates = GB_SECONDS
) -> Decision[ColdStartsResult]:
    """Decide what to run for the experiment; ``grace_ns`` is how long a call may take, ``rates`` what it costs."""
    found = _Found(settings, grace_ns, seed, rates)
    for part in (_lanes, _rounds, _silences):
        if not (yield from part(found)):
            return found.result(complete=False)
    return found.result(complete=True)


def widest(settings: ColdStarts, grace_ns: int) -> Phase:
    """A phase with as many calls in flight as any that is asked for."""
    return _burst("widest", max(settings.burst if Induce.BURST in settings.induce else 1, 1), grace_ns)


@dataclass
class _Found:
    """What is known so far."""

    settings: ColdStarts
    grace_ns: int
    seed: int
    rates: Rates
    samples: list[Sample] = field(default_factory=list)
    left_out: list[Sample] = field(default_factory=list)
    wrong_size: list[Sample] = field(default_factory=list)
    totals: list[PhaseTotal] = field(default_factory=list)
    rounds: Counter[str] = field(default_factory=Counter)
    probes: list[GapProbe] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cuts: Cuts | None = None
    fitted: Labelling | None = None
    mixture: Mixture | None = None

    def add(self, seen: Seen) -> bool:
        """Take in what a run showed; whether to go on.

        What an invalid run measured is worth nothing, but its calls were traffic all the same.
        """
        self.totals += seen.totals
        if seen.verdict.status == "invalid" and not seen.stopped:
            self.notes.append("A run was left out, as the load generator could not keep up: see the verdict.")
            self.left_out += seen.samples
        else:
            self.samples += seen.samples
        return not seen.stopped

    def last_end_ns(self) -> int:
        """When the last call so far had ended."""
        return max((sample.ended_ns for each in (self.samples, self.left_out) for sample in each[-1:]), default=0)

    def of(self, means: str) -> list[Sample]:
        """The samples of the phases of one means."""
        return [sample for sample in self.samples if _means(sample) == means]

    def fit(self) -> None:
        """Learn to tell cold from warm by overheads."""
        calibration = [sample for lane in self._lane_tails() for sample in lane]
        found = fit(_overheads(self.samples), _overheads(calibration))
        usable = sum(_residual_ns(sample) is not None for sample in self.samples)
        self.fitted = labelling(self.samples[-1].phase, usable, found) if self.samples else None
        self.mixture = found if isinstance(found, Mixture) else None
        self.cuts = None if self.mixture is None else self.mixture.cuts

    def _lane_tails(self) -> Iterable[list[Sample]]:
        lanes: dict[str, list[Sample]] = {}
        for sample in self.of(_WARM_LANE):
            lanes.setdefault(sample.phase, []).append(sample)
        return [[each for each in lane[1:] if each.start in (UNKNOWN, WARM)] for lane in lanes.values()]

    def label(self, sample: Sample) -> tuple[str, str]:
        """The label of a sample and its source.

        A probe counts the calls of its instance. Where that takes several at once, the second one may have waited for
        the start as well as the first; of calls that came at once after silence it is the only way to be the second.
        """
        if sample.start_source not in (NONE, MIXTURE):
            joined = sample.start == WARM and sample.start_source == PROBE and _means(sample) == Induce.BURST.value
            return AMBIGUOUS if joined else sample.start, sample.start_source
        residual_ns = _residual_ns(sample)
        if self.cuts is None or residual_ns is None:
            return UNKNOWN, NONE
        return self.cuts.label(residual_ns), MIXTURE

    def told(self) -> bool:
        """Whether calls can be labelled at all."""
        return self.cuts is not None or any(sample.start_source not in (NONE, MIXTURE) for sample in self.samples)

    def colds(self) -> int:
        """Calls labelled cold among those that were meant to be."""
        return sum(self.label(sample)[0] == COLD for means in self.rounds for sample in self.of(means))

    def result(self, *, complete: bool) -> ColdStartsResult:
        """Everything that is known."""
        if self.samples and self.fitted is None:
            self.fit()
        self._relabel()
        labelled = [(sample, *self.label(sample)) for sample in self.samples if sample.outcome == OK]
        cold, warm = (
            [sample for sample, start, _ in labelled if start == kind and _means(sample) not in _APART]
            for kind in (COLD, WARM)
        )
        keep_alive = self._keep_alive() if self.settings.keep_alive_ns is not None else None
        pool = self._pool(keep_alive)
        evidence = Counter(source for _, _, source in labelled)
        billed = _difference_of_means(cold, warm)
        return ColdStartsResult(
            version=VERSION,
            complete=complete,
            evidence=dict(sorted(evidence.items())),
            labelling=self.fitted if evidence.keys() & {MIXTURE, NONE} or not labelled else None,
            means=[self._means(means) for means in self.rounds],
            cold=_population(cold),
            warm=_population(warm),
            penalty_ns=_difference_of_medians(cold, warm, self.seed),
            billed_penalty_ns=billed,
            penalty_cost=self._cost(billed, cold),
            cost_unit=self.rates.unit,
            keep_alive=keep_alive,
            pool=pool,
            notes=[*dict.fromkeys(self.notes), *self._doubts(pool)],
        )

    def _relabel(self) -> None:
        """Have the Summary, and so the rules of the run, read these labels."""
        by_phase: dict[str, list[tuple[Sample, str]]] = {}
        for sample in self.samples:
            start = APART if _means(sample) in _APART else self.label(sample)[0]
            by_phase.setdefault(sample.phase, []).append((sample, start))
        for sample in (*self.left_out, *self.wrong_size):
            by_phase.setdefault(sample.phase, []).append((sample, UNKNOWN))
        for total in self.totals:
            relabel(total, by_phase.get(total.name, ()))

    def _cost(self, billed_ns: Figure | None, cold: Sequence[Sample]) -> Figure | None:
        """What a million cold starts cost more than as many warm ones, at the size that the function has."""
        sizes = Counter(sample.memory_size_mb for sample in cold if sample.memory_size_mb is not None)
        if billed_ns is None or len(sizes) != 1:
            return None
        (size,) = sizes
        ends = (None if ns is None else _MILLION * self.rates.more(size, ns) for ns in (billed_ns.low, billed_ns.high))
        return Figure(_MILLION * self.rates.more(size, billed_ns.value), *ends)

    def _means(self, name: str) -> Means:
        samples = self.of(name)
        starts = [self.label(sample)[0] for sample in samples if sample.outcome == OK]
        count = Counter(starts)
        trust = (1.0, 1.0) if self.mixture is None else (self.mixture.sensitivity, self.mixture.specificity)
        if all(sample.start_source not in (NONE, MIXTURE) for sample in samples):
            trust = (1.0, 1.0)
        cold = [sample for sample in samples if self.label(sample)[0] == COLD and sample.outcome == OK]
        return Means(
            name=name,
            rounds=self.rounds[name],
            invocations=len(samples),
            cold=count[COLD],
            warm=count[WARM],
            ambiguous=count[AMBIGUOUS],
            unknown=count[UNKNOWN],
            failed=len(samples) - len(starts),
            cold_share=share(count[COLD], count[COLD] + count[WARM], *trust),
            population=_population(cold),
        )

    def _keep_alive(self) -> KeepAlive:
        within = self.settings.keep_alive_ns
        assert within is not None
        found = estimate(self.probes, *within, self.seed, self._slack_ns())
        if found.policy == "longer" and found.low_ns is not None:
            own = self._traffic()
            flags = replay(_calls(own), found.low_ns, _FOREVER_NS, self._slack_ns())
            if sum(start == COLD for _, start in own) > sum(flag.may for flag in flags):
                return KeepAlive("unknown", _ALWAYS_THERE, None, None, None, {}, found.probes)
        return found

    def _slack_ns(self) -> int:
        """What nearly every warm call spends outside the handler at most, on the way there and back."""
        spent = sorted(
            residual_ns
            for sample in self.of(_WARM_LANE)
            if self.label(sample)[0] == WARM and (residual_ns := _residual_ns(sample)) is not None
        )
        return spent[int(0.95 * len(spent))] if spent else 0

    def _traffic(self) -> list[tuple[Sample, str]]:
        """The calls that met the function's own instances, in order of their start, with their labels."""
        traffic = [
            *((sample, self.label(sample)[0]) for sample in self.samples),
            *((each, UNKNOWN) for each in self.left_out),
        ]
        own = [each for each in traffic if each[0].started_ns is not None and _means(each[0]) not in _APART]
        return sorted(own, key=lambda each: each[0].started_ns or 0)

    def _pool(self, keep_alive: KeepAlive | None) -> PoolCheck | None:
        """The bounds of the number of cold calls; None where the keep-alive time is not bounded on both sides."""
        if keep_alive is None or keep_alive.policy != "fixed" or not keep_alive.low_ns or not keep_alive.high_ns:
            return None
        own = self._traffic()
        flags = replay(_calls(own), keep_alive.low_ns, keep_alive.high_ns, self._slack_ns())
        starts = Counter(start for _, start in own)
        return PoolCheck(
            fewest=sum(flag.must for flag in flags),
            most=sum(flag.may for flag in flags),
            seen=starts[COLD],
            unclear=starts[AMBIGUOUS] + starts[UNKNOWN],
            low_ns=keep_alive.low_ns,
            high_ns=keep_alive.high_ns,
        )

    def _doubts(self, pool: PoolCheck | None) -> Iterable[str]:
        if self.wrong_size:
            yield (
                f"{len(self.wrong_size)} invocations ran with another memory size than was asked for and are left out: "
                "the function has no dynamic memory."
            )
        for means in self.rounds:
            each = self._means(means)
            if each.warm > each.invocations // 20:
                yield (
                    f"{each.warm} of {each.invocations} calls that were meant to be cold by {means} were warm: "
                    f"{self._why_warm(means)}"
                )
        if pool is not None and not pool.fewest <= pool.seen + pool.unclear:
            yield (
                f"{pool.seen} cold invocations are fewer than the {pool.fewest} that this traffic alone must have: "
                "someone else calls the function, or the platform starts instances ahead."
            )
        if pool is not None and pool.seen > pool.most:
            yield (
                f"{pool.seen} cold invocations are more than the {pool.most} that this traffic alone can have: someone "
                "else calls the function, or the platform ends instances early."
            )
        joined = sum(
            self.label(sample)[0] == AMBIGUOUS and sample.start_source == PROBE
            for sample in self.of(Induce.BURST.value)
        )
        if joined:
            yield (
                f"{joined} calls of bursts were not the first of their instance: it takes several at once, and they "
                "may have waited for it to start like the first. They are in no figure."
            )
        if self.rounds and set(self.rounds) <= _APART.keys():
            others = " and ".join(_APART[means] for means in self.rounds)
            yield f"Cold starts {others} are not compared with warm ones, as handlers may run at another speed."
        if self.samples and all(sample.outcome != OK for sample in self.samples):
            yield "No invocation succeeded; see the failure examples."

    def _why_warm(self, means: str) -> str:
        if means == Induce.CONFIG.value:
            return (
                "the platform had new instances before it sent a call to one, so this is not how to bring about cold "
                "starts of this function."
            )
        silence = f"after {self.settings.gap_ns / _NS_PER_S:g} s of silence there still were instances"
        if means == Induce.VERSION.value:
            return f"{silence}, or two of the names are of one version. Write a longer gap, or fewer names."
        return f"{silence}. Write a longer gap."


def _calls(own: Sequence[tuple[Sample, str]]) -> list[Call]:
    return [
        Call(sample.started_ns or 0, sample.ended_ns, renewed=_means(sample) == Induce.CONFIG.value)
        for sample, _ in own
    ]


def _lanes(found: _Found) -> Decision[bool]:
    """The warm lane; whether to go on."""
    wanted = found.settings.warm + 1
    length_ns = _LANE_NS
    for number in range(1, _MOST_LANES + 1):
        phase = _phase(f"{_WARM_LANE}-{number}", Workers(1, 1), length_ns, found.grace_ns, 1)
        if not found.add((yield Ask((phase,), samples=1.0))):
            return False
        ok = [sample for sample in found.of(_WARM_LANE) if sample.outcome == OK]
        if not ok:
            found.notes.append("The warm lane had no invocation that succeeded.")
            return False
        if len(ok) >= wanted + number - 1:
            break
        mean_ns = sum(sample.service_time_ns for sample in ok) / len(ok)
        length_ns = min(max(math.ceil((wanted + number - len(ok)) * mean_ns * 1.1), _NS_PER_S), _LONGEST_LANE_NS)
    if len(ok) < LEAST_CALIBRATION:
        found.notes.append(f"The warm lane had {len(ok)} calls; {LEAST_CALIBRATION} calibrate the classifier.")
    return True


def _rounds(found: _Found) -> Decision[bool]:
    """The means in turns, until there are enough cold calls; whether to go on."""
    settings = found.settings
    each = {
        Induce.GAP: 1,
        Induce.BURST: settings.burst,
        Induce.MEMORY: len(settings.sizes_mb),
        Induce.VERSION: len(settings.versions),
        Induce.CONFIG: 1,
    }
    turns = math.ceil(settings.cold / sum(each[means] for means in settings.induce))
    for turn in range(1, turns * _MORE_ROUNDS + 1):
        for means in settings.induce:
            found.rounds[means.value] += 1
            seen = yield _induced(means, turn, settings, found.grace_ns)
            if means is Induce.MEMORY:
                seen = _of_the_size_asked(found, seen)
            if not found.add(seen):
                return False
            if means is Induce.VERSION and (missing := _not_found(seen, turn)):
                found.notes.append(f"The function has no {' and no '.join(missing)}: correct cold-starts.versions.")
                return False
        if turn >= turns:
            found.fit()
            induced = sum(len(found.of(means)) for means in found.rounds)
            # with few cold calls nothing can be told apart yet, with many it cannot be at all
            if found.colds() >= settings.cold or (not found.told() and induced >= 2 * LEAST_COLD):
                break
    if found.told() and found.colds() < settings.cold:
        found.notes.append(f"{found.colds()} of the {settings.cold} cold calls wanted.")
    return True


def _silences(found: _Found) -> Decision[bool]:
    """The keep-alive time; whether to go on."""
    settings = found.settings
    if settings.keep_alive_ns is None:
        return True
    if not found.told():
        found.notes.append("The keep-alive time was not looked for: a single call cannot be told to be cold or warm.")
        return True
    asked: list[GapProbe] = []
    gap_ns: int | None = settings.gap_ns  # until the instances of bursts are gone, there may be more than one
    number = lost = 0
    while gap_ns is not None and lost < len(asked) + 10:
        number += 1
        seen = yield Ask((_burst(f"{_KEEP_ALIVE}-{number}", 1, found.grace_ns),), samples=1.0, idle_ns=gap_ns)
        last_end_ns = found.last_end_ns()
        if not found.add(seen):
            return False
        valid = seen.verdict.status != "invalid"
        start = found.label(seen.samples[-1])[0] if seen.samples and valid else UNKNOWN
        if number > 1:
            if start in (COLD, WARM) and (seen.samples[-1].started_ns is not None):
                asked.append(GapProbe(gap_ns, start == COLD))
                found.probes.append(GapProbe(seen.samples[-1].started_ns - last_end_ns, start == COLD))
            else:
                lost += 1
        gap_ns = next_gap(asked, *settings.keep_alive_ns)
    return True


def _induced(means: Induce, turn: int, settings: ColdStarts, grace_ns: int) -> Ask:
    name = f"{means.value}-{turn}"
    if means is Induce.CONFIG:
        return Ask((_burst(name, 1, grace_ns),), samples=1.0, renewed=True)
    if means is Induce.GAP:
        return Ask((_burst(name, 1, grace_ns),), samples=1.0, idle_ns=settings.gap_ns)
    if means is Induce.BURST:
        phases = (_burst(name, settings.burst, grace_ns), _burst(f"{_AGAIN}-{turn}", settings.burst, grace_ns))
        return Ask(phases, samples=1.0, idle_ns=settings.gap_ns)
    others = settings.versions if means is Induce.VERSION else settings.sizes_mb
    return Ask(
        tuple(_burst(f"{name}-{other}", 1, grace_ns) for other in others),
        samples=1.0,
        idle_ns=settings.gap_ns if turn > 1 else 0,
        memory_mb=settings.sizes_mb if means is Induce.MEMORY else (),
        versions=settings.versions if means is Induce.VERSION else (),
    )


def _of_the_size_asked(found: _Found, seen: Seen) -> Seen:
    """What was seen, without the calls that ran with another memory size than theirs."""
    kept: list[Sample] = []
    for sample in seen.samples:
        as_asked = sample.memory_size_mb in (None, int(sample.phase.rpartition("-")[2]))
        (kept if as_asked else found.wrong_size).append(sample)
    return Seen(seen.totals, tuple(kept), seen.verdict, seen.stopped)


def _not_found(seen: Seen, turn: int) -> list[str]:
    """The versions that a turn of calls to versions did not find."""
    missing = Outcome.NOT_FOUND.value
    return [
        each.phase.removeprefix(f"{Induce.VERSION.value}-{turn}-") for each in seen.samples if each.outcome == missing
    ]


def _burst(name: str, size: int, grace_ns: int) -> Phase:
    return _phase(name, Bursts(size, _AT_ONCE_NS, 1), _AT_ONCE_NS, grace_ns, size)


def _phase(name: str, shape: Shape, duration_ns: int, grace_ns: int, workers: int) -> Phase:
    return Phase(name, shape, duration_ns, max_in_flight=workers, grace_ns=grace_ns)


def _means(sample: Sample) -> str:
    return _KEEP_ALIVE if sample.phase.startswith(_KEEP_ALIVE) else sample.phase.partition("-")[0]


def _residual_ns(sample: Sample) -> int | None:
    """Overhead without connecting; None where it is not known, or the call did not succeed."""
    return sample.residual_ns if sample.outcome == OK else None


def _overheads(samples: Iterable[Sample]) -> Histogram:
    histogram = Histogram()
    for sample in samples:
        if (residual_ns := _residual_ns(sample)) is not None:
            histogram.record(residual_ns // Metric.RESIDUAL.kind.unit.size)
    return histogram


def _times_ns(samples: Iterable[Sample], metric: Metric) -> list[int]:
    return sorted(ns for sample in samples if (ns := sample.value(metric)) is not None)


def _population(samples: Sequence[Sample]) -> Population:
    return Population(len(samples), {metric.value: _spread(_times_ns(samples, metric)) for metric in _TIMES})


def _spread(times: Sequence[int]) -> Spread:
    n = len(times)
    mean = round(sum(times) / n) if n else None
    p50, p95, p99 = (_quantile(times, p) for p in (50.0, 95.0, 99.0))
    return Spread(n, mean, p50, p95, p99, times[-1] if n else None)


def _quantile(times: Sequence[int], p: float) -> Figure | None:
    """A percentile with its exact interval; None where the sample does not support it."""
    n = len(times)
    if not supported(n, p):
        return None
    low, high = ranks(n, p / 100)
    assert low is not None
    assert high is not None
    return Figure(times[max(1, math.ceil(p / 100 * n)) - 1], times[low - 1], times[high - 1])


def _difference_of_medians(cold: Sequence[Sample], warm: Sequence[Sample], seed: int) -> Figure | None:
    """By how much the median service time of cold calls is longer, with a percentile bootstrap interval."""
    slow, fast = (np.array(_times_ns(samples, Metric.SERVICE_TIME)) for samples in (cold, warm))
    if min(len(slow), len(fast)) == 0:
        return None
    value = float(np.median(slow) - np.median(fast))
    if not (supported(len(slow), 50.0) and supported(len(fast), 50.0)):
        return Figure(value, None, None)
    rng = np.random.default_rng(seed)

    def median(times: NDArray[np.int64]) -> float:
        return float(np.median(rng.choice(times, len(times))))

    draws = [median(slow) - median(fast) for _ in range(_RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Figure(value, float(low), float(high))


def _difference_of_means(cold: Sequence[Sample], warm: Sequence[Sample]) -> Figure | None:
    """By how much the mean billed duration of cold calls is longer, with a normal interval."""
    slow, fast = (np.array(_times_ns(samples, Metric.BILLED_DURATION)) for samples in (cold, warm))
    if min(len(slow), len(fast)) == 0:
        return None
    value = float(slow.mean() - fast.mean())
    if min(len(slow), len(fast)) < 30:
        return Figure(value, None, None)
    half = 1.96 * math.sqrt(slow.var(ddof=1) / len(slow) + fast.var(ddof=1) / len(fast))
    return Figure(value, value - half, value + half)
