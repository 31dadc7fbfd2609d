"""The journal of changes to the platform: its entries, and what is still to be put back.

Theory of operation. One file per run, one JSON object per line, appended to only, and each line is on the disk before
what follows it happens. A ``change`` goes before the request that makes it, so whatever reached the platform is in the
journal; a ``done`` follows once the platform was seen to hold the new value, or refused it, an ``undone`` once it was
seen to hold the old one again. A run that ends in any way leaves a file from which everything that may still be
changed can be told: every change without its ``undone``. Whether a change without its ``done`` ever arrived, only the
platform knows.

So it is with a ``back``, which goes before each request that puts something back: whatever is the last of ``change``,
``back`` and ``done`` for a number, a request of it may be under way unless that is a ``done``.

Every ``change`` says by itself what was changed and where, so a line that cannot be read costs no other.

A number that two changes have, as after putting two journals into one file, tells neither from the other. Each of them
goes by the number of its line instead, negative, and the ``undone`` written for it says that; a ``done`` belongs to the
last such change before it, and an ``undone`` of the number itself to none, so that nothing is taken for undone.

Entries, version 1 (``v``), told apart by ``entry``:

- ``run``: run, pid, started_at, scenario (the path of its file), emulated (the platform ends with the run)
- ``change``: number (from 1), resource, edits (path, before, after), original (everything else, but for secrets)
- ``done``: number, also (what the platform changed on its own with it)
- ``back``: numbers (of the changes that a request is about to put back)
- ``undone``: number
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from loadgen.targets.functiongraph.protocol.urn import LATEST, parse
from loadgen.targets.functiongraph.settings.document import Edit, Path, too_deep
from loadgen.targets.request import origin_of
from loadgen.text import foreign

VERSION = 1
_DEEPEST = 64
"""Lists and objects within each other in an entry: those of the largest document, and the entry's own around it."""


class Kind(Enum):
    """What can be changed. Versions and aliases exist or do not; the others have values."""

    CONFIG = "config"
    MAX_INSTANCES = "max_instances"
    RESERVED_INSTANCES = "reserved_instances"
    VERSION = "version"
    ALIAS = "alias"


class Resource(Struct, frozen=True):
    """One thing on the platform that can be changed. ``function`` is a URN, ``name`` that of a version or an alias."""

    kind: Kind
    endpoint: str
    project_id: str
    function: str
    name: str | None = None

    @property
    def text(self) -> str:
        """For people to read."""
        what = self.kind.value.replace("_", " ")
        return f"{what if self.name is None else f'{what} {self.name}'} of {self.function} at {self.endpoint}"

    @property
    def owner(self) -> tuple[str, str, str, str]:
        """The function that it belongs to, however it was named: origin, project, package and name."""
        urn = parse(self.function, project_id=self.project_id)
        origin = origin_of(self.endpoint)
        return f"{'https' if origin.tls else 'http'}://{origin.authority}", self.project_id, urn.package, urn.name

    @property
    def config(self) -> Resource:
        """The config of its function, where the mark is."""
        if self.kind is Kind.CONFIG:
            return self
        urn = parse(self.function, project_id=self.project_id)
        function = urn if urn.qualifier == LATEST else replace(urn, qualifier=None)
        return Resource(Kind.CONFIG, self.endpoint, self.project_id, function.text)


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


class Damage(Struct, frozen=True):
    """What is wrong with a journal, and may hide a change. ``line`` is 0 where it is no line that is wrong."""

    line: int
    message: str


class Value(Struct, frozen=True):
    """One part of a resource: what to put back, and which values are ours, the newest first."""

    path: Path
    before: Any
    ours: tuple[Any, ...]


class Step(Struct, frozen=True):
    """Changes of one resource that are put back together.

    ``seen`` says that every request of them was seen to arrive; ``returning`` that one to put them back was sent.
    """

    numbers: tuple[int, ...]
    resource: Resource
    values: tuple[Value, ...]
    original: dict[str, Any]
    seen: bool
    returning: bool = False


class Journal(Struct, frozen=True):
    """What a journal says, as far as it can be read.

    ``newer`` is the newest version of an entry that only a newer loadgen knows; 0 where there is none.
    """

    entries: tuple[Entry, ...]
    damage: tuple[Damage, ...]
    newer: int = 0

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
    damage.extend(_reused(entries))
    damage.extend(_lost(entries.values()))
    return Journal(tuple(_told_apart(entries)), tuple(damage), newer)


