"""Thresholds: rules over the Summary that decide whether a run passed.

Theory of operation. A threshold on ``latency`` percentiles, or on its maximum, reads ``latency_all``: every planned
invocation counts, and one that timed out, was dropped or was not finished counts as at least as slow as it was seen to
be. Such a censored value can break a limit but never prove that it holds; nor can a cost prove it while an invocation
did not tell what it is billed. A figure that is withheld (by the Verdict, or
because its sample does not support it) is neither passed nor failed, which counts as broken: nobody may conclude from
too little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from loadgen.functiongraph.outcome import Outcome
from loadgen.measure.merge import CENSORED_NAMES
from loadgen.measure.percentile import needed
from loadgen.measure.summary import MetricSummary, PhaseSummary, ThresholdResult, Verdict
from loadgen.measure.verdict import withheld
from loadgen.scenario.model import CostRule, Metric, MetricRule, RateRule, Rule, ShareRule

_COUNTED: dict[str, Callable[[PhaseSummary], int]] = {
    "errors": lambda phase: phase.planned - phase.outcomes.get(Outcome.OK.value, 0),
    "throttled": lambda phase: phase.outcomes.get(Outcome.THROTTLED.value, 0),
    "timeouts": lambda phase: phase.outcomes.get(Outcome.TIMEOUT.value, 0),
    "dropped": lambda phase: phase.dropped,
}


def named_percentiles(rules: Iterable[Rule]) -> tuple[float, ...]:
    """The percentiles the rules ask for, in percent, ascending and each once; a Summary has to list them."""
    return tuple(sorted({r.percentile for r in rules if isinstance(r, MetricRule) and r.percentile is not None}))


def evaluate(
    rules: Sequence[Rule], phases: Sequence[PhaseSummary], totals: PhaseSummary, verdict: Verdict
) -> list[ThresholdResult]:
    """How each rule ended, in their order. A rule that names no phase is over ``totals``."""
    by_name = {phase.name: phase for phase in phases}
    return [_evaluate(rule, totals if rule.phase is None else by_name.get(rule.phase), verdict) for rule in rules]


def _evaluate(rule: Rule, phase: PhaseSummary | None, verdict: Verdict) -> ThresholdResult:
    if phase is None:
        return _undecided(rule, f"phase {rule.phase} did not run")
    match rule:
        case MetricRule():
            return _metric(rule, phase, verdict)
        case ShareRule():
            return _share(rule, phase, verdict)
        case RateRule():
            return _rate(rule, phase, verdict)
        case CostRule():
            return _cost(rule, phase, verdict)


def _metric(rule: MetricRule, phase: PhaseSummary, verdict: Verdict) -> ThresholdResult:
    metric = _judged(rule)
    p = rule.percentile if rule.statistic == "p" else 100.0 if rule.statistic == "max" else None
    reason = withheld(verdict, rule.phase, metric, p, rule.start)
    if reason is not None:
        return _undecided(rule, f"withheld: {reason.message}")
    metrics = phase.metrics if rule.start is None else phase.by_start.get(rule.start, {})
    summary = metrics.get(metric)
    if summary is None or summary.count == 0:
        return _undecided(rule, f"no invocation has a {rule.start + ' ' if rule.start else ''}{metric}")
    if rule.statistic == "p":
        return _percentile(rule, summary)
    value = {"min": summary.min, "max": summary.max, "mean": summary.mean}[rule.statistic]
    if value is None:
        return _undecided(rule, f"{metric} has no {rule.statistic}")
    bound = metric == Metric.LATENCY_ALL.value and any(phase.outcomes.get(name) for name in CENSORED_NAMES)
    return _below(rule, value, bound)


def _judged(rule: MetricRule) -> str:
    """The metric that decides: latency_all for the upper side of latency. Start labels are known of ok calls only."""
    if rule.start is not None:
        return Metric.LATENCY.value if rule.metric is Metric.LATENCY_ALL else rule.metric.value
    if rule.metric is Metric.LATENCY and rule.statistic in ("p", "max"):
        return Metric.LATENCY_ALL.value
    return rule.metric.value


def _percentile(rule: MetricRule, summary: MetricSummary) -> ThresholdResult:
    found = next((listed for listed in summary.percentiles if listed.p == rule.percentile), None)
    if found is None:
        return _undecided(rule, f"p{rule.percentile:g} is not in the Summary")
    if found.low is None or found.high is None:
        enough = needed(found.p)
        if enough is not None and summary.count >= enough:
            return _undecided(rule, f"too few independent samples: slow ones come together, and p{found.p:g} is open")
        need = f"needs {enough} samples" if enough is not None else "is supported by no number of samples"
        return _undecided(rule, f"too few samples: p{found.p:g} {need} and has {summary.count}")
    return _below(rule, found.value, found.censored)


def _below(rule: MetricRule, value: int, lower_bound: bool) -> ThresholdResult:
    if value >= rule.limit_ns:
        return ThresholdResult(
            rule.text, value, passed=False, why="at least the limit" if lower_bound else "not below the limit"
        )
    if lower_bound:
        why = "undecided: among timed out, dropped or unfinished invocations, so the true value may be above the limit"
        return ThresholdResult(rule.text, value, passed=None, why=why)
    return ThresholdResult(rule.text, value, passed=True, why="below the limit")


def _share(rule: ShareRule, phase: PhaseSummary, verdict: Verdict) -> ThresholdResult:
    reason = withheld(verdict, rule.phase)
    if reason is not None:
        return _undecided(rule, f"withheld: {reason.message}")
    if not phase.planned:
        return _undecided(rule, "no invocation was planned")
    count = _COUNTED[rule.what](phase)
    value = count / phase.planned
    return ThresholdResult(rule.text, value, value < rule.limit, f"{count} of {phase.planned} planned invocations")


def _rate(rule: RateRule, phase: PhaseSummary, verdict: Verdict) -> ThresholdResult:
    reason = withheld(verdict, rule.phase)
    if reason is not None:
        return _undecided(rule, f"withheld: {reason.message}")
    value = phase.achieved_rate
    passed = value > rule.limit.per_s
    return ThresholdResult(rule.text, value, passed, "above the limit" if passed else "not above the limit")


def _cost(rule: CostRule, phase: PhaseSummary, verdict: Verdict) -> ThresholdResult:
    reason = withheld(verdict, rule.phase, "cost")
    if reason is not None:
        return _undecided(rule, f"withheld: {reason.message}")
    billing = phase.billing
    if billing is None or billing.amount is None:
        return _undecided(rule, "there are no prices")
    value = float(billing.amount)
    if billing.amount >= rule.limit.amount:
        return ThresholdResult(rule.text, value, passed=False, why="not below the limit")
    if billing.unmetered:
        why = f"undecided: {billing.unmetered} of {billing.requests} invocations did not tell what they are billed"
        return ThresholdResult(rule.text, value, passed=None, why=why)
    return ThresholdResult(rule.text, value, passed=True, why=f"{billing.requests} invocations, free tier left out")


def _undecided(rule: Rule, why: str) -> ThresholdResult:
    return ThresholdResult(rule.text, None, passed=None, why=why)
