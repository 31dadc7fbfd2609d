"""Interim responses in numbers that no honest server sends."""

from __future__ import annotations

import contextlib

import pytest

from loadgen.engine.http1 import HeaderNames, ProtocolError, ResponseReader

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


def test_a_flood_of_interim_responses_in_one_piece_raises_nothing_but_a_protocol_error() -> None:
    with contextlib.suppress(ProtocolError):
        reader().feed(INTERIM * 10_000)


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
