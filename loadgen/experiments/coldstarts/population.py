"""How long the calls of one kind took, and by how much cold ones took longer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from loadgen.experiments.coldstarts.findings import Population, Spread
from loadgen.invocation.metric import Metric
from loadgen.invocation.sample import Sample
from loadgen.measure.figure import Figure
from loadgen.measure.percentile import ranks, supported

_TIMES = (Metric.LATENCY, Metric.SERVICE_TIME, Metric.OVERHEAD, Metric.DURATION, Metric.BILLED_DURATION)
_RESAMPLES = 999


def population(samples: Sequence[Sample]) -> Population:
    """The distributions of their times."""
    return Population(len(samples), {metric.value: _spread(_times_ns(samples, metric)) for metric in _TIMES})


def difference_of_medians(cold: Sequence[Sample], warm: Sequence[Sample], seed: int) -> Figure | None:
    """By how much the median service time of cold calls is longer, with a percentile bootstrap interval."""
    slow, fast = (np.array(_times_ns(samples, Metric.SERVICE_TIME)) for samples in (cold, warm))
    if min(len(slow), len(fast)) == 0:
        return None
    value = float(np.median(slow) - np.median(fast))
    if not (supported(len(slow), 50.0) and supported(len(fast), 50.0)):
        return Figure(value, None, None)
    rng = np.random.default_rng(seed)

    def median(times: NDArray[np.int64]) -> float:
        return float(np.median(rng.choice(times, len(times))))

    draws = [median(slow) - median(fast) for _ in range(_RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Figure(value, float(low), float(high))


def difference_of_means(cold: Sequence[Sample], warm: Sequence[Sample]) -> Figure | None:
    """By how much the mean billed duration of cold calls is longer, with a normal interval."""
    slow, fast = (np.array(_times_ns(samples, Metric.BILLED_DURATION)) for samples in (cold, warm))
    if min(len(slow), len(fast)) == 0:
        return None
    value = float(slow.mean() - fast.mean())
    if min(len(slow), len(fast)) < 30:
        return Figure(value, None, None)
    half = 1.96 * math.sqrt(slow.var(ddof=1) / len(slow) + fast.var(ddof=1) / len(fast))
    return Figure(value, value - half, value + half)


def _spread(times: Sequence[int]) -> Spread:
    n = len(times)
    mean = round(sum(times) / n) if n else None
    p50, p95, p99 = (_quantile(times, p) for p in (50.0, 95.0, 99.0))
    return Spread(n, mean, p50, p95, p99, times[-1] if n else None)


def _quantile(times: Sequence[int], p: float) -> Figure | None:
    """A percentile with its exact interval; None where the sample does not support it."""
    n = len(times)
    if not supported(n, p):
        return None
    low, high = ranks(n, p / 100)
    assert low is not None
    assert high is not None
    return Figure(times[max(1, math.ceil(p / 100 * n)) - 1], times[low - 1], times[high - 1])


def _times_ns(samples: Iterable[Sample], metric: Metric) -> list[int]:
    return sorted(ns for sample in samples if (ns := sample.value(metric)) is not None)
