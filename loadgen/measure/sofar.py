"""How rules stand while a run goes on: what they would say if it ended now. Pure.

Rules are judged as at the end (``loadgen.measure.threshold``), over a Summary that holds nothing but what they read.
What is left out is the verdict on the generator, which is known at the end alone: a figure that it then withholds may
be called met or broken here. Calls that the generator disturbed make a figure a range here, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import structs

from loadgen.invocation.bill import PriceBook
from loadgen.invocation.tally import Connections
from loadgen.measure.cost import billing
from loadgen.measure.dependence import Inflation, Largest
from loadgen.measure.merge import PhasePlan, PhaseTotal, combined, summarised
from loadgen.measure.rule import CostRule, MetricRule, Rule
from loadgen.measure.summary import CallSummary, Examples, MetricSummary, PhaseSummary, ThresholdResult, Verdict
from loadgen.measure.threshold import evaluate
from loadgen.text.units import NS_PER_S

Played = tuple[PhasePlan, PhaseTotal]
"""A phase, ended or under way."""

_UNJUDGED = Verdict("valid", [])


def so_far(rules: Sequence[Rule], played: Sequence[Played], book: PriceBook | None) -> list[ThresholdResult]:
    """How each rule stands, in their order. Warm-up counts only in rules that name it."""
    named = {rule.phase for rule in rules}
    phases = [_of_phase(plan, total, rules, book) for plan, total in played if plan.name in named]
    measured = [(plan, total) for plan, total in played if not plan.warmup]
    return evaluate(
        rules, phases, _of_all(measured, rules, book) if None in named else _of_all((), (), None), _UNJUDGED
    )


def lasted_ns(plan: PhasePlan, total: PhaseTotal) -> int:
    """For how long a phase has sent load, as far as was reported."""
    return min(plan.duration_ns, max((frames.covered_ns for frames in total.agents.values()), default=0))


def _of_phase(plan: PhasePlan, total: PhaseTotal, rules: Iterable[Rule], book: PriceBook | None) -> PhaseSummary:
    ns = lasted_ns(plan, total)
    widened = {call: total.of(call).inflation(ns) for call in (None, *total.calls)}
    return _summary(plan.name, ns, total, [rule for rule in rules if rule.phase == plan.name], book, widened)


def _of_all(measured: Sequence[Played], rules: Iterable[Rule], book: PriceBook | None) -> PhaseSummary:
    whole = measured[0][1] if len(measured) == 1 else combined(total for _, total in measured)
    widened: dict[str | None, Inflation] = {
        call: Largest(total.of(call).inflation(lasted_ns(plan, total)) for plan, total in measured)
        for call in (None, *whole.calls)
    }
    ns = sum(lasted_ns(plan, total) for plan, total in measured)
    return _summary("totals", ns, whole, [rule for rule in rules if rule.phase is None], book, widened)


def _summary(
    name: str,
    ns: int,
    total: PhaseTotal,
    rules: Sequence[Rule],
    book: PriceBook | None,
    widened: dict[str | None, Inflation],
) -> PhaseSummary:
    def part(call: str | None) -> CallSummary:
        return _part(total.of(call), ns, [rule for rule in rules if rule.call == call], book, widened[call])

    return PhaseSummary(
        name=name,
        warmup=False,
        model="open",
        duration_ns=ns,
        connections=Connections(),
        notes=[],
        by_call={call: part(call) for call in total.calls},
        **structs.asdict(part(None)),
    )


def _part(
    total: PhaseTotal, ns: int, rules: Sequence[Rule], book: PriceBook | None, inflation: Inflation
) -> CallSummary:
    """What the rules read of a phase, or of one call of it."""
    tally = total.tally
    metrics: dict[str, MetricSummary] = {}
    by_start: dict[str, dict[str, MetricSummary]] = {}
    for rule in rules:
        if isinstance(rule, MetricRule):
            into = metrics if rule.start is None else by_start.setdefault(rule.start, {})
            into[rule.judged.value] = _metric(rule, total, rules, inflation)
    return CallSummary(
        planned=tally.planned,
        started=tally.started,
        completed=tally.completed,
        dropped=tally.dropped,
        unfinished=tally.unfinished,
        planned_rate=tally.planned * NS_PER_S / ns if ns else 0.0,
        achieved_rate=tally.started * NS_PER_S / ns if ns else 0.0,
        outcomes=tally.outcomes,
        reasons={},
        examples=Examples([], []),
        metrics=metrics,
        by_outcome={},
        by_start=by_start,
        billing=billing(total, book) if any(isinstance(rule, CostRule) for rule in rules) else None,
        disturbed=tally.disturbed,
    )


def _metric(rule: MetricRule, total: PhaseTotal, rules: Sequence[Rule], inflation: Inflation) -> MetricSummary:
    """What all rules on the same metric read of it. Only a mean is read off the histogram, which takes ten ms."""
    alike = [
        each
        for each in rules
        if isinstance(each, MetricRule) and (each.judged, each.start) == (rule.judged, rule.start)
    ]
    ps = [each.percentile for each in alike if each.percentile is not None]
    figure = total.figure(rule.judged.value, start=rule.start)
    return summarised(rule.judged.value, figure, ps, inflation, blobs=any(each.statistic == "mean" for each in alike))
