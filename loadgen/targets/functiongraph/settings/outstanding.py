"""What a journal says is still to be put back, in steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from loadgen.targets.functiongraph.settings.edit import Edit, Path, same
from loadgen.targets.functiongraph.settings.journal import Back, Change, Done, Entry, Resource, Undone


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


def _step(change: Change, also: tuple[Edit, ...], *, seen: bool, returning: bool) -> Step:
    values = [Value(edit.path, edit.before, (edit.after,)) for edit in change.edits]
    for edit in also:
        same_part = next((i for i, value in enumerate(values) if value.path == edit.path), None)
        if same_part is None:
            values.append(Value(edit.path, edit.before, (edit.after,)))
        else:
            values[same_part] = _linked(values[same_part], edit.before, (edit.after,))
    return Step((change.number,), change.resource, tuple(values), change.original, seen, returning)


def _linked(older: Value, before: Any, newer: tuple[Any, ...]) -> Value:
    """A value with newer ones that came in its place, unless what they replaced was neither ours nor the original.

    Then somebody else had set it by then, and may have set what is there now, too.
    """
    known = any(same(before, each) for each in (older.before, *older.ours))
    return Value(older.path, older.before, newer + older.ours) if known else older


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
        values[value.path] = value if later is None else _linked(value, later.before, later.ours)
    return Step(
        newer.numbers + older.numbers,
        newer.resource,
        tuple(values.values()),
        older.original,
        newer.seen and older.seen,
        newer.returning or older.returning,
    )
