"""How long an idle instance lives, by calls after silences of different lengths.

Theory of operation. A call after a silence of g is warm if the instance lived longer than g, and cold if not: each
probe says on which side of g the time lies, and no more (current-status data). ``next_gap`` first bisects between the
largest warm and the smallest cold silence, then asks again and again at both ends of what is left, at a quarter
less and more, and right below the lower end where that gives either answer.

Whether that is one time or many shows in how steeply the answers change. They are fitted by a location-scale law,

    P(cold | g) = e + (1 - 2e) / (1 + exp(-(g - m) / s)),

e being the share of wrong labels. With priors that are flat in m and in ln s the posterior says how wide the part of
the range is in which 90 % of the instances end, 2 s ln 19. A time is called ``fixed`` only where that is surely below
the ``resolution``: answers that merely do not contradict one time are no evidence of one, as a reaper that comes every
few seconds gives them, too. Where it is surely above, the silences are spread over the part in which the fit has
answers change. Less than one instance in four that ends far earlier than the others is not seen.

The bounds of a time that varies are those of its median and rest on no law: below the median less than half of the
answers are cold, above it more, so a candidate is ruled out by too many cold ones among its neighbours below, or too
few among those above (binomial tests; several neighbourhoods share the error). Quantiles are those of the isotonic
regression of the cold answers on g, the maximum of the likelihood among all laws.

Sources: M. Ayer et al., An Empirical Distribution Function for Sampling with Incomplete Information, 1955 (the
isotonic estimator, to which Turnbull's of 1976 reduces here, and the pooling of adjacent violators); D. J. Finney,
Probit Analysis, 1971 (the logistic law of answers, with a share that is wrong in any case); W. J. Conover, Practical
Nonparametric Statistics, section 3.1 (the binomial test).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from loadgen.experiments.coldstarts.findings import GapProbe, KeepAlive
from loadgen.stats.beta import incomplete

REPEATS, REPEATS_LESS, REPEATS_MORE = 8, 12, 5
"""Probes at either end of the bracket, once it is close, and at a quarter less and more.

