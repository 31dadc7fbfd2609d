"""Student's t law: its distribution function and quantiles.

With I the incomplete beta function (``beta``), P(|T| > t) = I(ν/2, 1/2) at ν/(ν + t²).
"""

from __future__ import annotations

from functools import lru_cache

from loadgen.stats.beta import incomplete


def two_sided(t: float, freedom: float) -> float:
    """P(|T| ≥ |t|) for T of Student's law with ``freedom`` > 0 degrees of freedom."""
    square = t * t
    if square < 1:  # where ν/(ν + t²) would lose the digits of t
        return 1 - incomplete(square / (freedom + square), 0.5, freedom / 2)
    return incomplete(freedom / (freedom + square), freedom / 2, 0.5)


@lru_cache(maxsize=4096)
def quantile(q: float, freedom: float) -> float:
    """The value that T stays below with probability ``q``, 0 < q < 1."""
    if q < 0.5:
        return -quantile(1 - q, freedom)
    tail, low, high = 2 * (1 - q), 0.0, 1.0
    while two_sided(high, freedom) > tail:
        low, high = high, high * 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > tail else (low, middle)
    return (low + high) / 2
