from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen import __version__
from loadgen.targets.functiongraph.protocol.request import request_template
from loadgen.targets.functiongraph.protocol.signature import canonical_request, payload_hash, signature, string_to_sign
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, KeyAuth, NoAuth, ResponseVersion, TokenAuth
from loadgen.targets.functiongraph.protocol.urn import UrnError
from loadgen.targets.http.request import request_template as plain_template
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.port import Timeout, Tls
from loadgen.targets.request import Origin, origin_of

HUAWEI_PROJECT = "7aad83af3e8d42e99ac194e8419e2c9b"
FUNCTION = FunctionTarget(
    endpoint="https://functiongraph.eu-de.otc.t-systems.com",
    project_id="p",
    function="hello",
    auth=NoAuth(),
    response=ResponseVersion.V0,
    tail_share=0.0,
    memory_mb=None,
    fresh_connections=False,
    timeout=Timeout(1, 1, 1),
    tls=Tls(True, None),
    preflight=True,
)
HTTP = HttpTarget("http://127.0.0.1:8080/a?b=c", "POST", (), False, Timeout(1, 1, 1), Tls(True, None), True)


def function(**changes: Any) -> FunctionTarget:
    return msgspec.structs.replace(FUNCTION, **changes)


def http(**changes: Any) -> HttpTarget:
    return msgspec.structs.replace(HTTP, **changes)


def lines(request: bytes) -> list[str]:
    return request.partition(b"\r\n\r\n")[0].decode().split("\r\n")


def test_a_function_request_is_this_and_nothing_else() -> None:
    target = function(auth=TokenAuth("TOKEN"), response=ResponseVersion.V1, memory_mb=512, fresh_connections=True)
    assert request_template(target).render(b'{"k": "v"}', tail=True, at=0).decode() == (
        "POST /v2/p/fgs/functions/urn%3Afss%3Aeu-de%3Ap%3Afunction%3Adefault%3Ahello/invocations HTTP/1.1\r\n"
        "Host: functiongraph.eu-de.otc.t-systems.com\r\n"
        f"User-Agent: loadgen/{__version__}\r\n"
        "Content-Type: application/json\r\n"
        "X-Auth-Token: TOKEN\r\n"
        "X-CFF-Request-Version: v1\r\n"
        "X-Cff-Instance-Memory: 512\r\n"
        "Connection: close\r\n"
        "X-Cff-Log-Type: tail\r\n"
        "Content-Length: 10\r\n"
        "\r\n"
        '{"k": "v"}'
    )


def test_the_documented_example_requests_are_sent_as_printed() -> None:
    urn = f"urn:fss:xxxxxxxxx:{HUAWEI_PROJECT}:function:default:test:latest"
    target = function(endpoint="http://127.0.0.1:8080", project_id=HUAWEI_PROJECT, function=urn)
    for event in (b'{ \n"message":"Hello World" \n}', b'{\n  "k" : "v"\n}'):
        head, _, body = request_template(target).render(event, tail=False, at=0).partition(b"\r\n\r\n")
        start = unquote(head.partition(b"\r\n")[0].decode())
        assert start == f"POST /v2/{HUAWEI_PROJECT}/fgs/functions/{urn}/invocations HTTP/1.1"
        assert body == event


def test_what_is_not_asked_for_is_not_sent() -> None:
    sent = lines(request_template(FUNCTION).render(b"{}", tail=False, at=0))
    names = [line.partition(":")[0] for line in sent[1:]]
    assert names == ["Host", "User-Agent", "Content-Type", "X-CFF-Request-Version", "Content-Length"]


def test_v0_is_asked_for_by_name() -> None:
    assert "X-CFF-Request-Version: v0" in lines(request_template(FUNCTION).render(b"{}", tail=False, at=0))


def test_the_log_tail_is_asked_for_call_by_call() -> None:
    template = request_template(FUNCTION)
    assert "X-Cff-Log-Type: tail" in lines(template.render(b"{}", tail=True, at=0))
    assert not any("X-Cff-Log-Type" in line for line in lines(template.render(b"{}", tail=False, at=0)))


def test_a_function_without_an_event_gets_a_length_of_zero() -> None:
    assert request_template(FUNCTION).render(b"", tail=False, at=0).endswith(b"Content-Length: 0\r\n\r\n")


