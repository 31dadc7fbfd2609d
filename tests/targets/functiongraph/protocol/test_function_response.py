from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.invocation.believed import LONGEST_ID
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.protocol.response import HEADERS, classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from loadgen.targets.http.response import classify_http

V0, V1 = ResponseVersion.V0, ResponseVersion.V1
MS = 1_000_000
MB = 1_048_576
ID = b"1cbe80f3-3c65-475e-ad88-76ac518d386a"
SUMMARY = b'{"duration":1.913,"billingDuration":100,"memorySize":128,"memoryUsed":41.51171875}'
RESULT = b'{"message": "hello world from FunctionStage"}'
OK_HEADERS = {
    b"x-cff-invoke-summary": SUMMARY,
    b"x-cff-request-id": ID,
    b"x-cff-billing-duration": b"100",
    b"x-cff-response-version": b"v0",
    b"x-func-err-code": b"0",
    b"x-is-func-err": b"false",
}
OK_FACTS = Facts(Outcome.OK, "ok", 200, None, ID.decode(), 1_913_000, 100 * MS, 128, 43_528_192)

V1_EXAMPLE = rb"""
   {
     "result" : "{\"statusCode\": 200, \"isBase64Encoded\": false, \"body\": \"{\\\"key\\\": \\\"value\\\"}\", \"headers\": {\"Content-Type\": \"application/json\"}}",
     "log" : "2022-09-20T11:43:57Z Start invoke request '1cbe80f3-3c65-475e-ad88-76ac518d386a', version: v1\nHello, World!\n\n2022-09-20T11:43:58Z Finish invoke request '1cbe80f3-3c65-475e-ad88-76ac518d386a', duration: 65.828ms, billing duration: 66ms, memory used: 21.473MB, billing memory: 128MB",
     "status" : 200,
     "request_id" : "1cbe80f3-3c65-475e-ad88-76ac518d386x"
   }
"""  # noqa: E501 - verbatim from the API reference


def function(status: int = 200, body: bytes = RESULT, version: ResponseVersion = V0, **headers: bytes) -> Facts:
    """The facts of an answer whose headers are given with underscores for hyphens."""
    return classify_function(status, {k.replace("_", "-").encode(): v for k, v in headers.items()}, body, version)


def judged(facts: Facts) -> tuple[Outcome, str, str | None]:
    return facts.outcome, facts.reason, facts.error_code


# -- documented examples, verbatim


def test_the_documented_success_is_ok() -> None:
    assert classify_function(200, OK_HEADERS, RESULT, V0) == OK_FACTS


def test_the_documented_failure_is_not_found() -> None:
    facts = function(404, b'{"error_code":"FSS.0404","error_msg":"Not found the specified resource"}')
    assert facts == Facts(Outcome.NOT_FOUND, "FSS.0404", 404, "FSS.0404")


def test_the_documented_v1_answer_is_ok_with_its_log_and_what_the_log_says() -> None:
    facts = classify_function(200, {}, V1_EXAMPLE, V1)
    assert facts == Facts(
        Outcome.OK,
        "ok",
        200,
        None,
        "1cbe80f3-3c65-475e-ad88-76ac518d386x",
        65_828_000,
        66 * MS,
        128,
        round(21.473 * MB),
        json.loads(V1_EXAMPLE)["log"],
    )
    assert facts.log is not None
    assert "Hello, World!" in facts.log


# -- headers


def test_the_header_names_are_lower_case_and_cover_the_api_reference() -> None:
    assert all(name == name.lower() for name in HEADERS)
    assert set(OK_HEADERS) < HEADERS
    assert {b"x-cff-function-log", b"x-request-id"} < HEADERS


def test_an_answer_without_any_header_is_ok_and_knows_nothing() -> None:
    assert function() == Facts(Outcome.OK, "ok", 200)


def test_the_short_and_the_long_way_agree() -> None:
    for changed in ({b"x-func-err-code": b"00"}, {b"x-is-func-err": b"False"}, {b"x-cff-response-version": b"V0"}):
        assert classify_function(200, OK_HEADERS | changed, RESULT, V0) == OK_FACTS
    for absent in (b"x-func-err-code", b"x-is-func-err", b"x-cff-response-version", b"x-cff-billing-duration"):
        assert classify_function(200, {k: v for k, v in OK_HEADERS.items() if k != absent}, RESULT, V0) == OK_FACTS


