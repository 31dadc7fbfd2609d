"""The two pictures of a comparison as inline SVG: percentile curves with bands, and a dot for each ratio.

Each is drawn twice, for a wide and a narrow screen, because text in a scaled drawing scales with it; the style sheet of
the page shows one of them, and gives all colours. What says something by its colour says it by its shape, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from loadgen.comparison.comparison import BETTER, SAME, UNCLEAR, WORSE, Row
from loadgen.comparison.pairs import Beside
from loadgen.comparison.text import change, name_of
from loadgen.invocation.outcome import OK
from loadgen.measure.histogram import Histogram
from loadgen.report import units
from loadgen.report.figures import Shown, View, shown
from loadgen.text import foreign
from loadgen.text.foreign import GAP
from loadgen.text.units import NS_PER_US

MOST_ROWS = 40
"""Ratios that are drawn; the table has all."""
_POINTS = 300
_NINES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 54, 14, 34
_FURTHEST = 4.0
_RATIOS = (0.25, 0.33, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0)
_EDGE = 26
_APART = 42
"""Pixels that two labels of an axis are apart at least."""


class Size(NamedTuple):
    """The width of a drawing in pixels, and the room for names left and words right of its dots."""

    name: str
    width: int
    height: int
    names: int
    words: int


WIDE = Size("wide", 960, 330, 270, 250)
NARROW = Size("narrow", 360, 270, 0, 0)


class Curve(NamedTuple):
    """Times in ns by percentile, these as log₁₀ of 1/(1 - p), and the 95 % limits of those that have some."""

    points: list[tuple[float, float]]
    limits: list[tuple[float, float, float]]


def curves(at: Beside, size: Size, number: int) -> str:
    """The percentile curves of both runs; empty where neither may be shown. ``number`` makes ids unique."""
    failures = any(view.phase.planned > view.phase.outcomes.get(OK, 0) for view in (at.base, at.new))
    metric = "latency_all" if failures else "latency"
    both = {name: curve for name, view in (("base", at.base), ("new", at.new)) if (curve := _curve(view, metric))}
    if not both:
        return ""
    x_most = max(curve.points[-1][0] for curve in both.values())
    every = [y for curve in both.values() for _, y in curve.points]
    every += [y for curve in both.values() for _, *ys in curve.limits for y in ys]
    low, high = min(every), max(every) * 1.05
    room = size.width - _LEFT - _RIGHT
    tall = size.height - _TOP - _BOTTOM

    def x(step: float) -> float:
        return _LEFT + room * step / x_most

    def y(ns: float) -> float:
        return _TOP + tall * (1 - math.log(ns / low) / math.log(high / low))

    inner = list(_time_axis(low, high, y, size))
    last = -math.inf
    for p in _NINES:
        if (step := _step(p)) <= x_most and x(step) - last >= _APART:
            last = x(step)
            inner.append(f'<line class="grid" x1="{last:.1f}" x2="{last:.1f}" y1="{_TOP}" y2="{_TOP + tall}"/>')
            inner.append(_text(last, size.height - 14, units.percentile(p), "middle"))
    ends = {name: y(curve.points[-1][1]) for name, curve in both.items()}
    for name, curve in both.items():
        if len(curve.limits) > 1:
            upper = " ".join(f"{x(step):.1f},{y(top):.1f}" for step, _, top in curve.limits)
            lower = " ".join(f"{x(step):.1f},{y(bottom):.1f}" for step, bottom, _ in reversed(curve.limits))
            inner.append(f'<polygon class="limits {name}" points="{upper} {lower}"/>')
        line = " ".join(f"{x(step):.1f},{y(ns):.1f}" for step, ns in curve.points)
        inner.append(f'<polyline class="line {name}" points="{line}"/>')
        other = next((ends[each] for each in ends if each != name), math.inf)
        below = ends[name] > other or (ends[name] == other and name == "base")
        apart = max(0.0, 7 - abs(ends[name] - other) / 2)
        height = min(size.height - _BOTTOM, ends[name] + 4 + (apart if below else -apart))
        inner.append(_text(x(curve.points[-1][0]) + 5, height, name, style=f"word {name}"))
    where = f" of {at.phase}" if at.phase != "totals" else ""
    title = f"{metric} by percentile{where}, base and new"
    said = "; ".join(f"{name} {_told(view, metric)}" for name, view in (("base", at.base), ("new", at.new)))
    return _drawing(size, f"curves-{number}", title, said, inner, size.height)


def ratios(rows: Sequence[Row], noise: float, size: Size, number: int) -> str:
    """A dot and an interval for each row that has some, in their order; empty where none has."""
    known = [row for row in rows if has_ratio(row)][:MOST_ROWS]
    if not known:
        return ""
    lows = [row.low for row in known if row.low]
    highs = [row.high for row in known if row.high is not None]
    low = max(1 / _FURTHEST, min(0.8, 1 / (1 + noise), *lows) * 0.97)
    high = min(_FURTHEST, max(1.25, 1 + noise, *highs) * 1.03)
    left, right = _EDGE + size.names, size.width - _EDGE - size.words
    each, above = (26, 0) if size.names else (44, 16)
    top, bottom = 30, 30 + each * len(known)

    def x(ratio: float) -> float:
        inside = min(high, max(low, ratio))
        return left + (right - left) * math.log(inside / low) / math.log(high / low)

    start, end = x(1 / (1 + noise)), x(1 + noise)
    inner = [
        f'<rect class="noise" x="{start:.1f}" y="{top}" width="{end - start:.1f}" height="{bottom - top}"/>',
        _text(x(1), 12, f"noise ±{100 * noise:.3g}{GAP}%", "middle"),
    ]
    last = -math.inf
    for ratio in _RATIOS:
        if low <= ratio <= high and (ratio == 1 or (x(ratio) - last >= _APART and abs(x(ratio) - x(1)) >= _APART)):
            last = x(ratio)
            style = "one" if ratio == 1 else "grid"
            inner.append(f'<line class="{style}" x1="{last:.1f}" x2="{last:.1f}" y1="{top}" y2="{bottom}"/>')
            inner.append(_text(last, bottom + 16, f"× {ratio:g}", "middle"))
    for n, row in enumerate(known):
        inner += _dot(row, top + each * n + each / 2 + above / 2, x, (left, right), size)
    counted = ", ".join(
        f"{count} {verdict}"
        for verdict in (WORSE, UNCLEAR, BETTER, SAME)
        if (count := sum(row.verdict == verdict for row in known))
    )
    title = "Ratios new / base, on a logarithmic axis"
    return _drawing(size, f"ratios-{number}", title, f"{counted}; all values are in the table", inner, bottom + 26)


def has_ratio(row: Row) -> bool:
    """Whether there is something to draw of a row: nothing of one that is not known, or was or is 0."""
    return bool(row.ratio) and row.low is not None


def _dot(row: Row, y: float, x: Callable[[float], float], sides: tuple[float, float], size: Size) -> Iterator[str]:
    assert row.ratio is not None
    low, high = x(row.low or 0.0), x(math.inf if row.high is None else row.high)
    at = x(row.ratio)
    yield f'<line class="interval {row.verdict}" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    shapes = {
        WORSE: f'<path class="mark worse" d="M{at:.1f} {y - 6:.1f}l6 11h-12z"/>',
        BETTER: f'<path class="mark better" d="M{at:.1f} {y + 6:.1f}l6 -11h-12z"/>',
        SAME: f'<circle class="mark same" cx="{at:.1f}" cy="{y:.1f}" r="3.5"/>',
        UNCLEAR: f'<circle class="mark unclear" cx="{at:.1f}" cy="{y:.1f}" r="4.5"/>',
    }
    beyond = {sides[0]: "l9 -5v10z", sides[1]: "l-9 -5v10z"}.get(at) if row.ratio != 1 else None
    yield (
        shapes[row.verdict]
        if beyond is None
        else (f'<path class="mark {row.verdict}" d="M{at + (-7 if at == sides[0] else 7):.1f} {y:.1f}{beyond}"/>')
    )
    words = f"{row.verdict} {change(row)}"
    if size.names:
        yield _text(sides[0] - 10, y + 4, name_of(row, 40), "end", "name")
        yield _text(sides[1] + 10, y + 4, words, style=f"word {row.verdict}")
    else:
        yield _text(sides[0], y - 11, name_of(row, 28), style="name")
        yield _text(sides[1], y - 11, _short(row), "end", f"word {row.verdict}")


def _short(row: Row) -> str:
    assert row.ratio is not None
    return f"{row.verdict} {100 * (row.ratio - 1):+.{0 if abs(row.ratio - 1) > 0.0995 else 1}f}{GAP}%"


def _curve(view: View, metric: str) -> Curve | None:
    """The curve up to the last percentile that the run lists and a report shows as one number."""
    found = view.phase.metrics.get(metric)
    ok = view.phase.metrics.get("latency")
    if found is None or ok is None or not found.count or not ok.histogram:
        return None
    listed = []
    for each in found.percentiles:
        figure = shown(view, metric, each.p)
        if not isinstance(figure, Shown) or figure.ends is not None or figure.failed:
            break
        listed.append((_step(each.p), figure))
    if not listed:
        return None
    steps = [listed[-1][0] * n / (_POINTS - 1) for n in range(_POINTS)]
    # what is not ok stands above every ok call, and begins behind the last of these percentiles
    ranks = [min(ok.count, max(1, math.ceil(found.count * (1 - 10**-step)))) for step in steps]
    values = Histogram.decode(ok.histogram).values_at_ranks(ranks)
    limits = [
        (step, float(max(NS_PER_US, figure.low)), float(figure.high))
        for step, figure in listed
        if figure.low is not None and figure.high is not None and not figure.high_at_least
    ]
    return Curve([(step, max(1.0, us) * NS_PER_US) for step, us in zip(steps, values, strict=True)], limits)


def _told(view: View, metric: str) -> str:
    """The percentiles of a run in words."""
    return ", ".join(f"{units.percentile(p)} {shown(view, metric, p)}" for p in (50.0, 95.0, 99.0))


def _step(p: float) -> float:
    """Where a percentile stands: every further nine takes the same room, as in HdrHistogram's plots."""
    return -math.log10(max(1e-12, 1 - p / 100))


def _time_axis(low: float, high: float, y: Callable[[float], float], size: Size) -> Iterator[str]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(1 + n / 10 for n in range(90))):
        ticks = [part * 10.0**decade for decade in decades for part in parts if low <= part * 10.0**decade <= high]
        if len(ticks) >= 3:
            break
    for ns in ticks[:: max(1, len(ticks) // 6)]:
        yield f'<line class="grid" x1="{_LEFT}" x2="{size.width - _RIGHT}" y1="{y(ns):.1f}" y2="{y(ns):.1f}"/>'
        yield _text(_LEFT - 7, y(ns) + 4, units.duration(round(ns)), "end")


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{foreign.html(text)}</text>'


def _drawing(size: Size, name: str, title: str, described: str, inner: Sequence[str], height: float) -> str:
    ids = f"{name}-{size.name}"
    return "\n".join(
        [
            f'<svg class="{size.name}" viewBox="0 0 {size.width} {height:.0f}" role="img" '
            f'aria-labelledby="{ids}-title {ids}-desc">',
            f'<title id="{ids}-title">{foreign.html(title)}</title>',
            f'<desc id="{ids}-desc">{foreign.html(described)}</desc>',
            *inner,
            "</svg>",
        ]
    )
