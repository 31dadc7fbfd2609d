"""What a load learned about cold and warm starts, in a report."""

from __future__ import annotations

from loadgen.experiments.load.findings import LoadResult
from loadgen.measure.summary import MetricSummary, Summary
from loadgen.report import units
from loadgen.report.experiment import Section, next_line
from loadgen.report.figures import totals
from loadgen.report.starts import PERCENTILES, labelling
from loadgen.report.tables import Cell, Column, Table, figure


def section(summary: Summary, result: LoadResult) -> Section:
    """The invocations by start, and how they were told apart."""
    return Section((_labelled(summary, result),))


def _labelled(summary: Summary, result: LoadResult) -> Table:
    """The invocations of a load by start; no rows where nothing could be told."""
    found = result.labelling
    whole, starts = totals(summary), summary.totals.by_start
    rows = tuple(
        (
            Cell(start),
            Cell(units.count(_recorded(metrics.get("latency")))),
            *(figure(whole, "latency", p, start) for p in PERCENTILES),
            figure(whole, "overhead", PERCENTILES[0], start),
        )
        for start, metrics in sorted(starts.items())
        if found is None or found.cuts is not None
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
            "Answers told by themselves whether their call was cold (target.probe)."
            if found is None
            else labelling(found),
            *next_line(result.next),
        ),
    )


def _recorded(metric: MetricSummary | None) -> int:
    """How many invocations have a metric, disturbed or not."""
    return 0 if metric is None else metric.count + metric.disturbed
