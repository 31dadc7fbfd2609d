"""A function's settings, changed for the stretches of a run and put back in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

from loadgen.targets.endpoint import loopback
from loadgen.targets.functiongraph.protocol.target import FunctionTarget
from loadgen.targets.functiongraph.protocol.urn import function_urn
from loadgen.targets.functiongraph.settings.again import Patience
from loadgen.targets.functiongraph.settings.changes import Changes, UndoError
from loadgen.targets.functiongraph.settings.client import control_of
from loadgen.targets.functiongraph.settings.edit import Path
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.journalfile import JournalError, JournalFile
from loadgen.targets.functiongraph.settings.lock import HeldError
from loadgen.targets.secret import sent
from loadgen.targets.settings import SettingsError
from loadgen.text.secret import Secrets

_MEMORY: Final = ("memory_size",)
_NEARBY_S: Final = 1.0
"""How long after marking a function on this machine to look at it again: what is sent to it arrives at once."""
_FAULTS: Final = (ControlError, JournalError, HeldError)
_RUN: Final = ("user_data", "LOADGEN_RUN")


class Changing:
    """An async context manager: however it is left, the function is as it was, or a SettingsError says what to do.

    The error takes the place of whatever ended the context.
    """

    def __init__(
        self,
        target: FunctionTarget,
        run: str,
        journal: Callable[[str], JournalFile],
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """``target`` has the credentials that are in use; ``journal`` opens the run's, before the first change.

        ``note`` is told what is worth saying to the user.
        """
        self._target = target
        self._note = note
        self._run = run
        self._journal = partial(journal, run)
        self._stack = AsyncExitStack()
        self._changes: Changes | None = None
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        """Mark the function, so that no other run changes it. Raises SettingsError, also where another run has it.

        Takes half a minute where runs on other machines may be about to mark it, too.
        """
        target = self._target
        try:
            control = control_of(target)
            resource = control.resource(function_urn(target))
        except ControlError as error:
            raise SettingsError(str(error)) from error
        await self._stack.enter_async_context(control)
        patience = Patience(mark_s=_NEARBY_S) if loopback(target.endpoint) else Patience()
        hide_in = Secrets(sent(target)).hide_in
        changes = Changes(control, resource, self._journal, note=self._note, patience=patience, hide_in=hide_in)
        self._changes = changes
        if patience.mark_s > _NEARBY_S:
            self._note(
                f"Marking the function, so that no other run changes it; the load begins {patience.mark_s:g} s later."
            )
        try:
            await self._stack.enter_async_context(changes)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            if isinstance(error, UndoError):
                raise SettingsError(str(error)) from error
            if isinstance(error, _FAULTS):
                raise SettingsError(f"the function's settings cannot be changed: {error}") from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stack.__aexit__(kind, error, trace)
        except UndoError as fault:
            raise SettingsError(str(fault)) from fault

    def hurry(self) -> None:
        """Try nothing again and wait for nothing any more, but for a request that is under way."""
        if self._changes is not None:
            self._changes.hurry()

    async def resize(self, memory_mb: int) -> None:
        """Give the function this memory size; new calls run on new instances of it. Raises SettingsError."""
        await self._change({_MEMORY: memory_mb}, f"the function's memory size cannot be set to {memory_mb} MB")

    async def renew(self) -> None:
        """Change nothing that matters to the function, so that new calls run on new instances. Raises SettingsError.

        The variable gets a value that it never had, as what it holds already would change nothing.
        """
        value = f"{self._run}-{next(self._numbers)}"
        await self._change({_RUN: value}, "the environment variable LOADGEN_RUN of the function cannot be set")

    async def _change(self, wanted: Mapping[Path, Any], fault: str) -> None:
        assert self._changes is not None
        try:
            await self._changes.config(wanted)
        except _FAULTS as error:
            raise SettingsError(f"{fault}: {error}") from error
