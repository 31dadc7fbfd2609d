"""The journal of changes to the platform: what is written into it, and what can be read of it.

Theory of operation. One file per run, one JSON object per line, appended to only, and each line is on the disk before
what follows it happens. A ``change`` goes before the request that makes it, so whatever reached the platform is in the
journal; a ``done`` follows once the platform was seen to hold the new value, or refused it, an ``undone`` once it was
seen to hold the old one again. A run that ends in any way leaves a file from which everything that may still be
changed can be told: every change without its ``undone``. Whether a change without its ``done`` ever arrived, only the
platform knows.

So it is with a ``back``, which goes before each request that puts something back: whatever is the last of ``change``,
``back`` and ``done`` for a number, a request of it may be under way unless that is a ``done``.

Every ``change`` says by itself what was changed and where, so a line that cannot be read costs no other.

Where two changes have one number, as after putting two journals into one file, which of them was undone cannot be told:
nothing of such a journal is acted upon, and it stays open.

Entries, version 1 (``v``), told apart by ``entry``:

- ``run``: run, pid, started_at, scenario (the path of its file), emulated (the platform ends with the run)
- ``change``: number (from 1), resource (kind ``config``, endpoint, project_id, function), edits (path, before, after),
  original (everything else, but for secrets)
- ``done``: number, also (what the platform changed on its own with it)
- ``back``: numbers (of the changes that a request is about to put back)
- ``undone``: number
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from loadgen.targets.functiongraph.protocol.urn import parse
from loadgen.targets.functiongraph.settings.edit import Edit, too_deep
from loadgen.targets.request import origin_of
from loadgen.text import foreign

VERSION = 1
_NEWER = (
    "a newer loadgen wrote it (got an entry of version {}): what that says is not known here, so all of it is left as "
    "it is. Restore it with that loadgen"
)
_DEEPEST = 64
"""Lists and objects within each other in an entry: those of the largest document, and the entry's own around it."""


class Resource(Struct, frozen=True, tag_field="kind", tag="config"):
    """The config of one function, which can be changed. ``function`` is a URN."""

    endpoint: str
    project_id: str
    function: str

    @property
    def text(self) -> str:
        """For people to read."""
        return f"config of {self.function} at {self.endpoint}"

    @property
    def owner(self) -> tuple[str, str, str, str]:
        """The function, however it was named: origin, project, package and name."""
        urn = parse(self.function, project_id=self.project_id)
        origin = origin_of(self.endpoint)
        return f"{'https' if origin.tls else 'http'}://{origin.authority}", self.project_id, urn.package, urn.name


class Begun(Struct, frozen=True, tag_field="entry", tag="run"):
    """Whose journal this is. ``started_at`` is an instant in RFC 3339."""

    run: str
    pid: int
    started_at: str
    scenario: str | None = None
    emulated: bool = False
    v: int = VERSION


class Change(Struct, frozen=True, tag_field="entry", tag="change"):
    """A change that is about to be made. ``original`` is the rest of the document, without what may be secret."""

    number: int
    resource: Resource
    edits: tuple[Edit, ...]
    original: dict[str, Any]
    v: int = VERSION


class Done(Struct, frozen=True, tag_field="entry", tag="done"):
    """No request of this change is under way: it was seen to arrive, or is known not to.

    ``also`` is what the platform changed on its own with it.
    """

    number: int
    also: tuple[Edit, ...] = ()
    v: int = VERSION


class Back(Struct, frozen=True, tag_field="entry", tag="back"):
    """A request that puts these changes back is about to leave."""

    numbers: tuple[int, ...]
    v: int = VERSION


class Undone(Struct, frozen=True, tag_field="entry", tag="undone"):
    """The platform was seen to hold the old values again."""

    number: int
    v: int = VERSION


Entry = Begun | Change | Done | Back | Undone


class Log(Protocol):
    """Where it is written down what was undone; see JournalFile."""

    @property
    def entries(self) -> Sequence[Entry]:
        """All so far."""

    def append(self, entry: Entry) -> None:
        """Add one, durably. Raises JournalError."""


class Damage(Struct, frozen=True):
    """What is wrong with a journal, and may hide a change. ``line`` is 0 where it is no line that is wrong."""

    line: int
    message: str


class Journal(Struct, frozen=True):
    """What a journal says, as far as it can be read.

    ``unclear`` is why nothing of it may be acted upon, and what to do; None where it may be.
    """

    entries: tuple[Entry, ...]
    damage: tuple[Damage, ...]
    unclear: str | None = None

    @property
    def begun(self) -> Begun | None:
        """Whose journal it is; None when that line cannot be read."""
        return next((entry for entry in self.entries if isinstance(entry, Begun)), None)


def line(entry: Entry) -> bytes:
    """An entry as it is written."""
    return foreign.json(msgspec.json.encode(entry)) + b"\n"


