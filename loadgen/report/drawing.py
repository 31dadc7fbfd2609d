"""Pictures as inline SVG: data in, text out, no script, colours from the page's style sheet.

Every chart is drawn twice, for a wide and for a narrow screen, because text in a scaled drawing scales with it; the
style sheet shows one of them. Each carries a title and a description for those who do not see it, and its marks carry
what they stand for, which the page's script shows beside a pointer and to the arrow keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec import Struct

from loadgen.report import units
from loadgen.text import foreign

Pairs = tuple[tuple[float, float | None], ...]
"""Positions and values; a None breaks the line."""


class Series(Struct, frozen=True):
    """One line of a chart. ``style`` is the class of the style sheet; ``mark`` is ``line``, ``dots`` or ``area``.

    With ``mark`` ``ribbon`` it is the room between ``points`` and ``upper``, which have the same positions.
    ``label`` is written at its end, or above an area's highest point, where it is no ``name`` in the caption.
    """

    name: str
    style: str
    points: Pairs
    mark: str = "line"
    upper: Pairs = ()
    label: str = ""


class Axis(Struct, frozen=True):
    """A scale from ``low`` to ``high``; ``ticks`` are positions and their labels."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high one; outside values lie on the nearest end."""
        if self.log:
            span = math.log(self.high) - math.log(self.low)
            share = (math.log(max(value, self.low)) - math.log(self.low)) / span
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))


class Band(Struct, frozen=True):
    """A stretch of the x axis with a name, such as a phase, ``muted`` where it does not count.

    ``style`` fills it; without one it is bounded by lines.
    """

    name: str
    start: float
    end: float
    muted: bool
    style: str = ""


class Limit(Struct, frozen=True):
    """A line across the chart at ``value`` of the y axis, from ``start`` to ``end`` of the x axis, None for all."""

    name: str
    value: float
    start: float | None = None
    end: float | None = None


class Spot(Struct, frozen=True):
    """A named point; ``x_range`` and ``y_range`` are its intervals, None for a side without limits.

    ``shape`` is ``disc``, ``ring``, ``square`` or ``diamond``, and ``tip`` what is said of it on hover.
    """

    name: str
    style: str
    x: float
    y: float
    x_range: tuple[float, float] | None
    y_range: tuple[float, float] | None
    shape: str = "disc"
    tip: str = ""
    bold: bool = False


class Chart(Struct, frozen=True):
    """What is drawn; ``description`` says in words what is to be seen, ``note`` what should be known of it.

    From ``lane``'s value of the y axis up nothing has a value: what stands there is what its text says.
    """

    title: str
    description: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    bands: tuple[Band, ...] = ()
    spots: tuple[Spot, ...] = ()
    limits: tuple[Limit, ...] = ()
    note: str = ""
    height: int = 300
    lane: tuple[float, str] | None = None


class Size(Struct, frozen=True):
    """A drawing in pixels; a chart is ``scale`` times as high as it says."""

    name: str
    width: int
    scale: float = 1.0


WIDE = Size("wide", 960)
NARROW = Size("narrow", 360, 0.9)
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 24, 44
_CHAR = 6.7
"""About how wide a character of 12 px is."""
_LINE = 15
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "square": [(-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)],
    "diamond": [(0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)],
}


class Box(Struct, frozen=True):
    """Room that is taken."""

    left: float
    top: float
    right: float
    bottom: float

    def over(self, other: Box) -> float:
        """How much of it is the other's, too, in square pixels."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)


class Frame(Struct, frozen=True):
    """Where a chart's values lie in a drawing."""

    chart: Chart
    size: Size

    @property
    def height(self) -> int:
        """In pixels."""
        return round(self.chart.height * self.size.scale)

    @property
    def right(self) -> int:
        """Where the plot ends."""
        return self.size.width - _RIGHT

    @property
    def bottom(self) -> int:
        """Where the plot ends below."""
        return self.height - _BOTTOM

    def x(self, value: float) -> float:
        """Where a value of the x axis lies."""
        return _LEFT + self.chart.x.at(value) * (self.right - _LEFT)

    def y(self, value: float) -> float:
        """Where a value of the y axis lies."""
        return self.bottom - self.chart.y.at(value) * (self.bottom - _TOP)

    def svg(self, ids: str, inner: Iterable[str]) -> str:
        """The drawing with its axes and bands, and ``inner`` upon them; ``ids`` begin the ids in it."""
        return "\n".join(
            (
                f'<svg class="chart {self.size.name}" viewBox="0 0 {self.size.width} {self.height}" role="img" '
                f'aria-labelledby="{ids}-title {ids}-desc">',
                f'<title id="{ids}-title">{foreign.html(self.chart.title)}</title>',
                f'<desc id="{ids}-desc">{foreign.html(self.chart.description)}</desc>',
                *_bands(self),
                *_y_axis(self),
                *_x_axis(self),
                *inner,
                "</svg>",
            )
        )


