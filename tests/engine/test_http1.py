"""Examples; the laws for any bytes at all, with llhttp as oracle, are in tests/fuzz."""

from __future__ import annotations

import itertools
import time

import pytest

from loadgen.engine.http1 import MAX_HEAD, HeaderNames, ProtocolError, Response, ResponseReader

KEEP = 1 << 20
WANTED = frozenset({b"x-cff-request-id", b"content-type"})


def reader(keep: int = KEEP, *, bodiless: bool = False) -> ResponseReader:
    return ResponseReader(HeaderNames(WANTED), keep, bodiless=bodiless)


def read(*pieces: bytes, close: bool = False, bodiless: bool = False, keep: int = KEEP) -> Response | None:
    """The response of the pieces as they arrive; nothing may follow it."""
    under_test = reader(keep, bodiless=bodiless)
    response = None
    for piece in pieces:
        assert response is None, "bytes after a complete response"
        response = under_test.feed(piece)
    if close and response is None:
        response = under_test.end()
    return response


SIMPLE = b"HTTP/1.1 200 OK\r\nX-Cff-Request-Id: abc\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
)


def test_a_response_framed_by_its_length_is_complete_with_its_last_byte() -> None:
    response = read(SIMPLE)
    assert response is not None
    assert response.status == 200
    assert response.headers[b"x-cff-request-id"] == b"abc"
    assert response.body == b"hello"
    assert response.reusable


def test_only_wanted_headers_are_given_whatever_their_casing() -> None:
    response = read(b"HTTP/1.1 200 OK\r\nx-CFF-request-ID:  abc \r\nServer: s\r\nContent-Length: 0\r\n\r\n")
    assert response is not None
    assert response.headers == {b"x-cff-request-id": b"abc", b"content-length": b"0"}


@pytest.mark.parametrize("message", [SIMPLE, CHUNKED])
def test_however_a_response_is_cut_into_pieces_it_reads_the_same(message: bytes) -> None:
    whole = read(message)
    assert whole == read(*(message[i : i + 1] for i in range(len(message))))
    for cut in range(1, len(message)):
        assert read(message[:cut], message[cut:]) == whole


def test_chunks_are_joined_and_extensions_and_trailers_passed_over() -> None:
    response = read(CHUNKED)
    assert response is not None
    assert response.body == b"hello world"
    assert response.reusable


def test_a_body_without_length_ends_with_the_connection_which_is_not_reused() -> None:
    response = read(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", close=True)
    assert response is not None
    assert response.body == b"hello"
    assert not response.reusable


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),  # the default of HTTP/1.1
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close\r\n", False),  # two lines are one list
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.0 200 OK\r\n", False),  # the default of HTTP/1.0
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_a_connection_is_reused_unless_the_server_says_otherwise(head: bytes, reusable: bool) -> None:
    response = read(head + b"Content-Length: 2\r\n\r\nhi")
    assert response is not None
    assert response.reusable is reusable


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_statuses_have_no_body_whatever_the_headers_say(status: bytes) -> None:
    response = read(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")
    assert response is not None
    assert response.body == b""


def test_the_answer_to_head_has_no_body() -> None:
    response = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", bodiless=True)
    assert response is not None
    assert response.body == b""


def test_interim_responses_are_passed_over() -> None:
    response = read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIMPLE)
    assert response is not None
    assert response.status == 200
    assert read(b"HTTP/1.1 100 Continue\r\n\r\n", SIMPLE) == response


def test_a_body_longer_than_what_is_kept_is_read_to_its_end_and_cut() -> None:
    body = b"x" * 1000
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + body
    for pieces in ((whole,), (whole[:500], whole[500:])):
        response = read(*pieces, keep=10)
        assert response is not None
        assert response.body == b"x" * 10


