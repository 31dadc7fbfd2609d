"""What the platform says it ran, used and billed, read tolerantly: what cannot be read is None, never a guess.

Three sources, in this order: the header X-Cff-Invoke-Summary (JSON, in ms and MB); for the billed duration the header
X-CFF-Billing-Duration, whose text is documented nowhere; and the Finish line at the end of the function's log.

Each is short: what is longer than the platform can send is cut (a log, of which the end counts) or not read (a number).

This is where it is decided what to believe. A number that is negative, not finite, a duration above ``LONGEST_MS`` or a
memory above ``LARGEST_MB`` is nobody's measurement: it counts as absent, for figures and for money alike, and its name
is in ``unbelieved``, so that whoever reads the figures can say how many are missing.

Sources: FunctionGraph API reference, Executing a Function Synchronously (the summary's four fields and units, the
v1 answer's Finish line); FunctionGraph user guide, log samples of 2020 to 2026 (the Finish line's later fields).
"""

from __future__ import annotations

import binascii
import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from loadgen.invocation.believed import LARGEST_MB, LONGEST_MS, NS_PER_MS
from loadgen.targets.error_body import lenient_json

BYTES_PER_MB = 1_048_576

LONGEST_LOG = 64 * 1024
"""Characters kept of a log's end; the platform sends 2,000 bytes or 4 KB of it."""

_LONGEST_NUMBER = 64

_Milliseconds = Annotated[float, Meta(ge=0, le=LONGEST_MS)]
_Megabytes = Annotated[float, Meta(ge=0, le=LARGEST_MB)]


class _Documented(Struct, gc=False):
    """X-Cff-Invoke-Summary as documented: ms, ms, MB, MB. Unknown keys are ignored."""

    duration: _Milliseconds
    billingDuration: _Milliseconds  # noqa: N815 - the wire's name
    memorySize: Annotated[int, Meta(ge=0, le=LARGEST_MB)]  # noqa: N815 - the wire's name
    memoryUsed: _Megabytes  # noqa: N815 - the wire's name


_decode_documented = msgspec.json.Decoder(_Documented).decode


class Metering(Struct, frozen=True, gc=False):
    """One invocation as the platform accounts for it; a field is None when no source gives it.

    ``unbelieved`` names those (``UNBELIEVABLE``) that are None because no source gives a number that can be.
    """

    duration_ns: int | None = None
    billed_duration_ns: int | None = None
    memory_size_mb: int | None = None
    memory_used_bytes: int | None = None
    unbelieved: tuple[str, ...] = ()


UNBELIEVABLE = ("duration", "billed_duration", "memory_size", "memory_used")
"""The names of what may be not believed, in the order of a Metering's fields."""

_ODD = -1
"""Stands, in this module, for a number that is not believed."""

_Four = tuple[int | None, int | None, int | None, int | None]
_NOTHING: _Four = (None, None, None, None)


def documented_summary(summary: bytes) -> Metering | None:
    """All four fields of an X-Cff-Invoke-Summary exactly as documented, the fast way; None for any other."""
    try:
        said = _decode_documented(summary)
    except (ValueError, RecursionError):
        return None
    return Metering(
        round(said.duration * NS_PER_MS),
        round(said.billingDuration * NS_PER_MS),
        said.memorySize,
        round(said.memoryUsed * BYTES_PER_MB),
    )


def metering(summary: bytes | None, billing: bytes | None, log: str | None) -> Metering:
    """What X-Cff-Invoke-Summary, X-CFF-Billing-Duration and the log say; each field from the first that has it."""
    if summary is not None and (complete := documented_summary(summary)) is not None:
        return complete
    said, line = _from_summary(summary), _from_finish_line(log)
    found = (
        _first(said[0], line[0]),
        _first(said[1], _from_billing(billing), line[1]),
        _first(said[2], line[2]),
        _first(said[3], line[3]),
    )
    odd = tuple(name for name, each in zip(UNBELIEVABLE, found, strict=True) if each == _ODD)
    duration, billed, size, used = (None if each == _ODD else each for each in found)
    return Metering(duration, billed, size, used, odd)


