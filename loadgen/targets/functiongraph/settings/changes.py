"""Changes for the time of an experiment: every one is journaled before it is made, and undone in the end.

``async with Changes(…) as changes`` undoes what was changed within, the newest first, however it is left: at its end,
by an error, by cancellation (Ctrl-C). Undoing is not itself cancelled; it ends by its own time limits, or with the
request that is under way once ``Changes.hurry`` was called. What cannot be undone raises UndoError, and its journal
stays for ``loadgen restore``.

Before its first change a run makes sure that no other run changes the function: see ``Changes.hold``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from loadgen.targets.functiongraph.protocol.urn import LATEST, Urn
from loadgen.targets.functiongraph.settings.again import Patience, Platform, read, write
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.document import (
    Document,
    DocumentError,
    Edit,
    Path,
    at,
    differences,
    edited,
    edits,
    name,
    private,
    public,
    same,
    shown,
)
from loadgen.targets.functiongraph.settings.fault import ControlError
from loadgen.targets.functiongraph.settings.journal import Change, Done, Resource, outstanding
from loadgen.targets.functiongraph.settings.journalfile import JournalError, JournalFile, open_journal
from loadgen.targets.functiongraph.settings.lock import FunctionLock, HeldError
from loadgen.targets.functiongraph.settings.mark import MARK, NAME, mark_text, marked, own_marks
from loadgen.targets.functiongraph.settings.undo import CHOICE, Log, conflict, decide, describe, settled, unasked, undo
from loadgen.text import foreign

T = TypeVar("T")
HideIn = Callable[[Any], Any]
"""Masks secrets in whatever is made of dicts, lists and text."""

_FRESH_S = 5.0
"""What was read longer ago is read again before it is written upon."""
_FRESH_TRIES = 3
_HURRIED = "Putting back: waiting for the request under way, 30 s at most; what fails is left to loadgen restore."


def _as_it_is(data: Any) -> Any:
    return data


class UndoError(Exception):
    """The platform is not as it was found; the message says what is left and how to put it back.

    It takes the place of whatever ended the context, which is its ``__context__``, cancellation included.
    """


class Changes:
    """What a run changes on the platform, for as long as the context lasts."""

    def __init__(
        self,
        control: Control,
        journal: Callable[[], JournalFile],
        *,
        note: Callable[[str], None] = lambda text: None,
        patience: Patience = Patience(),  # noqa: B008 - it is frozen
        hide_in: HideIn = _as_it_is,
    ) -> None:
        """``journal`` makes the journal of this run, when the first change is about to be made.

        The locks of functions are in its directory, too. ``note`` is told what is worth saying to the user. ``hide_in``
        masks the secrets of the run in what is written down beside what is to be put back.
        """
        self._hide_in = hide_in
        self._control = control
        self._create = journal
        self._journal: JournalFile | None = None
        self._note = note
        self._hurry = asyncio.Event()
        self._patience = replace(patience, hurry=self._hurry)
        self._undoing = False
        self._stack = ExitStack()
        self._locked: set[tuple[str, ...]] = set()
        self._held: set[tuple[str, ...]] = set()

    def hurry(self) -> None:
        """Try nothing again and wait for nothing any more, but for a request that is under way.

        What could not be put back by then is left to ``loadgen restore``.
        """
        if self._undoing and not self._hurry.is_set():
            self._note(_HURRIED)
        self._hurry.set()

    async def hold(self, function: Urn) -> None:
        """Keep every other run from changing this function: on this machine by a lock, elsewhere by the mark.

        Raises HeldError when another run has it, or took it at the same moment; otherwise like ``config``. Every change
        does this first; it may be done before, as it takes ``patience.mark_s``.
        """
        latest = function if function.qualifier == LATEST else replace(function, qualifier=None)
        await self._hold(self._control.resource(latest))

    async def config(self, function: Urn, wanted: Mapping[Path, Any]) -> None:
        """Give parts of a function's config these values: ``{("memory_size",): 512}``.

        Of its environment variables only those named ``LOADGEN_…`` may be set: ``{("user_data", "LOADGEN_RUN"): "1"}``.
        Raises ControlError when it cannot be done or does not hold, JournalError when it cannot be written down,
        HeldError when another run holds the function; what was changed by then is undone in the end.
        """
        resource = self._control.resource(function)
        held = resource.owner in self._held
        if not held and not _due(resource, await read(self._control, resource, self._patience), wanted):
            return
        journal = await self._hold(resource)
        await _to_its_end(change(journal, self._control, resource, wanted, self._patience, self._hide_in))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        with self._stack:
            if self._journal is not None:
                await _to_its_end(self._undo(self._journal))

    async def _undo(self, journal: JournalFile) -> None:
        self._undoing = True
        telling = asyncio.get_running_loop().call_later(self._patience.note_s, self._tell)
        try:
            undone = await undo(journal, self._control, patience=self._patience)
            journal.finish()
        except JournalError as error:
            raise UndoError(f"not everything could be put back: {error}. {_remedy(journal)}") from error
        finally:
            telling.cancel()
            self._undoing = False
        for note in (note for each in undone for note in each.notes):
            self._note(note)
        if faults := [each.fault for each in undone if each.fault is not None]:
            theirs = any(each.theirs for each in undone)
            raise UndoError(
                f"not everything could be put back: {'; '.join(faults)}. {_remedy(journal)}"
                + (f". {CHOICE}" if theirs else "")
            )

    def _tell(self) -> None:
        """That putting back takes its time, whatever the platform does meanwhile."""
        self._note(
            _HURRIED
            if self._hurry.is_set()
            else f"Putting back: not done yet at {self._control.endpoint}, tried for a minute; interrupt again to "
            "leave it to loadgen restore."
        )

    async def _hold(self, resource: Resource) -> JournalFile:
        """The journal, once the function is held."""
        if self._journal is None:
            self._journal = self._stack.enter_context(self._create())
        journal = self._journal
        if resource.owner not in self._held:
            self._lock(journal, resource)
            mark = mark_text(journal.begun)
            await _to_its_end(set_mark(journal, self._control, resource, mark, self._patience, self._hide_in))
            await self._patience.sleep(self._patience.mark_s)
            check_mark(resource, await read(self._control, resource, self._patience), {mark})
            self._held.add(resource.owner)
        return journal

    def _lock(self, journal: JournalFile, resource: Resource) -> None:
        if resource.owner in self._locked:
            return
        lock = self._stack.enter_context(FunctionLock.take(journal.path.parent, resource, journal.begun))
        self._locked.add(resource.owner)
        if lock.left is not None:
            self._note(f"the lock of {lock.left.text}, which ended without letting go of it, is taken over")
        if (other := open_journal(journal.path.parent, resource, but=journal.path)) is not None:
            raise HeldError(
                f"{resource.text}: run {other.stem} ended without putting back what it had changed, and what is there "
                f"now would be taken for the original. Put it back with: loadgen restore {other.stem} (its journal is "
                f"{other}). {CHOICE}. This run has changed nothing"
            )


async def change(
    log: Log,
    platform: Platform,
    resource: Resource,
    wanted: Mapping[Path, Any],
    patience: Patience,
    hide_in: HideIn = _as_it_is,
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
    log: Log, platform: Platform, resource: Resource, mark: str, patience: Patience, hide_in: HideIn = _as_it_is
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


def _remedy(journal: JournalFile) -> str:
    return f"Put it back with: loadgen restore {journal.path.stem} (its journal is {journal.path})"


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Do the work whole, and only then be cancelled: after half a request nobody knows what the platform holds."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and task.exception() is None:
        raise cancelled
    return task.result()