def read(text: bytes) -> Journal:
    """The entries of a journal, in order, and everything about it that is wrong."""
    *whole, last = text.split(b"\n")
    entries: dict[int, Entry] = {}
    damage: list[Damage] = []
    newer = 0
    if not text:
        damage.append(Damage(0, "it is empty, and no journal begins so: what it said is lost"))
    for number, content in enumerate([*whole, last] if last else whole, 1):
        try:
            entries[number] = _entry(content)
        except ValueError as error:
            newer = max(newer, error.version if isinstance(error, _NewerError) else 0)
            damage.append(Damage(number, _cut(content) if number > len(whole) else _spoilt(content, error)))
    twice = _twice(entries)
    if twice is not None:
        damage.append(Damage(0, twice))
    damage.extend(_lost(entries.values()))
    return Journal(tuple(entries.values()), tuple(damage), _NEWER.format(newer) if newer else twice)


class _Version(Struct):
    v: int = 0


class _NewerError(ValueError):
    """An entry of a version that only a newer loadgen knows."""

    def __init__(self, version: int) -> None:
        super().__init__(f"got an entry of version {version}, expected {VERSION}; use the loadgen that wrote it")
        self.version = version


def _entry(content: bytes) -> Entry:
    """What a line says. Raises ValueError where that is nothing which could be acted upon."""
    try:
        version = msgspec.json.decode(content, type=_Version).v
        if version == VERSION:
            entry: Entry = _decode(content)
            if too_deep(msgspec.json.decode(content), _DEEPEST):
                raise ValueError(f"more than {_DEEPEST} lists and objects are within each other")  # noqa: TRY301
            _check(entry)
            return entry
    except (ValueError, RecursionError) as error:  # MsgspecError is a ValueError
        raise ValueError(f"this is no entry of a journal ({foreign.unquoted(str(error))})") from error
    if version > VERSION:
        raise _NewerError(version)
    raise ValueError(f"got an entry of version {version}, expected {VERSION}")


_decode = msgspec.json.Decoder(Entry).decode


def _check(entry: Entry) -> None:
    """Raises ValueError for an entry that no loadgen writes, as it can be neither shown nor put back."""
    match entry:
        case Begun():
            _printable(entry.run, entry.started_at)
        case Change():
            place = entry.resource
            _printable(place.endpoint, place.project_id, place.function)
            origin_of(place.endpoint)
            parse(place.function, project_id=place.project_id)
            if entry.number < 1:
                raise ValueError(f"got change {entry.number}, expected a number from 1 up")
            _check_edits(entry.edits)
        case Done():
            _check_edits(entry.also)
        case Back() | Undone():
            pass


def _check_edits(edits: Iterable[Edit]) -> None:
    for edit in edits:
        _printable(*edit.path)
        if not edit.path:
            raise ValueError("got a change of something that cannot be part of a config")


def _printable(*texts: str) -> None:
    for text in texts:
        if not text.isprintable():
            raise ValueError("got a character that cannot be printed in a name")


def _spoilt(content: bytes, error: ValueError) -> str:
    function = _named(content)
    return f"{error}: what it says is lost" + ("" if function is None else f". Check {function} in the console")


def _cut(content: bytes) -> str:
    """About a last line without its end; a write that broke off and a file that lost its end look the same."""
    return (
        "the last line is cut off: if it was so when its run ended, what it announces was "
        "never sent; if the file lost its end since, it may have been, and more after it. "
        f"Check {_named(content) or 'what the run may have changed'} in the console"
    )


def _named(content: bytes) -> str | None:
    """The function that a spoilt line names, as far as it does."""
    found = re.search(rb'"function":\s*"(\w[!#-\[\]-~]*)("?)', content)
    return None if found is None else found[1].decode() + ("" if found[2] else "…")


def _twice(entries: Mapping[int, Entry]) -> str | None:
    """That two changes have one number, by their lines; None where none have."""
    lines: dict[int, int] = {}
    for at, entry in entries.items():
        if isinstance(entry, Change) and lines.setdefault(entry.number, at) != at:
            return (
                f"lines {lines[entry.number]} and {at} are both change {entry.number}, as if two journals were in one "
                "file: which of them was undone cannot be told, so all of it is left as it is. Give each journal a "
                "file of its own, from its line of a run on, and restore both"
            )
    return None


def _lost(entries: Iterable[Entry]) -> Iterator[Damage]:
    """Changes that are missing between others, or that only their done or undone tells of."""
    numbered = [entry for entry in entries if not isinstance(entry, Begun | Back) and entry.number > 0]
    known = {entry.number for entry in numbered if isinstance(entry, Change | Undone)}
    last = max((entry.number for entry in numbered), default=0)
    before = 0
    for number in [*sorted(known), last + 1]:
        first, before = before + 1, number
        if first == number - 1:
            yield Damage(0, f"change {first} is not in it: what it changed cannot be put back from here")
        elif first < number:
            yield Damage(
                0, f"changes {first} to {number - 1} are not in it: what they changed cannot be put back from here"
            )
