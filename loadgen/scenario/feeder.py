"""Rows for the placeholders of a scenario, and which of them an arrival takes.

The row follows from the number of the arrival alone, so agents that share a schedule agree without talking.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from loadgen.load.law import drawn
from loadgen.scenario.model import FeederOrder
from loadgen.text import file
from loadgen.text.fault import Fault, Place, ScenarioError
from loadgen.text.file import unreadable
from loadgen.text.template import Encode

Row = dict[str, object]

LARGEST = 256 * 2**20
"""Bytes of a feeder, or of an event in a file of its own, that are read."""


class Need(Struct, frozen=True):
    """A field that a scenario takes from every row: ``where`` it goes, and how it is written there."""

    field: str
    where: str
    encode: Encode


def row_index(order: FeederOrder, index: int, count: int, seed: int) -> int | None:
    """The row, from 0, that arrival ``index`` takes of ``count`` rows; None when they ran out.

    ``index`` counts the arrivals of all agents together, from 0.

    A random row depends on ``seed`` and ``index`` only, and is the same in every version; the upper half of the product
    maps 64 random bits to 0…count-1 with a bias below count/2^64.
    """
    if order is FeederOrder.ONCE:
        return index if index < count else None
    if order is FeederOrder.LOOP:
        return index % count
    return drawn(seed, index) * count >> 64


def read_rows(path: str | Path, needs: Sequence[Need] = ()) -> list[Row]:
    """All rows of a feeder file, at least one, each holding what ``needs`` ask for.

    CSV has a header line and gives text; ``.jsonl`` and ``.ndjson`` hold one JSON object per line and keep its types
    (numbers with a point or an exponent as they are written, a ``msgspec.Raw``).
    Raises ScenarioError, located in the file, when it cannot be read or a row does not fit.
    """
    path = Path(path)
    text = read_text(path)
    json_lines = path.suffix.lower() in (".jsonl", ".ndjson")
    rows = []
    for line, row in _json_rows(text, path) if json_lines else _csv_rows(text, path):
        for need in needs:
            _hold(row, need, path, line)
        rows.append(row)
    if not rows:
        raise ScenarioError([Fault(Place(path.name), (), "got no rows, expected at least one")])
    return rows


def _hold(row: Row, need: Need, path: Path, line: int) -> None:
    """Hold a row to a need; a fault shows no value, which may be secret."""
    if need.field not in row:
        message = f'no field "{need.field}", which {need.where} uses; the row has {len(row)} fields'
        raise ScenarioError([Fault(Place(path.name, line, 1), (), message)])
    try:
        need.encode(row[need.field])
    except ValueError as error:
        message = f'the field "{need.field}" cannot be put into {need.where}: {error}'
        raise ScenarioError([Fault(Place(path.name, line, 1), (), message)]) from error


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without byte order mark.

    Raises ScenarioError when the file cannot be read or decoded, or is larger than ``LARGEST``.
    """
    return decoded(read_bytes(path), path.name)


def read_bytes(path: Path) -> bytes:
    """All of a file. Raises ScenarioError when it cannot be read, or is larger than ``LARGEST``."""
    try:
        return file.read(path, LARGEST)  # every agent holds all of it
    except OSError as error:
        raise unreadable(path, error) from error


def decoded(raw: bytes, source: str) -> str:
    """The text of UTF-8 bytes. Raises ScenarioError that names the line of the first byte that is not."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = f"got the byte 0x{raw[error.start]:02x}, expected UTF-8 text"
        raise ScenarioError([Fault(Place(source, line, column), (), message)]) from error


def unique_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object from its members, for ``object_pairs_hook``. Raises ValueError when a key is written twice."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError("a key is written twice")
        found[key] = value
    return found


def parse_json(text: str) -> object:
    """JSON as the standard has it: no NaN or Infinity, no duplicate keys, no half surrogate pairs.

    A number with a point or an exponent is a ``msgspec.Raw`` of its text, so that not one of its digits is lost.
    Raises ValueError (json.JSONDecodeError where the place is known).
    """

    def refuse(constant: str) -> object:
        raise ValueError(f"got {constant}, which is not JSON")

    try:
        value: object = json.loads(
            text, object_pairs_hook=unique_object, parse_constant=refuse, parse_float=_as_written
        )
        json.dumps(value, ensure_ascii=False, default=lambda _: None).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError("got half of a surrogate pair, expected whole characters") from error
    return value


def _as_written(number: str) -> msgspec.Raw:
    return msgspec.Raw(number.encode())


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, Row]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num  # a quoted cell may span lines; name the first
            if not cells:
                continue
            if header is None:
                header = _header(cells, path, line)
            elif len(cells) != len(header):
                raise _error(path, line, f"got {len(cells)} cells, expected {len(header)} as in the header")
            else:
                yield line, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise _error(path, before + 1, f"this is not CSV: {error}") from error


def _header(cells: list[str], path: Path, line: int) -> list[str]:
    names = [cell.strip() for cell in cells]
    if "" in names:
        raise _error(path, line, f"column {names.index('') + 1} of the header has no name")
    if twice := next((at for at, name in enumerate(names) if name in names[:at]), None):
        first = names.index(names[twice])
        raise _error(path, line, f"columns {first + 1} and {twice + 1} of the header have the same name")
    return names


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, Row]]:
    for line, row_text in enumerate(text.split("\n"), 1):
        if not row_text.strip():
            continue
        try:
            row = parse_json(row_text)
        except ValueError as error:
            raise _error(path, line, *not_json(error)) from error
        if not isinstance(row, dict):
            raise _error(path, line, "expected one JSON object per line, such as {...}")
        yield line, row


def not_json(error: ValueError) -> tuple[str, int]:
    """What is wrong with JSON text, without any of it, and the column, 1 where it is not known."""
    if isinstance(error, json.JSONDecodeError):
        what = error.msg.partition(":")[0]  # some quote a character behind it
        return f"this is not JSON: {what}", error.colno
    return f"this is not JSON: {error}", 1


def _error(path: Path, line: int, message: str, column: int = 1) -> ScenarioError:
    return ScenarioError([Fault(Place(path.name, line, column), (), message)])
