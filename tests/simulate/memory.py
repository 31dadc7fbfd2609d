"""Memory comparisons on random functions whose costs and times are known, beside AWS Lambda Power Tuning's estimator.

A function has CPU work on some threads, waits for others, needs some memory and is slower where there is little to
spare. Its platform gives CPU by one of three laws. Instances differ, and the load of the platform drifts.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from statistics import median

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.decision import compare, phase
from loadgen.experiments.memory.findings import MemoryResult
from loadgen.invocation.bill import Rates
from loadgen.invocation.metric import Metric
from loadgen.invocation.sample import Sample
from loadgen.load.bursts import Bursts
from loadgen.measure.rule import MetricRule
from loadgen.measure.summary import Verdict
from loadgen.targets.functiongraph.protocol.target import MEMORY_SIZES_MB
from loadgen.text.units import NS_PER_S
from tests.simulate.parallel import all_of
from tests.simulate.table import Row
from tests.simulate.world import play

Floats = NDArray[np.float64]

RATES = Rates("CNY", 0.00011108, 1.33e-6)
"""List prices of 2024-09, see docs/method.md."""
GAP_NS = 90 * NS_PER_S
TIMEOUT_NS = 900 * NS_PER_S

_TRUTH_DRAWS = 40_000
_STEPS_BACK = 0.97  # of the platform's load, from one call to the next


class Function(Struct, frozen=True):
    """A random function: times in s on one core, sizes in MB; ``sigma`` are deviations of logarithms."""

    work_s: float
    wait_s: float
    threads: int
    sigma: float
    needs_mb: int
    pressure: float
    law: str
    instance_sigma: float
    drift_sigma: float
    slow_share: float

    def base_s(self, memory_mb: int) -> tuple[float, float]:
        """CPU time and waiting time of a call on an ordinary instance."""
        cpu = {
            "affine": 0.2 + memory_mb / 1280,
            "proportional": memory_mb / 1769,
            "steps": max(0.25, 2.0 ** math.floor(math.log2(memory_mb / 1024))),
        }[self.law]
        slower = 1 + self.pressure * (self.needs_mb / memory_mb) ** 2
        return self.work_s * slower / min(cpu, self.threads), self.wait_s


def random_function(rng: np.random.Generator) -> Function:
    """A function of the population."""
    return Function(
        work_s=float(np.exp(rng.uniform(math.log(0.002), math.log(2.0)))),
        wait_s=float(rng.choice([0.0, np.exp(rng.uniform(math.log(0.005), math.log(1.0)))])),
        threads=int(rng.choice([1, 1, 2, 4])),
        sigma=float(rng.choice([0.2, 0.3, 0.5])),
        needs_mb=int(rng.choice([60, 60, 100, 200, 400])),
        pressure=float(rng.choice([0.0, 0.5, 2.0])),
        law=str(rng.choice(["affine", "affine", "proportional", "steps"])),
        instance_sigma=0.08,
        drift_sigma=0.03,
        slow_share=0.0,
    )


class Truth(Struct, frozen=True):
    """What is true of each size: the mean cost of a call, and draws of its service time in s."""

    cost: dict[int, float]
    service_s: dict[int, Floats]

    def best(self, limit_s: float | None, p: float) -> int | None:
        """The cheapest size, of those whose share of calls up to the limit is at least p; None if there is none."""
        allowed = [size for size in self.cost if self.meets(size, limit_s, p)]
        return min(allowed, key=self.cost.__getitem__, default=None)

    def meets(self, size: int, limit_s: float | None, p: float) -> bool:
        """Whether the p-quantile of a size is below the limit."""
        return limit_s is None or float((self.service_s[size] < limit_s).mean()) >= p


def truth(function: Function, rng: np.random.Generator, rates: Rates = RATES) -> Truth:
    """By many draws, the same ones for all sizes."""
    noise = np.exp(function.sigma * rng.standard_normal(_TRUTH_DRAWS))
    instance = np.exp(function.instance_sigma * rng.standard_normal(_TRUTH_DRAWS))
    instance *= np.where(rng.random(_TRUTH_DRAWS) < function.slow_share, rng.uniform(1.5, 3, _TRUTH_DRAWS), 1)
    drift = np.exp(function.drift_sigma * rng.standard_normal(_TRUTH_DRAWS))
    overhead = 0.003 * np.exp(0.5 * rng.standard_normal(_TRUTH_DRAWS))
    cost, service = {}, {}
    for size in MEMORY_SIZES_MB:
        if size < function.needs_mb:
            continue
        cpu_s, wait_s = function.base_s(size)
        duration_s = (cpu_s * noise + wait_s * noise**0.5) * instance * drift
        billed_ms = np.maximum(1, np.ceil(duration_s * 1e3))
        cost[size] = rates.cost(size, float(billed_ms.mean()) * 1e6)
        service[size] = duration_s + overhead
    return Truth(cost, service)


class FunctionWorld:
    """The function behind the platform: instances of each size, one call at a time each, ended by 60 s of silence."""

    def __init__(self, function: Function, seed: int) -> None:
        self.invocations = 0
        self._function = function
        self._rng = np.random.default_rng((seed, 0x57))
        self._now_ns = 0
        self._drift = 0.0
        self._index = count()
        self._idle: dict[int, list[tuple[int, float]]] = {}  # free since, speed

    def run(self, ask: Ask) -> Seen:
        """The calls of an Ask; they are all made, however long that takes."""
        self._now_ns += ask.idle_ns
        samples: list[Sample] = []
        for run, memory in zip(ask.phases, ask.memory_mb or (ask.resized_mb,), strict=True):
            assert isinstance(run.shape, Bursts)
            assert memory is not None
            turns = memory if isinstance(memory, tuple) else (memory,)
            begin_ns, lanes = self._now_ns, [self._now_ns] * run.max_in_flight
            for position in range(run.shape.size):
                sample = self.call(run.name, turns[position % len(turns)], begin_ns, heapq.heappop(lanes))
                heapq.heappush(lanes, sample.ended_ns)
                samples.append(sample)
            self._now_ns = max(lanes)
        return Seen((), tuple(samples), Verdict("valid", []))

    def call(self, phase: str, size: int, intended_ns: int, started_ns: int) -> Sample:
        """One call."""
        rng, function = self._rng, self._function
        self.invocations += 1
        idle = self._idle.setdefault(size, [])
        free = [each for each in idle if each[0] <= started_ns and started_ns - each[0] < 60 * NS_PER_S]
        cold_s = 0.0
        if free:
            found = max(free)
            idle.remove(found)
            speed = found[1]
        else:
            cold_s = float(np.exp(rng.normal(math.log(0.7), 0.6)))
            speed = float(np.exp(function.instance_sigma * rng.standard_normal()))
            if rng.random() < function.slow_share:
                speed *= float(rng.uniform(1.5, 3))
        fresh = math.sqrt(1 - _STEPS_BACK**2) * function.drift_sigma
        self._drift = _STEPS_BACK * self._drift + fresh * float(rng.standard_normal())
        failed = size < function.needs_mb
        cpu_s, wait_s = function.base_s(size)
        noise = math.exp(function.sigma * float(rng.standard_normal()))
        duration_s = (cpu_s * noise + wait_s * noise**0.5) * speed * math.exp(self._drift)
        overhead_s = 0.003 * math.exp(0.5 * float(rng.standard_normal())) + cold_s
        ended_ns = started_ns + round((duration_s + overhead_s) * 1e9)
        if not failed:
            idle.append((ended_ns, speed))
        return Sample(
            intended_ns=intended_ns,
            started_ns=started_ns,
            ended_ns=ended_ns,
            arrived_ns=ended_ns,
            read_ns=ended_ns,
            phase=phase,
            agent=0,
            index=next(self._index),
            outcome="out_of_memory" if failed else "ok",
            reason="4205" if failed else "ok",
            status=200,
            error_code=None,
            duration_ns=round(duration_s * 1e9),
            billed_duration_ns=max(1, math.ceil(duration_s * 1e3)) * 1_000_000,
            memory_size_mb=size,
            memory_used_bytes=None,
            connect_ns=0,
            start="unknown",
            start_source="none",
            request_id=None,
        )


class Case(Struct, frozen=True):
    """What became of one comparison.

    ``best_mb`` is the truth, None where no size meets the rule. ``regret`` is by how much the recommended size is
    dearer than that, infinite where it breaks the rule, None without a recommendation. ``usual_regret`` and
    ``usual_calls`` are those of Lambda Power Tuning's estimator, which knows no rules.
    """

    best_mb: int | None
    result: MemoryResult
    calls: int
    regret: float | None
    usual_regret: float
    usual_calls: int

    @property
    def in_tied(self) -> bool:
        """Whether the truth is among the sizes that are not ruled out."""
        return self.best_mb is None or self.best_mb in self.result.tied_mb

    @property
    def near(self) -> bool:
        """Whether the recommended size is at most 2 % dearer than the best."""
        return self.regret is not None and self.regret <= 0.02

    @property
    def wrong(self) -> bool:
        """Whether the recommended size breaks the rule."""
        return self.regret == math.inf


def settings(limit_s: float | None, p: float, blocks: int, rounds: int = 10) -> MemoryComparison:
    """All fifteen sizes, with a rule on the p-quantile of latency or with none."""
    slo: tuple[MetricRule, ...] = ()
    if limit_s is not None:
        text = f"latency.p{100 * p:g} < {limit_s * 1e6:.0f}us"
        slo = (MetricRule(text, None, None, Metric.LATENCY, "p", 100 * p, round(limit_s * 1e9)),)
    return MemoryComparison(MEMORY_SIZES_MB, MemoryBy.HEADER, blocks, rounds, slo, 0.02, GAP_NS)


def case(
    seed: int, p: float | None = None, blocks: int = 20, function: Function | None = None, rounds: int = 10
) -> Case:
    """Compare the sizes of one function, a random one by default; with a rule on the p-quantile if ``p`` is given.

    The limit is up to 65 % above the true quantile of a random size.
    """
    function, known, limit_s = _asked(seed, p, function)
    world = FunctionWorld(function, seed)
    found = play(compare(settings(limit_s, p or 0.0, blocks, rounds), RATES, seed, TIMEOUT_NS), world)
    best = known.best(limit_s, p or 0.0)
    regret = None
    if found.recommended_mb is not None:
        allowed = best is not None and known.meets(found.recommended_mb, limit_s, p or 0.0)
        regret = known.cost[found.recommended_mb] / known.cost[best] - 1 if allowed and best is not None else math.inf
    elsewhere = FunctionWorld(function, seed)
    usual = play(power_tuning(sorted(known.cost), RATES), elsewhere)
    return Case(
        best_mb=best,
        result=found,
        calls=world.invocations,
        regret=regret,
        usual_regret=known.cost[usual] / min(known.cost.values()) - 1,
        usual_calls=elsewhere.invocations,
    )


def most_decided(seed: int, p: float, calls: int, alpha: float = 0.05) -> float:
    """How likely a case is decided at most, whatever the design and the test, if these err with ``alpha`` at most.

    To decide is to show that the best size meets the rule, and that each cheaper one breaks it. N calls of a size that
    breaks the rule with share s tell N · d(s, v) against the limit v, with d the divergence of two coins, and being
    right with probability β and wrong with α takes d(β, α). Nothing is assumed about times, so some law whose share is
    v differs from the true one in nothing but that. So d(β, α) · Σ 1 / d(s, v) ≤ ``calls``. Sources: T. L. Lai, H.
    Robbins, Adv. Appl. Math. 6 (1985); E. Kaufmann et al., J. Mach. Learn. Res. 17 (2016), lemma 1.
    """
    _, known, limit_s = _asked(seed, p)
    assert limit_s is not None
    limit, best = 1 - p, known.best(limit_s, p)
    matter = [size for size in known.cost if best is None or known.cost[size] <= known.cost[best]]
    shares = [float((known.service_s[size] >= limit_s).mean()) for size in matter]
    told = calls / sum(1 / max(1e-9, _divergence(share, limit)) for share in shares)
    low, high = alpha, 1 - 1e-9
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if _divergence(middle, alpha) <= told else (low, middle)
    return low


def _divergence(share: float, other: float) -> float:
    """Kullback and Leibler's, of a coin that falls so from one that falls otherwise, in nats."""
    return sum(a * math.log(a / b) for a, b in ((share, other), (1 - share, 1 - other)) if a)


