"""The largest rate that a function sustains: predict, probe, search, confirm, explain.

Theory of operation. A short warm lane gives the busy time of a call, and with the number of calls that may run at once
a prediction (``lane``, ``erlang``). Around it, rates are held: each probe ramps, waits until the rate has settled, and
measures until Wald's test decides or the evidence is enough (``batches``, ``watch``, ``sequential``). All probes
together place the rate at which a rule stops being met (``placing``, ``crossing``), which is where the next probe goes.
What is reported as sustained was held: from a pool that has gone cold, for as long as was asked, and once more coming
from a higher rate. The causes of violations beyond the limit, compared with those below it, say what binds the rate
(``attribution``).

The rates are those of Poisson arrivals: independent users.

Batches are a second long, but at most a tenth of the time an idle instance lives, and at least twice the busy time: the
calls in flight change no faster.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence

from loadgen.experiments.capacity import lane as lanes
from loadgen.experiments.capacity import sequential
from loadgen.experiments.capacity.batches import WINDOW
from loadgen.experiments.capacity.findings import CapacityResult
from loadgen.experiments.capacity.held import Asked, Probe, judged
from loadgen.experiments.capacity.lane import Lane
from loadgen.experiments.capacity.placing import Placing
from loadgen.experiments.capacity.plan import Plan
from loadgen.experiments.capacity.result import result
from loadgen.experiments.capacity.sequential import FAIL, INVALID, PASS
from loadgen.experiments.capacity.watch import Hold, Watch
from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.invocation.outcome import names
from loadgen.invocation.sample import Sample
from loadgen.load.law import Arrivals
from loadgen.load.phase import Phase
from loadgen.load.steps import StepRates
from loadgen.load.workers import Workers
from loadgen.text.units import NS_PER_S, Rate

MOST_PROBES, MOST_CONFIRMATIONS = 14, 6
MOST_INVALID = 4
NEAR_NS = 60 * NS_PER_S
"""How long a probe that passes is held at least, once it is known on both sides where the limit is.