def svg(chart: Chart, size: Size, number: int) -> str:
    """A drawing of the chart; ``number`` makes its ids unique in the page."""
    frame = Frame(chart, size)
    inner = (*(_series(series, frame) for series in chart.series), *_texts(frame))
    return frame.svg(f"chart-{number}-{size.name}", inner)


def _bands(frame: Frame) -> Iterable[str]:
    bounded = False
    for band in frame.chart.bands:
        left, right = frame.x(band.start), frame.x(band.end)
        if band.muted or band.style:
            yield (
                f'<rect class="{foreign.html(band.style or "warmup")}" x="{left:.1f}" y="{_TOP}" '
                f'width="{max(0, right - left):.1f}" height="{frame.bottom - _TOP}"/>'
            )
        if bounded and not band.style:
            yield f'<line class="boundary" x1="{left:.1f}" x2="{left:.1f}" y1="{_TOP - 8}" y2="{frame.bottom}"/>'
        bounded = bounded or not band.style
        room = int(((frame.right if band.style else right) - left) / 7) - 1
        if room >= 3 and (not band.style or room >= len(band.name)):
            name = band.name if len(band.name) <= room else band.name[: room - 1] + "…"
            yield f'<text class="band" x="{left + 4:.1f}" y="{_TOP - 10}">{foreign.html(name)}</text>'
        elif band.style:  # too narrow for its name, which then stands beside it
            end = "end" if right > frame.right - _CHAR * len(band.name) else "start"
            at = left if end == "end" else right
            place = f'text-anchor="{end}" x="{at:.1f}" y="{_TOP - 10}"'
            yield f'<text class="band" {place}>{foreign.html(band.name)}</text>'


