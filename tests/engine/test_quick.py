from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.build import build
from loadgen.engine.http1 import HeaderNames, ProtocolError, Response, ResponseReader
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.checks import checked, parse
from loadgen.targets.functiongraph.protocol.quick import Quick
from loadgen.targets.functiongraph.protocol.response import HEADERS, classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from loadgen.targets.port import Answer, Reading

HEAD = [
    b"HTTP/1.1 200 OK",
    b"Server: nginx/1.22.1",
    b"Content-Length: 2",
    b"Connection: keep-alive",
    b'X-Cff-Invoke-Summary: {"duration":0.013,"billingDuration":1,"memorySize":128,"memoryUsed":41.51171875}',
    b"X-Cff-Request-Id: 1cbe80f3-3c65-475e-ad88-76ac518d386a",
    b"X-CFF-Billing-Duration: 1",
    b"X-Func-Err-Code: 0",
    b"X-Is-Func-Err: false",
]
VIEW = memoryview(bytearray(64 * 1024))


def glance(answer: bytes) -> Facts | None:
    """What a Quick says about an answer that fills the start of its buffer."""
    VIEW[: len(answer)] = answer
    return Quick(VIEW).read(len(answer))


def judged(answer: bytes) -> Facts | None:
    """What the reader and the classifier say; None unless it is one whole answer on a connection that stays open."""
    try:
        response = ResponseReader(HeaderNames(HEADERS), 1 << 16).feed(answer)
    except ProtocolError:
        return None
    if response is None or not response.reusable:
        return None
    return classify_function(response.status, response.headers, response.body, ResponseVersion.V0)


def message(lines: list[bytes], body: bytes = b"{}") -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.skipif(build() == "pure", reason="only the compiled build reads at a glance")
def test_a_documented_success_is_read_at_a_glance() -> None:
    facts = glance(message(HEAD))
    assert facts is not None
    assert facts == judged(message(HEAD))


