"""Cases side by side on all cores: they share nothing, and each has its own seed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def all_of(case: Callable[[Item], Result], items: Iterable[Item], what: str) -> list[Result]:
    """The results of ``case``, a function of a module, in the order of the items; progress goes to stderr."""
    wanted: Sequence[Item] = list(items)
    results: list[Result] = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for result in pool.map(case, wanted):
            results.append(result)
            sys.stderr.write(f"\r{what}: {len(results)} of {len(wanted)}")
            sys.stderr.flush()
    sys.stderr.write("\n")
    return results
