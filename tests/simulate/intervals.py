"""Intervals of percentiles where the true percentile is known: as often right as they say.

Of independent values the coverage is known exactly, for it is the probability of a binomial. Of dependent ones each
value has the same law as before, so that the true percentile is known, but the values of a few seconds share a part of
what makes them slow or fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import binom, norm

from loadgen.measure.dependence import EFFECTIVE_SHARE, Batches
from loadgen.measure.histogram import Histogram, slot
from loadgen.measure.percentile import percentiles, ranks
from loadgen.text.units import NS_PER_S
from tests.simulate.table import Row

Floats = NDArray[np.float64]

SEED = 20261203
CELLS = ((100, 50.0), (100, 90.0), (368, 50.0), (1000, 50.0), (1000, 95.0), (1000, 99.0), (5000, 90.0), (5000, 99.0))
"""(number of values, percentile), all of them supported."""
MEDIAN_US, SIGMA = 20_000.0, 0.5
SECONDS, RATE = 120, 100
BURSTS = ((0.3, 50.0), (0.3, 99.0), (1.0, 50.0), (1.0, 90.0), (3.0, 50.0))
"""(s that bursts last, percentile)."""
TOLERANCE = 3.5
"""Standard errors of a share that several cells at once may be off by chance."""

_STEP_S = 0.1


class Coverage(Struct, frozen=True):
    """How often an interval of a percentile of ``n`` values held the true one, and how often it should."""

    n: int
    p: float
    exact: float
    measured: float
    replicates: int

    @property
    def off(self) -> float:
        """By how many standard errors it is off."""
        error = math.sqrt(self.exact * (1 - self.exact) / self.replicates)
        return (self.measured - self.exact) / error


def of_values(n: int, p: float, replicates: int, seed: int) -> Coverage:
    """Of values as they are."""
    rng = np.random.default_rng((seed, n, round(p * 10)))
    low, high = ranks(n, p / 100)
    assert low is not None
    assert high is not None
    held = 0
    for _ in range(replicates):
        values = np.sort(rng.random(n))
        held += values[low - 1] <= p / 100 <= values[high - 1]
    return Coverage(n, p, _exact(n, p), held / replicates, replicates)


def of_histograms(n: int, p: float, replicates: int, seed: int) -> Coverage:
    """Of what histograms of the values give, which round outwards."""
    rng = np.random.default_rng((seed, n, round(p * 10), 1))
    true_us = quantile_us(p)
    held = 0
    for _ in range(replicates):
        (found,) = percentiles(histogram(latencies_us(rng.standard_normal(n))), (p,), 1)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= true_us <= found.high
    return Coverage(n, p, _exact(n, p), held / replicates, replicates)


class Bursts(Struct, frozen=True):
    """Of runs with dependent latencies: how often dependence was seen, and the true percentile held before and after.

    An interval that is withheld claims nothing and is not counted in ``after``.
    """

    memory_s: float
    p: float
    seen: float
    before: float
    after: float
    withheld: float


def bursts(memory_s: float, p: float, runs: int, seed: int, common: float = 0.5) -> Bursts:
    """Runs of ``SECONDS`` in which so much of the variance is common to calls at a time, and is forgotten so fast."""
    rng = np.random.default_rng((seed, round(memory_s * 10), round(p)))
    true_us = quantile_us(p)
    seen = before = after = withheld = 0
    for _ in range(runs):
        seconds = [latencies_us(each) for each in dependent(rng, SECONDS, RATE, memory_s, common)]
        inflation = batches(seconds).inflation(SECONDS * NS_PER_S)
        whole = histogram(np.concatenate(seconds))
        (plain,), (wide,) = percentiles(whole, (p,), 1), percentiles(whole, (p,), 1, inflation=inflation)
        seen += inflation.at(p) > 1 / EFFECTIVE_SHARE
        before += _holds(plain.low, plain.high, true_us)
        after += _holds(wide.low, wide.high, true_us)
        withheld += wide.low is None
    shown = max(1, runs - withheld)
    return Bursts(memory_s, p, seen / runs, before / runs, after / shown, withheld / runs)


def dependent(rng: np.random.Generator, seconds: int, rate: float, memory_s: float, common: float) -> Iterator[Floats]:
    """Standard normal values second by second; ``common`` is how much of their variance those at a time share."""
    kept = math.exp(-_STEP_S / memory_s)
    level = float(rng.standard_normal())
    for _ in range(seconds):
        parts = []
        for _ in range(round(1 / _STEP_S)):
            level = kept * level + math.sqrt(1 - kept**2) * float(rng.standard_normal())
            own = rng.standard_normal(rng.poisson(rate * _STEP_S))
            parts.append(math.sqrt(common) * level + math.sqrt(1 - common) * own)
        yield np.concatenate(parts)


def batches(seconds: list[NDArray[np.int64]]) -> Batches:
    """The record of what ended in each second."""
    record = Batches()
    for number, values in enumerate(seconds):
        record.add(number * NS_PER_S, (number + 1) * NS_PER_S, [histogram(values).pack()])
    return record


def latencies_us(normal: Floats) -> NDArray[np.int64]:
    """Log-normal latencies of standard normal values."""
    return np.round(MEDIAN_US * np.exp(SIGMA * normal)).astype(np.int64)


def quantile_us(p: float) -> float:
    """The true percentile of such latencies."""
    return float(MEDIAN_US * math.exp(SIGMA * norm.ppf(p / 100)))


def histogram(values_us: NDArray[np.int64]) -> Histogram:
    """What recording each value gives."""
    values, counts = np.unique(values_us, return_counts=True)
    found = Histogram()
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        found.counts[slot(value)] = found.counts.get(slot(value), 0) + count
    return found


def rows(*, quick: bool, seed: int = SEED) -> Iterator[Row]:
    """The lines of the table."""
    replicates, runs = (2_000, 100) if quick else (20_000, 1000)
    values = [of_values(n, p, replicates, seed) for n, p in CELLS]
    met = all(abs(each.off) <= TOLERANCE for each in values)
    yield _row("of values", f"within {TOLERANCE} standard errors of the exact one", values, met)
    recorded = [of_histograms(n, p, replicates // 10, seed) for n, p in CELLS]
    met = all(each.off >= -TOLERANCE for each in recorded)
    yield _row("of histograms, which round outwards", f"at most {TOLERANCE} standard errors below", recorded, met)
    for memory_s, p in BURSTS:
        yield _burst_row(bursts(memory_s, p, runs, seed), "half of the variance", runs, least=0.9)
    yield _burst_row(bursts(1.0, 50.0, runs, seed, 0.02), "2 % of the variance", runs, least=None)


def _burst_row(found: Bursts, common: str, runs: int, least: float | None) -> Row:
    return Row(
        "intervals",
        f"p{found.p:g} where calls within some {found.memory_s:g} s share {common}: its interval holds the truth",
        "" if least is None else f"≥ {least:.0%}",
        f"{found.after:.1%}; dependence seen in {found.seen:.1%}, withheld in {found.withheld:.1%}",
        None if least is None else found.after >= least,
        f"{runs} runs of {SECONDS} s at {RATE}/s",
        f"as if independent: {found.before:.1%}",
    )


def _row(what: str, bar: str, found: list[Coverage], met: bool) -> Row:
    worst = max(found, key=lambda each: abs(each.off))
    least = min(found, key=lambda each: each.measured)
    return Row(
        "intervals",
        f"coverage of percentiles {what}",
        bar,
        f"{worst.off:+.1f} at most; least {least.measured:.1%} (p{least.p:g} of {least.n}; exactly {least.exact:.1%})",
        met,
        f"{len(found)} cells of {found[0].replicates}",
    )


def _exact(n: int, p: float) -> float:
    low, high = ranks(n, p / 100)
    assert low is not None
    assert high is not None
    return float(binom.cdf(high - 1, n, p / 100) - binom.cdf(low - 1, n, p / 100))


def _holds(low: int | None, high: int | None, true: float) -> bool:
    return low is not None and high is not None and low <= true <= high
