from __future__ import annotations

import math
from fractions import Fraction

from loadgen.load.curve import Inverse, RateLaw, starts
from loadgen.text.units import Rate


class RampRate(RateLaw, frozen=True, tag="ramp"):
    """Open model: the rate changes linearly from ``start`` to ``end`` over the phase."""

    start: Rate
    end: Rate

    def curve(self, duration_ns: int) -> tuple[Fraction, Inverse]:
        """See RateLaw.

        Solves a·t + b·t²/2 = n for t, in the form that loses no digits: t = 2n / (a + √(a² + 2bn)).
        """
        a = self.start.events / self.start.per_ns
        b = (self.end.events / self.end.per_ns - a) / duration_ns

        def inverse(n: float) -> int:
            return int(2 * n / (a + math.sqrt(max(0.0, a * a + 2 * b * n)))) if n else 0

        return (starts(self.start, duration_ns) + starts(self.end, duration_ns)) / 2, inverse

    def peak_rate(self) -> float:
        """See Law."""
        return max(self.start.per_s, self.end.per_s)

    def words(self) -> str:
        """See Law."""
        return f"{self.start} to {self.end}"
