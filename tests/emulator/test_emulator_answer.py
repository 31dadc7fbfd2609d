"""Answers have the documented form; golden files hold them whole."""

from __future__ import annotations

import json
import re
from base64 import b64decode

import pytest
from msgspec.structs import replace
from syrupy.assertion import SnapshotAssertion

from loadgen.emulator.answer import Answer, refusal, result_answer, throttled
from loadgen.emulator.model import Admitted, ColdStart, Rejected
from loadgen.functiongraph.outcome import Outcome
from loadgen.functiongraph.response import classify_function
from loadgen.scenario.model import ResponseVersion

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
    failed=False,
    ends_at_ns=68_828_010,
)
RECEIVED = 1_663_760_637.0  # 2022-09-21T11:43:57Z

FORMS = list(ResponseVersion)
FINISH = re.compile(
    r"Finish invoke request '([^']+)', duration: ([\d.]+)\s*ms, billing duration: ([\d.]+)\s*ms, "
    r"memory used: ([\d.]+)\s*MB(?:, billing memory: (\d+)\s*MB)?(?:, cpu used: ([\d.]+)U)?"
    r"(?:, storage used: ([\d.]+)MB)?\.?"
)


def answer(call: Admitted = CALL, form: ResponseVersion = ResponseVersion.V0, *, tail: bool = False) -> Answer:
    return result_answer(call, form, tail=tail, received=RECEIVED, ended=RECEIVED + 1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_an_answer_is_the_one_on_record(
    form: ResponseVersion, tail: bool, failed: bool, snapshot: SnapshotAssertion
) -> None:
    found = answer(replace(CALL, failed=failed), form, tail=tail)
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
    found = answer(replace(CALL, failed=True), form)
    body = json.loads(found.body)
    result = body if form is ResponseVersion.V0 else json.loads(body["result"])
    assert found.status == 200
    assert (found.headers["X-Is-Func-Err"], found.headers["X-Func-Err-Code"]) == ("true", "4002")
    assert result["errorMessage"].startswith("function invocation exception, error: ")
    assert (result["errorType"], result["stackTrace"]) == ("Exception", [])


@pytest.mark.parametrize("failed", [False, True])
def test_the_log_ends_with_the_line_that_clients_parse(failed: bool) -> None:
    log = b64decode(answer(replace(CALL, failed=failed), tail=True).headers["X-Cff-Function-Log"]).decode()
    start, _, finish = log.splitlines()
    assert start == f"2022-09-21T11:43:57Z Start invoke request '{CALL.request_id}', version: latest"
    match = FINISH.search(finish)
    assert match is not None
    assert match.groups() == (CALL.request_id, "65.828", "66", "41.125", "128", "0.300", "0.039")


def test_a_throttled_call_is_a_429_with_its_request_id() -> None:
    found = throttled(Rejected("some-id", "hello", 0, 128))
    assert found.status == 429
    assert found.headers["X-Cff-Request-Id"] == "some-id"
    assert json.loads(found.body) == {
        "error_code": "FSS.0429",
        "error_msg": "Your request has been controlled by overload sdk, please retry later",
    }


def test_a_refusal_has_the_envelope_of_the_platform() -> None:
    assert refusal(404, "FSS.0404", "gone") == Answer(
        404, {"Content-Type": "application/json"}, b'{"error_code":"FSS.0404","error_msg":"gone"}'
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_the_client_reads_what_the_model_decided(form: ResponseVersion, tail: bool, failed: bool) -> None:
    found = answer(replace(CALL, failed=failed), form, tail=tail)
    headers = {name.lower().encode(): value.encode() for name, value in found.headers.items()}
    facts = classify_function(found.status, headers, found.body, form)
    assert facts.outcome is (Outcome.FUNCTION_ERROR if failed else Outcome.OK)
    assert facts.request_id == CALL.request_id
    assert (facts.duration_ns, facts.billed_duration_ns) == (CALL.duration_ns, CALL.billed_duration_ns)
    assert (facts.memory_size_mb, facts.memory_used_bytes) == (CALL.memory_mb, CALL.memory_used_bytes)
    assert (facts.log is not None) is tail
