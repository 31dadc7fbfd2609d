"""Answers have the documented form; golden files hold them whole."""

from __future__ import annotations

import json
import re
from base64 import b64decode

import pytest
from msgspec.structs import replace
from syrupy.assertion import SnapshotAssertion

from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.emulator.answer import (
    Answer,
    Refusal,
    call_log,
    message,
    refused,
    rejection,
    result_answer,
)
from loadgen.targets.functiongraph.emulator.model import Admitted, ColdStart, Rejected
from loadgen.targets.functiongraph.protocol.metering import metering
from loadgen.targets.functiongraph.protocol.platform_codes import ENGINE, STATUS
from loadgen.targets.functiongraph.protocol.probe import cold_by_log
from loadgen.targets.functiongraph.protocol.response import classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion

CALL = Admitted(
    request_id="1cbe80f3-3c65-475e-ad88-76ac518d386a",
    function="hello",
    received_ns=0,
    memory_mb=128,
    instance="hello-1",
    ordinal=1,
    cold=True,
    cold_start=ColdStart(1, 2, 3, 4),
    cpu_share=0.3,
    work_ns=19_748_400,
    duration_ns=65_828_000,
    billed_duration_ns=66_000_000,
    overhead_ns=3_000_000,
    memory_used_bytes=41 * 1_048_576 + 131_072,
    ends_at_ns=68_828_010,
    starts=1,
)
RAISED = replace(CALL, code=4002)
RECEIVED = 1_663_760_637.0  # 2022-09-21T11:43:57Z

FORMS = list(ResponseVersion)
FINISH = re.compile(
    r"Finish invoke request '([^']+)', duration: ([\d.]+)\s*ms, billing duration: ([\d.]+)\s*ms, "
    r"memory used: ([\d.]+)\s*MB(?:, billing memory: (\d+)\s*MB)?(?:, cpu used: ([\d.]+)U)?"
    r"(?:, storage used: ([\d.]+)MB)?\.?"
)


def answer(call: Admitted = CALL, form: ResponseVersion = ResponseVersion.V0, *, tail: bool = False) -> Answer:
    log = call_log(call, RECEIVED, start_lines=False) if tail else None
    return result_answer(call, form, log=log, request_id="a-trace-id")


def call(failed: bool) -> Admitted:
    return RAISED if failed else CALL


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_an_answer_is_the_one_on_record(
    form: ResponseVersion, tail: bool, failed: bool, snapshot: SnapshotAssertion
) -> None:
    found = answer(call(failed), form, tail=tail)
    assert {"status": found.status, "headers": found.headers, "body": found.body.decode()} == snapshot


def test_all_seven_headers_are_there_in_the_casing_of_the_reference() -> None:
    assert set(answer(tail=True).headers) == {
        "Content-Type",
        "X-Cff-Invoke-Summary",
        "X-Cff-Request-Id",
        "X-Cff-Function-Log",
        "X-CFF-Billing-Duration",
        "X-Cff-Response-Version",
        "X-Func-Err-Code",
        "X-Is-Func-Err",
    }


def test_no_log_is_sent_unless_it_is_asked_for() -> None:
    assert "X-Cff-Function-Log" not in answer().headers
    assert json.loads(answer(form=ResponseVersion.V1).body)["log"] == ""


def test_the_summary_gives_ms_and_mb_exactly() -> None:
    assert json.loads(answer().headers["X-Cff-Invoke-Summary"]) == {
        "duration": 65.828,
        "billingDuration": 66,
        "memorySize": 128,
        "memoryUsed": 41.125,
    }


@pytest.mark.parametrize("duration_us", [0, 1, 7, 999, 1000, 1001, 65_828, 123_456_789, 900_000_001])
def test_the_reported_duration_is_the_true_one_to_the_microsecond(duration_us: int) -> None:
    summary = json.loads(answer(replace(CALL, duration_ns=duration_us * 1000)).headers["X-Cff-Invoke-Summary"])
    assert round(summary["duration"] * 1000) == duration_us
    assert len(str(summary["duration"]).partition(".")[2]) <= 3


def test_the_result_of_v1_is_text_that_holds_json() -> None:
    body = json.loads(answer(form=ResponseVersion.V1).body)
    assert isinstance(body["result"], str)
    assert json.loads(body["result"]) == {"message": "hello world from FunctionStage"}
    assert body["status"] == 200