def test_the_request_id_is_the_functions_then_the_gateways_then_the_bodys() -> None:
    body = b'{"error_code":"APIG.0301","error_msg":"m","request_id":"body"}'
    assert function(401, body, x_cff_request_id=b"function", x_request_id=b"gateway").request_id == "function"
    assert function(401, body, x_request_id=b"gateway").request_id == "gateway"
    assert function(401, body).request_id == "body"
    assert function(401, b"").request_id is None


def test_a_request_id_is_opaque_and_short() -> None:
    assert function(x_cff_request_id=b"\xff not a uuid").request_id == "\ufffd not a uuid"
    assert function(x_cff_request_id=b"x" * 1000).request_id == "x" * LONGEST_ID
    assert function(x_cff_request_id=b"x" * 1000, x_cff_invoke_summary=SUMMARY).request_id == "x" * LONGEST_ID
    assert function(x_cff_request_id=b"", x_cff_invoke_summary=SUMMARY).request_id is None


def test_the_log_tail_is_decoded_and_read() -> None:
    line = f"Finish invoke request '{ID.decode()}', duration: 2.049ms, billing duration: 3ms, memory used: 36.535MB"
    facts = function(x_cff_function_log=base64.b64encode(line.encode()))
    assert (facts.log, facts.duration_ns, facts.billed_duration_ns) == (line, 2_049_000, 3 * MS)


def test_the_billing_header_counts_when_the_summary_has_none() -> None:
    assert function(x_cff_billing_duration=b"66").billed_duration_ns == 66 * MS


def test_the_summary_is_used_on_a_failure_too() -> None:
    facts = function(x_cff_invoke_summary=SUMMARY, x_func_err_code=b"4002", x_is_func_err=b"true")
    assert (facts.outcome, facts.billed_duration_ns) == (Outcome.FUNCTION_ERROR, 100 * MS)


