"""When to start: pure, seeded schedules that know no clock.

An open phase has a rate curve. ``starts(t)`` is the number of starts expected by time t, the integral of the rate;
its inverse gives the instant at which the n-th start falls due. Constant arrivals take the inverse at 0, 1, 2, …; a
Poisson process of the same rate takes it at the running sum of exponential variables of mean 1 (time rescaling: a
Poisson process seen through its own cumulative rate has rate 1. Source: Daley & Vere-Jones, An Introduction to the
Theory of Point Processes, §7.4). So an offset depends on n alone: a late wake-up can shift no later start, and no
rounding adds up.

A trace has starts that are known exactly, and numbers of starts in slots: those are drawn uniformly, slot by slot, each
from a stream of its own, so that only one slot is in memory.

A closed phase has no schedule, only the spans in which its workers are active.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import accumulate, count, takewhile

from loadgen.load.phase import Arrivals, Bursts, ConstantRate, Phase, RampRate, StepRates, Trace, Workers
from loadgen.text.units import NS_PER_S, Rate

_START_BYTES = 8

Inverse = Callable[[float], int]
"""Expected number of starts so far → offset in ns."""


def offsets(phase: Phase, seed: int) -> Iterator[int]:
    """Intended start offsets of an open phase.

    Yields ns since the start of the phase: non-decreasing, each at least 0 and below ``phase.duration_ns``, possibly
    none. The same seed and phase name give the same sequence.

    Raises ValueError for a closed phase, which has no schedule.
    """
    shape = phase.shape
    if isinstance(shape, Workers):
        raise ValueError(f"phase {phase.name} is closed: it has no schedule")  # noqa: TRY004 - the value is wrong
    if isinstance(shape, Bursts):
        return (n // shape.size * shape.gap_ns for n in range(shape.size * shape.repeat))
    if isinstance(shape, Trace):
        return _replayed(shape, phase, seed)
    total, inverse = _curve(shape, phase.duration_ns)
    last = phase.duration_ns - 1
    if phase.arrivals is Arrivals.POISSON:
        unit, end = random_stream(seed, "arrivals", phase.name), float(total)
        positions = accumulate(unit.expovariate(1.0) for _ in count())
        return (min(inverse(x), last) for x in takewhile(lambda x: x < end, positions))
    return (min(inverse(n), last) for n in range(math.ceil(total)))


def expected(phase: Phase) -> int | None:
    """How many starts an open phase has, on average where they are Poisson; None when closed."""
    shape = phase.shape
    if isinstance(shape, Workers):
        return None
    if isinstance(shape, Bursts):
        return shape.size * shape.repeat
    if isinstance(shape, Trace):
        return sum(shape.counts) + len(shape.starts) // _START_BYTES
    total, _ = _curve(shape, phase.duration_ns)
    return round(total) if phase.arrivals is Arrivals.POISSON else math.ceil(total)


def peak_rate(phase: Phase) -> float:
    """The largest number of starts per second that the phase plans; 0 where there is no rate (bursts, workers)."""
    match phase.shape:
        case ConstantRate(rate):
            return rate.per_s
        case RampRate(start, end):
            return max(start.per_s, end.per_s)
        case StepRates(rates):
            return max(rate.per_s for rate in rates)
        case Trace(counts, slot_ns, starts):
            slots = Counter(dict(enumerate(counts)))
            slots.update(start // slot_ns for start in _exact(starts))
            return max(slots.values()) * NS_PER_S / slot_ns
        case _:
            return 0.0


def worker_spans(phase: Phase) -> list[tuple[int, int]]:
    """When each worker of a closed phase is active: (from, to) in ns since its start, one per worker, in order.

    A ramp gives every number of workers an equal share of the phase.

    Raises ValueError for an open phase.
    """
    shape = phase.shape
    if not isinstance(shape, Workers):
        raise ValueError(f"phase {phase.name} is open: it has no spans")  # noqa: TRY004 - the value is wrong
    low, high = sorted((shape.start, shape.end))
    levels = high - low + 1
    edges = [max(0, worker - low + 1) * phase.duration_ns // levels for worker in range(high)]
    if shape.start <= shape.end:
        return [(edge, phase.duration_ns) for edge in edges]
    return [(0, phase.duration_ns - edge) for edge in edges]


def random_stream(seed: int, *purpose: str) -> random.Random:
    """A random stream of its own for each purpose, stable across processes and versions (never Python's ``hash``)."""
    text = "\x1f".join((str(seed), *purpose))
    return random.Random(hashlib.sha256(text.encode()).digest())


def _replayed(trace: Trace, phase: Phase, seed: int) -> Iterator[int]:
    return heapq.merge(_exact(trace.starts), _drawn(trace, phase, seed))


def _exact(starts: bytes) -> memoryview[int]:
    return memoryview(starts).cast("q")


def _drawn(trace: Trace, phase: Phase, seed: int) -> Iterator[int]:
    for slot, number in enumerate(trace.counts):
        if number:
            chance = random_stream(seed, "arrivals", phase.name, str(slot)).random
            first = slot * trace.slot_ns
            room = min(trace.slot_ns, phase.duration_ns - first)
            yield from sorted(first + int(chance() * room) for _ in range(number))


def _curve(shape: ConstantRate | RampRate | StepRates, duration_ns: int) -> tuple[Fraction, Inverse]:
    """The number of starts expected in all, exactly, and the inverse of the cumulative rate."""
    match shape:
        case ConstantRate(rate):
            return _starts(rate, duration_ns), lambda x: int(x * rate.per_ns // rate.events)
        case RampRate(start, end):
            return (_starts(start, duration_ns) + _starts(end, duration_ns)) / 2, _ramp(start, end, duration_ns)
        case StepRates(rates):
            return _steps(rates, duration_ns)


def _starts(rate: Rate, duration_ns: int) -> Fraction:
    return Fraction(rate.events * duration_ns, rate.per_ns)


def _ramp(start: Rate, end: Rate, duration_ns: int) -> Inverse:
    """Solves a·t + b·t²/2 = n for t, in the form that loses no digits: t = 2n / (a + √(a² + 2bn))."""
    a = start.events / start.per_ns
    b = (end.events / end.per_ns - a) / duration_ns

    def inverse(n: float) -> int:
        return int(2 * n / (a + math.sqrt(max(0.0, a * a + 2 * b * n)))) if n else 0

    return inverse


def _steps(rates: tuple[Rate, ...], duration_ns: int) -> tuple[Fraction, Inverse]:
    edges = [k * duration_ns // len(rates) for k in range(len(rates) + 1)]
    before = list(
        accumulate((_starts(r, b - a) for r, a, b in zip(rates, edges, edges[1:], strict=False)), initial=Fraction(0))
    )
    floats = [float(x) for x in before]

    def inverse(n: float) -> int:
        # the last step that begins at or before n; steps of rate 0 have no width here and are passed over
        k = min(bisect_right(floats, n), len(rates)) - 1
        return edges[k] + int((n - floats[k]) * rates[k].per_ns / rates[k].events)

    return before[-1], inverse