def _asked(seed: int, p: float | None, function: Function | None = None) -> tuple[Function, Truth, float | None]:
    """A function, what is true of it, and the limit of its rule, if it is to have one."""
    rng = np.random.default_rng((seed, 0x4D))
    function = function or random_function(rng)
    known = truth(function, rng)
    if p is None:
        return function, known, None
    size = int(rng.choice(sorted(known.cost)))
    return function, known, float(np.quantile(known.service_s[size], p) * math.exp(rng.uniform(0, 0.5)))


def power_tuning(sizes: Sequence[int], rates: Rates, calls: int = 100) -> Decision[int]:
    """AWS Lambda Power Tuning's cheapest size: one size after another, means without a fifth at either end.

    Source: alexcasalboni/aws-lambda-power-tuning, lambda/utils.js and lambda/executor.js.
    """
    costs = {}
    for size in sizes:
        seen = yield Ask((phase(f"{size}MB", calls, 1, NS_PER_S),), samples=1.0, memory_mb=(size,))
        billed = sorted(sample.billed_duration_ns or 0 for sample in seen.samples)
        cut = int(calls * 0.2)
        kept = billed[cut : calls - cut]
        costs[size] = (rates.per_gb_s * size / 1024 * math.ceil(sum(kept) / len(kept) / 1e6), sum(kept))
    return min(costs, key=costs.__getitem__)


