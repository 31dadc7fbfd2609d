"""Settings as documents: what is in one, how a change is written into it, and what differs between two.

A document is what the management API answers with, as plain JSON data. A path names a part of it:
``("memory_size",)`` or ``("strategy_config", "concurrency")``; it has one key at least. Where a value is itself JSON
text, as ``user_data`` is, a path reaches into the text, and the text is written back exactly as it was but for the part
that changes.

Of a function's own environment variables only those named ``LOADGEN_…`` can be changed: all others may hold secrets,
which must be neither overwritten nor written down.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import UNSET, Struct

from loadgen.text import foreign
from loadgen.text.excerpt import secret_name
from loadgen.text.secret import MASK

Path = tuple[str, ...]
Document = Mapping[str, Any]

DEEPEST = 48
"""Levels of objects and lists in a document; those of the API have five or six."""

OWN_PREFIX = "LOADGEN_"
_ENVIRONMENT = ("user_data", "encrypted_user_data")


class DocumentError(ValueError):
    """A change that cannot be written into a document; the message says why."""


class Edit(Struct, frozen=True):
    """One part of a document, before and after a change; UNSET, and then not written, where there is no such part."""

    path: Path
    before: Any = UNSET
    after: Any = UNSET


def too_deep(value: Any, levels: int = DEEPEST) -> bool:
    """Whether more than so many objects and lists are within each other; nothing else here takes such a value."""
    level = [value]
    for _ in range(levels + 1):
        level = [inner for each in level if isinstance(each, Mapping | list) for inner in _inner(each)]
        if not level:
            return False
    return True


def at(document: Document, path: Path) -> Any:
    """The part of a document at a path; UNSET when there is none."""
    value: Any = document
    for key in path:
        fields = _fields(value)
        if fields is None or key not in fields:
            return UNSET
        value = fields[key]
    return value


def edited(document: Document, values: Iterable[tuple[Path, Any]]) -> dict[str, Any]:
    """The document with these values at these paths, in order; UNSET takes a part out.

    Raises DocumentError when a path leads through something that has no parts, or through JSON text that could not be
    written back as it was.
    """
    for path, value in values:
        document = _with(document, path, value)
    return dict(document)


def edits(document: Document, wanted: Mapping[Path, Any]) -> tuple[Edit, ...]:
    """What has to change for a document to hold the wanted values; nothing where it does already.

    Raises DocumentError for what cannot be written into it, or must not be.
    """
    return tuple(_edit(document, path, value) for path, value in wanted.items() if not same(at(document, path), value))


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same to the platform: one that is absent, null or empty is no value."""
    return bool(_plain(one) == _plain(other)) and isinstance(one, bool) == isinstance(other, bool)


def holds(document: Document, edits: Iterable[Edit]) -> bool:
    """Whether every one of these edits is made."""
    return all(same(at(document, edit.path), edit.after) for edit in edits)


def differences(before: Document, after: Document) -> Iterator[Edit]:
    """The smallest parts in which two documents differ."""
    yield from _differences((), before, after)


def private(path: Path) -> bool:
    """Whether the value at a path may be a secret, and so is neither written down nor shown."""
    return any(secret_name(key) for key in path) or (path[0] in _ENVIRONMENT and not path[-1].startswith(OWN_PREFIX))


def public(document: Document) -> dict[str, Any]:
    """The document without what may be secret."""
    return {key: _public((key,), value) for key, value in document.items() if not private((key,))}


def shown(path: Path, value: Any) -> str:
    """The value at a path for people to read."""
    if value is UNSET:
        return "absent"
    return MASK if private(path) else json.dumps(_public(path, value), ensure_ascii=False)


def parts(edit: Edit) -> tuple[Edit, ...]:
    """An edit as people best read it: where it writes the text of all variables, one of each that it changes.

    That is the edit itself where it changes any that may be secret.
    """
    if len(edit.path) != 1 or edit.path[0] not in _ENVIRONMENT:
        return (edit,)
    before, after = ({} if same(value, UNSET) else _fields(value) for value in (edit.before, edit.after))
    if before is None or after is None:
        return (edit,)
    inner = tuple(Edit(edit.path + each.path, each.before, each.after) for each in differences(before, after))
    return (edit,) if not inner or any(private(each.path) for each in inner) else inner


def name(path: Path) -> str:
    """The path for people to read."""
    return foreign.line(".".join(path))


def describe(edit: Edit) -> str:
    """An edit for people to read."""
    return f"{name(edit.path)} {shown(edit.path, edit.before)} -> {shown(edit.path, edit.after)}"


def _edit(document: Document, path: Path, value: Any) -> Edit:
    if path[0] in _ENVIRONMENT:
        if len(path) != 2 or path[0] != "user_data" or not path[1].startswith(OWN_PREFIX):
            raise DocumentError(
                f"got a change of {name(path)}: of a function's environment only variables named {OWN_PREFIX}… may be "
                "changed, since all others may be secret and needed"
            )
        whole = at(document, path[:1])
        if whole in ("", UNSET, None):  # so that it can become exactly this again
            return Edit(path[:1], whole, json.dumps({path[1]: value}))
    _with(document, path, value)
    return Edit(path, at(document, path), value)


def _with(document: Document, path: Path, value: Any) -> Document:
    key, rest = path[0], path[1:]
    changed = dict(document)
    new = _inside(changed.get(key, UNSET), rest, value, path) if rest else value
    if new is UNSET:
        changed.pop(key, None)
    else:
        changed[key] = new
    return changed


def _inside(held: Any, rest: Path, value: Any, path: Path) -> Any:
    if held is UNSET or held is None:
        return _with({}, rest, value)
    if isinstance(held, Mapping):
        return _with(held, rest, value)
    fields = _fields(held)
    if fields is None:
        raise DocumentError(f"cannot change {name(path)}: what is there has no parts")
    for write in _WRITERS:
        if write(fields) == held:
            return write(_with(fields, rest, value))
    raise DocumentError(
        f"cannot change {name(path)}: its JSON is written in a way that could not be put back exactly; "
        "save the function's environment variables once more in the console"
    )


def _inner(value: Mapping[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


def _fields(value: Any) -> Mapping[str, Any] | None:
    """The fields of an object, or of the JSON text of one."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
        if too_deep(value):
            return None
    return value if isinstance(value, Mapping) else None


def _escaped(text: str) -> str:
    """As Go's encoding/json writes it, which escapes what is special in HTML."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _writer(separators: tuple[str, str], *, ascii_only: bool) -> Callable[[Any], str]:
    return lambda value: json.dumps(value, separators=separators, ensure_ascii=ascii_only)


_WRITERS: tuple[Callable[[Any], str], ...] = (
    *(_writer(between, ascii_only=only) for between in ((",", ":"), (", ", ": ")) for only in (False, True)),
    lambda value: _escaped(json.dumps(value, separators=(",", ":"), ensure_ascii=False)),
)


def _plain(value: Any) -> Any:
    """A value with everything empty taken out, in which JSON text is what it says."""
    if isinstance(value, str) and (fields := _fields(value)) is not None:
        return fields or None
    if isinstance(value, Mapping):
        kept = {key: _plain(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner is not None} or None
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value] or None
    return None if value is UNSET or value == "" else value


def _differences(path: Path, before: Any, after: Any) -> Iterator[Edit]:
    if same(before, after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences((*path, key), before.get(key, UNSET), after.get(key, UNSET))
    else:
        yield Edit(path, before, after)


def _public(path: Path, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _public((*path, key), inner) for key, inner in value.items() if not private((*path, key))}
    if isinstance(value, list | tuple):
        return [_public(path, inner) for inner in value]
    return value
