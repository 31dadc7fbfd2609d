"""How many were cold, when some are taken for the other kind.

Of n labelled invocations k are called cold. Sensitivity Se is the chance that a cold one is called cold, specificity Sp
that a warm one is called warm. The share k/n then estimates Se·π + (1 - Sp)·(1 - π) rather than the share π of cold
ones; solving for π is the Rogan-Gladen estimator.

Sources: W. J. Rogan, B. Gladen, Estimating Prevalence from the Results of a Screening Test, 1978; Z. Lang,
J. Reiczigel, Confidence Limits for Prevalence of Disease Adjusted for Estimated Sensitivity and Specificity, 2014.
"""

from __future__ import annotations

import math

from loadgen.measure.figure import Figure
from loadgen.stats.proportion import proportion

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