@pytest.mark.parametrize(
    "line",
    [
        b"X-Func-Err-Code: 4002",
        b"x-func-err-code: 0, 4002",
        b"X-Is-Func-Err: true",
        b'X-Cff-Invoke-Summary: {"duration":2,"billingDuration":2,"memorySize":128,"memoryUsed":41}',
        b"X-CFF-Billing-Duration: 2",
        b"x-cff-response-version: v1",
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_an_answer_that_contradicts_itself_is_read_neither_at_a_glance_nor_as_ok(line: bytes, before: bool) -> None:
    answer = message([HEAD[0], line, *HEAD[1:]] if before else [*HEAD, line])
    facts = judged(answer)
    assert glance(answer) is None
    assert facts is not None
    assert facts.outcome is not Outcome.OK or line == b"x-cff-response-version: v1"


@pytest.mark.parametrize(
    "figure", [b'"duration":3600001', b'"billingDuration":4000000', b'"memorySize":65537', b'"memoryUsed":65536.1']
)
def test_a_figure_that_cannot_be_is_not_read_at_a_glance(figure: bytes) -> None:
    name = figure.partition(b":")[0]
    summary = re.sub(name + rb":[0-9.]+", figure, HEAD[4])
    answer = message([*HEAD[:4], summary, HEAD[5], *HEAD[7:]])
    facts = judged(answer)
    assert glance(answer) is None
    assert facts is not None
    assert len(facts.unbelieved) == 1


numbers = st.one_of(
    st.integers(0, 10**16).map(str),
    st.decimals(0, 10**7, places=9).map(str),
    st.floats(0, 1e13, allow_nan=False).map(repr),
    st.sampled_from(
        ["-1", "-0", "00", "01", "1.", ".5", "1e3", "1E3", "0.1e1", "null", '"1"', "8000000000001", "1.0", ""]
    ),
)
KEYS = ["duration", "billingDuration", "memorySize", "memoryUsed"]
keys = st.sampled_from([*KEYS, "durations", "memory", "\\u0064uration"])
white = st.sampled_from(["", "", "", " ", "  ", "\t"])


@st.composite
def summaries(draw: st.DrawFn) -> bytes:
    names = draw(st.one_of(st.permutations(KEYS), st.lists(keys, max_size=6)))
    members = [f'{draw(white)}"{name}"{draw(white)}:{draw(white)}{draw(numbers)}{draw(white)}' for name in names]
    text = "{" + ",".join(members) + draw(st.sampled_from(["}", "}", "}", "} ", ",}", "", "}}", "} x"]))
    return text.encode()


values = st.one_of(
    summaries(),
    st.sampled_from(
        b"0 00 1 4002 0,0 4002,0 1,2 false False true v0 v1 2 +2 close keep-alive Keep-Alive chunked".split()
    ),
    st.sampled_from([b"", b" ", b"2 ", b"a\tb", b"a\x00b", b"a\x0bb", b"a\nb", b"a\rb", b"\xff", b"x" * 129]),
    st.binary(max_size=20),
)
NAMES = """
X-Cff-Invoke-Summary x-cff-request-id X-CFF-Request-Id Content-Length content-length Connection Transfer-Encoding
X-Func-Err-Code X-Is-Func-Err X-Cff-Function-Log X-Cff-Response-Version X-Request-Id Other Date
X-CFF-Billing-Duration x-cff-billing-duration Location
"""
headers = st.sampled_from([b"", b"Bad Name", b"B\xc3d", *NAMES.encode().split()])
lines = st.builds(
    lambda name, colon, space, value, end: name + colon + space + value + end,
    headers,
    st.sampled_from([b":", b":", b":", b" :", b""]),
    st.sampled_from([b" ", b" ", b"", b"  ", b"\t"]),
    values,
    st.sampled_from([b"", b"", b" ", b"\r", b"\n"]),
)


@given(
    st.lists(st.tuples(st.integers(0, len(HEAD)), st.sampled_from(["insert", "replace", "delete"]), lines), max_size=4),
    st.sampled_from([b"{}", b"{}", b"{}", b"", b"{", b"{}\n"]),
    st.integers(0, 30),
)
def test_what_is_read_at_a_glance_is_what_the_reader_and_the_classifier_say(
    changes: list[tuple[int, str, bytes]], body: bytes, cut: int
) -> None:
    """A Quick may decline any answer, and never judges one differently."""
    head = list(HEAD)
    for at, change, line in changes:
        if change == "insert":
            head.insert(at, line)
        elif change == "replace":
            head[min(at, len(head) - 1)] = line
        elif len(head) > 1:
            head.pop(min(at, len(head) - 1))
    answer = message(head, body)
    if cut > 20:
        answer = answer[: -(cut - 20)]
    facts = glance(answer)
    assert facts is None or facts == judged(answer)


@given(summaries())
def test_numbers_of_a_summary_are_read_at_a_glance_as_the_decoder_reads_them(summary: bytes) -> None:
    answer = message([line for line in HEAD if b"Summary" not in line] + [b"X-Cff-Invoke-Summary: " + summary])
    facts = glance(answer)
    assert facts is None or facts == judged(answer)


STATUS_CODES = [
    '{"statusCode":200,"body":"x"}', '{"statusCode": 200}', '{"statusCode":301 ,"a":1}', '{"statusCode":500}',
    '{"statusCode" : 404}', '{"statusCode":\t502}', '{"statusCode"\n:503}', '{"statusCode":"500"}',
    '{"statusCode":"200"}',
    '{"statusCode":2000}', '{"statusCode":20}', '{"statusCode":null}', '{"a":{"statusCode":500}}', '["statusCode"]',
    '{"x":"statusCode","statusCode":400}', '{"statusCode":200,"statusCode":500}', 'statusCode 500', '"statusCode":500',
    '{"statusCode":500', '{"statusCode":-500}', '{"statusCode":[500]}', '{"statusCode":399}', '{"statusCode":"4e2"}',
]  # fmt: skip


@pytest.mark.parametrize("body", STATUS_CODES)
def test_a_status_code_inside_is_what_the_classifier_says_or_declined(body: str) -> None:
    head = [f"Content-Length: {len(body)}".encode() if b"Content-Length" in line else line for line in HEAD]
    said, known = glance(message(head, body.encode())), judged(message(head, body.encode()))
    assert known is not None
    assert said is None or said == known


@pytest.mark.skipif(build() == "pure", reason="only the compiled build reads at a glance")
@pytest.mark.parametrize("body", [*STATUS_CODES[:3], '{"message": "status 500"}'])
def test_results_that_did_not_fail_are_read_at_a_glance(body: str) -> None:
    head = [f"Content-Length: {len(body)}".encode() if b"Content-Length" in line else line for line in HEAD]
    facts = glance(message(head, body.encode()))
    assert facts is not None
    assert facts.reason == "ok"


def test_results_that_failed_have_a_reason_of_their_own() -> None:
    failed = [
        '{"statusCode":500}',
        '{"statusCode" : 404}',
        '{"statusCode":"500"}',
        '{"x":"statusCode","statusCode":400}',
    ]
    for body in (*STATUS_CODES[:3], *failed):
        facts = classify_function(200, {b"x-cff-request-id": b"r"}, body.encode(), ResponseVersion.V0)
        assert (facts.outcome, facts.reason) == (Outcome.OK, "status_inside" if body in failed else "ok"), body
    inside = b'{"result": "{\\"statusCode\\": 500}", "status": 200}'
    assert classify_function(200, {}, inside, ResponseVersion.V1).reason == "status_inside"


def in_full(answer: bytes) -> Response:
    response = ResponseReader(HeaderNames(HEADERS), 1 << 16).feed(answer)
    assert response is not None
    return response


def classified(answer: Answer) -> Facts:
    return classify_function(answer.status, answer.headers, answer.body, ResponseVersion.V0)


@pytest.mark.parametrize(
    "body", ['{"ok": true, "n": 5}', '{"ok": 1}', "<html>", "[1, 2]", '"ok"', "", '{"statusCode": 500}']
)
@pytest.mark.parametrize(
    "checks",
    [
        ["status == 200"],
        ["status < 201"],
        ["status == 201"],
        ["json.ok == true"],
        ["json.n > 4", "json.ok exists"],
        ["json.0 == 1"],
        ['json == "ok"', "status == 200"],
        ['body contains "ok"'],
        ['body != "<html>"', "json.missing absent"],
    ],
)
def test_a_checked_answer_that_is_read_at_a_glance_is_what_is_read_in_full(checks: list[str], body: str) -> None:
    lines = [line.replace(b"Length: 2", b"Length: %d" % len(body)) for line in HEAD]
    answer = message(lines, body.encode())
    reading = checked(Reading(HEADERS, classified, quick=Quick), [parse(check) for check in checks], bytes)
    assert reading.quick is not None
    VIEW[: len(answer)] = answer
    seen, full = reading.quick(VIEW).read(len(answer)), reading.classify(in_full(answer))
    assert seen in (None, full)
    if build() == "compiled" and full.outcome is Outcome.OK and "statusCode" not in body:
        assert seen == full
    if full.outcome is not Outcome.OK:
        assert seen is None  # its body is wanted as an example


def test_an_answer_of_which_a_header_is_checked_is_read_in_full() -> None:
    reading = Reading(HEADERS, classified, quick=Quick)
    assert checked(reading, [parse("header.X-Region exists")], bytes).quick is None
