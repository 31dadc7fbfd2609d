"""Student's t law: its distribution function and quantiles.

With I the regularised incomplete beta function, P(|T| > t) = I(ν/2, 1/2) at ν/(ν + t²). I is computed from its
continued fraction by the modified Lentz method.
Sources: NIST Digital Library of Mathematical Functions, 8.17.22 (the fraction), 8.17.4 (the reflection); W. J. Lentz,
Applied Optics 15 (1976) 668, as modified by I. J. Thompson and A. R. Barnett, 1986.
"""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300


def two_sided(t: float, freedom: float) -> float:
    """P(|T| ≥ |t|) for T of Student's law with ``freedom`` > 0 degrees of freedom."""
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


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


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the share of a beta law with these parameters that lies below x."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction of the other side converges faster
        return 1 - _incomplete_beta(1 - x, b, a)
    scale = math.exp(
        a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) - math.log(a)
    )
    c, d = 1.0, 1 / (_apart(1 - (a + b) * x / (a + 1)))
    fraction = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _apart(1 + term * d)
            c = _apart(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return scale * fraction


def _apart(value: float) -> float:
    """The value, kept apart from zero, by which is divided."""
    return value if abs(value) > _TINY else _TINY
