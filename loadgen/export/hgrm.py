"""HdrHistogram's percentile distributions as text, which its plotter and other tools draw.

There is a table for each figure, one after another, and a comment before each says which one it is. Times are in ms,
sizes in MiB. The lines are those of the Python implementation to the last digit; those of the Java one stand at other
percentiles, as it makes its steps in whole numbers.

Source: the class PercentileIterator and the method outputPercentileDistribution of HdrHistogram.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from loadgen.export.figures import ANY, distributions
from loadgen.export.port import Exporter
from loadgen.export.source import Source
from loadgen.invocation.cell import CALL
from loadgen.invocation.metric import TIME
from loadgen.measure.histogram import DIGITS, SLOTS, SUB_BUCKETS, Histogram, highest, middle
from loadgen.measure.summary import CallSummary, MetricSummary, PhaseSummary, Summary
from loadgen.text import foreign

TICKS = 5
"""Lines for each halving of what is left to 100 %."""
_BUCKETS = SLOTS // (SUB_BUCKETS // 2) - 1


def table(histogram: Histogram, ratio: int) -> Iterator[str]:
    """The lines of a distribution with their ends, its values divided by ``ratio``; it is not empty."""
    yield f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}\n\n"
    for value, level, reached in _steps(histogram):
        row = f"{value / ratio:12.{DIGITS}f} {level / 100:2.12f} {reached:10d}"
        yield f"{row} {1 / (1 - level / 100):14.2f}\n" if level != 100 else f"{row}\n"
    count, mean = histogram.count, histogram.mean_us or 0.0
    spread = math.sqrt(sum((middle(at) - mean) ** 2 * n for at, n in sorted(histogram.counts.items())) / count)
    yield f"#[Mean    = {mean / ratio:12.{DIGITS}f}, StdDeviation   = {spread / ratio:12.{DIGITS}f}]\n"
    yield f"#[Max     = {(histogram.max_us or 0) / ratio:12.{DIGITS}f}, TotalCount     = {count:12.{DIGITS}f}]\n"
    yield f"#[Buckets = {_BUCKETS:12d}, SubBuckets     = {SUB_BUCKETS:12d}]\n"


def _steps(histogram: Histogram) -> Iterator[tuple[int, float, int]]:
    """Value, percentile level and the count up to there, of each line."""
    order = histogram.order()
    count, level = order.reached[-1], 0.0
    for slot, reached in zip(order.slots, order.reached, strict=True):
        while 100.0 * reached / count >= level:
            yield highest(slot), level, reached
            if gap := 100.0 - level:
                level += 100.0 / (TICKS * math.pow(2, math.log(100 / gap) / math.log(2) + 1))
            if reached == count:
                break
    yield highest(order.slots[-1]), 100.0, count


def _text(source: Source) -> Iterator[str]:
    summary = source.summary
    drawn = False
    for address, found in _figures(summary):
        histogram = Histogram.decode(found.histogram) if found.count else Histogram()
        if not histogram.counts:
            continue
        time = found.unit == TIME.name
        left = f"; {found.disturbed} more calls, which the load generator disturbed, are left out" * bool(
            found.disturbed
        )
        yield "\n" if drawn else f"#[loadgen {foreign.line(summary.run.id)}; verdict: {summary.verdict.status}]\n"
        yield f"#[{foreign.line(address)}; {'ms' if time else 'MiB'}{left}]\n"
        yield from table(histogram, 1000 if time else 1024)
        drawn = True
    if not drawn:
        source.notes.append("no invocation was ok: there is no distribution")


def _figures(summary: Summary) -> Iterator[tuple[str, MetricSummary]]:
    """Each distribution, and in words of what it is."""
    for name, phase in (("totals", summary.totals), *((each.name, each) for each in summary.phases)):
        parts: list[tuple[str, CallSummary | PhaseSummary]] = [(ANY if phase.by_call else CALL, phase)]
        for call, part in (*parts, *phase.by_call.items()):
            for start, outcome, metric, found in distributions(part):
                yield f"phase {name}, call {call}, start {start}, outcome {outcome}, {metric}", found


HGRM = Exporter("hgrm", "HdrHistogram's percentile distribution of each figure", text=_text)
