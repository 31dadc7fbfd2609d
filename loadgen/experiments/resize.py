"""A function's memory size, changed for the stretches of a run and put back in the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from loadgen.control.authorization import authorization
from loadgen.control.changes import Changes, UndoError
from loadgen.control.client import Control
from loadgen.control.fault import ControlError
from loadgen.control.journalfile import JournalError, JournalFile
from loadgen.engine.address import AddressError, tls_context
from loadgen.experiments.runner import SettingsError
from loadgen.functiongraph.urn import function_urn
from loadgen.scenario.model import FunctionTarget


class Resizing:
    """An async context manager: however it is left, the function is as it was, or a SettingsError says what to do.

    The error takes the place of whatever ended the context.
    """

    def __init__(self, target: FunctionTarget, journal: Callable[[], JournalFile]) -> None:
        """``target`` has the credentials that are in use; ``journal`` opens the journal before the first change."""
        self._target = target
        self._journal = journal
        self._stack = AsyncExitStack()
        self._changes: Changes | None = None

    async def __aenter__(self) -> Self:
        """Get ready; changes nothing. Raises SettingsError."""
        target = self._target
        try:
            tls = tls_context(target.tls)
            control = Control(
                target.endpoint,
                target.project_id,
                authorization(target.auth, target.project_id, tls),
                tls=tls,
                insecure_auth=target.insecure_auth,
            )
        except (AddressError, ControlError) as error:
            raise SettingsError(str(error)) from error
        await self._stack.enter_async_context(control)
        self._changes = await self._stack.enter_async_context(Changes(control, self._journal))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stack.__aexit__(kind, error, trace)
        except UndoError as fault:
            raise SettingsError(str(fault)) from fault

    async def use(self, memory_mb: int) -> None:
        """Give the function this memory size; new calls run on new instances of it. Raises SettingsError."""
        assert self._changes is not None
        try:
            await self._changes.config(function_urn(self._target), {("memory_size",): memory_mb})
        except (ControlError, JournalError) as error:
            raise SettingsError(f"the function's memory size cannot be set to {memory_mb} MB: {error}") from error
