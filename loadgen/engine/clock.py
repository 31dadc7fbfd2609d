"""The one clock, and the seam that lets tests and simulations own it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Monotonic ns. In production ``monotonic_ns``; comparable between processes of one host, and what the timerfd runs
on.
"""

monotonic_ns: Clock = time.monotonic_ns


def unix_ms() -> int:
    """The time of day in whole milliseconds since 1970, as requests may tell it."""
    return time.time_ns() // 1_000_000


def unix_s() -> int:
    """The time of day in whole seconds since 1970: what signatures are dated with, and nothing is measured by."""
    return time.time_ns() // 1_000_000_000
