"""Charts as inline SVG: text in, text out, no script, colours from the page's style sheet.

Every chart is drawn twice, for a wide and for a narrow screen, because text in a scaled drawing scales with it; the
style sheet shows one of them. Each carries a title and a description for those who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec import Struct

from loadgen.invocation.outcome import OK
from loadgen.measure.histogram import Histogram
from loadgen.measure.percentile import BEYOND, CONFIDENCE
from loadgen.measure.summary import Ends
from loadgen.report import units
from loadgen.report.figures import View, ranged, withholding
from loadgen.report.timeline import Timeline
from loadgen.text import foreign

Pairs = tuple[tuple[float, float | None], ...]
"""Positions and values; a None breaks the line."""


class Series(Struct, frozen=True):
    """One line of a chart. ``style`` is the class of the style sheet; ``mark`` is ``line``, ``dots`` or ``area``."""

    name: str
    style: str
    points: Pairs
    mark: str = "line"


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
    """A stretch of the x axis with a name, such as a phase."""

    name: str
    start: float
    end: float
    muted: bool


class Spot(Struct, frozen=True):
    """A named point; ``x_range`` and ``y_range`` are its intervals, None for a side without limits."""

    name: str
    style: str
    x: float
    y: float
    x_range: tuple[float, float] | None
    y_range: tuple[float, float] | None


class Chart(Struct, frozen=True):
    """What is drawn; ``description`` says in words what is to be seen."""

    title: str
    description: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    bands: tuple[Band, ...] = ()
    spots: tuple[Spot, ...] = ()


class Size(Struct, frozen=True):
    """A drawing in pixels."""

    name: str
    width: int
    height: int


WIDE = Size("wide", 960, 300)
NARROW = Size("narrow", 360, 260)
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 24, 44
_CURVE_POINTS = 160
_BEFORE = 1e-9  # of the share at which a percentile is a range


def svg(chart: Chart, size: Size, number: int) -> str:
    """A drawing of the chart; ``number`` makes its ids unique in the page."""
    ids = f"chart-{number}-{size.name}"
    inner = [
        f'<svg class="chart {size.name}" viewBox="0 0 {size.width} {size.height}" role="img" '
        f'aria-labelledby="{ids}-title {ids}-desc">',
        f'<title id="{ids}-title">{foreign.html(chart.title)}</title>',
        f'<desc id="{ids}-desc">{foreign.html(chart.description)}</desc>',
        *_bands(chart, size),
        *_y_axis(chart.y, size),
        *_x_axis(chart.x, size),
        *(_series(series, chart, size) for series in chart.series),
        *(_spot(spot, chart, size) for spot in chart.spots),
        "</svg>",
    ]
    return "\n".join(inner)


def percentile_curve(view: View) -> Chart | None:
    """Latency by percentile, on an axis that gives every further nine the same room.

    A curve ends where the sample no longer bounds the percentile, where the load generator leaves it open (a range), or
    where the Verdict withholds the tail; that of latency_all also where the calls begin that are not ok. None when no
    curve may be shown. Source of the axis: HdrHistogram's percentile plots, log₁₀ of 1/(1−p).
    """
    names = [("latency", "a"), ("service_time", "b")]
    if view.phase.planned > view.phase.outcomes.get(OK, 0):
        names.append(("latency_all", "c"))
    series = [
        Series(name if name == "latency_all" else f"{name} (ok)", style, points)
        for name, style in names
        if (points := _curve(view, name))
    ]
    if not series:
        return None
    furthest = max(x for line in series for x, _ in line.points)
    nines = [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 0.999999]
    ticks = tuple((-math.log10(1 - q), units.percentile(round(100 * q, 6))) for q in nines)
    x = Axis("percentile", 0.0, max(furthest, 1.0), tuple(t for t in ticks if t[0] <= max(furthest, 1.0) + 1e-9))
    values = [y for line in series for _, y in line.points if y is not None]
    ends = "; ".join(
        f"{line.name} from {units.duration(line.points[0][1] or 0)} to {units.duration(line.points[-1][1] or 0)}"
        for line in series
    )
    calls = "Of the ok invocations"
    if failing := view.phase.planned - view.phase.outcomes.get(OK, 0):
        share = units.share(failing, view.phase.planned)
        calls += f"; latency_all is over all planned, and ends where the {share} begin that are not ok"
    return Chart("Latency by percentile", f"{calls}: {ends}.", x, _time_axis(values), tuple(reversed(series)))


def latency_over_time(timeline: Timeline, views: Sequence[View]) -> Chart | None:
    """Median, an upper percentile and the maximum of latency over time, None when none may be shown."""
    median = _over_time(timeline, views, 50.0)
    highest = _over_time(timeline, views, "max")
    upper = () if timeline.upper is None else _over_time(timeline, views, timeline.upper)
    open_ = _open_over_time(timeline, views)
    values = [y for points in (median, highest, upper, open_) for _, y in points if y is not None]
    if not values:
        return None
    series = [Series("max", "c", highest, "dots")]
    if timeline.upper is not None:
        series.append(Series(units.percentile(timeline.upper), "b", upper))
    series.append(Series("p50", "a", median))
    if open_:
        series.insert(0, Series("left open by the generator", "open", open_))
    lengths = f"{timeline.width_s} s" if timeline.width_s > 1 else "second"
    description = (
        f"Latency of ok invocations in every {lengths}; the maximum reaches {units.duration(max(values))}."
        if any(y is not None for _, y in highest)
        else f"Latency of ok invocations in every {lengths}."
    )
    return Chart(
        "Latency over time",
        description,
        _run_axis(timeline),
        _time_axis(values),
        tuple(series),
        _phases(timeline, views),
    )


def rate_over_time(timeline: Timeline, views: Sequence[View]) -> Chart | None:
    """Ok and failed invocations per second over time, None when there is no timeline."""
    ok = tuple((_middle_s(point.start_ns, point.end_ns), point.ok_per_s) for point in timeline.points)
    failed = tuple((_middle_s(point.start_ns, point.end_ns), point.failed_per_s) for point in timeline.points)
    values = [y for points in (ok, failed) for _, y in points if y is not None]
    if not values:
        return None
    series = [Series("ok per second", "a", _gapped(timeline, ok))]
    worst = max((y for _, y in failed if y is not None), default=0)
    if worst:
        series.insert(0, Series("not ok per second", "bad", _gapped(timeline, failed), "area"))
    ticks = _linear_ticks(max(values))
    y = Axis(
        "invocations per second", 0.0, ticks[-1], tuple((tick, units.rate(tick).removesuffix("/s")) for tick in ticks)
    )
    description = f"Up to {units.rate(max((y or 0) for _, y in ok))} ok and {units.rate(worst)} not ok."
    return Chart("Rate over time", description, _run_axis(timeline), y, tuple(series), _phases(timeline, views))


def latency_by_rate(
    lines: Sequence[tuple[str, str, Sequence[tuple[float, int | None]]]], bands: tuple[Band, ...]
) -> Chart | None:
    """Percentiles of latency against the rate per second; each line is a name, a style and its points by rate.

    None where fewer than two rates have a value.
    """
    series = tuple(Series(name, style, tuple(points)) for name, style, points in lines if any(y for _, y in points))
    rates = [x for line in series for x, y in line.points if y is not None]
    if len(set(rates)) < 2:
        return None
    values = [y for line in series for _, y in line.points if y is not None]
    ticks = _linear_ticks(max(rates))
    x = Axis("invocations per second", 0.0, ticks[-1], tuple((tick, f"{tick:g}") for tick in ticks))
    description = f"From {min(rates):.4g} to {max(rates):.4g} per second; up to {units.duration(max(values))}."
    return Chart("Latency by rate", description, x, _time_axis(values), series, bands)


def time_by_cost(spots: Sequence[Spot], front: Pairs, unit: str) -> Chart | None:
    """Times in ns against costs; ``front`` joins the points that none is both cheaper and faster than.

    None where there are fewer than two points.
    """
    if len(spots) < 2:
        return None
    costs = [value for spot in spots for value in (spot.x, *(spot.x_range or ()))]
    times = [value for spot in spots for value in (spot.y, *(spot.y_range or ()))]
    ticks = _linear_ticks(max(costs))
    x = Axis(unit, 0.0, ticks[-1], tuple((tick, f"{tick:g}") for tick in ticks))
    names = ", ".join(spot.name for spot in spots if (spot.x, spot.y) in front)
    series = (Series("none is both cheaper and faster", "a", front),)
    return Chart(
        "Time and cost",
        f"None is both cheaper and faster than {names}.",
        x,
        _time_axis(times),
        series,
        (),
        tuple(spots),
    )


def _curve(view: View, metric: str) -> Pairs:
    distribution = view.phase.metrics.get(metric)
    if distribution is None or not distribution.count or withholding(view, metric, 50.0):
        return ()
    n = distribution.count
    # The interval has both limits while max(q, 1-q)ⁿ ≤ α/2, and ten observations lie above while n(1-q) ≥ 10.
    reach = ((1 - CONFIDENCE) / 2) ** (1 / n)
    low, high = 1 - reach, min(reach, 1 - BEYOND / n)
    if withholding(view, metric, 95.0):
        high = min(high, 0.949)
    ranges = (each.p for each in distribution.percentiles if ranged(each.ends, each.value, distribution.unit))
    high = min(high, min(ranges, default=100.0) / 100 - _BEFORE)
    all_planned = metric == "latency_all"  # what is not ok stands above the ok ones
    ok = min(n, view.phase.metrics["latency"].count) if all_planned else n
    high = min(high, ok / n)
    if low >= high:
        return ()
    start, end = -math.log10(1 - low), -math.log10(1 - high)
    steps = [start + (end - start) * i / (_CURVE_POINTS - 1) for i in range(_CURVE_POINTS)]
    ranks = [min(ok, max(1, math.ceil(n * (1 - 10**-step)))) for step in steps]
    of_ok = view.phase.metrics["latency"] if all_planned else distribution
    values = Histogram.decode(of_ok.histogram).values_at_ranks(ranks)
    return tuple((step, value * 1000.0) for step, value in zip(steps, values, strict=True))


def _over_time(timeline: Timeline, views: Sequence[View], statistic: float | str) -> Pairs:
    blocked = {view.phase.name for view in views if withholding(view, "latency", statistic)}
    pairs = []
    for point in timeline.points:
        value = point.figure_ns(statistic)
        known = None if isinstance(value, Ends) or point.phase in blocked else value
        pairs.append((_middle_s(point.start_ns, point.end_ns), known))
    return _gapped(timeline, pairs)


def _open_over_time(timeline: Timeline, views: Sequence[View]) -> Pairs:
    """Where the load generator leaves a figure open, a stroke over all that it may be, where that has an end.

    A stroke is a line of two points.
    """
    pairs: list[tuple[float, float | None]] = []
    statistics: tuple[float | str, ...] = (50.0, "max", *(() if timeline.upper is None else (timeline.upper,)))
    for statistic in statistics:
        blocked = {view.phase.name for view in views if withholding(view, "latency", statistic)}
        for point in timeline.points:
            ends = point.figure_ns(statistic)
            if isinstance(ends, Ends) and ends.high is not None and point.phase not in blocked:
                at = _middle_s(point.start_ns, point.end_ns)
                pairs += [(at, float(ends.low)), (at, float(ends.high)), (at, None)]
    return tuple(pairs)


def _gapped(timeline: Timeline, pairs: Iterable[tuple[float, float | None]]) -> Pairs:
    """Break the line where one phase ends and another begins."""
    gapped: list[tuple[float, float | None]] = []
    last = None
    for point, pair in zip(timeline.points, pairs, strict=True):
        if last is not None and point.phase != last:
            gapped.append((pair[0], None))
        gapped.append(pair)
        last = point.phase
    return tuple(gapped)


def _phases(timeline: Timeline, views: Sequence[View]) -> tuple[Band, ...]:
    warmups = {view.phase.name for view in views if view.phase.warmup}
    bands: dict[str, Band] = {}
    for point in timeline.points:
        start = bands[point.phase].start if point.phase in bands else point.start_ns / 1e9
        bands[point.phase] = Band(point.phase, start, point.end_ns / 1e9, point.phase in warmups)
    return tuple(bands.values())


def _middle_s(start_ns: int, end_ns: int) -> float:
    return (start_ns + end_ns) / 2e9


def _run_axis(timeline: Timeline) -> Axis:
    end = max(point.end_ns for point in timeline.points) / 1e9
    step = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400) if end / s <= 8), 43200)
    ticks = tuple((float(at), units.span(at * 1_000_000_000)) for at in range(0, int(end) + 1, step))
    return Axis("time since the run began", 0.0, max(end, 1e-3), ticks)


def _time_axis(values_ns: Sequence[float]) -> Axis:
    """A linear scale from 0, or a logarithmic one where a linear one would flatten most of the values."""
    low, high = max(1000.0, min(values_ns)), max(1000.0, *values_ns)
    if high / low <= 20:
        even = _linear_ticks(high)
        return Axis("latency", 0.0, even[-1], tuple((mark, _tick(mark)) for mark in even))
    bottom, top = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
    steps = (1,) if top / bottom > 1000 else (1, 2, 5)
    marks = [float(digit * 10**power) for power in range(3, 15) for digit in steps]
    inner = [mark for mark in marks if bottom <= mark <= top]
    start = max((mark for mark in inner if mark <= low), default=float(bottom))
    end = min((mark for mark in inner if mark >= high), default=float(top))
    ticks = tuple((mark, _tick(mark)) for mark in inner if start <= mark <= end)
    return Axis("latency, logarithmic", start, end, ticks, log=True)


def _linear_ticks(high: float) -> list[float]:
    """Round steps from 0 to the first one not below ``high``."""
    if high <= 0:
        return [0.0, 1.0]
    power = 10 ** math.floor(math.log10(high / 4))
    step = next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power >= high / 4 * 0.999)
    return [i * step for i in range(math.ceil(high / step - 1e-9) + 1)]


def _tick(ns: float) -> str:
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= unit:
            return f"{ns / unit:g}{foreign.GAP}{name}"
    return "0"


def _x(axis: Axis, size: Size, value: float) -> float:
    return _LEFT + axis.at(value) * (size.width - _LEFT - _RIGHT)


def _y(axis: Axis, size: Size, value: float) -> float:
    return size.height - _BOTTOM - axis.at(value) * (size.height - _TOP - _BOTTOM)


def _bands(chart: Chart, size: Size) -> Iterable[str]:
    bottom = size.height - _BOTTOM
    for i, band in enumerate(chart.bands):
        left, right = _x(chart.x, size, band.start), _x(chart.x, size, band.end)
        if band.muted:
            yield (
                f'<rect class="warmup" x="{left:.1f}" y="{_TOP}" width="{max(0, right - left):.1f}" '
                f'height="{bottom - _TOP}"/>'
            )
        if i:
            yield f'<line class="boundary" x1="{left:.1f}" x2="{left:.1f}" y1="{_TOP - 8}" y2="{bottom}"/>'
        room = int((right - left) / 7) - 1
        if room >= 3:
            name = band.name if len(band.name) <= room else band.name[: room - 1] + "…"
            yield f'<text class="band" x="{left + 4:.1f}" y="{_TOP - 10}">{foreign.html(name)}</text>'


def _y_axis(axis: Axis, size: Size) -> Iterable[str]:
    right = size.width - _RIGHT
    for value, label in axis.ticks:
        y = _y(axis, size, value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{foreign.html(label)}</text>'


def _x_axis(axis: Axis, size: Size) -> Iterable[str]:
    bottom = size.height - _BOTTOM
    yield f'<line class="axis" x1="{_LEFT}" x2="{size.width - _RIGHT}" y1="{bottom}" y2="{bottom}"/>'
    last = -math.inf
    for value, label in axis.ticks:
        x = _x(axis, size, value)
        half = len(label) * 3.4
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        if x - half < last + 6:
            continue
        middle = min(x, size.width - half)
        yield f'<text class="tick" text-anchor="middle" x="{middle:.1f}" y="{bottom + 18}">{foreign.html(label)}</text>'
        last = x + half
    middle = (_LEFT + size.width - _RIGHT) / 2
    place = f'x="{middle:.1f}" y="{size.height - 6}"'
    yield f'<text class="axis-title" text-anchor="middle" {place}>{foreign.html(axis.title)}</text>'


def _series(series: Series, chart: Chart, size: Size) -> str:
    runs = [
        [(_x(chart.x, size, x), _y(chart.y, size, y)) for x, y in run if y is not None]
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
        bottom = size.height - _BOTTOM
        return "".join(
            f'<path class="area {style}" d="M{run[0][0]:.1f} {bottom}{_to(run)}L{run[-1][0]:.1f} {bottom}Z"/>'
            for run in runs
        )
    # A line needs two points; a lone one is a dot.
    return "".join(
        f'<path class="line {style}" d="M{_to(run)[1:]}"/>'
        if len(run) > 1
        else f'<circle class="{style}" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="2.2"/>'
        for run in runs
    )


def _spot(spot: Spot, chart: Chart, size: Size) -> str:
    x, y, style = _x(chart.x, size, spot.x), _y(chart.y, size, spot.y), foreign.html(spot.style)
    parts = [f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>']
    if spot.x_range is not None:
        left, right = (_x(chart.x, size, value) for value in spot.x_range)
        parts.append(f'<path class="line {style}" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
    if spot.y_range is not None:
        bottom, top = (_y(chart.y, size, value) for value in spot.y_range)
        parts.append(f'<path class="line {style}" d="M{x:.1f} {bottom:.1f}V{top:.1f}"/>')
    anchor, shift = ("end", -7) if x > size.width - _RIGHT - 60 else ("start", 7)
    name = foreign.html(spot.name)
    parts.append(f'<text class="tick" text-anchor="{anchor}" x="{x + shift:.1f}" y="{y - 6:.1f}">{name}</text>')
    return "".join(parts)


def _to(run: Sequence[tuple[float, float]]) -> str:
    return "".join(f"L{x:.1f} {y:.1f}" for x, y in run)
