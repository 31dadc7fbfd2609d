"""Laws with a rate that is known at every instant.

``starts(t)`` is the number of starts expected by time t, the integral of the rate; its inverse gives the instant at
which the n-th start falls due. Constant arrivals take the inverse at 0, 1, 2, …; a Poisson process of the same rate
takes it at the running sum of exponential variables of mean 1 (time rescaling: a Poisson process seen through its own
cumulative rate has rate 1. Source: Daley & Vere-Jones, An Introduction to the Theory of Point Processes, §7.4). So an
offset depends on n alone: a late wake-up can shift no later start, and no rounding adds up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import accumulate, count, takewhile

from loadgen.load.law import Arrivals, Chance, Law
from loadgen.text.units import Rate

Inverse = Callable[[float], int]
"""Expected number of starts so far → offset in ns."""


class RateLaw(Law, frozen=True):
    """A law that is a curve of rates."""

    def curve(self, duration_ns: int) -> tuple[Fraction, Inverse]:
        """The number of starts expected in all, exactly, and the inverse of the cumulative rate."""
        raise NotImplementedError

    def offsets(self, duration_ns: int, arrivals: Arrivals, chance: Chance) -> Iterator[int]:
        """See Law."""
        total, inverse = self.curve(duration_ns)
        last = duration_ns - 1
        if arrivals is Arrivals.POISSON:
            unit, end = chance(), float(total)
            positions = accumulate(unit.expovariate(1.0) for _ in count())
            return (min(inverse(x), last) for x in takewhile(lambda x: x < end, positions))
        return (min(inverse(n), last) for n in range(math.ceil(total)))

    def expected(self, duration_ns: int, arrivals: Arrivals) -> int:
        """See Law."""
        total, _ = self.curve(duration_ns)
        return round(total) if arrivals is Arrivals.POISSON else math.ceil(total)


def starts(rate: Rate, duration_ns: int) -> Fraction:
    """How many starts a rate makes in a time, exactly."""
    return Fraction(rate.events * duration_ns, rate.per_ns)
