"""The v1 answer, which wraps a function's result.

Source: FunctionGraph API reference, Executing a Function Synchronously.
"""

from __future__ import annotations

import json

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from loadgen.targets.error_body import lenient_json, text_of

LONGEST_ODD = 8 * 2**20
"""Bytes; a longer v1 body has to be well-formed, as reading any other takes some 60 ms a megabyte."""


class V1Answer(Struct, frozen=True):
    """A v1 body without its ``result``, which is the function's own. A field is None when the body does not have it."""

    request_id: str | None
    log: str | None
    status: int | None


class _WellFormed(Struct, gc=False):
    request_id: str | None = None
    result: Raw | UnsetType = UNSET
    log: str | None = None
    status: int | str | None = None


_decode_well_formed = msgspec.json.Decoder(_WellFormed).decode
_V1_FIELDS = frozenset({"request_id", "result", "log", "status"})


def v1_answer(body: bytes) -> V1Answer | None:
    """The v1 answer in ``body``; None when the body cannot be one.

    It must be a JSON object with at least one of the four fields, and its status, where given, an integer or a numeric
    string (real clients disagree on the type). A ``request_id`` or ``log`` of another type counts as absent.
    """
    try:
        said = _decode_well_formed(body)
    except (ValueError, RecursionError):
        return _odd_v1_answer(body)
    if said.result is UNSET and said.status is None and said.log is None and said.request_id is None:
        return _odd_v1_answer(body)
    try:
        return V1Answer(said.request_id, said.log, _integer(said.status))
    except ValueError:
        return None


def v1_result(body: bytes) -> bytes:
    """The function's result in a v1 answer: JSON, or text where it returned text; empty where there is none."""
    try:
        result = _decode_well_formed(body).result
        if result is UNSET:
            return b""
        raw = bytes(result)
        return msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw
    except (ValueError, RecursionError):
        return _odd_v1_result(body)


def _odd_v1_result(body: bytes) -> bytes:
    if len(body) > LONGEST_ODD:
        return b""
    try:
        said = lenient_json(body)
    except ValueError:
        return b""
    result = said.get("result", "") if isinstance(said, dict) else ""
    return result.encode("utf-8", "replace") if isinstance(result, str) else json.dumps(result).encode()


def _odd_v1_answer(body: bytes) -> V1Answer | None:
    if len(body) > LONGEST_ODD:
        return None
    try:
        said = lenient_json(body)
        if not isinstance(said, dict) or _V1_FIELDS.isdisjoint(said):
            return None
        status = _integer(said.get("status"))
    except ValueError:
        return None
    return V1Answer(text_of(said.get("request_id")), text_of(said.get("log")), status)


def _integer(value: object) -> int | None:
    """Raises ValueError when the value is there and is no integer."""
    if value is None:
        return None
    if isinstance(value, str):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError("not an integer")
    return int(value)
