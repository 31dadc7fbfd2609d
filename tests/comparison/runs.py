"""Runs to compare, built from summaries; nothing here changes the ones of the builders."""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec.structs import replace

from loadgen.comparison.pairs import Run
from loadgen.measure.merge import metric_summary
from loadgen.measure.percentile import LISTED
from loadgen.measure.summary import MetricSummary, PhaseSummary, Summary, Verdict
from tests.report import builders
from tests.report.builders import histogram, spread


@cache
def slower(by: float, n: int = 100_000) -> Summary:
    """A run of that many ok calls which take so many times as long, in one phase."""
    measured: dict[str, MetricSummary] = {
        name: metric_summary(name, histogram(round(value * by) for value in spread(n, middle, 0.3)), LISTED)
        for name, middle in (("latency", 21_000), ("service_time", 21_000), ("duration", 16_000))
    }
    measured["latency_all"] = metric_summary(
        "latency_all", histogram(round(value * by) for value in spread(n, 21_000, 0.3)), LISTED, failed=histogram([])
    )
    phases = [builders.phase(name, 100, {"ok": n}, measured=measured) for name in ("steady", "totals")]
    return builders.summary(phases[:1], phases[1], Verdict("valid", []))


def run(summary: Summary, path: str = "run") -> Run:
    """A run without an interval log."""
    return Run(path, summary)


def scenario(summary: Summary, **changes: Any) -> Summary:
    """The same run of another scenario."""
    return replace(summary, scenario={**summary.scenario, **changes})


def totals(summary: Summary, **changes: Any) -> Summary:
    """The same run with other totals."""
    changed: PhaseSummary = replace(summary.totals, **changes)
    return replace(summary, totals=changed)


def another(summary: Summary, id: str) -> Summary:
    """A run like it with another id."""
    return replace(summary, run=replace(summary.run, id=id))
