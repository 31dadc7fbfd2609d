"""Percentiles with exact intervals, or the admission that there are too few samples for one.

Theory of operation. The number of observations below the true quantile q is binomial (n, q) whatever the distribution,
so the order statistics x₍ₗ₎ and x₍ᵤ₎ enclose it with at least the wanted confidence when l and u are that binomial's
quantiles. l = 0 or u = n + 1 means that the sample has no such limit: p99 needs 368 observations before it has both at
95 %. That is for independent observations. Where they are known not to be (``loadgen.measure.dependence``), the ranks
are those of a smaller sample, spread over the whole one.

Sources: W. J. Conover, Practical Nonparametric Statistics, section 3.2; G. J. Hahn and W. Q. Meeker, Statistical
Intervals, chapter 5; the definition of a sample quantile is number 1 of R. J. Hyndman and Y. Fan, Sample Quantiles in
Statistical Packages, 1996.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate
from typing import Any

from msgspec.structs import replace

from loadgen.measure.dependence import INDEPENDENT, Inflation
from loadgen.measure.ends import Bracket, End, Moved
from loadgen.measure.histogram import Histogram, ceiling, highest, lowest, rank, share
from loadgen.measure.ranking import Place
from loadgen.measure.summary import Percentile

LISTED = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99)
"""The percentiles every metric lists, in percent."""
CONFIDENCE = 0.95
BEYOND = 10
"""How many observations a percentile must leave above itself to be shown."""

UNMOVED = Moved()
_NEGLIGIBLE = 1e-20  # of the largest term; what is left out is below the rounding of the rest


@lru_cache(maxsize=1024)
def ranks(n: int, q: float, confidence: float = CONFIDENCE) -> tuple[int | None, int | None]:
    """The 1-based ranks (l, u) of the order statistics that enclose the quantile ``q``; None where there is no limit.

    They are ``binom.ppf(α/2, n, q)`` and ``binom.ppf(1 - α/2, n, q) + 1`` with α = 1 - ``confidence``.

    Raises ValueError unless n ≥ 0 and 0 ≤ q ≤ 1.
    """
    if n < 0 or not 0 <= q <= 1:
        raise ValueError(f"{n} observations and quantile {q}, expected at least 0 and one from 0 to 1")
    alpha = 1 - confidence
    below, above = _binomial_quantiles(n, q, alpha / 2, 1 - alpha / 2)
    return below or None, above + 1 if above < n else None


def ranks_of_dependent(n: int, q: float, inflation: float) -> tuple[int | None, int | None]:
    """``ranks`` where ``n`` observations say as much as n / ``inflation`` independent ones; never narrower than those.

    The limits enclose as large a part of the sample as they would of the smaller one.
    """
    low, high = ranks(n, q)
    if inflation <= 1:
        return low, high
    effective = max(1, int(n / inflation))
    fewer_low, fewer_high = ranks(effective, q)
    if low is not None:
        low = None if fewer_low is None else min(low, (fewer_low - 1) * n // effective + 1)
    if high is not None:
        high = None if fewer_high is None else max(high, -(-fewer_high * n // effective))
    return low, high


def _binomial_quantiles(n: int, q: float, low: float, high: float) -> tuple[int, int]:
    """The smallest k at which the binomial (n, q)'s distribution function reaches ``low``, and the same for ``high``.

    The probabilities are built outwards from the mode by their ratios, p(k+1)/p(k) = (n-k)/(k+1) · q/(1-q), until they
    no longer matter, and normalised by their sum: about twenty standard deviations of terms and no special function.
    """
    if n == 0 or q in (0, 1):
        return (n, n) if q == 1 else (0, 0)
    mode = min(n, math.floor((n + 1) * q))
    odds = q / (1 - q)
    upwards = [1.0]
    k = mode
    while k < n and upwards[-1] > _NEGLIGIBLE:
        upwards.append(upwards[-1] * ((n - k) / (k + 1) * odds))
        k += 1
    downwards = [1.0]
    k = mode
    while k > 0 and downwards[-1] > _NEGLIGIBLE:
        downwards.append(downwards[-1] * (k / ((n - k + 1) * odds)))
        k -= 1
    reached = list(accumulate(downwards[:0:-1] + upwards))
    return k + bisect_left(reached, low * reached[-1]), k + bisect_left(reached, high * reached[-1])


def supported(n: int, p: float) -> bool:
    """Whether ``n`` observations may show the percentile ``p`` (in percent).

    They must leave ten above it, n·(1 - p/100) ≥ 10, and give its interval both limits.
    """
    return n * (1 - share(p)) >= BEYOND and None not in ranks(n, float(share(p)))


def needed_for_a_limit(p: float) -> int | None:
    """The fewest observations that give the percentile ``p`` (in percent) an upper limit; None when no number does."""
    q = share(p)
    return None if q in (0, 1) else math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(float(q)))


def needed(p: float) -> int | None:
    """The fewest observations that support the percentile ``p`` (in percent); None when no number does (0 and 100)."""
    q = share(p)
    if q in (0, 1):
        return None
    both_limits = math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(float(max(q, 1 - q))))
    return max(math.ceil(BEYOND / (1 - q)), both_limits)


def bounded(n: int, p: float, inflation: float) -> bool:
    """Whether ``n`` observations that say as much as n / ``inflation`` independent ones bound the percentile ``p``."""
    return supported(n, p) and None not in ranks_of_dependent(n, float(share(p)), inflation)


def percentiles(
    ok: Histogram,
    ps: Iterable[float],
    unit: int,
    *,
    failed: Histogram | None = None,
    censored: Histogram | None = None,
    inflation: Inflation = INDEPENDENT,
    moved: Moved = UNMOVED,
) -> list[Percentile]:
    """The percentiles ``ps`` (in percent) over ``ok`` and ``failed`` calls, ascending and each once; empty for none.

    What is ``failed``, of which ``censored`` were given up, ranks above every ok call (``loadgen.measure.ranking``).
    ``moved`` tells of calls that the load generator disturbed (``loadgen.measure.ends``); where all of them were, a
    percentile is of those as they were seen.

    ``unit`` is what one count of a slot's value is worth: 1,000 ns to a µs, 1,024 bytes to a KiB. ``value`` is the
    highest value of its slot, as every implementation of HdrHistogram says it; the observation itself, which was
    rounded down, is below the slot's ``ceiling``. ``low`` is the floor of its slot and ``high`` the ceiling of its
    own, so that rounding only widens the interval. They are those of as many independent observations as ``inflation``
    leaves of ``count``.
    Where these do not bound the percentile on both sides, or do not support it, both are None; what limits there are
    anyhow, ends included, are ``least`` and ``most``.
    """
    bracket = Bracket(ok, failed, censored, moved)
    ranking = bracket.undisturbed if bracket.undisturbed.count else bracket.observed
    if not ranking.count:
        return []
    wanted = sorted(set(ps))
    limits = [ranks_of_dependent(ranking.count, float(share(p)), inflation.at(p)) for p in wanted]
    own = [rank(p, ranking.count) for p in wanted]
    at = ranking.at([*own, *(k for each in limits for k in each if k is not None)])
    found = [
        _listed(
            p,
            at[k],
            None if low is None else at[low],
            None if high is None else at[high],
            unit,
            shown=bounded(ranking.count, p, inflation.at(p)),
        )
        for p, k, (low, high) in zip(wanted, own, limits, strict=True)
    ]
    if not moved.any:
        return found
    return [_between(each, bracket, at[k], unit, inflation) for each, k in zip(found, own, strict=True)]


def _listed(p: float, own: Place, low: Place | None, high: Place | None, unit: int, *, shown: bool) -> Percentile:
    least = None if low is None else lowest(low.slot) * unit
    most = None if high is None else ceiling(high.slot) * unit
    upper = high or own
    return Percentile(
        p=p,
        value=highest(own.slot) * unit,
        low=least if shown else None,
        high=most if shown else None,
        censored=own.censored,
        high_censored=upper.censored,
        failed=own.failed,
        low_failed=low is not None and low.failed,
        high_failed=upper.failed,
        least=None if shown else least,
        most=None if shown or upper.failed else most,
    )


def _between(found: Percentile, bracket: Bracket, own: Place, unit: int, inflation: Inflation) -> Percentile:
    """A percentile with its ends; where its sample does not support it, its limits are of these ends."""
    low, high = bracket.around(found.p, own)
    assert low.at is not None
    changes: dict[str, Any] = {
        "low_end": low.at * unit,
        "high_end": None if high.at is None else high.at * unit,
        "low_end_failed": low.failed,
        "high_end_failed": high.failed,
    }
    if not (low.failed or found.failed) and low.at * unit > found.value:  # as some disturbed ones took longer at least
        changes["value"] = low.at * unit
        changes["high"] = None if found.high is None else max(found.high, low.at * unit)
    if found.low is None:
        least, most = _limits(bracket, found.p, inflation)
        changes |= {
            "least": None if least is None or least.at is None else least.at * unit,
            "low_failed": least is not None and least.failed,
            "most": None if most is None or most.at is None or most.failed else most.at * unit,
            "high_failed": most is not None and most.failed,
        }
    return replace(found, **changes)


def _limits(bracket: Bracket, p: float, inflation: Inflation) -> tuple[End | None, End | None]:
    """The limits of a percentile's interval, each from its own end."""
    q = float(share(p))
    least, _ = ranks_of_dependent(bracket.count, q, inflation.at(p))
    _, most = ranks_of_dependent(bracket.high_count, q, inflation.at(p))
    return None if least is None else bracket.low(least), None if most is None else bracket.high(most)
