"""At which rate a share of violations reaches its limit, from all rates that were tried.

Theory of operation. The share is modelled as a floor that no rate removes, and above it a logistic curve in the
logarithm of the rate: v(λ) = f + (1-f)·p(λ), logit p(λ) = logit((v-f)/(1-f)) + b·(ln λ - ln λ*), b > 0, so that
v(λ*) is the limit v. Each probe is binomial evidence of n / VIF observations. The posterior of (ln λ*, ln b, f) is
computed on a grid, flat in each; ln λ* reaches beyond every rate that was tried, so that the interval is not cut off.

A ``Ceiling`` says which rates cannot meet the rules whatever their probes showed, such as those that need more calls at
once than there may be: near them a backlog grows too slowly for a probe to see.

The curve is only right near the crossing. Rates far from it, by ``NEAR`` in ln λ, count less.

Source: D. J. Finney, Probit Analysis, for the dose at which a given share responds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH: Final = 1.0
"""How far the grid reaches beyond the rates tried, in ln λ."""
STEEPNESS: Final = (2.0, 200.0)
NEAR: Final = 0.25
BLUR: Final = 0.004
"""How sharply a growing backlog says that a rate is beyond the crossing, in ln λ."""
MOST_WORTH: Final = 60
"""A probe counts as at most this many independent observations per unit of 1/v: the curve is not exactly right."""
CONFIDENCE: Final = 0.95
_STEPS, _SLOPES = 700, 24
_FLOORS: Final = (0.0, 0.2, 0.4, 0.6, 0.8)


class Evidence(Struct, frozen=True):
    """What one probe says about one share: ``k`` violations in ``n`` observations that are worth ``n / inflation``.

    ``unstable`` says that there was no steady state whose share could be counted: a backlog grew, and the rate is
    beyond the crossing, however steep the curve is.
    """

    rate: float
    n: int
    k: int
    inflation: float
    unstable: bool = False


class Ceiling(Struct, frozen=True):
    """A rate that cannot be exceeded, known with a standard error in ln λ."""

    rate: float
    error: float


class Crossing:
    """The posterior of the rate at which one of several shares reaches its limit first."""

    def __init__(
        self, evidence: Sequence[Sequence[Evidence]], limits: Sequence[float], ceiling: Ceiling | None = None
    ) -> None:
        """``evidence`` holds the probes of each share, at least one; ``limits`` are in the same order."""
        tried = np.log([probe.rate for probes in evidence for probe in probes])
        self._x: Array = np.linspace(tried.min() - REACH, tried.max() + REACH, _STEPS)
        known = np.zeros(_STEPS)
        if ceiling is not None:
            known -= np.logaddexp(0.0, (self._x - np.log(ceiling.rate)) / max(ceiling.error, BLUR))
        self._parts = [_Part(probes, limit, self._x, known) for probes, limit in zip(evidence, limits, strict=True)]
        above = np.prod([1 - np.cumsum(part.marginal) for part in self._parts], axis=0)
        self._below: Array = 1 - above

    def quantile(self, q: float) -> float:
        """A quantile of the rate."""
        return float(np.exp(np.interp(q, self._below, self._x)))

    @property
    def estimate(self) -> float:
        """The median of the rate."""
        return self.quantile(0.5)

    @property
    def interval(self) -> tuple[float, float]:
        """The limits between which the rate lies with 95 % probability."""
        tail = (1 - CONFIDENCE) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def below(self, part_of_limit: float) -> float:
        """The largest rate at which every share is expected to be at most this part of its limit.

        Where a floor keeps a share above that, it is the rate at which it is half way between floor and limit.
        """
        return float(np.exp(min(part.below(part_of_limit) for part in self._parts)))


class _Part:
    """The posterior of one share."""

    def __init__(self, probes: Sequence[Evidence], limit: float, x: Array, known: Array) -> None:
        self._limit = limit
        self._known = known
        self._x = x
        self._log_b: Array = np.linspace(np.log(STEEPNESS[0]), np.log(STEEPNESS[1]), _SLOPES)
        weights = np.ones(len(probes))
        for _ in range(2):  # which rates are near the crossing is known once there is a first estimate of it
            self._posterior = self._fit(probes, weights)
            self.marginal: Array = self._posterior.sum(axis=(1, 2))
            centre = np.interp(0.5, np.cumsum(self.marginal), x)
            weights = np.exp(-0.5 * ((np.log([probe.rate for probe in probes]) - centre) / NEAR) ** 2)
            weights = np.maximum(weights, 0.05)

    def _fit(self, probes: Sequence[Evidence], weights: Array) -> Array:
        log_posterior = np.zeros((len(self._x), _SLOPES, len(_FLOORS))) + self._known[:, None, None]
        for probe, weight in zip(probes, weights, strict=True):
            if probe.unstable:
                beyond = (np.log(probe.rate) - self._x) / BLUR
                log_posterior -= np.logaddexp(0.0, -beyond)[:, None, None]
                continue
            share = np.clip(self._shares(np.log(probe.rate)), 1e-12, 1 - 1e-12)
            fit = probe.k * np.log(share) + (probe.n - probe.k) * np.log1p(-share)
            worth = min(1 / probe.inflation, MOST_WORTH / self._limit / max(1, probe.n))
            log_posterior += weight * fit * worth
        density = np.exp(log_posterior - log_posterior.max())
        normalised: Array = density / density.sum()
        return normalised

    def _shares(self, log_rate: float) -> Array:
        """The share at a rate for each point of the grid."""
        floors = self._limit * np.array(_FLOORS)[None, None, :]
        at_limit = (self._limit - floors) / (1 - floors)
        logit = np.log(at_limit / (1 - at_limit))
        away = np.exp(self._log_b)[None, :, None] * (log_rate - self._x)[:, None, None]
        shares: Array = floors + (1 - floors) / (1 + np.exp(-np.clip(logit + away, -40, 40)))
        return shares

    def below(self, part_of_limit: float) -> float:
        floor = float((self._posterior.sum(axis=(0, 1)) * _FLOORS).sum())
        target = max(part_of_limit, (1 + floor) / 2) * self._limit
        low, high = float(self._x[0]), float(self._x[-1])
        for _ in range(30):
            middle = (low + high) / 2
            if float((self._posterior * self._shares(middle)).sum()) > target:
                high = middle
            else:
                low = middle
        return low
