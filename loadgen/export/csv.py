"""CSV (RFC 4180): a row for each sample, or for each figure.

Texts from outside are on one line each, and one that a spreadsheet would take for a formula gets an apostrophe before
it. Source: OWASP, CSV Injection.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from msgspec import structs

from loadgen.export import figures
from loadgen.export.port import Exporter
from loadgen.export.source import COLUMNS, DERIVED, Source, derived
from loadgen.text import foreign

_AT_ONCE = 200  # rows
_FORMULA = ("=", "+", "-", "@")


def _text(source: Source) -> Iterator[str]:
    if source.of == "samples":
        head: Sequence[str] = (*COLUMNS, *DERIVED)
        rows: Iterable[Sequence[object]] = ((*structs.astuple(row), *derived(row)) for row in source.rows())
    else:
        head = figures.FigureRow.__struct_fields__
        rows = map(structs.astuple, figures.rows(source.summary))
    written = iter(chain([head], map(_safe, rows)))
    while part := list(islice(written, _AT_ONCE)):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(part)
        yield text.getvalue()


def _safe(row: Sequence[object]) -> list[object]:
    return [_cell(value) if isinstance(value, str) else _plain(value) for value in row]


def _cell(text: str) -> str:
    shown = foreign.line(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _plain(value: object) -> object:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


CSV = Exporter("csv", "a row for each sample that the run kept, else for each figure", text=_text)
