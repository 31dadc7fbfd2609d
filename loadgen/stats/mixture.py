"""Cold or warm, by what the platform's overhead looks like: a mixture of two laws, or the admission that it fits none.

Theory of operation. Overhead is the service time without the handler's own duration and without connecting, so what
is left varies with the platform alone. Its logarithm is modelled as

    f(x) = (1 - π) t_ν(x; μ, σ) + π Σⱼ wⱼ N(x; μⱼ, σⱼ²),   x = ln(overhead in ms),

a Student t law of warm calls, whose heavy tails keep a slow instance from being taken for a cold one, and one to three
normal laws of cold calls, all above the 0.99 quantile of the warm one: cold starts are multimodal (EuroSys 2025). Where
the upper tail is lighter than any t law's (the logarithm of an exponential delay, as jitter is, falls off faster than a
normal law), its upper piece is an exponential power law, exp(-|z|ᵖ/p), instead: a tail that is too heavy would hide the
fast cold starts under it. The warm law is fitted to calibration calls, which are known to be warm, and may then move
only so far as load explains. Everything else is fitted by expectation maximisation, on counts by histogram slot, so
that its cost does not grow with the number of calls. The number of cold modes is the one with the least
BIC = k ln n - 2 ln L.

Where the best mixture takes more than 1 % of the calls for neither, and these are no more frequent than among
calibration calls (R. A. Fisher's exact test), a mode of it reaches into the warm law, whose form it only mends. Then
the mixtures whose modes stay apart from the warm law are tried, each in its turn.

Calibration calls stay warm whatever their overhead: some are slow, too, as a network has outliers, and these must not
make a cold mode. How many of them lie above the cuts says how often a warm call is called cold (``known``); where that
alone may explain what is called cold, nothing is. Without calibration nobody can say so, and a share as small as
outliers may have is no cold mode either.

The posterior of being cold, made non-decreasing above the warm centre, gives two cuts: at 0.01 and at 0.99. Where the
data does not support them the answer is ``Abstained``, with the reason.

Sources: K. L. Lange, R. J. A. Little, J. M. G. Taylor, Robust Statistical Modeling Using the t Distribution, 1989 (the
weights of the t law's fit); M. T. Subbotin, On the Law of Frequency of Error, 1923 (the exponential power law);
K. M. Ashman, C. M. Bird, S. E. Zepf, Detecting Bimodality in Astronomical Datasets, 1994
(the separation D); G. Schwarz, Estimating the Dimension of a Model, 1978 (BIC); R. A. Fisher, The Logic of Inductive
Inference, 1935 (the exact test).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from loadgen.invocation.start import Cuts
from loadgen.measure.histogram import Histogram, middle
from loadgen.measure.labelling import LEAST_CALIBRATION, LEAST_COLD, MOST_AMBIGUOUS, MOST_OUTLIERS, Labelling

Floats = NDArray[np.float64]

LEAST_OVERHEAD_MS = 0.05
SURE = 0.99
"""The posterior from which on a label is given."""
LEAST_SEPARATION = 2.0
"""Ashman's D of the warm law and the nearest cold one."""
BIC_MARGIN = 10.0
BY_CHANCE = 0.001
"""How unlikely it has to be that warm calls alone explain what is called cold."""

EXCESS = 0.1
"""How unlikely it has to be that calls between the cuts are no more frequent than among those known to be warm."""

_POWERS = (2.5, 3.0, 4.0)
_FREEDOMS = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
_WARM_TAIL = 0.99  # cold modes lie above this quantile of the warm law
_TOLERANCE = 0.9999  # the quantile of the warm law above which a call is an outlier
_RARE = 0.999
_LEAST_COLD_SCALE = 0.02
_APART = 2.33  # standard deviations, beyond which a normal law has 1 %
_STEP = 1 / 400  # of ln ms: far finer than any law is wide
_WARM_SHIFT = 0.3
_WARM_WIDENING = 1.5
_MODES = (1, 2, 3)
_ROUNDS = 500
_GRID = 4001


