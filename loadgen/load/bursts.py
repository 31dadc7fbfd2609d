from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from loadgen.load.law import Arrivals, Chance, Law
from loadgen.text import units
from loadgen.text.form import Count, Duration, doc, without_unit


class Bursts(Law, frozen=True, rename=without_unit, tag="burst"):
    """Many starts at once, again after each gap.

    Open model: ``size`` starts at 0, ``gap_ns``, 2·``gap_ns``, …, ``repeat`` times.
    """

    until_idle = True

    size: Annotated[Count, doc("Starts at once.")]
    gap_ns: Annotated[Duration, doc("Time from one burst to the next.")]
    repeat: Annotated[Count, doc("Number of bursts; the phase lasts repeat times gap.")] = 1

    def offsets(self, duration_ns: int, arrivals: Arrivals, chance: Chance) -> Iterator[int]:
        """See Law."""
        return (n // self.size * self.gap_ns for n in range(self.size * self.repeat))

    def expected(self, duration_ns: int, arrivals: Arrivals) -> int:
        """See Law."""
        return self.size * self.repeat

    def at_once(self) -> int:
        """See Law."""
        return self.size

    def length_ns(self) -> int:
        """See Law."""
        return self.repeat * self.gap_ns

    def words(self) -> str:
        """See Law."""
        if self.repeat == 1:
            return f"a burst of {self.size}"
        return f"{self.repeat} bursts of {self.size}, {units.seconds(self.gap_ns)} apart"

    def demand(self, needed: int, service_ns: float) -> str:
        """See Law."""
        return f"a burst is {needed} calls at once"
