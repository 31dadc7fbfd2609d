"""Changes for the time of an experiment: every one is journaled before it is made, and undone in the end.

``async with Changes(…) as changes`` undoes what was changed within, the newest first, however it is left: at its end,
by an error, by cancellation (Ctrl-C). Undoing is not itself cancelled; it ends by its own time limits. What cannot be
undone raises UndoError, and its journal stays for ``loadgen restore``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from loadgen.control.again import SETTLE_S, read, write
from loadgen.control.client import Control
from loadgen.control.document import (
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
from loadgen.control.fault import ControlError
from loadgen.control.journal import Change, Done, Kind, Resource
from loadgen.control.journalfile import JournalError, JournalFile
from loadgen.control.undo import describe, settled, unasked, undo
from loadgen.functiongraph.urn import Urn

T = TypeVar("T")


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
        settle_s: float = SETTLE_S,
        hide_in: Callable[[Any], Any] = lambda data: data,
    ) -> None:
        """``journal`` makes the journal of this run, when the first change is about to be made.

        ``hide_in`` masks the secrets of the run in what is written down beside what is to be put back.
        """
        self._hide_in = hide_in
        self._control = control
        self._create = journal
        self._journal: JournalFile | None = None
        self._settle_s = settle_s

    async def config(self, function: Urn, wanted: Mapping[Path, Any]) -> None:
        """Give parts of a function's config these values: ``{("memory_size",): 512}``.

        Of its environment variables only those named ``LOADGEN_…`` may be set: ``{("user_data", "LOADGEN_RUN"): "1"}``.
        Raises ControlError when it cannot be done or does not hold, JournalError when it cannot be written down; what
        was changed by then is undone in the end.
        """
        await self._change(self._control.resource(Kind.CONFIG, function), wanted)

    async def max_instances(self, function: Urn, count: int) -> None:
        """Set how many instances of a function may run at once, -1 for no limit of its own; raises like ``config``."""
        await self._change(self._control.resource(Kind.MAX_INSTANCES, function), {("max_instance_num",): count})

    async def reserved_instances(self, function: Urn, count: int) -> None:
        """Keep this many instances of a version or alias ready; raises like ``config``."""
        await self._change(self._control.resource(Kind.RESERVED_INSTANCES, function), {("count",): count})

    async def version(self, function: Urn, version: str) -> None:
        """Publish a version, which is deleted in the end; raises like ``config``, also when there is one already."""
        await self._make(self._control.resource(Kind.VERSION, function, version), {"version": version})

    async def alias(self, function: Urn, alias: str, version: str) -> None:
        """Make an alias of a version, which is deleted in the end; raises like ``version``."""
        await self._make(self._control.resource(Kind.ALIAS, function, alias), {"name": alias, "version": version})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._journal is None:
            return
        with self._journal as journal:
            await _to_its_end(self._undo(journal))

    async def _undo(self, journal: JournalFile) -> None:
        try:
            undone = await undo(journal, self._control, settle_s=self._settle_s)
            journal.finish()
        except JournalError as error:
            raise UndoError(f"not everything could be put back: {error}. {_remedy(journal)}") from error
        if faults := [each.fault for each in undone if each.fault is not None]:
            raise UndoError(f"not everything could be put back: {'; '.join(faults)}. {_remedy(journal)}")

    async def _make(self, resource: Resource, wanted: Mapping[str, Any]) -> None:
        if await read(self._control, resource, self._settle_s):
            raise ControlError(
                f"{resource.text}: it exists already, and is not loadgen's to change. Choose another name"
            )
        await self._change(resource, {(): wanted})

    async def _change(self, resource: Resource, wanted: Mapping[Path, Any]) -> None:
        await _to_its_end(self._changed(resource, wanted))

    async def _changed(self, resource: Resource, wanted: Mapping[Path, Any]) -> None:
        try:
            now = await read(self._control, resource, self._settle_s)
            due = edits(now, wanted)
            edited(now, [(edit.path, edit.after) for edit in due])  # before any of it is written down
        except DocumentError as error:
            raise ControlError(f"{resource.text}: {error}") from error
        if unknown := [edit for edit in due if resource.kind is Kind.MAX_INSTANCES and edit.before is None]:
            raise ControlError(f"{resource.text}: {name(unknown[0].path)} cannot be read, so it could not be put back")
        if not due:
            return
        if self._journal is None:
            self._journal = self._create()
        number = 1 + sum(isinstance(entry, Change) for entry in self._journal.entries)
        self._journal.append(Change(number, resource, due, self._hide_in(public(now))))
        after = await write(self._control, resource, now, due, self._settle_s)
        held = await settled(self._control, resource, due, self._settle_s)
        also = unasked(due, after, held)
        self._journal.append(Done(number, also))
        _check(resource, due, after, held)


def _check(resource: Resource, due: tuple[Edit, ...], after: Mapping[str, Any], held: Mapping[str, Any]) -> None:
    """Raises ControlError unless the platform holds what was asked for and nothing else has changed."""
    for edit in due:
        found = at(held, edit.path)
        if edit.path and not same(found, edit.after):
            raise ControlError(
                f"{resource.text}: {describe(edit)} was accepted, and still {name(edit.path)} is "
                f"{shown(edit.path, found)}. Check that the function can have this value"
            )
        if not edit.path:
            if not held:
                raise ControlError(f"{resource.text}: it was accepted, and still there is none. Try again later")
            return
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
