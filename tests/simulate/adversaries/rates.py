"""Functions whose capacity no search assumes: slower with the hours, or with few calls, or with many.

The platform here is a pool of instances, each for one call, which end after some silence; calls that find all of them
busy are refused or wait in line. A handler's speed may wander, go up and down, or suffer from its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from heapq import heappop, heappush

import numpy as np
from msgspec import Struct

from loadgen.experiments.capacity.decision import capacity
from loadgen.experiments.capacity.findings import CapacityResult
from loadgen.experiments.capacity.plan import Plan, criterion
from loadgen.invocation.sample import Sample
from loadgen.measure.rule import MetricRule, parse
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Work
from tests.simulate.adversaries.samples import MS, sample
from tests.simulate.parallel import all_of
from tests.simulate.table import Row
from tests.simulate.world import World, play

S = 1_000_000_000


class System(Struct, frozen=True):
    """A function: mean handler time, instances, how they end, what a start takes, and what changes its speed.

    ``wander`` is the deviation of the logarithm of the speed and how fast it forgets, in s; ``season`` how deep it goes
    up and down, and how often; ``crowding`` how much slower a call is when all instances are busy; ``known`` says that
    the user knows how many there are. A call must take at
    most ``limit_ms``, at the percentile ``p``.
    """

    name: str
    work_ms: float
    instances: int
    limit_ms: float
    p: float = 95.0
    keep_s: float = 60.0
    cold_ms: float = 400.0
    queue: bool = False
    wander: tuple[float, float] = (0.0, 1.0)
    season: tuple[float, float] = (0.0, 1.0)
    crowding: float = 0.0
    spread: float = 0.3
    known: bool = True


SYSTEMS = (
    System("steady, refused when full", 500, 20, 1500),
    System("steady, waits in line", 500, 10, 2000, queue=True),
    System("speed wanders by 12 % in two minutes", 500, 20, 1500, wander=(0.12, 120)),
    System("speed wanders by 12 % in two minutes, waits in line", 500, 10, 2000, queue=True, wander=(0.12, 120)),
    System("up and down by a tenth in ten minutes", 500, 20, 1500, season=(0.1, 600)),
    System("slower with its neighbours", 500, 20, 1250, crowding=0.8),
)
LOW = System("cold starts at low rates", 1700, 60, 3200, keep_s=14, cold_ms=1600, spread=0.12, p=99, known=False)


class RatesWorld(World):
    """The function behind the platform, for phases of any kind."""

    def __init__(self, system: System, seed: int) -> None:
        function = EmulatedFunction("hello", 512, Work(MS, 0.1), "r2-go", system.instances, True, 0.0)
        super().__init__(Emulator(seed, S, (function,)), seed=seed, totals=False)
        self._system = system
        self._draws = np.random.default_rng((seed, 0xFA57))
        self._busy: list[int] = []
        self._idle: list[int] = []
        self._level, self._level_at = float(self._draws.standard_normal()), 0.0

    def _speed(self, at_s: float) -> float:
        """By how much longer the handler takes at an instant."""
        sigma, memory_s = self._system.wander
        if sigma and at_s > self._level_at:
            kept = math.exp(-(at_s - self._level_at) / memory_s)
            self._level = kept * self._level + math.sqrt(1 - kept**2) * float(self._draws.standard_normal())
            self._level_at = at_s
        depth, every_s = self._system.season
        crowd = self._system.crowding * len(self._busy) / self._system.instances
        return math.exp(sigma * self._level) * (1 + depth * math.sin(2 * math.pi * at_s / every_s)) * (1 + crowd)

    def _invoke(
        self, phase: str, number: int, intended_ns: int, started_ns: int, memory_mb: int | None, version: str | None
    ) -> Sample:
        system, rng = self._system, self._draws
        self.invocations += 1
        while self._busy and self._busy[0] <= started_ns:
            heappush(self._idle, -heappop(self._busy))
        ends_ns = started_ns - round(system.keep_s * S)
        self._idle = [each for each in self._idle if -each >= ends_ns]
        self._idle.sort()
        begins_ns, cold_ns = started_ns, 0
        if self._idle:
            heappop(self._idle)
        elif len(self._busy) < system.instances:
            cold_ns = int(system.cold_ms * float(rng.gamma(25.0, 1 / 25)) * MS)
        elif system.queue:
            begins_ns = heappop(self._busy)
        else:
            self._last_end_ns = started_ns + 3 * MS
            return sample(phase, number, started_ns, 3 * MS, None, intended_ns=intended_ns, outcome="throttled",
                          reason="429", status=429)  # fmt: skip
        shape = 1 / system.spread**2
        duration_ns = int(system.work_ms * float(rng.gamma(shape, 1 / shape)) * self._speed(started_ns / S) * MS)
        over_ns = int((1 + float(rng.exponential(1.0))) * MS)
        heappush(self._busy, begins_ns + cold_ns + duration_ns)
        self._last_end_ns = begins_ns + cold_ns + duration_ns + over_ns
        service_ns = self._last_end_ns - started_ns
        return sample(phase, number, started_ns, service_ns, duration_ns, intended_ns=intended_ns)


def violated(system: System, per_s: float, seed: int, seconds: float = 6_000.0) -> float:
    """The share of calls that are too slow, or refused, at a rate that is held for long."""
    world, rng = RatesWorld(system, seed + 7_000_000), np.random.default_rng((seed, 0x10))
    at_s, n, broken = 0.0, 0, 0
    while at_s < seconds:
        at_s += float(rng.exponential(1 / per_s))
        call = world._invoke("long", n, int(at_s * S), int(at_s * S), None, None)
        if at_s > 120:
            n += 1
            broken += call.outcome != "ok" or call.service_time_ns > system.limit_ms * MS
    return broken / max(1, n)


def search(system: System, seed: int, *, confirm_s: int = 300) -> CapacityResult:
    """The search on one function."""
    rule = parse(f"latency.p{system.p:g} < {system.limit_ms:g}ms")
    assert isinstance(rule, MetricRule)
    plan = Plan(
        criteria=(criterion(rule),),
        from_per_s=0.5,
        to_per_s=1000.0,
        confirm_ns=confirm_s * S,
        precision=0.05,
        keep_alive_ns=round(system.keep_s * S),
        limit=system.instances if system.known else None,
        max_in_flight=100_000,
        grace_ns=100 * S,
    )
    return play(capacity(plan), RatesWorld(system, seed))


class Held(Struct, frozen=True):
    """The confirmed rate, the true share of violations there over its limit, and how long the search took."""

    per_s: float | None
    excess: float
    search_s: float
    why: str


def held(seed: int, system: System) -> Held:
    """Search, and hold what was confirmed for long."""
    found = search(system, seed)
    share = 0.0 if found.confirmed_per_s is None else violated(system, found.confirmed_per_s, seed)
    return Held(found.confirmed_per_s, share / (1 - system.p / 100), found.search_ns / S, found.why)


def rows(*, quick: bool) -> Iterator[Row]:
    """The lines of the table."""
    runs = 4 if quick else 12
    for system in (*SYSTEMS, LOW):
        seen = all_of(partial(held, system=system), range(runs), system.name)
        told = [each for each in seen if each.per_s is not None]
        false = sum(each.excess >= 1.5 for each in told) / runs
        search_s = np.median([each.search_s for each in seen])
        most = 0.05 if system.wander[0] or system.season[0] else 0.01
        yield Row(
            "adversaries.rates",
            f"capacity; {system.name}: confirmed though violations are ≥ 1.5 times the limit in the long run",
            f"≤ {most:.0%}" + (", answered" if system is LOW else ""),
            f"{false:.1%}; answered in {len(told) / runs:.0%}, search {search_s:.0f} s",
            false <= most and (system is not LOW or len(told) >= 0.9 * runs),
            f"{runs} searches",
        )
