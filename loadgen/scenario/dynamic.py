"""Placeholders that need no feeder: ``{{$index}}``, ``{{$uuid}}``, ``{{$now}}`` and ``{{$random:1:100}}``.

Each has one value for each call, wherever it stands, which follows from the seed and the number of the arrival alone
(but for ``$now``): so it is the same whatever the agents. Two that differ in their text are independent of each other,
which is what a name at the end is for: ``{{$uuid:order}}``, ``{{$random:1:100:b}}``.

Source of the form of a UUID: RFC 9562, 5.4 (version 4).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from loadgen.load.law import drawn

Make = Callable[[int], object]
"""The value for the arrival of this number, from 0."""
Milliseconds = Callable[[], int]
"""The time of day, in ms since 1970."""

_FORM = re.compile(
    r"\$(?:(?P<index>index)|(?P<now>now)|(?P<uuid>uuid)(?::\w{1,50})?"
    r"|random:(?P<low>-?[0-9]{1,15}):(?P<high>-?[0-9]{1,15})(?::\w{1,50})?)"
)
EXPECTED = "$index, $now, $uuid, $random:1:100, or a column's name without $"


def is_dynamic(field: str) -> bool:
    """Whether a placeholder is one of these, rather than a field of the feeder."""
    return field.startswith("$")


def fault(field: str) -> str | None:
    """What is wrong with a placeholder that begins like these; None where nothing is."""
    found = _FORM.fullmatch(field)
    if found is None:
        return f"got {{{{{field}}}}}, expected {EXPECTED}"
    if found["low"] is not None and int(found["low"]) > int(found["high"]):
        return f"got {{{{{field}}}}}, expected the lower bound first"
    return None


def make(field: str, seed: int, now: Milliseconds) -> Make:
    """What makes the values of a placeholder without a fault."""
    found = _FORM.fullmatch(field)
    assert found is not None, "loading checks it"
    if found["index"]:
        return lambda index: index
    if found["now"]:
        return lambda index: instant(now())
    stream = int.from_bytes(hashlib.sha256(f"{seed}\x1f{field}".encode()).digest()[:8], "big")
    if found["uuid"]:
        return lambda index: _uuid(drawn(stream, 2 * index), drawn(stream, 2 * index + 1))
    low, count = int(found["low"]), int(found["high"]) - int(found["low"]) + 1
    return lambda index: low + (drawn(stream, index) * count >> 64)


def instant(at_ms: int) -> str:
    """A time of day as ``2026-01-31T12:00:00.000Z``. Source: RFC 3339."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uuid(high: int, low: int) -> str:
    bits = high << 64 | low
    return str(UUID(int=bits & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 2 << 62))
