"""Changes for the time of an experiment: every one is journaled before it is made, and undone in the end.

``async with Changes(…) as changes`` undoes what was changed within, the newest first, however it is left: at its end,
by an error, by cancellation (Ctrl-C). Undoing is not itself cancelled; it ends by its own time limits, or with the
request that is under way once ``Changes.hurry`` was called. What cannot be undone raises UndoError, and its journal
stays for ``loadgen restore``.

Beforehand it keeps every other run from changing the function: on this machine by a lock, elsewhere by the mark.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from loadgen.targets.functiongraph.settings.again import Patience, read
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.edit import (
    Path,
)
from loadgen.targets.functiongraph.settings.journal import Resource
from loadgen.targets.functiongraph.settings.journalfile import JournalError, JournalFile, open_journal
from loadgen.targets.functiongraph.settings.lock import FunctionLock, HeldError
from loadgen.targets.functiongraph.settings.make import HideIn, as_it_is, change, check_mark, set_mark
from loadgen.targets.functiongraph.settings.mark import mark_text
from loadgen.targets.functiongraph.settings.undo import CHOICE, undo

T = TypeVar("T")
_HURRIED = "Putting back: waiting for the request under way, 30 s at most; what fails is left to loadgen restore."


class UndoError(Exception):
    """The platform is not as it was found; the message says what is left and how to put it back.

    It takes the place of whatever ended the context, which is its ``__context__``, cancellation included.
    """


class Changes:
    """What a run changes of one function, for as long as the context lasts."""

    def __init__(
        self,
        control: Control,
        resource: Resource,
        journal: Callable[[], JournalFile],
        *,
        note: Callable[[str], None] = lambda text: None,
        patience: Patience = Patience(),  # noqa: B008 - it is frozen
        hide_in: HideIn = as_it_is,
    ) -> None:
        """``resource`` is the config that is changed; ``journal`` makes the journal of this run.

        The lock of the function is in that one's directory. ``note`` is told what is worth saying to the user.
        ``hide_in`` masks the secrets of the run in what is written down beside what is to be put back.
        """
        self._hide_in = hide_in
        self._control = control
        self._resource = resource
        self._create = journal
        self._journal: JournalFile | None = None
        self._note = note
        self._hurry = asyncio.Event()
        self._patience = replace(patience, hurry=self._hurry)
        self._undoing = False
        self._stack = ExitStack()

    def hurry(self) -> None:
        """Try nothing again and wait for nothing any more, but for a request that is under way.

        What could not be put back by then is left to ``loadgen restore``.
        """
        if self._undoing and not self._hurry.is_set():
            self._note(_HURRIED)
        self._hurry.set()

    async def config(self, wanted: Mapping[Path, Any]) -> None:
        """Give parts of the function's config these values: ``{("memory_size",): 512}``.

        Of its environment variables only those named ``LOADGEN_…`` may be set: ``{("user_data", "LOADGEN_RUN"): "1"}``.
        Raises ControlError when it cannot be done or does not hold, JournalError when it cannot be written down,
        HeldError when another run holds the function; what was changed by then is undone in the end.
        """
        assert self._journal is not None
        await _to_its_end(change(self._journal, self._control, self._resource, wanted, self._patience, self._hide_in))

    async def __aenter__(self) -> Self:
        """Hold the function, which takes ``patience.mark_s``.

        Raises HeldError when another run has it, or took it at the same moment; otherwise like ``config``.
        """
        try:
            await self._hold()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
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

    async def _hold(self) -> None:
        self._journal = self._stack.enter_context(self._create())
        self._lock(self._journal)
        mark = mark_text(self._journal.begun)
        resource = self._resource
        await _to_its_end(set_mark(self._journal, self._control, resource, mark, self._patience, self._hide_in))
        await self._patience.sleep(self._patience.mark_s)
        check_mark(resource, await read(self._control, resource, self._patience), {mark})

    def _lock(self, journal: JournalFile) -> None:
        directory, resource = journal.path.parent, self._resource
        lock = self._stack.enter_context(FunctionLock.take(directory, resource, journal.begun))
        if lock.left is not None:
            self._note(f"the lock of {lock.left.text}, which ended without letting go of it, is taken over")
        if (other := open_journal(directory, resource, but=journal.path)) is not None:
            raise HeldError(
                f"{resource.text}: run {other.stem} ended without putting back what it had changed, and what is there "
                f"now would be taken for the original. Put it back with: loadgen restore {other.stem} (its journal is "
                f"{other}). {CHOICE}. This run has changed nothing"
            )


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
