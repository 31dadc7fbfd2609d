"""The clock as an object, for the hot path; in C in the compiled build (``monotonic.pyx``)."""

from __future__ import annotations

import time


class Monotonic:
    """``clock.monotonic_ns``; tests and simulations replace it."""

    __slots__ = ()

    def now(self) -> int:
        """Monotonic ns."""
        return time.monotonic_ns()
