"""The event: JSON with ``{{field}}`` placeholders that a feeder's rows fill.

A string that is only ``{{field}}`` becomes the field's value with its JSON type; elsewhere in a string the value is
inserted as JSON-escaped text. The event is cut into segments once, so rendering is encoding the values and one join.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

import msgspec

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}\s](?:[^{}]*[^{}\s])?)\s*\}\}")
_encode = msgspec.json.Encoder().encode


class EventTemplate:
    """An event ready to be rendered; immutable.

    ``fields`` are the names it needs from a row. ``constant`` is the event itself where it needs none, else None.
    """

    __slots__ = ("_slots", "_texts", "constant", "fields")

    def __init__(self, texts: tuple[bytes, ...], slots: tuple[tuple[str, bool], ...]) -> None:
        """``texts`` are the segments before, between and after the ``slots`` (field, whether inside a string)."""
        self._texts = texts
        self._slots = slots
        self.fields = frozenset(field for field, _ in slots)
        self.constant = None if slots else texts[0]

    def render(self, row: Mapping[str, object]) -> bytes:
        """The event for a row, as compact UTF-8 JSON.

        Raises KeyError when the row lacks one of ``fields``.
        """
        if self.constant is not None:
            return self.constant
        texts = self._texts
        parts = [texts[0]]
        for index, (field, inside) in enumerate(self._slots, 1):
            value = row[field]
            if not inside:
                parts.append(_encode(value))
            elif isinstance(value, str):
                parts.append(_encode(value)[1:-1])
            else:
                parts.append(_encode(_encode(value).decode())[1:-1])
            parts.append(texts[index])
        return b"".join(parts)


def compile_event(event_json: str) -> EventTemplate:
    """The template of an event's JSON text; empty text is an empty event (no body).

    Raises ValueError when the text is not JSON, or when a key holds a placeholder.
    """
    if not event_json:
        return EventTemplate((b"",), ())
    texts, slots = [""], []
    for part in _parts(json.loads(event_json)):
        if isinstance(part, str):
            texts[-1] += part
        else:
            slots.append(part)
            texts.append("")
    return EventTemplate(tuple(text.encode() for text in texts), tuple(slots))


def placeholders(text: str) -> list[str]:
    """The field names that a string of an event takes from the feeder, in order."""
    return _PLACEHOLDER.findall(text)


def _parts(value: object) -> Iterator[str | tuple[str, bool]]:
    """JSON text and (field, whether inside a string), in the order of the event."""
    if isinstance(value, dict):
        for index, (key, item) in enumerate(value.items()):
            if placeholders(key):
                raise ValueError(f'got a placeholder in the key "{key}", expected placeholders in values only')
            yield f"{',' if index else '{'}{_json(key)}:"
            yield from _parts(item)
        yield "}" if value else "{}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield "," if index else "["
            yield from _parts(item)
        yield "]" if value else "[]"
    elif isinstance(value, str):
        yield from _string_parts(value)
    else:
        yield _json(value)


def _string_parts(text: str) -> Iterator[str | tuple[str, bool]]:
    if whole := _PLACEHOLDER.fullmatch(text):
        yield whole[1], False
        return
    yield '"'
    for index, piece in enumerate(_PLACEHOLDER.split(text)):  # text and field names take turns
        if index % 2:
            yield piece, True
        else:
            yield _json(piece)[1:-1]
    yield '"'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
