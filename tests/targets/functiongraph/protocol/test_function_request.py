from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen import __version__
from loadgen.targets.functiongraph.protocol.request import Origin, origin_of, request_template
from loadgen.targets.functiongraph.protocol.signature import canonical_request, payload_hash, signature, string_to_sign
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, KeyAuth, NoAuth, ResponseVersion, TokenAuth
from loadgen.targets.functiongraph.protocol.urn import UrnError
from loadgen.targets.http import HttpTarget
from loadgen.targets.port import Timeout, Tls

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


def test_the_emulators_origin_takes_the_place_of_the_endpoint() -> None:
    template = request_template(function(endpoint="emulator"), origin="http://127.0.0.1:4711")
    assert template.origin == Origin(tls=False, host="127.0.0.1", port=4711)
    assert template.path == "/v2/p/fgs/functions/p%3Adefault%3Ahello/invocations"


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
        request_template(http(headers=(("X-A", character),)))


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "ä"])
def test_a_header_name_is_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="header name"):
        request_template(http(headers=((name, "v"),)))


def test_no_repr_shows_a_secret() -> None:
    assert "sesame" not in repr(request_template(function(auth=TokenAuth("sesame"))))
    assert "sesame" not in repr(request_template(http(headers=(("Authorization", "Bearer sesame"),))))


def test_a_plain_request_has_the_defaults_and_the_event() -> None:
    assert request_template(HTTP).render(b"{}", tail=False, at=0).decode() == (
        "POST /a?b=c HTTP/1.1\r\n"
        "Host: 127.0.0.1:8080\r\n"
        f"User-Agent: loadgen/{__version__}\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: 2\r\n"
        "\r\n"
        "{}"
    )


def test_the_users_headers_replace_the_defaults_whatever_their_case_and_keep_their_order() -> None:
    given_headers = (
        ("host", "other"),
        ("X-B", "2"),
        ("CONTENT-TYPE", "text/plain"),
        ("X-B", "1"),
        ("user-agent", "me"),
    )
    sent = lines(request_template(http(headers=given_headers)).render(b"x", tail=False, at=0))
    assert sent[1:] == [
        "host: other",
        "X-B: 2",
        "CONTENT-TYPE: text/plain",
        "X-B: 1",
        "user-agent: me",
        "Content-Length: 1",
    ]


@pytest.mark.parametrize("name", ["content-length", "Transfer-Encoding"])
def test_framing_headers_are_ours(name: str) -> None:
    with pytest.raises(ValueError, match="remove it"):
        request_template(http(headers=((name, "1"),)))


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "QUERY"])
def test_an_event_is_sent_with_every_method_and_without_one_nothing_speaks_of_a_body(method: str) -> None:
    template = request_template(http(method=method))
    assert template.render(b'{"k":1}', tail=False, at=0).endswith(b'\r\nContent-Length: 7\r\n\r\n{"k":1}')
    assert b"\r\nContent-Type: application/json\r\n" in template.render(b"{}", tail=False, at=0)
    bare = template.render(b"", tail=False, at=0)
    assert bare.endswith(b"\r\n\r\n")
    assert b"Content-" not in bare


def test_a_content_type_that_the_user_wrote_is_sent_without_a_body_too() -> None:
    template = request_template(http(method="GET", headers=(("content-type", "application/x"),)))
    assert "content-type: application/x" in lines(template.render(b"", tail=False, at=0))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("a", b"a"),
        ("/?#&%=+;", b"%2F%3F%23%26%25%3D%2B%3B"),
        ("a b\r\nX: y", b"a%20b%0D%0AX%3A%20y"),
        ("ü€", b"%C3%BC%E2%82%AC"),
        ("{{id}}", b"%7B%7Bid%7D%7D"),
        ("", b""),
        (7, b"7"),
        (12345678901234567890123, b"12345678901234567890123"),
        (True, b"true"),
        (msgspec.Raw(b"1.10"), b"1.10"),
    ],
)
def test_a_field_in_a_url_is_one_piece_of_it_whatever_its_characters(value: object, sent: bytes) -> None:
    template = request_template(http(url="http://h/a/{{ id }}/ä?q={{id}}&x={{an/other?}}", method="GET"))
    request = template.render(b"", tail=False, at=0, row={"id": value, "an/other?": "-"})
    assert request.startswith(b"GET /a/%b/%%C3%%A4?q=%b&x=- HTTP/1.1\r\nHost: h\r\n" % (sent, sent))
    assert template.fields == {"id", "an/other?"}
    assert template.path == "/a/{{id}}/%C3%A4?q={{id}}&x={{an/other?}}"