With those at its lower end as many as it takes to see that one instance in four ends far earlier."""
SPREAD = 40
"""Probes over all silences, once the time is seen to vary."""
LEAST_PROBES, MOST = 37, 100
"""Probes in all: what a fixed time takes, and the most."""
SURE, UNSURE = 0.02, 0.9
"""A time is fixed below this probability of its varying, and spread probes begin above the other."""
_FINE = 60  # the bracket is fine at this part of the range: below 2 s of 10 s to 120 s
_LISTED = (5, 25, 50, 75, 95)
_MISLABELLED = 0.01  # labels are sure to 99 %
_TOLERATED = 0.05  # of the answers, for labels that are wrong
_NINE_TENTHS = 2 * math.log(19)  # of a logistic law lie within so many of its scales
_ALPHA = 0.05
_NEIGHBOURS = (8, 11, 15, 20, 28, 40)
_LEAST_VARYING = 20


def next_gap(probes: Sequence[GapProbe], low_ns: int, high_ns: int) -> int | None:
    """The silence to try next, between two times; None when enough is known. ``probes`` have the silences asked for."""
    if len(probes) >= MOST:
        return None
    warm, cold = _bracket(probes)
    lower, upper = low_ns if warm is None else warm, high_ns if cold is None else cold
    if upper - lower > (high_ns - low_ns) // _FINE:
        return (lower + upper) // 2
    wanted = [(lower, REPEATS), (upper, REPEATS)]
    apart = [(lower * 3 // 4, REPEATS_LESS), (upper * 5 // 4, REPEATS_MORE)]
    if (
        1 < _cold_at(probes, lower) < _tried(probes, lower) - 1
    ):  # one time may be there: what ends before it is told below
        apart.append((2 * lower - upper, REPEATS))
    wanted += [each for each in apart if low_ns <= each[0] <= high_ns]
    if warm is None or cold is None:
        return next((gap for gap, times in wanted if _tried(probes, gap) < times), None)
    if (fitted := _Fit(probes, low_ns, high_ns)).varies > UNSURE:
        return fitted.spread(len(probes)) if len(probes) < SPREAD else None
    for gap, times in wanted:
        if _tried(probes, gap) < times:
            return gap
    if fitted.varies < SURE or len(probes) >= 2 * SPREAD:
        return None
    return min((lower, upper), key=lambda gap: _tried(probes, gap))


def estimate(probes: Sequence[GapProbe], low_ns: int, high_ns: int, slack_ns: int = 0) -> KeepAlive:
    """What the probes show, with the silences that really were; they were looked for between the two times.

    A silence is counted from the answer to the next start. At the instance it is longer, by what both calls spent on
    the way: up to ``slack_ns``, which the upper bound allows for.
    """
    listed = sorted(probes, key=lambda probe: probe.gap_ns)

    def result(
        policy: str, why: str, value: int | None = None, low: int | None = None, high: int | None = None
    ) -> KeepAlive:
        return KeepAlive(policy, why, value, low, high, {}, listed)

    if not listed:
        return result("unknown", "no invocation after a silence could be told to be cold or warm")
    warm, cold = _bracket(listed)
    if cold is None and _agree(listed):
        return result("longer", "no silence that was tried ended the instance", low=warm)
    if warm is None and _agree(listed):
        return result("shorter", "every silence that was tried ended the instance", high=cold)
    fitted = _Fit(listed, low_ns, high_ns)
    if warm is not None and cold is not None and fitted.varies < SURE:
        why = f"{len(listed)} invocations after silences agree with one time to {fitted.resolution / 1e9:.1f} s"
        return result("fixed", why, (warm + cold + slack_ns) // 2, warm, cold + slack_ns)
    if len(listed) < _LEAST_VARYING:
        return result("unknown", f"{len(listed)} invocations after silences are too few to tell one time from many")
    low, high = median_bounds(listed)
    return KeepAlive(
        "random",
        f"the time varies: nine in ten instances end within {fitted.width_ns / 1e9:.3g} s, by a logistic law",
        _quantile(listed, 50),
        low,
        None if high is None else high + slack_ns,
        {str(q): value for q in _LISTED if (value := _quantile(listed, q)) is not None},
        listed,
    )


def median_bounds(probes: Sequence[GapProbe]) -> tuple[int | None, int | None]:
    """Between which silences the median time lies, whatever its law, wrong with probability 5 %; None for no bound.

    ``probes`` are in the order of their silences.
    """
    error = _ALPHA / 2 / len(_NEIGHBOURS)
    cold = [probe.cold for probe in probes]

    def ruled_out(answers: Sequence[bool]) -> bool:
        """Whether the nearest answers first are too often True for a chance of one half."""
        return any(_at_least_half(sum(answers[:k]), k) < error for k in _NEIGHBOURS if k <= len(answers))

    # too low for the median is what has too many warm ones above it, too high what has too many cold ones below it
    too_low = [at for at in range(len(probes)) if ruled_out([not each for each in cold[at:]])]
    too_high = [at for at in range(len(probes)) if ruled_out(cold[at::-1])]
    return (
        probes[max(too_low)].gap_ns if too_low else None,
        probes[min(too_high)].gap_ns if too_high else None,
    )


def _at_least_half(k: int, n: int) -> float:
    """The probability of k or more of n at a chance of one half."""
    return 1.0 if k == 0 else incomplete(0.5, k, n - k + 1)


class _Fit:
    """The posterior of the place and the width of the change from warm to cold, on a grid.

    ``resolution`` is the width below which a time is one time, in ns.
    """

    def __init__(self, probes: Sequence[GapProbe], low_ns: int, high_ns: int) -> None:
        warm, cold = _bracket(probes)
        fine = (high_ns - low_ns) / _FINE
        lower, upper = low_ns if warm is None else warm, high_ns if cold is None else cold
        coarse, near = np.linspace(low_ns, high_ns, 111), np.linspace(lower - 3 * fine, upper + 3 * fine, 61)
        self._m = np.unique(np.concatenate((coarse, near)))
        self._s = np.geomspace(fine / 30, (high_ns - low_ns) / _NINE_TENTHS * 2, 25)
        gaps = sorted({probe.gap_ns for probe in probes})
        colds = np.array([sum(each.cold for each in probes if each.gap_ns == gap) for gap in gaps], dtype=float)
        warms = np.array([sum(not each.cold for each in probes if each.gap_ns == gap) for gap in gaps], dtype=float)
        z = (np.array(gaps, dtype=float)[:, None, None] - self._m[None, :, None]) / self._s[None, None, :]
        chance = _MISLABELLED + (1 - 2 * _MISLABELLED) / (1 + np.exp(-np.clip(z, -40, 40)))
        log = np.tensordot(colds, np.log(chance), 1) + np.tensordot(warms, np.log1p(-chance), 1)
        weights = np.exp(log - log.max()) * np.gradient(self._m)[:, None]
        self._posterior = weights / weights.sum()
        self.resolution = 2 * fine
        self._range = low_ns, high_ns
        self._n = len(probes)
        self._contradicting = _contradicting(probes, _dividing(probes))

    @property
    def varies(self) -> float:
        """How likely it is that the time is not one time; surely where more than wrong labels contradict each one."""
        if self._contradicting > max(1, int(_TOLERATED * self._n)):
            return 1.0
        return float(self._posterior[:, self._s * _NINE_TENTHS > self.resolution].sum())

    @property
    def width_ns(self) -> float:
        """The width of the part in which nine in ten instances end: the median of what it may be."""
        reached = np.cumsum(self._posterior.sum(axis=0))
        return float(self._s[int(np.searchsorted(reached, 0.5))]) * _NINE_TENTHS

    def spread(self, number: int) -> int:
        """The next of silences that are spread over the part in which answers change."""
        reached = np.cumsum(self._posterior.sum(axis=1))
        middle = float(self._m[int(np.searchsorted(reached, 0.5))])
        part = (int(f"{number % 64:06b}"[::-1], 2) + 0.5) / 64
        return round(min(max(middle + (part - 0.5) * 1.2 * self.width_ns, self._range[0]), self._range[1]))


def isotonic(cold: Sequence[float]) -> list[float]:
    """The non-decreasing sequence nearest to this one, by pooling adjacent violators."""
    pools: list[tuple[float, int]] = []
    for value in cold:
        total, size = value, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / size:
            before = pools.pop()
            total, size = total + before[0], size + before[1]
        pools.append((total, size))
    return [total / size for total, size in pools for _ in range(size)]


def _quantile(probes: Sequence[GapProbe], q: int) -> int | None:
    listed = sorted(probes, key=lambda probe: probe.gap_ns)
    reached = isotonic([float(probe.cold) for probe in listed])
    return next((probe.gap_ns for probe, share in zip(listed, reached, strict=True) if share >= q / 100), None)


def _bracket(probes: Sequence[GapProbe]) -> tuple[int | None, int | None]:
    """The largest warm and the smallest cold silence, once what contradicts the best dividing time is left out."""
    dividing = _dividing(probes)
    warm = [probe.gap_ns for probe in probes if not probe.cold and probe.gap_ns <= dividing]
    cold = [probe.gap_ns for probe in probes if probe.cold and probe.gap_ns > dividing]
    return max(warm, default=None), min(cold, default=None)


def _dividing(probes: Sequence[GapProbe]) -> int:
    """The silence, possibly 0, up to which calling all warm and beyond it all cold contradicts the fewest probes."""
    ends = [0, *sorted({probe.gap_ns for probe in probes})]
    return min(ends, key=lambda end: (_contradicting(probes, end), _cold_at(probes, end), -end))


def _contradicting(probes: Sequence[GapProbe], dividing: int) -> int:
    """Warm probes beyond a silence and cold ones before it.

    At the silence itself a fixed time may give either answer, but a single one against three is more likely wrong.
    """
    against = sum(probe.gap_ns < dividing if probe.cold else probe.gap_ns > dividing for probe in probes)
    colds = [probe.cold for probe in probes if probe.gap_ns == dividing]
    alone = len(colds) >= REPEATS - 1 and sum(colds) in (1, len(colds) - 1)
    return against + alone


def _cold_at(probes: Sequence[GapProbe], gap_ns: int) -> int:
    return sum(probe.cold and probe.gap_ns == gap_ns for probe in probes)


def _agree(probes: Sequence[GapProbe]) -> bool:
    """Whether all answers but for a wrong label are alike."""
    colds = sum(probe.cold for probe in probes)
    return min(colds, len(probes) - colds) <= 1


def _tried(probes: Sequence[GapProbe], gap_ns: int) -> int:
    return sum(probe.gap_ns == gap_ns for probe in probes)