# -- outcomes, in the order of precedence


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        # the platform refuses
        (429, b'{"error_code":"FSS.0429","error_msg":"Your request has been controlled by overload sdk"}', {},
         (Outcome.THROTTLED, "FSS.0429", "FSS.0429")),
        # the gateway refuses, in both spellings
        (429, b'{"error_code":"APIG.0308","error_msg":"m"}', {}, (Outcome.THROTTLED, "APIG.0308", "APIG.0308")),
        (429, b'{"error_code":"APIGW.0308","error_msg":"m"}', {}, (Outcome.THROTTLED, "APIGW.0308", "APIGW.0308")),
        # somebody refuses without a word
        (429, b"", {}, (Outcome.THROTTLED, "status_429", None)),
        (429, b"<html>disabled</html>", {}, (Outcome.THROTTLED, "status_429", None)),
        # the function is switched off
        (429, b'{"error_code":"FSS.0429","error_msg":"Function Disabled"}', {},
         (Outcome.DISABLED, "FSS.0429", "FSS.0429")),
        (429, b'{"error_msg":"function is disabled"}', {}, (Outcome.DISABLED, "status_429", None)),
        (429, b"", {"x_func_err_code": b"150434"}, (Outcome.DISABLED, "code_150434", "150434")),
        (429, b'{"code":150434,"message":"m"}', {}, (Outcome.DISABLED, "code_150434", "150434")),
        (200, b"", {"x_func_err_code": b"150434"}, (Outcome.DISABLED, "code_150434", "150434")),
        (500, b"", {"x_func_err_code": b"150434"}, (Outcome.DISABLED, "code_150434", "150434")),
        # 429 goes before a code
        (429, b"", {"x_func_err_code": b"4002"}, (Outcome.THROTTLED, "code_4002", "4002")),
        # a quota, whatever the status
        (200, b"", {"x_func_err_code": b"150429"}, (Outcome.THROTTLED, "code_150429", "150429")),
        (500, b"", {"x_func_err_code": b"150432"}, (Outcome.THROTTLED, "code_150432", "150432")),
        (503, b'{"error_code":"FSS.0429","error_msg":"m"}', {}, (Outcome.THROTTLED, "FSS.0429", "FSS.0429")),
    ],
)  # fmt: skip
def test_first_a_refusal_is_throttled_or_disabled(
    status: int, body: bytes, headers: dict[str, bytes], expected: tuple[Outcome, str, str | None]
) -> None:
    assert judged(function(status, body, V0, **headers)) == expected


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        # the code of a crash with a good status: this is how they arrive
        (200, {"x_func_err_code": b"4002", "x_is_func_err": b"true"}, (Outcome.FUNCTION_ERROR, "code_4002", "4002")),
        # the flag alone, in all its spellings
        (200, {"x_is_func_err": b"true"}, (Outcome.FUNCTION_ERROR, "func_err", None)),
        (200, {"x_is_func_err": b"True"}, (Outcome.FUNCTION_ERROR, "func_err", None)),
        (200, {"x_is_func_err": b"1"}, (Outcome.FUNCTION_ERROR, "func_err", None)),
        (200, {"x_is_func_err": b"true", "x_func_err_code": b"0"}, (Outcome.FUNCTION_ERROR, "func_err", None)),
        # and what is no flag
        (200, {"x_is_func_err": b"false"}, (Outcome.OK, "ok", None)),
        (200, {"x_is_func_err": b"0"}, (Outcome.OK, "ok", None)),
        (200, {"x_is_func_err": b""}, (Outcome.OK, "ok", None)),
        # the headers go before the status, as the engine sends 500 for all of these
        (500, {"x_func_err_code": b"4002"}, (Outcome.FUNCTION_ERROR, "code_4002", "4002")),
        (500, {"x_is_func_err": b"true"}, (Outcome.FUNCTION_ERROR, "func_err", None)),
        (504, {"x_func_err_code": b"4010"}, (Outcome.FUNCTION_TIMEOUT, "code_4010", "4010")),
        (500, {"x_func_err_code": b"4205"}, (Outcome.OUT_OF_MEMORY, "code_4205", "4205")),
        (200, {"x_func_err_code": b"4204", "x_is_func_err": b"true"}, (Outcome.OUT_OF_MEMORY, "code_4204", "4204")),
        (200, {"x_func_err_code": b"4201"}, (Outcome.INIT_ERROR, "code_4201", "4201")),
        # other codes of the user side and of the system side
        (200, {"x_func_err_code": b"4777"}, (Outcome.FUNCTION_ERROR, "code_4777", "4777")),
        (200, {"x_func_err_code": b"161900"}, (Outcome.PLATFORM_ERROR, "code_161900", "161900")),
        (
            200,
            {"x_func_err_code": b"161900", "x_is_func_err": b"true"},
            (Outcome.PLATFORM_ERROR, "code_161900", "161900"),
        ),
        (200, {"x_func_err_code": b"10000001"}, (Outcome.PLATFORM_ERROR, "code_other", "10000001")),
        # a platform code in the header
        (200, {"x_func_err_code": b"FSS.1405"}, (Outcome.INIT_ERROR, "FSS.1405", "FSS.1405")),
        # codes in no table: the flag decides whose error it is, then the status
        (200, {"x_func_err_code": b"7"}, (Outcome.FUNCTION_ERROR, "code_other", "7")),
        (200, {"x_func_err_code": b"oops", "x_is_func_err": b"true"}, (Outcome.FUNCTION_ERROR, "code_other", "oops")),
        (200, {"x_func_err_code": b"oops", "x_is_func_err": b"false"}, (Outcome.PLATFORM_ERROR, "code_other", "oops")),
        (404, {"x_func_err_code": b"oops"}, (Outcome.NOT_FOUND, "status_404", "oops")),
        # no code at all
        (200, {"x_func_err_code": b""}, (Outcome.OK, "ok", None)),
        (200, {"x_func_err_code": b"0"}, (Outcome.OK, "ok", None)),
        (200, {"x_func_err_code": b"000"}, (Outcome.OK, "ok", None)),
    ],
)
def test_second_the_error_headers_decide_whatever_the_status(
    status: int, headers: dict[str, bytes], expected: tuple[Outcome, str, str | None]
) -> None:
    assert judged(function(status, b"", V0, **headers)) == expected


