"""Every way we know for a server to answer badly, and what each is to be called.

``ANSWERS`` is the list: a name, what the server does once it has read the request, and the outcome and reason that the
invocation must end with. ``hostile`` is the server: the event of a request, ``{"answer": NAME}``, says how it is to be
answered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from loadgen.engine.http1 import MAX_HEAD, MAX_INTERIM, MAX_REPEATS
from loadgen.targets.functiongraph.protocol.tenant import MOST
from loadgen.targets.port import MAX_LINES, MAX_VALUE
from tests.servers.scripted import OK, Peer, Play

HEAD = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def says(*pieces: bytes) -> Play:
    """Send pieces and leave it to the client to close."""

    async def play(peer: Peer) -> None:
        await peer.send(*pieces)
        await peer.gone()

    return play


def says_and_closes(*pieces: bytes) -> Play:
    """Send pieces and close."""

    async def play(peer: Peer) -> None:
        await peer.send(*pieces)

    return play


def drips(answer: bytes, pause_s: float) -> Play:
    """Send an answer byte by byte."""

    async def play(peer: Peer) -> None:
        await peer.send(*(answer[i : i + 1] for i in range(len(answer))), pause_s=pause_s)
        await peer.gone()

    return play


def streams(beginning: bytes, endless: bytes) -> Play:
    """Send a beginning and then the same again and again, some 1.6 MB a second, until the client closes."""

    async def play(peer: Peer) -> None:
        await peer.send(beginning)
        while not peer.writer.is_closing():
            await peer.send(endless * (32_768 // len(endless)), b"")

    return play


async def resets(peer: Peer) -> None:
    """Close with a TCP reset."""
    peer.reset()


@dataclass(frozen=True)
class Answer:
    """What the server does with a request, and the ``outcome/reason`` that the invocation must end with."""

    name: str
    play: Play
    expected: str


ANSWERS = (
    # answers that are unusual and right
    Answer("a plain answer", says(OK), "ok/ok"),
    Answer("byte by byte, in time", drips(OK, 0.01), "ok/ok"),
    Answer("HTTP/1.0 with a length", says(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"), "ok/ok"),
    Answer("HTTP/1.0 without a length", says_and_closes(b"HTTP/1.0 200 OK\r\n\r\n", b"{}"), "ok/ok"),
    Answer("HTTP/1.1 that ends with the connection", says_and_closes(HEAD + b"\r\n{", b"}"), "ok/ok"),
    Answer("no reason phrase", says(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), "ok/ok"),
    Answer(
        "interim answers first", says(b"HTTP/1.1 100 Continue\r\n\r\n" * 3, b"HTTP/1.1 103 x\r\n\r\n" + OK), "ok/ok"
    ),
    Answer("chunks, extensions, trailers", says(CHUNKED + b"2;a=b;c\r\n{", b"}\r\n0;d\r\nX: y\r\n", b"\r\n"), "ok/ok"),
    Answer("a hundred interim answers", says(INTERIM * MAX_INTERIM + OK), "ok/ok"),
    Answer("chunks of one byte", says(CHUNKED + b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n"), "ok/ok"),
    Answer("a head of many lines", says(HEAD + b"X:\r\n" * (MAX_LINES - 2) + b"Content-Length: 0\r\n\r\n"), "ok/ok"),
    Answer(
        "a number with many blanks in it",
        says(HEAD + b"X-CFF-Billing-Duration: 1" + b" " * 30_000 + b"x\r\nContent-Length: 0\r\n\r\n"),
        "ok/ok",
    ),
    Answer("no content", says(b"HTTP/1.1 204 No Content\r\n\r\n"), "ok/ok"),
    Answer("the same length twice", says(HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), "ok/ok"),
    # not HTTP
    Answer("a line of text", says(b"220 mail.example ESMTP\r\n"), "protocol/not_http"),
    Answer("random bytes", says(bytes(range(256)) * 16), "protocol/not_http"),
    Answer("a TLS record", says(b"\x15\x03\x01\x00\x02\x02\x46"), "protocol/not_http"),
    Answer("HTTP/2", says(b"HTTP/2 200 OK\r\n\r\n"), "protocol/not_http"),
    Answer("an upgrade", says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), "protocol/upgraded"),
    # heads
    Answer("a status of two digits", says(b"HTTP/1.1 20 OK\r\n\r\n"), "protocol/bad_status_line"),
    Answer("lines that end in LF", says(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"), "protocol/bad_line_ending"),
    Answer(
        "one line that ends in LF, and silence", says(HEAD + b"Content-Length: 2\n\nok"), "protocol/bad_line_ending"
    ),
    Answer("a CR alone, and silence", drips(HEAD + b"Content-Length: 2\r\r", 0.001), "protocol/bad_line_ending"),
    Answer("a chunk that ends in LF, and silence", says(CHUNKED + b"2\n{}\n"), "protocol/bad_chunk"),
    Answer("a trailer that ends in LF, and silence", says(CHUNKED + b"0\r\nX: y\n\n"), "protocol/bad_trailer"),
    Answer("a line without a colon", says(HEAD + b"Content-Length 2\r\n\r\n{}"), "protocol/bad_header"),
    Answer("a space before the colon", says(HEAD + b"Content-Length : 2\r\n\r\n{}"), "protocol/bad_header"),
    Answer("a NUL in a header", says(HEAD + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}"), "protocol/bad_header"),
    Answer("a folded header", says(HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}"), "protocol/bad_header"),
    Answer("a head that is too large", says(HEAD + b"X: y\r\n" * (MAX_HEAD // 6) + b"\r\n"), "protocol/head_too_large"),
    Answer(
        "a head of too many lines",
        says(HEAD + b"X:\r\n" * (MAX_LINES - 1) + b"Content-Length: 0\r\n\r\n"),
        "protocol/head_too_large",
    ),
    Answer(
        "a header that is too long",
        says(HEAD + b"X-Cff-Function-Log: " + b"x" * (MAX_VALUE + 1) + b"\r\nContent-Length: 0\r\n\r\n"),
        "protocol/header_too_large",
    ),
    Answer(
        "a header that comes too often",
        says(HEAD + b"X-Func-Err-Code: 0\r\n" * (MAX_REPEATS + 1) + b"Content-Length: 0\r\n\r\n"),
        "protocol/header_too_large",
    ),
    Answer(
        "many headers that are one that is too long",
        says(HEAD + b"X-Cff-Function-Log: %b\r\n" * 60 % (*(b"%01000d" % i for i in range(60)),) + b"\r\n"),
        "protocol/header_too_large",
    ),
    Answer("endless headers", streams(HEAD, b"X-Endless: header\r\n"), "protocol/head_too_large"),
    Answer("one endless header", streams(HEAD + b"X: ", b"y"), "protocol/head_too_large"),
    Answer("an endless status line", streams(b"HTTP/1.1 200 ", b"x"), "protocol/head_too_large"),
    # lengths
    Answer("a negative length", says(HEAD + b"Content-Length: -2\r\n\r\n{}"), "protocol/bad_content_length"),
    Answer("a signed length", says(HEAD + b"Content-Length: +2\r\n\r\n{}"), "protocol/bad_content_length"),
    Answer("a list of lengths", says(HEAD + b"Content-Length: 2, 2\r\n\r\n{}"), "protocol/bad_content_length"),
    Answer("a hexadecimal length", says(HEAD + b"Content-Length: 0x2\r\n\r\n{}"), "protocol/bad_content_length"),
    Answer("an empty length", says(HEAD + b"Content-Length:\r\n\r\n{}"), "protocol/bad_content_length"),
    Answer(
        "a length of 20 digits",
        says(HEAD + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n{}"),
        "protocol/bad_content_length",
    ),
    Answer("two lengths", says(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), "protocol/two_lengths"),
    Answer(
        "a length and chunks",
        says(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        "protocol/two_lengths",
    ),
    Answer(
        "a coding we did not ask for",
        says(HEAD + b"Transfer-Encoding: gzip\r\n\r\n{}"),
        "protocol/bad_transfer_encoding",
    ),
    # bodies
    Answer("more than was announced", says(HEAD + b"Content-Length: 2\r\n\r\n{}!"), "protocol/trailing_data"),
    Answer("two answers", says(OK + OK), "protocol/trailing_data"),
    Answer(
        "less than was announced", says_and_closes(HEAD + b"Content-Length: 3\r\n\r\n{}"), "connection/closed_early"
    ),
    Answer("half a head", says_and_closes(HEAD + b"Content-Le"), "connection/closed_early"),
    Answer("half a chunk", says_and_closes(CHUNKED + b"4\r\n{}"), "connection/closed_early"),
    Answer("no last chunk", says_and_closes(CHUNKED + b"2\r\n{}\r\n"), "connection/closed_early"),
    Answer("a chunk size that overflows", says(CHUNKED + b"F" * 17 + b"\r\n{}\r\n0\r\n\r\n"), "protocol/bad_chunk"),
    Answer("a negative chunk size", says(CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n"), "protocol/bad_chunk"),
    Answer("a chunk larger than its size", says(CHUNKED + b"1\r\n{}\r\n0\r\n\r\n"), "protocol/bad_chunk"),
    Answer("an endless chunk extension", streams(CHUNKED + b"2;", b"x"), "protocol/bad_chunk"),
    Answer("a trailer without a colon", says(CHUNKED + b"0\r\nbad\r\n\r\n"), "protocol/bad_trailer"),
    Answer("too many trailers", says(CHUNKED + b"0\r\n" + b"X:\r\n" * (MAX_LINES + 1)), "protocol/bad_trailer"),
    Answer("endless trailers", streams(CHUNKED + b"0\r\n", b"X-Endless: trailer\r\n"), "protocol/bad_trailer"),
    Answer(
        "a body of 18 digits",
        says(HEAD + b"Content-Length: " + b"9" * 18 + b"\r\n\r\n"),
        "protocol/body_too_large",
    ),
    Answer("a chunk of 15 digits", says(CHUNKED + b"F" * 15 + b"\r\nx"), "protocol/body_too_large"),
    Answer("chunks of too much", says(CHUNKED + b"1\r\nx\r\n%x\r\nx" % MOST), "protocol/body_too_large"),
    # interim answers
    Answer("one interim answer too many", says(INTERIM * (MAX_INTERIM + 1) + OK), "protocol/too_many_interim"),
    Answer("endless interim answers", streams(b"", INTERIM), "protocol/too_many_interim"),
    Answer(
        "endless large interim answers",
        streams(b"", b"HTTP/1.1 103 Early Hints\r\nX-Padding: " + b"x" * 8000 + b"\r\n\r\n"),
        "protocol/too_many_interim",
    ),
    # closed without an answer
    Answer("a close", says_and_closes(b""), "connection/closed"),
    Answer("a reset", resets, "connection/reset"),
    # no end in sight
    Answer("silence", says(b""), "timeout/first_byte"),
    Answer("half a head, then silence", says(HEAD), "timeout/total"),
    Answer("byte by byte, too slowly", drips(OK, 0.2), "timeout/total"),
    Answer("a body that never comes", says(HEAD + b"Content-Length: %d\r\n\r\n" % MOST), "timeout/total"),
    Answer("endless chunks of one byte", streams(CHUNKED, b"1\r\nx\r\n"), "timeout/total"),
    Answer("endless chunks", streams(CHUNKED, b"2;extension=value\r\n{}\r\n"), "timeout/total"),
    Answer("an endless body", streams(HEAD + b"\r\n", b"x"), "timeout/total"),
)

_BY_NAME = {answer.name: answer for answer in ANSWERS}


async def hostile(peer: Peer) -> None:
    """Answer one request as its event asks; the connection is not used again."""
    request = await peer.request()
    if request is None:
        return
    event = json.loads(request.partition(b"\r\n\r\n")[2])
    await _BY_NAME[event["answer"]].play(peer)
