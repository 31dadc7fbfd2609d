"""What a scenario's feeder fills: the placeholders of the event, and of a url and its headers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from loadgen.scenario import event, feeder, rows
from loadgen.scenario.calls import View
from loadgen.scenario.document import Document, no_file
from loadgen.scenario.dynamic import fault, is_dynamic
from loadgen.scenario.model import Feeder, Index
from loadgen.targets.body import decoded
from loadgen.text import yaml
from loadgen.text.excerpt import tells_secret
from loadgen.text.fault import Fault, Place, ScenarioError, written
from loadgen.text.fault import Path as KeyPath
from loadgen.text.form import INVALID, mapping
from loadgen.text.secret import Fed
from loadgen.text.template import (
    PLACEHOLDER,
    Encode,
    as_it_is,
    form_text,
    header_text,
    json_text,
    json_value,
    placeholders,
    url_text,
)

_FREE = frozenset({("event",), ("body",), ("tags",), ("target", "url"), ("target", "headers")})
"""Where a placeholder is filled in, or means nothing: tags are anybody's."""
Source = Document | View
"""A document, or what a call of a mix sees of one."""
Needed = tuple[KeyPath, rows.Need]
"""What is taken from the feeder, and where that is written."""


def event_of(data: dict[str, Any], read: Source, directory: Path) -> tuple[str, list[Needed]]:
    """The event's JSON text, and what it takes from the feeder."""
    base: KeyPath
    if isinstance(data.get("event_file"), str):
        text, base = _event_file(data["event_file"], directory, read), ("event_file",)
        return event.compact(text), list(_in_json(json.loads(text), base, read, "the event", inside=False))
    base = ("event",)
    value, node = mapping(data, "event"), yaml.find(read.root, base)
    text = yaml.json_of(node) if isinstance(node, yaml.Fields) else "{}"
    without_body = "url" in mapping(data, "target") and "event" not in data
    return "" if without_body else text, list(_in_json(value, base, read, "the event"))


def content_of(data: dict[str, Any], read: Source, directory: Path) -> tuple[event.Content | None, list[Needed]]:
    """What is sent instead of an event, if anything is, and what it takes from the feeder."""
    block = mapping(data, "body")
    if isinstance(block.get("text"), str):
        return event.Content(event.Kind.TEXT, block["text"].encode()), list(_in_text(("body", "text"), block["text"]))
    if isinstance(block.get("form"), dict):
        return _form(block["form"], read)
    if "json" in block:
        node = yaml.find(read.root, ("body", "json"))
        assert node is not None, "it is written"
        needed = list(_in_json(block["json"], ("body", "json"), read, "the body"))
        return event.Content(event.Kind.JSON, yaml.json_of(node).encode()), needed
    if isinstance(block.get("file"), str):
        return event.Content(event.Kind.BYTES, _body_file(block["file"], directory, read)), []
    if isinstance(block.get("base64"), str):
        with suppress(ValueError):  # which rules tells
            return event.Content(event.Kind.BYTES, decoded(block["base64"])), []
    return None, []


def _form(fields: dict[str, Any], read: Source) -> tuple[event.Content, list[Needed]]:
    for name in fields:
        if placeholders(name):
            read.report(("body", "form", name), "got a placeholder in a name, expected placeholders in values only")
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    needed = [each for name, value in texts.items() for each in _in_text(("body", "form", name), value, form_text)]
    return event.Content(event.Kind.FORM, event.form(texts)), needed


def _in_text(path: KeyPath, text: str, encode: Encode = as_it_is) -> Iterator[Needed]:
    for field in placeholders(text):
        yield path, rows.Need(field, "the body", encode)


def _in_json(value: object, base: KeyPath, read: Source, where: str, *, inside: bool = True) -> Iterator[Needed]:
    """What JSON takes from the feeder; ``inside`` says that paths below its own lead somewhere in the document."""
    for path, string in _event_strings(value, base):
        encode = json_value if PLACEHOLDER.fullmatch(string) else json_text
        for field in placeholders(string):
            yield path if inside else base, rows.Need(field, where, encode)
    for path in _event_keys(value, base):
        at = path if inside else base
        read.report(at, "got a placeholder in a key, expected placeholders in values only")


def _body_file(name: str, directory: Path, read: Source) -> bytes:
    """The bytes of a body's file. Text with placeholders is refused, as nothing of it would be filled in."""
    path = directory / name
    if missing := no_file(path):
        read.report(("body", "file"), missing)
        return b""
    raw = feeder.read_bytes(path)
    with suppress(UnicodeDecodeError):  # then it is no text
        if placeholders(raw.decode()):
            read.report(
                ("body", "file"),
                "this file has {{…}} in it and is sent as it is: write event_file or body.text to have it filled in, "
                "or body.base64 if that is what is to be sent",
            )
    return raw


def in_request(data: dict[str, Any], read: Source) -> Iterator[Needed]:
    """What the URL and the headers of a plain HTTP target take from the feeder."""
    target = mapping(data, "target")
    texts: list[tuple[KeyPath, Any, Encode]] = [(("target", "url"), target.get("url"), url_text)]
    headers = target.get("headers")
    for name, value in headers if isinstance(headers, tuple) else ():
        texts.append((("target", "headers", name), value, header_text))
    for path, text, encode in texts:
        for field in placeholders(text) if isinstance(text, str) else ():
            yield path, rows.Need(field, written(read.located(path)), encode)


def _event_file(name: str, directory: Path, read: Source) -> str:
    """The JSON text of an event's file."""
    path = directory / name
    if missing := no_file(path):
        read.report(("event_file",), missing)
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


def rows_of(
    needed: Sequence[Needed], data: dict[str, Any], read: Source, directory: Path, secrets: Fed
) -> Index | None:
    """The index of the feeder's file, each of whose rows has what is needed; None where there is no feeder.

    The secrets in it are added to ``secrets``.
    """
    for at, need in needed:
        if is_dynamic(need.field) and (wrong := fault(need.field)):
            read.report(at, wrong)
    needed = [(at, need) for at, need in needed if not is_dynamic(need.field)]
    if "feeder" not in data:
        for at, need in needed:
            read.report(at, f"{{{{{need.field}}}}} needs a feeder; write feeder: {{file: rows.csv}}")
    block = mapping(data, "feeder")
    if not isinstance(block.get("file"), str) or INVALID in block.values():
        return None
    path = directory / block["file"]
    if missing := no_file(path):
        read.report(("feeder", "file"), missing)
        return None
    secret = {need.field for at, need in needed if at in read.said.secret or tells_secret(need.field)}
    fed = msgspec.convert(block, Feeder)
    return rows.indexed(path, fed, list(dict.fromkeys(need for _, need in needed)), secret, secrets)


def report_unfilled(read: Document) -> None:
    """Report placeholders where nothing fills them, unless the value has a fault already."""
    faulty = {fault.path for fault in read.faults}
    for path, value in yaml.scalars(read.root):
        # what a secret holds that came from the environment is nobody's placeholder
        found = placeholders(value.raw if path in read.said.secret else value.text)
        within = path[2:] if path[:1] == ("calls",) else path
        free = {within[:1], within[:2], ("target", *within[:1]) if within is not path else within[:1]} & _FREE
        if found and path not in faulty and not free:
            filled = "event, body, target.url and target.headers"
            read.report(path, f"{{{{{found[0]}}}}} would not be filled in here, but in {filled} only")
