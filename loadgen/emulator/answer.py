"""What the emulator answers: status, headers and body, as functions of plain values.

Source: FunctionGraph API reference, Executing a Function Synchronously (header names and their casing, the two body
forms, the 2,000 bytes of log), and its list of error codes. What the reference leaves open is an assumption, listed in
docs/emulator.md.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from loadgen.emulator.model import Admitted, Rejected
from loadgen.scenario.model import ResponseVersion

LOG_HEADER_BYTES: Final = 2000
"""How much of the end of the log X-Cff-Function-Log carries, before base64."""

LOG_BODY_BYTES: Final = 4096
"""How much of the end of the log a v1 body carries."""

RESULT: Final = b'{"message": "hello world from FunctionStage"}'
"""What every function returns."""

FUNCTION_ERROR_CODE: Final = "4002"
"""The handler raised."""

_ERROR_RESULT: Final = (
    b'{"errorMessage": "function invocation exception, error: synthetic failure", '
    b'"errorType": "Exception", "stackTrace": []}'
)

_encode_json = msgspec.json.Encoder().encode


class Answer(Struct, frozen=True, gc=False):
    """An HTTP answer. The body is JSON."""

    status: int
    headers: dict[str, str]
    body: bytes


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    """An answer that is not the function's: the platform's envelope for errors."""
    return Answer(
        status,
        {"Content-Type": "application/json", **(headers or {})},
        _encode_json({"error_code": code, "error_msg": message}),
    )


def throttled(call: Rejected) -> Answer:
    """The answer to a call beyond the function's maximum of instances."""
    message = "Your request has been controlled by overload sdk, please retry later"
    return refusal(429, "FSS.0429", message, {"X-Cff-Request-Id": call.request_id})


def result_answer(call: Admitted, form: ResponseVersion, *, tail: bool, received: float, ended: float) -> Answer:
    """The answer of a function, which may be the error its code raised; always status 200.

    ``tail``: the call asked for its log. ``received`` and ``ended`` are wall-clock times in seconds since 1970, for the
    log.
    """
    result = _ERROR_RESULT if call.failed else RESULT
    log = _log(call, received, ended) if tail else b""
    headers = {
        "Content-Type": "application/json",
        "X-Cff-Invoke-Summary": _invoke_summary(call),
        "X-Cff-Request-Id": call.request_id,
        "X-CFF-Billing-Duration": str(_billed_ms(call)),
        "X-Cff-Response-Version": form.value,
        "X-Func-Err-Code": FUNCTION_ERROR_CODE if call.failed else "0",
        "X-Is-Func-Err": "true" if call.failed else "false",
    }
    if tail:
        headers["X-Cff-Function-Log"] = b64encode(log[-LOG_HEADER_BYTES:]).decode()
    if form is ResponseVersion.V0:
        return Answer(200, headers, result)
    return Answer(200, headers, _v1_body(call, result, log[-LOG_BODY_BYTES:]))


def _v1_body(call: Admitted, result: bytes, log: bytes) -> bytes:
    # result is text that holds JSON, never a JSON object: the vendor's SDK turns an object into its Python repr
    return _encode_json(
        {
            "request_id": call.request_id,
            "result": result.decode(),
            "log": log.decode(),
            "status": 500 if call.failed else 200,
        }
    )


def _invoke_summary(call: Admitted) -> str:
    return (
        f'{{"duration":{_ms(call.duration_ns)},"billingDuration":{_billed_ms(call)},'
        f'"memorySize":{call.memory_mb},"memoryUsed":{_mb(call.memory_used_bytes)}}}'
    )


def _log(call: Admitted, received: float, ended: float) -> bytes:
    """Three lines in the form of the platform's runtimes since 2025."""
    start, finish = _utc(received), _utc(ended)
    said = "ERROR function invocation exception, error: synthetic failure" if call.failed else "INFO hello world"
    return (
        f"{start} Start invoke request '{call.request_id}', version: latest\n"
        f"{start} {call.request_id} {said}\n"
        f"{finish} Finish invoke request '{call.request_id}', duration: {_ms(call.duration_ns)}ms, "
        f"billing duration: {_billed_ms(call)}ms, memory used: {_mb(call.memory_used_bytes):.3f}MB, "
        f"billing memory: {call.memory_mb}MB, cpu used: {min(call.cpu_share, 1.0):.3f}U, storage used: 0.039MB\n"
    ).encode()


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ms(duration_ns: int) -> float:
    """Exact to three decimals, for a whole number of µs."""
    return duration_ns / 1_000_000


def _billed_ms(call: Admitted) -> int:
    return call.billed_duration_ns // 1_000_000


def _mb(size_bytes: int) -> float:
    return size_bytes / 1_048_576
