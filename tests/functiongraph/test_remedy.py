from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.functiongraph.facts import Facts
from loadgen.functiongraph.outcome import Outcome
from loadgen.functiongraph.remedy import LONGEST_QUOTE, remedy
from loadgen.functiongraph.response import classify_function, classify_http
from loadgen.scenario.model import FunctionTarget, HttpTarget, NoAuth, ResponseVersion, Timeout, Tls, TokenAuth

LIMITS = Timeout(10_000_000_000, 90_000_000_000, 100_000_000_000)
TLS = Tls(True, None)


def target(token: str | None = "TOKEN", memory_mb: int | None = None) -> FunctionTarget:
    auth = NoAuth() if token is None else TokenAuth(token)
    return FunctionTarget("https://h", "p", "hello", auth, ResponseVersion.V0, 0.0, memory_mb, False, LIMITS, TLS, True)


HTTP = HttpTarget(
    "http://user:sesame@h:8080/a?key=sesame",
    "GET",
    (("Authorization", "Bearer sesame-open"),),
    False,
    LIMITS,
    TLS,
    True,
)


def body(code: str, message: str = "") -> bytes:
    return json.dumps({"error_code": code, "error_msg": message}).encode()


def answered(status: int, said: bytes, where: FunctionTarget) -> str:
    return remedy(classify_function(status, {}, said, ResponseVersion.V0), where, body=said)


def test_a_remedy_says_what_was_seen_and_what_to_do() -> None:
    assert answered(404, body("FSS.1052", "Not found the version"), target()) == (
        'the function at https://h answered 404 FSS.1052 (not_found, "Not found the version"): the function has no such'
        " version. Name an existing one, or leave it out for latest."
    )


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (401, "APIG.0301", "Incorrect IAM authentication information: decrypt token fail", "cut off"),
        (401, "APIG.0301", "Incorrect IAM authentication information", "token or signature is wrong"),
        (401, "APIG.0301", "Incorrect IAM authentication information: verify aksk signature fail", "Incorrect"),
        (401, "APIG.0301", "verify aksk signature fail", "Check the secret key, and this machine's clock"),
        (401, "APIG.0301", "AK access failed to reach the limit,forbidden", "Wait five minutes"),
        (401, "APIG.0301", "Get secretKey failed,ak:AKDUMMY,err:ak not exist", "access key does not exist"),
        (401, "APIG.0301", "something new", "Check target.auth"),
        (401, "APIGW.0307", "", "expired"),
        (403, "APIG.0302", "", "Grant functiongraph:function:invoke"),
        (403, "FSS.0403", "invalid token", "Get a new one"),
        (401, "", "", "Check target.auth"),
        (404, "FSS.0404", "", "there is no such function"),
        (404, "FSS.1051", "", "there is no such function"),
        (404, "FSS.1053", "", "no such alias"),
        (404, "APIG.0101", "", "Check that target.endpoint"),
        (404, "", "", "Check target.endpoint"),
        (400, "FSS.0400", "", "Check the event"),
        (400, "FSS.1309", "", "Copy it from the console"),
        (406, "FSS.0406", "", "the event is not JSON"),
        (408, "FSS.0408", "", "Raise the function's timeout"),
        (413, "FSS.0413", "", "larger than 6 MB"),
        (413, "", "", "too large"),
        (429, "FSS.0429", "overload", "Lower the rate"),
        (429, "FSS.0429", "Function Disabled", "Enable it"),
        (429, "APIG.0308", "", "the gateway throttles"),
        (429, "", "", "refuses more load"),
        (500, "4002", "", "handler raised"),
        (500, "4026", "", "Dynamic Memory"),
        (500, "150429", "", "raise the maximum"),
        (500, "150434", "", "Enable it"),
        (500, "FSS.0500", "", "Try again later"),
        (504, "", "", "90 s"),
    ],
)
def test_every_failure_has_a_remedy_of_its_own(status: int, code: str, message: str, expected: str) -> None:
    assert expected in answered(status, body(code, message), target())


def test_without_credentials_the_remedy_is_to_give_some() -> None:
    for said in (body("APIG.0301", "Incorrect IAM authentication information"), b""):
        assert "target.auth is none" in answered(401, said, target(token=None))


def test_a_refused_format_names_the_memory_when_one_was_asked_for() -> None:
    assert "nor 100 MB as memory" in answered(406, body("FSS.0406"), target(memory_mb=100))


@pytest.mark.parametrize(
    ("outcome", "reason", "expected"),
    [
        (Outcome.CONNECTION, "refused", "nothing listens"),
        (Outcome.CONNECTION, "dns", "could not be resolved"),
        (Outcome.CONNECTION, "tls", "target.tls.ca"),
        (Outcome.CONNECTION, "reset", "Check the endpoint"),
        (Outcome.CONNECTION, "", "Check the endpoint"),
        (Outcome.TIMEOUT, "connect", "target.timeout.connect (10 s)"),
        (Outcome.TIMEOUT, "first_byte", "target.timeout.first_byte (90 s)"),
        (Outcome.TIMEOUT, "", "target.timeout.total (100 s)"),
        (Outcome.PROTOCOL, "status_line", "not HTTP/1.1"),
        (Outcome.UNFINISHED, "", "more time"),
    ],
)
def test_without_an_answer_the_reason_decides(outcome: Outcome, reason: str, expected: str) -> None:
    for where in (target(), HTTP):
        assert expected in remedy(outcome, where, reason=reason)


def test_a_body_in_the_wrong_form_suggests_the_other() -> None:
    facts = classify_function(200, {}, b"text", ResponseVersion.V1)
    assert "target.response: v0" in remedy(facts, target())


def test_a_plain_target_is_told_about_its_url_and_headers() -> None:
    assert "Check target.url" in remedy(classify_http(404, {}, b""), HTTP)
    assert "Authorization header" in remedy(classify_http(401, {}, b""), HTTP)


def test_no_remedy_shows_a_secret_not_even_one_that_the_server_repeats() -> None:
    said = body("APIG.0301", "tok3n, Get secretKey failed,ak:AKDUMMY,err: Bearer sesame-open")
    function_said = answered(401, said, target(token="tok3n"))
    plain_said = remedy(classify_http(401, {}, said), HTTP, body=said)
    assert "tok3n" not in function_said
    for text in (plain_said, remedy(Outcome.CONNECTION, HTTP)):
        assert "sesame" not in text
    for text in (function_said, plain_said):
        assert "AKDUMMY" not in text
        assert "***" in text


def test_a_quote_is_one_short_line() -> None:
    text = answered(500, body("FSS.0500", "a\n\x1b[31mb" + "c" * 1000), target())
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < LONGEST_QUOTE + 200


codes = st.sampled_from(["APIG.0301", "FSS.0406", "4002", "", "x"]) | st.text(max_size=20)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(Outcome)), st.none() | codes, st.binary(max_size=100), st.sampled_from([target(), HTTP]))
def test_every_outcome_and_code_has_a_remedy(
    outcome: Outcome, code: str | None, said: bytes, where: FunctionTarget | HttpTarget
) -> None:
    for seen in (outcome, Facts(outcome, "r", 500, code)):
        text = remedy(seen, where, body=said)
        assert text.endswith(".")
        assert text.isprintable()