def test_one_reader_reads_response_after_response() -> None:
    under_test = reader()
    for message in (SIMPLE, CHUNKED, SIMPLE):
        assert under_test.idle
        assert under_test.feed(message) == read(message)
    assert under_test.feed(SIMPLE[:20]) is None
    assert not under_test.idle


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"hello there\r\n\r\n", "not_http"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not_http"),  # at once, not when a head never ends
        (b"HTTP/2 200 OK\r\n\r\n", "not_http"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "bad_status_line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "bad_status_line"),
        (b"HTTP/1.1  200 OK\r\n\r\n", "bad_status_line"),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "bad_line_ending"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "bad_header"),
        (b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", "bad_header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", "bad_header"),  # request smuggling's favourite
        (b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n", "bad_header"),
        (b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", "bad_header"),
        (b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n", "bad_line_ending"),
        (b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n", "bad_line_ending"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\r\n\r\n", "bad_line_ending"),
        (b"HTTP/1.1 200 OK\nX: a\r\n\r\n", "bad_line_ending"),
        (b"HTTP/1.1 200 OK\r\nX: a\x01b\r\n\r\n", "bad_header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \x0b5\r\n\r\nhello", "bad_header"),  # not white space in HTTP
        (b"\r\nX: a\r\n\r\n" + SIMPLE, "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "bad_content_length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n", "bad_content_length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\n", "bad_content_length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "two_lengths"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "two_lengths"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "bad_transfer_encoding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "bad_chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", "bad_chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n", "bad_chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n", "bad_trailer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\nC: d\r\n\r\n", "bad_trailer"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "upgraded"),
        (SIMPLE + b"x", "trailing_data"),
        (CHUNKED + b"HTTP/1.1 200 OK\r\n", "trailing_data"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD, "head_too_large"),
    ],
)
def test_what_is_not_http_is_refused_with_its_reason(message: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(message)
    assert caught.value.reason == reason


OK_LINE = b"HTTP/1.1 200 OK\r\n"
CHUNKS = OK_LINE + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\nok", "bad_line_ending"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "bad_line_ending"),  # LF everywhere
        (b"HTTP/1.1 200 OK\rContent-Length: 2\r\rok", "bad_line_ending"),  # CR everywhere
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\rok", "bad_line_ending"),
        (b"HTTP/1.1 200 OK\r\nX: a\n folded", "bad_line_ending"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\n\nok", "bad_line_ending"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\n\n", "bad_line_ending"),
        (CHUNKS + b"2\nok\n0\n\n", "bad_chunk"),
        (CHUNKS + b"2;a=b\rok", "bad_chunk"),
        (CHUNKS + b"2\r\nok\n0", "bad_chunk"),
        (CHUNKS + b"0\r\nTrailer: x\n\n", "bad_trailer"),
        (CHUNKS + b"0\r\nTrailer: x\ry", "bad_trailer"),
    ],
)
def test_a_line_that_ends_otherwise_than_in_crlf_is_refused_at_once_however_it_is_cut(
    message: bytes, reason: str
) -> None:
    """Before the end of the head, which never comes: the server waits for us."""
    pieces = [[message], [message[i : i + 1] for i in range(len(message))]]
    pieces += [[message[:at], message[at:]] for at in range(1, len(message))]
    for each in pieces:
        with pytest.raises(ProtocolError) as caught:
            read(*each)
        assert caught.value.reason == reason, each


def test_a_cr_at_the_end_of_what_has_come_may_still_get_its_lf() -> None:
    for message in (SIMPLE, CHUNKED):
        for at in [i + 1 for i, byte in enumerate(message) if byte == 13]:
            assert read(message[:at], message[at:]) == read(message)


def _many(line: bytes, size: int) -> bytes:
    return line * (size // len(line)) + line[: size % len(line)]


@pytest.mark.parametrize("over", range(-5, 6))
@pytest.mark.parametrize("broken", [False, True])
def test_the_largest_head_is_the_same_at_once_and_in_pieces(over: int, broken: bool) -> None:
    head = (OK_LINE + b"X: " + b"a" * MAX_HEAD)[: MAX_HEAD + over - 1] + (b"\n" if broken else b"a")
    verdicts = set()
    for pieces in (
        [head + b"\r\n\r\n"],
        [head, b"\r\n\r\n"],
        [head[:-20], *(bytes([byte]) for byte in head[-20:] + b"\r\n\r\n")],
    ):
        try:
            read(*pieces)
            verdicts.add("read")
        except ProtocolError as error:
            verdicts.add(error.reason)
    assert len(verdicts) == 1
    if not broken:
        assert verdicts == {"read" if over <= 0 else "head_too_large"}


@pytest.mark.parametrize(
    "message",
    [
        OK_LINE + _many(b"X-Some-Name: some value\r\n", 200_000),
        CHUNKS + b"5;" + b"x" * 200_000,
        CHUNKS + b"0\r\n" + b"T: " + b"x" * 200_000,
    ],
)
def test_a_server_that_dribbles_costs_no_more_than_in_proportion(message: bytes) -> None:
    """Read anew with each byte, these would be 20 GB; a reader that remembers takes well under a second."""
    under_test = reader()
    began = time.process_time()
    for at in range(len(message)):
        assert under_test.feed(message[at : at + 1]) is None
    assert time.process_time() - began < 3


def test_of_a_repeated_header_every_value_that_differs_is_kept_in_order() -> None:
    lines = b"".join(b"X-Cff-Request-Id: %b\r\n" % value for value in (b"a", b"b", b"a", b"c, d"))
    response = read(OK_LINE + lines + b"x-CFF-REQUEST-id: e\r\nContent-Length: 0\r\n\r\n")
    assert response is not None
    assert response.headers[b"x-cff-request-id"] == b"a\nb\nc, d\ne"


def test_a_header_in_the_trailers_is_none_of_the_answers() -> None:
    response = read(CHUNKS[:-2] + b"X-Cff-Request-Id: a\r\n\r\n0\r\nX-Cff-Request-Id: b\r\n\r\n")
    assert response is not None
    assert response.headers[b"x-cff-request-id"] == b"a"


def test_equal_lengths_that_come_twice_are_one_length() -> None:
    response = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi")
    assert response is not None
    assert response.body == b"hi"


@pytest.mark.parametrize("cut", [b"HT", SIMPLE[:30], SIMPLE[:-1], CHUNKED[:-3]])
def test_a_connection_that_closes_within_a_response_is_closed_early(cut: bytes) -> None:
    with pytest.raises(ProtocolError, match="closed_early"):
        read(cut, close=True)


def test_a_connection_that_closes_between_responses_is_no_response() -> None:
    assert reader().end() is None


def test_names_that_a_server_invents_without_end_do_not_fill_the_memory() -> None:
    names = HeaderNames(WANTED)
    for n in range(10_000):
        assert names[b"X-%d" % n] == b""
    assert len(names) <= 1024


ONE_BYTE = b"1\r\nx\r\n"


@pytest.mark.parametrize("size", [1, 2, 5, 1 << 20])
@pytest.mark.parametrize(
    ("within", "more"),
    [
        (OK_LINE + b"\r\n" + b"x" * 100, b"x"),
        (OK_LINE, b"Content-Length: 101\r\n\r\n"),
        (CHUNKS + ONE_BYTE * 100, ONE_BYTE),
        (CHUNKS + b"2;extension=x\r\nxy\r\n" * 50, ONE_BYTE),
        (CHUNKS, b"65\r\n"),
    ],
)
def test_a_body_is_no_longer_than_it_may_be_however_it_is_cut(within: bytes, more: bytes, size: int) -> None:
    under_test = ResponseReader(HeaderNames(WANTED), 1024, most=100)
    for at in range(0, len(within), size):
        assert under_test.feed(within[at : at + size]) is None
    for at in range(0, len(more), size):
        try:
            assert under_test.feed(more[at : at + size]) is None
        except ProtocolError as error:
            assert error.reason == "body_too_large"  # noqa: PT017 - whichever piece it is that says so
            return
    pytest.fail("read")


def test_a_body_of_the_longest_length_is_read_at_once_and_in_pieces() -> None:
    message = OK_LINE + b"Content-Length: 100\r\n\r\n" + b"x" * 100
    for size in (1, len(message)):
        under_test = ResponseReader(HeaderNames(WANTED), 1024, most=100)
        *_, response = [under_test.feed(message[at : at + size]) for at in range(0, len(message), size)]
        assert response is not None
        assert response.body == b"x" * 100


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_chunks_are_read_alike_however_they_are_cut(size: int) -> None:
    """The same body as chunks of many sizes, with extensions and blanks, and a trailer at the end."""
    body = bytes(range(256)) * 4
    pieces, at = [], 0
    for length in itertools.cycle((1, 1, 2, 16, 100)):
        piece = body[at : at + length]
        if not piece:
            break
        pieces.append(b"%x%b\r\n%b\r\n" % (len(piece), (b"", b" ", b";a=b", b"\t ;c")[at % 4], piece))
        at += length
    message = CHUNKS + b"".join(pieces) + b"0\r\nX: y\r\n\r\n"
    under_test = ResponseReader(HeaderNames(WANTED), 2048)
    *_, response = [under_test.feed(message[at : at + size]) for at in range(0, len(message), size)]
    assert response is not None
    assert response.body == body


@pytest.mark.parametrize("endless", [ONE_BYTE, b"1;x=y\r\nx\r\n", b"f\r\n0123456789abcde\r\n"])
def test_tiny_chunks_cost_in_proportion(endless: bytes) -> None:
    """Some 0.25 s of CPU a megabyte for chunks of one byte; they would be minutes if each were searched for anew."""
    data = endless * (2**21 // len(endless))
    under_test = ResponseReader(HeaderNames(WANTED), 1024)
    under_test.feed(CHUNKS)
    began = time.process_time()
    for at in range(0, len(data), 2**18):
        assert under_test.feed(data[at : at + 2**18]) is None
    assert time.process_time() - began < 5
