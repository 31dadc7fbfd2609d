"""The few figures of a load that stand in large type."""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.invocation.outcome import OK
from loadgen.invocation.start import COLD
from loadgen.measure.rule import MetricRule
from loadgen.measure.summary import Summary
from loadgen.report import billing, tables, units
from loadgen.report.experiment import Tile
from loadgen.report.figures import Shown, View, shown, totals
from loadgen.report.terms import TERMS
from loadgen.report.why import rule_of

_UPPER = (99.0, 95.0, 90.0)


def tiles(summary: Summary) -> tuple[Tile, ...]:
    """Times, what was not ok, the rate, cold starts and cost of a load: those that are known."""
    return tuple(_tiles(summary))


def _tiles(summary: Summary) -> Iterator[Tile]:
    view = totals(summary)
    upper = next((p for p in _UPPER if isinstance(shown(view, "latency", p), Shown)), None)
    yield _time(summary, view, 50.0)
    if upper is not None:
        yield _time(summary, view, upper)
    yield _failed(view)
    yield _rate(view)
    yield from _cold(view)
    if (each := billing.per_million(summary)) is not None:
        yield Tile(
            f"{each[1]} per million calls", each[0], _billed(view), link="cost", hint="free tier and discounts left out"
        )


def _time(summary: Summary, view: View, p: float) -> Tile:
    cell = tables.figure(view, "latency", p)
    limit, broken = _limit(summary, p)
    detail = " · ".join(part for part in (cell.detail, limit) if part)
    hint = f"latency: {TERMS['latency']}; {TERMS[units.percentile(p)]}"
    tone = "bad" if broken else cell.tone
    return Tile(f"{units.percentile(p)} latency", cell.text, detail, tone, "slowest-invocations", hint)


def _limit(summary: Summary, p: float) -> tuple[str, bool]:
    """The limit of a rule about a percentile of latency of the whole run, if any, and whether it is broken."""
    for result in summary.thresholds:
        rule = rule_of(result)
        if (
            isinstance(rule, MetricRule)
            and rule.metric.value in ("latency", "latency_all")
            and rule.percentile == p
            and rule.phase is rule.call is rule.start is None
            and rule.over_ns is None
        ):
            return f"limit {units.duration(rule.limit_ns)}", result.passed is False
    return "", False


def _failed(view: View) -> Tile:
    phase = view.phase
    failing = phase.planned - phase.outcomes.get(OK, 0)
    share = units.share(failing, phase.planned)
    detail = f"{units.count(failing)} of {units.count(phase.planned)}"
    return Tile("not ok", share, detail, "bad" if failing else "", "outcomes", TERMS["not ok"])


def _rate(view: View) -> Tile:
    achieved = tables.achieved(view)
    closed = view.phase.model == "closed"
    planned = "by workers" if closed else achieved.detail
    if view.phase.started == view.phase.planned and not closed:
        planned = "as planned"
    return Tile("sent", achieved.text, planned, achieved.tone, "rate-over-time", TERMS["achieved rate"])


def _cold(view: View) -> Iterator[Tile]:
    """How many were cold, and their median, where that was told."""
    metric = view.phase.by_start.get(COLD, {}).get("latency")
    count = 0 if metric is None else metric.count + metric.disturbed
    if not count:
        return
    median = tables.figure(view, "latency", 50.0, COLD)
    ok = view.phase.outcomes.get(OK, 0)
    detail = f"{units.share(count, ok)}, p50 {median.text}"
    yield Tile("cold starts", units.count(count), detail, "", "cold-and-warm-starts", TERMS["cold"])


def _billed(view: View) -> str:
    billed = shown(view, "billed_duration", 50.0)
    return f"{billed} billed, median" if isinstance(billed, Shown) else ""
