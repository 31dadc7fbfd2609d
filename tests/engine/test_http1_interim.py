"""Interim responses in numbers that no honest server sends."""

from __future__ import annotations

import pytest

from loadgen.engine.http1 import MAX_HEAD, MAX_INTERIM, HeaderNames, ProtocolError, ResponseReader

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def reader() -> ResponseReader:
    return ResponseReader(HeaderNames(frozenset()), 1024)


@pytest.mark.parametrize("number", [1, 10, 50])
def test_some_interim_responses_are_passed_over_in_one_piece_or_many(number: int) -> None:
    whole, apart = reader(), reader()
    response = whole.feed(INTERIM * number + ANSWER)
    for _ in range(number):
        assert apart.feed(INTERIM) is None
    assert response == apart.feed(ANSWER)
    assert response is not None
    assert response.status == 200


def judged(message: bytes, size: int) -> str:
    under_test = reader()
    try:
        for at in range(0, len(message), size):
            if (response := under_test.feed(message[at : at + size])) is not None:
                return f"status {response.status}"
    except ProtocolError as error:
        return error.reason
    return "waits"


LARGE = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * (MAX_HEAD // 4 - 35 - 2) + b"\r\n\r\n"


@pytest.mark.parametrize("size", [1, 1000, 1 << 30])
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (INTERIM * MAX_INTERIM + ANSWER, "status 200"),
        (INTERIM * (MAX_INTERIM + 1), "too_many_interim"),
        (INTERIM * (MAX_INTERIM + 1) + ANSWER, "too_many_interim"),
        (INTERIM * 10_000, "too_many_interim"),
        (LARGE * 4 + ANSWER, "status 200"),
        (LARGE * 4 + INTERIM, "too_many_interim"),
        (INTERIM + b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "upgraded"),
    ],
)
def test_interim_responses_have_a_limit_of_their_own(message: bytes, expected: str, size: int) -> None:
    assert judged(message, size) == expected


def test_the_limit_is_that_of_one_response() -> None:
    under_test = reader()
    for _ in range(3):
        response = under_test.feed(INTERIM * MAX_INTERIM + ANSWER)
        assert response is not None
        assert response.status == 200


def test_a_connection_that_sent_chunks_as_http_1_0_is_not_used_again() -> None:
    head = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = reader().feed(head + b"2\r\n{}\r\n0\r\n\r\n")
    assert response is not None
    assert not response.reusable


def test_a_connection_that_closes_after_an_interim_response_closed_early() -> None:
    under_test = reader()
    assert under_test.feed(INTERIM) is None
    assert not under_test.idle
    with pytest.raises(ProtocolError, match="closed_early"):
        under_test.end()
