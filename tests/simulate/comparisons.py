"""Comparisons where it is known whether the function changed: how often they claim a change, and find one.

The calls are drawn here, call by call, and know nothing of what is judged: log-normal times whose p95 is 1.64 times
their p50, some of them failed. By law they are independent; share half of their variance with those of the same second
or so; have episodes in which all are slow; are of a run whose level is another one each time, and stands still or
wanders while it lasts. A comparison claims something when any of its rows is better or worse. Rows are not independent:
service_time and duration are of the same calls as latency.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from loadgen.comparison.compare import compare
from loadgen.comparison.comparison import BETTER, NOISE, SAME, UNCLEAR, WORSE, Comparison
from loadgen.comparison.pairs import PS, Run
from loadgen.comparison.stretches import PARTS
from loadgen.measure.dependence import Batches
from loadgen.measure.histogram import SUB_BUCKET_BITS, SUB_BUCKETS, Histogram
from loadgen.measure.merge import metric_summary
from loadgen.measure.summary import Verdict
from tests.report import builders
from tests.simulate.parallel import all_of
from tests.simulate.table import Row

Floats = NDArray[np.float64]

SEED = 20261130
MEDIAN_US, SIGMA = 20_000.0, 0.3
FAILED = 0.005
S = 1_000_000_000
_STEP_S = 0.1


class Law(Struct, frozen=True):
    """How runs go: so many calls per second for so long.

    ``memory_s`` is for how long calls share ``common`` of their variance. In episodes of ``episode_s``, one in
    ``every_s`` on average, all calls take five times as long. ``level`` is the standard deviation of the level of a
    run, which is forgotten within ``level_s`` while it lasts, None for never.
    """

    name: str
    rate: int = 100
    seconds: int = 50
    sigma: float = SIGMA
    common: float = 0.0
    memory_s: float = 1.0
    episode_s: float = 0.0
    every_s: float = 10.0
    level: float = 0.0
    level_s: float | None = None
    repeats: int = 1


INDEPENDENT = Law("independent calls")
BURSTY = Law("calls within some 1 s share half of their variance", seconds=120, common=0.5)
EPISODES = Law("episodes of 0.5 s every 10 s", seconds=120, episode_s=0.5)
LEVELS = Law("the level of a run varies by 2 %", level=0.02)
MANY = Law("the level of a run varies by 2 %, ten times the calls", rate=500, seconds=100, level=0.02)
WANDERING = Law(
    "the level varies by 2 %, and wanders within half a minute", rate=300, seconds=120, level=0.02, level_s=30
)
REPEATED = Law("the level of a run varies by 5 %, three new runs", level=0.05, repeats=3)
LAWS = (INDEPENDENT, BURSTY, EPISODES, LEVELS, MANY, WANDERING, REPEATED)


def run(law: Law, rng: np.random.Generator, p95: float = 1.0) -> Run:
    """What a run of a law leaves; its times are ``p95`` times as long."""
    at = np.sort(rng.random(law.rate * law.seconds)) * law.seconds
    own = rng.standard_normal(len(at))
    normal = math.sqrt(law.common) * _shared(law.seconds, law.memory_s, rng)[(at / _STEP_S).astype(int)]
    logs = law.sigma * (normal + math.sqrt(1 - law.common) * own)
    logs += law.level * _level(law, rng)[(at / _STEP_S).astype(int)] + math.log(p95)
    if law.episode_s:
        begins = rng.random(rng.poisson(law.seconds / law.every_s)) * law.seconds
        for begin in begins:
            logs[(at >= begin) & (at < begin + law.episode_s)] += math.log(5)
    service = MEDIAN_US * np.exp(logs)
    ok = rng.random(len(at)) >= FAILED
    times = {
        "latency": service + rng.exponential(50.0, len(at)),
        "service_time": service,
        "duration": 0.8 * service * np.exp(0.02 * rng.standard_normal(len(at))),
    }
    return _left(law, at, times, ok)


def _level(law: Law, rng: np.random.Generator) -> Floats:
    if law.level_s is None:
        return np.full(round(law.seconds / _STEP_S) + 1, rng.standard_normal())
    return _shared(law.seconds, law.level_s, rng)


def _shared(seconds: float, memory_s: float, rng: np.random.Generator) -> Floats:
    """A normal level by tenths of a second, which forgets where it was within ``memory_s``."""
    kept = math.exp(-_STEP_S / memory_s)
    steps = rng.standard_normal(round(seconds / _STEP_S) + 1)
    level = np.empty_like(steps)
    now = steps[0]
    for n, step in enumerate(steps.tolist()):
        now = kept * now + math.sqrt(1 - kept**2) * step if n else now
        level[n] = now
    return level


def _left(law: Law, at: Floats, times: dict[str, Floats], ok: NDArray[np.bool_]) -> Run:
    """The Summary and the stretches, as a run makes them of its calls."""
    second = at.astype(int)
    seconds = {
        metric: [histogram(values[ok & (second == n)]) for n in range(law.seconds)] for metric, values in times.items()
    }
    planned = [int(np.count_nonzero(second == n)) for n in range(law.seconds)]
    failed = histogram(times["latency"][~ok])
    batches = Batches()
    for n, counted in enumerate(seconds["latency"]):
        batches.add(n * S, (n + 1) * S, [counted.pack()])
    made = partial(metric_summary, ps=PS, inflation=batches.inflation(law.seconds * S), blobs=False)
    measured = {metric: made(metric, _joined(each)) for metric, each in seconds.items()}
    measured["latency_all"] = made("latency_all", _joined(seconds["latency"]), failed=failed)
    outcomes = {"ok": int(np.count_nonzero(ok)), "error": int(np.count_nonzero(~ok))}
    phases = [builders.phase(name, law.seconds, outcomes, measured=measured) for name in ("steady", "totals")]
    summary = builders.summary(phases[:1], phases[1], Verdict("valid", []))
    summary = replace(summary, run=replace(summary.run, id=str(times["latency"].sum())))
    parts = {("steady", metric): _stretches(each) for metric, each in seconds.items()}
    every = [Histogram({0: n} if n else {}) for n in planned]
    return Run("run", summary, {**parts, ("steady", "latency_all"): _stretches(every)})


def _stretches(seconds: list[Histogram]) -> list[Histogram]:
    parts = [Histogram() for _ in range(PARTS)]
    for n, each in enumerate(seconds):
        parts[n * PARTS // len(seconds)].add(each)
    return parts


def _joined(parts: list[Histogram]) -> Histogram:
    whole = Histogram()
    for each in parts:
        whole.add(each)
    return whole


def histogram(values_us: Floats) -> Histogram:
    """What recording each value gives, all at once: ``slot`` of many values."""
    values = values_us.astype(np.int64)
    shift = np.maximum(0, np.frexp(values.astype(np.float64))[1] - SUB_BUCKET_BITS).astype(np.int64)
    slots, counts = np.unique(shift * (SUB_BUCKETS // 2) + (values >> shift), return_counts=True)
    return Histogram(dict(zip(slots.tolist(), counts.tolist(), strict=True)))


class Case(Struct, frozen=True):
    """One comparison: a law, how many times as long the new runs' times are, and a seed."""

    law: Law
    p95: float
    seed: int


