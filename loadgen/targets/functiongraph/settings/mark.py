"""The mark on a function: a variable in its environment that says which run holds it, for every other to see.

It is the first thing that a run changes and the last that is put back, so where there is none, no run on any machine
has changed the function, and what it holds may be taken for the original. Its value is unlike any other's, as a run's
id is. Nothing in it is acted upon, the time least of all: it is for people.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any, Final

from loadgen.targets.functiongraph.settings.edit import Document, Path, at
from loadgen.targets.functiongraph.settings.journal import Begun, Change, Entry, Resource
from loadgen.targets.functiongraph.settings.outstanding import Value

MARK: Final[Path] = ("user_data", "LOADGEN_HELD_BY")
NAME: Final = MARK[-1]


def mark_text(begun: Begun) -> str:
    """What a run marks a function with."""
    return f"loadgen run {begun.run}, process {begun.pid} on {socket.gethostname()}, since {begun.started_at}"


def marked(config: Document) -> str | None:
    """Whose mark a config has, as people may read it; None when it has none."""
    found = at(config, MARK)
    return None if not isinstance(found, str) or not found else found


def own_marks(entries: Sequence[Entry], function: Resource) -> frozenset[str]:
    """The marks that a journal says were made on the function of a resource."""
    made = (entry for entry in entries if isinstance(entry, Change) and entry.resource.owner == function.owner)
    edits = (edit for entry in made for edit in entry.edits)
    return frozenset(mark for edit in edits if (mark := _mark_in(edit.path, edit.after)) is not None)


def is_mark(value: Value) -> bool:
    """Whether this part of a config is the mark, or all variables of a function that had none."""
    return any(_mark_in(value.path, ours) is not None for ours in value.ours)


def variables(text: Any) -> dict[str, str]:
    """The variables in the text that holds all of a function's; none where it is no such text."""
    try:
        found = json.loads(text) if isinstance(text, str) and text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _mark_in(path: Path, value: Any) -> str | None:
    if path == MARK:
        return value if isinstance(value, str) else None
    return variables(value).get(NAME) if path == MARK[:1] else None