class Warm(Struct, frozen=True):
    """The warm law: Student's t of ln ms, in two pieces that meet at its mode ``location``.

    ``below`` and ``above`` are the scales of either piece, ``freedom`` is the number of degrees of freedom of both;
    with a ``power`` the upper piece is an exponential power law instead.
    """

    location: float
    below: float
    above: float
    freedom: float
    power: float | None = None

    def quantile(self, q: float) -> float:
        """The quantile of a q above the mode's own."""
        left = self.below * self.areas[0] / self.area
        beyond = (1 - q) / (1 - left)
        if self.power is None:
            return self.location + self.above * t_quantile(self.freedom, 1 - beyond / 2)
        return self.location + self.above * _power_quantile(self.power, 1 - beyond)

    @property
    def areas(self) -> tuple[float, float]:
        """What is below the kernel of either piece, with a scale of 1 and a height of 1 at the mode."""
        t = _t_area(self.freedom)
        return t, t if self.power is None else _power_area(self.power)

    @property
    def area(self) -> float:
        """What is below both kernels."""
        below, above = self.areas
        return self.below * below + self.above * above

    @property
    def deviation(self) -> float:
        """The standard deviation that the upper piece would have as a whole law."""
        if self.power is None:
            return self.above * math.sqrt(self.freedom / (self.freedom - 2))
        p = self.power
        return self.above * math.exp(math.log(p) / p + (math.lgamma(3 / p) - math.lgamma(1 / p)) / 2)


class Cold(Struct, frozen=True):
    """One cold law: normal in ln ms; ``weight`` is its share of the cold calls."""

    weight: float
    location: float
    scale: float


class Mixture(Struct, frozen=True):
    """Warm and cold told apart.

    ``n`` calls were fitted, ``cold_share`` of which the model takes for cold and ``ambiguous_share`` for neither.
    ``separation`` is Ashman's D of the nearest cold mode. ``sensitivity`` is the share of cold calls that the cuts call
    cold, by the model itself; ``specificity`` that of warm calls that they call warm, by the calls that are known to be
    warm, ``known`` of which are (called warm, labelled), or by the model without any. ``warm_ns`` is the median
    overhead of calls that are called warm.
    """

    warm: Warm
    colds: tuple[Cold, ...]
    cold_share: float
    n: int
    separation: float
    ambiguous_share: float
    sensitivity: float
    specificity: float
    cuts: Cuts
    known: tuple[int, int] | None
    warm_ns: int


class Abstained(Struct, frozen=True):
    """Why warm and cold could not be told apart.

    ``outliers`` calls had an overhead above ``limit_ns``, beyond anything that the warm law makes plausible; None where
    there was too little to fit a warm law to.
    """

    reason: str
    outliers: int | None = None
    limit_ns: int | None = None


