"""The figures of a Summary as one long table: a row for each number, by its address.

What may not be shown has no value, as in every report, and its note says why; a figure that the load generator left
open has its ends instead.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, structs

from loadgen.invocation.cell import CALL
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.measure.summary import CallSummary, MetricSummary, PhaseSummary, Summary
from loadgen.report.figures import Figure, Shown, View, Withheld, calls, phases, shown, totals
from loadgen.report.units import percentile

ANY = "any"
"""The start label, or the outcome, of figures that are over all of them."""
_TOTALS = "totals"
_COUNTS = ("planned", "started", "completed", "dropped", "unfinished")


class FigureRow(Struct, frozen=True):
    """One number. ``phase`` is ``totals`` for all measured phases together, ``call`` is ``any`` for all of a mix.

    ``low`` and ``high`` are its 95 % interval, ``low_end`` and ``high_end`` how far the load generator may have moved
    it. Times are in ns, sizes in bytes.
    """

    phase: str
    call: str
    start: str
    outcome: str
    metric: str
    statistic: str
    value: float | None
    unit: str
    low: int | None = None
    high: int | None = None
    low_end: int | None = None
    high_end: int | None = None
    note: str = ""


def rows(summary: Summary) -> Iterator[FigureRow]:
    """Every figure: totals first, then the phases in their order."""
    for view in (totals(summary), *phases(summary)):
        phase = _TOTALS if view.name is None else view.name
        mixed = bool(view.phase.by_call)
        yield from _of(view, phase, ANY if mixed else CALL)
        for name, part in calls(view):
            yield from _of(part, phase, name)


def _of(view: View, phase: str, call: str) -> Iterator[FigureRow]:
    stretch = view.phase
    for name in _COUNTS:
        yield FigureRow(phase, call, ANY, ANY, "invocations", name, getattr(stretch, name), "1")
    for outcome, n in stretch.outcomes.items():
        yield FigureRow(phase, call, ANY, outcome, "invocations", "count", n, "1")
    yield FigureRow(phase, call, ANY, ANY, "rate", "planned", stretch.planned_rate, "1/s")
    yield FigureRow(phase, call, ANY, ANY, "rate", "achieved", stretch.achieved_rate, "1/s")
    for start, outcome, metric, found in distributions(stretch):
        part = view
        if outcome not in (OK, ANY):
            part = structs.replace(view, phase=structs.replace(stretch, metrics=stretch.by_outcome[outcome]))
        statistics: list[float | str] = ["min", "mean", *(each.p for each in found.percentiles), "max"]
        for p in statistics:
            figure = shown(part, metric, p, None if start == ANY else start)
            statistic = p if isinstance(p, str) else percentile(p)
            yield _row((phase, call, start, outcome, metric, statistic), found.unit, figure)


def distributions(part: CallSummary | PhaseSummary) -> Iterator[tuple[str, str, str, MetricSummary]]:
    """Each distribution that has anything in it, by start label, outcome and metric."""
    every: list[tuple[str, str, dict[str, MetricSummary]]] = [
        (ANY, OK, part.metrics),
        *((start, OK, metrics) for start, metrics in part.by_start.items()),
        *((ANY, outcome, metrics) for outcome, metrics in part.by_outcome.items()),
    ]
    for start, outcome, metrics in every:
        for metric, found in metrics.items():
            if found.count or found.disturbed:
                yield start, ANY if metric == Metric.LATENCY_ALL.value else outcome, metric, found


def _row(address: tuple[str, str, str, str, str, str], unit: str, figure: Figure) -> FigureRow:
    if isinstance(figure, Withheld):
        return FigureRow(*address, None, unit, note=figure.why)
    plain = figure.ends is None and not figure.failed
    return FigureRow(
        *address,
        figure.value if plain else None,
        unit,
        low=figure.low if plain else None,
        high=figure.high if plain and not figure.high_at_least else None,
        low_end=None if figure.ends is None or figure.ends.low_failed else figure.ends.low,
        high_end=None if figure.ends is None or figure.ends.high_failed else figure.ends.high,
        note=_note(figure),
    )


def _note(figure: Shown) -> str:
    if figure.ends is not None:
        return f"a range that the load generator leaves open: {figure}"
    if figure.failed:
        return "it falls among the calls that are not ok"
    return "at least" if figure.at_least or figure.high_at_least else ""
