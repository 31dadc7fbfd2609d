"""An answer in, Facts out: the hot path of the protocol.

A call that succeeded as documented (200, v0, a complete summary, no error headers, no log) takes the short way at the
top of ``classify_function``; everything else takes the long one, which is where the rules are. An answer is judged in
this order, and the first rule that applies decides:

1. Status 429, which says by itself that nothing ran: ``throttled``, or ``disabled`` where a code or the text says so.
2. Headers of the platform that contradict each other, by coming twice or folded into one with a comma, with values that
   mean different things: ``protocol``, as nobody can know which one is true. The worse one counts: its error code is
   kept, and nothing of contradicting figures is.
3. The error headers, X-Func-Err-Code and X-Is-Func-Err, of which the code may say ``disabled``, too: failures of the
   function's code arrive with status 200, so that the status alone would count crashes as successes.
4. A platform or gateway code in an error body whose meaning is finer than the status.
5. A status that is no success.
6. For a v1 answer, its body: ``protocol`` when it cannot be read, ``function_error`` when its ``status`` is not 200.

An answer that is ok has the reason ``status_inside`` where the result is JSON whose ``statusCode`` is 400 or above, as
functions behind an API gateway return it.

Header names are lower-case bytes, since the documents spell them in several casings; values are stripped bytes, and of
a repeated header all that differ, one a line. Only what decides an outcome or a bill can contradict itself: request ids
may repeat, as every hop may add its own, and then the last one stands. Trailers are not read.

Sources: FunctionGraph API reference, Executing a Function Synchronously; FunctionGraph user guide, metrics
("errors" are failures returned with status 200); RFC 9110 §5.3 (repeated and folded headers).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping

import msgspec
from msgspec import Struct, field

from loadgen.invocation.believed import LONGEST_ID
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.error_body import ErrorBody, error_body
from loadgen.targets.functiongraph.protocol.codes import (
    KNOWN_FORM,
    canonical,
    engine_outcome,
    platform_outcome,
)
from loadgen.targets.functiongraph.protocol.envelope import V1Answer, v1_answer, v1_result
from loadgen.targets.functiongraph.protocol.metering import (
    LONGEST_LOG,
    billing_meaning,
    decode_tail,
    documented_summary,
    metering,
    summary_meaning,
)
from loadgen.targets.functiongraph.protocol.probe import cold_by_log
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from loadgen.targets.status import STATUS_INSIDE, status_outcome, status_slug

_SUMMARY = b"x-cff-invoke-summary"
_REQUEST_ID = b"x-cff-request-id"
_LOG = b"x-cff-function-log"
_BILLING = b"x-cff-billing-duration"
_VERSION = b"x-cff-response-version"
_ERROR_CODE = b"x-func-err-code"
_IS_FUNCTION_ERROR = b"x-is-func-err"
_GATEWAY_REQUEST_ID = b"x-request-id"

HEADERS: frozenset[bytes] = frozenset(
    {_SUMMARY, _REQUEST_ID, _LOG, _BILLING, _VERSION, _ERROR_CODE, _IS_FUNCTION_ERROR, _GATEWAY_REQUEST_ID}
)
"""The response headers, in lower case, that the classifier reads; a reader may skip all others."""

LONGEST_ENGINE_CODE = 6
"""Digits of a number that may be an engine code, and so a reason."""

MOST_FOLDED = 64
"""How many values a proxy may have folded into one line; what has more parts is one value, however it reads."""

LONGEST_CODE = 32
"""Characters kept of an error code."""

CONTRADICTING = "contradicting_headers"
"""The reason of an answer whose headers contradict each other."""

_INSIDE = b"statusCode"  # in v1 its quotes are escaped
_OK = Outcome.OK
_V0 = ResponseVersion.V0
_V1 = ResponseVersion.V1
_FORMS = {b"v0": _V0, b"v1": _V1}
_TRUE = frozenset({b"true", b"1"})
_FALSE = frozenset({b"false", b"0", b""})


def classify_function(status: int, headers: Mapping[bytes, bytes], body: bytes, version: ResponseVersion) -> Facts:
    """What a function's answer says. Never raises, whatever the bytes.

    ``body`` must be whole for a v1 answer; of the others the first ``LONGEST_ERROR`` bytes (``envelope``) are enough.
    ``version`` is the form that was asked for; a form named in X-Cff-Response-Version overrides it, as the answer knows
    best.
    """
    get = headers.get
    if (
        status == 200
        and version is _V0
        and (summary := get(_SUMMARY)) is not None
        and get(_ERROR_CODE, b"0") == b"0"
        and get(_IS_FUNCTION_ERROR, b"false") == b"false"
        and get(_VERSION, b"v0") == b"v0"
        and (get(_BILLING, b"0").isdigit() or _single(headers[_BILLING]))
        and _LOG not in headers
        and (request_id := get(_REQUEST_ID)) is not None
        and (measured := documented_summary(summary)) is not None
    ):
        return Facts(
            _OK,
            "ok" if _INSIDE not in body else _reason(body),
            200,
            None,
            _last(request_id).decode("utf-8", "replace")[:LONGEST_ID] or None,
            measured.duration_ns,
            measured.billed_duration_ns,
            measured.memory_size_mb,
            measured.memory_used_bytes,
        )
    return _classify(status, headers, body, version)


def _classify(status: int, headers: Mapping[bytes, bytes], body: bytes, version: ResponseVersion) -> Facts:
    success = 200 <= status < 300
    headers, contradicting = _agreed(headers)
    form = _FORMS.get(headers.get(_VERSION, b"").lower(), version)
    answer = v1_answer(body) if success and form is _V1 else None
    error = ErrorBody() if success else error_body(body)
    outcome, reason, code = _failure(status, headers, error, contradicting) or _judge_success(form, answer)
    if outcome is _OK and _INSIDE in body:
        reason = _reason(v1_result(body) if form is _V1 else body)
    log = decode_tail(headers.get(_LOG)) or ((answer and answer.log) or "")[-LONGEST_LOG:] or None
    measured = metering(headers.get(_SUMMARY), headers.get(_BILLING), log)
    cold = log is not None and cold_by_log(log)
    return Facts(
        outcome,
        reason,
        status,
        code[:LONGEST_CODE] if code else None,
        _request_id(headers, answer, error),
        measured.duration_ns,
        measured.billed_duration_ns,
        measured.memory_size_mb,
        measured.memory_used_bytes,
        log,
        "cold" if cold else None,
        "log" if cold else None,
        unbelieved=measured.unbelieved,
    )


class _Result(Struct, gc=False):
    """A result as an API gateway would take it."""

    status: int | str | None = field(name="statusCode", default=None)


_decode_result = msgspec.json.Decoder(_Result).decode


def _reason(result: bytes) -> str:
    """The reason of an ok answer with this result, as far as that is kept."""
    try:
        status = int(_decode_result(result).status or 0)
    except (ValueError, RecursionError):
        return "ok"
    return STATUS_INSIDE if status >= 400 else "ok"


_Judgement = tuple[Outcome, str, str | None]
"""Outcome, reason, error code."""


def _failure(status: int, headers: Mapping[bytes, bytes], error: ErrorBody, contradicting: bool) -> _Judgement | None:
    """Rules 1 to 5; None when neither headers nor status speak of a failure."""
    header_code = _error_code(headers)
    if contradicting and status != 429:
        return Outcome.PROTOCOL, CONTRADICTING, header_code or error.code
    if header_code is not None and _outcome_of(header_code) is Outcome.DISABLED:
        return Outcome.DISABLED, _slug(header_code) or "disabled", header_code
    if status == 429:
        return _refusal(error, header_code)
    return _judge_error_headers(status, headers, header_code) or _judge_status(status, error, header_code)


def _refusal(error: ErrorBody, header_code: str | None) -> _Judgement:
    """A 429: too much load, or a function that is switched off, which only the text of the error tells apart."""
    code = error.code or header_code
    off = _outcome_of(error.code) is Outcome.DISABLED or _says_disabled(error)
    return Outcome.DISABLED if off else Outcome.THROTTLED, _slug(code) or status_slug(429), code


def _judge_error_headers(status: int, headers: Mapping[bytes, bytes], code: str | None) -> _Judgement | None:
    flag = headers.get(_IS_FUNCTION_ERROR, b"").lower()
    if code is None:
        return (Outcome.FUNCTION_ERROR, "func_err", None) if flag in _TRUE else None
    reason = _slug(code) or "code_other"
    if (outcome := _outcome_of(code)) is not None:
        return outcome, reason, code
    # A code in no table. The flag says whose error it is; without it, a failure with a good status is the function's.
    if flag in _TRUE:
        return Outcome.FUNCTION_ERROR, reason, code
    if 200 <= status < 300:
        return Outcome.PLATFORM_ERROR if flag else Outcome.FUNCTION_ERROR, reason, code
    return None


def _judge_status(status: int, error: ErrorBody, header_code: str | None) -> _Judgement | None:
    if 200 <= status < 300:
        return None
    # The engine sends its codes with status 500; the same numbers beside a 4xx are somebody else's.
    code = error.code if status >= 500 or _number(error.code or "") is None else None
    outcome = _outcome_of(code) or status_outcome(status)
    if outcome is Outcome.THROTTLED and _says_disabled(error):
        outcome = Outcome.DISABLED
    return outcome, _slug(code) or status_slug(status), error.code or header_code


def _judge_success(form: ResponseVersion, answer: V1Answer | None) -> _Judgement:
    """Rule 6, for an answer that neither headers nor status call a failure."""
    if form is _V0:
        return _OK, "ok", None
    if answer is None:
        return Outcome.PROTOCOL, "v1_body", None
    if answer.status not in (None, 200):
        return Outcome.FUNCTION_ERROR, "v1_status", str(answer.status)
    return _OK, "ok", None


def _error_code(headers: Mapping[bytes, bytes]) -> str | None:
    """X-Func-Err-Code, unless it is absent, empty or zero."""
    code = headers.get(_ERROR_CODE, b"").decode("utf-8", "replace")
    return None if not code or _number(code) == 0 else code


def _number(code: str) -> int | None:
    return int(code) if len(code) <= 9 and code.isascii() and code.isdigit() else None


def _outcome_of(code: str | None) -> Outcome | None:
    if code is None:
        return None
    number = _number(code)
    return platform_outcome(code) if number is None else engine_outcome(number)


def _slug(code: str | None) -> str | None:
    """The reason that stands for a code; None for an unknown form of code, as those could be endlessly many."""
    if code is None:
        return None
    if (
        len(code) <= LONGEST_ENGINE_CODE
        and (number := _number(code)) is not None
        and engine_outcome(number) is not None
    ):
        return f"code_{number}"
    return code if KNOWN_FORM.fullmatch(code) else None


def _says_disabled(error: ErrorBody) -> bool:
    return "disabled" in (error.message or "").lower()


def _request_id(headers: Mapping[bytes, bytes], answer: V1Answer | None, error: ErrorBody | None) -> str | None:
    """The function's request id, else the gateway's, else the one in the body."""
    raw = _last(headers.get(_REQUEST_ID) or headers.get(_GATEWAY_REQUEST_ID) or b"")
    text = raw.decode("utf-8", "replace") if raw else (answer and answer.request_id) or (error and error.request_id)
    return text[:LONGEST_ID] if text else None


def _last(value: bytes) -> bytes:
    """The last one of a header's values."""
    return value.rpartition(b"\n")[2]