def fit(overhead: Histogram, calibration: Histogram | None = None) -> Mixture | Abstained:
    """Tell warm from cold among calls with these overheads (whole µs).

    ``calibration`` are overheads of other calls, which are known to be warm. Without it, the largest mode is taken for
    the warm one.
    """
    own, counts = _logs(overhead)
    known = _bulk(own, counts) if calibration is None else _logs(calibration)
    if known[1].sum() < LEAST_CALIBRATION:
        return Abstained(f"{int(known[1].sum())} calls that are known to be warm, at least {LEAST_CALIBRATION} needed")
    # the tail of a bulk is cut off, and says nothing about how light it is
    anchor = _fit_warm(*known, powers=() if calibration is None else _POWERS)
    x, n, held = _aligned((own, counts), known if calibration is not None else (own[:0], counts[:0]))
    total = float(n.sum() + held.sum())
    largest = _usual_most(*known) if calibration is not None else -math.inf
    limit = max(anchor.quantile(_TOLERANCE), largest + math.log(3))
    limit_ns = round(math.exp(min(limit, 25.0)) * 1e6)
    outliers = int(n[x > limit].sum())

    def abstained(reason: str) -> Abstained:
        return Abstained(reason, outliers, limit_ns)

    alone = _warm_alone(x, n + held, anchor)
    fits = _fits(x, n, held, anchor)
    if not fits:
        return abstained("hardly any call is slower than warm calls may be")
    best = _decisive(fits[0], x, n, held, anchor) or fits[0]
    if best.bic(total) > alone - BIC_MARGIN:
        return abstained("the overheads are explained by warm calls alone")
    posterior = best.posterior(x)
    members = float((posterior * n).sum())
    if members < LEAST_COLD:
        return abstained(f"about {members:.0f} cold calls, at least {LEAST_COLD} needed")
    if calibration is None and members < MOST_OUTLIERS * total:
        return abstained(
            f"{members / total:.1%} of the calls are far slower than the others: so few may be outliers of the network "
            "as well as cold starts, and no call is known to be warm"
        )
    separation = best.separation()
    if separation < LEAST_SEPARATION:
        return abstained(f"not separable: Ashman's D is {separation:.1f}, at least {LEAST_SEPARATION:g} needed")
    cuts = best.cuts(float(x[-1]))
    if cuts is None:
        return abstained("not separable: no overhead is certainly cold, or none is certainly warm")
    ns = np.exp(x) * 1e6
    warm, cold = ns < cuts.warm_below_ns, ns >= cuts.cold_from_ns
    ambiguous = float((n + held)[~(warm | cold)].sum()) / total
    if ambiguous > MOST_AMBIGUOUS:
        return abstained(
            f"not separable: {ambiguous:.1%} of the calls are neither, at most {MOST_AMBIGUOUS:.0%} may be"
        )
    slow, of_known = int(held[cold].sum()), int(held.sum())
    if slow and _fisher(slow, of_known, int(n[cold].sum()), int(n.sum())) > BY_CHANCE:
        return abstained(
            f"of {of_known} calls that are known to be warm {slow} are as slow, which may explain the others"
        )
    true_cold, true_warm = posterior * n, (1 - posterior) * n + held
    specificity = float(true_warm[warm].sum() / true_warm[cold | warm].sum())
    told = (int(held[warm].sum()), int(held[cold | warm].sum()))
    return Mixture(
        warm=best.warm,
        colds=best.colds,
        cold_share=best.cold_share,
        n=int(n.sum()),
        separation=separation,
        ambiguous_share=ambiguous,
        sensitivity=float(true_cold[cold].sum() / true_cold[cold | warm].sum()),
        specificity=min(specificity, told[0] / told[1]) if told[1] else specificity,
        cuts=cuts,
        known=told if told[1] else None,
        warm_ns=round(math.exp(_weighted_quantile(x, (n + held) * warm, 0.5)) * 1e6),
    )


def posterior(mixture: Mixture, overhead_ns: int) -> float:
    """The probability that a call with this overhead is cold."""
    x = np.array([_log_ms(overhead_ns / 1000)])
    return float(_Fit(mixture.warm, mixture.colds, mixture.cold_share).posterior(x)[0])


def labelling(after: str, fitted: int, found: Mixture | Abstained) -> Labelling:
    """A fit to ``fitted`` calls of phase ``after`` and earlier, as it is published."""
    if isinstance(found, Abstained):
        return Labelling(after, fitted, found.reason, outliers=found.outliers, outlier_limit_ns=found.limit_ns)
    return Labelling(
        after,
        fitted,
        None,
        found.cuts,
        found.separation,
        found.sensitivity,
        found.specificity,
        sorted(round(math.exp(cold.location) * 1e6) for cold in found.colds),
        warm_ns=found.warm_ns,
    )