def summary_meaning(raw: bytes) -> tuple[int | None, ...] | None:
    """What one X-Cff-Invoke-Summary says, to be compared with another; None when it says nothing."""
    said = _from_summary(raw)
    return None if said == _NOTHING else said


def billing_meaning(raw: bytes) -> int | None:
    """What one X-CFF-Billing-Duration says, to be compared with another; None when it says nothing."""
    return _from_billing(raw)


def decode_tail(header: bytes | None) -> str | None:
    """The text of X-Cff-Function-Log (base64 of the log's last bytes); None when absent, empty or not base64.

    The cut may split a character, and padding may be missing; neither loses the rest.
    """
    if not header:
        return None
    try:
        return binascii.a2b_base64(header + b"==").decode("utf-8", "replace")[-LONGEST_LOG:] or None
    except ValueError:
        return None


def _first(*values: int | None) -> int | None:
    """The first that is known and believed, else ``_ODD`` where one is not believed."""
    known = [value for value in values if value is not None]
    return next((value for value in known if value != _ODD), known[0] if known else None)


def _from_summary(raw: bytes | None) -> _Four:
    said = _json(raw)
    if isinstance(said, str):  # documented once as JSON and once as String, so perhaps JSON in a JSON string
        said = _json(said)
    if not isinstance(said, dict):
        return _NOTHING
    return (
        _ns(said.get("duration")),
        _ns(said.get("billingDuration")),
        _whole_mb(said.get("memorySize")),
        _bytes(said.get("memoryUsed")),
    )


def _from_billing(raw: bytes | None) -> int | None:
    """A number of ms, a number with a unit, or JSON: an object with billingDuration, or a list of one of these."""
    if raw is None:
        return None
    text = raw.decode("utf-8", "replace")
    if (ns := _ns(text)) is not None:
        return ns
    said = _json(text)
    if isinstance(said, list):
        said = said[0] if len(said) == 1 else None  # what several would mean is unknown
    return _ns(said.get("billingDuration") if isinstance(said, dict) else said)


_FINISH = "Finish invoke request"
_FINISH_LINE = re.compile(
    r"Finish invoke request '[^'\n]+', duration: ([0-9.]+)\s*ms, billing duration: ([0-9.]+)\s*ms,"
    r" memory used: ([0-9.]+)\s*MB(?:, billing memory: ([0-9]+)\s*MB)?"
)


def _from_finish_line(log: str | None) -> _Four:
    """The last Finish line: the platform writes it after everything the function printed."""
    if log is None or (start := log.rfind(_FINISH)) < 0 or (line := _FINISH_LINE.match(log, start)) is None:
        return _NOTHING
    duration, billed, used, size = line.groups()
    return _ns(duration), _ns(billed), _whole_mb(size), _bytes(used.rstrip("."))


def _json(raw: bytes | str | None) -> object:
    if raw is None:
        return None
    try:
        return lenient_json(raw)
    except ValueError:
        return None


_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)\s*(ms|s|MB)?", re.ASCII | re.IGNORECASE)


def _quantity(value: object, units: dict[str, float], most: float) -> float | None:
    """A JSON number, or text with one, times the factor of its unit; ``_ODD`` unless it lies in 0 to ``most``."""
    if isinstance(value, str):
        value = value.strip()
        if len(value) > _LONGEST_NUMBER:
            return None
        if (match := _QUANTITY.fullmatch(value)) is None or (unit := (match[2] or "").lower()) not in units:
            return None
        value = float(match[1]) * units[unit]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= most else _ODD  # NaN is in no range


_TIME_MS: dict[str, float] = {"": 1, "ms": 1, "s": 1000}
_SIZE_MB: dict[str, float] = {"": 1, "mb": 1}


def _ns(value: object) -> int | None:
    ms = _quantity(value, _TIME_MS, LONGEST_MS)
    return None if ms is None else _ODD if ms == _ODD else round(ms * NS_PER_MS)


def _bytes(value: object) -> int | None:
    mb = _quantity(value, _SIZE_MB, LARGEST_MB)
    return None if mb is None else _ODD if mb == _ODD else round(mb * BYTES_PER_MB)


def _whole_mb(value: object) -> int | None:
    mb = _quantity(value, _SIZE_MB, LARGEST_MB)
    return None if mb is None or mb != int(mb) else int(mb)
