"""The event: JSON with ``{{field}}`` placeholders that a feeder's rows fill.

A string that is only ``{{field}}`` becomes the field's value with its JSON type; elsewhere in a string the value is
inserted as JSON-escaped text. What is written otherwise is sent as it is written, but for blanks between the tokens:
numbers keep their digits and strings their escapes, whatever Python would make of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from loadgen.text.template import PLACEHOLDER, Slot, Template, json_text, json_value, pieces, placeholders

_STRING = re.compile(r'("(?:[^"\\]|\\.)*")')
_MAY_HOLD = re.compile(r"[{\\]")
_BLANKS = re.compile(r"[ \t\n\r]+")


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
