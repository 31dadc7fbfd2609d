"""How the latencies of a run were distributed over time: a map of time and latency, shaded by how many calls are there.

Of ok invocations that the load generator did not disturb. Its size is bounded: neighbouring seconds are put together,
and latencies stand in steps of a logarithmic scale.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec import Struct

from loadgen.measure.histogram import highest, lowest
from loadgen.report import units
from loadgen.report.charts import bands
from loadgen.report.drawing import Axis, Band, log_time_axis, run_axis
from loadgen.report.figures import View, withholding
from loadgen.report.timeline import Point, Timeline

COLUMNS, ROWS = 120, 28
SHADES = 5


class Tile(Struct, frozen=True):
    """Calls between two instants (s) and two latencies (ns), in a ``row``; ``shade`` is from 1 to ``SHADES``."""

    start: float
    end: float
    low: float
    high: float
    row: int
    count: int
    shade: int


class HeatMap(Struct, frozen=True):
    """The tiles that have calls, and the axes."""

    x: Axis
    y: Axis
    tiles: tuple[Tile, ...]
    bands: tuple[Band, ...]
    description: str


def heat_map(timeline: Timeline, views: Sequence[View]) -> HeatMap | None:
    """The map; None where fewer than three columns have calls that may be shown."""
    hidden = {view.phase.name for view in views if withholding(view, "latency", "max")}
    columns = [column for column in _columns(timeline.points) if column[0].phase not in hidden]
    columns = [column for column in columns if any(point.latency.counts for point in column)]
    if len(columns) < 3:
        return None
    values = [
        1000.0 * end(at)
        for column in columns for point in column for at in point.latency.counts for end in (lowest, highest)
    ]  # fmt: skip
    y = log_time_axis([max(1000.0, value) for value in values])
    step = (math.log(y.high) - math.log(y.low)) / ROWS
    counted = [(column, _rows(column, y.low, step)) for column in columns]
    most = max(n / _length(column) for column, rows in counted for n in rows.values())
    tiles = tuple(
        Tile(
            column[0].start_ns / 1e9,
            column[-1].end_ns / 1e9,
            y.low * math.exp(row * step),
            y.low * math.exp((row + 1) * step),
            row,
            n,
            _shade(n / _length(column), most, min(1 / _length(column), most)),
        )
        for column, rows in counted
        for row, n in sorted(rows.items())
    )
    end_s = max(point.end_ns for point in timeline.points) / 1e9
    each = max(_length(column) for column in columns)
    said = (
        f"How many calls had which latency, in columns of up to {each:.3g} s; the darkest has "
        f"{units.rate(float(f'{most:.3g}'))}."
    )
    return HeatMap(run_axis(end_s), y, tiles, bands(timeline, views), said)


def _columns(points: Sequence[Point]) -> Iterable[list[Point]]:
    """Neighbouring points of a phase together, so that there are few enough."""
    each = max(1, -(-len(points) // COLUMNS))
    for _, phase in groupby(points, key=lambda point: point.phase):
        of_phase = list(phase)
        for at in range(0, len(of_phase), each):
            yield of_phase[at : at + each]


def _length(column: Sequence[Point]) -> float:
    return max(1e-3, sum(point.end_ns - point.start_ns for point in column) / 1e9)


def _rows(column: Sequence[Point], low: float, step: float) -> Counter[int]:
    rows: Counter[int] = Counter()
    for point in column:
        for at, n in point.latency.counts.items():
            middle = max(low, 1000.0 * (lowest(at) + highest(at)) / 2)
            rows[min(ROWS - 1, int((math.log(middle) - math.log(low)) / step))] += n
    return rows


def _shade(per_s: float, most: float, least: float) -> int:
    """Equal steps of a logarithmic scale, as counts span decades."""
    if most <= least:
        return SHADES
    share = (math.log(per_s) - math.log(least)) / (math.log(most) - math.log(least))
    return 1 + min(SHADES - 1, max(0, int(share * SHADES)))