def envelope(code: str, message: str = "m") -> bytes:
    return json.dumps({"error_code": code, "error_msg": message}).encode()


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason"),
    [
        # every failing status of the API reference, with its code and without
        (400, envelope("FSS.0400"), Outcome.BAD_REQUEST, "FSS.0400"),
        (400, b"", Outcome.BAD_REQUEST, "status_400"),
        (401, envelope("FSS.0401"), Outcome.AUTH, "FSS.0401"),
        (401, b"", Outcome.AUTH, "status_401"),
        (403, envelope("FSS.0403", "invalid token"), Outcome.AUTH, "FSS.0403"),
        (403, b"", Outcome.AUTH, "status_403"),
        (404, envelope("FSS.0404"), Outcome.NOT_FOUND, "FSS.0404"),
        (404, b"", Outcome.NOT_FOUND, "status_404"),
        (500, envelope("FSS.0500"), Outcome.PLATFORM_ERROR, "FSS.0500"),
        (500, b"", Outcome.PLATFORM_ERROR, "status_500"),
        (503, envelope("FSS.0503"), Outcome.GATEWAY, "FSS.0503"),
        (503, b"", Outcome.GATEWAY, "status_503"),
        # an unknown function, version, alias
        (404, envelope("FSS.1051"), Outcome.NOT_FOUND, "FSS.1051"),
        (404, envelope("FSS.1052"), Outcome.NOT_FOUND, "FSS.1052"),
        (404, envelope("FSS.1053"), Outcome.NOT_FOUND, "FSS.1053"),
        # a bad event or memory size, a body too large
        (406, envelope("FSS.0406"), Outcome.BAD_REQUEST, "FSS.0406"),
        (413, envelope("FSS.0413"), Outcome.TOO_LARGE, "FSS.0413"),
        (413, envelope("FSS.1201"), Outcome.TOO_LARGE, "FSS.1201"),
        (413, envelope("APIG.0201"), Outcome.TOO_LARGE, "APIG.0201"),
        (494, envelope("APIG.0201"), Outcome.TOO_LARGE, "APIG.0201"),
        # codes that are finer than their status
        (408, envelope("FSS.0408"), Outcome.FUNCTION_TIMEOUT, "FSS.0408"),
        (400, envelope("FSS.1404"), Outcome.INIT_ERROR, "FSS.1404"),
        (400, envelope("FSS.1405"), Outcome.INIT_ERROR, "FSS.1405"),
        # the gateway
        (
            401,
            envelope("APIG.0301", "Incorrect IAM authentication information: decrypt token fail"),
            Outcome.AUTH,
            "APIG.0301",
        ),
        (401, envelope("APIG.0307"), Outcome.AUTH, "APIG.0307"),
        (401, envelope("APIGW.0301"), Outcome.AUTH, "APIGW.0301"),
        (403, envelope("APIG.0802"), Outcome.AUTH, "APIG.0802"),
        (404, envelope("APIG.0101"), Outcome.NOT_FOUND, "APIG.0101"),
        (500, envelope("APIG.0601"), Outcome.PLATFORM_ERROR, "APIG.0601"),
        (502, envelope("APIG.0202"), Outcome.GATEWAY, "APIG.0202"),
        (504, envelope("APIG.0203"), Outcome.GATEWAY, "APIG.0203"),
        # the engine's own envelope leaking through
        (500, b'{"code":4002,"message":"m"}', Outcome.FUNCTION_ERROR, "code_4002"),
        (500, b'{"code":4010,"message":"m"}', Outcome.FUNCTION_TIMEOUT, "code_4010"),
        (500, b'{"code":150429,"message":"m"}', Outcome.THROTTLED, "code_150429"),
        # numbers beside a 4xx are somebody else's
        (401, b'{"code":100001,"message":"m"}', Outcome.AUTH, "status_401"),
        (404, b'{"code":4002,"message":"m"}', Outcome.NOT_FOUND, "status_404"),
        # too long for an engine code
        (500, b'{"code":10000001,"message":"m"}', Outcome.PLATFORM_ERROR, "status_500"),
        # Keystone's number is a status, not an engine code
        (401, b'{"error":{"code":401,"message":"m","title":"Unauthorized"}}', Outcome.AUTH, "status_401"),
        # a code of no known form becomes no reason
        (500, envelope("whatever you like"), Outcome.PLATFORM_ERROR, "status_500"),
        # proxies
        (404, b"<html><h1>404 Not Found</h1></html>", Outcome.NOT_FOUND, "status_404"),
        (502, b"<html><h1>502 Bad Gateway</h1></html>", Outcome.GATEWAY, "status_502"),
        (504, b"", Outcome.GATEWAY, "status_504"),
        (302, b"", Outcome.PLATFORM_ERROR, "status_302"),
        (418, b"", Outcome.BAD_REQUEST, "status_418"),
    ],
)
def test_third_the_code_and_the_status_decide(status: int, body: bytes, outcome: Outcome, reason: str) -> None:
    for version in (V0, V1):
        facts = function(status, body, version)
        assert (facts.outcome, facts.reason, facts.status) == (outcome, reason, status)


