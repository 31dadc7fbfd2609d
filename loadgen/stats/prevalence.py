"""How many were cold, when some are taken for the other kind.

Of n labelled invocations k are called cold. Sensitivity Se is the chance that a cold one is called cold, specificity Sp
that a warm one is called warm. The share k/n then estimates Se·π + (1 - Sp)·(1 - π) rather than the share π of cold
ones; solving for π is the Rogan-Gladen estimator.

Sources: W. J. Rogan, B. Gladen, Estimating Prevalence from the Results of a Screening Test, 1978; Z. Lang,
J. Reiczigel, Confidence Limits for Prevalence of Disease Adjusted for Estimated Sensitivity and Specificity, 2014;
C. J. Clopper, E. S. Pearson, The Use of Confidence or Fiducial Limits, 1934; for the incomplete beta function the
continued fraction of W. H. Press et al., Numerical Recipes, section 6.4.
"""

from __future__ import annotations

import math

from loadgen.measure.experiment import Figure

_Z = 1.959963984540054


def share(cold: int, labelled: int, sensitivity: float = 1.0, specificity: float = 1.0) -> Figure | None:
    """The share of cold invocations with its exact 95 % interval; None without any, or where labels say nothing.

    ``sensitivity`` and ``specificity`` are taken as known.
    """
    youden = sensitivity + specificity - 1
    if not labelled or youden <= 0:
        return None

    def corrected(called: float) -> float:
        return min(1.0, max(0.0, (called + specificity - 1) / youden))

    low, high = proportion(cold, labelled)
    return Figure(corrected(cold / labelled), corrected(low), corrected(high))


def share_estimated(cold: int, labelled: int, colds: tuple[int, int], warms: tuple[int, int]) -> Figure | None:
    """The same where both error rates were measured.

    ``colds`` are how many of how many invocations known to be cold were called cold, ``warms`` how many of how many
    known to be warm were called warm.
    """
    if not labelled or not colds[1] or not warms[1]:
        return None
    point = share(cold, labelled, colds[0] / colds[1], warms[0] / warms[1])
    n = labelled + _Z**2
    p = (cold + _Z**2 / 2) / n
    n_cold, n_warm = colds[1] + 2, warms[1] + 2
    se, sp = (colds[0] + 1) / n_cold, (warms[0] + 1) / n_warm
    youden = se + sp - 1
    if point is None or youden <= 0:
        return None
    centre = (p + sp - 1) / youden
    shift = 2 * _Z**2 * (centre * se * (1 - se) / n_cold - (1 - centre) * sp * (1 - sp) / n_warm)
    variance = p * (1 - p) / n + (1 - centre) ** 2 * sp * (1 - sp) / n_warm + centre**2 * se * (1 - se) / n_cold
    half = _Z / youden * math.sqrt(variance)
    return Figure(point.value, max(0.0, centre + shift - half), min(1.0, centre + shift + half))


def proportion(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a binomial proportion, k of n ≥ 1."""
    alpha = (1 - confidence) / 2
    low = 0.0 if k == 0 else _beta_quantile(alpha, k, n - k + 1)
    high = 1.0 if k == n else _beta_quantile(1 - alpha, k + 1, n - k)
    return low, high


def _beta_quantile(q: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta(middle, a, b) < q else (low, middle)
    return (low + high) / 2


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _continued(x, a, b) / a
    return 1 - front * _continued(1 - x, b, a) / b


def _continued(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by the modified Lentz algorithm."""
    tiny = 1e-300
    c = 1.0
    d = 1 / _nonzero(1 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _nonzero(1 + term * d, tiny)
            c = _nonzero(1 + term / c, tiny)
            value *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return value


def _nonzero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
