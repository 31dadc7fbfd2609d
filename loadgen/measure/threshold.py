"""Thresholds: rules over the Summary that decide whether a run passed.

Theory of operation. A rule ends in one of three ways: it holds, it is broken, or it could not be decided, and nobody
may conclude from it. What is judged is

- the figure itself, where it may be shown (``value``). Times are counted in slots, and a slot that lies on both sides
  of a limit decides nothing: neither what is below it is called broken by rounding, nor what is not below it met. Where
  the load generator disturbed calls, a rule is decided where both ends of the figure agree (``loadgen.measure.ends``).
- else all that the figure may be, where that agrees (``bounds``): the limits of its interval, or a range. A percentile
  that its sample does not support often has one of them.

A threshold on ``latency`` percentiles, or on its maximum, reads ``latency_all``: every planned invocation counts, and
one that is not ok ranks above every ok one (``loadgen.measure.ranking``). A percentile that falls among those breaks
every limit. A lower bound can break a rule and never meet it: a cost while a call did not tell what it is billed. A
rate of workers that the generator bounds can meet a rule and never break it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from loadgen.invocation.outcome import OK
from loadgen.measure.ends import is_range, of_share
from loadgen.measure.histogram import Histogram, ceiling, lowest, slot
from loadgen.measure.percentile import needed
from loadgen.measure.rule import COUNTED, BaselineRule, CostRule, MetricRule, RateRule, Rule, ShareRule
from loadgen.measure.summary import (
    CallSummary,
    Ends,
    MetricSummary,
    Percentile,
    PhaseSummary,
    Reason,
    ThresholdResult,
    Verdict,
)
from loadgen.measure.trust.rule import words
from loadgen.measure.verdict import bounds_rate, withheld
from loadgen.text.units import NS_PER_US

VALUE, BOUNDS = "value", "bounds"
PASSED, FAILED, UNDECIDED = "passed", "failed", "undecided"
"""What decided a rule: the figure, or that every value which it may have agrees."""

Results = PhaseSummary | CallSummary
"""What a rule is about: a phase, or one call of it."""

_NAMED = 3  # outcomes that are named as what failed

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    "==": lambda value, limit: value == limit,
}


class Range(NamedTuple):
    """What a time may be: at least ``low_ns`` and below ``high_ns``, None where nothing bounds it.

    ``failed``: it is that of a call that is not ok, longer than any limit.
    """

    low_ns: int | None
    high_ns: int | None
    failed: bool = False

    def below(self, limit_ns: int) -> bool | None:
        """Whether the time is below a limit; None where it may be either."""
        if self.failed or (self.low_ns is not None and self.low_ns >= limit_ns):
            return False
        return True if self.high_ns is not None and self.high_ns <= limit_ns else None

    def __str__(self) -> str:
        """In words: ``from 1.2 ms to 3.4 ms``."""
        if self.failed:
            return "that of a call that is not ok"
        parts = [
            f"{word} {words(ns / NS_PER_US)}"
            for word, ns in (("from", self.low_ns), ("to", self.high_ns))
            if ns is not None
        ]
        return " ".join(parts) or "anything"


def named_percentiles(rules: Iterable[Rule]) -> tuple[float, ...]:
    """The percentiles the rules ask for, in percent, ascending and each once; a Summary has to list them."""
    of = (r.percentile for r in rules if isinstance(r, MetricRule | BaselineRule))
    return tuple(sorted({p for p in of if p is not None}))


def evaluate(
    rules: Sequence[Rule],
    phases: Sequence[PhaseSummary],
    totals: PhaseSummary,
    verdict: Verdict,
    watched: Mapping[Rule, ThresholdResult] = {},
) -> list[ThresholdResult]:
    """How each rule ended, in their order. A rule that names no phase is over ``totals``.

    ``watched`` are those that ended while the run went on (``loadgen.measure.window``), as far as they may be judged.
    """
    by_name = {phase.name: phase for phase in phases}
    return [
        _evaluate(rule, totals if rule.phase is None else by_name.get(rule.phase), verdict, watched.get(rule))
        for rule in rules
    ]


def _evaluate(
    rule: Rule, whole: PhaseSummary | None, verdict: Verdict, watched: ThresholdResult | None
) -> ThresholdResult:
    if whole is None:
        return _undecided(rule, f"phase {rule.phase} did not run")
    phase = whole if rule.call is None else whole.by_call.get(rule.call)
    if phase is None or not phase.planned:
        return _undecided(rule, "no invocation was planned")
    reason = withholds(rule, verdict)
    if reason is not None:
        return _undecided(rule, f"withheld: {reason.message}")
    if watched is not None:
        return watched
    if isinstance(rule, MetricRule | ShareRule) and rule.over_ns is not None:
        return _undecided(rule, "no window was judged")
    match rule:
        case MetricRule():
            return _metric(rule, phase)
        case ShareRule():
            return _share(rule, phase)
        case RateRule():
            return _rate(rule, phase, verdict)
        case CostRule():
            return _cost(rule, phase)
        case BaselineRule():
            return _undecided(rule, "it was not compared with a baseline")


def together(results: Iterable[ThresholdResult]) -> str | None:
    """How rules ended together, in a word of ``Summary.outcome``; None where there are none."""
    ended = {result.passed for result in results}
    if not ended:
        return None
    return FAILED if False in ended else UNDECIDED if None in ended else PASSED


def withholds(rule: Rule, verdict: Verdict) -> Reason | None:
    """The first Reason why what a rule is about may not be judged, None if it may."""
    metric, start = None, None
    match rule:
        case MetricRule():
            metric, start = rule.judged.value, rule.start
        case BaselineRule():
            metric, start = rule.what if rule.percentile is not None or rule.what == "cost" else None, rule.start
        case CostRule():
            metric = "cost"
    return withheld(verdict, rule.phase, metric, None, start, rule.call)


def judged(rule: MetricRule | ShareRule, results: Results) -> ThresholdResult:
    """How a rule ends on these results alone, whatever the windows that it is about."""
    return _metric(rule, results) if isinstance(rule, MetricRule) else _share(rule, results)


def allows(rule: ShareRule, share: float) -> bool:
    """Whether a share meets a rule."""
    return _HOLDS[rule.sign](share, rule.limit)


def _metric(rule: MetricRule, phase: Results) -> ThresholdResult:
    metric = rule.judged.value
    metrics = phase.metrics if rule.start is None else phase.by_start.get(rule.start, {})
    summary = metrics.get(metric)
    if summary is None or not (summary.count or summary.disturbed):
        return _undecided(rule, _nothing(rule, phase, metric))
    ends = summary.ends.get(rule.statistic)
    match rule.statistic:
        case "p":
            found = next((listed for listed in summary.percentiles if listed.p == rule.percentile), None)
            if found is None:
                return _undecided(rule, f"p{rule.percentile:g} is not in the Summary")
            if found.low is None:
                return _by_limits(rule, phase, summary, found)
            own = _of_slot(found.value, failed=found.failed)
            return _by_figure(rule, phase, summary, found.value, own, found.ends)
        case "max":
            assert summary.max is not None
            own = _of_slot(max(0, summary.max - 1), failed=bool(summary.failed))
            return _by_figure(rule, phase, summary, summary.max, own, ends)
        case "min":
            assert summary.min is not None
            own = _of_slot(summary.min, failed=summary.failed == summary.count > 0)
            return _by_figure(rule, phase, summary, summary.min, own, ends)
        case _:
            assert summary.mean is not None
            if _not_ok(phase) and rule.judged.kind.ranked:
                return _undecided(rule, f"{metric} has no mean where calls fail: {_failed(phase)}")
            return _by_figure(rule, phase, summary, summary.mean, _of_mean(summary), ends)


def _nothing(rule: MetricRule, phase: Results, metric: str) -> str:
    """Why there is nothing to judge."""
    if rule.start is not None and rule.start not in phase.by_start:
        known = sum(each["latency"].count for start, each in phase.by_start.items() if "latency" in each)
        return f"none of {known} ok invocations is known to be {rule.start}"
    return f"no invocation has a {rule.start + ' ' if rule.start else ''}{metric}"


def _of_slot(ns: int, *, failed: bool = False) -> Range:
    """What a time may be that is told by its slot alone."""
    at = slot(ns // NS_PER_US)
    return Range(lowest(at) * NS_PER_US, ceiling(at) * NS_PER_US, failed)


def _of_mean(summary: MetricSummary) -> Range:
    """What a mean may be: every time as short, or as long, as its slot allows."""
    counts = Histogram.decode(summary.histogram if summary.count else summary.disturbed_histogram).counts
    sums = (sum(edge(at) * n for at, n in counts.items()) * NS_PER_US for edge in (lowest, ceiling))
    low, high = sums
    count = sum(counts.values())
    return Range(low // count, -(-high // count))


def _by_limits(rule: MetricRule, phase: Results, summary: MetricSummary, found: Percentile) -> ThresholdResult:
    """By the limits of a percentile that may not be shown."""
    within = Range(found.least or None, None if found.high_failed else found.most, found.low_failed)
    enough, count = needed(found.p), summary.count or summary.disturbed
    if enough is not None and count >= enough:
        why = f"too few independent samples: slow ones come together, and p{found.p:g} is open"
    elif enough is not None:
        why = f"too few samples: p{found.p:g} needs {enough} samples and has {count}"
    else:
        why = f"too few samples: p{found.p:g} is supported by no number of samples and has {count}"
    return _by_range(rule, phase, summary, within, why)


def _by_figure(
    rule: MetricRule, phase: Results, summary: MetricSummary, value: int, own: Range, ends: Ends | None
) -> ThresholdResult:
    """By a figure, ``own`` within its rounding, or, where the load generator may have moved it, by both its ends."""
    if ends is None:
        return _by_value(rule, phase, summary, value, own)
    within = Range(ends.low or None, None if ends.high_failed else ends.high, ends.low_failed)
    if not is_range(ends, value):
        return _by_value(rule, phase, summary, value, within)
    at_least = None if ends.low_failed else ends.low
    at_most = None if ends.high_failed else ends.high
    result = _by_range(rule, phase, summary, within, _moved(phase))
    return replace(result, low_end=at_least, high_end=at_most)


def _moved(phase: Results) -> str:
    """Why a figure is a range."""
    disturbed = sum(phase.disturbed.values())
    if not disturbed:
        return "the clock that says when answers arrive was set meanwhile"
    return f"the load generator disturbed {disturbed} of {phase.planned} invocations"


def _by_value(rule: MetricRule, phase: Results, summary: MetricSummary, value: int, within: Range) -> ThresholdResult:
    passed = within.below(rule.limit_ns)
    if passed is None:
        why = f"the limit lies within what the figure is known to: {within}"
    elif within.failed:
        why = _failed(phase)
    else:
        why = "below the limit" if passed else "not below the limit"
    decided_by = None if passed is None else VALUE
    shown = None if within.failed else value
    return ThresholdResult(rule.text, shown, passed, f"{why}{_over(rule, phase, summary)}", decided_by)


def _by_range(rule: MetricRule, phase: Results, summary: MetricSummary, within: Range, without: str) -> ThresholdResult:
    """By all that a figure may be; ``without`` says why it may not be judged itself."""
    passed = within.below(rule.limit_ns)
    if passed is None:
        return _undecided(rule, f"{without}; it may be {within}{_over(rule, phase, summary)}")
    agrees = "below the limit" if passed else "not below it"
    why = _failed(phase) if within.failed else f"all that it may be, {within}, is {agrees}"
    return ThresholdResult(rule.text, None, passed, f"{without}; {why}{_over(rule, phase, summary)}", BOUNDS)


def _failed(phase: Results) -> str:
    """How many calls are not ok, and how they ended."""
    ended = {name: n for name, n in phase.outcomes.items() if n and name != OK}
    first = sorted(ended.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{n} {name}" for name, n in first[:_NAMED]] + (["others"] if len(first) > _NAMED else [])
    return f"{_percent(sum(ended.values()), phase.planned)} of the calls failed: {', '.join(named)}"


def _not_ok(phase: Results) -> int:
    return phase.planned - phase.outcomes.get(OK, 0)


def _percent(part: int, whole: int) -> str:
    """A share with three digits, never 0 or 100 % where it is not."""
    text = f"{Decimal(f'{100 * part / whole:.3g}'):f}"
    return f"{'more than 99.9' if text == '100' and part < whole else text} %"


def _over(rule: MetricRule, phase: Results, summary: MetricSummary) -> str:
    """Which calls a figure is over, where these are not all."""
    failed = _not_ok(phase)
    if not failed or rule.judged.kind.ranked:
        return ""
    kind = f"{rule.start} " if rule.start else ""
    count = summary.count + summary.disturbed
    return f"; of the {count} ok {kind}calls, {failed} of {phase.planned} planned were not ok"


def _share(rule: ShareRule, phase: Results) -> ThresholdResult:
    count, disturbed = _counted(rule, phase.outcomes), _counted(rule, phase.disturbed)
    value, ends = count / phase.planned, of_share(count, disturbed, phase.planned)
    passed = {allows(rule, share) for share in ends}
    why = f"{count} of {phase.planned} planned invocations"
    if len(passed) > 1:
        return replace(
            _undecided(rule, f"{why}; {_moved(phase)}, {disturbed} of these among them, and without them it may hold"),
            low_end=ends.low,
            high_end=ends.high,
        )
    if ends.is_range:
        return ThresholdResult(rule.text, None, passed.pop(), f"{why}; {_moved(phase)}", BOUNDS, ends.low, ends.high)
    return ThresholdResult(rule.text, value, passed.pop(), why, VALUE)


def _counted(rule: ShareRule, outcomes: dict[str, int]) -> int:
    """How many of the invocations a share counts."""
    counted = COUNTED.get(rule.what)
    if counted is not None:
        return outcomes.get(counted.value, 0)
    return sum(n for outcome, n in outcomes.items() if outcome != OK)


def _rate(rule: RateRule, phase: Results, verdict: Verdict) -> ThresholdResult:
    value = phase.achieved_rate
    passed = value > rule.limit.per_s
    if not passed and (reason := bounds_rate(verdict, rule.phase)) is not None:
        return replace(_undecided(rule, reason.message.rstrip(".")), low_end=value)
    return ThresholdResult(rule.text, value, passed, "above the limit" if passed else "not above the limit", VALUE)


def _cost(rule: CostRule, phase: Results) -> ThresholdResult:
    billing = phase.billing
    if billing is None or billing.amount is None:
        return _undecided(rule, "there are no prices")
    value = float(billing.amount)
    untold = f"{billing.unmetered} of {billing.requests} invocations did not tell what they are billed"
    if billing.amount >= rule.limit.amount:
        if billing.unmetered:
            return ThresholdResult(rule.text, value, False, f"not below the limit, though {untold}", BOUNDS)
        return ThresholdResult(rule.text, value, False, "not below the limit", VALUE)
    if billing.unmetered:
        return ThresholdResult(rule.text, value, None, f"at least this: {untold}")
    free = f", {billing.refused} refused ones taken as free" if billing.refused else ""
    why = f"{billing.requests} invocations, free tier left out{free}"
    return ThresholdResult(rule.text, value, True, why, VALUE)


def _undecided(rule: Rule, why: str) -> ThresholdResult:
    return ThresholdResult(rule.text, None, None, why)
