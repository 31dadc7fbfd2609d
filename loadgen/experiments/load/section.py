"""What a load learned about cold and warm starts, in a report."""

from __future__ import annotations

from collections.abc import Collection

from loadgen.experiments.load.findings import LoadResult
from loadgen.measure.figure import Figure
from loadgen.measure.summary import MetricSummary, Summary
from loadgen.measure.verdict import withheld
from loadgen.report import units
from loadgen.report.experiment import Section, next_line
from loadgen.report.starts import NOTHING, PERCENTILES, labelling, shown
from loadgen.report.tables import Cell, Column, Table


def section(summary: Summary, result: LoadResult) -> Section:
    """The invocations by start, and how they were told apart."""
    return Section((_labelled(summary, result),))


def _labelled(summary: Summary, result: LoadResult) -> Table:
    """The invocations of a load by start; no rows where nothing could be told."""
    found = result.labelling
    starts = summary.totals.by_start
    rows = tuple(
        (
            Cell(start),
            *_recorded(metrics.get("latency"), _held_back(summary, start, "latency")),
            _recorded(metrics.get("overhead"), _held_back(summary, start, "overhead"))[1],
        )
        for start, metrics in sorted(starts.items())
        if found.cuts is not None
    )
    return Table(
        "Cold and warm starts",
        (
            Column("start", False),
            Column("count"),
            *(Column(units.percentile(p)) for p in PERCENTILES),
            Column("overhead p50"),
        ),
        rows,
        (
            *(["p50 to p99 are of latency, ok invocations of the measured phases."] if rows else []),
            labelling(found),
            *next_line(result.next),
        ),
    )


def _recorded(metric: MetricSummary | None, held_back: Collection[float]) -> tuple[Cell, ...]:
    """The count and the percentiles of a metric of the Summary, but for those that are held back."""
    if metric is None:
        return (Cell("0"), *[NOTHING] * len(PERCENTILES))
    at = {each.p: each for each in metric.percentiles if each.low is not None}
    figures = [Figure(at[p].value, at[p].low, at[p].high) if p in at else None for p in PERCENTILES]
    return (
        Cell(units.count(metric.count)),
        *(
            NOTHING if p in held_back else shown(figure, p, metric.count)
            for figure, p in zip(figures, PERCENTILES, strict=True)
        ),
    )


def _held_back(summary: Summary, start: str, metric: str) -> list[float]:
    """The percentiles of a metric of invocations with this label that the Verdict withholds."""
    return [p for p in PERCENTILES if withheld(summary.verdict, None, metric, p, start) is not None]
