"""What a call costs, for comparisons: without free tiers, and without rounding to the smallest coin."""

from __future__ import annotations

from msgspec import Struct

from loadgen.invocation.bill import PriceBook


class Rates(Struct, frozen=True):
    """What a call costs: ``per_gb_s`` for each GB-second billed and ``per_call``; ``unit`` is the currency."""

    unit: str
    per_gb_s: float
    per_call: float

    def cost(self, memory_mb: int, billed_ns: float) -> float:
        """The cost of one call; of the mean of several, the mean cost."""
        return self.per_call + self.more(memory_mb, billed_ns)

    def more(self, memory_mb: int, billed_ns: float) -> float:
        """What it costs that a call is billed for so much longer."""
        return self.per_gb_s * memory_mb / 1024 * billed_ns / 1e9


GB_SECONDS = Rates("GB-s", 1.0, 0.0)
"""The rates where there are no prices."""


def rates(book: PriceBook | None) -> Rates:
    """The rates of a price book, if there is one."""
    if book is None:
        return GB_SECONDS
    return Rates(book.currency, float(book.per_gb_second), float(book.per_million_requests) / 1e6)
