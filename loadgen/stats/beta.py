"""The beta law's distribution function, on which Student's law and exact intervals of proportions rest.

I is computed from its continued fraction by the modified Lentz method.
Sources: NIST Digital Library of Mathematical Functions, 8.17.22 (the fraction), 8.17.4 (the reflection); W. J. Lentz,
Applied Optics 15 (1976) 668, as modified by I. J. Thompson and A. R. Barnett, 1986.
"""

from __future__ import annotations

import math

_TINY = 1e-300


def incomplete(x: float, a: float, b: float) -> float:
    """I_x(a, b), the share of a beta law with these parameters that lies below x."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction of the other side converges faster
        return 1 - incomplete(1 - x, b, a)
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
