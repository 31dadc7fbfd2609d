from __future__ import annotations

from typing import Annotated, Self

from msgspec import field

from loadgen.load.law import Law
from loadgen.text.form import Count, doc


class Workers(Law, frozen=True, tag="workers"):
    """A number of workers that changes linearly.

    Closed model: they invoke back to back; from ``start`` to ``end`` of them.
    """

    closed = True

    start: Annotated[Count, doc("Workers at the start.")] = field(name="from")
    end: Annotated[Count, doc("Workers at the end.")] = field(name="to")

    def spans(self, duration_ns: int) -> list[tuple[int, int]]:
        """See Law. A ramp gives every number of workers an equal share of the phase."""
        low, high = sorted((self.start, self.end))
        levels = high - low + 1
        edges = [max(0, worker - low + 1) * duration_ns // levels for worker in range(high)]
        if self.start <= self.end:
            return [(edge, duration_ns) for edge in edges]
        return [(0, duration_ns - edge) for edge in edges]

    def at_once(self) -> int:
        """See Law."""
        return max(self.start, self.end)

    def mean_workers(self) -> float | None:
        """See Law."""
        return (self.start + self.end) / 2

    def capped(self, most: int) -> Self:
        """See Law."""
        return type(self)(min(self.start, most), min(self.end, most))

    def words(self) -> str:
        """See Law."""
        return f"{self.start} workers" if self.start == self.end else f"{self.start} to {self.end} workers"

    def demand(self, needed: int, service_ns: float) -> str:
        """See Law."""
        return f"{needed} workers call at once"
