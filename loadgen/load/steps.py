from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from itertools import accumulate

from loadgen.load.curve import Inverse, RateLaw, starts
from loadgen.text.units import Rate


class StepRates(RateLaw, frozen=True, tag="steps"):
    """Open model: each rate for an equal share of the phase; at least one."""

    rates: tuple[Rate, ...]

    def curve(self, duration_ns: int) -> tuple[Fraction, Inverse]:
        """See RateLaw."""
        rates = self.rates
        edges = [k * duration_ns // len(rates) for k in range(len(rates) + 1)]
        made = (starts(rate, b - a) for rate, a, b in zip(rates, edges, edges[1:], strict=False))
        before = list(accumulate(made, initial=Fraction(0)))
        floats = [float(x) for x in before]

        def inverse(n: float) -> int:
            # the last step that begins at or before n; steps of rate 0 have no width here and are passed over
            k = min(bisect_right(floats, n), len(rates)) - 1
            return edges[k] + int((n - floats[k]) * rates[k].per_ns / rates[k].events)

        return before[-1], inverse

    def peak_rate(self) -> float:
        """See Law."""
        return max(rate.per_s for rate in self.rates)

    def words(self) -> str:
        """See Law."""
        return ", ".join(map(str, self.rates))
