"""How long a cold start takes: named distributions, read from published measurements.

Each profile is seven quantiles in seconds, read from the distribution plots in the repository
``sir-lab/data-release`` (``src/demo_cold_start.ipynb``, reading error 5-8 %), the data behind "Serverless Cold Starts
and Where to Find Them" (EuroSys 2025, arXiv 2410.06145): 11.9 million cold starts of one provider's five regions in
31 days. ``r1`` to ``r5`` are whole regions, ``r2-*`` one runtime in region 2.

Theory of operation. A single log-normal law per runtime understates both body and tail, so the quantiles are kept and
joined: with x = Φ⁻¹(q) and y = ln t, y(x) is the monotone cubic interpolation through the seven points (PCHIP). A
log-normal law would be a straight line there; hence the ends continue as straight lines, with the slope of the
outermost segment but at most ``MAX_SLOPE_BELOW`` (the 1 % quantile is no less than half the 10 % one) and
``MAX_SLOPE_ABOVE`` (the 99.9 % quantile is no more than four times the 99 % one). The ends are a modelling choice: no
published figure covers them.
Source of the interpolation: F. N. Fritsch, J. Butland, "A method for constructing local monotone piecewise cubic
interpolants", SIAM J. Sci. Stat. Comput. 5 (1984), with the three-point end slopes of scipy's PchipInterpolator.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from random import Random
from statistics import NormalDist
from typing import Final

PROBABILITIES: Final = (0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99)
"""What the columns of ``QUANTILES_S`` are the quantiles of."""

QUANTILES_S: Final[dict[str, tuple[float, ...]]] = {
    "r1": (0.51, 0.90, 2.09, 3.7, 7.7, 16.0, 38.0),
    "r2": (0.23, 0.47, 0.81, 1.65, 9.6, 10.9, 13.6),
    "r3": (0.023, 0.026, 0.098, 0.27, 0.42, 0.54, 1.0),
    "r4": (0.068, 0.28, 0.88, 1.7, 2.6, 6.2, 10.4),
    "r5": (0.11, 0.21, 0.44, 0.62, 1.45, 3.7, 7.4),
    "r2-python3": (0.22, 0.46, 0.69, 1.48, 2.1, 2.6, 7.9),
    "r2-nodejs": (0.17, 0.69, 1.16, 1.33, 1.76, 2.3, 9.8),
    "r2-java": (0.20, 0.52, 0.72, 1.02, 1.45, 2.1, 10.2),
    "r2-python2": (0.29, 0.39, 0.49, 0.72, 0.86, 1.0, 6.3),
    "r2-go": (0.51, 0.57, 0.61, 0.69, 0.84, 0.94, 1.36),
    "r2-php": (0.32, 0.35, 0.39, 0.45, 0.57, 0.66, 0.94),
    "r2-csharp": (0.57, 0.61, 0.72, 0.81, 0.92, 1.07, 3.9),
    "r2-http": (0.27, 10.2, 10.4, 10.9, 11.1, 11.6, 12.7),
    "r2-custom": (10.2, 10.7, 10.9, 11.1, 14.0, 15.0, 21.0),
}
"""Cold start quantiles in seconds, by profile; strictly increasing."""

NO_COLD_START: Final = "none"
"""The profile of instances that start in no time."""

PROFILES: Final = (*QUANTILES_S, NO_COLD_START)
"""Every name that a function's ``cold_start`` may have."""

MAX_SLOPE_BELOW: Final = 0.66
MAX_SLOPE_ABOVE: Final = 1.81

_STANDARD_NORMAL = NormalDist()
_KNOTS = tuple(_STANDARD_NORMAL.inv_cdf(q) for q in PROBABILITIES)


def standard_normal(random: Random) -> float:
    """One draw from the standard normal law, by inversion.

    Of Random's methods only ``random()`` is documented to give the same sequence on every Python version; so every draw
    of the platform model starts from it. Zero, which has no normal quantile, is taken as the smallest positive draw.
    """
    return _STANDARD_NORMAL.inv_cdf(random.random() or 2.0**-53)


class ColdStartLaw:
    """The law of one profile: seconds as a function of a standard normal deviate."""

    __slots__ = ("_above", "_below", "_knots_y", "_slopes")

    def __init__(self, quantiles_s: tuple[float, ...]) -> None:
        """``quantiles_s`` are the quantiles at PROBABILITIES: seconds, positive, strictly increasing."""
        self._knots_y = tuple(math.log(seconds) for seconds in quantiles_s)
        secants = _secants(_KNOTS, self._knots_y)
        self._slopes = _pchip_slopes(_KNOTS, secants)
        self._below = min(secants[0], MAX_SLOPE_BELOW)
        self._above = min(secants[-1], MAX_SLOPE_ABOVE)

    def seconds(self, deviate: float) -> float:
        """The quantile at Φ(deviate), in seconds."""
        return math.exp(self._log_seconds(deviate))

    def draw_s(self, random: Random) -> float:
        """One cold start, in seconds."""
        return self.seconds(standard_normal(random))

    def _log_seconds(self, x: float) -> float:
        y = self._knots_y
        if x <= _KNOTS[0]:
            return y[0] + self._below * (x - _KNOTS[0])
        if x >= _KNOTS[-1]:
            return y[-1] + self._above * (x - _KNOTS[-1])
        right = bisect_right(_KNOTS, x)
        left = right - 1
        width = _KNOTS[right] - _KNOTS[left]
        t = (x - _KNOTS[left]) / width
        u = 1 - t
        # The cubic Hermite polynomial in Bernstein-like form: values at both ends, then slopes.
        return (
            y[left] * u * u * (1 + 2 * t)
            + y[right] * t * t * (3 - 2 * t)
            + width * t * u * (self._slopes[left] * u - self._slopes[right] * t)
        )


def cold_start_law(profile: str) -> ColdStartLaw | None:
    """The law of a named profile; None when its instances start in no time. Raises KeyError for an unknown name."""
    return None if profile == NO_COLD_START else ColdStartLaw(QUANTILES_S[profile])


def _secants(x: tuple[float, ...], y: tuple[float, ...]) -> tuple[float, ...]:
    return tuple((y1 - y0) / (x1 - x0) for (x0, x1), (y0, y1) in zip(pairwise(x), pairwise(y), strict=True))


def _pchip_slopes(x: tuple[float, ...], secants: tuple[float, ...]) -> tuple[float, ...]:
    """Slopes at the knots of strictly increasing data: weighted harmonic means, at the ends a three-point formula."""
    widths = tuple(right - left for left, right in pairwise(x))
    inner = [
        3 * (h0 + h1) / ((2 * h1 + h0) / m0 + (h1 + 2 * h0) / m1)
        for (h0, h1), (m0, m1) in zip(pairwise(widths), pairwise(secants), strict=True)
    ]
    first = _end_slope(widths[0], widths[1], secants[0], secants[1])
    last = _end_slope(widths[-1], widths[-2], secants[-1], secants[-2])
    return (first, *inner, last)


def _end_slope(h0: float, h1: float, m0: float, m1: float) -> float:
    """The slope of the parabola through the outermost three points, at its end; never negative, to stay monotone."""
    return max(0.0, ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1))