@given(st.binary(max_size=2000), st.booleans())
def test_the_body_arrives_whole_with_its_length(body: bytes, tail: bool) -> None:
    template = request_template(FUNCTION)
    request = template.render(body, tail, 0)
    head, _, sent = request.partition(b"\r\n\r\n")
    assert sent == body
    assert head.endswith(b"\r\nContent-Length: %d" % len(body))


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("http://h/x", Origin(False, "h", 80), "h"),
        ("http://h:80", Origin(False, "h", 80), "h"),
        ("http://h:8080", Origin(False, "h", 8080), "h:8080"),
        ("https://h", Origin(True, "h", 443), "h"),
        ("https://h:80", Origin(True, "h", 80), "h:80"),
        ("http://[::1]:8080", Origin(False, "::1", 8080), "[::1]:8080"),
        ("http://[::1]", Origin(False, "::1", 80), "[::1]"),
        ("https://bücher.example", Origin(True, "xn--bcher-kva.example", 443), "xn--bcher-kva.example"),
    ],
)
def test_host_has_the_port_unless_it_is_the_schemes_own(url: str, origin: Origin, authority: str) -> None:
    assert origin_of(url) == origin
    assert origin.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "emulator",
        "ftp://h",
        "http://",
        "http://user:pw@h/",
        "http://h:0",
        "http://h:99999",
        "http://h:x",
        "http://[::1]:0",
    ],
)
def test_what_is_no_origin_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"got .* expected ") as error:
        origin_of(url)
    assert "pw" not in str(error.value)


def test_an_endpoint_has_no_path() -> None:
    with pytest.raises(ValueError, match='remove "/v2"'):
        request_template(function(endpoint="http://h/v2"))


def test_a_function_that_is_no_urn_is_refused() -> None:
    with pytest.raises(UrnError):
        request_template(function(function="a:b:c:d:e"))


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\r\nX-Evil: 1", "\x7f"])
def test_no_value_can_break_out_of_its_header_and_no_error_shows_it(character: str) -> None:
    with pytest.raises(ValueError, match="X-Auth-Token") as error:
        request_template(function(auth=TokenAuth(f"sesame{character}")))
    assert "sesame" not in str(error.value)
    with pytest.raises(ValueError, match="control character"):
        plain_template(http(headers=(("X-A", character),)))


def test_no_repr_shows_a_secret() -> None:
    assert "sesame" not in repr(request_template(function(auth=TokenAuth("sesame"))))
    assert "sesame" not in repr(plain_template(http(headers=(("Authorization", "Bearer sesame"),))))


def test_a_functions_headers_are_no_templates() -> None:
    template = request_template(function(auth=TokenAuth("a{{b}}")))
    assert "X-Auth-Token: a{{b}}" in lines(template.render(b"", tail=False, at=0))
    assert template.fields == frozenset()


KEY = KeyAuth("AKDUMMY", "SKDUMMY", "STSTOKEN")


def test_a_signed_request_proves_itself_by_what_it_sends() -> None:
    target = function(auth=KEY, memory_mb=512, fresh_connections=True)
    template = request_template(target)
    assert template.signed
    for tail in (False, True):
        request = template.render(b'{"k": "v"}', tail=tail, at=1_767_323_045)
        head, _, body = request.partition(b"\r\n\r\n")
        start, *fields = head.decode().split("\r\n")
        sent = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        assert sent["content-length"] == "10"
        assert sent["x-project-id"] == "p"
        assert sent["x-security-token"] == "STSTOKEN"
        assert sent["x-sdk-date"] == "20260102T030405Z"
        assert sent.get("x-cff-log-type") == ("tail" if tail else None)
        proof = re.fullmatch(
            r"SDK-HMAC-SHA256 Access=AKDUMMY, SignedHeaders=(\S+), Signature=(\w+)", sent["authorization"]
        )
        assert proof is not None
        names = proof[1].split(";")
        assert set(sent) - set(names) == {"authorization", "content-length", "connection"}
        canonical = canonical_request("POST", start.split()[1], [], sent, names, payload_hash(sent, body))
        assert proof[2] == signature("SKDUMMY", string_to_sign(sent["x-sdk-date"], canonical))


def test_a_signed_request_without_an_event_has_a_length_of_zero() -> None:
    assert request_template(function(auth=KEY)).render(b"", tail=False, at=0).endswith(b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize("auth", [KeyAuth("a\r\nb", "s"), KeyAuth("a", "s", "t\n")])
def test_no_key_can_break_out_of_its_header(auth: KeyAuth) -> None:
    with pytest.raises(ValueError, match="control character"):
        request_template(function(auth=auth))


def test_a_signed_template_shows_no_secret() -> None:
    assert not any(secret in repr(request_template(function(auth=KEY))) for secret in ("AKD", "SKD", "STS"))
