"""The largest rate that a function sustains: predict, probe, search, confirm, explain.

Theory of operation. A short warm lane gives the busy time of a call, and with the number of calls that may run at once
a prediction (``erlang``). Around it, rates are held: each probe ramps, waits until the rate has settled, and measures
until Wald's test decides (``sequential``) or the evidence is enough. All probes together place the rate at which a rule
stops being met (``crossing``), which is where the next probe goes. What is reported as sustained was held: from a pool
that has gone cold, for as long as was asked, and once more coming from a higher rate. The causes of violations
beyond the limit, compared with those below it, say what binds the rate (``attribution``).

A probe is invalid, and says nothing about the function, when the generator could not be trusted or the rate never
settled. The rates are those of Poisson arrivals: independent users.

Batches are a second long, but at most a tenth of the time an idle instance lives, and at least twice the busy time: the
calls in flight change no faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from loadgen.experiments.capacity import erlang
from loadgen.experiments.capacity.attribution import (
    EXECUTION,
    QUEUEING,
    QUOTA,
    causes,
    cold_test,
    excess,
    full,
)
from loadgen.experiments.capacity.crossing import Ceiling, Crossing, Evidence
from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.invocation.outcome import OK, Outcome, names
from loadgen.invocation.sample import Sample
from loadgen.load.law import Arrivals
from loadgen.load.phase import Phase
from loadgen.load.steps import StepRates
from loadgen.load.workers import Workers
from loadgen.measure.experiment import CapacityProbe, CapacityResult
from loadgen.measure.histogram import rank
from loadgen.measure.percentile import needed
from loadgen.measure.ranking import percentile_fails
from loadgen.stats import sequential
from loadgen.stats.sequential import FAIL, INVALID, PASS, UNDECIDED
from loadgen.text.units import NS_PER_S, Rate

VERSION = 1
CONFIRM_NS = 300 * NS_PER_S
CONFIRM_LIFETIMES = 5
"""How long the method holds a rate that it reports: five minutes, and five times as long as an instance lives idle."""
WINDOW = 20
"""Batches over which a settled rate shows no slope."""
LANE_CALLS, LANE_WORKERS, LANE_S = 200, 4, 30
MOST_PROBES, MOST_CONFIRMATIONS = 14, 6
MOST_INVALID = 4
NEAR_NS = 60 * NS_PER_S
"""How long a probe that passes is held at least, once it is known on both sides where the limit is.

No longer than a confirmation that is shorter.
"""
MOST_EVIDENCE, ENOUGH_PROBES = 150, 8
"""The search ends after so many probes, and as many invocations per unit of 1/v, the largest share that is allowed."""
MODEL_ERROR = 0.10
"""What the reported interval adds, in ln λ and in quadrature, to what sampling explains: found by simulation.

Within probes of seconds a backlog may not begin that would in minutes, and the curve is an approximation. Sampling
alone gives intervals that hold the true capacity far less often than they say.
"""
STEP_DOWN, LONGEST_STEP = 0.95, 0.85
"""What a rate that could not be confirmed is multiplied by, at most and at least."""
LEAST_TOLD = 100
"""Calls that have to tell their durations for these to say which rates are too high."""
NEIGHBOURS = 0.1
"""How near two rates are, in ln λ, that share the inflation of their violations."""
FAR = 4.0
"""Standard deviations between two parts of a window that have not the same share of violations."""
SAFE_PART = 0.5
"""A rate is confirmed where the expected share of violations is this part of its limit: Wald's v₀."""
DROWNED = 0.9
"""The share of violations at its end, and twice that of the whole, from which a rate fails without having settled."""
MOST_SAMPLES = 200_000
"""Of one probe; beyond it a random part of the invocations is kept."""
GROWING = "invocations in flight and latency kept growing"
FAR_BELOW = 0.7
"""What part of the last rate the next one is below, where what the last one left behind would spoil it."""
RECOVERY_S, RECOVERED = 120, 5
"""After a rate that was far too high: so many usual calls in a row show that it is over, looked for so long."""
_HELD_UP = names(lambda traits: traits.overload)
_TINY = 0.01


