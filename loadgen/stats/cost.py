"""What a call costs, for comparisons: without free tiers, and without rounding to the smallest coin."""

from __future__ import annotations

from msgspec import Struct


class Rates(Struct, frozen=True):
    """What a call costs: ``per_gb_s`` for each GB-second billed and ``per_call``; ``unit`` is the currency."""

    unit: str
    per_gb_s: float
    per_call: float

    def cost(self, memory_mb: int, billed_ns: float) -> float:
        """The cost of one call; of the mean of several, the mean cost."""
        return self.per_call + self.per_gb_s * memory_mb / 1024 * billed_ns / 1e9


GB_SECONDS = Rates("GB-s", 1.0, 0.0)
"""The rates where there are no prices."""
