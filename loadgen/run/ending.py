"""Whether, why and how a run ends before its load does.

It does so in six ways, all of which write what was measured: an interrupt, a spent budget or a rule with ``abort`` that
breaks stops the load and waits for what is in flight, a second interrupt waits for nothing, as does the death of the
embedded emulator, and an agent that dies leaves a record that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Load(Protocol):
    """What is under way, once agents have been started."""

    def stop(self) -> None:
        """Start nothing more, and wait for what is in flight."""

    def cut(self) -> None:
        """Wait for nothing."""


class Ending:
    """How far a run is from its end, and what it is to end.

    What changes, and never goes back: ``interrupted`` and ``cut`` with the first and the second interrupt,
    ``budget_reached`` when a budget is spent, ``out_of_money`` where that was the one of money, ``aborted`` when a rule
    ended it, and ``unserved`` when the embedded emulator has died. ``stopped`` says why the run ended, for its
    Summary, and may be added to; ``failed`` is the last that went wrong. Whoever runs the load sets ``load`` and
    ``hurry``, once, as soon as there is something to stop, or to put back.
    """

    def __init__(
        self,
        note: Callable[[str], None],
        hide: Callable[[str], str] = str,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """``note`` is told what is worth saying to the user, and ``hide`` masks secrets in what went wrong.

        ``stopping`` is called when nothing more is to be begun, before anything is waited for.
        """
        self.interrupted = self.cut = self.unserved = False
        self.budget_reached = self.out_of_money = self.aborted = False
        self.stopped: str | None = None
        self.failed: str | None = None
        self.load: Load | None = None
        self.hurry: Callable[[], None] | None = None
        self._note = note
        self._hide = hide
        self._stopping = stopping
        self._waiting: asyncio.Task[Any] | None = None

    @property
    def ending(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.interrupted or self.budget_reached or self.aborted or self.unserved

    def interrupt(self) -> None:
        """End the run: the first time what is in flight is waited for, the second time it is not.

        Nor is then tried again to put settings back that were changed.
        """
        if self.interrupted:
            self.cut = True
            if self.load is not None:
                self.load.cut()
            if self.hurry is not None:
                self.hurry()
            return
        self.interrupted = True
        self._note("Stopping: waiting for what is in flight. Interrupt again to stop at once.")
        self._stop()

    def exhaust(self, why: str, *, of_money: bool = False) -> None:
        """End a run whose budget is spent, unless a rule has ended it: what is in flight is waited for."""
        if self.aborted:
            return
        self.budget_reached, self.out_of_money = True, self.out_of_money or of_money
        self.stopped = why
        self._note(f"Stopping: {why}.")
        self._stop()

    def abort(self, why: str) -> None:
        """End a run of which a rule is broken: what is in flight is waited for."""
        self.aborted = True
        self.stopped = self.stopped or why
        self._note(f"Stopping: {why}.")
        self._stop()

    def used_up(self, why: str) -> None:
        """An agent has made all that was allowed, and ends by itself."""
        self.budget_reached = True
        self.stopped = self.stopped or why

    def account(self, spent: str) -> None:
        """A run that ends for want of money has spent so much in the end."""
        self.stopped = f"{self.stopped}; {spent}"

    def exceed(self, over: str) -> None:
        """A run that is over turns out to have taken more than it was allowed."""
        self.budget_reached = True
        self.stopped = f"{self.stopped}; {over}" if self.stopped else f"budget.cost: {over}"
        self._note(f"warning: {over}.")

    def unserve(self, why: str) -> None:
        """End the run at once: nobody answers any more, what is in flight included."""
        self.unserved = True
        self.failed = self.stopped = why
        self._stop()
        if self.load is not None:
            self.load.cut()

    def lose(self, why: str) -> None:
        """There are no agents any more, which is a fault unless everything was to end at once."""
        if not (self.cut or self.unserved):
            self.failed = self._hide(why)

    def fail(self, why: str) -> None:
        """Something went wrong, which is not what ends the load."""
        self.failed = self._hide(why)

    def unwritten(self, why: str) -> None:
        """What is measured cannot be written down, which is said where nothing else went wrong."""
        if self.failed is None:
            self.failed = why
            self._note(why)

    async def interruptible(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of some work; None when the run's end put an end to it."""
        task = asyncio.create_task(work)
        self._waiting = task
        try:
            return await task
        except asyncio.CancelledError:
            if not self.ending:
                raise
            return None
        finally:
            self._waiting = None

    def _stop(self) -> None:
        self._stopping()
        if self._waiting is not None:
            self._waiting.cancel()
        if self.load is not None:
            self.load.stop()
