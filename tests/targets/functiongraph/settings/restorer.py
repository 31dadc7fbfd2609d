"""``loadgen restore`` with the short waits of a server on this machine.

``python -m tests.targets.functiongraph.settings.restorer DIRECTORY``; its exit code is 1 where not everything is as it
was.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from loadgen.targets.functiongraph.settings.journalfile import JournalFile, journals
from loadgen.targets.functiongraph.settings.restore import put_back
from loadgen.targets.functiongraph.settings.undo import Undoing
from tests.targets.functiongraph.settings.entries import QUICK


async def restore(directory: Path) -> list[Undoing]:
    """Put back what every journal in the directory says."""
    undone: list[Undoing] = []
    for path in journals(directory):
        if (taken := JournalFile.take(path)) is not None:
            with taken[0] as journal:
                undone += await put_back(journal, taken[1].begun, None, patience=QUICK)
                journal.finish()
    return undone


if __name__ == "__main__":
    sys.exit(any(each.fault is not None for each in asyncio.run(restore(Path(sys.argv[1])))))