def t_quantile(freedom: float, q: float) -> float:
    """The quantile of Student's t law.

    With t = √ν tan θ its density is proportional to cos^(ν-1) θ on (-π/2, π/2), which is integrated numerically.
    """
    theta, reached = _angles(freedom)
    return math.sqrt(freedom) * math.tan(float(np.interp(q, reached, theta)))


@lru_cache(maxsize=32)
def _t_area(freedom: float) -> float:
    return math.sqrt(freedom * math.pi) / 2 * math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))


@lru_cache(maxsize=32)
def _power_area(power: float) -> float:
    return math.exp((1 / power - 1) * math.log(power) + math.lgamma(1 / power))


def _power_quantile(power: float, q: float) -> float:
    """The quantile of the upper piece of an exponential power law, by numerical integration."""
    z = np.linspace(0, (60 * power) ** (1 / power), 20_001)
    density = np.exp(-(z**power) / power)
    reached = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    return float(np.interp(q, reached / reached[-1], z))


@lru_cache(maxsize=32)
def _angles(freedom: float) -> tuple[Floats, Floats]:
    theta = np.linspace(-math.pi / 2, math.pi / 2, 50_001)
    density = np.cos(theta) ** (freedom - 1)
    reached = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    return theta, reached / reached[-1]


class _Fit(Struct, frozen=True):
    """A mixture and the logarithm of its likelihood."""

    warm: Warm
    colds: tuple[Cold, ...]
    cold_share: float
    log_likelihood: float = 0.0

    def bic(self, total: float) -> float:
        """Three parameters of the warm law, the cold share, and three of each cold one less the weights' sum."""
        return (3 + 3 * len(self.colds)) * math.log(total) - 2 * self.log_likelihood

    def posterior(self, x: Floats) -> Floats:
        """The probability of being cold by ascending x; non-decreasing, and 0 below the warm centre's own."""
        grid = np.concatenate((np.linspace(self.warm.location, float(max(x[-1], self._top)), _GRID), x))
        order = np.argsort(grid, kind="stable")
        raw = self._raw(grid[order])
        above = grid[order] >= self.warm.location
        raw[above] = np.maximum.accumulate(raw[above])
        raw[~above] = np.minimum(raw[~above], raw[above][0])
        settled = np.empty_like(raw)
        settled[order] = raw
        return settled[_GRID:]

    @property
    def _top(self) -> float:
        return max(cold.location + 4 * cold.scale for cold in self.colds)

    def _raw(self, x: Floats) -> Floats:
        warm = _log_warm(x, self.warm) + math.log1p(-self.cold_share)
        cold: Floats = np.logaddexp.reduce(
            [_log_normal(x, each) + math.log(self.cold_share * each.weight) for each in self.colds], axis=0
        )
        raw: Floats = np.exp(cold - np.logaddexp(warm, cold))
        return raw

    def separation(self) -> float:
        """Ashman's D of the nearest cold mode, √2·|μc - μw|/√(σw² + σc²), with the standard deviation of the t law."""
        return min(
            math.sqrt(2) * (cold.location - self.warm.location) / math.hypot(self.warm.deviation, cold.scale)
            for cold in self.colds
        )

    def cuts(self, highest: float) -> Cuts | None:
        """Where the posterior passes 0.01 and 0.99; None when it does not reach that."""
        grid = np.linspace(self.warm.location, max(highest, self._top), 10 * _GRID)
        posterior = self.posterior(grid)
        if posterior[-1] <= SURE or posterior[0] >= 1 - SURE:
            return None
        warm_below = grid[np.argmax(posterior >= 1 - SURE)]
        cold_from = grid[np.argmax(posterior > SURE)]
        return Cuts(round(math.exp(float(warm_below)) * 1e6), round(math.exp(float(cold_from)) * 1e6))


def _log_ms(overhead_us: float) -> float:
    return math.log(max(overhead_us / 1000, LEAST_OVERHEAD_MS))


