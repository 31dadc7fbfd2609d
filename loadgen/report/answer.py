"""What a reader needs first: whether rules hold, what the answer is, how sure that is, and what would make it surer.

Everything here follows from the Summary alone, and is said once: summary.json has the sentences, and every renderer
begins with them. Rule ids, run ids, paths and versions are for later.
"""

from __future__ import annotations

import math

from msgspec import Struct

from loadgen.experiments import registry
from loadgen.invocation.outcome import OK
from loadgen.invocation.start import COLD, WARM
from loadgen.measure.percentile import needed
from loadgen.measure.rule import BaselineRule, CostRule, MetricRule, RateRule, Rule, ShareRule
from loadgen.measure.summary import Reason, Summary, ThresholdResult
from loadgen.measure.threshold import BOUNDS, FAILED, PASSED, UNDECIDED, together
from loadgen.measure.trust.generator import LOST
from loadgen.measure.trust.rule import INVALID, RANGE
from loadgen.report import tables, units
from loadgen.report.figures import DASH, Shown, View, calls, phases, shown, totals
from loadgen.report.why import rule_of, why

_ORDER = {False: 0, None: 1, True: 2}
_WORDS = {PASSED: "PASSED", FAILED: "FAILED", UNDECIDED: "UNDECIDED"}
_TONES = {PASSED: "good", FAILED: "bad", UNDECIDED: "warn"}
_NAMED = 4
_PART = "Partial result: the run was cut short, and this is of what it left. "


class Judged(Struct, frozen=True):
    """A rule, what was measured with its interval, and how far that is from the limit or why it is not decided."""

    passed: bool | None
    rule: str
    measured: str
    why: str


class Head(Struct, frozen=True):
    """What every report begins with. ``word`` stands before the ``answer``, in a ``tone`` that tables have, too.

    ``judged`` are the rules, what is broken first, and ``why`` says what most slow calls have in common, where that is
    one thing. ``quality`` is how well was measured, in half a line.
    """

    word: str
    tone: str
    answer: str
    judged: tuple[Judged, ...]
    why: str
    next: str
    quality: str
    measured_well: bool


def head(summary: Summary) -> Head:
    """What the report of a Summary begins with."""
    ended = outcome(summary)
    quality, well = _quality(summary)
    if ended is not None:
        word, tone = _WORDS[ended], _TONES[ended]
    elif summary.verdict.status == "invalid":
        word, tone = "INVALID", "bad"
    elif registry.is_experiment(summary.run.kind):
        found = registry.answer(summary)
        word, tone = ("ANSWER", "good") if found is not None and found.found else ("NO ANSWER", "warn")
    else:
        word, tone = ("PARTIAL", "warn") if summary.run.partial else ("MEASURED", "")
    judged = tuple(_judged(summary, result) for result in _in_order(summary))
    said = "" if registry.is_experiment(summary.run.kind) else why(summary)
    return Head(word, tone, answer(summary), judged, said, next_step(summary), quality, well)


def outcome(summary: Summary) -> str | None:
    """``passed``, ``failed`` or ``undecided``: how the rules ended together; None of a run that has none."""
    return together(summary.thresholds)


def answer(summary: Summary) -> str:
    """The answer in one sentence: of an experiment what it found out, of a load how its rules ended."""
    found = registry.answer(summary)
    said = "" if found is None else found.sentence
    if not said and registry.is_experiment(summary.run.kind):
        said = "the run ended before there was an answer"
    parts = [part for part in (said, _rules(summary)) if part] or [_times(summary)]
    return (_PART if summary.run.partial else "") + " ".join(f"{part[0].upper()}{part[1:]}." for part in parts)


def next_step(summary: Summary) -> str:
    """What would make the answer better, in one sentence; empty where nothing is known to."""
    if (found := summary.experiment) is not None and registry.is_experiment(summary.run.kind):
        return found.next
    for result in _in_order(summary):
        if result.passed is None and (more := _more(summary, rule_of(result))):
            return more
    return "" if summary.thresholds else _unsupported(summary)


def _in_order(summary: Summary) -> list[ThresholdResult]:
    return sorted(summary.thresholds, key=lambda result: _ORDER[result.passed])


