"""Putting back what was changed, and nothing else.

What a change made is put back where the platform still holds the value that we gave it. A value that is neither ours
nor the old one was set by somebody else meanwhile: that is a conflict, which is said and left alone unless it is
forced. A change that was never seen to arrive may still be on its way, so where the old value is found it is looked at
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct

from loadgen.control.again import SETTLE_S, Platform, read, write
from loadgen.control.document import (
    Document,
    DocumentError,
    Edit,
    at,
    differences,
    name,
    private,
    public,
    same,
    shown,
)
from loadgen.control.fault import ControlError
from loadgen.control.journal import Done, Entry, Resource, Step, Undone, Value, outstanding
from loadgen.control.journalfile import JournalError
from loadgen.scenario.substitution import MASK

LOOKS_S = (0.0, 0.5, 2.0)
"""Pauses before looking whether the platform holds what was written; it may take a moment to say so."""
_ROUNDS = 3


class Log(Protocol):
    """Where it is written down what was undone; see JournalFile."""

    @property
    def entries(self) -> Sequence[Entry]:
        """All so far."""

    def append(self, entry: Entry) -> None:
        """Add one, durably. Raises JournalError."""


class Decision(Struct, frozen=True):
    """What to put back, and what somebody else has changed since; both with the present value as ``before``."""

    back: tuple[Edit, ...]
    conflicts: tuple[Edit, ...]


class Undoing(Struct, frozen=True):
    """How putting back one step went. ``fault`` is why it is not done, None when it is; ``notes`` what else differs."""

    step: Step
    back: tuple[Edit, ...]
    fault: str | None
    notes: tuple[str, ...] = ()


def decide(values: Sequence[Value], now: Document) -> Decision:
    """What to do about these values given what the platform holds now."""
    back: list[Edit] = []
    conflicts: list[Edit] = []
    for value in values:
        held = at(now, value.path)
        if same(held, value.before):
            continue
        ours = any(same(held, each) for each in value.ours)
        (back if ours else conflicts).append(Edit(value.path, held, value.before))
    return Decision(tuple(back), tuple(conflicts))


async def undo(log: Log, platform: Platform, *, force: bool = False, settle_s: float = SETTLE_S) -> list[Undoing]:
    """Put back everything that ``log`` says is still changed, the newest change first, and write down what was.

    What cannot be put back, or not be written down, is in the result and does not keep the rest from it.
    """
    return [await undo_step(log, step, platform, force=force, settle_s=settle_s) for step in outstanding(log.entries)]


async def undo_step(log: Log, step: Step, platform: Platform, *, force: bool, settle_s: float) -> Undoing:
    """Put back one step; see ``undo``."""
    back: list[Edit] = []
    try:
        now = await read(platform, step.resource, settle_s)
        decision = decide(step.values, now)
        if not step.seen and not decision.back:
            await asyncio.sleep(settle_s)
            now = await read(platform, step.resource, settle_s)
            decision = decide(step.values, now)
        for _ in range(_ROUNDS):
            due = decision.back + (decision.conflicts if force else ())
            if not due:
                break
            wanted = await write(platform, step.resource, now, due, settle_s)
            back.extend(due)
            now = await settled(platform, step.resource, due, settle_s)
            if lost := [edit for edit in differences(wanted, now) if private(edit.path)]:
                return Undoing(step, tuple(back), _lost(step, lost))
            if also := unasked(due, wanted, now):  # is to be put back, too
                log.append(Done(step.numbers[0], also))
                step = next(each for each in outstanding(log.entries) if step.numbers[0] in each.numbers)
            decision = decide(step.values, now)
        if decision.conflicts:
            return Undoing(step, tuple(back), _conflict(step, decision.conflicts))
        if decision.back:
            left = ", ".join(f"{name(edit.path)} is {shown(edit.path, edit.before)}" for edit in decision.back)
            return Undoing(step, tuple(back), f"{step.resource.text}: it was put back, and still {left}")
        for number in step.numbers:
            log.append(Undone(number))
    except (ControlError, DocumentError, JournalError) as error:
        return Undoing(step, tuple(back), str(error))
    except (ValueError, TypeError, LookupError, RecursionError) as error:  # values that no loadgen writes down
        return Undoing(step, tuple(back), _impossible(step, error))
    return Undoing(step, tuple(back), None, () if step.seen else tuple(_notes(step, now)))


async def settled(
    platform: Platform, resource: Resource, edits: Sequence[Edit], settle_s: float = SETTLE_S
) -> dict[str, Any]:
    """What the platform holds after a write: looked at until it holds these edits, or for a few seconds."""
    now: dict[str, Any] = {}
    for pause_s in LOOKS_S:
        await asyncio.sleep(pause_s)
        now = await read(platform, resource, settle_s)
        if all(same(at(now, edit.path), edit.after) for edit in edits):
            break
    return now


def unasked(asked: Sequence[Edit], wanted: Document, now: Document) -> tuple[Edit, ...]:
    """What the platform changed beyond what it was asked to; nothing that may be secret."""
    whole = next((edit for edit in asked if not edit.path), None)
    if whole is not None:  # what was made holds more than was asked for: all of it goes again
        return (Edit((), whole.before, dict(now)),) if now and not same(wanted, now) else ()
    parts = {edit.path for edit in asked}
    return tuple(edit for edit in differences(wanted, now) if edit.path not in parts and not private(edit.path))


def describe(edit: Edit) -> str:
    """An edit for people to read."""
    before, after = shown(edit.path, edit.before), shown(edit.path, edit.after)
    return f"{name(edit.path)} {before} -> {after}" if edit.path else f"{before} -> {after}"


def _conflict(step: Step, conflicts: Sequence[Edit]) -> str:
    parts = "; ".join(
        f"{name(edit.path) or 'it'} is {shown(edit.path, edit.before)}, was {shown(edit.path, edit.after)} "
        f"before loadgen changed it"
        for edit in conflicts
    )
    return f"{step.resource.text}: somebody else has changed it since: {parts}. Left as it is"


def _impossible(step: Step, error: Exception) -> str:
    return (
        f"{step.resource.text}: what the journal says of it cannot be put back ({type(error).__name__}: {error}). "
        "Check it in the console"
    )


def _lost(step: Step, lost: Sequence[Edit]) -> str:
    parts = ", ".join(name(edit.path) for edit in lost)
    return (
        f"{step.resource.text}: when it was put back, {parts} became something else, which is written down nowhere, "
        "as it may be secret. Check it in the console"
    )


def _notes(step: Step, now: Document) -> Iterator[str]:
    """What differs from the time before a change that was not seen to arrive, and may be its doing."""
    ours = {value.path for value in step.values}
    for edit in differences(step.original, public(now)):
        if edit.path not in ours and MASK not in str(edit.before):
            yield (
                f"{step.resource.text}: {name(edit.path)} was {shown(edit.path, edit.before)} and is now "
                f"{shown(edit.path, edit.after)}; loadgen was not asked to change it, and leaves it as it is"
            )