@given(st.text(st.characters(codec="utf-8")))
def test_a_server_finds_in_a_url_exactly_what_the_row_had(text: str) -> None:
    request = request_template(http(url="http://h/{{f}}?q={{f}}&r=1")).render(b"", tail=False, at=0, row={"f": text})
    path, _, query = request.split(b" ")[1].decode("ascii").partition("?")
    assert unquote(path) == f"/{text}"
    assert [tuple(map(unquote, pair.split("="))) for pair in query.split("&")] == [("q", text), ("r", "1")]


@pytest.mark.parametrize("url", ["http://h?{{f}}", "http://h/?{{f}}"])
def test_a_query_may_be_all_that_is_filled(url: str) -> None:
    request = request_template(http(url=url)).render(b"", tail=False, at=0, row={"f": "1"})
    assert request.startswith(b"POST /?1 HTTP/1.1\r\n")


def test_a_field_in_a_header_goes_as_it_is_and_the_users_host_stands() -> None:
    headers = (("Host", "{{t}}.example"), ("X-A", "<{{a}}> {{t}}\t!"))
    request = request_template(http(headers=headers)).render(b"x", tail=False, at=0, row={"t": "x/y %", "a": 1})
    assert lines(request)[2:4] == ["Content-Type: application/json", "Host: x/y %.example"]
    assert "X-A: <1> x/y %\t!" in lines(request)
    assert lines(request)[-1] == "Content-Length: 1"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\n", "\0", "\x7f", "ü", None, ["x"], {"k": 1}])
def test_no_row_can_end_the_line_of_its_header_and_no_error_shows_it(value: object) -> None:
    template = request_template(http(headers=(("X-A", "{{a}}"),)))
    with pytest.raises(ValueError, match="expected") as error:
        template.render(b"", tail=False, at=0, row={"a": value})
    assert "Evil" not in str(error.value)


def test_a_functions_headers_are_no_templates() -> None:
    template = request_template(function(auth=TokenAuth("a{{b}}")))
    assert "X-Auth-Token: a{{b}}" in lines(template.render(b"", tail=False, at=0))
    assert template.fields == frozenset()


@pytest.mark.parametrize(("method", "length"), [("POST", b"0"), ("PUT", b"0"), ("PATCH", b"0"), ("DELETE", None)])
def test_an_empty_body_has_a_length_where_a_body_is_usual(method: str, length: bytes | None) -> None:
    found = re.search(rb"Content-Length: ([0-9]+)", request_template(http(method=method)).render(b"", tail=False, at=0))
    assert (found and found[1]) == length


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h", "/"),
        ("http://h?q=1", "/?q=1"),
        ("http://h/a%20b?c=%2F#fragment", "/a%20b?c=%2F"),
        ("http://h/ä b", "/%C3%A4%20b"),
    ],
)
def test_the_path_and_query_go_as_written_but_for_what_cannot(url: str, path: str) -> None:
    assert request_template(http(url=url)).path == path


def test_fresh_connections_ask_the_server_to_close() -> None:
    sent = request_template(http(fresh_connections=True)).render(b"", tail=False, at=0)
    assert b"\r\nConnection: close\r\n" in sent


def test_a_method_is_a_token() -> None:
    with pytest.raises(ValueError, match="method"):
        request_template(http(method="GET /x"))


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
