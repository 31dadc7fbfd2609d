"""The studentised range: by how much the largest of several equal means exceeds the smallest, by chance.

Of k independent standard normal values the range is at most r with probability W(r) = k ∫ φ(z) (Φ(z) - Φ(z - r))ᵏ⁻¹ dz.
Divided by an estimate s of the standard deviation with ν degrees of freedom, it is at most q with probability
∫ f(s) W(q·s) ds, f being the density of √(χ²/ν). Both integrals are sums over grids.

Whatever two of k means are compared, after whatever look at them, their difference is within q/√2 of its standard
errors of the true one for all pairs at once (J. W. Tukey, The Problem of Multiple Comparisons, 1953); with unequal
standard errors that is conservative (A. J. Hayter, Ann. Statist. 12 (1984), on the conjecture of C. Y. Kramer).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TABLE = np.linspace(-9, 9, 18_001)
_NORMAL: Floats = np.array([math.erf(z / math.sqrt(2)) for z in _TABLE]) / 2 + 0.5
_Z = np.linspace(-8, 8, 161)
_DENSITY: Floats = np.exp(-(_Z**2) / 2) / math.sqrt(2 * math.pi) * (_Z[1] - _Z[0])
_STEPS, _FINE_STEPS = 61, 1001  # few degrees of freedom reach far


@lru_cache(maxsize=4096)
def above(q: float, means: int, freedom: float) -> float:
    """P(Q > q) of ``means`` ≥ 2 equal means, their deviation estimated with ``freedom`` > 0 degrees of freedom."""
    spread = 1 / math.sqrt(2 * freedom)
    s = np.linspace(max(1e-3, 1 - 8 * spread), 1 + 9 * spread, _STEPS if freedom > 5 else _FINE_STEPS)
    log = (freedom - 1) * np.log(s) - freedom * s**2 / 2
    weights = np.exp(log - log.max())
    within = _normal(_Z)[None, :] - _normal(_Z[None, :] - q * s[:, None])
    below = means * (_DENSITY[None, :] * within ** (means - 1)).sum(axis=1)
    return float(min(1.0, max(0.0, 1 - (weights * below).sum() / weights.sum())))


@lru_cache(maxsize=1024)
def quantile(alpha: float, means: int, freedom: float) -> float:
    """The q that is exceeded with probability ``alpha``, 0 < alpha < 1."""
    low, high = 0.0, 4.0
    while above(high, means, freedom) > alpha:
        low, high = high, high * 2
    for _ in range(36):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle, means, freedom) > alpha else (low, middle)
    return (low + high) / 2


def _normal(z: Floats) -> Floats:
    found: Floats = np.interp(z, _TABLE, _NORMAL)
    return found
