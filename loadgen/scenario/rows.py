"""The rows of a feeder, in a file that may have millions of them.

Theory of operation. The file is read once, when the scenario is loaded: every row is held to what the scenario takes
from it, and where it begins is noted, in 4 bytes. Agents get this index with the scenario, and read a row when an
arrival takes it. So neither they nor the parent hold any rows; what the system keeps of the file in memory they share.
A row is read (``pread``) and not mapped, as a file that is shortened kills who has it mapped.

Rows of CSV have the columns that its header names, of text unless the scenario says otherwise; ``.jsonl`` and
``.ndjson`` hold one JSON object per line, whose values keep their types.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import struct
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, NamedTuple

import msgspec
from msgspec import Struct

from loadgen.scenario.feeder import not_json, parse_json
from loadgen.scenario.model import ColumnType, Feeder, Index
from loadgen.text import file
from loadgen.text.fault import Fault, Place, ScenarioError
from loadgen.text.file import unreadable
from loadgen.text.secret import Fed
from loadgen.text.template import ANY, Encode, header_text

Row = dict[str, object]

LARGEST = 2**30
"""Bytes of a feeder's file; that many are indexed in some ten seconds."""
LONGEST = 2**24
"""Bytes of a row: events, which are of 6 MB at most, with what is escaped in them."""
_CHUNK = 2**20
_BOM = b"\xef\xbb\xbf"
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_OFFSET = struct.Struct("<I")
_SPAN = struct.Struct("<II")
_QUOTE = ord('"')
_decode_text = msgspec.json.Decoder(str).decode

csv.field_size_limit(LONGEST)  # the library's own is 128 KiB


class Need(Struct, frozen=True):
    """A field that a scenario takes from every row: ``where`` it goes, and how it is written there."""

    field: str
    where: str
    encode: Encode


