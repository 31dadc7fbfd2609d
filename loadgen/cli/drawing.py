"""The rows of the live display, as lines of a terminal of some width. Pure.

A row wraps at its blanks and nowhere else: a number and its unit, which a no-break space holds together, stay on one
line. What is wider than the terminal by itself is cut before its first digit, and shows it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from msgspec import Struct

from loadgen.text.foreign import GAP

Line = list[tuple[str, str]]
"""Texts and the style of each: that of rich, such as ``bold`` or ``red``."""

LABEL = 11
"""Columns of the labels, with what is between them and the text."""
_NARROW = 40  # below it labels have no column of their own
_INDENT = 2
_BAR_WIDTH, _TREND_WIDTH = 20, 30
_BAR, _PLAIN_BAR = ("█", "░"), ("#", ".")
_LEVELS, _PLAIN_LEVELS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
_DIM = "dim"
_NUMBER = re.compile(r"\d.*", re.DOTALL)
"""A number and what follows it: half of one would be another."""


class Row(Struct, frozen=True):
    """A row: a label, and a text behind what is drawn.

    ``bar`` is the share of a bar that is full, ``trend`` are values, the latest last, None where there is none.
    """

    label: str
    text: str
    style: str = ""
    bar: float | None = None
    trend: tuple[float | None, ...] = ()


def lines(rows: Iterable[Row], width: int, *, plain: bool = False) -> list[Line]:
    """The lines of rows on a terminal with so many columns; ``plain`` draws in ASCII."""
    return [line for row in rows for line in _lines(row, max(1, width), plain=plain)]


def wrapped(text: str, width: int, rest: int | None = None) -> list[str]:
    """A text in lines of at most so many columns, or of ``rest`` from the second on; broken at blanks alone.

    A word that is wider than a line is cut, before its first digit where it has one.
    """
    done: list[str] = []
    line, room = "", width
    for word in text.split(" "):
        if line and cells(line) + 1 + cells(word) <= room:
            line += f" {word}"
            continue
        if line:
            done.append(line)
            room = width if rest is None else rest
        line = _cut(word, room)
    return [*done, line]


def folded(text: str, width: int) -> str:
    """A message in lines of so many columns; words that are wider, such as paths, stay whole to be copied."""
    done: list[str] = []
    line = ""
    for word in text.split(" "):
        indent = " " * _INDENT if done else ""
        if line and cells(indent + line) + 1 + cells(word) > width:
            done.append(indent + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*done, (" " * _INDENT if done else "") + line])


def cells(text: str) -> int:
    """How many columns a text takes; combining characters are counted, too, so that it never takes more."""
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def _lines(row: Row, width: int, *, plain: bool) -> Iterator[Line]:
    label = LABEL if width >= _NARROW else 0
    room = width - label
    drawn = "".join(
        [
            "" if row.bar is None else _bar(row.bar, min(_BAR_WIDTH, room // 2), plain=plain),
            _trend(row.trend[-min(_TREND_WIDTH, room) :], plain=plain),
        ]
    )
    text = f"{drawn} {row.text}" if drawn else row.text
    if not label:
        first, *others = wrapped(f"{row.label} {text}", width, max(1, width - _INDENT))
        yield [(first, row.style)]
        yield from ([(" " * min(_INDENT, width - 1) + other, row.style)] for other in others)
        return
    for number, part in enumerate(wrapped(text, room)):
        yield [((row.label if not number else "").ljust(label), _DIM), (part, row.style)]


def _bar(share: float, length: int, *, plain: bool) -> str:
    full, empty = _PLAIN_BAR if plain else _BAR
    filled = int(length * min(1.0, max(0.0, share)))
    return full * filled + empty * (length - filled)


def _trend(values: tuple[float | None, ...], *, plain: bool) -> str:
    """One character for each value, from nothing to the largest of them."""
    levels = _PLAIN_LEVELS if plain else _LEVELS
    largest = max((value for value in values if value), default=0.0)
    top = len(levels) - 1
    return "".join(GAP if value is None else levels[round(top * value / largest) if largest else 0] for value in values)


def _cut(word: str, room: int) -> str:
    if cells(word) <= room:
        return word
    kept = word
    while kept and cells(kept) > room - 1:
        kept = kept[:-1]
    return f"{_NUMBER.sub('', kept)}…"
