"""The tail of latency over time in one line of a terminal, where something stands out in it.

Theory of operation. The points of the timeline, warm-ups left out, are merged until they fit, and the highest
percentile is taken that most of them support. What a steady run shows is chance, which drawn large looks like peaks:
so the line is there only where the highest point is above the percentile of the whole run by more than chance, its
lower limit being one that holds for all points at once (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from loadgen.measure.histogram import Histogram, share
from loadgen.measure.percentile import CONFIDENCE, ranks, supported
from loadgen.measure.summary import Summary
from loadgen.report import units
from loadgen.report.figures import totals, withholding
from loadgen.report.timeline import Point, Timeline
from loadgen.text.units import NS_PER_S, NS_PER_US

LEVELS = "▁▂▃▄▅▆▇█"
_PS = (99.0, 95.0, 90.0)
_MOST, _LEAST = 60, 12
"""Characters of the line."""


class _Peak(Struct, frozen=True):
    """The highest point: its percentile in µs."""

    point: Point
    us: int


def sparkline(summary: Summary, timeline: Timeline, width: int) -> str:
    """``▁▁▅▁ p99 over time; peak 312 ms at 10:07:12, 41 failed``; empty where nothing stands out or is known."""
    warmups = {phase.name for phase in summary.phases if phase.warmup}
    measured = [point for point in timeline.points if point.phase not in warmups]
    for columns in range(min(_MOST, width - 52), _LEAST - 1, -12):
        points = _merged(measured, columns)
        for p in _PS:
            if withholding(totals(summary), "latency", p) is None and (said := _said(summary, points, p)):
                return said
    return ""


def _said(summary: Summary, points: Sequence[Point], p: float) -> str:
    values = [_value_us(point, p) for point in points]
    if len(points) < _LEAST or 3 * sum(value is not None for value in values) < 2 * len(values):
        return ""
    peak = _peak(points, values, p)
    if peak is None:
        return ""
    failed = max(0, peak.point.planned - peak.point.ok)
    what = f"peak {units.duration(peak.us * NS_PER_US)} at {_clock(summary, peak.point)}"
    more = f", {units.count(failed)} failed" if failed else ""
    return f"{_drawn(values)}  {units.percentile(p)} over time; {what}{more}"


def _merged(points: Sequence[Point], columns: int) -> list[Point]:
    """The points, neighbours of a phase together, in about so many columns; none is changed."""
    each = max(1, math.ceil(len(points) / columns))
    merged: list[Point] = []
    taken = 0
    for point in points:
        if not merged or taken == each or merged[-1].phase != point.phase:
            merged.append(Point(point.phase, point.start_ns, point.end_ns, Histogram(), 0))
            taken = 0
        merged[-1].add(point)
        taken += 1
    return merged


def _value_us(point: Point, p: float) -> int | None:
    """The percentile of a point where its calls support it and the load generator disturbed none of them."""
    if point.disturbed_planned or not supported(point.latency.count, p):
        return None
    return point.latency.value_at(p)


def _peak(points: Sequence[Point], values: Sequence[int | None], p: float) -> _Peak | None:
    """The highest point, where it is above the whole by more than chance."""
    known = [(value, point) for value, point in zip(values, points, strict=True) if value is not None]
    if not known:
        return None
    us, highest = max(known, key=lambda each: each[0])
    whole = Histogram()
    for _, point in known:
        whole.add(point.latency)
    low, _ = ranks(highest.latency.count, float(share(p)), 1 - (1 - CONFIDENCE) / len(known))
    usual = whole.value_at(p)
    if low is None or usual is None or highest.latency.value_at_rank(low) <= usual:
        return None
    return _Peak(highest, us)


def _clock(summary: Summary, point: Point) -> str:
    """When a point was, as a clock says it, or how long after the beginning where that is not known."""
    after = (point.start_ns + point.end_ns) // 2
    try:
        began = datetime.fromisoformat(summary.run.started_at)
    except ValueError:
        return f"{after // NS_PER_S} s"
    return f"{(began + timedelta(microseconds=after / NS_PER_US)).astimezone(UTC):%H:%M:%S}Z"


def _drawn(values: Sequence[int | None]) -> str:
    """A character for each value, on a logarithmic scale from the lowest to the highest."""
    known = [value for value in values if value]
    low, high = math.log(min(known)), math.log(max(known))
    top = len(LEVELS) - 1
    return "".join(
        " " if not value else LEVELS[round(top * (math.log(value) - low) / (high - low))] if high > low else LEVELS[0]
        for value in values
    )
