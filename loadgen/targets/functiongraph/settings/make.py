"""Making one change: it is written down, made, and seen to hold, the mark of a run before any other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from loadgen.targets.functiongraph.settings.again import Patience, Platform, read, settled, write
from loadgen.targets.functiongraph.settings.decide import conflict, decide, unasked
from loadgen.targets.functiongraph.settings.edit import (
    Document,
    DocumentError,
    Edit,
    Path,
    at,
    describe,
    differences,
    edited,
    edits,
    name,
    private,
    public,
    same,
    shown,
)
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.journal import Change, Done, Log, Resource
from loadgen.targets.functiongraph.settings.lock import HeldError
from loadgen.targets.functiongraph.settings.mark import MARK, NAME, marked, own_marks
from loadgen.targets.functiongraph.settings.outstanding import outstanding
from loadgen.text import foreign

HideIn = Callable[[Any], Any]
"""Masks secrets in whatever is made of dicts, lists and text."""

_FRESH_S = 5.0
"""What was read longer ago is read again before it is written upon."""
_FRESH_TRIES = 3


def as_it_is(data: Any) -> Any:
    """For a run that has no secrets."""
    return data


async def change(
    log: Log,
    platform: Platform,
    resource: Resource,
    wanted: Mapping[Path, Any],
    patience: Patience,
    hide_in: HideIn = as_it_is,
) -> None:
    """Make a change, once it is written down, and see that it holds; nothing where it does already.

    Where ``log`` says that the function was marked, it must be so still. Raises as ``Changes.config`` does.
    """
    now = await _fresh(platform, resource, patience)
    if own := own_marks(log.entries, resource):
        check_mark(resource, now, own)
    for step in outstanding(log.entries):  # a value that somebody else has given it since is not ours to replace
        if step.resource == resource and (conflicts := decide(step.values, now).conflicts):
            raise ControlError(f"{conflict(step, conflicts)}. Left as it is")
    await _make(log, platform, resource, now, wanted, patience, hide_in)


async def set_mark(
    log: Log, platform: Platform, resource: Resource, mark: str, patience: Patience, hide_in: HideIn = as_it_is
) -> None:
    """Mark a function for the run of ``log``, unless it has a mark. Raises HeldError then, otherwise like ``change``.

    Of runs that find no mark at the same moment the last to write has it; so nobody has, before ``patience.mark_s`` are
    over and ``check_mark`` says so.
    """
    now = await _fresh(platform, resource, patience)
    if (found := marked(now)) is not None:
        raise HeldError(
            f"{resource.text} is held by another run, whose journal is not in this state directory: its {NAME} is "
            f'"{foreign.quote(found)}". Wait for that run to end. If it was killed, loadgen restore there puts '
            f"everything back; if that machine is gone, see to the function's settings and remove {NAME} from its "
            "environment variables in the console. This run has changed nothing"
        )
    await _make(log, platform, resource, now, {MARK: mark}, patience, hide_in)


async def _fresh(platform: Platform, resource: Resource, patience: Patience) -> dict[str, Any]:
    """What there is now, and was not asked for long ago, where the platform is quick enough for that."""
    for _ in range(_FRESH_TRIES):
        asked_ns = patience.clock()
        now = await read(platform, resource, patience)
        if patience.clock() - asked_ns <= _FRESH_S * 1e9:
            break
    return now


async def _make(
    log: Log,
    platform: Platform,
    resource: Resource,
    now: Mapping[str, Any],
    wanted: Mapping[Path, Any],
    patience: Patience,
    hide_in: HideIn,
) -> None:
    due = _due(resource, now, wanted)
    if not due:
        return
    number = 1 + sum(isinstance(entry, Change) for entry in log.entries)
    log.append(Change(number, resource, due, hide_in(public(now))))
    try:
        after = await write(platform, resource, now, due, patience)
    except ControlError as error:
        if not error.unsure:
            log.append(Done(number))
        raise
    held = await settled(platform, resource, due, patience)
    also = unasked(due, after, held)
    log.append(Done(number, also))
    if MARK in wanted:
        check_mark(resource, held, {wanted[MARK]})
    _check(resource, due, after, held)


def check_mark(resource: Resource, config: Document, own: Collection[str]) -> None:
    """Raises HeldError unless the function's config has one of these marks."""
    found = marked(config)
    if found is None:
        raise HeldError(
            f"{resource.text}: {NAME} is gone from its environment: somebody has removed it, so another run may change "
            "the function meanwhile. This run ends here"
        )
    if found not in own:
        raise HeldError(
            f'{resource.text}: another run holds it now: its {NAME} is "{foreign.quote(found)}". This run gives way; '
            "wait for that one to end"
        )


def _due(resource: Resource, now: Mapping[str, Any], wanted: Mapping[Path, Any]) -> tuple[Edit, ...]:
    """What has to change. Raises ControlError for what cannot be, before any of it is written down."""
    try:
        due = edits(now, wanted)
        edited(now, [(edit.path, edit.after) for edit in due])
    except DocumentError as error:
        raise ControlError(f"{resource.text}: {error}") from error
    return due


def _check(resource: Resource, due: tuple[Edit, ...], after: Mapping[str, Any], held: Mapping[str, Any]) -> None:
    """Raises ControlError unless the platform holds what was asked for and nothing else has changed."""
    for edit in due:
        found = at(held, edit.path)
        if not same(found, edit.after):
            raise ControlError(
                f"{resource.text}: {describe(edit)} was accepted, and still {name(edit.path)} is "
                f"{shown(edit.path, found)}. Check that the function can have this value"
            )
    parts = {edit.path for edit in due}
    others = [edit for edit in differences(after, held) if edit.path not in parts]
    if others:
        lost = ", ".join(describe(edit) for edit in others)
        advice = (
            "Check the function's environment variables in the console: loadgen writes none of them down"
            if any(private(edit.path) for edit in others)
            else "That is put back, too"
        )
        raise ControlError(f"{resource.text}: with {describe(due[0])} the platform changed {lost} on its own. {advice}")