def compared(case: Case) -> list[Comparison]:
    """A base and its new runs, one or several."""
    rng = np.random.default_rng((case.seed, *case.law.name.encode()))
    base = run(case.law, rng)
    return compare(base, [run(case.law, rng, case.p95) for _ in range(case.law.repeats)], NOISE)


class Told(Struct, frozen=True):
    """How many of the comparisons of a case claim any change, the verdict on p95, and how many rows are not unclear."""

    claims: float
    p95: str
    clear: float


def told(case: Case) -> Told:
    """What the comparisons of a case say together."""
    found = compared(case)
    claims = sum(any(row.verdict in (WORSE, BETTER) for row in each.rows) for each in found) / len(found)
    rows = [row for each in found for row in each.rows]
    verdicts = [row.verdict for row in rows]
    p95 = next(row.verdict for row in rows if row.metric == "latency_all" and row.statistic == "p95")
    clear = sum(verdict != UNCLEAR for verdict in verdicts) / len(verdicts)
    return Told(claims, p95, clear)


def of_law(law: Law, number: int, p95: float = 1.0, seed: int = SEED) -> list[Told]:
    """So many cases of a law, on all cores."""
    cases = [Case(law, p95, seed + n) for n in range(number)]
    return all_of(told, cases, f"comparisons, {law.name}")


def rows(*, quick: bool, seed: int = SEED) -> Iterator[Row]:
    """The lines of the table."""
    for law in LAWS:
        number = 40 if quick else 200 if law.rate == INDEPENDENT.rate and law.repeats == 1 else 100
        found = of_law(law, number, seed=seed)
        share = sum(each.claims for each in found) / number
        clear = sum(each.clear for each in found) / number
        yield Row(
            "comparisons",
            f"the same function twice, {law.name}: any row better or worse",
            "≤ 5% of comparisons",
            f"{share:.1%}; {clear:.0%} of the rows are decided",
            share <= 0.05,
            f"{number * law.repeats} comparisons of {law.rate * law.seconds} calls each",
        )
    for law, times, bar in (
        (INDEPENDENT, 1.1, 0.9),
        (Law("independent calls, p95 2.3 times p50", sigma=0.5), 1.1, None),
        (Law("independent calls, p95 2.3 times p50", sigma=0.5, rate=200), 1.1, None),
        (BURSTY, 1.1, None),
        (INDEPENDENT, 1.08, None),
    ):
        found = of_law(law, 40 if quick else 100, times, seed)
        share = sum(each.p95 == WORSE for each in found) / len(found)
        yield Row(
            "comparisons",
            f"all times {times - 1:.0%} longer, {law.name}: p95 is called worse",
            "" if bar is None else f"≥ {bar:.0%}",
            f"{share:.1%}",
            None if bar is None else share >= bar,
            f"{len(found)} comparisons of {law.rate * law.seconds} calls each",
        )
    found = of_law(Law("many independent calls", rate=1000, seconds=100), 20 if quick else 40, seed=seed)
    share = sum(each.p95 == SAME for each in found) / len(found)
    yield Row(
        "comparisons", "the same function twice, many independent calls: p95 is called the same", "≥ 95%",
        f"{share:.1%}", share >= 0.95, f"{len(found)} comparisons of 100000 calls each",
    )  # fmt: skip
