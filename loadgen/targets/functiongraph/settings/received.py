"""The body of an answer of the management API or of IAM, read only as far as one may be large.

They are JSON of a few kilobytes; the largest, the versions of a function that has many, of some dozen. Compressed ones
are not asked for, but a gateway may send them all the same, so gzip and deflate are read, and what comes out of them is
what counts: a megabyte of gzip can hold a gigabyte.
"""

from __future__ import annotations

import zlib

import aiohttp

LARGEST = 2**20
"""Bytes of a body, decompressed."""

ASK_PLAIN = {"Accept-Encoding": "identity"}
"""The header to send, as no answer is large enough to be worth compressing."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class AnswerError(Exception):
    """The body cannot be read; the message says what was seen."""


async def whole(response: aiohttp.ClientResponse) -> bytes:
    """The body, decompressed; the response must be of a session with ``auto_decompress=False``.

    Raises AnswerError for one that is too large, or compressed in a way that cannot be read, and what reading from the
    connection raises.
    """
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise AnswerError("it is compressed in a way that nobody asked for")
    unpacked = None if coding in ("identity", "") else zlib.decompressobj(_GZIP_OR_ZLIB)
    body, taken = bytearray(), 0
    async for piece in response.content.iter_any():
        taken += len(piece)
        try:
            body += piece if unpacked is None else unpacked.decompress(piece, LARGEST + 1 - len(body))
        except zlib.error as error:
            raise AnswerError(f"it is not the {coding} that it says it is") from error
        if max(taken, len(body)) > LARGEST:  # what follows the end of a gzip is no part of the body, and is held, too
            raise AnswerError(f"it is larger than {LARGEST >> 20} MiB")
    if unpacked is not None and body and not unpacked.eof:
        raise AnswerError(f"its {coding} has no end")
    return bytes(body)