def _agreed(headers: Mapping[bytes, bytes]) -> tuple[Mapping[bytes, bytes], bool]:
    """The headers with one value each, and whether the values of any contradict each other.

    Of contradicting error headers the first that speaks of a failure stays, of all others none does.
    """
    one: dict[bytes, bytes] | None = None
    contradicting = False
    for name, meaning in _MEANINGS.items():
        raw = headers.get(name)
        if raw is None or _single(raw):
            continue
        values = _values(raw, meaning, _PARTS.get(name, _by_commas))
        one = dict(headers) if one is None else one
        if len({said for _, said in values}) == 1:
            one[name] = values[0][0]
            continue
        contradicting = True
        one[name] = next((each for each, said in values if said), b"") if name in _OF_FAILURES else b""
    return headers if one is None else one, contradicting


def _single(raw: bytes) -> bool:
    """Whether this is plainly one value: on one line, and without commas but for those of a flat JSON object."""
    flat = raw[:1] == b"{" and raw.find(b"}") == len(raw) - 1
    return b"\n" not in raw and (flat or b"," not in raw)


def _values(
    raw: bytes, meaning: Callable[[bytes], Hashable], parts: Callable[[bytes], list[bytes]]
) -> list[tuple[bytes, Hashable]]:
    """The values of a header and what each of them means: itself, where it cannot be read.

    ``parts`` takes apart what a proxy may have folded into one line.
    """
    values: list[tuple[bytes, Hashable]] = []
    for line in filter(None, raw.split(b"\n")):  # a header without a value says nothing
        apart = parts(line)
        folded = (
            [(part, meaning(part)) for part in map(bytes.strip, apart) if part] if len(apart) <= MOST_FOLDED else []
        )
        if not folded or any(said is None for _, said in folded):  # then its commas are part of one value
            folded = [(line, meaning(line))]
        values += [(part, part if said is None else said) for part, said in folded]
    return values or [(b"", meaning(b""))]


