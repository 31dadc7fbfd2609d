"""The section of a report that belongs to one kind of run."""

from __future__ import annotations

from msgspec import Struct

from loadgen.experiments import registry
from loadgen.measure.summary import Summary
from loadgen.report import tables
from loadgen.report.drawing import Chart
from loadgen.report.tables import Table

NEXT = "Next:"
"""What the note that says what would help begins with."""


class Tile(Struct, frozen=True):
    """A figure that stands in large type: what it is, its value and a smaller line below, in a tone of tables.

    ``link`` is the id of the part of the page that says more, ``hint`` a definition.
    """

    label: str
    value: str
    detail: str = ""
    tone: str = ""
    link: str = ""
    hint: str = ""


class Section(Struct, frozen=True):
    """Tables and pictures, the answer first; of pictures those that are drawn stand above everything else.

    ``mixed`` says that the run's invocations are of different things, so that times of all of them mean nothing.
    """

    tables: tuple[Table, ...] = ()
    pictures: tuple[Chart | None, ...] = ()
    tiles: tuple[Tile, ...] = ()
    mixed: bool = False


class Answer(Struct, frozen=True):
    """What an experiment found out, as a sentence without its capital and full stop.

    ``found`` is False where it says why there is no answer.
    """

    sentence: str
    found: bool = True


def section(summary: Summary) -> Section:
    """What the run found out; empty where that is nothing."""
    return registry.section(summary) or Section()


def next_line(sentence: str) -> tuple[str, ...]:
    """What would make an answer better, as the first note of its table; none where nothing is said."""
    return (f"{NEXT} {sentence}",) if sentence else ()


def in_order(summary: Summary, found: Section) -> tuple[Table, ...]:
    """The section's tables and that of the times: the answer of an experiment first, of a load the times."""
    if found.mixed:
        return found.tables
    times = (tables.headline(summary),)
    return (*found.tables, *times) if registry.is_experiment(summary.run.kind) else (*times, *found.tables)
