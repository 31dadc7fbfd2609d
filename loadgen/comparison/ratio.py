"""The interval of a ratio of two figures, each of which has an interval of its own.

Theory of operation. Of two figures a and b with intervals that are not symmetric, the interval of log b - log a is
recovered from the distances of each to its own limits (MOVER): its lower distance is the root of the sum of squares of
b's lower and a's upper one, and so the other way round. Nothing is assumed of the law of the times. What such an
interval needs of a percentile is in the Summary already, with its dependence.

A comparison has many rows, and is wrong if one of them is. So the distances, which are those of 95 %, are stretched to
the level at which all ``rows`` hold at once (Bonferroni): by z(1 - 0.025/rows) / z(0.975). Rows go together, so that
they hold at once more often than that.

Of shares the limits are Wilson's at that level, and those of the ratio follow from them in closed form (MOVER-R), also
where there is nothing in one run. That interval contains 1 where Newcombe's interval of the difference contains 0, as
both are made of the same distances.

What moves a whole run (``Spread``) moves all its rows together, and is no matter of their number: its 95 % half-width
is added as a square, as it is independent of which calls were drawn.

Sources: G. Y. Zou and A. Donner, Construction of Confidence Limits About Effect Measures: A General Approach, 2008
(MOVER, also on logarithms); A. Donner and G. Y. Zou, Closed-Form Confidence Intervals for Functions of the Normal Mean
and Standard Deviation, 2012 (MOVER-R); R. G. Newcombe, Interval Estimation for the Difference Between Independent
Proportions, 1998 (method 10); E. B. Wilson, Probable Inference, 1927.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

Z = NormalDist().inv_cdf(0.975)
"""What the limits of one interval of 95 % are from its middle, in standard deviations."""


class Estimate(NamedTuple):
    """A figure above 0 and its interval of 95 %; ``low`` 0 and ``high`` infinite where there is no such limit."""

    value: float
    low: float
    high: float


class Share(NamedTuple):
    """``part`` of ``whole`` > 0 calls, which say as much as ``whole`` / ``inflation`` independent ones."""

    part: int
    whole: int
    inflation: float = 1.0

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.part / self.whole


class Ratio(NamedTuple):
    """New over base, and its interval. ``value`` is None where base is 0; ``high`` infinite where nothing bounds it."""

    value: float | None
    low: float
    high: float


def z_of(rows: int) -> float:
    """How many standard deviations the limits are away at which that many rows hold at once in 95 %."""
    return NormalDist().inv_cdf(1 - 0.025 / max(1, rows))


def estimate(value: float, low: float, high: float) -> Estimate:
    """An Estimate of limits that may have been rounded past their figure."""
    return Estimate(value, max(0.0, min(low, value)), max(high, value))


def of_variation(value: float, variance: float) -> Estimate:
    """A figure whose logarithm has this variance."""
    width = math.exp(min(700.0, Z * math.sqrt(variance)))
    return Estimate(value, value / width, value * width)


def of_estimates(base: Estimate, new: Estimate, z: float, run: float = 0.0) -> Ratio:
    """New over base at ``z`` standard deviations; ``run`` is the 95 % half-width of what moves a run, in logarithms."""
    value = new.value / base.value
    middle = math.log(value)
    below = math.hypot(_log(new.value, new.low), _log(base.high, base.value))
    above = math.hypot(_log(new.high, new.value), _log(base.value, base.low))
    low = _exp(middle - math.hypot(below * z / Z, run))
    high = _exp(middle + math.hypot(above * z / Z, run))
    return Ratio(value, min(low, value), max(high, value))


def of_shares(base: Share, new: Share, z: float) -> Ratio:
    """New over base at ``z`` standard deviations."""
    p1, (l1, u1) = base.value, wilson(base, z)
    p2, (l2, u2) = new.value, wilson(new, z)
    value = p2 / p1 if p1 else None
    return Ratio(value, _root(p1, p2, l2, u1, -1), math.inf if l1 == 0 else _root(p1, p2, u2, l1, 1))


def difference(base: Share, new: Share, z: float) -> tuple[float, float]:
    """The limits of new - base at ``z`` standard deviations."""
    (l1, u1), (l2, u2) = wilson(base, z), wilson(new, z)
    middle = new.value - base.value
    return (
        middle - math.hypot(new.value - l2, u1 - base.value),
        middle + math.hypot(u2 - new.value, base.value - l1),
    )


def wilson(share: Share, z: float) -> tuple[float, float]:
    """The limits of a share at ``z`` standard deviations."""
    n, p = share.whole / share.inflation, share.value
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if not share.part else (middle - half) / scale
    return max(0.0, low), 1.0 if share.part == share.whole else min(1.0, (middle + half) / scale)


def _root(p1: float, p2: float, limit2: float, limit1: float, sign: int) -> float:
    """A limit of p2 / p1: where the interval of p2 - R p1 has 0 for a limit."""
    across = limit1 * (2 * p1 - limit1)
    square = (p1 * p2) ** 2 - limit2 * (2 * p2 - limit2) * across
    if across == 0:  # a limit twice as large as the share: the equation is of the first degree
        return limit2 * (2 * p2 - limit2) / (2 * p1 * p2) if p2 else 0.0
    return max(0.0, (p1 * p2 + sign * math.sqrt(max(0.0, square))) / across)


def _log(larger: float, smaller: float) -> float:
    """The distance of two figures in logarithms; infinite where one is no limit."""
    return math.inf if smaller <= 0 or math.isinf(larger) else math.log(larger / smaller)


def _exp(x: float) -> float:
    return math.inf if x > 700 else math.exp(x)
