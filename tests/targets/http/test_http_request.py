from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen import __version__
from loadgen.targets.http.request import request_template
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.port import Timeout, Tls

HTTP = HttpTarget("http://127.0.0.1:8080/a?b=c", "POST", (), False, Timeout(1, 1, 1), Tls(True, None), True)


def http(**changes: Any) -> HttpTarget:
    return msgspec.structs.replace(HTTP, **changes)


def lines(request: bytes) -> list[str]:
    return request.partition(b"\r\n\r\n")[0].decode().split("\r\n")


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "ä"])
def test_a_header_name_is_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="header name"):
        request_template(http(headers=((name, "v"),)))


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
