"""What the live display says of a run, by what was told of it so far. Pure: every instant is given.

Calls are counted in the totals that the run itself keeps, so nothing is added up twice. What is said of the last
seconds is of the seconds in which agents reported, all agents together. A percentile is shown only where its sample
supports it, as anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from loadgen.cli.drawing import Row
from loadgen.experiments.decision import Ask
from loadgen.experiments.registry import is_experiment, lasts_ns
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.measure.cost import Spent, spent
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.rule import CostRule, MetricRule, RateRule, Rule
from loadgen.measure.seconds import NEEDED, SHOWN, Seconds
from loadgen.measure.sofar import Played, so_far
from loadgen.measure.summary import ThresholdResult
from loadgen.report import units
from loadgen.scenario.model import Scenario
from loadgen.text.foreign import GAP
from loadgen.text.units import NS_PER_S

LATELY = 10
"""Over how many of the last seconds figures are shown."""
TREND = 30
"""How many of the last seconds are drawn."""
_DRAWN = 99.0
_FIGURES_NS = NS_PER_S // 2  # figures are made anew twice a second at most: with many agents they take some ms


@dataclass(slots=True)
class _Phase:
    """The phase under way; ``last`` are planned and started calls a second in the last interval of each agent."""

    plan: PhasePlan
    total: PhaseTotal
    grace_ns: int
    began_ns: int
    stopped_ns: int | None = None
    last: dict[int, tuple[float, float]] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """Calls in flight, as of the last reports."""
        tally = self.total.tally
        return max(0, tally.started - tally.completed - tally.unfinished)

    def passed_ns(self, now_ns: int) -> int:
        return max(0, now_ns - self.began_ns)

    def over(self, now_ns: int) -> bool:
        """Whether nothing more is started."""
        return self.stopped_ns is not None or self.passed_ns(now_ns) >= self.plan.duration_ns

    @property
    def known(self) -> bool:
        """Whether what was reported tells what is in flight: all that was to start has, as far as that is known."""
        planned, drawn = self.total.tally.planned, self.plan.drawn
        return planned > 0 and (self.stopped_ns is not None or drawn is None or planned >= drawn)

    def grace_left_ns(self, now_ns: int) -> int:
        """For how long calls in flight are waited for at most, once nothing more is started."""
        end_ns = self.began_ns + self.plan.duration_ns
        stopped_ns = end_ns if self.stopped_ns is None else min(self.stopped_ns, end_ns)
        return max(0, stopped_ns + self.grace_ns - now_ns)


class Watched:
    """A run, as far as it was told of. What changes: everything, with each call of a method that tells something."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._experiment = is_experiment(scenario.kind)
        self._lasts_ns = lasts_ns(scenario)
        self._began_ns: int | None = None
        self._stopping = False
        self._ask: Ask | None = None
        self._silent_until_ns = 0
        self._waits = False
        self._phase: _Phase | None = None
        self._done_ns = 0
        self._made = scenario.preflights
        self._spent = Spent()
        self._bills = False
        self._played: list[Played] = []
        self._rules: list[ThresholdResult] = []
        self._last = Seconds(TREND)
        self._standing = ""
        self._figures: list[Row] = []
        self._figured_ns = 0
        self._stale = False

    def load_started(self, first: Spent, *, bills: bool, now_ns: int) -> None:
        """See Observer."""
        self._began_ns, self._spent, self._bills = now_ns, first, bills

    def asked(self, ask: Ask, now_ns: int) -> None:
        """See Observer."""
        self._ask, self._standing, self._waits = ask, "", True
        self._silent_until_ns = now_ns + ask.idle_ns

    def phase_started(self, plan: PhasePlan, total: PhaseTotal, grace_ns: int, now_ns: int) -> None:
        """See Observer."""
        if self._began_ns is None:
            self._began_ns = now_ns
        self._phase = _Phase(plan, total, grace_ns, now_ns)
        self._played.append((plan, total))
        self._figures, self._figured_ns, self._stale = [], now_ns - _FIGURES_NS, True

    def frame(self, frame: Frame) -> None:
        """Take in an interval of the phase under way, which is in its total by now; others are passed over."""
        phase = self._phase
        if phase is None or phase.plan.name != frame.phase or frame.to_ns <= frame.from_ns:
            return
        length_s = (frame.to_ns - frame.from_ns) / NS_PER_S
        phase.last[frame.agent] = (frame.tally.planned / length_s, frame.tally.started / length_s)
        self._last.take(frame)
        if self._ask is not None and self._ask.standing is not None:
            self._standing = self._ask.standing()
        self._stale = True

    def enough(self, now_ns: int) -> None:
        """See Observer."""
        if self._phase is not None:
            self._phase.stopped_ns = now_ns

    def phase_ended(self) -> None:
        """See Observer."""
        phase, self._phase = self._phase, None
        self._waits = False
        if phase is not None:
            self._done_ns += phase.plan.duration_ns
            self._made += phase.total.tally.started
            self._spent += spent(phase.total.tally)

    def stopping(self, now_ns: int) -> None:
        """See Observer."""
        self._stopping = True
        if self._phase is not None and self._phase.stopped_ns is None:
            self._phase.stopped_ns = now_ns

    def judge(self) -> None:
        """Look at how the rules stand, which takes some ms of computing time.

        Between phases they stay as they stood: a decision that is at work in its thread may be relabelling the totals.
        """
        if self._scenario.thresholds and self._phase is not None:
            self._rules = so_far(self._scenario.thresholds, self._played, self._scenario.prices)

    @property
    def draining(self) -> bool:
        """Whether the run ends, and calls in flight are awaited."""
        return self._stopping and self._phase is not None

    @property
    def under_way(self) -> bool:
        """Whether there is something to show: the load has begun."""
        return self._ask is not None or self._phase is not None

    def silent(self, now_ns: int) -> bool:
        """Whether nothing is called, as that is what was asked for."""
        return self._phase is None and not self._stopping and now_ns < self._silent_until_ns

    def rows(self, now_ns: int) -> Iterator[Row]:
        """All there is to say."""
        yield self._whole(now_ns)
        yield Row("now", self._doing(now_ns), "bold")
        found = "; ".join(filter(None, ("" if self._ask is None else self._ask.found, self._standing)))
        if found:
            yield Row("by now", found)
        if self._phase is not None:
            if self._stale and now_ns >= self._figured_ns + _FIGURES_NS:
                self._figures, self._figured_ns, self._stale = list(self._of_calls(self._phase)), now_ns, False
            yield from self._figures
        yield from self._of_rules()
        if used := self._used(now_ns):
            yield Row("used", used)

    def line(self, now_ns: int) -> str:
        """What goes on, in one line."""
        phase = self._phase
        if phase is None or self._stopping or phase.over(now_ns):
            beside = "" if phase is None else f"; {_counts(phase.total)}"
            return f"{self._doing(now_ns)}{beside}"
        planned, started = _rates(phase)
        rules = f"; rules: {_stand(self._rules)}" if self._rules else ""
        return (
            f"{phase.plan.name}: {_seconds(phase.passed_ns(now_ns))} of {units.span(phase.plan.duration_ns)}; "
            f"planned {planned}, achieved {started}, in flight {units.count(phase.in_flight)}; "
            f"latency {self._lately(phase)}; {_counts(phase.total)}{rules}"
        )

    def begun(self) -> str:
        """What begins with the phase, in one line."""
        assert self._phase is not None
        plan = self._phase.plan
        kind = "warm-up " if plan.warmup else "phase "
        due = f", {units.count(plan.drawn)} invocations planned" if plan.drawn is not None else ""
        purpose = f"; {self._purpose}" if self._purpose else ""
        return f"{kind}{plan.name}: {units.span(plan.duration_ns)}{due}{purpose}"

    def ended(self, now_ns: int) -> str | None:
        """How the phase ended, in one line; None where none is under way."""
        phase = self._phase
        if phase is None or not phase.total.agents:
            return None
        return f"{phase.plan.name}: ended after {_seconds(phase.passed_ns(now_ns))}; {_counts(phase.total)}"

    def silence(self) -> str | None:
        """The silence that begins, in one line; None where there is none."""
        if self._ask is None or not self._ask.idle_ns:
            return None
        return f"silence of {_seconds(self._ask.idle_ns)}{self._before}"

    @property
    def _whole_ns(self) -> int:
        """How long the phases of a run that is no experiment last together."""
        return 0 if self._lasts_ns is None else self._lasts_ns[0]

    @property
    def _purpose(self) -> str:
        return "" if self._ask is None else self._ask.purpose

    @property
    def _before(self) -> str:
        return f", then {self._purpose}" if self._purpose else ""

    def _whole(self, now_ns: int) -> Row:
        """How far the run is."""
        passed_ns = 0 if self._began_ns is None else now_ns - self._began_ns
        if self._stopping:
            return Row("run", f"ending after {_seconds(passed_ns)}")
        if self._experiment:
            return self._by_forecast(passed_ns)
        done_ns, phase = self._done_ns, self._phase
        if phase is not None:
            done_ns += min(phase.passed_ns(now_ns), phase.plan.duration_ns)
        left_ns = self._whole_ns - done_ns
        if (most_ns := self._scenario.budget.duration_ns) is not None:
            left_ns = min(left_ns, max(0, most_ns - passed_ns))
        share = done_ns / (done_ns + left_ns) if done_ns + left_ns else 0.0
        left = f", {_left(left_ns)} left" if left_ns else ""
        return Row("run", f"{int(100 * share)}{GAP}%{left}", bar=share)

    def _by_forecast(self, passed_ns: int) -> Row:
        """How far an experiment is, of which nobody knows how long it takes."""
        passed = f"{_seconds(passed_ns)} passed"
        if self._lasts_ns is None:
            return Row("run", passed)
        least_ns, most_ns = self._lasts_ns
        if passed_ns >= most_ns:
            return Row("run", f"{passed}, the forecast was at most {_seconds(most_ns)}", bar=1.0)
        most = _left(most_ns - passed_ns)
        left = f"{_left(least_ns - passed_ns)} to {most}" if passed_ns < least_ns else f"at most {most}"
        return Row("run", f"{passed}; forecast: {left} more", bar=passed_ns / most_ns)

    def _doing(self, now_ns: int) -> str:
        """What goes on."""
        phase = self._phase
        if self._stopping:
            return "ending: nothing is in flight" if phase is None else _draining(phase, now_ns)
        if phase is not None:
            return self._of_phase(phase, now_ns)
        if now_ns < self._silent_until_ns:
            assert self._ask is not None
            left = _left(self._silent_until_ns - now_ns)
            return f"silence of {_seconds(self._ask.idle_ns)}, {left} left{self._before}"
        if not self._waits and (self._experiment or self._done_ns >= self._whole_ns):
            return "deciding what comes next" if self._experiment else "ending"
        return f"getting ready for {self._purpose}" if self._purpose else "getting ready"

    def _of_phase(self, phase: _Phase, now_ns: int) -> str:
        name = f"{phase.plan.name}, {self._purpose}" if self._purpose else phase.plan.name
        if phase.over(now_ns):
            if not phase.in_flight:
                return f"{name}: {'ending' if phase.known else 'under way'}"
            left = _left(phase.grace_left_ns(now_ns))
            return f"{name}: waiting for {_calls(phase.in_flight)}, grace ends in {left}"
        passed_ns, whole_ns = phase.passed_ns(now_ns), phase.plan.duration_ns
        if self._experiment:  # which may have seen enough before
            return f"{name}: {_seconds(passed_ns)}, at most {_left(whole_ns - passed_ns)} more"
        return f"{name}: {_left(whole_ns - passed_ns)} left of {units.span(whole_ns)}"

    def _of_calls(self, phase: _Phase) -> Iterator[Row]:
        planned, started = _rates(phase)
        flying = f"{units.count(phase.in_flight)}{GAP}in{GAP}flight"
        yield Row("rate", f"planned {planned}, achieved {started} in the last second; {flying}")
        yield Row(f"last {LATELY}{GAP}s", _percentiles(self._of_last(phase)))
        yield Row("so far", _percentiles(phase.total.merged(Metric.LATENCY.value, outcomes=(OK,))))
        yield from self._trend()
        yield Row("outcomes", _counts(phase.total))

    def _lately(self, phase: _Phase) -> str:
        """Latency of the last seconds: what is known of it."""
        merged = self._of_last(phase)
        if not merged.count:
            return "no ok invocation"
        return ", ".join(_known(merged))

    def _of_last(self, phase: _Phase) -> Histogram:
        """Latencies of the ok calls of the phase in the last seconds."""
        merged = Histogram()
        for second in self._last:
            if second.phase == phase.plan.name and second.at > self._last.newest - LATELY:
                merged.add(second.ok)
        return merged

    def _trend(self) -> Iterator[Row]:
        """The p99 of each of the last seconds, where most of them support one, else how many calls ended."""
        if not self._last:
            return
        last = self._last.newest
        drawn = [second for second in self._last if second.at > last - TREND]
        p99s = [second.percentile(_DRAWN) for second in drawn]
        values: Sequence[float | None] = p99s
        if 2 * sum(value is not None for value in p99s) <= len(p99s):
            values = [second.completed for second in drawn]
            label, largest = (
                "calls",
                f"ended in each second, {units.count(max(each.completed for each in drawn))} at most",
            )
        else:
            label = units.percentile(_DRAWN)
            largest = f"of each second, {units.duration(1000 * max(value or 0 for value in values))} at most"
        at = {second.at: value for second, value in zip(drawn, values, strict=True)}
        yield Row(label, largest, trend=tuple(at.get(each) for each in range(last - TREND + 1, last + 1)))

    def _of_rules(self) -> Iterator[Row]:
        if not self._rules:
            return
        broken = [
            f"{result.rule}{_shown(rule, result)}"
            for rule, result in zip(self._scenario.thresholds, self._rules, strict=True)
            if result.passed is False
        ]
        style = "red" if broken else "green" if all(result.passed for result in self._rules) else ""
        yield Row("rules", _stand(self._rules), style)
        if broken:
            yield Row("broken", "; ".join(broken), "red")

    def _used(self, now_ns: int) -> str:
        """What was used of what the budget allows, and the money in any case."""
        scenario, phase = self._scenario, self._phase
        budget, made, used = scenario.budget, self._made, self._spent
        if phase is not None:
            made += phase.total.tally.started
            used += spent(phase.total.tally)
        parts = []
        if budget.invocations is not None:
            parts.append(f"{units.count(made)} of {units.count(budget.invocations)}{GAP}invocations")
        if self._bills and scenario.prices is not None:
            parts.append(_money(used, used.amount(scenario.prices), scenario))
        if budget.duration_ns is not None and self._began_ns is not None:
            parts.append(f"{_seconds(now_ns - self._began_ns)} of {units.span(budget.duration_ns)}")
        return ", ".join(parts)


