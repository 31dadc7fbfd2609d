"""The Summary as text for a terminal: aligned tables, what is wrong first."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from loadgen.experiments.registry import is_experiment
from loadgen.measure.summary import Summary
from loadgen.report import billing, tables
from loadgen.report.experiment import in_order, section
from loadgen.report.figures import totals
from loadgen.report.tables import Cell, Table
from loadgen.text import foreign

_SGR = {"good": "32", "bad": "1;31", "warn": "33", "muted": "2", "heading": "1"}
_STATUS = {"valid": "good", "degraded": "warn", "invalid": "bad"}
_INDENT = "  "
_Paint = Callable[[str, str], str]


def terminal(summary: Summary, *, width: int = 100, colour: bool = False) -> str:
    """The result of a run as lines of at most ``width`` columns where its names allow; ``colour`` adds ANSI sequences.

    A table that is too wide is written as one block a row, so that no column is left out.
    """
    paint = _paint if colour else _plain
    lines = [paint(foreign.line(summary.run.name), "heading")]
    lines += [paint(line, "warn") for line in textwrap.wrap(foreign.line(tables.preflight(summary)), width)]
    lines += [*_verdict(summary, width, paint), ""]
    if summary.environment.synthetic:
        lines += [*_wrapped(tables.SYNTHETIC, width), ""]
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
            lines += ["", paint(table.title, "heading"), *_table(table, width, paint)]
            lines += [line for note in table.notes for line in _wrapped(note, width)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _verdict(summary: Summary, width: int, paint: _Paint) -> Iterator[str]:
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
            initial_indent=_INDENT,
            subsequent_indent=_INDENT * 2,
        )


def _fact(label: str, text: str, width: int) -> list[str]:
    """A label and its text, wrapped where that may be: names are not."""
    beside = textwrap.wrap(text, width - len(_INDENT) - 12, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{_INDENT}{label if n == 0 else '':<12}{line}" for n, line in enumerate(beside)]


def _paint(text: str, tone: str) -> str:
    return f"\x1b[{_SGR[tone]}m{text}\x1b[0m" if text and tone in _SGR else text


def _plain(text: str, tone: str) -> str:
    return text


def _table(table: Table, width: int, paint: _Paint) -> Iterator[str]:
    if not table.rows:
        return
    widths = [
        max(
            _width(text)
            for text in (column.title, *(part for row in table.rows for part in (row[i].text, row[i].detail)))
        )
        for i, column in enumerate(table.columns)
    ]
    if len(_INDENT) * len(widths) + sum(widths) > width:
        yield from _stacked(table, width, paint)
        return
    numeric = [column.numeric for column in table.columns]
    if any(column.title for column in table.columns):
        yield _row(((column.title, "muted") for column in table.columns), widths, numeric, paint)
    for row in table.rows:
        yield _row(((cell.text, cell.tone) for cell in row), widths, numeric, paint)
        if any(cell.detail for cell in row):
            yield _row(((cell.detail, "muted") for cell in row), widths, numeric, paint)


def _stacked(table: Table, width: int, paint: _Paint) -> Iterator[str]:
    label = max(_width(column.title) for column in table.columns)
    for row in table.rows:
        first, *rest = row
        yield _INDENT + paint(first.text, first.tone) + (f" ({first.detail})" if first.detail else "")
        for column, cell in zip(table.columns[1:], rest, strict=True):
            if cell.text:
                yield f"{_INDENT * 2}{_padded(column.title, label)}  {_stacked_cell(cell, paint)}"


def _stacked_cell(cell: Cell, paint: _Paint) -> str:
    return paint(cell.text, cell.tone) + (f"  ({cell.detail})" if cell.detail else "")


def _row(cells: Iterable[tuple[str, str]], widths: list[int], numeric: list[bool], paint: _Paint) -> str:
    parts = []
    for (text, tone), width, right in zip(cells, widths, numeric, strict=True):
        space = " " * (width - _width(text))
        parts.append(_INDENT + (space + paint(text, tone) if right else paint(text, tone) + space))
    return "".join(parts)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Columns of a terminal that a printable text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT)
