"""The charts of a run: what of a Summary and its interval log may be drawn, as ``drawing`` draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from loadgen.invocation.outcome import OK
from loadgen.invocation.start import COLD, WARM
from loadgen.measure.histogram import Histogram, highest, lowest
from loadgen.measure.percentile import BEYOND, CONFIDENCE
from loadgen.measure.rule import MetricRule
from loadgen.measure.summary import Ends, MetricSummary, Summary
from loadgen.report import units
from loadgen.report.drawing import (
    Axis,
    Band,
    Chart,
    Limit,
    Pairs,
    Series,
    Spot,
    linear_ticks,
    log_time_axis,
    run_axis,
    time_axis,
)
from loadgen.report.figures import Shown, View, ranged, shown, withholding
from loadgen.report.planned import planned
from loadgen.report.timeline import Point, Timeline
from loadgen.report.why import rule_of

_CURVE_POINTS = 160
_NINES = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
_GRID = 180  # points of a density
_NARROWEST = 0.015  # bandwidth of a density, in decades: about what a histogram of three digits can tell apart
_OPEN = "left open by the generator"


def percentile_curve(view: View) -> Chart | None:
    """Latency by percentile, on an axis that gives every further nine the same room.

    A curve ends where the sample no longer bounds the percentile, or where the Verdict withholds the tail, and has a
    gap around a percentile that the load generator leaves open (a range), to its neighbours that it does not; that of
    latency_all ends also where the calls begin that are not ok. None when no
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
    spots = [spot for spot in _listed(view) if spot.x <= furthest]
    ticks = tuple((-math.log10(1 - q), units.percentile(round(100 * q, 6))) for q in _NINES)
    x = Axis("percentile", 0.0, max(furthest, 1.0), tuple(t for t in ticks if t[0] <= max(furthest, 1.0) + 1e-9))
    values = [y for line in series for _, y in line.points if y is not None]
    values += [y for spot in spots for y in spot.y_range or ()]
    ends = "; ".join(
        f"{line.name} from {units.duration(line.points[0][1] or 0)} to {units.duration(line.points[-1][1] or 0)}"
        for line in series
    )
    calls = "Of the ok invocations"
    if failing := view.phase.planned - view.phase.outcomes.get(OK, 0):
        share = units.share(failing, view.phase.planned)
        calls += f"; latency_all is over all planned, and ends where the {share} begin that are not ok"
    band = [_band(spots)] if len(spots) > 1 else []
    return Chart(
        "Latency by percentile",
        f"{calls}: {ends}.",
        x,
        time_axis(values),
        (*band, *reversed(series)),
        spots=tuple(spots),
        note="Every further nine has the same room. The band joins the 95 % intervals of the percentiles of latency "
        "that are marked; a curve ends where the sample no longer bounds it.",
    )


def _listed(view: View) -> list[Spot]:
    """The percentiles of latency that are shown, with their intervals."""
    metric = view.phase.metrics.get("latency")
    spots = []
    for item in () if metric is None else metric.percentiles:
        found = shown(view, "latency", item.p)
        if isinstance(found, Shown) and found.ends is None and found.low is not None and found.high is not None:
            interval = f" ({found.interval})" if found.interval else ""
            tip = f"{units.percentile(item.p)} of latency {found}{interval}"
            at, ends = -math.log10(1 - item.p / 100), (float(found.low), float(found.high))
            spots.append(Spot("", "a", at, float(found.value), None, ends, tip=tip))
    return spots


def _band(spots: Sequence[Spot]) -> Series:
    ends = [(spot.x, spot.y_range or (spot.y, spot.y)) for spot in spots]
    lower, upper = (tuple((x, pair[side]) for x, pair in ends) for side in (0, 1))
    return Series("95 % interval", "a", lower, "ribbon", upper)


