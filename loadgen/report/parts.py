"""Where the time of a call goes: waiting to be sent, the way and the platform, and the function itself.

Means add up, percentiles do not: the bar is of means, and is drawn only where each part is told of every ok call.
"""

from __future__ import annotations

from msgspec import Struct

from loadgen.report import units
from loadgen.report.figures import Shown, View, shown
from loadgen.text import foreign

_PARTS = (
    ("lag", "waiting to be sent", "part-b", "b"),
    ("overhead", "way and platform", "part-c", "c"),
    ("duration", "the function", "part-a", "a"),
)
_WIDE, _HIGH = 960, 34
_CHAR = 8


class Parts(Struct, frozen=True):
    """The drawing, its words, and what is said of it."""

    title: str
    description: str
    drawing: str
    keys: tuple[tuple[str, str], ...]
    note: str


def parts(view: View) -> Parts | None:
    """The mean latency as a bar of its parts; None where one is not known of every call, or not shown."""
    latency = view.phase.metrics.get("latency")
    whole = shown(view, "latency", "mean")
    found = [shown(view, name, "mean") for name, *_ in _PARTS]
    counts = {
        metric.count + metric.disturbed
        for name in ("latency", *(name for name, *_ in _PARTS))
        if (metric := view.phase.metrics.get(name)) is not None
    }
    if latency is None or len(counts) != 1 or not isinstance(whole, Shown) or whole.ends is not None:
        return None
    values = [each.value for each in found if isinstance(each, Shown) and each.ends is None]
    if len(values) < len(_PARTS) or not sum(values):
        return None
    said = [
        f"{words} {units.duration(value)} ({units.share(value, sum(values))})"
        for (_, words, *_), value in zip(_PARTS, values, strict=True)
    ]
    tails = [said_of for p in (50.0, 95.0, 99.0) if (said_of := _at(view, p))]
    note = f"{units.duration(sum(values))} on average: {', '.join(said)}."
    if tails:
        note += f" Percentiles do not add up. {'; '.join(tails)}."
    return Parts(
        "Mean latency",
        f"Of {units.duration(sum(values))} on average: {', '.join(said)}.",
        _drawing(values, said),
        (),
        note,
    )


def _at(view: View, p: float) -> str:
    """The parts at a percentile, empty where one is not shown."""
    found = [shown(view, name, p) for name, *_ in _PARTS]
    if not all(isinstance(each, Shown) for each in found):
        return ""
    listed = (f"{words} {each}" for (_, words, *_), each in zip(_PARTS, found, strict=True))
    return f"{units.percentile(p)}: {', '.join(listed)}"


def _drawing(values: list[int], said: list[str]) -> str:
    at, rects = 0.0, []
    for (_, _, style, _), value, text in zip(_PARTS, values, said, strict=True):
        wide = _WIDE * value / sum(values)
        rects.append(
            f'<g class="mark" data-tip="{foreign.html(text)}"><rect class="shape {style}" x="{at:.1f}" y="0" '
            f'width="{wide:.1f}" height="{_HIGH}"/></g>'
        )
        if wide > _CHAR * len(text) + 20:
            rects.append(f'<text class="on-bar" x="{at + 10:.1f}" y="{_HIGH - 12}">{foreign.html(text)}</text>')
        at += wide
    label = foreign.html(f"Of the mean latency: {', '.join(said)}.")
    return (
        f'<svg class="chart bar" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{label}">{"".join(rects)}</svg>'
    )