def _logs(histogram: Histogram) -> tuple[Floats, Floats]:
    """Ascending values, to a four-hundredth, and how often each occurred."""
    slots = sorted(histogram.counts)
    values = np.array([middle(slot) for slot in slots], dtype=np.float64)
    counts = np.array([histogram.counts[slot] for slot in slots], dtype=np.float64)
    steps, places = np.unique(
        np.round(np.log(np.maximum(values / 1000, LEAST_OVERHEAD_MS)) / _STEP), return_inverse=True
    )
    together: Floats = np.bincount(places, weights=counts, minlength=len(steps)).astype(np.float64)
    return steps * _STEP, together


def _aligned(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> tuple[Floats, Floats, Floats]:
    """The values of both, ascending, and how often each occurred in the one and in the other."""
    x = np.union1d(one[0], other[0])
    counts = [np.zeros(len(x)) for _ in range(2)]
    for found, (values, n) in zip(counts, (one, other), strict=True):
        found[np.searchsorted(x, values)] = n
    return x, counts[0], counts[1]


def _usual_most(x: Floats, n: Floats) -> float:
    """The largest value but for the highest 2 %, which may be outliers."""
    return _weighted_quantile(x, n, 1 - MOST_OUTLIERS)


def _fisher(slow: int, of: int, others_slow: int, others: int) -> float:
    """The probability of so many slow ones among the others, were they as frequent as among those."""
    together, all_ = slow + others_slow, of + others

    def log_choose(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    whole = log_choose(all_, together)
    return sum(
        math.exp(log_choose(others, k) + log_choose(of, together - k) - whole)
        for k in range(others_slow, min(others, together) + 1)
        if together - k <= of
    )


def _bulk(x: Floats, n: Floats) -> tuple[Floats, Floats]:
    """What belongs to the largest mode: up to four median deviations of the lower half above the median of it."""
    if not n.sum():
        return x, n
    median = _weighted_quantile(x, n, 0.5)
    for _ in range(5):  # each cold call that is left out moves the median down
        deviation = max((median - _weighted_quantile(x, n * (x <= median), 0.5)) * 1.4826, 0.01)
        keep = x <= median + 4 * deviation
        median = _weighted_quantile(x, n * keep, 0.5)
    return x[keep], n[keep]


def _weighted_quantile(x: Floats, n: Floats, q: float) -> float:
    reached = np.cumsum(n)
    return float(x[min(int(np.searchsorted(reached, q * reached[-1])), len(x) - 1)])


def _log_warm(x: Floats, law: Warm) -> Floats:
    z = (x - law.location) / np.where(x < law.location, law.below, law.above)
    kernel = -(law.freedom + 1) / 2 * np.log1p(z**2 / law.freedom)
    if law.power is not None:
        kernel = np.where(z < 0, kernel, -(np.abs(z) ** law.power) / law.power)
    density: Floats = kernel - math.log(law.area)
    return density


def _log_normal(x: Floats, law: Cold) -> Floats:
    return -(((x - law.location) / law.scale) ** 2) / 2 - math.log(law.scale) - math.log(2 * math.pi) / 2


def _fit_warm(x: Floats, n: Floats, powers: Sequence[float]) -> Warm:
    """The warm law of the greatest likelihood, over grids of degrees of freedom and of powers."""
    median = _weighted_quantile(x, n, 0.5)
    below = max((median - _weighted_quantile(x, n, 0.16)), 1e-3)
    above = max((_weighted_quantile(x, n, 0.84) - median), 1e-3)
    fitted = []
    for freedom, power in (*((each, None) for each in _FREEDOMS), *((_FREEDOMS[-1], each) for each in powers)):
        law = Warm(median, below, above, freedom, power)
        for _ in range(200):
            moved = _improved(x, n, law)
            done = abs(moved.location - law.location) + abs(moved.above - law.above) < 1e-6
            law = moved
            if done:
                break
        fitted.append(law)
    return max(fitted, key=lambda law: float((n * _log_warm(x, law)).sum()))


def _improved(x: Floats, n: Floats, law: Warm) -> Warm:
    """One step of expectation maximisation of the warm law over weighted values."""
    left = x < law.location
    scale = np.where(left, law.below, law.above)
    push = _pull(x, n, law) / scale**2
    # where all values are the mode itself, a light tail has nothing that pulls
    location = float((push * x).sum() / push.sum()) if push.sum() else law.location
    moved = Warm(location, law.below, law.above, law.freedom, law.power)
    left = x < location
    pulled = _pull(x, n, moved) * (x - location) ** 2
    # at the maximum each piece has that part of the squares that it has of the area
    lower = float(pulled[left].sum()) / law.below**2
    upper = float(pulled[~left].sum()) / law.above**2
    share_below, share_above = (
        float(n.sum()) * scale * area / law.area for scale, area in zip((law.below, law.above), law.areas, strict=True)
    )
    power = 2.0 if law.power is None else law.power
    below = law.below * (lower / share_below) ** (1 / 3)
    above = law.above * (upper / share_above) ** (1 / (power + 1))
    return Warm(location, max(below, 1e-3), max(above, 1e-3), law.freedom, law.power)


def _pull(x: Floats, n: Floats, law: Warm) -> Floats:
    """The weights with which squared distances from the mode count."""
    z = np.abs(x - law.location) / np.where(x < law.location, law.below, law.above)
    pull = (law.freedom + 1) / (law.freedom + z**2)
    if law.power is not None:
        pull = np.where(x < law.location, pull, z ** (law.power - 2))
    weights: Floats = n * pull
    return weights


def _within(law: Warm, anchor: Warm) -> Warm:
    """The warm law, moved no further from its calibration than load explains."""

    def near(scale: float, usual: float) -> float:
        return min(max(scale, usual / _WARM_WIDENING), usual * _WARM_WIDENING)

    location = min(max(law.location, anchor.location - _WARM_SHIFT), anchor.location + _WARM_SHIFT)
    return Warm(location, near(law.below, anchor.below), near(law.above, anchor.above), law.freedom, law.power)


def _warm_alone(x: Floats, n: Floats, anchor: Warm) -> float:
    """The BIC of the warm law by itself."""
    law = anchor
    for _ in range(100):
        law = _within(_improved(x, n, law), anchor)
    return 3 * math.log(n.sum()) - 2 * float((n * _log_warm(x, law)).sum())


def _fits(x: Floats, n: Floats, held: Floats, anchor: Warm, *, apart: bool = False) -> list[_Fit]:
    """Mixtures of one to three cold modes, the least BIC first; none when too few calls are above the warm law."""
    fits = [each for modes in _MODES if (each := _fit_mixture(x, n, held, anchor, modes, apart)) is not None]
    return sorted(fits, key=lambda each: each.bic(float(n.sum() + held.sum())))


def _decisive(first: _Fit, x: Floats, n: Floats, held: Floats, anchor: Warm) -> _Fit | None:
    """The best fit that leaves few calls between the cuts; None when there is none, or a better one is not to be left.

    A better one is left where the calls that it takes for neither are no more frequent than among those that are known
    to be warm: then a mode of it that reaches down there only mends the form of the warm law.
    """
    if _ambiguous(first, x, n + held) <= MOST_AMBIGUOUS:
        return first
    if not held.sum() or _in_excess(first, x, n, held):
        return None
    for each in _fits(x, n, held, anchor, apart=True):
        if _ambiguous(each, x, n + held) <= MOST_AMBIGUOUS:
            return each
        if _in_excess(each, x, n, held):
            return None
    return None


def _ambiguous(found: _Fit, x: Floats, n: Floats) -> float:
    """The share of the calls that are neither."""
    cuts = found.cuts(float(x[-1]))
    return 1.0 if cuts is None else float(n[_between(cuts, x)].sum() / n.sum())


def _between(cuts: Cuts, x: Floats) -> NDArray[np.bool_]:
    ns = np.exp(x) * 1e6
    between: NDArray[np.bool_] = (ns >= cuts.warm_below_ns) & (ns < cuts.cold_from_ns)
    return between


def _in_excess(found: _Fit, x: Floats, n: Floats, held: Floats) -> bool:
    """Whether calls that are neither are more frequent than among those that are known to be warm."""
    cuts = found.cuts(float(x[-1]))
    if cuts is None:
        return True
    between = _between(cuts, x)
    return _fisher(int(held[between].sum()), int(held.sum()), int(n[between].sum()), int(n.sum())) <= EXCESS


def _fit_mixture(x: Floats, n: Floats, held: Floats, anchor: Warm, modes: int, apart: bool) -> _Fit | None:
    """The mixture with this many cold modes; None when too few calls are above the warm law.

    It begins from two places: with all modes among the calls that are surely no warm ones, and with one of them where
    warm calls become rare, as a mode of fast cold starts may hide among slow warm calls.
    """
    slow = x > anchor.quantile(_TOLERANCE)
    if np.count_nonzero(n[slow]) < 2 * modes:
        return None

    def among_slow(number: int) -> list[float]:
        return [_weighted_quantile(x, n * slow, (mode + 0.5) / number) for mode in range(number)]

    begins = [among_slow(modes)]
    if modes > 1:
        begins.append([anchor.quantile(_RARE), *among_slow(modes - 1)])
    spread = max((_weighted_quantile(x, n * slow, 0.9) - _weighted_quantile(x, n * slow, 0.1)) / (2.5 * modes), 0.1)
    fits = [
        _maximised(x, n, held, anchor, [Cold(1 / modes, part, spread) for part in parts], apart) for parts in begins
    ]
    return max(fits, key=lambda each: each.log_likelihood)


def _maximised(x: Floats, n: Floats, held: Floats, anchor: Warm, colds: Sequence[Cold], apart: bool) -> _Fit:
    """Expectation maximisation, beginning with these cold laws; what is ``held`` is warm.

    Cold laws that stay ``apart`` have hardly a call below the floor that their middles stay above in any case.
    """
    total = float(n.sum())
    most = 1 - 0.5 / (total + 1)  # that all of so many are cold says no more of the next one
    share = min(max(float(n[x > anchor.quantile(_TOLERANCE)].sum()) / total, 1 / total), 0.95)
    law = anchor
    before = -math.inf
    for _ in range(_ROUNDS):
        logs = np.array(
            [_log_warm(x, law) + math.log1p(-share)]
            + [_log_normal(x, cold) + math.log(share * cold.weight) for cold in colds]
        )
        whole = np.logaddexp.reduce(logs, axis=0)
        reached = float((n * whole).sum() + (held * _log_warm(x, law)).sum())
        if reached - before < 1e-7 * total:
            break
        before = reached
        belongs = np.exp(logs - whole) * n
        share = min(max(float(belongs[1:].sum()) / total, 1e-9), most)
        law = _within(_improved(x, belongs[0] + held, law), anchor)
        floor = law.quantile(_WARM_TAIL)
        colds = [_improved_cold(x, part, floor, share * total, apart) for part in belongs[1:]]
    return _Fit(law, tuple(colds), share, reached)


def _improved_cold(x: Floats, belongs: Floats, floor: float, total: float, apart: bool) -> Cold:
    size = max(float(belongs.sum()), 1e-9)
    location = max(float((belongs * x).sum() / size), floor)
    variance = float((belongs * (x - location) ** 2).sum() / size)
    scale = min(math.sqrt(variance), (location - floor) / _APART) if apart else math.sqrt(variance)
    return Cold(max(size / total, 1e-12), location, max(scale, _LEAST_COLD_SCALE))