def latency_over_time(timeline: Timeline, views: Sequence[View], limits: Sequence[Limit] = ()) -> Chart | None:
    """Percentiles and the maximum of latency over time, with the limits of rules; None when none may be shown.

    On a logarithmic scale. A percentile is drawn where most points support it.
    """
    series = over_time(timeline, views)
    open_ = tuple(
        pair for at, low, high in open_over_time(timeline, views) for pair in ((at, low), (at, high), (at, None))
    )
    values = [y for line in (*series, Series(_OPEN, "", open_)) for _, y in line.points if y]  # an end at 0 is none
    if not values:
        return None
    drawn = [Series(_OPEN, "open", open_)] if open_ else []
    lengths = f"{timeline.width_s} s" if timeline.width_s > 1 else "second"
    highest_ = [y for _, y in series[0].points if y is not None]
    reaches = f"; the maximum reaches {units.duration(max(highest_))}" if highest_ else ""
    axis = log_time_axis([*values, *(limit.value for limit in limits)])
    return Chart(
        "Latency over time",
        f"Latency of ok invocations in every {lengths}{reaches}.",
        run_axis(_end_s(timeline)),
        axis,
        (*drawn, *series),
        bands(timeline, views),
        limits=tuple(limits),
    )


def over_time(timeline: Timeline, views: Sequence[View]) -> list[Series]:
    """The maximum and percentiles over time, the highest first; None where a point does not tell one."""
    upper = [p for p in (99.0, 95.0) if timeline.upper is not None and p <= timeline.upper]
    if timeline.upper == 90.0:
        upper = [90.0]
    lines = [Series("max", "max", _over_time(timeline, views, "max"), "dots")]
    for p, style in zip(
        [*upper, 50.0], (["p99", "p95"] if len(upper) > 1 else ["p95"] * len(upper)) + ["p50"], strict=True
    ):
        lines.append(Series(units.percentile(p), style, _over_time(timeline, views, p), label=units.percentile(p)))
    return lines


def latency_limits(summary: Summary, timeline: Timeline) -> list[Limit]:
    """The limits of rules about latency, each over the phase that it is about."""
    spans = {band.name: band for band in bands(timeline, ())}
    found = []
    for result in summary.thresholds:
        rule = rule_of(result)
        if (
            isinstance(rule, MetricRule)
            and rule.metric.value in ("latency", "latency_all")
            and rule.start is None
            and rule.call is None
            and (rule.phase is None or rule.phase in spans)
        ):
            span = None if rule.phase is None else spans[rule.phase]
            name = rule.text.partition(":")[2] if span else rule.text
            start, end = (None, None) if span is None else (span.start, span.end)
            found.append(Limit(name, float(rule.limit_ns), start, end))
    return found


def failed_over_time(timeline: Timeline, views: Sequence[View]) -> Chart | None:
    """What was not ok per second, None where everything was."""
    failed = _rates(timeline, lambda point: point.failed_per_s)
    worst = max((y for _, y in failed if y is not None), default=0.0)
    if not worst:
        return None
    ticks = linear_ticks(worst)
    y = Axis("not ok per second", 0.0, ticks[-1], ((0.0, "0"), (ticks[-1], f"{ticks[-1]:g}")))
    return Chart(
        "Not ok per second",
        f"Up to {units.rate(worst)}.",
        run_axis(_end_s(timeline)),
        y,
        (Series("not ok", "bad", failed, "area"),),
        bands(timeline, views),
        height=130,
    )


def rate_over_time(
    timeline: Timeline, views: Sequence[View], scenario: dict[str, object] | None = None
) -> Chart | None:
    """Planned, started, ended and failed invocations per second over time, None when there is no timeline.

    What was planned is known of phases whose rate a scenario writes.
    """
    ok = _rates(timeline, lambda point: point.ok_per_s)
    failed = _rates(timeline, lambda point: point.failed_per_s)
    values = [y for points in (ok, failed) for _, y in points if y is not None]
    if not values:
        return None
    series = [Series("ok per second", "a", ok)]
    worst = max((y for _, y in failed if y is not None), default=0)
    if worst:
        series.insert(0, Series("not ok per second", "bad", failed, "area"))
    started = _rates(timeline, lambda point: point.started_per_s)
    if any(y is not None for _, y in started):
        series.append(Series("started per second", "b", started))
    plan = _planned(timeline, scenario or {})
    if plan:
        series.insert(0, Series("planned per second", "plan", plan))
    values += [y for _, y in (*started, *plan) if y is not None]
    ticks = linear_ticks(max(values))
    y = Axis(
        "invocations per second", 0.0, ticks[-1], tuple((tick, units.rate(tick).removesuffix("/s")) for tick in ticks)
    )
    description = f"Up to {units.rate(max((y or 0) for _, y in ok))} ok and {units.rate(worst)} not ok."
    return Chart(
        "Rate over time", description, run_axis(_end_s(timeline)), y, tuple(series), bands(timeline, views), height=240
    )