@pytest.mark.parametrize("form", FORMS)
def test_an_error_of_the_function_is_a_200_that_says_so(form: ResponseVersion) -> None:
    found = answer(RAISED, form)
    body = json.loads(found.body)
    result = body if form is ResponseVersion.V0 else json.loads(body["result"])
    assert found.status == 200
    assert (found.headers["X-Is-Func-Err"], found.headers["X-Func-Err-Code"]) == ("true", "4002")
    assert result["errorMessage"].startswith("function invocation exception, error: ")
    assert (result["errorType"], result["stackTrace"]) == ("Exception", [])


@pytest.mark.parametrize("failed", [False, True])
def test_the_log_ends_with_the_line_that_clients_parse(failed: bool) -> None:
    log = b64decode(answer(call(failed), tail=True).headers["X-Cff-Function-Log"]).decode()
    start, _, finish = log.splitlines()
    assert start == f"2022-09-21T11:43:57Z Start invoke request '{CALL.request_id}', version: latest"
    match = FINISH.search(finish)
    assert match is not None
    assert match.groups() == (CALL.request_id, "65.828", "66", "41.125", "128", "0.300", "0.039")


def test_a_call_that_was_told_of_a_start_logs_it_as_the_documents_show() -> None:
    """Source: the sample of the developer guide, Logging Using Log4j."""
    started = replace(CALL, cold_start=ColdStart(10**9, 300_000_000, 591_558_000, 10**9), init_ns=24_703_000)
    lines = call_log(started, RECEIVED).decode().splitlines()
    forms = [
        r"2022-09-21T11:43:59Z Start load request '([0-9a-f-]{36})', version: latest",
        r"2022-09-21T11:43:59Z Finish load request '\1', "
        r"duration: 891\.558ms, memory used: 41\.125MB, storage used: 0\.039MB\.",
        r"2022-09-21T11:43:59Z Start initialize request '([0-9a-f-]{36})', version: latest",
        r"2022-09-21T11:43:59Z Finish initialize request '\1', "
        r"duration: 24\.703ms, memory used: 41\.125MB, storage used: 0\.039MB\.",
    ]
    for start, finish in ((0, 1), (2, 3)):
        assert re.fullmatch(forms[start] + "\n" + forms[finish], "\n".join(lines[start : finish + 1]))
    assert [line.split(" ")[1] for line in lines[4:]] == ["Start", CALL.request_id, "Finish"]
    assert FINISH.search(lines[-1])


def test_a_function_without_an_initializer_logs_no_initialize_lines_and_a_warm_call_none_of_a_start() -> None:
    assert [line.split(" ")[2] for line in call_log(CALL, RECEIVED).decode().splitlines()[:2]] == ["load", "load"]
    warm = replace(CALL, cold=False, cold_start=None)
    assert len(call_log(warm, RECEIVED).decode().splitlines()) == 3


def test_a_start_that_fails_logs_no_invocation() -> None:
    failed = replace(CALL, code=4201, duration_ns=0, work_ns=0, init_ns=1_000_000)
    lines = call_log(failed, RECEIVED).decode().splitlines()
    assert lines[-1].endswith("ERROR function initialization failed")
    assert not any("invoke" in line for line in lines)


def test_the_log_of_a_long_call_keeps_its_end_and_the_body_more_of_it() -> None:
    log = b"x" * 5000 + b"the end"
    found = result_answer(CALL, ResponseVersion.V1, log=log, request_id="")
    assert b64decode(found.headers["X-Cff-Function-Log"]) == log[-2000:]
    assert json.loads(found.body)["log"].encode() == log[-4096:]


@pytest.mark.parametrize("tail_bytes", [2000, 4096])
@pytest.mark.parametrize("failed", [False, True])
def test_a_function_that_prints_much_loses_its_start_line_and_keeps_its_finish_line(
    tail_bytes: int, failed: bool
) -> None:
    """As the document says, whichever of the two cuts is the platform's; what is read of the log stays right."""
    log = call_log(call(failed), RECEIVED, printed_bytes=10 * 1024)
    assert 10 * 1024 < len(log) < 12 * 1024
    assert log.count(b"Start load request") == log.count(b"Start invoke request") == 1
    found = result_answer(call(failed), ResponseVersion.V1, log=log, request_id="", log_tail_bytes=tail_bytes)
    tail = b64decode(found.headers["X-Cff-Function-Log"])
    assert tail == log[-tail_bytes:]
    assert json.loads(found.body)["log"].encode() == log[-4096:]
    assert b"Start" not in tail
    assert tail.rstrip().splitlines()[-1] == log.rstrip().splitlines()[-1]
    assert metering(None, None, tail.decode()).billed_duration_ns == CALL.billed_duration_ns
    assert (cold_by_log(log.decode()), cold_by_log(tail.decode())) == (True, False)


