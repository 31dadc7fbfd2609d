from __future__ import annotations

import gc
import os
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from loadgen.build import COMPILED, build

# how long an example takes is the machine's business; make soak looks at more of them
for name, examples in (("quick", 50), ("thorough", 500)):
    settings.register_profile(name, deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")

# hundreds of processes that tests start would each compile all of loadgen anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_report_header() -> str:
    return f"loadgen build: {build()}"


def pytest_sessionstart() -> None:
    """Tests of a compiled module that is older than its source would say nothing about the source."""
    for name in COMPILED:
        spec = find_spec(name)
        if spec is None or spec.origin is None or spec.origin.endswith(".py"):
            continue
        compiled = Path(spec.origin)
        stem = compiled.name.partition(".")[0]
        sources = [compiled.with_name(stem + suffix) for suffix in (".py", ".pxd", ".pyx")]
        if any(source.exists() and source.stat().st_mtime > compiled.stat().st_mtime for source in sources):
            pytest.exit(f"{compiled} is older than its source: make test builds it anew", 4)


def pytest_collection_finish() -> None:
    """What the collection made stays: no garbage collection is to walk through it again and again."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the tests of whole runs, which mostly wait, evenly among the others, which compute.

    Each worker begins with a stretch of the list; with all runs in one stretch the others would be long done. So it is
    with those of more than some 10 s, which are allowed more time than others.
    """
    parts: dict[tuple[bool, bool], list[pytest.Item]] = defaultdict(list)
    for item in items:
        parts["e2e" in item.path.parts, item.get_closest_marker("timeout") is not None].append(item)
    spread = [((index + 0.5) / len(part), item) for part in parts.values() for index, item in enumerate(part)]
    items[:] = [item for _, item in sorted(spread, key=lambda entry: entry[0])]