def test_an_error_keeps_its_code_even_one_that_becomes_no_reason() -> None:
    assert function(500, envelope("odd")).error_code == "odd"
    assert function(500, envelope("x" * 1000)).error_code == "x" * 32


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"result":"r","status":200}', (Outcome.OK, "ok", None)),
        (b'{"result":"r","status":"200"}', (Outcome.OK, "ok", None)),
        # no status: the headers have said that all is well
        (b'{"result":"r"}', (Outcome.OK, "ok", None)),
        # any other status is a failure of the function, and is kept
        (b'{"result":"r","status":500}', (Outcome.FUNCTION_ERROR, "v1_status", "500")),
        (b'{"result":"r","status":"500"}', (Outcome.FUNCTION_ERROR, "v1_status", "500")),
        (b'{"result":"r","status":0}', (Outcome.FUNCTION_ERROR, "v1_status", "0")),
        (b'{"result":"r","status":4002}', (Outcome.FUNCTION_ERROR, "v1_status", "4002")),
        # not a v1 answer
        (b"", (Outcome.PROTOCOL, "v1_body", None)),
        (b"OK", (Outcome.PROTOCOL, "v1_body", None)),
        (RESULT, (Outcome.PROTOCOL, "v1_body", None)),
        (b'{"result":"r","status":"fine"}', (Outcome.PROTOCOL, "v1_body", None)),
        (b'{"result":"r","status":20', (Outcome.PROTOCOL, "v1_body", None)),
    ],
)
def test_last_a_v1_body_decides(body: bytes, expected: tuple[Outcome, str, str | None]) -> None:
    assert judged(function(200, body, V1)) == expected


def test_the_error_headers_go_before_a_v1_body() -> None:
    assert function(200, b"crash", V1, x_func_err_code=b"4002").outcome is Outcome.FUNCTION_ERROR
    assert function(200, b'{"status":500}', V1, x_func_err_code=b"4010").outcome is Outcome.FUNCTION_TIMEOUT


def test_the_answer_knows_its_own_form_best() -> None:
    assert function(200, RESULT, V1, x_cff_response_version=b"v0").outcome is Outcome.OK
    assert (
        function(200, b'{"result":"r","status":500}', V0, x_cff_response_version=b"V1").outcome
        is Outcome.FUNCTION_ERROR
    )
    assert function(200, RESULT, V1, x_cff_response_version=b"v7").outcome is Outcome.PROTOCOL


def test_a_v0_body_is_the_functions_own_and_is_not_read() -> None:
    for body in (b"", b"text", b'{"status":500}', b'{"errorMessage":"m","errorType":"t"}', envelope("FSS.0404")):
        assert function(200, body).outcome is Outcome.OK


def test_an_empty_v1_log_is_no_log() -> None:
    assert function(200, b'{"result":"r","log":"","status":200}', V1).log is None


# -- plain HTTP


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (200, Outcome.OK, "ok"),
        (204, Outcome.OK, "ok"),
        (300, Outcome.OK, "status_300"),
        (301, Outcome.OK, "redirect"),
        (302, Outcome.OK, "redirect"),
        (303, Outcome.OK, "redirect"),
        (304, Outcome.OK, "status_304"),
        (305, Outcome.OK, "status_305"),
        (306, Outcome.OK, "status_306"),
        (307, Outcome.OK, "redirect"),
        (308, Outcome.OK, "redirect"),
        (399, Outcome.OK, "status_399"),
        (400, Outcome.BAD_REQUEST, "status_400"),
        (401, Outcome.AUTH, "status_401"),
        (403, Outcome.AUTH, "status_403"),
        (404, Outcome.NOT_FOUND, "status_404"),
        (413, Outcome.TOO_LARGE, "status_413"),
        (422, Outcome.BAD_REQUEST, "status_422"),
        (429, Outcome.THROTTLED, "status_429"),
        (500, Outcome.PLATFORM_ERROR, "status_500"),
        (502, Outcome.GATEWAY, "status_502"),
        (503, Outcome.GATEWAY, "status_503"),
        (504, Outcome.GATEWAY, "status_504"),
        (599, Outcome.PLATFORM_ERROR, "status_599"),
    ],
)
def test_a_plain_answer_is_judged_by_its_status_alone(status: int, outcome: Outcome, reason: str) -> None:
    headers = {b"x-request-id": b"r", b"x-func-err-code": b"4002", b"x-is-func-err": b"true", b"location": b"/there"}
    assert classify_http(status, headers, envelope("FSS.0429")) == Facts(outcome, reason, status, None, "r")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_that_says_not_where_to_is_none(status: int) -> None:
    for headers in ({}, {b"location": b""}):
        assert classify_http(status, headers, b"") == Facts(Outcome.OK, f"status_{status}", status)