def _rules(summary: Summary) -> str:
    """How the rules ended, and which of them says the most."""
    n = len(summary.thresholds)
    if not n:
        return ""
    ended = outcome(summary)
    if ended == PASSED:
        holds = {1: "the rule holds", 2: "both rules hold"}.get(n, f"all {n} rules hold")
        nearest = _nearest(summary)
        return holds + (
            f"; the nearest to its limit is {nearest}" if nearest and n > 1 else f": {nearest}" if nearest else ""
        )
    which = [result for result in summary.thresholds if result.passed is (False if ended == FAILED else None)]
    one = _judged(summary, which[0])
    many = f"{len(which)} of {n} rules" if n > 1 else "the rule"
    said = "broken" if ended == FAILED else "undecided"
    measured = f", {one.measured}" if one.measured != DASH else ""
    return f"{many} {'are' if len(which) > 1 else 'is'} {said}: {one.rule}{measured}" + (
        f", {one.why}" if one.why else ""
    )


def _nearest(summary: Summary) -> str:
    """The rule about a time that is nearest to its limit, or the only rule; empty where there is no such rule."""
    near = [
        (result.value / rule.limit_ns, result)
        for result in summary.thresholds
        if isinstance(rule := rule_of(result), MetricRule) and result.value is not None
    ]
    if near:
        _, result = max(near, key=lambda each: each[0])
    elif len(summary.thresholds) == 1:
        (result,) = summary.thresholds
    else:
        return ""
    judged = _judged(summary, result)
    return f"{judged.rule} with {judged.measured}"


def _judged(summary: Summary, result: ThresholdResult) -> Judged:
    rule = rule_of(result)
    cell = tables.measured(result)
    measured = cell.text
    found = _figure(summary, rule)
    if isinstance(found, Shown) and found.interval and found.ends is None and measured == str(found):
        measured = f"{measured} ({found.interval})"
    elif result.against is not None and cell.detail:
        measured = f"{measured} ({cell.detail})"
    unseen = result.passed is None or (result.decided_by == BOUNDS and measured == DASH)
    why = result.why if unseen else _distance(rule, result)
    return Judged(result.passed, result.rule, measured, why)


def _figure(summary: Summary, rule: Rule | None) -> object:
    """The figure that decides a rule about a time; None of other rules, and of those about windows."""
    if not isinstance(rule, MetricRule) or rule.over_ns is not None:
        return None
    view = _view(summary, rule)
    if view is None:
        return None
    statistic = rule.percentile if rule.percentile is not None else rule.statistic
    return shown(view, rule.judged.value, statistic, rule.start)


def _view(summary: Summary, rule: MetricRule) -> View | None:
    """The phase, or all of them, and of a mix the call that a rule is about; None where there is no such."""
    views: list[View] = [totals(summary)] if rule.phase is None else phases(summary)
    view = next((each for each in views if each.name == rule.phase), None)
    return view if view is None or rule.call is None else dict(calls(view)).get(rule.call)


def _distance(rule: Rule | None, result: ThresholdResult) -> str:
    """By how much a value is on the wrong side of its limit; empty where it is on the right one, or is none."""
    if result.passed or result.value is None:
        return ""
    match rule:
        case MetricRule():
            return _over(result.value / rule.limit_ns)
        case ShareRule():
            return _over(result.value / rule.limit) if rule.limit else ""
        case RateRule():
            return f"{units.share(1 - result.value / rule.limit.per_s)} short" if rule.limit.per_s else ""
        case CostRule():
            return _over(result.value / float(rule.limit.amount))
        case BaselineRule():
            ratio = result.value / rule.share
            return f"{units.share(1 - ratio)} short" if rule.what == "achieved_rate" else _over(ratio)
        case _:
            return ""


def _over(ratio: float) -> str:
    """A ratio to a limit in words: ``8.3 % over``, ``3.1 times the limit``."""
    if ratio >= 2:
        return f"{units.count(round(ratio)) if ratio >= 10 else f'{ratio:.2g}'} times the limit"
    return f"{units.share(float(f'{ratio - 1:.2g}'))} over" if ratio > 1 else "at the limit"


