"""Text with ``{{field}}`` placeholders, which the rows of a feeder fill.

A template is cut into pieces once, so that rendering it is encoding the values and one join. How a value is written
depends on the place: ``json_value`` where it is a whole value of the event, ``json_text`` inside a string of it,
``url_text`` in a path or query, ``form_text`` in a form, ``as_it_is`` in other text, ``header_text`` in the value of a
header. What a place cannot hold is a ValueError; a feeder's rows are held to that when a scenario is loaded, and again
when they are sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

import msgspec

PLACEHOLDER = re.compile(r"\{\{\s*([^{}\s](?:[^{}]*[^{}\s])?)\s*\}\}")
GAP = "\ue000"
"""Stands for a placeholder where a text is taken apart: no scenario's URL holds it, as URLs are ASCII."""
_UNPRINTABLE = re.compile(r"[^\t -~]")
_encode = msgspec.json.Encoder().encode

Encode = Callable[[object], bytes]
Slot = tuple[str, Encode]
"""A field, and how its value is written."""


class Template:
    """Bytes with gaps; immutable.

    ``fields`` are the names it needs from a row. ``constant`` is the whole where it needs none, else None.
    """

    __slots__ = ("_slots", "_texts", "constant", "fields")

    def __init__(self, pieces: Iterable[bytes | Slot]) -> None:
        texts: list[list[bytes]] = [[]]
        slots: list[Slot] = []
        for piece in pieces:
            if isinstance(piece, bytes):
                texts[-1].append(piece)
            else:
                slots.append(piece)
                texts.append([])
        self._texts = tuple(b"".join(text) for text in texts)
        self._slots = tuple(slots)
        self.fields = frozenset(field for field, _ in slots)
        self.constant = None if slots else self._texts[0]

    def render(self, row: Mapping[str, object]) -> bytes:
        """The bytes for a row.

        Raises KeyError when the row lacks one of ``fields``, ValueError when a value cannot stand where it is to.
        """
        if self.constant is not None:
            return self.constant
        texts = self._texts
        parts = [texts[0]]
        for index, (field, encode) in enumerate(self._slots, 1):
            parts.append(encode(row[field]))
            parts.append(texts[index])
        return b"".join(parts)


def placeholders(text: str) -> list[str]:
    """The fields that a text takes from the feeder, in order."""
    return PLACEHOLDER.findall(text)


def pieces(text: str, literal: Callable[[str], bytes], encode: Encode) -> Iterator[bytes | Slot]:
    """The pieces of a text for a Template; ``literal`` writes what is not a placeholder."""
    for index, piece in enumerate(PLACEHOLDER.split(text)):  # text and fields take turns
        if index % 2:
            yield piece, encode
        elif piece:
            yield literal(piece)


def without_fields(text: str) -> str:
    """The text with a ``GAP`` in place of each placeholder, whose name may hold any character."""
    return PLACEHOLDER.sub(GAP, text)


def json_value(value: object) -> bytes:
    """A value as JSON."""
    return _encode(value)


def json_text(value: object) -> bytes:
    """A value inside a string of JSON: text escaped, of everything else its JSON."""
    return _encode(value if isinstance(value, str) else _encode(value).decode())[1:-1]


def url_text(value: object) -> bytes:
    """A value in a URL's path or query, percent-encoded, so that it is one piece of it whatever its characters."""
    return quote(_plain(value), safe="").encode()


def form_text(value: object) -> bytes:
    """A value in a form's body. Source: WHATWG URL, 5.2."""
    return quote_plus(_plain(value), safe="*").encode()


def as_it_is(value: object) -> bytes:
    """A value in other text: text as it is, of everything else its JSON."""
    return value.encode() if isinstance(value, str) else _encode(value)


def header_text(value: object) -> bytes:
    """A value in that of a header, as it is: printable ASCII and tabs."""
    text = _plain(value)
    if text.isascii() and text.isprintable():
        return text.encode()
    if found := _UNPRINTABLE.search(text):
        raise ValueError(f"got the character U+{ord(found[0]):04X}, expected printable ASCII, as in every header")
    return text.encode("ascii")


def _plain(value: object) -> str:
    """The text of a value that has an obvious one: text itself, of numbers and booleans their JSON."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, dict | list):
        seen = "null" if value is None else "an object" if isinstance(value, dict) else "a list"
        raise ValueError(f"got {seen}, expected text, a number, true or false")
    return _encode(value).decode()


ANY = frozenset({json_value, json_text, as_it_is})
"""Those that write any value."""
