"""Memory sizes that cost the same, or nearly, on platforms that no comparison assumes.

A call takes ``base / size``, so that every size costs the same but for its ``offset``; what varies is the instance (its
logarithm has one of several laws), the call (heavy-tailed), and the platform over the hours, which goes up and down
like a day does or jumps once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from loadgen.experiments.decision import Ask, Seen
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.decision import compare
from loadgen.experiments.memory.findings import MemoryResult
from loadgen.invocation.bill import GB_SECONDS
from loadgen.invocation.metric import Metric
from loadgen.invocation.sample import Sample
from loadgen.load.bursts import Bursts
from loadgen.measure.rule import MetricRule
from loadgen.measure.summary import Verdict
from tests.simulate.adversaries.samples import MS, sample
from tests.simulate.parallel import all_of
from tests.simulate.table import Row
from tests.simulate.world import play

Floats = NDArray[np.float64]

NS = 1_000_000_000
SIZES = (256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 10240)


class Law(Struct, frozen=True):
    """How calls vary; ``instance`` and ``call`` are (law, scale of the logarithm), ``weather`` what the hours do.

    Instances are ``normal``, ``two`` kinds of machine, or ``skewed``; calls ``gamma``, or ``tailed`` (one in twenty
    takes up to five times as long).
    """

    name: str
    instance: tuple[str, float]
    call: tuple[str, float]
    weather: str
    offsets: tuple[float, ...] = ()


LAWS = (
    Law("instances normal, calls gamma", ("normal", 0.08), ("gamma", 0.3), "calm"),
    Law("two kinds of machine", ("two", 0.12), ("gamma", 0.2), "day"),
    Law("one slow instance in ten", ("skewed", 0.1), ("tailed", 0.2), "calm"),
    Law("calls with tails, a jump in the hour", ("normal", 0.05), ("tailed", 0.4), "jump"),
    Law("instances hardly differ", ("normal", 0.005), ("gamma", 0.5), "day"),
)


class SizesWorld:
    """The function, whose instances end after a silence of 60 s and serve one call at a time."""

    def __init__(self, law: Law, seed: int, sizes: tuple[int, ...] = SIZES, base_s: float = 400.0) -> None:
        self.invocations = 0
        self._law, self._base_s = law, base_s
        self._offset = dict(zip(sizes, law.offsets or (0.0,) * len(sizes), strict=True))
        self._rng = np.random.default_rng((seed, 0xADE5))
        self._now_ns = 0
        self._numbers = count()
        self._free: dict[int, list[tuple[int, float]]] = {size: [] for size in sizes}

    def run(self, ask: Ask) -> Seen:
        """The calls of an Ask, on as many lanes as it has."""
        self._now_ns += ask.idle_ns
        made: list[Sample] = []
        for phase, memory in zip(ask.phases, ask.memory_mb or (ask.resized_mb,), strict=True):
            assert isinstance(phase.shape, Bursts)
            sizes = memory if isinstance(memory, tuple) else (memory,)
            lanes = [self._now_ns] * phase.max_in_flight
            for number in range(phase.shape.size):
                lane = lanes.index(min(lanes))
                size = sizes[number % len(sizes)]
                assert size is not None
                made.append(self._call(phase.name, size, lanes[lane]))
                lanes[lane] = made[-1].ended_ns
            self._now_ns = max(lanes)
        return Seen((), tuple(made), Verdict("valid", []))

    def _call(self, phase: str, size: int, at_ns: int) -> Sample:
        self.invocations += 1
        ready = [each for each in self._free[size] if each[0] <= at_ns < each[0] + 60 * NS]
        cold_ns = 0
        if ready:
            chosen = max(ready)
            self._free[size].remove(chosen)
            speed = chosen[1]
        else:
            cold_ns, speed = int(self._rng.gamma(9.0, 60.0) * MS), self._speed()
        seconds = self._base_s / size * math.exp(self._offset[size] + speed + self._weather(at_ns)) * self._noise()
        duration_ns = int(seconds * NS)
        service_ns = duration_ns + cold_ns + int((2 + self._rng.exponential(2.0)) * MS)
        self._free[size].append((at_ns + service_ns, speed))
        return sample(phase, next(self._numbers), at_ns, service_ns, duration_ns, memory_mb=size)

    def _speed(self) -> float:
        kind, scale = self._law.instance
        match kind:
            case "two":
                return scale * (1.0 if self._rng.random() < 0.5 else -1.0)
            case "skewed":
                return float(self._rng.exponential(4 * scale)) if self._rng.random() < 0.1 else 0.0
            case _:
                return scale * float(self._rng.standard_normal())

    def _noise(self) -> float:
        kind, scale = self._law.call
        usual = float(self._rng.gamma(1 / scale**2, scale**2))
        return usual * float(self._rng.uniform(1, 5)) if kind == "tailed" and self._rng.random() < 0.05 else usual

    def _weather(self, at_ns: int) -> float:
        seconds = at_ns / NS
        match self._law.weather:
            case "day":
                return 0.1 * math.sin(seconds / 300)
            case "jump":
                return 0.15 if seconds > 600 else 0.0
            case _:
                return 0.0


class Told(Struct, frozen=True):
    """What a comparison said: whether any size was told from the reference, called dearer, or its interval wrong."""

    claimed: bool
    dearer: bool
    held: bool
    calls: int


def comparison(seed: int, law: Law, *, sizes: tuple[int, ...] = SIZES, rounds: int = 10) -> MemoryResult:
    """Compare the sizes of one function."""
    settings = MemoryComparison(sizes, MemoryBy.HEADER, 20, rounds, (), 0.02, 90 * NS)
    return play(compare(settings, GB_SECONDS, seed, 900 * NS), SizesWorld(law, seed, sizes))


def told(seed: int, law: Law, *, sizes: tuple[int, ...] = SIZES, rounds: int = 10) -> Told:
    """Compare equal sizes, and see whether they are told apart."""
    found = comparison(seed, law, sizes=sizes, rounds=rounds)
    ratios = [each.cost_ratio for each in found.sizes if each.cost_ratio is not None]
    return Told(
        claimed=any(each.cost_p is not None and each.cost_p < 0.05 for each in found.sizes),
        dearer=len(found.tied_mb) < len(sizes),
        held=all((each.low or 0) <= 1 <= (each.high or math.inf) for each in ratios),
        calls=found.invocations,
    )


RULED = (512, 1024, 1536, 2048, 3072, 4096)
AT_LIMIT = 1536
BUMPS = (
    Law("a larger size is slower", ("normal", 0.08), ("gamma", 0.3), "calm", (0, 0, 0, 0, 1.2, 0)),
    Law("size makes no difference", ("two", 0.12), ("gamma", 0.3), "calm", (0, 0.69, 1.1, 1.39, 1.79, 2.08)),
)
"""Functions that more memory makes slower, or no faster."""


def judged(seed: int, law: Law, *, rounds: int = 10) -> tuple[bool, bool]:
    """Whether some size was wrongly said to meet a rule on p90, and whether some was wrongly said to break it.

    The limit is the p90 of one of the sizes, so that the rule is true of it and only just so.
    """
    offsets = law.offsets or (0.0,) * len(RULED)
    limit_s = float(np.quantile(_warm_s(law, AT_LIMIT, offsets[RULED.index(AT_LIMIT)]), 0.9))
    rule = MetricRule("latency.p90", None, None, Metric.LATENCY, "p", 90.0, int(limit_s * NS))
    settings = MemoryComparison(RULED, MemoryBy.HEADER, 20, rounds, (rule,), 0.02, 90 * NS)
    found = play(compare(settings, GB_SECONDS, seed, 900 * NS), SizesWorld(law, seed, RULED))
    breaks = {
        size: float((_warm_s(law, size, offset) >= limit_s).mean()) > 0.1
        for size, offset in zip(RULED, offsets, strict=True)
    }
    said = {each.memory_mb: each.rules[0].verdict for each in found.sizes if each.rules}
    return (
        any(verdict == "met" and (breaks[size] or size == AT_LIMIT) for size, verdict in said.items()),
        any(verdict == "broken" and (not breaks[size] or size == AT_LIMIT) for size, verdict in said.items()),
    )


def _warm_s(law: Law, size: int, offset: float, draws: int = 20_000) -> Floats:
    """What warm calls take in the long run, by another stream of chance."""
    world = SizesWorld(law, 77_777, RULED)
    times = world._rng.uniform(0, 3600, draws)
    return np.array(
        [
            world._base_s / size * math.exp(offset + world._speed() + world._weather(int(at * NS))) * world._noise()
            + (2 + float(world._rng.exponential(2.0))) / 1000
            for at in times
        ]
    )


def rows(*, quick: bool) -> Iterator[Row]:
    """The lines of the table."""
    runs = 20 if quick else 100
    yield from _equal(runs)
    for each in (*LAWS, *BUMPS):
        # a comparison takes a quarter of an hour, and says nothing of how the hours differ
        law = structs.replace(each, weather="calm")
        said = all_of(partial(judged, law=law), range(2 * runs), f"a rule at its limit, {law.name}")
        met, broken = (sum(each[at] for each in said) / len(said) for at in (0, 1))
        yield Row(
            "adversaries.sizes",
            f"a rule whose limit is the p90 of one of {len(RULED)} sizes; {law.name}: wrongly met, wrongly broken",
            "≤ 5 %, ≤ 5 %",
            f"{met:.1%}, {broken:.1%}",
            max(met, broken) <= 0.05,
            f"{len(said)} comparisons",
        )


def _equal(runs: int) -> Iterator[Row]:
    for law in LAWS:
        found = all_of(partial(told, law=law), range(runs), f"equal sizes, {law.name}")
        claimed, dearer, held = (
            sum(getattr(each, what) for each in found) / runs for what in ("claimed", "dearer", "held")
        )
        yield Row(
            "adversaries.sizes",
            f"{len(SIZES)} equal memory sizes; {law.name}: any told apart, and all intervals hold",
            "≤ 5 %, ≥ 93 %",
            f"{claimed:.1%} by p, {dearer:.1%} by the tied set; {held:.1%}",
            max(claimed, dearer) <= 0.05 and held >= 0.93,
            f"{runs} comparisons of {sum(each.calls for each in found) / runs:.0f} calls",
        )
