"""What the emulator answers: status, headers and body, as functions of plain values.

Sources: FunctionGraph API reference, Executing a Function Synchronously (header names and their casing, the two body
forms, the 2,000 bytes of log), and its list of error codes; API Gateway user guide, Common Errors Related to IAM
Authentication Information (the gateway's envelope); developer guide, Logging Using Log4j (the lines of a fresh
instance). What they leave open is an assumption, listed in docs/emulator.md.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from loadgen.targets.functiongraph.emulator.model import RAISED, TIMED_OUT, Admitted, Rejected
from loadgen.targets.functiongraph.protocol.platform_codes import ENGINE, PROXY_STATUSES
from loadgen.targets.functiongraph.protocol.target import ResponseVersion

LOG_BODY_BYTES: Final = 4096
"""How much of the end of the log a v1 body carries."""

RESULT: Final = b'{"message": "hello world from FunctionStage"}'
"""What a function returns that is no probe."""

_BACKEND_TIMEOUT: Final = "APIG.0203"
_MESSAGES: Final = {
    "APIG.0101": "The API does not exist or has not been published in the environment",
    "APIG.0201": "Bad request",
    "APIG.0202": "Backend unavailable",
    _BACKEND_TIMEOUT: "Backend timeout",
    "APIG.0301": "Incorrect IAM authentication information",
    "APIG.0302": "The IAM user is not authorized to access the API",
    "APIG.0303": "Incorrect app authentication information",
    "APIG.0305": "Incorrect authentication information",
    "APIG.0307": "The token must be updated",
    "APIG.0308": "The throttling threshold has been reached",
    "APIG.0310": "The project is unavailable",
    "APIG.0601": "Internal server error",
    "APIG.0613": "IAM is unavailable",
    "APIG.0802": "The IAM user is forbidden in the current region",
    "FSS.0400": "Invalid parameter",
    "FSS.0401": "Unauthorized access",
    "FSS.0403": "Forbidden",
    "FSS.0404": "Not found the specified resource",
    "FSS.0406": "Not acceptable",
    "FSS.0408": "Request timeout",
    "FSS.0413": "The request body is too large",
    "FSS.0429": "Your request has been controlled by overload sdk, please retry later",
    "FSS.0500": "Internal server error",
    "FSS.0502": "Bad gateway",
    "FSS.0503": "Service unavailable",
    "FSS.0504": "Gateway timeout",
    "FSS.1051": "Not found the function",
    "FSS.1077": "The function has reserved instances and cannot be updated",
}

_encode_json = msgspec.json.Encoder().encode
_JSON: Final = "application/json"


class Answer(Struct, frozen=True, gc=False):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Refusal(Struct, frozen=True):
    """Why a request is not served: a status, a documented code, and the message that goes with it."""

    status: int
    code: str
    message: str
    headers: dict[str, str] = {}


def as_json(status: int, document: Any, headers: dict[str, str] | None = None) -> Answer:
    """An answer whose body is this document."""
    return Answer(status, {"Content-Type": _JSON, **(headers or {})}, _encode_json(document))


def refused(refusal: Refusal, request_id: str) -> Answer:
    """A refusal in the form of whoever refuses: platform, gateway (with the id of the request), engine or proxy.

    There is none for a request that is not answered (status 0).
    """
    code, headers = refusal.code, refusal.headers
    if code in PROXY_STATUSES:
        return Answer(
            refusal.status, {"Content-Type": "text/html"}, b"<html><body><h1>%d</h1></body></html>" % refusal.status
        )
    if code.isdecimal():
        flags = {"X-Func-Err-Code": code, "X-Is-Func-Err": "false"}
        return as_json(refusal.status, {"code": int(code), "message": refusal.message}, headers | flags)
    if code.startswith("APIG"):
        envelope = {"error_msg": refusal.message, "error_code": code, "request_id": request_id}
        return as_json(refusal.status, envelope, headers)
    return as_json(refusal.status, {"error_code": code, "error_msg": refusal.message}, headers)


def rejection(call: Rejected) -> Refusal:
    """What is said to a call that no instance served."""
    why = "Function Disabled" if call.reason == "disabled" else message(call.code)
    return Refusal(call.status, call.code, why, {"X-Cff-Request-Id": call.request_id})


def message(code: str) -> str:
    """What goes with a code."""
    if code.isdecimal() and int(code) in ENGINE:
        return ENGINE[int(code)]
    return _MESSAGES.get(code.replace("APIGW.", "APIG."), f"The emulator was told to answer {code}")


def result_answer(
    call: Admitted,
    form: ResponseVersion,
    *,
    log: bytes | None,
    request_id: str,
    log_tail_bytes: int = 2000,
    probe: bool = False,
) -> Answer:
    """The answer to a call that an instance served: the function's result, or why it failed, or that it took too long.

    ``log`` is what the call logged, None unless it asked for it; ``request_id`` the gateway's name for the request.
    """
    if call.status == 504:
        return refused(Refusal(504, _BACKEND_TIMEOUT, message(_BACKEND_TIMEOUT)), request_id)
    result = _encode_json(_failure(call)) if call.code else _probe(call) if probe else RESULT
    headers = {
        "Content-Type": _JSON,
        "X-Cff-Invoke-Summary": _invoke_summary(call),
        "X-Cff-Request-Id": call.request_id,
        "X-CFF-Billing-Duration": str(_billed_ms(call)),
        "X-Cff-Response-Version": form.value,
        "X-Func-Err-Code": str(call.code),
        "X-Is-Func-Err": "true" if call.code else "false",
    }
    if log is not None:
        headers["X-Cff-Function-Log"] = b64encode(log[-log_tail_bytes:]).decode()
    if form is ResponseVersion.V0:
        return Answer(call.status, headers, result)
    return Answer(call.status, headers, _v1_body(call, result, (log or b"")[-LOG_BODY_BYTES:]))


def call_log(call: Admitted, received: float, *, start_lines: bool = True, printed_bytes: int = 0) -> bytes:
    """What a call logs, in the form of the platform's runtimes since 2025.

    ``received`` is the wall-clock time in seconds since 1970. ``start_lines``: the log of a call for which an instance
    was started begins with the lines of its start. ``printed_bytes`` is how much the function prints besides its one
    line.
    """
    return "".join(f"{line}\n" for line in _lines(call, received, start_lines, printed_bytes)).encode()


def _lines(call: Admitted, received: float, start_lines: bool, printed_bytes: int) -> Iterator[str]:
    at_s = received + call.queue_wait_ns / 1e9
    if call.cold_start is not None:
        load_ns = call.cold_start.code_ns + call.cold_start.dependencies_ns
        at_s += call.cold_start.total_ns / 1e9
        if start_lines:
            yield from _pair(call, "load", at_s - load_ns / 1e9, load_ns)
        if start_lines and call.init_ns is not None:
            yield from _pair(call, "initialize", at_s, call.init_ns)
        at_s += (call.init_ns or 0) / 1e9
    if call.code and not call.duration_ns and call.cold_start is not None:
        yield f"{_utc(at_s)} {call.request_id} ERROR {_failure_text(call)}"
        return
    said = f"ERROR {_failure_text(call)}" if call.code else "INFO hello world"
    yield f"{_utc(at_s)} Start invoke request '{call.request_id}', version: {call.version}"
    while printed_bytes > 0:
        line = f"{_utc(at_s)} {call.request_id} INFO another {printed_bytes} bytes are printed"
        printed_bytes -= len(line) + 1
        yield line
    yield f"{_utc(at_s)} {call.request_id} {said}"
    yield (
        f"{_utc(at_s + call.duration_ns / 1e9)} Finish invoke request '{call.request_id}', "
        f"duration: {_ms(call.duration_ns)}ms, billing duration: {_billed_ms(call)}ms, "
        f"memory used: {_mb(call.memory_used_bytes):.3f}MB, billing memory: {call.memory_mb}MB, "
        f"cpu used: {min(call.cpu_share, 1.0):.3f}U, storage used: 0.039MB"
    )


def _pair(call: Admitted, what: str, from_s: float, took_ns: int) -> Iterator[str]:
    """The lines of a step of an instance's start, which has a request id of its own."""
    digest = sha256(f"{call.request_id} {what}".encode()).digest()
    step_id = UUID(bytes=digest[:16], version=4)
    yield f"{_utc(from_s)} Start {what} request '{step_id}', version: {call.version}"
    yield (
        f"{_utc(from_s + took_ns / 1e9)} Finish {what} request '{step_id}', duration: {_ms(took_ns):.3f}ms, "
        f"memory used: {_mb(call.memory_used_bytes):.3f}MB, storage used: 0.039MB."
    )