def _planned(timeline: Timeline, scenario: dict[str, object]) -> Pairs:
    pairs: list[tuple[float, float | None]] = []
    begins = {band.name: band.start for band in bands(timeline, ())}
    for name, curve in planned(scenario).items():
        if name in begins:
            pairs += [(begins[name] + at_s, per_s) for at_s, per_s in curve]
            pairs.append((pairs[-1][0], None))
    return tuple(pairs)


class Times(Struct, frozen=True):
    """The times of calls of one kind, and their median where it is shown; ``style`` is that of the style sheet."""

    name: str
    style: str
    counted: Histogram
    median: Shown | None


def beside(all_times: Sequence[Times]) -> Chart | None:
    """Distributions of times on one logarithmic axis, None where one has too few calls to be drawn.

    Each has its own height: what is compared is where they lie.
    """
    if any(times.counted.count < BEYOND for times in all_times):
        return None
    values = [1000.0 * (lowest(at) + highest(at)) / 2 for times in all_times for at in times.counted.counts]
    x = log_time_axis(values, "time")
    series, spots = [], []
    for times in all_times:
        points, median = density(times.counted, x), times.median
        known = median is not None and median.low is not None and median.high is not None
        series.append(Series(times.name, times.style, points, "area", label="" if known else times.name))
        if median is None or median.low is None or median.high is None:
            continue
        text = f"{times.name} {median} ({median.interval})"
        height = next(y or 0.0 for at, y in points if at >= median.value)
        ends = (float(median.low), float(median.high))
        tip = f"median of {units.count(times.counted.count)} {text}"
        spots.append(Spot(text, times.style, float(median.value), height / 2, ends, None, tip=tip, bold=True))
    said = " and ".join(spot.name for spot in spots)
    names = " and ".join(times.name for times in all_times)
    return Chart(
        f"{names.capitalize()} beside each other",
        f"How the times of {names} calls are distributed{f'; medians: {said}' if said else ''}.",
        x,
        Axis("", 0.0, 1.02, ()),
        tuple(series),
        spots=tuple(spots),
        note="Each has its own height: what is compared is where they lie. A mark is the median, its bar the 95 % "
        "interval.",
        height=200,
    )


def cold_beside_warm(view: View) -> Chart | None:
    """Latency of cold and of warm calls, None where there are too few of either, or they are withheld."""
    both = []
    for start in (WARM, COLD):
        found = view.phase.by_start.get(start, {}).get("latency")
        if found is None or withholding(view, "latency", "max", start) or withholding(view, "latency", 50.0, start):
            return None
        median = shown(view, "latency", 50.0, start)
        known = median if isinstance(median, Shown) and median.ends is None else None
        both.append(Times(start, start, Histogram.decode(found.histogram), known))
    return beside(both)


