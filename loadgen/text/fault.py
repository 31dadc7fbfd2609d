"""What is wrong with a scenario, and where: every fault is located, and all of them are reported at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from loadgen.text import foreign

Path = tuple[str | int, ...]
"""Where a value stands in a document: keys and list indices from the root."""
Found = Iterator[tuple[Path, str]]
"""What rules find: where, and what is wrong."""

_USER = re.compile(r"//[^\s\"']*@")
EXCERPT_WIDTH = 100
GOT_WIDTH = 60


class Place(Struct, frozen=True):
    """A position in something the user wrote.

    ``source`` is a file name or an option such as ``--set seed``. ``line`` and ``column`` count from 1; they are 0
    where there is no line to show. ``text`` is the whole line.
    """

    source: str
    line: int = 0
    column: int = 0
    text: str = ""


class Fault(Struct, frozen=True):
    """One thing that is wrong: what was seen, what was expected, what to do."""

    place: Place
    path: Path
    message: str

    @property
    def line(self) -> int:
        """The line, from 1; 0 where there is none."""
        return self.place.line

    @property
    def column(self) -> int:
        """The column, from 1; 0 where there is none."""
        return self.place.column

    def render(self) -> str:
        """``file.yaml:12:11: phases[1].rate: message``, then the line and a caret under the column."""
        place = self.place
        where = f"{place.source}:{place.line}:{place.column}" if place.line else place.source
        path = f"{written(self.path)}: " if self.path else ""
        head = foreign.line(f"{where}: {path}{self.message}")
        return f"{head}\n{_excerpt(place)}" if place.line and place.text.strip() else head


class ScenarioError(Exception):
    """A scenario that cannot be used; ``faults`` holds everything that is wrong with it, in the order of the file."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults), key=lambda f: (f.place.source, f.line, f.column, f.message)))
        super().__init__(self.render())

    def render(self) -> str:
        """All faults, one after another, as they are shown to the user."""
        return "\n".join(fault.render() for fault in self.faults)


def written(path: Path) -> str:
    """The path as users write it: ``phases[1].rate``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def show(value: object) -> str:
    """A value as a message quotes it: on one line, without control characters, shortened."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        value = _USER.sub("//***@", value)
    text = json.dumps(value) if not isinstance(value, str) or not value.isprintable() else f'"{value}"'
    return text if len(text) <= GOT_WIDTH else text[: GOT_WIDTH - 1] + "…"


def _excerpt(place: Place) -> str:
    """The line with a caret; of a long line only the part around the caret."""
    before = place.column - 1
    cut = max(0, before - EXCERPT_WIDTH // 2) if len(place.text) > EXCERPT_WIDTH else 0
    text = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in place.text[cut : cut + EXCERPT_WIDTH])
    # A tab stays a tab, so that the caret stands under its character however wide tabs are shown.
    indent = "".join("\t" if c == "\t" else " " for c in text[: before - cut])
    return f"{place.line:6} | {text}\n       | {indent}^"
