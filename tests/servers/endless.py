"""Answers of a management API or an IAM that are no answers: too much of anything, or nothing that could be read."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.servers.scripted import Peer, serving

MIB = 2**20
TOKEN = b"X-Subject-Token: tok\r\n"


def bomb(mib: int) -> bytes:
    """A gzip of a hundredth of what is in it, or less; made for each collection of tests, so quickly."""
    packer = zlib.compressobj(1, wbits=31)
    zeros = bytes(MIB)
    return b"".join([*(packer.compress(zeros) for _ in range(mib)), packer.flush()])


@dataclass(frozen=True)
class Flood:
    """What is sent after the status line, and then again and again; ``said`` is how the client names it."""

    name: str
    said: str
    once: bytes
    again: bytes = b""


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = b"Content-Encoding: gzip\r\n" + CHUNKED


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def sized(data: bytes, *headers: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in (*headers, b"Content-Length: %d" % len(data))) + b"\r\n" + data


UNREADABLE = (
    Flood("a bomb", "larger than 1 MiB", sized(bomb(256), b"Content-Encoding: gzip")),
    Flood("a bomb in a bomb", "not the gzip", sized(gzip.compress(b"")[:-4] + bomb(1), b"Content-Encoding: gzip")),
    Flood("an endless body", "larger than 1 MiB", b"\r\n", b"[" * 65_536),
    Flood("endless chunks of one byte", "larger than 1 MiB", CHUNKED, b"1\r\n[\r\n" * 8192),
    Flood("a length of a terabyte", "larger than 1 MiB", b"Content-Length: 1000000000000\r\n\r\n", b" " * 65_536),
    Flood("more after a gzip", "larger than 1 MiB", PACKED + chunk(gzip.compress(b"{}")), chunk(bytes(65_536))),
    Flood("a gzip without end", "no end", sized(gzip.compress(b'{"a": 1}')[:-9], b"Content-Encoding: gzip")),
    Flood("no gzip", "not the gzip", sized(b'{"a": 1}', b"Content-Encoding: gzip")),
    Flood("brotli", "nobody asked for", sized(b"\x0b\x01\x80{}\x03", b"Content-Encoding: br")),
)  # fmt: skip
"""Each is known as what it is at once."""

DEEP = 100_000
NESTED = (
    Flood("lists in lists", "", sized(b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}")),
    Flood("lists in lists, not closed", "", sized(b'{"a":' + b"[" * DEEP)),
    Flood("objects in objects", "", sized(b'{"a":' * DEEP + b"1" + b"}" * DEEP)),
    Flood("as deep as can just be read", "", sized(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}")),
)

HEADS = (
    Flood("endless headers", "", b"", b"X-Endless: header\r\n" * 1000),
    Flood("one endless header", "", b"X: ", b"y" * 65_536),
)


@asynccontextmanager
async def flooding(flood: Flood, status: bytes = b"200 OK", headers: bytes = b"") -> AsyncIterator[str]:
    """Answer every request so, until the client has had enough; the origin."""

    async def play(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(b"HTTP/1.1 " + status + b"\r\n" + headers + flood.once)
            while flood.again and not peer.writer.is_closing():
                await peer.send(flood.again)

    async with serving(play) as server:
        yield f"http://127.0.0.1:{server.port}"
