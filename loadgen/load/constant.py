from __future__ import annotations

from fractions import Fraction

from loadgen.load.curve import Inverse, RateLaw, starts
from loadgen.text.units import Rate


class ConstantRate(RateLaw, frozen=True, tag="constant"):
    """Open model: the same rate throughout."""

    rate: Rate

    def curve(self, duration_ns: int) -> tuple[Fraction, Inverse]:
        """See RateLaw."""
        rate = self.rate
        return starts(rate, duration_ns), lambda x: int(x * rate.per_ns // rate.events)

    def peak_rate(self) -> float:
        """See Law."""
        return self.rate.per_s

    def words(self) -> str:
        """See Law."""
        return str(self.rate)
