"""Bodies that wrap something: the v1 answer around a function's result, and the errors of the parties on the way.

An error body comes in one of five forms, and whoever answered decides which:

1. FunctionGraph: ``{"error_code": "FSS.0404", "error_msg": "…"}``
2. API gateway: the same with ``APIG.`` or ``APIGW.`` codes and a ``request_id``
3. Keystone (IAM): ``{"error": {"code": 401, "message": "…", "title": "Unauthorized"}}``
4. the engine: ``{"code": 4002, "message": "…", "trace_id": "…"}``
5. proxies: HTML, text or nothing

Sources: FunctionGraph API reference, Executing a Function Synchronously (1 and the v1 answer); API Gateway user guide,
Error Codes (2); IAM API reference (3); openEuler YuanRong (4).
"""

from __future__ import annotations

import json

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

LONGEST_ERROR = 65_536
"""Bytes; a longer body is not an error envelope and is not parsed as one."""

LONGEST_ODD = 8 * 2**20
"""Bytes; a longer v1 body has to be well-formed, as reading any other takes some 60 ms a megabyte."""


class V1Answer(Struct, frozen=True):
    """A v1 body without its ``result``, which is the function's own. A field is None when the body does not have it."""

    request_id: str | None
    log: str | None
    status: int | None


class ErrorBody(Struct, frozen=True):
    """What an error body says; a field is None when it does not. ``code`` may be any text, numbers included."""

    code: str | None = None
    message: str | None = None
    request_id: str | None = None


def lenient_json(raw: bytes | str) -> object:
    """The JSON of bytes that may be wrongly encoded or hold NaN or Infinity, as some serialisers write them.

    Raises ValueError when it is no JSON, or is nested too deeply to read.
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


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
    return V1Answer(_text(said.get("request_id")), _text(said.get("log")), status)


def _integer(value: object) -> int | None:
    """Raises ValueError when the value is there and is no integer."""
    if value is None:
        return None
    if isinstance(value, str):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError("not an integer")
    return int(value)


def _text(value: object) -> str | None:
    """The value if it is text. A lone surrogate, which JSON can spell and no file can hold, becomes a question mark."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def error_body(body: bytes) -> ErrorBody:
    """What the body of an error says, in any of the five forms; nothing, when it is in none."""
    if len(body) > LONGEST_ERROR or body.lstrip()[:1] != b"{":
        return ErrorBody()
    try:
        said = lenient_json(body)
    except ValueError:
        return ErrorBody()
    if not isinstance(said, dict):
        return ErrorBody()
    inner = said.get("error")
    fields = {**said, **inner} if isinstance(inner, dict) else said
    return ErrorBody(
        code=_code(_first(fields, "error_code", "errorCode", "code")),
        message=_text(_first(fields, "error_msg", "errorMsg", "message")),
        request_id=_text(_first(fields, "request_id", "trace_id")),
    )


def _first(fields: dict[str, object], *names: str) -> object:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _code(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 <= value < 1_000_000_000 else None
    return _text(value)
