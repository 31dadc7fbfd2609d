"""What is sent, the event first of all: JSON with ``{{field}}`` placeholders that a feeder's rows fill.

A string that is only ``{{field}}`` becomes the field's value with its JSON type; elsewhere in a string the value is
inserted as JSON-escaped text. What is written otherwise is sent as it is written, but for blanks between the tokens:
numbers keep their digits and strings their escapes, whatever Python would make of them.

Other bodies are text, in which a value is inserted as it is, a form, in which it is percent-encoded, or bytes, in which
nothing is inserted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum

from msgspec import Struct

from loadgen.text.template import (
    PLACEHOLDER,
    Encode,
    Slot,
    Template,
    as_it_is,
    form_text,
    json_text,
    json_value,
    pieces,
    placeholders,
)

_STRING = re.compile(r'("(?:[^"\\]|\\.)*")')
_MAY_HOLD = re.compile(r"[{\\]")
_BLANKS = re.compile(r"[ \t\n\r]+")


class Kind(Enum):
    """What a body is made of."""

    JSON = "json"
    TEXT = "text"
    FORM = "form"
    BYTES = "bytes"


class Content(Struct, frozen=True):
    """A body: JSON, text or a form with its placeholders in it, or bytes."""

    kind: Kind
    data: bytes


_ENCODES: dict[Kind, Encode] = {Kind.TEXT: as_it_is, Kind.FORM: form_text}
"""How a value is written into a body that is not JSON."""


def encode_in(kind: Kind, text: str) -> Encode:
    """How values are written into a text of a body, which has placeholders."""
    return _ENCODES.get(kind) or (json_value if PLACEHOLDER.fullmatch(text) else json_text)


def compile_content(content: Content) -> Template:
    """The template of a body; raises ValueError, see ``compile_event``."""
    match content.kind:
        case Kind.JSON:
            return compile_event(content.data.decode())
        case Kind.BYTES:
            return Template([content.data])
        case kind:
            return Template(pieces(content.data.decode(), str.encode, _ENCODES[kind]))


def form(fields: Mapping[str, str]) -> bytes:
    """The body of a form, with its placeholders in it."""
    template = [(name, "".join(_form_pieces(value))) for name, value in fields.items()]
    return "&".join(f"{form_text(name).decode()}={value}" for name, value in template).encode()


def _form_pieces(value: str) -> Iterator[str]:
    for index, piece in enumerate(PLACEHOLDER.split(value)):
        yield f"{{{{{piece}}}}}" if index % 2 else form_text(piece).decode()


def compact(text: str) -> str:
    """JSON text without the blanks between its tokens."""
    return "".join(_tokens(text))


def compile_event(event_json: str) -> Template:
    """The template of an event's JSON text; empty text is an empty event (no body).

    Raises ValueError when the text is not JSON, or when a key holds a placeholder.
    """
    if event_json:
        json.loads(event_json)
    return Template(_pieces(list(_tokens(event_json))))


def _tokens(text: str) -> Iterator[str]:
    """What is between strings, without blanks, and the strings, in turns."""
    for index, token in enumerate(_STRING.split(text)):
        yield token if index % 2 else _BLANKS.sub("", token)


def _pieces(tokens: list[str]) -> Iterator[bytes | Slot]:
    for index, token in enumerate(tokens):
        text = json.loads(token) if index % 2 and _MAY_HOLD.search(token) else ""
        if not placeholders(text):
            yield token.encode()
        elif tokens[index + 1].startswith(":"):
            raise ValueError(f'got a placeholder in the key "{text}", expected placeholders in values only')
        elif whole := PLACEHOLDER.fullmatch(text):
            yield whole[1], json_value
        else:
            yield b'"'
            yield from pieces(text, _inside, json_text)
            yield b'"'


def _inside(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()