def _times(summary: Summary) -> str:
    """What was measured of a load without rules."""
    view = totals(summary)
    figures = [
        f"{units.percentile(p)} {found}{f' ({found.interval})' if found.interval else ''}"
        for p in (50.0, 99.0, 95.0, 90.0)
        if isinstance(found := shown(view, "latency", p), Shown)
    ][:2]
    failing = view.phase.planned - view.phase.outcomes.get(OK, 0)
    failed = (
        f"; {units.share(failing, view.phase.planned)} of {units.count(view.phase.planned)} calls not ok"
        if failing
        else ""
    )
    times = f"latency {', '.join(figures)}" if figures else "no latency can be shown"
    return f"{times} at {units.rate(view.phase.achieved_rate)}{failed}"


def _more(summary: Summary, rule: Rule | None) -> str:
    """How many more calls it takes for a rule about a percentile; empty where that is not what is missing."""
    if not isinstance(rule, MetricRule) or rule.percentile is None or rule.over_ns is not None:
        return ""
    found = _figure(summary, rule)
    if isinstance(found, Shown):
        return ""
    view = _view(summary, rule)
    return "" if view is None else _calls_for(view, rule.percentile, rule.judged.value, rule.start, rule.call)


def _unsupported(summary: Summary) -> str:
    """How many more calls the lowest percentile takes that cannot be shown."""
    view = totals(summary)
    for p in (50.0, 90.0, 95.0, 99.0, 99.9):
        if said := _calls_for(view, p, "latency", None):
            return said
    return ""


def _calls_for(view: View, p: float, metric: str, start: str | None, call: str | None = None) -> str:
    metrics = view.phase.metrics if start is None else view.phase.by_start.get(start, {})
    fewest, found = needed(p), metrics.get(metric)
    have = 0 if found is None else found.count
    if fewest is None or have >= fewest or not have:
        return ""
    kind = "".join(f"{each} " for each in (start, call) if each)
    more = fewest - have
    per_s = have / (view.phase.duration_ns / 1e9) if view.phase.duration_ns else 0.0
    longer = f", {units.span(math.ceil(more / per_s) * 1_000_000_000)} more at this rate" if per_s else ""
    return f"{units.percentile(p)} of {kind}{metric} needs {units.count(more)} more {kind}calls{longer}."


def _quality(summary: Summary) -> tuple[str, bool]:
    """How well was measured, and whether nothing is to be said against it."""
    n = units.count(summary.totals.planned)
    invalid = [reason for reason in summary.verdict.reasons if reason.severity == INVALID]
    if summary.verdict.status == "invalid":
        return f"not measured well: {_first(invalid)}", False
    ranges = [reason for reason in summary.verdict.reasons if reason.severity == RANGE]
    disturbed = sum(summary.totals.disturbed.values())
    if not ranges and summary.verdict.status == "degraded":  # as older versions said it
        return f"not all is shown: {_first([each for each in summary.verdict.reasons if each.withholds])}", False
    if not ranges:
        few, none = (
            "the load generator left open figures of a few calls alone",
            "nothing of the load generator's in the numbers",
        )
        return f"measured well: {few if _left_open(summary) else none}; {n} calls", True
    missing = [reason for reason in ranges if reason.rule == LOST.slug]
    if missing:  # of the load, which is said before what became of figures; these say it themselves
        return f"not all of the load was made: {_first(missing)}", False
    figures = list(dict.fromkeys(figure for reason in ranges for figure in reason.figures))
    named = ", ".join(figures[:_NAMED]) + (f" and {len(figures) - _NAMED} more" if len(figures) > _NAMED else "")
    of = f" {units.share(disturbed, summary.totals.planned)} of {n} calls" if disturbed else " calls"
    are = "is a range" if len(figures) == 1 else "are ranges"
    return f"the load generator disturbed{of}: {named or 'some figures'} {are}", False


def _left_open(summary: Summary) -> bool:
    """Whether any figure is shown as a range, though none that makes a run degraded."""
    measured = (totals(summary), *(view for view in phases(summary) if not view.phase.warmup))
    return any(
        isinstance(figure := shown(view, metric, statistic, start), Shown) and figure.ends is not None
        for whole in measured
        for view in (whole, *(each for _, each in calls(whole)))
        for start in (None, COLD, WARM)
        for metric in (view.phase.metrics if start is None else view.phase.by_start.get(start, {}))
        for statistic in ("min", "mean", "max")
    )


def _first(reasons: list[Reason]) -> str:
    """The first sentence of the first of these reasons."""
    message = reasons[0].message if reasons else "see the verdict"
    return message.partition(". ")[0].rstrip(".")
