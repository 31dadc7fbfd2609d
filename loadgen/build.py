"""Which build this is: the hot path compiled to C, or the same modules as pure Python.

The compiled modules lie beside their Python sources under the same names, so an import takes whichever is there.
``LOADGEN_PURE=1`` hides them from a process and its children.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType

COMPILED = (
    "loadgen.engine.connection",
    "loadgen.engine.invoker",
    "loadgen.engine.kernel",
    "loadgen.engine.monotonic",
    "loadgen.engine.requests",
    "loadgen.engine.tls",
    "loadgen.engine.workers",
    "loadgen.invocation.facts",
    "loadgen.measure.counts",
    "loadgen.measure.packed",
    "loadgen.measure.recorder",
    "loadgen.targets.functiongraph.protocol.quick",
    "loadgen.targets.quick",
)
"""The modules of the hot path, all of which are compiled or none."""


def build() -> str:
    """``compiled`` or ``pure``."""
    spec = find_spec(COMPILED[0])
    return "pure" if spec is None or (spec.origin or "").endswith(".py") else "compiled"


def hide_compiled() -> None:
    """From now on import the modules of the hot path from their Python sources."""
    sys.meta_path.insert(0, _SourcesOnly)


class _SourcesOnly:
    """See importlib.abc.MetaPathFinder."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in COMPILED or path is None:
            return None
        finders = (FileFinder(entry, (SourceFileLoader, SOURCE_SUFFIXES)) for entry in path)
        return next((spec for finder in finders if (spec := finder.find_spec(name))), None)