def _draining(phase: _Phase, now_ns: int) -> str:
    """What a run that ends waits for."""
    n, left = phase.in_flight, _left(phase.grace_left_ns(now_ns))
    if not phase.known:
        return f"draining: what is in flight is awaited, {left} at most"
    if not n:
        return "ending: nothing is in flight"
    return f"draining {units.count(n)}: {_are(n)} in flight and awaited, {left} at most"


def _money(used: Spent, amount: Decimal, scenario: Scenario) -> str:
    assert scenario.prices is not None
    least = f">{GAP}" if used.unmetered else ""
    limit = scenario.budget.cost
    of = "" if limit is None else f" of {units.amount(limit.amount)}"
    return f"{least}{units.amount(amount) if amount else '0'}{of}{GAP}{scenario.prices.currency}"


def _stand(results: Sequence[ThresholdResult]) -> str:
    """How many rules stand how right now."""
    counts = [(sum(result.passed is state for result in results), word) for state, word in _STATES]
    return ", ".join(f"{n}{GAP}{word}" for n, word in counts if n)


_STATES = ((True, "met"), (False, "broken"), (None, "open"))


def _shown(rule: Rule, result: ThresholdResult) -> str:
    """The figure that breaks a rule, where there is one."""
    value = result.value
    if value is None:
        return ""
    match rule:
        case MetricRule():
            text = units.duration(value)
        case RateRule():
            text = _rounded(value)
        case CostRule():
            text = f"{units.amount(value)}{GAP}{rule.limit.currency}"
        case _:
            text = units.share(value)
    return f" ({text})"