@pytest.mark.parametrize("status", [301, 304, 308])
def test_a_function_is_never_ok_with_a_3xx(status: int) -> None:
    facts = classify_function(status, OK_HEADERS | {b"location": b"/there"}, RESULT, V0)
    assert judged(facts) == (Outcome.PLATFORM_ERROR, f"status_{status}", None)


# -- headers that contradict each other

ELSE = SUMMARY.replace(b"100", b"200")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        (b"x-func-err-code", b"4002\n0", "4002"),
        (b"x-func-err-code", b"0\n4002", "4002"),
        (b"x-func-err-code", b"4002, 0", "4002"),  # folded by a proxy
        (b"x-func-err-code", b"0,4002", "4002"),
        (b"x-func-err-code", b"0\n0, 4002\n0", "4002"),
        (b"x-func-err-code", b"4010\n4002", "4010"),  # two failures, and nobody knows which
        (b"x-func-err-code", b"0\nwhatever", "whatever"),
        (b"x-func-err-code", b"150434, 0", "150434"),
        (b"x-is-func-err", b"true\nfalse", None),
        (b"x-is-func-err", b"False, TRUE", None),
        (b"x-is-func-err", b"0\n1", None),
        (b"x-cff-response-version", b"v0\nv1", None),
        (b"x-cff-response-version", b"v1, v0", None),
        (b"x-cff-invoke-summary", SUMMARY + b"\n" + ELSE, None),
        (b"x-cff-invoke-summary", SUMMARY + b", " + ELSE, None),
        (b"x-cff-invoke-summary", SUMMARY[:-1] + b',"pods":[{"n":1},{"n":2}]},' + ELSE, None),
        (b"x-cff-invoke-summary", SUMMARY + b"\ngarbage", None),
        (b"x-cff-billing-duration", b"100\n200", None),
        (b"x-cff-billing-duration", b"100\n100s", None),
        (b"x-cff-function-log", base64.b64encode(b"one") + b"\n" + base64.b64encode(b"two"), None),
    ],
)
@pytest.mark.parametrize("version", [V0, V1])
@pytest.mark.parametrize("status", [200, 202, 404, 500])
def test_headers_that_contradict_each_other_are_a_protocol_fault_with_the_worse_code(
    name: bytes, value: bytes, code: str | None, version: ResponseVersion, status: int
) -> None:
    facts = classify_function(status, OK_HEADERS | {name: value}, RESULT, version)
    assert judged(facts) == (Outcome.PROTOCOL, "contradicting_headers", code)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-func-err-code", b"0, 0"),
        (b"x-func-err-code", b"0\n00\n"),
        (b"x-func-err-code", b"0,"),
        (b"x-is-func-err", b"false\nFalse, 0"),
        (b"x-cff-response-version", b"v0\nV0"),
        (b"x-cff-invoke-summary", SUMMARY + b"\n" + SUMMARY.replace(b":", b": ")),
        (b"x-cff-invoke-summary", SUMMARY + b" , " + SUMMARY),
        (b"x-cff-invoke-summary", SUMMARY[:-1] + b',"pods":[{"n":1},{"n":2}]}'),  # commas of its own
        (b"x-cff-billing-duration", b"100\n100ms"),
        (b"x-cff-billing-duration", b"100, 0.1s"),
        (b"x-cff-billing-duration", b"1,234"),  # its text is documented nowhere, and a comma may be part of it
        (b"x-cff-billing-duration", b"100\n"),  # a header without a value says nothing
        (b"x-cff-response-version", b"\nv0"),
        (b"x-cff-invoke-summary", b"\n" + SUMMARY),
        (b"x-cff-billing-duration", b'{"billingDuration":100,"unit":"ms"}'),
        (b"x-request-id", b"of-one-hop\nof-another"),
        (b"x-cff-request-id", b"of-another\n" + ID),
        (b"location", b"/a\n/b"),
    ],
)
def test_headers_that_only_repeat_contradict_nothing(name: bytes, value: bytes) -> None:
    assert classify_function(200, OK_HEADERS | {name: value}, RESULT, V0) == OK_FACTS