class ChangedError(Exception):
    """The file is no longer what was indexed."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"the feeder's file {Path(path).name} changed during the run, so what was sent is not what the scenario "
            "says: leave the file as it is while a run reads it, or give each run a file of its own"
        )


def indexed(
    path: Path, feeder: Feeder, needs: Sequence[Need] = (), secret: Set[str] = frozenset(), fed: Fed | None = None
) -> Index:
    """The index of a feeder's file, of which every row has what is needed; ``fed`` gets what ``secret`` fields hold.

    Of ``feeder`` only how the file is written matters. Raises ScenarioError, located in the file, when it cannot be
    read, has no rows, or a row does not fit. No message shows a value, which may be secret.
    """
    try:
        with file.opened(path) as source:
            before = os.fstat(source.fileno())
            if before.st_size > LARGEST:
                raise ScenarioError(
                    [Fault(Place(path.name), (), f"it holds more than {LARGEST >> 20} MiB, expected at most that")]
                )
            begins = array("I")
            digest = _digest(source)
            source.seek(len(_BOM) if os.pread(source.fileno(), len(_BOM), 0) == _BOM else 0)
            read = _json_index if _is_json(path) else _csv_index
            names = read(source, path, feeder, needs, secret, begins, Fed() if fed is None else fed)
            after = os.fstat(source.fileno())
    except OSError as error:
        raise unreadable(path, error) from error
    if not begins:
        raise ScenarioError([Fault(Place(path.name), (), "got no rows, expected at least one")])
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ScenarioError([Fault(Place(path.name), (), "the file changed while it was read; leave it as it is")])
    begins.append(after.st_size)
    if struct.pack("=I", 1) != _OFFSET.pack(1):
        begins.byteswap()
    return Index(begins.tobytes(), tuple(names), digest, after.st_mtime_ns)


def _digest(source: BinaryIO) -> str:
    found = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        found.update(chunk)
    return found.hexdigest()


def check_unchanged(feeder: Feeder) -> None:
    """Raises ChangedError where the file on this machine is not as it was when it was indexed."""
    index = feeder.index
    try:
        found = Path(feeder.path).stat()
    except OSError as error:
        raise ChangedError(feeder.path) from error
    if (found.st_size, found.st_mtime_ns) != (index.size, index.modified_ns):
        raise ChangedError(feeder.path)


class Rows:
    """Rows of an indexed file, by their number; only the ``fields`` that are asked for are taken from them."""

    def __init__(self, feeder: Feeder, fields: Set[str]) -> None:
        """Open the file. Raises ChangedError when that cannot be done any more, or it has another size."""
        self._path, self._index = feeder.path, feeder.index
        try:
            source = os.open(feeder.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ChangedError(feeder.path) from error
        weakref.finalize(self, os.close, source)
        if os.fstat(source).st_size != self._index.size:
            raise ChangedError(feeder.path)
        self._source = source
        self._parse: Callable[[bytes], Row]
        if not self._index.names:  # JSON: the path may be one that was made up where the file was sent to
            places = {field: f"f{n}" for n, field in enumerate(fields)}
            self._parse = partial(_json_row, glance=_glance(places), places=places)
        else:
            width, columns = len(self._index.names), _columns(feeder, fields)
            self._parse = partial(_csv_row, width=width, columns=columns, feeder=feeder)

    def __len__(self) -> int:
        return self._index.rows

    def __getitem__(self, number: int) -> Row:
        """A row, from 0. Raises ChangedError when there is none where it was."""
        begin, end = _SPAN.unpack_from(self._index.begins, _OFFSET.size * number)
        raw = os.pread(self._source, end - begin, begin)
        if len(raw) != end - begin:
            raise ChangedError(self._path)
        try:
            return self._parse(raw)
        except (ValueError, KeyError, csv.Error, StopIteration, msgspec.DecodeError) as error:
            raise ChangedError(self._path) from error


def _is_json(path: Path) -> bool:
    return path.suffix.lower() in (".jsonl", ".ndjson")


def _hold(need: Need, value: object, path: Path, line: int) -> None:
    """Hold a value to a need."""
    try:
        need.encode(value)
    except ValueError as error:
        message = f'the field "{need.field}" cannot be put into {need.where}: {error}'
        raise _error(path, line, message) from error


def _missing(need: Need, fields: int, path: Path, line: int) -> ScenarioError:
    return _error(path, line, f'no field "{need.field}", which {need.where} uses; the row has {fields} fields')


def _error(path: Path, line: int, message: str, column: int = 1) -> ScenarioError:
    return ScenarioError([Fault(Place(path.name, line, column), (), message)])


def _text(raw: bytes, path: Path, line: int) -> str:
    """A line as text. Raises ScenarioError for one that is none, or too long."""
    if len(raw) >= LONGEST:
        raise _error(path, line, f"a line holds more than {LONGEST >> 20} MiB, expected at most that")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        message = f"got the byte 0x{raw[error.start]:02x}, expected UTF-8 text"
        raise _error(path, line, message, error.start + 1) from error


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


# CSV


def _csv_index(
    source: BinaryIO,
    path: Path,
    feeder: Feeder,
    needs: Sequence[Need],
    secret: Set[str],
    begins: array[int],
    fed: Fed,
) -> list[str]:
    """Note where rows begin: lines without quotes are rows; from where there are some, csv takes them apart."""
    delimiter, at = feeder.delimiter, source.tell()
    header = next(_records(source, path, delimiter, at, 0), None)
    if header is None:
        return []
    names = _header(header.cells, path, header.line)
    held = _held(names, feeder, needs, secret, fed, path, header.line)
    end = _plain_rows(source, delimiter, len(names), held, begins, header)
    for row in _records(source, path, delimiter, end.after, end.last):
        if len(row.cells) != len(names):
            raise _error(path, row.line, f"got {len(row.cells)} cells, expected {len(names)} as in the header")
        if held is not None:
            held(row.cells, row.line)
        begins.append(row.begin)
    return names


class _Record(NamedTuple):
    """Cells that stand from byte ``begin`` to ``after``, on the lines from ``line`` to ``last``."""

    cells: list[str]
    begin: int
    after: int
    line: int
    last: int


def _records(source: BinaryIO, path: Path, delimiter: str, at: int, lines: int) -> Iterator[_Record]:
    """What csv makes of the source from byte ``at`` on, before which there are so many lines; blank ones left out."""
    source.seek(at)

    def texts() -> Iterator[str]:
        nonlocal at
        line = lines
        while raw := source.readline(LONGEST):
            at += len(raw)
            line += 1
            yield _text(raw, path, line)

    reader = csv.reader(texts(), delimiter=delimiter, strict=True)
    begin, before = at, lines
    try:
        for cells in reader:
            if cells:  # a quoted cell may span lines; the first is named
                yield _Record(cells, begin, at, before + 1, lines + reader.line_num)
            begin, before = at, lines + reader.line_num
    except csv.Error as error:
        raise _error(path, before + 1, f"this is not CSV: {_csv_fault(error)}") from error


_Held = Callable[[list[str], int], None]
"""Holds the cells of a row, on a line, to what is needed of them."""


def _plain_rows(
    source: BinaryIO, delimiter: str, width: int, held: _Held | None, begins: array[int], header: _Record
) -> _Record:
    """Note the rows of lines without quotes; where the first chunk of lines ends that are not all of this kind."""
    source.seek(header.after)
    between, note, end = delimiter.encode(), begins.append, header
    while chunk := source.read(_CHUNK):
        chunk += source.readline(LONGEST)
        lines = chunk.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if not _are_plain(chunk, lines, between, width):
            break
        if held is not None:
            for line, text in enumerate(chunk.decode().replace("\r\n", "\n").split("\n"), end.last + 1):
                if text:
                    held(text.split(delimiter), line)
        at = end.after
        for raw in lines:
            if raw and raw != b"\r":
                note(at)
            at += len(raw) + 1
        end = end._replace(after=end.after + len(chunk), last=end.last + len(lines))
    return end


def _are_plain(chunk: bytes, lines: Sequence[bytes], between: bytes, width: int) -> bool:
    """Whether each line is a row of so many cells, or blank, as csv has it too."""
    if b'"' in chunk or chunk.count(b"\r") != chunk.count(b"\r\n") or not (chunk.isascii() or _is_text(chunk)):
        return False
    if len(lines[-1]) >= LONGEST:  # it may go on
        return False
    separators = width - 1
    return all(raw.count(between) == separators or raw in (b"", b"\r") for raw in lines)


def _csv_fault(error: csv.Error) -> str:
    return "a line that ends with a carriage return alone" if "new-line character" in str(error) else str(error)


def _header(cells: list[str], path: Path, line: int) -> list[str]:
    names = [cell.strip() for cell in cells]
    if "" in names:
        raise _error(path, line, f"column {names.index('') + 1} of the header has no name")
    if twice := next((at for at, name in enumerate(names) if name in names[:at]), None):
        first = names.index(names[twice])
        raise _error(path, line, f"columns {first + 1} and {twice + 1} of the header have the same name")
    return names


def _held(
    names: list[str], feeder: Feeder, needs: Sequence[Need], secret: Set[str], fed: Fed, path: Path, line: int
) -> _Held | None:
    """What each row is held to, and what is taken from it; None where any will do. Secrets go to ``fed``."""
    checks = list(_checks(names, feeder, needs, path, line))
    in_headers = [(names.index(need.field), need) for need in needs if need.encode is header_text]
    secrets = [index for index, name in enumerate(names) if name in secret]
    if not (checks or in_headers or secrets):
        return None

    def held(cells: list[str], line: int) -> None:
        for index, need in in_headers:
            cell = cells[index]
            if not (cell.isascii() and cell.isprintable()):  # which says without a call what nearly all are
                _hold(need, cell, path, line)
        for index, check in checks:
            check(cells[index], line)
        for index in secrets:
            fed.add(cells[index])

    return held


def _checks(
    names: list[str], feeder: Feeder, needs: Sequence[Need], path: Path, line: int
) -> Iterator[tuple[int, Callable[[str, int], None]]]:
    """What each row has to be checked for: text of CSV can be put anywhere but into headers."""
    if unknown := next((name for name in feeder.columns if name not in names), None):
        raise _error(path, line, f'no column "{unknown}", which feeder.columns names; there are {len(names)} columns')
    for name, kind in feeder.columns.items():
        yield names.index(name), partial(_typed, kind, name, path)
    for need in needs:
        if need.field not in names:
            raise _missing(need, len(names), path, line + 1)
        kind = feeder.columns.get(need.field, ColumnType.TEXT)
        if kind is ColumnType.JSON and need.encode not in ANY:
            yield names.index(need.field), partial(_written, need, kind, path)


def _typed(kind: ColumnType, name: str, path: Path, cell: str, line: int) -> None:
    try:
        _CELLS[kind](cell)
    except ValueError as error:
        raise _error(path, line, f'the column "{name}" does not have its type: expected {error}') from error


def _written(need: Need, kind: ColumnType, path: Path, cell: str, line: int) -> None:
    _hold(need, _CELLS[kind](cell), path, line)


def _columns(feeder: Feeder, fields: Set[str]) -> list[tuple[str, int, Callable[[str], object]]]:
    return [
        (name, index, _CELLS[feeder.columns.get(name, ColumnType.TEXT)])
        for index, name in enumerate(feeder.index.names)
        if name in fields
    ]


def _csv_row(
    raw: bytes, width: int, columns: Iterable[tuple[str, int, Callable[[str], object]]], feeder: Feeder
) -> Row:
    text = raw.decode().rstrip("\r\n")
    if '"' in text:
        cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=feeder.delimiter, strict=True))
    else:
        cells = text.split(feeder.delimiter)
    if len(cells) != width:
        raise ValueError
    return {name: read(cells[index]) for name, index, read in columns}


def _integer(cell: str) -> int:
    if not _INTEGER.fullmatch(cell):
        raise ValueError("a whole number")
    return int(cell)


def _number(cell: str) -> msgspec.Raw:
    """A number, whose digits stay."""
    if not _NUMBER.fullmatch(cell):
        raise ValueError("a number as in JSON, such as 2.50 or 1e3")
    return msgspec.Raw(cell.encode())


def _boolean(cell: str) -> bool:
    if cell not in ("true", "false"):
        raise ValueError("true or false")
    return cell == "true"


def _any(cell: str) -> object:
    try:
        return parse_json(cell)
    except ValueError:
        raise ValueError("JSON") from None


_CELLS: Mapping[ColumnType, Callable[[str], object]] = {
    ColumnType.TEXT: str,
    ColumnType.INT: _integer,
    ColumnType.NUMBER: _number,
    ColumnType.BOOL: _boolean,
    ColumnType.JSON: _any,
}


# JSON lines


def _json_index(
    source: BinaryIO,
    path: Path,
    feeder: Feeder,
    needs: Sequence[Need],
    secret: Set[str],
    begins: array[int],
    fed: Fed,
) -> list[str]:
    """Note where rows begin; of most of them only what is needed is read."""
    at, line = source.tell(), 0
    fields = sorted({need.field for need in needs} | secret)
    places = {field: f"f{n}" for n, field in enumerate(fields)}
    strict = [(need, places[need.field]) for need in needs if need.encode not in ANY]
    hidden = [places[field] for field in fields if field in secret]
    glance, add, note = _glance(places), fed.add, begins.append
    while chunk := source.read(_CHUNK):
        chunk += source.readline(LONGEST)
        lines = chunk.split(b"\n")
        if not lines[-1]:
            lines.pop()
        plain = _plain_keys(chunk, fields, len(lines))
        for raw in lines:
            line += 1
            if raw and not raw.isspace():
                row = glance(raw) if plain or _plain_keys(raw, fields, 1) else None
                if row is None:
                    row = _looked_at(raw, needs, places, path, line)
                for need, place in strict:
                    _hold(need, _value(getattr(row, place)), path, line)
                for place in hidden:
                    add(_plain(_value(getattr(row, place))))
                note(at)
            at += len(raw) + 1
    return []


def _plain_keys(text: bytes, fields: Sequence[str], rows: int) -> bool:
    """Whether each of so many rows has each of these keys at most once, as far as can be seen at once.

    Without a backslash a key is written in one way only. Each row is then held to have each key, so that as many of
    them as there are rows means one in each.
    """
    if b"\\" in text or not (text.isascii() or _is_text(text)):
        return False
    return all(text.count(msgspec.json.encode(field)) == rows for field in fields)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _glance(places: Mapping[str, str]) -> Callable[[bytes], Any]:
    """Reads the fields with these keys of a row, each to its place; None for what is no such row, or cannot be read."""
    kinds = [(place, msgspec.Raw, msgspec.field(name=key)) for key, place in places.items()]
    try:
        decode = msgspec.json.Decoder(msgspec.defstruct("Glanced", kinds, gc=False)).decode
    except ValueError:  # a key with quotes or a backslash in it
        return lambda raw: None

    def glance(raw: bytes) -> Any:
        try:
            return decode(raw)
        except (msgspec.DecodeError, RecursionError):
            return None

    return glance


def _value(raw: msgspec.Raw) -> object:
    """A value with its type; of a number with a point or an exponent its text."""
    text = bytes(raw)
    if text[0] == _QUOTE:
        return _decode_text(text)
    if text.removeprefix(b"-").isdigit():
        return int(text)
    return parse_json(text.decode())


def _looked_at(raw: bytes, needs: Sequence[Need], places: Mapping[str, str], path: Path, line: int) -> SimpleNamespace:
    """A row that a glance is not enough for, or that is none; raises ScenarioError for that."""
    try:
        row = parse_json(_text(raw, path, line))
    except ValueError as error:
        message, column = not_json(error)
        raise _error(path, line, message, column) from error
    if not isinstance(row, dict):
        raise _error(path, line, "expected one JSON object per line, such as {...}")
    for need in needs:
        if need.field not in row:
            raise _missing(need, len(row), path, line)
    return SimpleNamespace(**{place: msgspec.Raw(msgspec.json.encode(row[key])) for key, place in places.items()})


def _json_row(raw: bytes, glance: Callable[[bytes], Any], places: Mapping[str, str]) -> Row:
    row = glance(raw)
    if row is not None:
        return {key: _value(getattr(row, place)) for key, place in places.items()}
    whole = parse_json(raw.decode())
    if not isinstance(whole, dict):
        raise ValueError  # noqa: TRY004 - it was one, so it is the file that changed
    return {key: whole[key] for key in places}
