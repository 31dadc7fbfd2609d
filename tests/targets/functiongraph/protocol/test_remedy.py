from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.protocol.remedy import clock_advice
from loadgen.targets.functiongraph.protocol.response import classify_function
from loadgen.targets.functiongraph.protocol.target import (
    Auth,
    FunctionTarget,
    IamAuth,
    KeyAuth,
    NoAuth,
    ResponseVersion,
    TokenAuth,
)
from loadgen.targets.http.response import classify_http
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.port import Timeout, Tls
from loadgen.targets.remedy import remedy
from loadgen.text.foreign import LONGEST_QUOTE

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
        (
            401,
            "APIG.0301",
            "Incorrect IAM authentication information: verify aksk signature fail",
            "Check the secret key",
        ),
        (
            401,
            "APIG.0301",
            "verify aksk signature fail",
            "wrong signatures in a row lock the key for five minutes",
        ),
        (401, "APIG.0303", "verify signature fail, canonicalRequest:GET|/", "Check the secret key"),
        (401, "APIG.0303", "app not found, appkey x", "the app's signature was refused"),
        (401, "APIG.0301", "the security token is expired", "needs its security token"),
        (401, "APIG.0301", "ak AKDUMMY not exist", "access key does not exist"),
        (401, "APIG.0301", "Incorrect IAM authentication information: token expires", "the token has expired"),
        (401, "APIG.0301", "Incorrect IAM authentication information: project id mismatch", "Check target.project_id"),
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
        (Outcome.CONNECTION, "tls", "Check that the port speaks TLS"),
        (Outcome.CONNECTION, "tls_certificate", "Set target.tls.ca to the file of the authority that signed it"),
        (Outcome.CONNECTION, "tls_broken", "See what the server logs"),
        (Outcome.CONNECTION, "reset", "Check the endpoint"),
        (Outcome.CONNECTION, "", "Check the endpoint"),
        (Outcome.TIMEOUT, "connect", "target.timeout.connect (10 s)"),
        (Outcome.TIMEOUT, "first_byte", "target.timeout.first_byte (90 s)"),
        (Outcome.TIMEOUT, "", "target.timeout.total (100 s)"),
        (Outcome.PROTOCOL, "not_http", "another protocol, HTTP/2 perhaps"),
        (Outcome.PROTOCOL, "upgraded", "another protocol, HTTP/2 perhaps"),
        (Outcome.PROTOCOL, "two_lengths", "breaks the rules of HTTP/1.1"),
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


@pytest.mark.parametrize("status", [413, 429, 500, 502, 504])
def test_a_plain_target_is_told_nothing_of_functions(status: int) -> None:
    told = remedy(classify_http(status, {}, b""), HTTP)
    for word in ("the function", "the platform", "6 MB", "90 s"):
        assert word not in told


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


@given(st.sampled_from(list(Outcome)), st.none() | codes, st.binary(max_size=100), st.sampled_from([target(), HTTP]))
def test_every_outcome_and_code_has_a_remedy(
    outcome: Outcome, code: str | None, said: bytes, where: FunctionTarget | HttpTarget
) -> None:
    for seen in (outcome, Facts(outcome, "r", 500, code)):
        text = remedy(seen, where, body=said)
        assert text.endswith(".")
        assert text.isprintable()


EXPIRED = (
    "Incorrect IAM authentication information: calc aksk signature fail:signature expired, "
    "signature time:20260528T092752Z,server time:20260528T094410Z"
)
KEY = KeyAuth("AKDUMMY", "SKDUMMY-SKDUMMY")
USER = IamAuth("https://iam.example", "u", "pass-word", "ACCOUNT", "p")


def with_auth(auth: Auth, endpoint: str = "https://functiongraph.eu-de.otc.t-systems.com") -> FunctionTarget:
    return msgspec.structs.replace(target(), auth=auth, endpoint=endpoint)


def test_a_signature_refused_for_its_time_says_by_how_much_the_clock_is_off() -> None:
    said = answered(401, body("APIGW.0301", EXPIRED), with_auth(KEY))
    assert "this machine's clock is 16 minutes behind the platform's" in said
    assert "more than 15 off. Set the clock" in said


@pytest.mark.parametrize("times", ["99999999T999999Z,server time:20260528T094410Z", "20260528T092752Z", "x"])
def test_times_that_are_none_are_still_a_matter_of_the_clock(times: str) -> None:
    said = answered(401, body("APIG.0301", f"signature expired, signature time:{times}"), with_auth(KEY))
    assert "Set this machine's clock: 15 minutes off is the most" in said


@pytest.mark.parametrize(("ahead_s", "expected"), [(1200, "20 minutes ahead of"), (-3600, "60 minutes behind")])
def test_any_refused_signature_is_the_clocks_when_the_answers_date_says_so(ahead_s: int, expected: str) -> None:
    said = body("APIG.0301", "verify aksk signature fail")
    facts = classify_function(401, {}, said, ResponseVersion.V0)
    assert expected in remedy(facts, with_auth(KEY), body=said, ahead_s=ahead_s)
    assert expected not in remedy(facts, with_auth(TokenAuth("TOKEN")), body=said, ahead_s=ahead_s)


