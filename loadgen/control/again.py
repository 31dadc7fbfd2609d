"""Doing again what may have failed in passing: an answer of 5xx or 429, or none.

A read can be made again as it is. After a write that failed so, nobody knows whether it was carried out, so the setting
is read: where it holds what was wanted, the write arrived; where all of it is as it was, it is written again; where it
is neither, somebody else is at work, or the platform did half of it, and the failure stands. What the platform refuses
(4xx) is never asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from loadgen.control.document import Document, Edit, at, differences, edited, same
from loadgen.control.fault import ControlError
from loadgen.control.journal import Resource

SETTLE_S = 1.0
"""After this time, a change whose request was sent is taken to have arrived or to be lost."""
_PAUSES = (1, 3)
"""How many times that long to wait before the second and the third try."""


class Platform(Protocol):
    """What can be read and written of a platform; see ``client.Control``."""

    async def read(self, resource: Resource) -> dict[str, Any]:
        """What there is now, without what the platform derives; empty when there is none. Raises ControlError."""

    async def write(self, resource: Resource, now: Document, wanted: Document) -> None:
        """Make it so, given what there is now. Raises ControlError."""


async def read(platform: Platform, resource: Resource, settle_s: float = SETTLE_S) -> dict[str, Any]:
    """What there is now. Raises ControlError when it cannot be read three times in a row."""
    for pause in _PAUSES:
        try:
            return await platform.read(resource)
        except ControlError as error:
            if not error.passing:
                raise
        await asyncio.sleep(pause * settle_s)
    return await platform.read(resource)


async def write(
    platform: Platform, resource: Resource, now: Document, edits: Sequence[Edit], settle_s: float = SETTLE_S
) -> dict[str, Any]:
    """Write these edits into what there is now; what the platform was told to hold.

    Raises ControlError when it refuses, when it failed three times and the setting is as it was, or when that has
    become something else meanwhile.
    """
    wanted = edited(now, [(edit.path, edit.after) for edit in edits])
    failed: ControlError | None = None
    for pause in (*_PAUSES, 1):
        try:
            await platform.write(resource, now, wanted)
        except ControlError as error:
            if not error.passing and failed is None:
                raise
            failed = error
        else:
            return wanted
        await asyncio.sleep(pause * settle_s)
        held = await read(platform, resource, settle_s)
        if all(_holds(held, edit) for edit in edits):
            return wanted
        if not failed.passing or any(differences(now, held)):
            raise failed
    assert failed is not None
    raise ControlError(
        f"{failed}. It was tried {len(_PAUSES) + 1} times, and nothing has changed",
        status=failed.status,
        code=failed.code,
        passing=True,
    ) from failed


def _holds(now: Document, edit: Edit) -> bool:
    """Whether an edit has arrived; something that was made may hold more than was asked for."""
    found = at(now, edit.path)
    if not edit.path and isinstance(edit.after, dict) and edit.after:
        return all(same(found.get(key), value) for key, value in edit.after.items())
    return same(found, edit.after)
