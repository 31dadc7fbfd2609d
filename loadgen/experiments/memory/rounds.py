"""Means of several treatments compared over rounds, in which each met another instance.

Theory of operation. In every round each treatment (a memory size) has a cell of calls on an instance of its own. With
y the logarithm of a cell's mean, y = treatment + round + instance + noise: what changes over time is the round's and
drops out of comparisons, and an instance's speed is common to its calls, so that many calls on one instance are not as
good as one call on each of many. The noise has the variance c²/n, c being the treatment's coefficient of variation
within cells and n the cell's calls; instances have one variance τ² for all, so that a cell of k instances varies by
τ²/k, found so that the weighted squared residuals add up to their degrees of freedom (R. C. Paule and J. Mandel,
J. Res. Natl. Bur. Stand. 87 (1982), for means with unequal variances). Weighted least squares then give the ratios.
The logarithm of a mean of few calls is too small by c²/2n, which is added.

Which means are compared is decided by looking at them: with the one that looks cheapest, again after every round, and
with those left behind because they looked dear. So limits are those of the studentised range, which hold for all pairs
at once whichever is looked at (``studentised``), and their error is divided by the number of looks: then they hold at
every look, and at whichever is the last (Bonferroni; for tests at several looks see C. Jennison and B. W. Turnbull,
Group Sequential Methods, 2000). Of two treatments named beforehand Student's law would do (``alone``), which decides
nothing but where to look next.

Why not the bootstrap: resampling ten rounds gives intervals that are too short, and none of the width that a comparison
of fifteen sizes at once needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from loadgen.stats import student, studentised

Floats = NDArray[np.float64]


class Ratio(Struct, frozen=True):
    """A ratio of means and its interval."""

    value: float
    low: float
    high: float


class Fitted:
    """The means of all treatments. ``deviation`` is τ, the standard deviation of the logarithm between instances."""

    def __init__(self, names: Sequence[int], means: Floats, covariance: Floats, freedom: int, deviation: float) -> None:
        self.names = tuple(names)
        self.freedom = freedom
        self.deviation = deviation
        self._at = {name: position for position, name in enumerate(names)}
        self._means = means
        self._covariance = covariance

    def ratio(self, a: int, b: int, alpha: float) -> Ratio:
        """The mean of ``a`` over that of ``b``; any interval of all pairs is wrong with probability ``alpha``."""
        return self._ratio(a, b, studentised.quantile(alpha, len(self.names), self.freedom) / math.sqrt(2))

    def alone(self, a: int, b: int, alpha: float) -> Ratio:
        """The same with an interval that is wrong with probability ``alpha`` for this pair, named beforehand."""
        return self._ratio(a, b, student.quantile(1 - alpha / 2, self.freedom))

    def p_value(self, a: int, b: int) -> float:
        """How likely any two means are so far apart, in standard errors, when all are equal."""
        difference, deviation = self._difference(a, b)
        if not deviation:
            return float(not difference)
        return studentised.above(math.sqrt(2) * abs(difference) / deviation, len(self.names), self.freedom)

    def error(self, name: int, alpha: float) -> float:
        """The factor by which a mean may be off, up or down, over the rounds that were run."""
        at = self._at[name]
        return math.exp(student.quantile(1 - alpha / 2, self.freedom) * math.sqrt(self._covariance[at, at]))

    def drawn(self, draws: int, rng: np.random.Generator) -> Floats:
        """Means as they might be, one row a draw, in the order of ``names``; only their ratios mean something."""
        factor = np.linalg.cholesky(self._covariance + 1e-18 * np.eye(len(self.names)))
        spread = np.sqrt(self.freedom / rng.chisquare(self.freedom, (draws, 1)))
        logs = self._means + rng.standard_normal((draws, len(self.names))) @ factor.T * spread
        drawn: Floats = np.exp(logs)
        return drawn

    def _ratio(self, a: int, b: int, errors: float) -> Ratio:
        """With an interval of so many standard errors on either side."""
        difference, deviation = self._difference(a, b)
        reach = errors * deviation
        return Ratio(math.exp(difference), math.exp(difference - reach), math.exp(difference + reach))

    def _difference(self, a: int, b: int) -> tuple[float, float]:
        i, j = self._at[a], self._at[b]
        variance = self._covariance[i, i] + self._covariance[j, j] - 2 * self._covariance[i, j]
        return float(self._means[i] - self._means[j]), math.sqrt(max(0.0, float(variance)))


def fit(cells: Mapping[tuple[int, int], Sequence[float]], instances: Mapping[tuple[int, int], int]) -> Fitted | None:
    """The means of values by (treatment, round), all above zero; cells without values do not count.

    ``instances`` says on how many the values of a cell are, one where it does not. None while there is no telling: with
    fewer than two rounds, or one treatment.
    """
    cells = {key: values for key, values in cells.items() if len(values)}
    names = sorted({name for name, _ in cells})
    rounds = sorted({number for _, number in cells})
    freedom = len(cells) - len(names) - len(rounds) + 1
    if len(names) < 2 or freedom < 1:
        return None
    relative = {name: _variation([np.asarray(v) for (n, _), v in cells.items() if n == name]) for name in names}
    noise = np.array([relative[name] / len(values) for (name, _), values in cells.items()])
    share = np.array([1 / max(1, instances.get(cell, 1)) for cell in cells])
    y = np.array([math.log(float(np.mean(values))) for values in cells.values()]) + noise / 2
    design = np.zeros((len(cells), len(names) + len(rounds) - 1))
    for row, (name, number) in enumerate(cells):
        design[row, names.index(name)] = 1
        # the rounds' effects add up to zero, so that a treatment's mean is over all rounds
        at = rounds.index(number)
        design[row, len(names) :] = -1.0 if at == len(rounds) - 1 else np.eye(len(rounds) - 1)[at]
    between = _between(design, y, noise, share, freedom)
    means, covariance, _ = _least_squares(design, y, noise + between * share)
    size = len(names)
    return Fitted(names, means[:size], covariance[:size, :size], freedom, math.sqrt(between))


def _variation(groups: Iterable[Floats]) -> float:
    """The squared coefficient of variation within groups; a little above zero, as values have a last digit."""
    squares = count = 0.0
    for values in groups:
        if len(values) > 1:
            squares += float(((values / values.mean() - 1) ** 2).sum())
            count += len(values) - 1
    return max(squares / count if count else 0.0, 1e-8)


def _between(design: Floats, y: Floats, noise: Floats, share: Floats, freedom: int) -> float:
    """τ²: what has to be added, by each cell's ``share`` of it, for the residuals to be as large as they are."""
    _, _, excess = _least_squares(design, y, noise)
    if excess <= freedom:
        return 0.0
    low, high = 0.0, (float(y.var()) + 1e-12) / float(share.min())
    for _ in range(40):
        middle = (low + high) / 2
        _, _, excess = _least_squares(design, y, noise + middle * share)
        low, high = (middle, high) if excess > freedom else (low, middle)
    return (low + high) / 2


def _least_squares(design: Floats, y: Floats, variance: Floats) -> tuple[Floats, Floats, float]:
    """The coefficients, their covariance, and the weighted sum of squared residuals."""
    weighted = design / variance[:, None]
    covariance: Floats = np.linalg.pinv(design.T @ weighted).astype(np.float64)
    found = covariance @ (weighted.T @ y)
    residuals = y - design @ found
    return found, covariance, float((residuals**2 / variance).sum())