def test_a_clock_within_15_minutes_is_no_reason() -> None:
    assert [clock_advice(ahead_s) for ahead_s in (None, 0, 900, -900)] == [None] * 4
    assert clock_advice(901) is not None


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (NoAuth(), "target.auth is none"),
        (TokenAuth("TOKEN"), "must be a token of region eu-de; tokens last 24 hours"),
        (KEY, "Check the access key of region eu-de and its secret. More than five wrong signatures"),
        (USER, "Check target.auth.iam: its project and url must be those of the endpoint of region eu-de"),
    ],
)
def test_credentials_refused_without_a_reason_are_spoken_of_by_their_kind(auth: Auth, expected: str) -> None:
    assert expected in answered(401, b"", with_auth(auth))
    assert expected in answered(401, body("FSS.0401"), with_auth(auth))


def test_a_token_just_obtained_cannot_be_cured_by_another() -> None:
    assert "the token that IAM gave just now" in answered(401, body("APIG.0307"), with_auth(USER))
    assert "target.auth.iam" in answered(401, body("APIG.0307"), with_auth(TokenAuth("TOKEN")))


def test_no_remedy_shows_a_key_or_a_password() -> None:
    said = body("APIG.0301", "SKDUMMY-SKDUMMY of AKDUMMY with pass-word")
    assert "DUMMY" not in answered(401, said, with_auth(KEY))
    assert "pass-word" not in answered(401, said, with_auth(USER))
    assert "AKOTHER" not in answered(401, body("APIG.0301", "ak AKOTHER not exist"), with_auth(USER))


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("certificate has expired", "Renew it, or set this machine's clock"),
        ("certificate is not yet valid", "Set this machine's clock"),
        ("Hostname mismatch, certificate is not valid for 'h'.", "as the certificate names it"),
        ("IP address mismatch, certificate is not valid for '127.0.0.1'.", "as the certificate names it"),
        ("unable to get local issuer certificate", None),
        ("self-signed certificate", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("ca", [None, "/etc/ca.pem"])
def test_a_certificate_that_was_refused_is_explained_in_openssls_words(
    said: str, advice: str | None, ca: str | None
) -> None:
    for where in (target(), HTTP):
        trusting = msgspec.structs.replace(where, tls=Tls(True, ca))
        text = remedy(Outcome.CONNECTION, trusting, reason="tls_certificate", body=said.encode())
        assert said.rstrip(".") in text
        assert ("although target.tls.ca is /etc/ca.pem" in text) is (ca is not None)
        assert ("Set target.tls.ca" in text) is (ca is None and advice is None)
        assert advice is None or advice in text
        assert text.endswith(".")
        assert ".." not in text


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("WRONG_VERSION_NUMBER", "Check that the port speaks TLS, or use http://"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "Set target.tls.cert and target.tls.key"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "The server may want a certificate of the client (target.tls.cert)"),
        ("TLSV1_ALERT_UNKNOWN_CA", "The server does not trust whoever signed target.tls.cert"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "The server says that target.tls.cert has expired. Renew it"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "The server refuses target.tls.cert"),
        ("TLSV1_UNRECOGNIZED_NAME", "Set target.tls.server_name to one that it serves"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "no version of TLS in common"),
        ("TLSV1_ALERT_DECRYPT_ERROR", "The server could not verify a signature"),
        ("TLSV1_ALERT_INTERNAL_ERROR", "The server ended it. See its log"),
        ("", None),
        ("SOMETHING_NEW", None),
    ],
)
def test_a_connection_that_tls_ended_is_explained_in_openssls_words_with_what_fits_them(
    said: str, advice: str | None
) -> None:
    because = f": {said}" if said else ""
    for reason, what, otherwise in (
        ("tls", "no TLS connection could be made", "Check that the port speaks TLS"),
        ("tls_broken", "TLS failed after the connection stood", "See what the server logs"),
    ):
        text = remedy(Outcome.CONNECTION, target(), reason=reason, body=said.encode())
        assert f"{what}{because}. " in text
        assert (advice or otherwise) in text


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("No required SSL certificate was sent", "Set target.tls.cert and target.tls.key."),
        ("The SSL certificate error", "the server refuses target.tls.cert."),
        ("The plain HTTP request was sent to HTTPS port", "Write https://."),
        ("Bad Request", "the request was refused."),
    ],
)
def test_what_nginx_refuses_for_a_certificate_is_told_from_other_bad_requests(said: str, advice: str) -> None:
    page = f"<html><head><title>400 {said}</title></head></html>".encode()
    assert advice in remedy(classify_http(400, {}, page), HTTP, body=page)


def test_contradicting_headers_and_redirects_of_a_function_have_their_remedies() -> None:
    facts = classify_function(200, {b"x-func-err-code": b"4002\n0"}, b"{}", ResponseVersion.V0)
    assert "headers of the platform contradict each other" in remedy(facts, target())
    moved = classify_function(301, {b"location": b"/x"}, b"", ResponseVersion.V0)
    assert "Check target.endpoint" in remedy(moved, target())
