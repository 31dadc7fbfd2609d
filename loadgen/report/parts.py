"""Where the time of a call goes: waiting to be sent, the way and the platform, and the function itself.

Means add up, percentiles do not: the bar is of means, and is drawn only where each part is told of every ok call.
"""

from __future__ import annotations

from msgspec import Struct

from loadgen.report import units
from loadgen.report.figures import Shown, View, shown
from loadgen.text import foreign

_PARTS = (
    ("lag", "waiting to be sent", "part-b"),
    ("overhead", "way and platform", "part-c"),
    ("duration", "the function", "part-a"),
)
_WIDE, _HIGH = 960, 34
_CHAR = 8
_APART = 0.02  # of the mean, by which the parts may miss it: histograms have three digits


class Parts(Struct, frozen=True):
    """The drawing, its words, and what is said of it."""

    title: str
    description: str
    drawing: str
    note: str


def parts(view: View) -> Parts | None:
    """The mean latency as a bar of its parts; None where one is not known of the same calls, or not shown."""
    names = ("latency", *(name for name, *_ in _PARTS))
    found = [each for name in names if isinstance(each := shown(view, name, "mean"), Shown) and each.ends is None]
    if len(found) < len(names) or len({view.phase.metrics[name].count for name in names}) != 1:
        return None
    whole, values = found[0].value, [each.value for each in found[1:]]
    if not sum(values) or abs(sum(values) - whole) > _APART * whole:
        return None
    said = [
        f"{words} {units.duration(value)} ({units.share(value, sum(values))})"
        for (_, words, _), value in zip(_PARTS, values, strict=True)
    ]
    tails = [said_of for p in (50.0, 95.0, 99.0) if (said_of := _at(view, p))]
    note = f"{units.duration(whole)} on average: {', '.join(said)}."
    if tails:
        note += f" Percentiles do not add up. {'; '.join(tails)}."
    return Parts(
        "Mean latency",
        f"Of {units.duration(whole)} on average: {', '.join(said)}.",
        _drawing(values, said),
        note,
    )


def _at(view: View, p: float) -> str:
    """The parts at a percentile, empty where one is not shown."""
    found = [shown(view, name, p) for name, *_ in _PARTS]
    if not all(isinstance(each, Shown) for each in found):
        return ""
    listed = (f"{words} {each}" for (_, words, _), each in zip(_PARTS, found, strict=True))
    return f"{units.percentile(p)}: {', '.join(listed)}"


def _drawing(values: list[int], said: list[str]) -> str:
    at, rects = 0.0, []
    for (_, _, style), value, text in zip(_PARTS, values, said, strict=True):
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
