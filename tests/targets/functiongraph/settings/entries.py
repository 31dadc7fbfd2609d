"""Entries of journals for tests."""

from __future__ import annotations

from typing import Any

from loadgen.targets.functiongraph.settings.again import Patience
from loadgen.targets.functiongraph.settings.edit import Edit
from loadgen.targets.functiongraph.settings.journal import Begun, Change, Entry, Resource, line
from tests.servers import management
from tests.servers.management import HELLO, NOWHERE, PROJECT

QUICK = Patience(settle_s=0.05, late_s=0.3, back_s=0.5, mark_s=0.05, note_s=60.0)
"""For servers on this machine, whose requests take milliseconds."""

CONFIG = Resource(NOWHERE, PROJECT, HELLO.text)
OTHER = Resource(NOWHERE, PROJECT, management.OTHER.text)
BEGUN = Begun("run-1", 1, "2026-01-02T03:04:05Z")


def memory(number: int, before: Any, after: Any, resource: Resource = CONFIG) -> Change:
    """A change of the memory size."""
    return Change(number, resource, (Edit(("memory_size",), before, after),), {"memory_size": before, "timeout": 30})


def written(*entries: Entry) -> bytes:
    """The text of a journal."""
    return b"".join(map(line, entries))
