"""Doing again what may have failed in passing: an answer of 5xx or 429, or none.

A read can be made again as it is. After a write that failed so, nobody knows whether it was carried out, so the setting
is read: where it holds what was wanted, the write arrived; where all of it is as it was, it is written again; where it
is neither, somebody else is at work, or the platform did half of it, and the failure stands. What the platform refuses
(4xx) is never asked for again.

A write without an answer may be carried out later. It is waited for, and looked for, as long as the platform may take
for a request, before it is taken to be lost: so never are two writes under way at once, and where one is given up with
an error that is not ``unsure``, none is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct

from loadgen.engine.clock import Clock, monotonic_ns
from loadgen.targets.functiongraph.settings.edit import Document, Edit, differences, edited, holds
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.journal import Resource

LATE_S = 30.0
"""How long after it was given up at our end a request may still be carried out.

The management API serves a request within 30 s or not at all, and what has not left this machine by then never does.
"""
_PAUSES = (1.0, 3.0)
"""How many times ``settle_s`` to wait before the second and the third try."""
_MORE_PAUSES = (4.0, 8.0, 15.0)
"""And before those after it, where there is a time until which to try; the last for all that follow."""
_LOOKS = (0.0, 0.5, 2.0)
"""How many times ``settle_s`` to wait before looking whether the platform holds what was written; it may take a moment.
"""


class Patience(Struct, frozen=True):
    """How long what is waited for, in s, and by which clock; none of it depends on the time of day.

    ``settle_s``: before the second try, and between looks. ``late_s``: for a write that was not seen to arrive.
    ``back_s``: how long putting back is tried where it fails in passing. ``mark_s``: between marking a function and
    looking whose mark it has; a run that looked before that one was there may have written its own for as long as
    a request takes, see ``hold``. ``note_s``: how long putting back may take before the user is told. Once ``hurry`` is
    set, nothing is tried again or waited for any more; a request that is under way is, to its own end.
    """

    settle_s: float = 1.0
    late_s: float = LATE_S
    back_s: float = 60.0
    mark_s: float = LATE_S + 6.0
    note_s: float = 2.0
    clock: Clock = monotonic_ns
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    hurry: asyncio.Event | None = None

    @property
    def hurried(self) -> bool:
        """Whether nothing is to be waited for any more."""
        return self.hurry is not None and self.hurry.is_set()

    async def pause(self, seconds: float) -> bool:
        """Wait before something is done again; False, and at once, where it is not to be: there is a hurry."""
        if self.hurry is None:
            await self.sleep(seconds)
            return True
        if self.hurry.is_set():
            return False
        ends = [asyncio.ensure_future(self.sleep(seconds)), asyncio.ensure_future(self.hurry.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return not self.hurry.is_set()

    def after_ns(self, seconds: float) -> int:
        """The instant so many seconds from now."""
        return self.clock() + round(seconds * 1e9)


class Platform(Protocol):
    """What can be read and written of a platform; see ``client.Control``."""

    async def read(self, resource: Resource) -> dict[str, Any]:
        """What there is now, without what the platform derives. Raises ControlError."""

    async def write(self, resource: Resource, wanted: Document) -> None:
        """Make it so. Raises ControlError."""


async def read(
    platform: Platform, resource: Resource, patience: Patience, until_ns: int | None = None
) -> dict[str, Any]:
    """What there is now.

    Raises ControlError when it cannot be read three times in a row, and not until ``until_ns`` either, or once and
    there is a hurry.
    """
    for pause_s in _pauses(patience, until_ns):
        try:
            return await platform.read(resource)
        except ControlError as error:
            if not error.passing or not await patience.pause(pause_s):
                raise
    return await platform.read(resource)


async def write(
    platform: Platform,
    resource: Resource,
    now: Document,
    edits: Sequence[Edit],
    patience: Patience,
    until_ns: int | None = None,
) -> dict[str, Any]:
    """Write these edits into what there is now; what the platform was told to hold.

    Raises ControlError when it refuses, when it failed three times and the setting is as it was, or when that has
    become something else meanwhile. With ``until_ns`` something is put back: it is tried until then, and what is
    refused because it is back already, as a write of a killed process may bring about, is back. Where there is a hurry
    the first failure stands, ``unsure`` as it may be.
    """
    wanted = edited(now, [(edit.path, edit.after) for edit in edits])
    pauses = _pauses(patience, until_ns)
    failed: ControlError | None = None
    tries = 0
    while True:
        tries += 1
        try:
            await platform.write(resource, wanted)
        except ControlError as error:
            if not error.passing and failed is None and until_ns is None:
                raise
            failed = error
        else:
            return wanted
        pause_s = next(pauses, None)
        if not await patience.pause(patience.settle_s if pause_s is None else pause_s):
            raise failed
        for_s = patience.late_s if failed.unsure else 0.0
        try:
            held = await _looked(platform, resource, now, edits, patience, for_s, until_ns)
        except ControlError as error:
            error.unsure = error.unsure or failed.unsure
            raise
        if held is None:
            raise failed
        if holds(held, edits):
            return wanted
        if not failed.passing or any(differences(now, held)):
            raise failed
        if pause_s is None:
            break
    raise ControlError(
        f"{failed}. It was tried {tries} times, and nothing has changed",
        status=failed.status,
        code=failed.code,
        passing=True,
    ) from failed


async def _looked(
    platform: Platform,
    resource: Resource,
    now: Document,
    edits: Sequence[Edit],
    patience: Patience,
    for_s: float,
    until_ns: int | None,
) -> dict[str, Any] | None:
    """What there is now, looked at until it holds the edits or is otherwise than it was, or for so long.

    None where there was a hurry before that.
    """
    lost_ns = patience.after_ns(for_s)
    while True:
        held = await read(platform, resource, patience, until_ns)
        if holds(held, edits) or any(differences(now, held)):
            return held
        left_s = (lost_ns - patience.clock()) / 1e9
        if left_s <= 0:
            return held
        if not await patience.pause(min(patience.settle_s, left_s)):
            return None


async def settled(
    platform: Platform,
    resource: Resource,
    edits: Sequence[Edit],
    patience: Patience,
    until_ns: int | None = None,
) -> dict[str, Any]:
    """What the platform holds after a write: looked at until it holds these edits, or for a few seconds."""
    now: dict[str, Any] = {}
    for pause in _LOOKS:
        await patience.sleep(pause * patience.settle_s)
        now = await read(platform, resource, patience, until_ns)
        if holds(now, edits):
            break
    return now


def _pauses(patience: Patience, until_ns: int | None) -> Iterator[float]:
    """The pauses between tries, in s."""
    for pause in _PAUSES:
        yield pause * patience.settle_s
    more = iter(_MORE_PAUSES)
    while until_ns is not None and patience.clock() < until_ns:
        yield next(more, _MORE_PAUSES[-1]) * patience.settle_s
