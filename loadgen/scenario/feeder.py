"""Which row of a feeder an arrival takes, and the JSON that is read for it.

The row follows from the number of the arrival alone, so agents that share a schedule agree without talking.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from loadgen.load.law import drawn
from loadgen.scenario.model import FeederOrder
from loadgen.text import file
from loadgen.text.fault import Fault, Place, ScenarioError
from loadgen.text.file import unreadable

LARGEST = 256 * 2**20
"""Bytes that are read of an event, or another body, in a file of its own."""


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


def not_json(error: ValueError) -> tuple[str, int]:
    """What is wrong with JSON text, without any of it, and the column, 1 where it is not known."""
    if isinstance(error, json.JSONDecodeError):
        what = error.msg.partition(":")[0]  # some quote a character behind it
        return f"this is not JSON: {what}", error.colno
    return f"this is not JSON: {error}", 1
