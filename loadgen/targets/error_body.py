"""The bodies of errors, of the parties on the way as of the one at its end.

An error body comes in one of five forms, and whoever answered decides which:

1. FunctionGraph: ``{"error_code": "FSS.0404", "error_msg": "…"}``
2. API gateway: the same with ``APIG.`` or ``APIGW.`` codes and a ``request_id``
3. Keystone (IAM): ``{"error": {"code": 401, "message": "…", "title": "Unauthorized"}}``
4. the engine, and many others: ``{"code": 4002, "message": "…", "trace_id": "…"}``
5. proxies: HTML, text or nothing

Sources: FunctionGraph API reference, Executing a Function Synchronously (1); API Gateway user guide, Error Codes (2);
IAM API reference (3); openEuler YuanRong (4).
"""

from __future__ import annotations

import json

from msgspec import Struct

LONGEST_ERROR = 65_536
"""Bytes; a longer body is not an error envelope and is not parsed as one."""


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
        message=text_of(_first(fields, "error_msg", "errorMsg", "message")),
        request_id=text_of(_first(fields, "request_id", "trace_id")),
    )


def _first(fields: dict[str, object], *names: str) -> object:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _code(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 <= value < 1_000_000_000 else None
    return text_of(value)


def text_of(value: object) -> str | None:
    """The value if it is text. A lone surrogate, which JSON can spell and no file can hold, becomes a question mark."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