def _probe(call: Admitted) -> bytes:
    """What the probe functions in docs/probe/ return."""
    return _encode_json({"cold": call.ordinal == 1, "instance": call.instance, "n": call.ordinal})


def _failure(call: Admitted) -> dict[str, Any]:
    failure: dict[str, Any] = {"errorMessage": _failure_text(call), "errorType": "Exception"}
    return failure | {"stackTrace": []} if call.code == RAISED else failure


def _failure_text(call: Admitted) -> str:
    if call.code == RAISED:
        return "function invocation exception, error: synthetic failure"
    return f"{ENGINE[call.code]} {call.duration_ns / 1e9:g}s" if call.code == TIMED_OUT else ENGINE[call.code]


def _v1_body(call: Admitted, result: bytes, log: bytes) -> bytes:
    # result is text that holds JSON, never a JSON object: the vendor's SDK turns an object into its Python repr
    return _encode_json(
        {
            "request_id": call.request_id,
            "result": result.decode(),
            "log": log.decode(),
            "status": 500 if call.code else 200,
        }
    )


def _invoke_summary(call: Admitted) -> str:
    return (
        f'{{"duration":{_ms(call.duration_ns)},"billingDuration":{_billed_ms(call)},'
        f'"memorySize":{call.memory_mb},"memoryUsed":{_mb(call.memory_used_bytes)}}}'
    )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ms(duration_ns: int) -> float:
    """Exact to three decimals, for a whole number of µs."""
    return duration_ns / 1_000_000


def _billed_ms(call: Admitted) -> int:
    return call.billed_duration_ns // 1_000_000


def _mb(size_bytes: int) -> float:
    return size_bytes / 1_048_576
