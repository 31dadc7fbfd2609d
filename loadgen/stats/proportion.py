"""The exact interval of a share.

Source: C. J. Clopper, E. S. Pearson, The Use of Confidence or Fiducial Limits, 1934.
"""

from __future__ import annotations

from loadgen.stats.beta import incomplete


def proportion(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a binomial proportion, k of n ≥ 1, which need not be whole."""
    alpha = (1 - confidence) / 2
    low = 0.0 if k == 0 else _beta_quantile(alpha, k, n - k + 1)
    high = 1.0 if k == n else _beta_quantile(1 - alpha, k + 1, n - k)
    return low, high


def _beta_quantile(q: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if incomplete(middle, a, b) < q else (low, middle)
    return (low + high) / 2
