"""The charts over time as data for the page's script, which draws them so that they can be read and zoomed.

They are the charts of ``charts``, on the same scales; where a value is None nothing may be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec

from loadgen.report.charts import open_over_time
from loadgen.report.drawing import Chart, Series
from loadgen.report.figures import View
from loadgen.report.heat import ROWS, HeatMap
from loadgen.report.timeline import Timeline
from loadgen.text import foreign

_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def plot(charts: Sequence[Chart | None], timeline: Timeline, views: Sequence[View] = ()) -> dict[str, Any] | None:
    """Charts that share one time axis, one below the other; None where there is none."""
    drawn = [chart for chart in charts if chart is not None]
    if not drawn:
        return None
    return {
        "end": drawn[0].x.high,
        "width": timeline.width_s,
        "calls": [[_short((point.start_ns + point.end_ns) / 2e9), point.planned] for point in timeline.points],
        "bands": [[band.name, band.start, band.end, band.muted] for band in drawn[0].bands],
        "panels": [_panel(chart, timeline, views) for chart in drawn],
    }


def heat(found: HeatMap) -> dict[str, Any]:
    """A heat map by column: from when to when, and how many calls are in which of its rows."""
    columns = [
        [start, end, {str(tile.row): tile.count for tile in tiles}]
        for (start, end), tiles in groupby(found.tiles, key=lambda tile: (tile.start, tile.end))
    ]
    return {"low": found.y.low, "high": found.y.high, "rows": ROWS, "end": found.x.high, "columns": columns}


def encoded(value: Any) -> str:
    """JSON for a script element: nothing in it ends the element, and everything unprintable is escaped."""
    text = foreign.json(msgspec.json.encode(value)).decode()
    for character, escape in _ESCAPED.items():
        text = text.replace(character, escape)
    return text


def _panel(chart: Chart, timeline: Timeline, views: Sequence[View]) -> dict[str, Any]:
    times = chart.y.log
    return {
        "title": chart.title,
        "height": chart.height,
        "low": chart.y.low,
        "high": chart.y.high,
        "log": times,
        "ticks": [[value, label] for value, label in chart.y.ticks],
        "unit": "ns" if times else "/s",
        "series": [_line(series) for series in chart.series if series.style != "open"],
        "open": [[_short(each) for each in stroke] for stroke in open_over_time(timeline, views)] if times else [],
        "limits": [[limit.name, limit.value, limit.start, limit.end] for limit in chart.limits],
    }


def _line(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "style": series.style,
        "mark": series.mark,
        "x": [_short(x) for x, _ in series.points],
        "y": [None if y is None else _short(y) for _, y in series.points],
    }


def _short(value: float) -> float | int:
    """Five digits: more than can be drawn, and what is read from them has three."""
    short = float(f"{value:.5g}")
    return int(short) if short == int(short) else short