UNSTEADY = Function(0.5, 0.0, 1, 0.3, 60, 0.0, "proportional", 0.6, 0.1, 0.1)
"""Every instance has a speed of its own, and memory up to one core costs nothing: three runs have three winners."""


def rows(*, quick: bool) -> Iterator[Row]:
    """The lines of the table."""
    yield from _cheapest(all_of(case, range(40 if quick else 800), "memory, cheapest"))
    p95 = all_of(partial(case, p=0.95), range(30 if quick else 600), "memory, p95")
    yield from _ruled("p95", p95, 750)
    bounds = all_of(partial(most_decided, p=0.95, calls=750), range(len(p95)), "memory, bound")
    yield Row(
        "memory",
        "rule on p95: decided by whoever knows which sizes matter, and spends all 750 calls on these, at most",
        "",
        f"{sum(bounds) / len(bounds):.0%}",
        None,
        f"{len(bounds)} functions",
        "",
    )
    p99 = all_of(partial(case, p=0.99, blocks=100), range(10 if quick else 200), "memory, p99")
    yield from _ruled("p99, blocks: 100", p99, None)
    unsteady = all_of(partial(case, function=UNSTEADY), range(10 if quick else 100), "memory, unsteady")
    flagged = sum(len(found.result.tied_mb) > 1 for found in unsteady) / len(unsteady)
    deviation = median(found.result.instance_deviation or 0.0 for found in unsteady)
    yield Row(
        "memory",
        "instability, where instances differ and costs hardly do: no lone winner",
        "every time",
        f"{flagged:.1%}; spread between instances seen {deviation:.2f}",
        flagged == 1,
        f"{len(unsteady)} comparisons",
        "Power Tuning: always a winner, "
        f"{sum(found.usual_regret <= 0.02 for found in unsteady) / len(unsteady):.0%} of them within 2 % of the best",
    )