def density(times: Histogram, axis: Axis) -> Pairs:
    """The density of the logarithm of a time, 1 where it is highest; by a normal kernel, as wide as Silverman's rule.

    Source: B. W. Silverman, Density Estimation, 1986, 3.4.2 (0.9 min(s, IQR/1.34) n^-1/5).
    """
    logs = sorted((math.log10(max(1.0, (lowest(at) + highest(at)) / 2) * 1000), n) for at, n in times.counts.items())
    count = times.count
    mean = sum(at * n for at, n in logs) / count
    deviation = math.sqrt(sum(n * (at - mean) ** 2 for at, n in logs) / count)
    quarters = [math.log10(max(1, value) * 1000) for value in times.values_at((25.0, 75.0))]
    scale = min([each for each in (deviation, (quarters[1] - quarters[0]) / 1.34) if each > 0], default=0.0)
    wide = max(_NARROWEST, 0.9 * scale * count**-0.2)
    start, end = math.log10(axis.low), math.log10(axis.high)
    grid = [start + (end - start) * i / (_GRID - 1) for i in range(_GRID)]
    heights = [
        sum(n * math.exp(-(((at - where) / wide) ** 2) / 2) for at, n in logs if abs(at - where) < 4 * wide)
        for where in grid
    ]
    top = max(heights) or 1.0
    return tuple(
        (10**at, height / top if height > top / 1000 else 0.0) for at, height in zip(grid, heights, strict=True)
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
    gaps = list(_gaps(distribution))
    points = [
        (step, None if any(low < 1 - 10**-step < high for low, high in gaps) else value * 1000.0)
        for step, value in zip(steps, values, strict=True)
    ]
    known = [at for at, (_, value) in enumerate(points) if value is not None]
    return tuple(points[known[0] : known[-1] + 1]) if known else ()


def _gaps(distribution: MetricSummary) -> Iterator[tuple[float, float]]:
    """From which share to which a curve may not be drawn: between the percentiles around each that is a range."""
    found = sorted(distribution.percentiles, key=lambda each: each.p)
    single = [each.p / 100 for each in found if not ranged(each.ends, each.value, distribution.unit)]
    for each in found:
        share = each.p / 100
        if share not in single:
            yield (
                max((p for p in single if p < share), default=-1.0),
                min((p for p in single if p > share), default=2.0),
            )


def _over_time(timeline: Timeline, views: Sequence[View], statistic: float | str) -> Pairs:
    blocked = {view.phase.name for view in views if withholding(view, "latency", statistic)}
    pairs = []
    for point in timeline.points:
        value = point.figure_ns(statistic)
        known = None if isinstance(value, Ends) or point.phase in blocked else value
        pairs.append((_middle_s(point.start_ns, point.end_ns), known))
    return _gapped(timeline, pairs)


def open_over_time(timeline: Timeline, views: Sequence[View]) -> list[tuple[float, float, float]]:
    """Where the load generator leaves a figure open: when, and all that it may be, where that has an end."""
    strokes = []
    statistics: tuple[float | str, ...] = (50.0, "max", *(() if timeline.upper is None else (timeline.upper,)))
    for statistic in statistics:
        blocked = {view.phase.name for view in views if withholding(view, "latency", statistic)}
        for point in timeline.points:
            ends = point.figure_ns(statistic)
            if isinstance(ends, Ends) and ends.high is not None and point.phase not in blocked:
                strokes.append((_middle_s(point.start_ns, point.end_ns), float(ends.low), float(ends.high)))
    return strokes


def _rates(timeline: Timeline, rate: Callable[[Point], float | None]) -> Pairs:
    return _gapped(timeline, ((_middle_s(point.start_ns, point.end_ns), rate(point)) for point in timeline.points))


def _gapped(timeline: Timeline, pairs: Iterable[tuple[float, float | None]]) -> Pairs:
    """Break the line where one phase ends and another begins."""
    gapped: list[tuple[float, float | None]] = []
    last: str | None = None
    for point, pair in zip(timeline.points, pairs, strict=True):
        if last is not None and point.phase != last:
            gapped.append(((gapped[-1][0] + pair[0]) / 2, None))
        gapped.append(pair)
        last = point.phase
    return tuple(gapped)


def bands(timeline: Timeline, views: Sequence[View]) -> tuple[Band, ...]:
    """The phases on the time axis."""
    warmups = {view.phase.name for view in views if view.phase.warmup}
    found: dict[str, Band] = {}
    for point in timeline.points:
        start = found[point.phase].start if point.phase in found else point.start_ns / 1e9
        found[point.phase] = Band(point.phase, start, point.end_ns / 1e9, point.phase in warmups)
    return tuple(found.values())


def _middle_s(start_ns: int, end_ns: int) -> float:
    return (start_ns + end_ns) / 2e9


def _end_s(timeline: Timeline) -> float:
    return max(point.end_ns for point in timeline.points) / 1e9
