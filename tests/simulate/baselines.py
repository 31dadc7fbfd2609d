"""The searches that other tools make, re-implemented on the same world, for comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from loadgen.experiments.decision import Ask, Decision
from loadgen.invocation.sample import Sample
from loadgen.load.constant import ConstantRate
from loadgen.load.law import Arrivals
from loadgen.load.phase import Phase
from loadgen.load.workers import Workers
from loadgen.text.units import NS_PER_S, Rate

Violates = Callable[[Sample], bool]


def nighthawk(
    start_per_s: float, limit: float, violates: Violates, run_s: int = 10, deadline_s: float = 300
) -> Decision[float | None]:
    """The capacity by Nighthawk's adaptive load; None when it gives up.

    One run per rate, doubled until the first failure, then bisected until the next rate is within 1 %. The answer is
    the next midpoint, which was never run; one run of 30 s follows and decides nothing. It has 300 s.
    Source: envoyproxy/nighthawk, source/adaptive_load/step_controller_impl.cc and adaptive_load_controller_impl.cc.
    """
    rate, low, high, spent_s = start_per_s, 0.0, 0.0, 0
    while not high or abs((low + high) / 2 / rate - 1) >= 0.01:
        if high:
            rate = (low + high) / 2
        if spent_s >= deadline_s:
            return None
        met = yield from _met(rate, run_s, limit, violates)
        spent_s += run_s
        if met:
            low = rate
            if not high:
                rate *= 2
        elif not low:
            return None
        else:
            high = rate
    yield Ask((_open((low + high) / 2, 30),), samples=1.0)
    return (low + high) / 2


def mutilate(workers: int, limit: float, violates: Violates, run_s: int = 10) -> Decision[float]:
    """The capacity by mutilate's search: the closed-loop peak, else bisection to 2 %, else steps of 2 % down.

    Source: leverich/mutilate, mutilate.cc.
    """
    closed = Phase("peak", Workers(workers, workers), run_s * NS_PER_S, grace_ns=_GRACE)
    seen = yield Ask((closed,), samples=1.0)
    peak = current = len(seen.samples) / run_s
    if _share(seen.samples, violates) <= limit:
        return peak
    low, high, met = 1.0, peak, False
    while high > 1.02 * low and current > 0.1 * peak:
        current = (high + low) / 2
        met = yield from _met(current, run_s, limit, violates)
        low, high = (current, high) if met else (low, current)
    while not met and current > 0.1 * peak and current > 0.9 * low:
        current *= 0.98
        met = yield from _met(current, run_s, limit, violates)
    return current


_GRACE = 100 * NS_PER_S


def _met(rate: float, run_s: int, limit: float, violates: Violates) -> Decision[bool]:
    seen = yield Ask((_open(rate, run_s),), samples=1.0)
    return _share(seen.samples, violates) <= limit


def _share(samples: Sequence[Sample], violates: Violates) -> float:
    return sum(map(violates, samples)) / max(1, len(samples))


def _open(rate: float, seconds: int) -> Phase:
    shape = ConstantRate(Rate(max(1, round(rate * 1000)), 1000 * NS_PER_S))
    return Phase(f"at-{rate:.6g}", shape, seconds * NS_PER_S, False, Arrivals.POISSON, 1_000_000, grace_ns=_GRACE)