No longer than a confirmation that is shorter.
"""
CLOSE = 0.97
"""What part of a confirmed rate a safer one has to be below for it to be confirmed instead."""
STEP_DOWN, LONGEST_STEP = 0.95, 0.85
"""What a rate that could not be confirmed is multiplied by, at most and at least."""
MOST_SAMPLES = 200_000
"""Of one probe; beyond it a random part of the invocations is kept."""
FAR_BELOW = 0.7
"""What part of the last rate the next one is below, where what the last one left behind would spoil it."""
RECOVERY_S, RECOVERED = 120, 5
"""After a rate that was far too high: so many usual calls in a row show that it is over, looked for so long."""
_HELD_UP = names(lambda traits: traits.overload)
_TINY = 0.01
_COMING = {"next": "", "cold": " from a cold pool, to confirm it", "warm": " coming from a higher rate, to confirm it"}


def capacity(plan: Plan) -> Decision[CapacityResult]:
    """Find the capacity; the result says why where there is none."""
    return (yield from _Search(plan).decide())


class _StoppedError(Exception):
    """The run was cut short."""


class _Search:
    """One search; its methods are parts of the decision.

    Each probe adds to ``_probes``. ``_rate`` is the one that the next is reached from, 0 for none.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lane: Lane | None = None
        self._probes: list[Probe] = []
        self._rate = 0.0
        self._loaded_ns = 0
        self._notes: list[str] = []

    @property
    def _placing(self) -> Placing:
        return Placing(self._plan, self._probes)

    def decide(self) -> Decision[CapacityResult]:
        """The whole search."""
        try:
            why = yield from self._without_load()
            why = why or (yield from self._bracket())
            search_ns = self._loaded_ns
            why = why or (yield from self._confirm())
            if low := self._placing.too_low:
                self._notes.append(
                    f"Less load is not easier here: at {max(each.rate for each in low):.4g}/s cold starts break the "
                    "rules, as so few calls keep too few instances alive. What is sustained holds near its own rate."
                )
        except _StoppedError:
            search_ns, why = self._loaded_ns, "The run was stopped before the search had come to its end."
        return result(self._placing, self._lane, why, search_ns, self._notes)

    def _without_load(self) -> Generator[Ask, Seen, str]:
        """How long a warm call takes. Why nothing more can be found out, if so."""
        lane = lanes.phase(self._plan.grace_ns)
        purpose = "one call after another, to learn how long it takes without load"
        seen = yield Ask((lane,), samples=1.0, enough=lambda samples: len(samples) >= lanes.CALLS, purpose=purpose)
        self._check(seen)
        self._lane = lanes.lane(self._plan, seen.samples)
        if self._lane is not None:
            return ""
        outcomes = sorted({sample.outcome for sample in seen.samples})
        return f"No invocation succeeded, even without load ({', '.join(outcomes) or 'there was none'})."

    def _bracket(self) -> Generator[Ask, Seen, str]:
        """Probe until it is known closely enough where the limit is; why there is no capacity, if so."""
        plan, predicted = self._plan, None if self._lane is None else self._lane.predicted_per_s
        rate = plan.within(0.85 * predicted if predicted is not None else 8 * plan.from_per_s)
        invalid = 0
        while True:
            probe = yield from self._probe(rate, "next")
            if probe.verdict == INVALID:
                invalid += 1
                if invalid >= MOST_INVALID:
                    return f"{invalid} probes were invalid, the last one because {probe.report.why}."
                if invalid % 2 == 0:  # twice at this rate
                    rate = plan.within(rate * STEP_DOWN**2)
                continue
            low = self._placing.starved
            if probe.verdict == FAIL and rate <= plan.from_per_s * (1 + _TINY) and not low:
                return f"The rules are not met at the smallest rate, {plan.from_per_s:g}/s: {probe.report.why}"
            if len(self._probes) >= MOST_PROBES and not self._placing.met:
                higher = " Cold starts break them at low rates, and a higher one may hold." if low else ""
                return f"The rules are not met at any rate that was tried: {probe.report.why}.{higher}"
            if probe.verdict == PASS and rate >= plan.to_per_s * (1 - _TINY):
                self._notes.append(f"The rules are met at the largest rate asked for, {plan.to_per_s:g}/s.")
                return ""
            if self._placing.known() or len(self._probes) >= MOST_PROBES:
                return ""
            rate = self._placing.next()

    def _confirm(self) -> Generator[Ask, Seen, str]:
        """Hold the rate to be reported, from a cold pool, then coming from above; why that failed, if it did."""
        plan = self._plan
        rate = plan.within(self._placing.safe()) if self._placing.over else plan.to_per_s
        for attempt in range(1, MOST_CONFIRMATIONS + 1):
            probe = yield from self._probe(rate, "cold")
            if probe.verdict == PASS:
                probe = yield from self._probe(rate, "warm")
                if probe.verdict == PASS:
                    # held for minutes, it may have shown how the speed changes
                    slower = plan.within(self._placing.safe()) if self._placing.over else rate
                    if slower > rate * CLOSE or attempt == MOST_CONFIRMATIONS:
                        return ""
                    self._notes.append(
                        f"{rate:g}/s was held, but handlers became up to {math.expm1(self._placing.slower()):.0%} "
                        "slower at times: a lower rate leaves room for that."
                    )
                    rate = slower
                    continue
            came = "from a cold pool" if probe.report.approach == "cold" else "coming from a higher rate"
            self._notes.append(f"{rate:g}/s could not be confirmed {came} ({probe.verdict}): {probe.report.why}")
            if rate <= plan.from_per_s * (1 + _TINY):
                return "Not even the smallest rate could be confirmed."
            if probe.verdict != INVALID:
                rate = plan.within(max(min(rate * STEP_DOWN, self._placing.safe()), rate * LONGEST_STEP))
        return f"No rate could be confirmed in {MOST_CONFIRMATIONS} attempts."

    def _probe(self, rate: float, approach: str) -> Generator[Ask, Seen, Probe]:
        """Hold a rate and judge it. Raises _StoppedError when the run is cut short."""
        plan, lane = self._plan, self._lane
        assert lane is not None
        # near the limit a rate is reached from above as well as from below, with what is left of the last one
        if self._probes and self._probes[-1].drowned and (approach == "cold" or rate < FAR_BELOW * self._rate):
            yield from self._recover(lane.usual_ns)
        ramp = self._ramp(rate, approach)
        hold = self._hold(approach, len(ramp), lane.busy_ns)
        held_ns = hold.settle_ns + max(round(hold.most / rate * NS_PER_S), hold.least_ns)
        steps = [*ramp, *[rate] * -(-held_ns // NS_PER_S)]
        phase = Phase(
            name=f"{'confirm' if approach == 'cold' else 'probe'}-{len(self._probes) + 1:02}",
            shape=StepRates(tuple(_rate(step) for step in steps)),
            duration_ns=len(steps) * NS_PER_S,
            arrivals=Arrivals.POISSON,
            max_in_flight=plan.max_in_flight,
            grace_ns=plan.grace_ns,
        )
        share = min(1.0, MOST_SAMPLES / (rate * held_ns / NS_PER_S))
        idle_ns = round(1.2 * plan.keep_alive_ns) if approach == "cold" else 0
        watch = Watch(hold, lane.cold)
        seen = yield Ask(
            (phase,),
            samples=share,
            idle_ns=idle_ns,
            enough=watch,
            purpose=f"hold {rate:g}/s{_COMING[approach]}",
            found=self._placing.words,
            standing=lambda: watch.standing,
        )
        probe = judged(seen, Asked(phase.name, rate, approach, hold, share), lane, plan.limit)
        if seen.samples or not seen.stopped:
            self._probes.append(probe)
        self._rate = rate
        self._check(seen)
        return probe

    def _recover(self, usual_ns: int) -> Generator[Ask, Seen, None]:
        """One call after another, until what a rate that was far too high left behind has been worked off.

        Calls that the client has given up on may still wait in a queue of the platform's.
        """

        def calm(samples: Sequence[Sample]) -> bool:
            last = samples[-RECOVERED:]
            return len(last) == RECOVERED and all(
                sample.outcome not in _HELD_UP and sample.service_time_ns <= usual_ns for sample in last
            )

        lane = Phase(
            f"recovery-{len(self._probes):02}",
            Workers(1, 1),
            RECOVERY_S * NS_PER_S,
            warmup=True,
            grace_ns=self._plan.grace_ns,
        )
        purpose = f"one call after another, until what {self._rate:g}/s left behind is worked off"
        seen = yield Ask((lane,), samples=1.0, enough=calm, purpose=purpose, found=self._placing.words)
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

    def _hold(self, approach: str, ramp_s: int, busy_ns: int) -> Hold:
        plan = self._plan
        limits = [criterion.limit for criterion in plan.criteria]
        if approach == "next":
            most, least_ns = round(sequential.MOST / max(limits)), 0
            if self._placing.both_sides:
                least_ns = min(NEAR_NS, plan.confirm_ns)
        else:  # where it matters, an undecided test is extended
            most, least_ns = round(4 * sequential.MOST / min(limits)), plan.confirm_ns if approach == "cold" else 0
        batch_ns = max(min(NS_PER_S, plan.keep_alive_ns // 10), 2 * busy_ns)
        return Hold(
            criteria=plan.criteria,
            batch_ns=batch_ns,
            ramp=-(-ramp_s * NS_PER_S // batch_ns),
            settle_ns=2 * plan.keep_alive_ns + WINDOW * batch_ns,
            most=most,
            least_ns=least_ns,
        )


def _rate(per_s: float) -> Rate:
    return Rate(max(1, round(per_s * 1_000_000)), 1_000_000 * NS_PER_S)
