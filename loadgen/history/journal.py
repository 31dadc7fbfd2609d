"""The form of frames.journal, by which a run that was cut short is not lost. Pure: bytes in, bytes out.

A journal begins with ``loadgen journal 1`` and a line feed, and a key of eight random bytes. Each record is the key,
its length and its CRC-32 (both 4 bytes, big-endian, the CRC over length and body), and its body. So a record that was
torn or damaged is known for one, and the next one is found by its key, which nobody can plant: what a target answers
is in the bodies, and the key is made up for each run.

Source: zlib.crc32 is the CRC-32 of ISO 3309 and RFC 1952, 8.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

from msgspec import Struct

MAGIC = b"loadgen journal 1\n"
KEY = 8
"""Bytes of a key."""
_HEADER = 8


class Lost(Struct, frozen=True):
    """Bytes that are no record, from ``at`` on; ``torn``: nothing follows them, as where the writer died."""

    at: int
    size: int
    torn: bool


def new_key() -> bytes:
    """A key that no text from outside has in it."""
    return os.urandom(KEY)


def beginning(key: bytes) -> bytes:
    """What a journal with this key begins with."""
    return MAGIC + key


def framed(key: bytes, body: bytes) -> bytes:
    """A record."""
    size = len(body).to_bytes(4, "big")
    return b"".join((key, size, _crc(size, body), body))


def bodies(journal: bytes) -> Iterator[bytes | Lost]:
    """The bodies of a journal's records, in order, and where bytes are none.

    Raises ValueError where its beginning is not that of a journal, so that nothing in it can be told apart.
    """
    key = journal[len(MAGIC) : len(MAGIC) + KEY]
    if not journal.startswith(MAGIC) or len(key) < KEY:
        raise ValueError("its beginning is not that of a journal of this version of loadgen")
    at = len(MAGIC) + KEY
    while at < len(journal):
        body = _body(journal, at, key)
        if body is not None:
            yield body
            at += KEY + _HEADER + len(body)
            continue
        after = journal.find(key, at + 1)
        while after >= 0 and _body(journal, after, key) is None:
            after = journal.find(key, after + 1)
        end = len(journal) if after < 0 else after
        yield Lost(at, end - at, torn=after < 0)
        at = end


def _body(journal: bytes, at: int, key: bytes) -> bytes | None:
    """The body of the record there; None where there is none that is whole."""
    begin = at + KEY + _HEADER
    size, crc = journal[at + KEY : begin - 4], journal[begin - 4 : begin]
    if not journal.startswith(key, at) or len(crc) < 4:
        return None
    body = journal[begin : begin + int.from_bytes(size, "big")]
    return body if len(body) == int.from_bytes(size, "big") and _crc(size, body) == crc else None


def _crc(size: bytes, body: bytes) -> bytes:
    return zlib.crc32(body, zlib.crc32(size)).to_bytes(4, "big")
