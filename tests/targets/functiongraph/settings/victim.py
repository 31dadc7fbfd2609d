"""A process that changes a function and is killed on the way.

``python -m tests.targets.functiongraph.settings.victim URL DIRECTORY STEP``: at the given step (counted from 0 over
every journal entry and every request, each with the moment before and the moment after) it kills itself; with -1 it
goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.changes import Changes
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.journal import Begun, Entry
from loadgen.targets.functiongraph.settings.journalfile import JournalFile, begun
from tests.servers.management import HELLO, PROJECT
from tests.targets.functiongraph.settings.entries import QUICK


class Fuse:
    """Kills this process at a step."""

    def __init__(self, step: int) -> None:
        self._left = step

    def burn(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


class DoomedControl(Control):
    """Dies before or after a request."""

    fuse: Fuse

    async def _exchange(self, method: str, path: str, body: Mapping[str, object] | None) -> bytes:
        self.fuse.burn()
        answer = await super()._exchange(method, path, body)
        self.fuse.burn()
        return answer


class DoomedJournal(JournalFile):
    """Dies before or after an entry."""

    fuse: Fuse

    def append(self, entry: Entry) -> None:
        if isinstance(entry, Begun):
            return super().append(entry)
        self.fuse.burn()
        super().append(entry)
        return self.fuse.burn()


async def main(url: str, directory: Path, step: int) -> None:
    fuse = Fuse(step)

    def journal() -> JournalFile:
        made = DoomedJournal.create(directory, begun("victim", scenario=None, emulated=False))
        assert isinstance(made, DoomedJournal)
        made.fuse = fuse
        return made

    control = DoomedControl(url, PROJECT, Nobody())
    control.fuse = fuse
    async with control, Changes(control, control.resource(HELLO), journal, patience=QUICK) as changes:
        await changes.config({("memory_size",): 512, ("user_data", "LOADGEN_RUN"): "1"})
        await changes.config({("user_data", "LOADGEN_RUN"): "2"})
        await changes.config({("memory_size",): 1024, ("timeout",): 60})
        await changes.config({("user_data", "LOADGEN_RUN"): "3", ("strategy_config", "concurrent_num"): 5})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