def test_a_function_that_is_told_to_print_nothing_more_prints_its_one_line() -> None:
    assert call_log(CALL, RECEIVED, printed_bytes=0) == call_log(CALL, RECEIVED)
    assert call_log(CALL, RECEIVED).count(b" INFO ") == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (4001, "function entry exception"),
        (4010, "call invoke timeout 3s"),
        (4201, "function initialization failed"),
        (4205, "runtime memory limit exceeded"),
    ],
)
def test_a_failure_of_the_function_names_its_code_and_says_what_the_engine_says(code: int, text: str) -> None:
    found = answer(replace(CALL, code=code, status=500, duration_ns=3 * 10**9))
    assert found.status == 500
    assert (found.headers["X-Is-Func-Err"], found.headers["X-Func-Err-Code"]) == ("true", str(code))
    assert json.loads(found.body)["errorMessage"] == text


def test_an_answer_that_the_gateway_did_not_wait_for_is_a_504_of_its_own() -> None:
    found = answer(replace(CALL, status=504), tail=True)
    assert found.status == 504
    assert list(found.headers) == ["Content-Type"]
    assert json.loads(found.body) == {
        "error_msg": "Backend timeout",
        "error_code": "APIG.0203",
        "request_id": "a-trace-id",
    }


def rejected(reason: str, code: str, status: int) -> Answer:
    return refused(rejection(Rejected("some-id", "hello", 0, 128, reason, code, status, 0)), "a-trace-id")


def test_a_throttled_call_is_a_429_with_its_request_id() -> None:
    found = rejected("max_instances", "FSS.0429", 429)
    assert found.status == 429
    assert found.headers["X-Cff-Request-Id"] == "some-id"
    assert json.loads(found.body) == {
        "error_code": "FSS.0429",
        "error_msg": "Your request has been controlled by overload sdk, please retry later",
    }


def test_a_disabled_function_is_a_429_that_says_so() -> None:
    assert json.loads(rejected("disabled", "FSS.0429", 429).body)["error_msg"] == "Function Disabled"


@pytest.mark.parametrize(
    ("code", "status", "body"),
    [
        ("FSS.0500", 500, {"error_code": "FSS.0500", "error_msg": "Internal server error"}),
        ("FSS.1401", 503, {"error_code": "FSS.1401", "error_msg": "The emulator was told to answer FSS.1401"}),
        (
            "APIGW.0308",
            429,
            {
                "error_msg": "The throttling threshold has been reached",
                "error_code": "APIGW.0308",
                "request_id": "a-trace-id",
            },
        ),
        ("150430", 500, {"code": 150430, "message": "cluster is overloaded"}),
    ],
)
def test_every_party_refuses_in_an_envelope_of_its_own(code: str, status: int, body: dict[str, object]) -> None:
    found = rejected(code, code, status)
    assert (found.status, json.loads(found.body)) == (status, body)


def test_a_proxy_refuses_with_a_page() -> None:
    found = rejected("502", "502", 502)
    assert (found.status, found.headers["Content-Type"]) == (502, "text/html")
    assert found.body == b"<html><body><h1>502</h1></body></html>"


def test_a_refusal_has_the_envelope_of_the_platform() -> None:
    assert refused(Refusal(404, "FSS.0404", "gone"), "id") == Answer(
        404, {"Content-Type": "application/json"}, b'{"error_code":"FSS.0404","error_msg":"gone"}'
    )


@pytest.mark.parametrize("code", [*STATUS, *map(str, ENGINE)])
def test_every_code_has_a_message(code: str) -> None:
    assert message(code)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_the_client_reads_what_the_model_decided(form: ResponseVersion, tail: bool, failed: bool) -> None:
    found = answer(call(failed), form, tail=tail)
    headers = {name.lower().encode(): value.encode() for name, value in found.headers.items()}
    facts = classify_function(found.status, headers, found.body, form)
    assert facts.outcome is (Outcome.FUNCTION_ERROR if failed else Outcome.OK)
    assert facts.request_id == CALL.request_id
    assert (facts.duration_ns, facts.billed_duration_ns) == (CALL.duration_ns, CALL.billed_duration_ns)
    assert (facts.memory_size_mb, facts.memory_used_bytes) == (CALL.memory_mb, CALL.memory_used_bytes)
    assert (facts.log is not None) is tail


def test_a_probe_says_which_instance_it_is_and_which_of_its_calls() -> None:
    found = result_answer(CALL, ResponseVersion.V0, log=None, request_id="", probe=True)
    assert json.loads(found.body) == {"cold": CALL.ordinal == 1, "instance": CALL.instance, "n": CALL.ordinal}
