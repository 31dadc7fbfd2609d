"""What is counted of many invocations."""

from __future__ import annotations

from msgspec import Struct


class Connections(Struct):
    """Connection events of an interval. ``reused`` counts invocations on a connection that had answered before."""

    opened: int = 0
    reused: int = 0
    closed_idle: int = 0
    failed: int = 0

    def add(self, other: Connections) -> None:
        """Add the counts of another interval."""
        self.opened += other.opened
        self.reused += other.reused
        self.closed_idle += other.closed_idle
        self.failed += other.failed