def _y_axis(frame: Frame) -> Iterable[str]:
    if frame.chart.lane is not None:
        edge, text = frame.chart.lane
        y = frame.y(edge)
        yield f'<rect class="warmup" x="{_LEFT}" y="{_TOP}" width="{frame.right - _LEFT}" height="{y - _TOP:.1f}"/>'
        yield f'<text class="band" text-anchor="end" x="{frame.right - 6}" y="{_TOP + 14}">{foreign.html(text)}</text>'
    for value, label in frame.chart.y.ticks:
        y = frame.y(value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{foreign.html(label)}</text>'


def _x_axis(frame: Frame) -> Iterable[str]:
    axis, bottom = frame.chart.x, frame.bottom
    yield f'<line class="axis" x1="{_LEFT}" x2="{frame.right}" y1="{bottom}" y2="{bottom}"/>'
    last = -math.inf
    for value, label in axis.ticks:
        x = frame.x(value)
        half = len(label) * 3.4
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        if x - half < last + 6:
            continue
        middle = min(x, frame.size.width - half)
        yield f'<text class="tick" text-anchor="middle" x="{middle:.1f}" y="{bottom + 18}">{foreign.html(label)}</text>'
        last = x + half
    middle = (_LEFT + frame.right) / 2
    place = f'x="{middle:.1f}" y="{frame.height - 6}"'
    yield f'<text class="axis-title" text-anchor="middle" {place}>{foreign.html(axis.title)}</text>'


def _series(series: Series, frame: Frame) -> str:
    runs = [
        [(frame.x(x), frame.y(y)) for x, y in run if y is not None]
        for known, run in groupby(series.points, key=lambda pair: pair[1] is not None)
        if known
    ]
    style = foreign.html(series.style)
    if series.mark == "dots":
        radius = 2.2 if sum(map(len, runs)) <= 120 else 1.3
        return "".join(
            f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for run in runs for x, y in run
        )
    if series.mark == "area":
        return "".join(
            f'<path class="area {style}" d="M{run[0][0]:.1f} {frame.bottom}{_to(run)}L{run[-1][0]:.1f} '
            f'{frame.bottom}Z"/>'
            for run in runs
        )
    if series.mark == "ribbon":
        back = [(frame.x(x), frame.y(y)) for x, y in reversed(series.upper) if y is not None]
        return "".join(f'<path class="ribbon {style}" d="M{_to(run)[1:]}{_to(back)}Z"/>' for run in runs)
    # A line needs two points; a lone one is a dot.
    return "".join(
        f'<path class="line {style}" d="M{_to(run)[1:]}"/>'
        if len(run) > 1
        else f'<circle class="{style}" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="2.2"/>'
        for run in runs
    )


def _texts(frame: Frame) -> Iterable[str]:
    """Limits and spots, and what is written beside these and at the ends of lines, each where there is room."""
    taken = [box for spot in frame.chart.spots for box in _taken(spot, frame)]
    for band in frame.chart.bands:
        left, wide = frame.x(band.start), _CHAR * len(band.name)
        taken.append(Box(left - 4, _TOP - 24, left + wide + 4, _TOP - 4))
    if frame.chart.lane is not None:
        wide = _CHAR * len(frame.chart.lane[1])
        taken.append(Box(frame.right - 6 - wide, _TOP, frame.right, _TOP + 20))
    for limit in frame.chart.limits:
        left = _LEFT if limit.start is None else frame.x(limit.start)
        right = frame.right if limit.end is None else frame.x(limit.end)
        y = frame.y(limit.value)
        yield f'<line class="limit" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        places = [(x, y + up, anchor) for up in (-5, 13) for x, anchor in ((right - 4, "end"), (left + 4, "start"))]
        yield _written(limit.name, "limit", places, frame, taken)
    for series in frame.chart.series:
        known = [(x, y) for x, y in series.points if y is not None]
        if not series.label or not known:
            continue
        if series.mark == "area":
            top, at = max((y, x) for x, y in known)
            x, y = frame.x(at), frame.y(top)
            places = [(x, y - 6, "middle"), (x + 10, y + 10, "start"), (x - 10, y + 10, "end")]
        else:
            x, y = frame.x(known[-1][0]), frame.y(known[-1][1])
            places = [(x - 2, y - 6, "end"), (x - 2, y + 14, "end"), (x - 2, y - 20, "end")]
        yield _written(series.label, f"on {series.style}", places, frame, taken)
    for spot in sorted(frame.chart.spots, key=lambda each: not each.bold):
        yield _spot(spot, frame, taken)


def _spot(spot: Spot, frame: Frame, taken: list[Box]) -> str:
    x, y, style = frame.x(spot.x), frame.y(spot.y), foreign.html(spot.style)
    parts = [f'<g class="mark" data-tip="{foreign.html(spot.tip or spot.name)}">']
    if spot.x_range is not None:
        left, right = (frame.x(value) for value in spot.x_range)
        parts.append(f'<path class="whisker {style}" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
    if spot.y_range is not None:
        bottom, top = (frame.y(value) for value in spot.y_range)
        parts.append(f'<path class="whisker {style}" d="M{x:.1f} {bottom:.1f}V{top:.1f}"/>')
    parts.append(f'<path class="shape {style} {spot.shape}" d="{_outline(spot.shape, x, y)}"/></g>')
    places = [
        *([(x, y - 11, "middle"), (x, y + 20, "middle")] if len(spot.name) < 9 else ()),
        (x + 9, y - 8, "start"), (x - 9, y - 8, "end"), (x + 9, y + 17, "start"), (x - 9, y + 17, "end"),
        (x, y - 16, "middle"), (x, y + 26, "middle"), (x + 9, y - 24, "start"), (x - 9, y - 24, "end"),
        (x + 9, y + 32, "start"), (x - 9, y + 32, "end"), (x, y - 36, "middle"), (x, y + 44, "middle"),
    ]  # fmt: skip
    if spot.name:
        parts.append(_written(spot.name, "bold" if spot.bold else "name", places, frame, taken))
    return "".join(parts)


def _outline(shape: str, x: float, y: float) -> str:
    if (corners := _CORNERS.get(shape)) is not None:
        return "M" + "L".join(f"{x + dx:.1f} {y + dy:.1f}" for dx, dy in corners) + "Z"
    return f"M{x - 5:.1f} {y:.1f}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z"


def _taken(spot: Spot, frame: Frame) -> Iterable[Box]:
    x, y = frame.x(spot.x), frame.y(spot.y)
    yield Box(x - 7, y - 7, x + 7, y + 7)
    if spot.x_range is not None:
        left, right = (frame.x(value) for value in spot.x_range)
        yield Box(left, y - 2, right, y + 2)
    if spot.y_range is not None:
        bottom, top = (frame.y(value) for value in spot.y_range)
        yield Box(x - 2, top, x + 2, bottom)


def _written(text: str, style: str, places: Sequence[tuple[float, float, str]], frame: Frame, taken: list[Box]) -> str:
    """The text at the first of the places with room for it, else at the one with the most."""
    wide = len(text) * _CHAR
    whole = Box(_LEFT - 20, 8, frame.size.width - 2, frame.bottom - 2)

    def box(place: tuple[float, float, str]) -> Box:
        x, y, anchor = place
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        return Box(left, y - _LINE + 4, left + wide, y + 4)

    def crowded(place: tuple[float, float, str]) -> float:
        room = box(place)
        outside = wide * _LINE - room.over(whole)
        return 3 * outside + sum(room.over(other) for other in taken)

    best = min(places, key=crowded)
    taken.append(box(best))
    x, y, anchor = best
    return f'<text class="{style}" text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}">{foreign.html(text)}</text>'


def _to(run: Sequence[tuple[float, float]]) -> str:
    return "".join(f"L{x:.1f} {y:.1f}" for x, y in run)


def time_axis(values_ns: Sequence[float], title: str = "latency") -> Axis:
    """A linear scale from 0, or a logarithmic one where a linear one would flatten most of the values."""
    low, high = max(1000.0, min(values_ns)), max(1000.0, *values_ns)
    if high / low <= 20:
        even = linear_ticks(high)
        return Axis(title, 0.0, even[-1], tuple((mark, time_tick(mark)) for mark in even))
    return log_time_axis(values_ns, title)


def log_time_axis(values_ns: Sequence[float], title: str = "latency") -> Axis:
    """A logarithmic scale that begins and ends where the values do."""
    low, high = max(1000.0, min(values_ns)), max(1000.0, *values_ns)
    bottom, top = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high * 1.0001))
    marks = [float(digit * 10**power) for power in range(2, 15) for digit in (1, 2, 5)]
    start = max((mark for mark in marks if mark <= low), default=float(bottom))
    end = min((mark for mark in marks if mark >= high), default=float(top))
    if start >= end:
        start, end = start / 2, end * 2
    decades = [mark for mark in marks if start <= mark <= end and math.log10(mark) % 1 < 1e-9]
    shown = decades if end / start > 1000 else [mark for mark in marks if start <= mark <= end]
    ticks = tuple((mark, time_tick(mark)) for mark in shown)
    return Axis(f"{title}, logarithmic", start, end, ticks, log=True)


def linear_ticks(high: float) -> list[float]:
    """Round steps from 0 to the first one not below ``high``."""
    if high <= 0:
        return [0.0, 1.0]
    power = 10 ** math.floor(math.log10(high / 4))
    step = next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power >= high / 4 * 0.999)
    return [i * step for i in range(math.ceil(high / step - 1e-9) + 1)]


def range_axis(title: str, low: float, high: float) -> Axis:
    """A linear scale that begins and ends near where the values do."""
    spread = (high - low) or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(spread / 4))
    step = next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power >= spread / 4 * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    ticks = tuple((i * step, f"{i * step:.6g}") for i in range(first, last + 1))
    return Axis(title, first * step, last * step, ticks)


def time_tick(ns: float) -> str:
    """A round time: ``20 ms``."""
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= unit:
            return f"{ns / unit:g}{foreign.GAP}{name}"
    return "0"


def run_axis(end_s: float) -> Axis:
    """The time since a run began."""
    step = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400) if end_s / s <= 8), 43200)
    ticks = tuple((float(at), units.span(at * 1_000_000_000)) for at in range(0, int(end_s) + 1, step))
    return Axis("time since the run began", 0.0, max(end_s, 1e-3), ticks)