def _cheapest(cases: Sequence[Case]) -> Iterator[Row]:
    over = f"{len(cases)} functions"
    tied = sum(each.in_tied for each in cases) / len(cases)
    near = sum(each.near for each in cases) / len(cases)
    calls = sum(each.calls for each in cases) / len(cases)
    sizes = sum(len(each.result.tied_mb) for each in cases) / len(cases)
    usual = sum(each.usual_regret <= 0.02 for each in cases) / len(cases)
    for what, bar, measured, met, baseline in (
        ("optimum in the tied set", "≥ 98 %", f"{tied:.1%}, {sizes:.1f} sizes in it", tied >= 0.98, "has none"),
        ("recommended at most 2 % dearer than the best", "≥ 95 %", f"{near:.1%}", near >= 0.95, f"{usual:.1%}"),
        ("calls", "≤ 750, half of 100 × 15 sizes", f"{calls:.0f}", calls <= 750, "1500"),
    ):
        yield Row("memory", f"cheapest: {what}", bar, measured, met, over, f"Power Tuning: {baseline}")


def _ruled(name: str, cases: Sequence[Case], most: int | None) -> Iterator[Row]:
    """``most`` is the bar on the mean number of calls, None for none."""
    named = [each for each in cases if each.regret is not None]
    decided = [each for each in named if each.result.decided]
    tied = sum(each.in_tied for each in cases) / len(cases)
    near = sum(each.near for each in decided) / max(1, len(decided))
    wrong = sum(each.wrong for each in named) / max(1, len(named))
    calls = sum(each.calls for each in cases) / len(cases)
    answered = f"{len(decided) / len(cases):.0%} decided, {(len(named) - len(decided)) / len(cases):.0%} a safe size"
    over = f"{len(cases)} functions"
    of_these = f"{len(decided)} of {over}"
    for what, bar, measured, met, evidence in (
        ("optimum in the tied set", "≥ 98 %", f"{tied:.1%}", tied >= 0.98, over),
        (
            "decided, at most 2 % dearer than the best",
            "≥ 95 %",
            f"{near:.1%}",
            near >= 0.95,
            of_these,
        ),
        ("recommended size breaks the rule", "≤ 5 %", f"{wrong:.1%}", wrong <= 0.05, f"{len(named)} recommendations"),
        ("answered", "", f"{answered} while a cheaper one is open", None, over),
        ("calls", "" if most is None else f"≤ {most}", f"{calls:.0f}", None if most is None else calls <= most, over),
    ):
        yield Row("memory", f"rule on {name}: {what}", bar, measured, met, evidence, "Power Tuning: knows no rules")
