"""The Summary as text for a terminal: aligned tables, what is wrong first."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

from loadgen.experiments.registry import is_experiment
from loadgen.measure.summary import Summary
from loadgen.report import billing, tables
from loadgen.report.answer import head
from loadgen.report.experiment import in_order, section
from loadgen.report.figures import totals
from loadgen.report.tables import Cell, Column, Table
from loadgen.text import foreign

_SGR = {"good": "32", "bad": "1;31", "warn": "33", "muted": "2", "heading": "1"}
_MARKS = {True: "✓", False: "✗", None: "?"}
_RULE_TONES = {True: "good", False: "bad", None: "warn"}
_STATUS = {"valid": "good", "degraded": "warn", "invalid": "bad"}
INDENT = "  "
Paint = Callable[[str, str], str]


def terminal(summary: Summary, *, width: int = 100, colour: bool = False) -> str:
    """All of a run's result as lines of at most ``width`` columns where its names allow.

    A table that is too wide is written as one block a row, so that no column is left out.
    ``colour`` adds ANSI sequences.
    """
    paint = painter(colour=colour)
    lines = [*heading(summary, width, paint), ""]
    lines += [*_verdict(summary, width, paint), ""]
    if summary.environment.synthetic:
        lines += [*wrapped(tables.SYNTHETIC, width), ""]
    lines += [line for label, text in tables.facts(summary) for line in _fact(label, foreign.line(text), width)]
    found = section(summary)
    sections = [
        *in_order(summary, found),
        tables.by_call(totals(summary)),
        tables.counts(summary),
        tables.outcomes(summary.totals),
        billing.cost(summary),
        billing.audit(summary),
    ]
    if len(summary.phases) > 1 and not is_experiment(summary.run.kind):  # an experiment's are many, and in the files
        sections.append(tables.by_phase(summary))
    sections.append(tables.thresholds(summary))
    for table in (tables.written(each, foreign.line) for each in sections):
        if table.rows or table.notes:
            lines += ["", paint(table.title, "heading"), *grid(table, width, paint)]
            lines += [line for note in table.notes for line in wrapped(note, width)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def heading(summary: Summary, width: int, paint: Paint) -> Iterator[str]:
    """The answer and the rules, what would make it better, and how well was measured."""
    found = head(summary)
    word, name = found.word, foreign.line(summary.run.name)
    first, *more = textwrap.wrap(f"{word}  {name}: {foreign.line(found.answer)}", width, subsequent_indent=INDENT)
    yield paint(word, found.tone) + first.removeprefix(word)
    yield from more
    rules = found.judged if len(found.judged) > 1 else ()
    marks = [Cell(_MARKS[each.passed], tone=_RULE_TONES[each.passed]) for each in rules]
    rows = tuple(
        (mark, Cell(foreign.line(each.rule)), Cell(each.measured), Cell(foreign.line(each.why)))
        for mark, each in zip(marks, rules, strict=True)
    )
    yield from _ruled(rows, width, paint)
    if found.why:
        yield from wrapped(foreign.line(found.why), width)
    if found.next:
        yield from textwrap.wrap(
            f"next: {foreign.line(found.next)}", width, initial_indent=INDENT, subsequent_indent=INDENT * 4
        )
    tone = "muted" if found.measured_well else "warn"
    quality = textwrap.wrap(foreign.line(found.quality), width, initial_indent=INDENT, subsequent_indent=INDENT * 2)
    yield from (paint(line, tone) for line in quality)
    before = textwrap.wrap(
        foreign.line(tables.preflight(summary)), width, initial_indent=INDENT, subsequent_indent=INDENT * 2
    )
    yield from (paint(line, "warn") for line in before)


def _ruled(rows: Sequence[tuple[Cell, ...]], width: int, paint: Paint) -> Iterator[str]:
    """Rules, one line each; what there is no room for beside all of them stands below its own."""

    def first(n: int) -> Table:
        return Table("", (Column("", False),) * n, tuple(row[:n] for row in rows))

    beside = next((n for n in (4, 3, 2) if fits(first(n), width)), 1)
    for line, row in zip(grid(first(beside), width, paint), rows, strict=True):
        yield line
        for below in row[beside:]:
            yield from textwrap.wrap(below.text, width, initial_indent=INDENT * 3, subsequent_indent=INDENT * 3)


def _verdict(summary: Summary, width: int, paint: Paint) -> Iterator[str]:
    tone = _STATUS.get(summary.verdict.status, "bad")
    status, _, rest = foreign.line(tables.standing(summary)).partition(":")
    word = status if status == "valid" else status.upper()
    first, *more = textwrap.wrap(f"{word}:{rest}", width)
    yield paint(word, tone) + first.removeprefix(word)
    yield from more
    for reason, text in tables.reasons(summary):
        mark = "!" if reason.severity == "invalid" else "-"
        yield from textwrap.wrap(
            foreign.line(f"{mark} {reason.rule}: {text}"),
            width,
            initial_indent=INDENT,
            subsequent_indent=INDENT * 2,
        )


def _fact(label: str, text: str, width: int) -> list[str]:
    """A label and its text, wrapped where that may be: names are not."""
    beside = textwrap.wrap(text, width - len(INDENT) - 12, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{INDENT}{label if n == 0 else '':<12}{line}" for n, line in enumerate(beside)]


def painter(*, colour: bool) -> Paint:
    """What gives a text its tone, with ANSI sequences or without."""
    return _paint if colour else _plain


def _paint(text: str, tone: str) -> str:
    return f"\x1b[{_SGR[tone]}m{text}\x1b[0m" if text and tone in _SGR else text


def _plain(text: str, tone: str) -> str:
    return text


def grid(table: Table, width: int, paint: Paint) -> Iterator[str]:
    """The rows of a table, one block each where they are too wide."""
    if not table.rows:
        return
    widths = _widths(table)
    if not fits(table, width):
        yield from _stacked(table, width, paint)
        return
    numeric = [column.numeric for column in table.columns]
    if any(column.title for column in table.columns):
        yield _row(((column.title, "muted") for column in table.columns), widths, numeric, paint)
    for row in table.rows:
        yield _row(((cell.text, cell.tone) for cell in row), widths, numeric, paint)
        if any(cell.detail for cell in row):
            yield _row(((cell.detail, "muted") for cell in row), widths, numeric, paint)


def fits(table: Table, width: int) -> bool:
    """Whether the rows of a table are no wider than that."""
    widths = _widths(table)
    return len(INDENT) * len(widths) + sum(widths) <= width


def _widths(table: Table) -> list[int]:
    return [
        max(
            _width(text)
            for text in (column.title, *(part for row in table.rows for part in (row[i].text, row[i].detail)))
        )
        for i, column in enumerate(table.columns)
    ]


def _stacked(table: Table, width: int, paint: Paint) -> Iterator[str]:
    label = max(_width(column.title) for column in table.columns)
    for row in table.rows:
        first, *rest = row
        yield INDENT + paint(first.text, first.tone) + (f" ({first.detail})" if first.detail else "")
        for column, cell in zip(table.columns[1:], rest, strict=True):
            if cell.text:
                yield f"{INDENT * 2}{_padded(column.title, label)}  {_stacked_cell(cell, paint)}"


def _stacked_cell(cell: Cell, paint: Paint) -> str:
    return paint(cell.text, cell.tone) + (f"  ({cell.detail})" if cell.detail else "")


def _row(cells: Iterable[tuple[str, str]], widths: list[int], numeric: list[bool], paint: Paint) -> str:
    parts = []
    for (text, tone), width, right in zip(cells, widths, numeric, strict=True):
        space = " " * (width - _width(text))
        parts.append(INDENT + (space + paint(text, tone) if right else paint(text, tone) + space))
    return "".join(parts)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Columns of a terminal that a printable text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def wrapped(text: str, width: int) -> list[str]:
    """A sentence below a table, as lines."""
    return textwrap.wrap(text, width, initial_indent=INDENT, subsequent_indent=INDENT)