def outstanding(entries: Sequence[Entry]) -> list[Step]:
    """What is to be put back, in this order: the newest change first.

    Changes of one resource that follow each other are put back at once, to what was there before the first of them.
    """
    undone = {entry.number for entry in entries if isinstance(entry, Undone)}
    returning = {number for entry in entries if isinstance(entry, Back) for number in entry.numbers}
    also: dict[int, tuple[Edit, ...]] = {}
    seen: set[int] = set()
    for entry in entries:
        if isinstance(entry, Done):
            also[entry.number] = also.get(entry.number, ()) + entry.also
            seen.add(entry.number)
        elif isinstance(entry, Back):
            seen.difference_update(entry.numbers)
    steps: list[Step] = []
    for change in reversed([entry for entry in entries if isinstance(entry, Change)]):
        number = change.number
        if number in undone:
            continue
        step = _step(change, also.get(number, ()), seen=number in seen, returning=number in returning)
        if steps and _together(steps[-1], step):
            steps[-1] = _merged(steps[-1], step)
        else:
            steps.append(step)
    return steps


def notice(abandoned: Sequence[str]) -> str | None:
    """One line about runs that ended without putting back what they changed, by name; None when there are none."""
    if not abandoned:
        return None
    runs = "an earlier run" if len(abandoned) == 1 else f"{len(abandoned)} earlier runs"
    return f"note: {runs} ended without putting back what was changed on the platform; do it with: loadgen restore"


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
            _printable(place.endpoint, place.project_id, place.function, place.name or "")
            origin_of(place.endpoint)
            parse(place.function, project_id=place.project_id)
            if entry.number < 1:
                raise ValueError(f"got change {entry.number}, expected a number from 1 up")
            for edit in entry.edits:
                _check_edit(place.kind, edit)
        case Done():
            _printable(*(key for edit in entry.also for key in edit.path))
        case Back() | Undone():
            pass


def _check_edit(kind: Kind, edit: Edit) -> None:
    _printable(*edit.path)
    match kind:
        case Kind.VERSION | Kind.ALIAS:
            fits = edit.path == () and all(
                each is UNSET or isinstance(each, dict) for each in (edit.before, edit.after)
            )
        case Kind.MAX_INSTANCES:
            fits = edit.path == ("max_instance_num",)
        case Kind.CONFIG | Kind.RESERVED_INSTANCES:
            fits = edit.path != ()
    if not fits:
        raise ValueError(f"got a change of something that cannot be part of a {kind.value}")


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


def _lines_of(entries: Mapping[int, Entry]) -> dict[int, list[int]]:
    """The lines with the changes of each number."""
    lines: dict[int, list[int]] = {}
    for at, entry in entries.items():
        if isinstance(entry, Change):
            lines.setdefault(entry.number, []).append(at)
    return lines


def _reused(entries: Mapping[int, Entry]) -> Iterator[Damage]:
    for number, (first, *more) in _lines_of(entries).items():
        for at in more:
            yield Damage(
                at,
                f"change {number} is in line {first} already, as if two journals were in one file: which of them was "
                "undone cannot be told, so none is taken to be",
            )


def _told_apart(entries: Mapping[int, Entry]) -> Iterator[Entry]:
    """The entries, with changes whose number is reused going by their line; see above."""
    reused = {number for number, lines in _lines_of(entries).items() if len(lines) > 1}
    latest: dict[int, int] = {}
    for at, entry in entries.items():
        if isinstance(entry, Change) and entry.number in reused:
            latest[entry.number] = -at
            yield replace(entry, number=-at)
        elif isinstance(entry, Done) and entry.number in latest:
            yield replace(entry, number=latest[entry.number])
        else:
            yield entry


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


def _step(change: Change, also: tuple[Edit, ...], *, seen: bool, returning: bool) -> Step:
    values = [Value(edit.path, edit.before, (edit.after,)) for edit in change.edits]
    for edit in also:
        same_part = next((i for i, value in enumerate(values) if value.path == edit.path), None)
        if same_part is None:
            values.append(Value(edit.path, edit.before, (edit.after,)))
        else:
            held = values[same_part]
            values[same_part] = Value(held.path, held.before, (edit.after, *held.ours))
    return Step((change.number,), change.resource, tuple(values), change.original, seen, returning)


def _together(newer: Step, older: Step) -> bool:
    """Whether two steps in a row are of one resource, with no part of one within a part of the other."""
    return newer.resource == older.resource and not any(
        one.path != other.path and _nested(one.path, other.path) for one in newer.values for other in older.values
    )


def _nested(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _merged(newer: Step, older: Step) -> Step:
    values = {value.path: value for value in newer.values}
    for value in older.values:
        later = values.get(value.path)
        values[value.path] = value if later is None else Value(value.path, value.before, later.ours + value.ours)
    return Step(
        newer.numbers + older.numbers,
        newer.resource,
        tuple(values.values()),
        older.original,
        newer.seen and older.seen,
        newer.returning or older.returning,
    )