def _percentiles(merged: Histogram) -> str:
    """The percentiles, or how many calls those take that are not supported."""
    if not merged.count:
        return "no ok invocation"
    known = dict(_supported(merged))
    return ", ".join(
        [
            *(f"{units.percentile(p)}{GAP}{known.get(p, f'n{GAP}<{GAP}{units.count(NEEDED[p])}')}" for p in SHOWN),
            _largest(merged),
        ]
    )


def _known(merged: Histogram) -> Iterator[str]:
    """The percentiles that are supported, and the largest value."""
    yield from (f"{units.percentile(p)} {text}" for p, text in _supported(merged))
    yield _largest(merged)


def _supported(merged: Histogram) -> Iterator[tuple[float, str]]:
    """The percentiles that the sample supports."""
    count = merged.count
    ps = [p for p in SHOWN if count >= NEEDED[p]]
    for p, value in zip(ps, merged.values_at(ps), strict=True):
        yield p, units.duration(value * 1000)


def _largest(merged: Histogram) -> str:
    return f"max {units.duration((merged.ceiling_us or 0) * 1000)}"


def _counts(total: PhaseTotal) -> str:
    """Every outcome so far, ok first, the frequent ones next."""
    order = sorted(total.tally.outcomes.items(), key=lambda item: (item[0] != OK, -item[1], item[0]))
    return ", ".join(f"{name} {units.count(n)}" for name, n in order if n or name == OK) or "none yet"


def _rates(phase: _Phase) -> tuple[str, str]:
    """Planned and started per second, the last intervals together of all agents that are there."""
    last = [rates for agent, rates in phase.last.items() if agent not in phase.total.losses]
    return _rounded(sum(planned for planned, _ in last)), _rounded(sum(started for _, started in last))


def _calls(n: int) -> str:
    return f"{units.count(n)}{GAP}call{'s' if n > 1 else ''}"


def _are(n: int) -> str:
    return "calls are" if n > 1 else "one call is"


def _left(ns: int) -> str:
    """What is left of a time, in whole seconds: the last one is counted to its end."""
    return units.span(-(-ns // NS_PER_S) * NS_PER_S)


def _seconds(ns: int) -> str:
    """A time in whole seconds, which is all that is of interest; less than one in tenths."""
    if 0 < ns < NS_PER_S:
        return units.span(max(1, round(ns / 1e8)) * 100_000_000)
    return units.span(round(ns / NS_PER_S) * NS_PER_S)


def _rounded(per_s: float) -> str:
    """A rate of one interval; the interval is a little more or less than a second, so decimals would be noise."""
    return units.rate(round(per_s)) if per_s >= 10 else units.rate(round(per_s, 1))