def test_a_repeated_failure_stays_the_failure_that_it_is() -> None:
    for code in (b"4002\n4002", b"4002, 4002", b"4002\n04002"):
        assert judged(function(x_func_err_code=code)) == (Outcome.FUNCTION_ERROR, "code_4002", "4002")


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (b"4002\n0", (Outcome.THROTTLED, "code_4002", "4002")),
        (b"0, 150434", (Outcome.DISABLED, "code_150434", "150434")),
    ],
)
def test_a_429_is_a_refusal_whatever_its_headers_say(codes: bytes, expected: tuple[Outcome, str, str]) -> None:
    assert judged(classify_function(429, OK_HEADERS | {b"x-func-err-code": codes}, b"", V0)) == expected


def test_of_contradicting_figures_none_is_believed_and_the_others_are() -> None:
    two = classify_function(200, OK_HEADERS | {b"x-cff-invoke-summary": SUMMARY + b"\n" + ELSE}, RESULT, V0)
    assert (two.duration_ns, two.billed_duration_ns, two.memory_size_mb) == (None, 100 * MS, None)
    codes = classify_function(200, OK_HEADERS | {b"x-func-err-code": b"4002\n0"}, RESULT, V0)
    assert (codes.duration_ns, codes.billed_duration_ns, codes.memory_size_mb) == (1_913_000, 100 * MS, 128)


@pytest.mark.parametrize("name", sorted(OK_HEADERS.keys() - {b"x-cff-request-id"}))
@given(
    st.lists(
        st.sampled_from([b"0", b"4002", b"true", b"false", b"v0", b"v1", SUMMARY, ELSE, b"", b"?"]),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([b"\n", b","]),
)
@example([b"true", SUMMARY], b",")
def test_an_answer_one_of_whose_headers_says_that_it_failed_is_never_ok(
    name: bytes, values: list[bytes], between: bytes
) -> None:
    facts = classify_function(200, OK_HEADERS | {name: between.join(values)}, RESULT, V0)
    failures = {b"x-func-err-code": {b"4002", b"?"}, b"x-is-func-err": {b"true"}}.get(name, set())
    if failures & set(values):
        assert facts.outcome is not Outcome.OK


# -- strangers' bytes

texts = st.binary(max_size=60) | st.sampled_from(
    [b"v0", b"v1", b"0", b"4002", b"true", SUMMARY, b"9" * 5000, b"[" * 9999]
)
header_maps = st.dictionaries(st.sampled_from(sorted(HEADERS)), texts)
bodies = st.binary(max_size=200) | st.sampled_from(
    [RESULT, V1_EXAMPLE, b"{" * 9999, b'{"status":' + b"9" * 5000 + b"}"]
)


@given(st.integers(0, 999), header_maps, bodies, st.sampled_from([V0, V1]))
def test_any_bytes_give_facts_that_can_be_written(
    status: int, headers: dict[bytes, bytes], body: bytes, version: ResponseVersion
) -> None:
    for facts in (classify_function(status, headers, body, version), classify_http(status, headers, body)):
        assert isinstance(facts.outcome, Outcome)
        assert facts.status == status
        assert len(facts.reason) < 32
        assert facts.request_id is None or 0 < len(facts.request_id) <= LONGEST_ID
        texts = [facts.reason, facts.error_code, facts.request_id, facts.log, facts.instance]
        assert msgspec.json.decode(msgspec.json.encode(texts)) == texts


@given(header_maps, bodies, st.sampled_from([V0, V1]))
def test_only_a_2xx_answer_can_be_ok(headers: dict[bytes, bytes], body: bytes, version: ResponseVersion) -> None:
    for status in (100, 199, 300, 400, 404, 429, 500, 503, 999):
        assert classify_function(status, headers, body, version).outcome is not Outcome.OK