def _by_commas(line: bytes) -> list[bytes]:
    return line.split(b",")


def _json_values(line: bytes) -> list[bytes]:
    """The JSON values that follow each other with commas between; the line itself where that is not what it holds."""
    text = line.decode("utf-8", "replace")
    values: list[bytes] = []
    at = 0
    try:
        while True:
            _, end = _JSON.raw_decode(text, at)
            values.append(text[at:end].encode())
            if len(values) > MOST_FOLDED:
                return [line]
            end = _behind_blanks(text, end)
            if end == len(text):
                return values
            if text[end] != ",":
                return [line]
            at = _behind_blanks(text, end + 1)
    except (ValueError, RecursionError):
        return [line]


def _behind_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return at


_JSON = json.JSONDecoder(strict=False)


def _code_meaning(raw: bytes) -> Hashable:
    code = raw.decode("utf-8", "replace")
    number = _number(code)
    if number is not None or not code:
        return number or ""
    return canonical(code) if KNOWN_FORM.fullmatch(code) else None


def _flag_meaning(raw: bytes) -> Hashable:
    return raw.lower() in _TRUE or (raw.lower() not in _FALSE and raw)  # any other text means only itself


_PARTS: dict[bytes, Callable[[bytes], list[bytes]]] = {
    _SUMMARY: _json_values,
    _BILLING: lambda line: [line],  # its text is documented nowhere, and a comma may be part of it
}
_OF_FAILURES = frozenset({_ERROR_CODE, _IS_FUNCTION_ERROR})
_MEANINGS: dict[bytes, Callable[[bytes], Hashable]] = {
    _ERROR_CODE: _code_meaning,
    _IS_FUNCTION_ERROR: _flag_meaning,
    _VERSION: lambda raw: _FORMS.get(raw.lower()),
    _SUMMARY: summary_meaning,
    _BILLING: billing_meaning,
    _LOG: decode_tail,
}
"""The headers that decide an outcome or a bill, and what a value of each means; None for one that cannot be read."""
