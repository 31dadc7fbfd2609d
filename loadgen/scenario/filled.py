"""What a scenario's feeder fills: the placeholders of the event, and of a url and its headers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Set
from decimal import Decimal
from pathlib import Path
from typing import Any

from loadgen.scenario import event, feeder
from loadgen.scenario.document import Document, no_file
from loadgen.text import yaml
from loadgen.text.fault import Fault, Place, ScenarioError, written
from loadgen.text.fault import Path as KeyPath
from loadgen.text.form import mapping
from loadgen.text.template import PLACEHOLDER, Encode, header_text, json_text, json_value, placeholders, url_text

_FREE = frozenset({("event",), ("tags",), ("target", "url"), ("target", "headers")})
"""Where a placeholder is filled in, or means nothing: tags are anybody's."""
Needed = tuple[KeyPath, feeder.Need]
"""What is taken from the feeder, and where that is written."""


def event_of(data: dict[str, Any], read: Document, directory: Path) -> tuple[str, list[Needed]]:
    """The event's JSON text, and what it takes from the feeder."""
    base: KeyPath
    if isinstance(data.get("event_file"), str):
        text, base = _event_file(data["event_file"], directory, read), ("event_file",)
        value = json.loads(text)
    else:
        value, base = mapping(data, "event"), ("event",)
        text = json.dumps(value, ensure_ascii=False)
        _inexact(read)
    needed = []
    for path, string in _event_strings(value, base):
        encode = json_value if PLACEHOLDER.fullmatch(string) else json_text
        at = path if base == ("event",) else base
        needed += [(at, feeder.Need(field, "the event", encode)) for field in placeholders(string)]
    for path in _event_keys(value, base):
        at = path if base == ("event",) else base
        read.report(at, "got a placeholder in a key, expected placeholders in values only")
    without_body = "url" in mapping(data, "target") and "event" not in data and "event_file" not in data
    return "" if without_body else event.compact(text), needed


def _inexact(read: Document) -> None:
    """Report numbers of the event that would not be sent with the value that is written."""
    for path, number in yaml.scalars(read.root):
        if (
            path[:1] == ("event",)
            and isinstance(number.value, float)
            and Decimal(number.text) != Decimal(repr(number.value))
        ):
            message = f"got {number.text}, which would be sent as {number.value!r}"
            read.report(path, f"{message}; write fewer digits, text, or an event_file, whose numbers stay as written")


def in_request(data: dict[str, Any]) -> Iterator[Needed]:
    """What the URL and the headers of a plain HTTP target take from the feeder."""
    target = mapping(data, "target")
    texts: list[tuple[KeyPath, Any, Encode]] = [(("target", "url"), target.get("url"), url_text)]
    headers = target.get("headers")
    for name, value in headers if isinstance(headers, tuple) else ():
        texts.append((("target", "headers", name), value, header_text))
    for path, text, encode in texts:
        for field in placeholders(text) if isinstance(text, str) else ():
            yield path, feeder.Need(field, written(path), encode)


def _event_file(name: str, directory: Path, read: Document) -> str:
    """The JSON text of an event's file."""
    path = directory / name
    if fault := no_file(path):
        read.report(("event_file",), fault)
        return "{}"
    text = feeder.read_text(path)
    try:
        value = feeder.parse_json(text)
    except ValueError as error:
        message, column = feeder.not_json(error)
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise ScenarioError([Fault(Place(path.name, line, column), (), message)]) from error
    if not isinstance(value, dict):
        raise ScenarioError([Fault(Place(path.name, 1, 1), (), "expected a JSON object such as {...}")])
    return text


def _event_strings(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _event_strings(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _event_strings(item, (*path, index))


def _event_keys(value: object, path: KeyPath) -> Iterator[KeyPath]:
    """The paths of keys that hold a placeholder."""
    if isinstance(value, dict):
        for key, item in value.items():
            if placeholders(key):
                yield (*path, key)
            yield from _event_keys(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _event_keys(item, (*path, index))


def rows_of(needed: Sequence[Needed], data: dict[str, Any], read: Document, directory: Path) -> list[feeder.Row]:
    """The feeder's rows, each of them with what is needed; none where there is no feeder."""
    if "feeder" not in data:
        for at, need in needed:
            read.report(at, f"{{{{{need.field}}}}} needs a feeder; write feeder: {{file: rows.csv}}")
    name = mapping(data, "feeder").get("file")
    if not isinstance(name, str):
        return []
    path = directory / name
    if fault := no_file(path):
        read.report(("feeder", "file"), fault)
        return []
    return feeder.read_rows(path, list(dict.fromkeys(need for _, need in needed)))


def fed_secrets(needed: Sequence[Needed], rows: Sequence[feeder.Row], secret: Set[KeyPath]) -> frozenset[str]:
    """What the rows put into headers that are secret."""
    fields = {need.field for path, need in needed if path in secret}
    return frozenset(header_text(row[field]).decode() for row in rows for field in fields)


def report_unfilled(read: Document) -> None:
    """Report placeholders where nothing fills them, unless the value has a fault already."""
    faulty = {fault.path for fault in read.faults}
    for path, value in yaml.scalars(read.root):
        # what a secret holds that came from the environment is nobody's placeholder
        found = placeholders(value.raw if path in read.said.secret else value.text)
        if found and path not in faulty and path[:1] not in _FREE and path[:2] not in _FREE:
            read.report(
                path,
                f"{{{{{found[0]}}}}} would not be filled in here, but in event, target.url and target.headers only",
            )
