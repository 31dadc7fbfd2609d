"""What the emulator accepts, and which error it answers otherwise."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from loadgen.emulator.answer import Answer
from loadgen.emulator.request import MAX_EVENT_BYTES, Invocation, read_invocation, read_path
from loadgen.scenario.model import MEMORY_SIZES_MB, ResponseVersion

URN = "urn:fss:local:demo:function:default:hello"
FUNCTIONS = {"hello", "other"}


def path(function: str, project: str = "demo") -> str:
    return f"/v2/{project}/fgs/functions/{function}/invocations"


def refused(answer: object) -> tuple[int, str]:
    """Status and code of a refusal, whose body is the platform's envelope."""
    assert isinstance(answer, Answer)
    body = json.loads(answer.body)
    assert list(body) == ["error_code", "error_msg"]
    assert all(isinstance(text, str) and text for text in body.values())
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status, body["error_code"]


def invocation(headers: dict[str, str], body: bytes | None = b"{}") -> Invocation | Answer:
    return read_invocation("hello", CIMultiDict(headers), body)


@pytest.mark.parametrize(
    "function",
    [
        URN,
        f"{URN}:latest",
        "urn:fss:eu-de:demo:function:default:hello:latest",  # the emulator stands in for every region
        quote(f"{URN}:latest", safe=""),
        "hello",
        "default:hello",
        "demo:default:hello",
        "demo:default:hello:latest",
        "demo%3Adefault%3Ahello%3Alatest",
    ],
)
def test_every_form_of_a_name_leads_to_the_function(function: str) -> None:
    assert read_path("POST", path(function), "demo", FUNCTIONS) == "hello"


@pytest.mark.parametrize(
    ("raw_path", "status", "code"),
    [
        (path("bye"), 404, "FSS.1051"),  # well formed, unknown
        (path(f"{URN}x"), 404, "FSS.1051"),
        (path("urn:fss:local:demo:function:mine:hello"), 404, "FSS.1051"),  # another package
        (path(f"{URN}:v2"), 404, "FSS.1052"),
        (path(f"{URN}:!prod"), 404, "FSS.1053"),
        (path(quote(f"{URN}:!prod", safe="")), 404, "FSS.1053"),
        (path("urn:fss:local:demo"), 404, "FSS.0404"),  # malformed
        (path("urn:fss:local:demo:trigger:default:hello"), 404, "FSS.0404"),
        (path("%00"), 404, "FSS.0404"),
        (path("%FF%FE"), 404, "FSS.0404"),
        (path("hello", project="theirs"), 404, "FSS.0404"),
        (path("urn:fss:local:theirs:function:default:hello"), 404, "FSS.0404"),
        ("/", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions/hello", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions/hello/invocations/", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions/hello/invocations-async", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions//invocations", 404, "APIG.0101"),
    ],
)
def test_every_other_path_is_not_found(raw_path: str, status: int, code: str) -> None:
    assert refused(read_path("POST", raw_path, "demo", FUNCTIONS)) == (status, code)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "post"])
def test_an_invocation_is_a_post(method: str) -> None:
    answer = read_path(method, path("hello"), "demo", FUNCTIONS)
    assert refused(answer) == (405, "FSS.0405")
    assert isinstance(answer, Answer)
    assert answer.headers["Allow"] == "POST"


@settings(deadline=None, max_examples=200)
@given(method=st.text(max_size=5), function=st.text(max_size=60), encoded=st.booleans())
def test_any_path_has_an_answer(method: str, function: str, encoded: bool) -> None:
    found = read_path(method, path(quote(function) if encoded else function), "demo", FUNCTIONS)
    assert found == "hello" or found == "other" or refused(found)[0] in (404, 405)


@pytest.mark.parametrize(
    ("headers", "form", "tail"),
    [
        ({}, ResponseVersion.V0, False),
        ({"X-CFF-Request-Version": ""}, ResponseVersion.V0, False),
        ({"X-CFF-Request-Version": "v0"}, ResponseVersion.V0, False),
        ({"X-CFF-Request-Version": "v1"}, ResponseVersion.V1, False),
        ({"X-Cff-Request-Version": "V1"}, ResponseVersion.V1, False),  # other casing is seen in real clients
        ({"x-cff-request-version": "v1", "x-cff-log-type": "TAIL"}, ResponseVersion.V1, True),
        ({"X-Cff-Log-Type": "tail"}, ResponseVersion.V0, True),
        ({"X-Cff-Log-Type": ""}, ResponseVersion.V0, False),
        ({"X-Cff-Log-Type": "null"}, ResponseVersion.V0, False),
    ],
)
def test_form_and_log_are_asked_for_in_headers_whatever_their_case(
    headers: dict[str, str], form: ResponseVersion, tail: bool
) -> None:
    assert invocation(headers) == Invocation("hello", None, form, tail)


def test_an_unknown_form_is_refused() -> None:
    assert refused(invocation({"X-CFF-Request-Version": "v2"})) == (400, "FSS.0400")


@pytest.mark.parametrize("size", MEMORY_SIZES_MB)
def test_a_legal_memory_size_is_taken(size: int) -> None:
    read = invocation({"x-cff-instance-memory": str(size)})
    assert isinstance(read, Invocation)
    assert read.memory_mb == size


@pytest.mark.parametrize("text", ["", "0", "100", "1,024", "128MB", " 128", "0128", "-128", "1e3", "٣٢", "9" * 5000])
def test_an_illegal_memory_size_is_a_format_error(text: str) -> None:
    assert refused(invocation({"X-Cff-Instance-Memory": text})) == (406, "FSS.0406")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"k": "v"}',
        b'  {"k": [1, 2.5e3, null, true]}\n',
        b'"{\\"k\\": \\"v\\"}"',  # a JSON string that holds JSON, as one SDK sends
        b"5",
        '{"k": "ü\N{BEETLE}"}'.encode(),
    ],
)
def test_an_event_is_any_json_or_nothing(body: bytes) -> None:
    assert isinstance(invocation({}, body), Invocation)


@pytest.mark.parametrize(
    "body",
    [b" ", b"{", b"{k: 1}", b"{} {}", b"NaN", b"01", b"'a'", b"k=v", b'"\xff"', b"\x00", b"[" * 100_000, b"[1,]"],
)
def test_any_other_body_is_a_format_error(body: bytes) -> None:
    assert refused(invocation({}, body)) == (406, "FSS.0406")


def test_a_body_over_the_limit_is_too_large() -> None:
    assert MAX_EVENT_BYTES == 6_291_456
    assert refused(invocation({}, None)) == (413, "FSS.0413")


@settings(deadline=None, max_examples=200)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_format_error(body: bytes) -> None:
    read = invocation({}, body)
    assert isinstance(read, Invocation) or refused(read) == (406, "FSS.0406")


@settings(deadline=None, max_examples=100)
@given(event=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=10))
def test_whatever_python_writes_as_json_is_an_event(event: object) -> None:
    assert isinstance(invocation({}, json.dumps(event, ensure_ascii=False).encode(errors="replace")), Invocation)