@dataclass(frozen=True, slots=True)
class Criterion:
    """A rule of the SLO: the share of invocations that ``broken`` holds of must stay below ``limit``."""

    text: str
    limit: float
    broken: Callable[[Sample], bool]
    latency_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked. Rates are per second; ``limit`` is how many calls may run at once, None when that is not known."""

    criteria: tuple[Criterion, ...]
    from_per_s: float
    to_per_s: float
    confirm_ns: int
    precision: float
    keep_alive_ns: int
    limit: int | None
    max_in_flight: int
    grace_ns: int


def capacity(plan: Plan) -> Decision[CapacityResult]:
    """Find the capacity; the result says why where there is none."""
    return (yield from _Search(plan).decide())


@dataclass(frozen=True, slots=True)
class _Durations:
    """How long calls were busy: their number, and the sum of their durations in s and of its squares."""

    n: int
    total_s: float
    squares: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> _Durations:
        """Of the calls that told."""
        told = [sample.duration_ns / NS_PER_S for sample in samples if sample.duration_ns is not None]
        return cls(len(told), sum(told), sum(each * each for each in told))

    def __add__(self, other: _Durations) -> _Durations:
        return _Durations(self.n + other.n, self.total_s + other.total_s, self.squares + other.squares)

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


class _StoppedError(Exception):
    """The run was cut short."""


@dataclass(frozen=True, slots=True)
class _Probe:
    """A judged probe and its evidence: invocations and violations of each criterion while the rate was settled."""

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
    durations: _Durations

    @property
    def counts(self) -> bool:
        """Whether it may be used as evidence."""
        return self.verdict != INVALID and self.n > 0


class _Search:
    """One search; its methods are parts of the decision."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._probes: list[_Probe] = []
        self._numbers = 0
        self._cold: Callable[[Sample], bool] = cold_test(())
        self._overhead_ns = 0
        self._busy_ns: int | None = None
        self._predicted: float | None = None
        self._rate = 0.0
        self._usual_ns = 0
        self._drowned = False
        self._loaded_ns = 0
        self._confirmed: _Probe | None = None
        self._warm: _Probe | None = None
        self._cold_pool: float | None = None
        self._debt: _Probe | None = None
        self._notes: list[str] = []

    def decide(self) -> Decision[CapacityResult]:
        """The whole search."""
        try:
            why = yield from self._lane()
            why = why or (yield from self._bracket())
            search_ns = self._loaded_ns
            why = why or (yield from self._confirm())
        except _StoppedError:
            search_ns, why = self._loaded_ns, "The run was stopped before the search had come to its end."
        return self._result(why, search_ns)

    def _lane(self) -> Generator[Ask, Seen, str]:
        """A few workers, back to back: how long a warm call takes. Why nothing more can be found out, if so."""
        lane = Phase(
            "warm-lane",
            Workers(LANE_WORKERS, LANE_WORKERS),
            LANE_S * NS_PER_S,
            warmup=True,
            grace_ns=self._plan.grace_ns,
        )
        seen = yield Ask((lane,), samples=1.0, enough=lambda samples: len(samples) >= LANE_CALLS)
        self._check(seen)
        ok = [sample for sample in seen.samples if sample.outcome == OK]
        if not ok:
            outcomes = sorted({sample.outcome for sample in seen.samples})
            return f"No invocation succeeded, even without load ({', '.join(outcomes) or 'there was none'})."
        warm = ok[LANE_WORKERS:] or ok
        self._cold = cold_test(warm)
        warm = [sample for sample in warm if not self._cold(sample)] or warm
        self._busy_ns = round(sum(map(_busy_ns, warm)) / len(warm))
        self._usual_ns = 4 * sorted(sample.service_time_ns for sample in warm)[int(0.9 * len(warm))]
        self._overhead_ns = sorted(sample.overhead_ns or 0 for sample in warm)[len(warm) // 2]
        # those that failed break rules, too
        judged = [sample for sample in seen.samples[LANE_WORKERS:] if sample.outcome != OK or not self._cold(sample)]
        judged = judged or warm
        alone = {criterion: sum(map(criterion.broken, judged)) / len(judged) for criterion in self._plan.criteria}
        if self._plan.limit is not None and self._busy_ns and all(share < 0.5 for share in alone.values()):
            # what breaks a rule without load is taken off; a short lane does not show small shares well
            spare = min(
                min(max(criterion.limit - share, criterion.limit / 10), 0.5) for criterion, share in alone.items()
            )
            self._predicted = erlang.offered(self._plan.limit, spare) / self._busy_ns * NS_PER_S
        return ""

    def _bracket(self) -> Generator[Ask, Seen, str]:
        """Probe until it is known closely enough where the limit is; why there is no capacity, if so."""
        plan = self._plan
        rate = self._within(0.85 * self._predicted if self._predicted is not None else 8 * plan.from_per_s)
        invalid = 0
        while True:
            probe = yield from self._probe(rate, "next")
            if probe.verdict == INVALID:
                invalid += 1
                if invalid >= MOST_INVALID:
                    return f"{invalid} probes were invalid, the last one because {probe.report.why}."
                if invalid % 2 == 0:  # twice at this rate
                    rate = self._within(rate * STEP_DOWN**2)
                continue
            if probe.verdict == FAIL and rate <= plan.from_per_s * (1 + _TINY):
                return f"The rules are not met at the smallest rate, {plan.from_per_s:g}/s: {probe.report.why}"
            if probe.verdict == PASS and rate >= plan.to_per_s * (1 - _TINY):
                self._notes.append(f"The rules are met at the largest rate asked for, {plan.to_per_s:g}/s.")
                return ""
            if self._known() or len(self._probes) >= MOST_PROBES:
                return ""
            rate = self._next()

    def _next(self) -> float:
        """The rate of the next probe."""
        counted = [probe for probe in self._probes if probe.counts]
        met = [probe for probe in counted if not self._is_over(probe)]
        over = [probe for probe in counted if self._is_over(probe)]
        if not over:
            return self._within(max(probe.rate for probe in met) * 1.3 ** len(met))
        if not met:
            lowest = min(over, key=lambda probe: probe.rate)
            return self._within(min(lowest.rate / 1.3 ** len(over), max(0.9 * lowest.ok_per_s, lowest.rate / 10)))
        crossing = self._crossing()
        low, high = crossing.interval
        # both sides of the estimate in turn, so that the steepness of the curve becomes known, too
        aside = min(0.03, 0.25 * math.log(high / low)) * (1 if len(self._probes) % 2 else -1)
        return self._within(crossing.estimate * math.exp(aside))

    def _is_over(self, probe: _Probe) -> bool:
        return probe.unstable or any(
            k > criterion.limit * probe.n for k, criterion in zip(probe.k, self._plan.criteria, strict=True)
        )

    def _both_sides(self) -> bool:
        """Whether there are rates that meet the rules, and such that do not."""
        return len({self._is_over(probe) for probe in self._probes if probe.counts}) == 2

    def _known(self) -> bool:
        if not self._both_sides():
            return False
        counted = [probe for probe in self._probes if probe.counts]
        low, high = self._crossing().interval
        largest = max(criterion.limit for criterion in self._plan.criteria)
        within = math.sqrt(high / low) - 1
        enough = sum(probe.n for probe in counted) >= MOST_EVIDENCE / largest
        return within <= self._plan.precision or (enough and len(counted) >= ENOUGH_PROBES)

    def _crossing(self) -> Crossing:
        counted = self._consistent()
        limits = [criterion.limit for criterion in self._plan.criteria]
        plain = Crossing(self._evidence(counted, math.inf), limits)
        ceiling = self._ceiling(counted, plain.estimate, min(limits))
        if ceiling is None:
            return plain
        return Crossing(self._evidence(counted, ceiling.rate * (1 + 2 * ceiling.error)), limits, ceiling)

    def _evidence(self, counted: Sequence[_Probe], beyond: float) -> list[list[Evidence]]:
        """What the probes say about each rule; of rates from ``beyond`` on no more than that they are too high."""
        return [
            [
                Evidence(
                    probe.rate,
                    probe.n,
                    probe.k[i],
                    self._inflation(probe, i, counted),
                    probe.unstable or probe.rate >= beyond,
                )
                for probe in counted
            ]
            for i in range(len(self._plan.criteria))
        ]

    def _ceiling(self, counted: Sequence[_Probe], near: float, least: float) -> Ceiling | None:
        """The rate beyond which more calls would have to run at once than may (Little's law).

        Of the rate, what the strictest rule allows may be refused. Durations are those at the rates near by, as calls
        that share an instance slow each other down. None where the limit is unknown, or was seen to be exceeded: then
        it is another one.
        """
        limit = self._plan.limit
        if limit is None or self._exceeds(limit):
            return None
        beside = [probe for probe in counted if abs(math.log(probe.rate / near)) <= NEIGHBOURS] or counted
        durations = sum((probe.durations for probe in beside), _Durations(0, 0.0, 0.0))
        if durations.n < LEAST_TOLD or not durations.total_s:
            return None
        return Ceiling(limit / durations.mean_s / (1 - least), durations.error)

    def _exceeds(self, limit: int) -> bool:
        """Whether more calls ran at once, on average over a probe, than the limit says there may."""
        return any(
            probe.served_per_s * probe.durations.mean_s > (1.02 + 4 * probe.durations.error) * limit
            for probe in self._probes
            if probe.counts and probe.durations.n >= LEAST_TOLD
        )

    def _consistent(self) -> list[_Probe]:
        """The probes that count, but for those that met the rules at a rate at which, or below, a longer one did not.

        Near its limit a backlog takes its time to begin: a short probe may not see it, and the lower rate stands.
        """
        counted = [probe for probe in self._probes if probe.counts]
        failed = [probe for probe in counted if probe.verdict == FAIL]
        return [
            probe
            for probe in counted
            if self._is_over(probe)
            or not any(
                other.rate <= probe.rate
                and probe.report.measured_ns < (2 if other.unstable else 0.5) * other.report.measured_ns
                for other in failed
            )
        ]

    def _inflation(self, probe: _Probe, rule: int, counted: Sequence[_Probe]) -> float:
        """The largest inflation seen near a rate: one probe alone may have missed what comes in bursts."""
        near = (other for other in counted if abs(math.log(other.rate / probe.rate)) <= NEIGHBOURS)
        return max(other.inflation[rule] for other in near)

    def _confirm(self) -> Generator[Ask, Seen, str]:
        """Hold the rate to be reported, from a cold pool, then coming from above; why that failed, if it did."""
        counted = [probe for probe in self._probes if probe.counts]
        rate = self._plan.to_per_s
        if any(map(self._is_over, counted)):
            rate = self._within(self._safe())
        for _ in range(MOST_CONFIRMATIONS):
            probe = yield from self._probe(rate, "cold")
            if probe.verdict == PASS:
                self._cold_pool = max(self._cold_pool or 0.0, rate)
                self._debt = self._debt or probe
                warm = yield from self._probe(rate, "warm")
                if warm.verdict == PASS:
                    self._confirmed, self._warm = probe, warm
                    return ""
                probe = warm
            came = "from a cold pool" if probe.report.approach == "cold" else "coming from a higher rate"
            self._notes.append(f"{rate:g}/s could not be confirmed {came} ({probe.verdict}): {probe.report.why}")
            if rate <= self._plan.from_per_s * (1 + _TINY):
                return "Not even the smallest rate could be confirmed."
            if probe.verdict != INVALID:
                rate = self._within(max(min(rate * STEP_DOWN, self._safe()), rate * LONGEST_STEP))
        return f"No rate could be confirmed in {MOST_CONFIRMATIONS} attempts."

    def _safe(self) -> float:
        """The largest rate that may well be confirmed: few violations are expected, and the limit is not near."""
        if not any(self._is_over(probe) for probe in self._probes if probe.counts):
            return self._plan.to_per_s
        crossing = self._crossing()
        return min(crossing.below(SAFE_PART), _interval(crossing)[0])

    def _within(self, rate: float) -> float:
        """The rate with four digits, within what was asked for."""
        rate = min(max(rate, self._plan.from_per_s), self._plan.to_per_s)
        return float(f"{rate:.4g}")

    def _probe(self, rate: float, approach: str) -> Generator[Ask, Seen, _Probe]:
        """Hold a rate and judge it. Raises _StoppedError when the run is cut short."""
        plan = self._plan
        # near the limit a rate is reached from above as well as from below, with what is left of the last one
        if self._drowned and (approach == "cold" or rate < FAR_BELOW * self._rate):
            yield from self._recover()
        self._numbers += 1
        batch_ns = max(min(NS_PER_S, plan.keep_alive_ns // 10), 2 * (self._busy_ns or 0))
        ramp = self._ramp(rate, approach)
        settle_ns = 2 * plan.keep_alive_ns + WINDOW * batch_ns
        wanted = self._wanted(approach)
        hold_ns = settle_ns + max(round(wanted.most / rate * NS_PER_S), wanted.least_ns)
        steps = [*ramp, *[rate] * -(-hold_ns // NS_PER_S)]
        phase = Phase(
            name=f"{'confirm' if approach == 'cold' else 'probe'}-{self._numbers:02}",
            shape=StepRates(tuple(_rate(step) for step in steps)),
            duration_ns=len(steps) * NS_PER_S,
            arrivals=Arrivals.POISSON,
            max_in_flight=plan.max_in_flight,
            grace_ns=plan.grace_ns,
        )
        watch = _Watch(plan, wanted, self._cold, len(ramp) * NS_PER_S, batch_ns, settle_ns)
        share = min(1.0, MOST_SAMPLES / (rate * hold_ns / NS_PER_S))
        idle_ns = round(1.2 * plan.keep_alive_ns) if approach == "cold" else 0
        seen = yield Ask((phase,), samples=share, idle_ns=idle_ns, enough=watch)
        probe = self._judged(seen, phase, rate, approach, watch, share)
        if seen.samples or not seen.stopped:
            self._probes.append(probe)
        self._rate = rate
        self._drowned = any(k > DROWNED * probe.n for k in probe.k)
        self._check(seen)
        return probe

    def _recover(self) -> Generator[Ask, Seen, None]:
        """One call after another, until what a rate that was far too high left behind has been worked off.

        Calls that the client has given up on may still wait in a queue of the platform's.
        """
        usual_ns = self._usual_ns

        def calm(samples: Sequence[Sample]) -> bool:
            last = samples[-RECOVERED:]
            return len(last) == RECOVERED and all(
                sample.outcome not in _HELD_UP and sample.service_time_ns <= usual_ns for sample in last
            )

        lane = Phase(
            f"recovery-{self._numbers:02}",
            Workers(1, 1),
            RECOVERY_S * NS_PER_S,
            warmup=True,
            grace_ns=self._plan.grace_ns,
        )
        seen = yield Ask((lane,), samples=1.0, enough=calm)
        self._check(seen)
        self._rate, before = 0.0, self._rate  # the next rate is reached from below
        if seen.samples and not calm(seen.samples):
            self._notes.append(
                f"After {before:g}/s the function was still slow {RECOVERY_S} s later: what follows may be too low."
            )

    def _check(self, seen: Seen) -> None:
        if seen.samples:
            self._loaded_ns += seen.samples[-1].intended_ns - seen.samples[0].intended_ns
        if seen.stopped:
            raise _StoppedError

    def _ramp(self, rate: float, approach: str) -> list[float]:
        """The rates of the seconds before the rate is held."""
        if approach == "warm":
            return [rate * 1.25] * 5 + [rate]
        before = 0.0 if approach == "cold" else self._rate
        seconds = 2 if abs(rate - before) <= 0.3 * before else 5
        return [before + (rate - before) * (second + 0.5) / seconds for second in range(seconds)]

    def _wanted(self, approach: str) -> _Wanted:
        limits = [criterion.limit for criterion in self._plan.criteria]
        if approach == "next":
            near_ns = min(NEAR_NS, self._plan.confirm_ns)
            return _Wanted(round(sequential.MOST / max(limits)), near_ns if self._both_sides() else 0)
        # where it matters, an undecided test is extended
        return _Wanted(round(4 * sequential.MOST / min(limits)), self._plan.confirm_ns if approach == "cold" else 0)

    def _judged(self, seen: Seen, phase: Phase, rate: float, approach: str, watch: _Watch, share: float) -> _Probe:
        plan = self._plan
        fulls = full(seen.samples, None if plan.limit is None else math.ceil(plan.limit * share))
        colds = [not at_limit and self._cold(each) for each, at_limit in zip(seen.samples, fulls, strict=True)]
        whole = watch.whole(seen.samples, colds)
        settled = whole.settled_from(len(whole.n))
        verdict, why = self._verdict(seen, whole, settled, watch)
        start = whole.ramp if settled is None else settled
        begin = sum(whole.n[:start])
        measured = seen.samples[begin:]
        n, k = len(measured), tuple(sum(counts[start:]) for counts in whole.broken)
        inflation = tuple(whole.inflation(start, counts) for counts in whole.broken)
        length_ns = max(1, len(whole.n) - start) * whole.batch_ns
        latency = next((criterion.latency_ns for criterion in plan.criteria if criterion.latency_ns), None)
        shares = causes(
            measured,
            colds[begin:],
            fulls[begin:],
            lambda sample: any(criterion.broken(sample) for criterion in plan.criteria),
            None if latency is None else latency - self._overhead_ns,
        )
        p50, p95, p99 = (_percentile(measured, p) for p in (50.0, 95.0, 99.0))
        report = CapacityProbe(
            phase=phase.name,
            rate_per_s=rate,
            approach=approach,
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
            shares = {_grows(measured, fulls[begin:], self._busy_ns or 0): 1.0}
        durations = _Durations.of(measured)
        return _Probe(report, rate, verdict, n, k, inflation, shares, ok_per_s, served_per_s, unstable, durations)

    def _verdict(self, seen: Seen, whole: _Batches, settled: int | None, watch: _Watch) -> tuple[str, str]:
        """The verdict on a probe, and what decided it."""
        if seen.stopped:
            return INVALID, "the run was stopped"
        bad = next((reason for reason in seen.verdict.reasons if reason.severity == "invalid"), None)
        if bad is not None:
            return INVALID, f"the load generator cannot be trusted: {bad.message}"
        if settled is None:
            far = watch.overloaded(whole, len(whole.n)) or watch.drowned(whole)
            if far is not None:
                return FAIL, f"{far.text} is not met by far, and violations did not become fewer"
            if whole.rising(whole.ramp):
                return FAIL, GROWING
            return INVALID, "the rate did not settle"
        found = {}
        for criterion, counts in zip(self._plan.criteria, whole.broken, strict=True):
            n, k = sum(whole.n[settled:]), sum(counts[settled:])
            found[criterion.text] = sequential.verdict(n, k, criterion.limit, whole.inflation(settled, counts))
        for wanted, one, several in (
            (FAIL, "is not met", "are not met"),
            (UNDECIDED, "is neither shown to be met nor not to be", "are neither shown to be met nor not to be"),
        ):
            texts = [text for text, verdict in found.items() if verdict == wanted]
            if texts:
                return wanted, f"{' and '.join(texts)} {several if len(texts) > 1 else one}"
        if whole.rising(settled):
            return FAIL, GROWING
        if sum(whole.n[settled:]) and (len(whole.n) - settled) * whole.batch_ns < watch.least_ns:
            return UNDECIDED, "it was not held to the end, as for a while a rule did not seem to be met"
        return PASS, "every rule is met"

    def _result(self, why: str, search_ns: int) -> CapacityResult:
        plan = self._plan
        counted = [probe for probe in self._probes if probe.counts]
        met = [probe for probe in counted if not self._is_over(probe)]
        over = [probe for probe in counted if self._is_over(probe)]
        estimate = low = high = None
        if met and over:
            crossing = self._crossing()
            estimate, (low, high) = crossing.estimate, crossing.interval
            within = math.sqrt(high / low) - 1
            low, high = _interval(crossing)
            if within > plan.precision:
                self._notes.append(
                    f"Sampling alone leaves the estimate uncertain by ±{within:.1%}, and ±{plan.precision:.1%} was "
                    "asked for: more would take longer probes."
                )
        bound = self._bound(met, over)
        confirmed = self._confirmed
        method_ns = max(CONFIRM_NS, CONFIRM_LIFETIMES * plan.keep_alive_ns)
        return CapacityResult(
            version=VERSION,
            rules=[criterion.text for criterion in plan.criteria],
            confirmed_per_s=None if confirmed is None else confirmed.rate,
            confirmed_ns=0 if confirmed is None else confirmed.report.measured_ns,
            shortened=plan.confirm_ns < method_ns,
            estimate_per_s=estimate,
            estimate_low_per_s=low,
            estimate_high_per_s=high,
            why=why,
            predicted_per_s=self._predicted,
            limit=plan.limit,
            busy_ns=self._busy_ns,
            cold_per_s=self._cold_pool,
            warm_per_s=self._warm.rate if self._warm is not None and self._warm.verdict == PASS else None,
            bound_by=next(iter(bound), None),
            bound_shares=bound,
            debt_ns=None if self._debt is None else self._debt.report.settling_ns,
            debt_colds=None if self._debt is None else self._debt.report.settling_colds,
            search_ns=search_ns,
            probes=[probe.report for probe in self._probes],
            notes=self._notes,
        )

    def _bound(self, met: Sequence[_Probe], over: Sequence[_Probe]) -> dict[str, float]:
        """What the violations just beyond the limit owe their growth to."""
        if not over:
            return {}
        nearest = sorted(over, key=lambda probe: probe.rate)[:3]
        n = sum(probe.n for probe in nearest)
        names = {cause for probe in nearest for cause in probe.shares}
        broken = {cause: sum(probe.shares.get(cause, 0.0) * probe.n for probe in nearest) / n for cause in names}
        return excess(broken, [probe.shares for probe in met])


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How much a probe measures: for ``least_ns``, until every rule is decided or there are ``most`` invocations."""

    most: int
    least_ns: int


@dataclass(slots=True)
class _Batches:
    """Invocations by when they were intended: batches of equal length from the first one on, the ramp first."""

    batch_ns: int
    ramp: int
    broken: list[list[int]]
    origin_ns: int = 0
    slowest_ns: int = 0
    n: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    colds: list[int] = field(default_factory=list)
    latency_ns: list[int] = field(default_factory=list)

    def add(self, sample: Sample, broken: Sequence[bool], cold: bool) -> None:
        """Add one invocation."""
        at = max(0, sample.intended_ns - self.origin_ns) // self.batch_ns
        end = max(0, sample.ended_ns - self.origin_ns) // self.batch_ns
        while len(self.n) <= at:
            for counts in (self.n, self.colds, self.latency_ns, *self.broken):
                counts.append(0)
        while len(self.ends) <= end:
            self.ends.append(0)
        self.slowest_ns = max(self.slowest_ns, sample.latency_ns)
        self.n[at] += 1
        self.ends[end] += 1
        self.colds[at] += cold
        self.latency_ns[at] += sample.latency_ns
        for counts, is_broken in zip(self.broken, broken, strict=True):
            counts[at] += is_broken

    def settled_from(self, upto: int) -> int | None:
        """The first batch of the first window in which nothing has a slope; None when there is none before ``upto``."""
        flight, latency = self._in_flight(upto), self._latency(upto)
        for start in range(self.ramp, upto - WINDOW + 1):
            window = slice(start, start + WINDOW)
            if (
                not sequential.slope(flight[window])
                and not sequential.slope(latency[window])
                and sequential.slope(self.colds[window]) >= 0
                and not any(self._fewer(counts, start) for counts in self.broken)
            ):
                return start
        return None

    def _fewer(self, counts: Sequence[int], start: int) -> bool:
        """Whether violations are far more frequent in the first quarter of a window than in the rest of it."""
        cut, end = start + WINDOW // 4, start + WINDOW
        first, rest = sum(self.n[start:cut]), sum(self.n[cut:end])
        k = sum(counts[start:end])
        if not first or not rest or not k:
            return False
        share = k / (first + rest)
        deviation = math.sqrt(share * (1 - share) * (1 / first + 1 / rest))
        return sum(counts[start:cut]) / first - sum(counts[cut:end]) / rest > FAR * deviation

    def rising(self, start: int, upto: int | None = None) -> bool:
        """Whether latency rises from a batch on, and the invocations in flight in both halves of that time.

        After a change of the rate both rise for a while, but ever more slowly; a backlog grows on and on.
        """
        upto = len(self.n) if upto is None else upto
        if upto - start < WINDOW:
            return False
        flight, half = self._in_flight(upto), (start + upto) // 2
        return (
            sequential.slope(_means(self._latency(upto)[start:])) > 0
            and sequential.slope(_means(flight[start:half])) > 0
            and sequential.slope(_means(flight[half:])) > 0
        )

    def draining(self, upto: int) -> bool:
        """Whether the invocations in flight have become fewer lately, or since the rate is held."""
        flight = self._in_flight(upto)
        return any(sequential.slope(flight[start:]) < 0 for start in (-WINDOW // 2, -WINDOW, self.ramp))

    def inflation(self, start: int, counts: Sequence[int], upto: int | None = None) -> float:
        """The variance inflation of a count from a batch on."""
        return sequential.inflation(self.n[start:upto], counts[start:upto])

    def ended_per_s(self, start: int) -> float:
        """How many invocations ended per second from a batch on, while load was sent."""
        ended = self.ends[start : len(self.n)]
        return sum(ended) / (max(1, len(ended)) * self.batch_ns / NS_PER_S)

    def _in_flight(self, upto: int) -> list[float]:
        ends = [*self.ends, *[0] * upto][:upto]
        return [float(x) for x in accumulate(n - e for n, e in zip(self.n[:upto], ends, strict=True))]

    def _latency(self, upto: int) -> list[float]:
        return [total / n if n else 0.0 for total, n in zip(self.latency_ns[:upto], self.n[:upto], strict=True)]


class _Watch:
    """Says when a probe is enough. It is told the samples so far once a second, and looks at the new ones alone."""

    def __init__(
        self,
        plan: Plan,
        wanted: _Wanted,
        cold: Callable[[Sample], bool],
        ramp_ns: int,
        batch_ns: int,
        settle_ns: int,
    ) -> None:
        self._plan = plan
        self._wanted = wanted
        self._cold = cold
        self._ramp = -(-ramp_ns // batch_ns)
        self._batch_ns = batch_ns
        self._settle_ns = settle_ns
        self._batches = self._empty()
        self._looked_at = 0
        self._now_ns = 0
        self._settled: int | None = None
        self._rising_from: int | None = None
        slowest = max((criterion.latency_ns or 0 for criterion in plan.criteria), default=0)
        self._open = 1 + min(slowest, 10 * NS_PER_S) // batch_ns  # batches in which calls may still be under way

    def __call__(self, samples: Sequence[Sample]) -> bool:
        """Whether the samples so far are enough."""
        if not samples:
            return False
        batches = self._batches
        if not self._looked_at:
            batches.origin_ns = min(sample.intended_ns for sample in samples)
        for sample in samples[self._looked_at :]:
            broken = [criterion.broken(sample) for criterion in self._plan.criteria]
            batches.add(sample, broken, self._cold(sample))
            self._now_ns = max(self._now_ns, sample.ended_ns)
        self._looked_at = len(samples)
        closed = (self._now_ns - batches.origin_ns) // batches.batch_ns - self._open
        upto = max(0, min(closed, len(batches.n)))
        if self._settled is None:
            self._settled = batches.settled_from(upto)
        if self._settled is None:
            late = (upto - batches.ramp) * batches.batch_ns > self._settle_ns
            return late or self.overloaded(batches, upto) is not None or self._keeps_rising(upto)
        return self._decided(self._settled, upto)

    def _keeps_rising(self, upto: int) -> bool:
        """Whether a backlog grows, and has done so for half a window: one look of many may be mistaken."""
        if not self._batches.rising(self._batches.ramp, upto):
            self._rising_from = None
            return False
        if self._rising_from is None:
            self._rising_from = upto
        return upto - self._rising_from >= WINDOW // 2

    @property
    def least_ns(self) -> int:
        """How long a rate that passes was held at least."""
        return self._wanted.least_ns

    def whole(self, samples: Sequence[Sample], colds: Sequence[bool]) -> _Batches:
        """The batches of all samples of the probe, in order of intended start, and whether each was cold."""
        batches = self._empty()
        if samples:
            batches.origin_ns = samples[0].intended_ns
        for sample, cold in zip(samples, colds, strict=True):
            batches.add(sample, [criterion.broken(sample) for criterion in self._plan.criteria], cold)
        return batches

    def overloaded(self, batches: _Batches, upto: int) -> Criterion | None:
        """A criterion broken so often, and not less and less, that waiting for a steady state is of no use."""
        start = batches.ramp
        n = sum(batches.n[start:upto])
        if (upto - start) * batches.batch_ns < 2 * batches.slowest_ns or batches.draining(upto):
            return None  # what scaling up left behind may yet be worked off
        for criterion, counts in zip(self._plan.criteria, batches.broken, strict=True):
            k = sum(counts[start:upto])
            inflation = batches.inflation(start, counts, upto)
            lately = slice(upto - WINDOW // 2, upto)
            if (
                upto - start >= WINDOW // 2
                and k > 3 * criterion.limit * n
                and sum(counts[lately]) > 3 * criterion.limit * sum(batches.n[lately])
                and sequential.verdict(n, k, criterion.limit, inflation) == FAIL
                and sequential.slope(counts[lately]) >= 0
            ):
                return criterion
        return None

    def drowned(self, batches: _Batches) -> Criterion | None:
        """A criterion that nearly every invocation broke to the end: it need not be known when that would settle."""
        lately = slice(-WINDOW // 2, None)
        n, all_n = sum(batches.n[lately]), sum(batches.n[batches.ramp :])
        for criterion, counts in zip(self._plan.criteria, batches.broken, strict=True):
            share, whole = sum(counts[lately]) / max(1, n), sum(counts[batches.ramp :]) / max(1, all_n)
            if min(share, 2 * whole) > DROWNED and criterion.limit < DROWNED / 3:
                return criterion
        return None

    def _decided(self, settled: int, upto: int) -> bool:
        batches, wanted = self._batches, self._wanted
        n = sum(batches.n[settled:upto])
        verdicts = [
            sequential.verdict(n, sum(counts[settled:upto]), criterion.limit, batches.inflation(settled, counts, upto))
            for criterion, counts in zip(self._plan.criteria, batches.broken, strict=True)
        ]
        if FAIL in verdicts:
            self._settled = batches.settled_from(upto)  # calls that ended since may show that it had not
            return self._settled == settled
        if (upto - settled) * batches.batch_ns < wanted.least_ns:
            return False
        return n >= wanted.most or UNDECIDED not in verdicts

    def _empty(self) -> _Batches:
        return _Batches(self._batch_ns, self._ramp, [[] for _ in self._plan.criteria])


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


def _busy_ns(sample: Sample) -> int:
    """How long a call held its instance: the duration, or all of the service time where that is not told."""
    return sample.service_time_ns if sample.duration_ns is None else sample.duration_ns


def _interval(crossing: Crossing) -> tuple[float, float]:
    """The interval of the estimate, with what the model gets wrong."""
    low, high = (
        crossing.estimate * math.exp(math.copysign(math.hypot(distance, MODEL_ERROR), distance))
        for distance in (math.log(end / crossing.estimate) for end in crossing.interval)
    )
    return low, high


def _rate(per_s: float) -> Rate:
    return Rate(max(1, round(per_s * 1_000_000)), 1_000_000 * NS_PER_S)


def _means(values: Sequence[float]) -> list[float]:
    """At most thirty means of neighbours."""
    width = max(1, len(values) // sequential.GROUPS)
    return [sum(values[i : i + width]) / len(values[i : i + width]) for i in range(0, len(values), width)]


def _percentile(samples: Sequence[Sample], p: float) -> int | None:
    """A percentile of latency over all samples; None where one that failed or too few of them are in the way."""
    if not samples or len(samples) < (needed(p) or 0):
        return None
    ok = sorted(sample.latency_ns for sample in samples if sample.outcome == OK)
    return None if percentile_fails(p, len(ok), len(samples)) else ok[rank(p, len(samples)) - 1]
