"""Systems that no estimator assumes: each with what has to hold there, be it coverage, few errors, or saying nothing.

Truths here are drawn by laws that share no code with the estimators, and were chosen to be unlike those that these
were made for: contaminated, drifting, clustered, seasonal, of several modes, with queues, not monotone.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from tests.simulate.table import Row

PARTS = ("tails", "sizes", "starts", "lifetimes", "rates")


def rows(*, quick: bool) -> Iterator[Row]:
    """The lines of the table."""
    for part in PARTS:
        yield from importlib.import_module(f"tests.simulate.adversaries.{part}").rows(quick=quick)
