"""The trust rules: each fires on a record that was built to break it, and hardly ever on clean ones.

Clean records are of loads with random rates, laws of latency, lengths and numbers of agents, whose calls are
independent and whose generator has what a healthy one has: a few µs of lateness, a few connections, rare failures. A
broken record is a clean one with a single thing wrong. What experiments find out is made by the experiments themselves
on the platform model, and a fit of overheads by the classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from random import Random
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from loadgen.experiments.capacity import sequential
from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.coldstarts.decision import cold_starts
from loadgen.experiments.coldstarts.findings import ColdStartsResult
from loadgen.experiments.decision import Ask, Seen
from loadgen.experiments.load.findings import LoadResult
from loadgen.experiments.registry import found
from loadgen.invocation.bill import Misbilled
from loadgen.invocation.cell import CALL
from loadgen.invocation.metric import Metric
from loadgen.invocation.tally import Connections, Tally
from loadgen.load.trace import chance_of
from loadgen.measure.histogram import Histogram, slot
from loadgen.measure.interval import Frame, Health, Host
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.rule import MetricRule
from loadgen.measure.summary import Experiment
from loadgen.measure.verdict import judge, of_generator
from loadgen.stats.mixture import Mixture, fit, labelling
from loadgen.targets.functiongraph.emulator.profiles import cold_start_law
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Work
from loadgen.text.units import NS_PER_S
from tests.frames import blank, cell, counted, packed
from tests.simulate import capacity, memory
from tests.simulate.coldstarts import KEEP_ALIVE_NS
from tests.simulate.intervals import histogram
from tests.simulate.systems import known
from tests.simulate.table import Row
from tests.simulate.world import World, play

Floats = NDArray[np.float64]
Rng = np.random.Generator

SEED = 20261205
PHASE = "steady"
ASKED_MB = 512
PROFILES = ("r2-python3", "r2-nodejs", "r2-go", "r1")
"""Of cold starts that are far from what warm calls take."""


@dataclass
class Record:
    """One measured phase, and what else the verdict is told."""

    plan: PhasePlan
    frames: list[Frame]
    told: dict[str, Any] = field(default_factory=dict)
    rules: list[MetricRule] = field(default_factory=list)

    def fired(self) -> set[str]:
        """The rules that fire."""
        total = PhaseTotal(PHASE)
        for frame in self.frames:
            total.add(frame)
        return {reason.rule for reason in judge([self.plan], [total], self.rules, **self.told).reasons}

    @property
    def middle(self) -> Frame:
        """A frame in the middle of the phase."""
        return self.frames[len(self.frames) // 2]


def clean(rng: Rng, least_s: int = 22) -> Record:
    """A record of a load that nothing is wrong with."""
    seconds = int(rng.integers(least_s, 90))
    rate = float(np.exp(rng.uniform(np.log(max(20.0, 1500 / seconds)), np.log(300))))
    n = int(rng.poisson(rate * seconds))
    agents = int(rng.integers(1, 3))
    times_us = _latencies_us(rng, n)
    starts_s = np.sort(rng.uniform(0, seconds, n))
    ends = np.minimum((starts_s + times_us / 1e6).astype(np.int64), seconds + 9)
    of_agent = np.arange(n) % agents
    frames = [
        _frame(rng, agent, second, times_us[(of_agent == agent) & (ends == second)], final=second == seconds + 9)
        for second in range(seconds + 10)
        for agent in range(agents)
    ]
    locked = chance_of([float(phase) for phase in rng.random(int(rng.integers(5, 200)))])
    plan = PhasePlan(PHASE, False, False, seconds * NS_PER_S, n, locked=locked)
    told = {"overhead_floor_ns": 200_000, "memory_mb": {CALL: ASKED_MB}}
    return Record(plan, frames, told)


def _latencies_us(rng: Rng, n: int) -> NDArray[np.int64]:
    """Independent ones of a random law."""
    median_us = float(np.exp(rng.uniform(np.log(5_000), np.log(500_000))))
    match int(rng.integers(4)):
        case 0:
            drawn = np.exp(rng.uniform(0.05, 1.0) * rng.standard_normal(n))
        case 1:
            drawn = rng.exponential(1.4, n) + 0.2
        case 2:
            drawn = np.where(rng.random(n) < 0.03, rng.uniform(3, 8, n), rng.uniform(0.9, 1.1, n))
        case _:
            drawn = 0.5 + rng.gamma(2.0, 0.3, n)
    return np.clip(np.round(median_us * drawn), 1_000, 8_000_000).astype(np.int64)


def _frame(rng: Rng, agent: int, second: int, times_us: NDArray[np.int64], *, final: bool) -> Frame:
    n = len(times_us)
    late = np.minimum(rng.exponential(40, n), 400).astype(np.int64)
    duration = (times_us * rng.uniform(0.5, 0.95)).astype(np.int64)
    metrics = {
        "latency": times_us,
        "service_time": times_us - late,
        "late": late,
        "waited": np.zeros(n, np.int64),
        "connect": np.where(rng.random(n) < 0.005, 800, 0),
        "duration": duration,
        "billed_duration": -(-duration // 1000) * 1000,
        "overhead": np.maximum(times_us - late - duration, 0),
    }
    host = Host(cores=2, observed_ns=NS_PER_S, least_idle_ns=int(rng.uniform(0.2, 1) * NS_PER_S))
    tally = counted({"ok": n} if n else {}, metered=n, connections=Connections(reused=n))
    if n:
        tally.billed_ns = {ASKED_MB: int(metrics["billed_duration"].sum()) * 1000}
        tally.billing_units = {1_000_000: n}
    health = Health(cpu_ns=int(rng.uniform(0.05, 0.6) * NS_PER_S), loop_lag_ns=int(rng.exponential(2e6)), host=host)
    hist = packed({f"ok/{metric}": histogram(values) for metric, values in metrics.items() if n}, PHASE)
    return blank(tally, hist, phase=PHASE, agent=agent, seq=second, health=health, final=final)


# what is wrong with a broken record


def _failing(record: Record, n: int, outcome: str, reason: str) -> None:
    """``n`` more invocations that ended otherwise."""
    frame = record.middle
    started = 0 if outcome == "dropped" else n
    frame.tally.add(Tally(n, started, started, n - started, outcomes={outcome: n}, reasons={f"{outcome}/{reason}": n}))
    frame.hist[cell(f"{outcome}/latency", PHASE)] = Histogram({slot(900): n}).pack()
    record.plan = msgspec.structs.replace(record.plan, drawn=(record.plan.drawn or 0) + n)


def _share(record: Record, part: float) -> int:
    return int(part * (record.plan.drawn or 0)) + 1


def _each(record: Record, metric: str, value_us: int) -> None:
    """The same value of a metric for all invocations."""
    for frame in record.frames:
        name = cell(f"ok/{metric}", PHASE)
        if name in frame.hist:
            frame.hist[name] = Histogram({slot(value_us): Histogram.unpack(frame.hist[name]).count}).pack()


def _bound(record: Record) -> None:
    """Workers, between whose calls the generator takes a second."""
    record.plan = msgspec.structs.replace(record.plan, closed=True, drawn=None, workers=4.0)
    _each(record, "late", NS_PER_S // 1000)


def _stepped(record: Record) -> None:
    for frame in record.frames:
        frame.health = msgspec.structs.replace(frame.health, clock_step_ns=NS_PER_S)


def _set(record: Record, **values: object) -> None:
    for name, value in values.items():
        setattr(record.middle.tally, name, value)


def _planned(record: Record, **values: object) -> None:
    record.plan = msgspec.structs.replace(record.plan, **values)


def _told(record: Record, **values: object) -> None:
    record.told.update(values)


def _lost(record: Record) -> None:
    del record.frames[len(record.frames) // 2]


def _nothing(record: Record) -> None:
    record.frames, record.plan = [], msgspec.structs.replace(record.plan, drawn=0)


def _threshold(record: Record, text: str, start: str | None, p: float) -> None:
    record.rules.append(MetricRule(text, None, start, Metric.LATENCY, "p", p, NS_PER_S))


def _stretch(record: Record) -> None:
    """A tenth of the phase, all of it slow."""
    seconds = record.plan.duration_ns // NS_PER_S
    for frame in record.frames:
        second = frame.from_ns // NS_PER_S
        name = cell("ok/latency", PHASE)
        if 0.4 * seconds <= second < 0.5 * seconds and name in frame.hist:
            frame.hist[name] = Histogram({slot(8_000_000): Histogram.unpack(frame.hist[name]).count}).pack()


_UNDERBILLED = Misbilled(30_000_000, 7_000_000, "r")
_LOCKED = chance_of([0.01 * n for n in range(12)])

BROKEN: dict[str, Callable[[Record], None]] = {
    "rate_missed": lambda record: _failing(record, _share(record, 0.02) + 10, "dropped", "max_lag_late"),
    "late_starts": lambda record: _each(record, "late", 20_000_000),
    "generator_bound": _bound,
    "clock_stepped": _stepped,
    "generator_limits": lambda record: _failing(record, _share(record, 0.01), "connection", "local_limit"),
    "pool_saturated": lambda record: _each(record, "waited", 5_000),
    "overhead_floor": partial(_told, overhead_floor_ns=20 * NS_PER_S),
    "too_few_samples": lambda record: _threshold(record, "latency.p99.99 < 1s", None, 99.99),
    "dependent_samples": _stretch,
    "failures": lambda record: _failing(record, _share(record, 0.01), "function_error", "500"),
    "dropped": lambda record: _failing(record, 5, "dropped", "phase_end"),
    "redirects": partial(_set, reasons={"ok/redirect": 3}),
    "without_content": partial(_set, reasons={"ok/status_304": 3}),
    "record_incomplete": _lost,
    "nothing_measured": _nothing,
    "starts_unknown": lambda record: _threshold(record, "cold.latency.p50 < 1s", "cold", 50.0),
    "connects_in_latency": lambda record: _each(record, "connect", 800),
    "negative_overhead": partial(_set, negative_overhead=2),
    "billing_mismatch": partial(_set, misbilled=1, underbilled=1, worst_bill=_UNDERBILLED),
    "memory_ignored": partial(_set, billed_ns={128: 5_000_000}),
    "summary_missing": lambda record: _set(record, summary_missing=_share(record, 0.01)),
    "unbelievable": partial(_set, unbelieved={"duration": 1}),
    "throttled": lambda record: _failing(record, 1, "throttled", "429"),
    "phase_locked": partial(_planned, locked=_LOCKED),
    "clipped": partial(_set, clipped=1),
}
"""What breaks each rule that is about a record of load."""


def broken(slug: str, rng: Rng) -> bool:
    """Whether the rule fires on a record that breaks it."""
    record = clean(rng, 40)
    BROKEN[slug](record)
    return slug in record.fired()


# what experiments find out


def fired_on(experiment: Experiment | None, totals: Sequence[PhaseTotal] = ()) -> set[str]:
    """The rules that fire on the result of an experiment."""
    plans = [PhasePlan(total.name, False, False, NS_PER_S, None) for total in totals]
    verdict = judge(plans, list(totals), found=found(experiment))
    return {reason.rule for reason in of_generator(verdict).reasons}


class Shared(World):
    """A function that somebody else calls as well: a second before each burst, five times at once."""

    def run(self, ask: Ask) -> Seen:
        """What the run showed."""
        if ask.phases[0].name.startswith("burst"):
            for _ in range(5):
                self.platform.arrive(self.now_ns + ask.idle_ns - NS_PER_S, "hello", None)
        return super().run(ask)


def started(
    rng: Rng, world: type[World] = World, cold: int = 100, profiles: Sequence[str] = PROFILES
) -> ColdStartsResult:
    """The experiment on a random function."""
    seed = int(rng.integers(1 << 30))
    profile = str(rng.choice(profiles))
    function = EmulatedFunction("hello", 512, Work(int(rng.uniform(5e6, 5e7)), 0.3), profile, 100, True, 0.0)
    keep_alive_ns = round(rng.uniform(20, 100) * NS_PER_S)
    settings = ColdStarts(
        (Induce.GAP, Induce.BURST), 180 * NS_PER_S, min(20, cold), cold, 1000, KEEP_ALIVE_NS, (), None
    )
    played = world(Emulator(seed, keep_alive_ns, (function,)), seed=seed, totals=False)
    return play(cold_starts(settings, 100 * NS_PER_S, seed), played)


def labelled(rng: Rng, *, alike: bool) -> set[str]:
    """The rules that fire on a load that was labelled by a fit to its warm-up phase; none where the fit abstains.

    Cold are 3 % of the invocations or more: of fewer than 2 % labels by overhead say nothing, on purpose, as these may
    be outliers of the network. Where the two kinds are ``alike``, cold starts take little longer than warm ones do now
    and then, and most of the invocations are cold.
    """
    found, share = None, 0.0
    while not isinstance(found, Mixture):
        share = rng.uniform(0.02, 0.1)
        found = fit(histogram(np.round(1000 * _overheads_ms(rng, 4000, share, alike=alike)).astype(np.int64)))
        if not (isinstance(found, Mixture) or alike):
            return set()
    n, part = int(rng.integers(3_000, 20_000)), 0.9 if alike else max(0.03, share * rng.uniform(0.2, 1.0))
    said = [found.cuts.label(round(1e6 * ms)) for ms in _overheads_ms(rng, n, part, alike=alike)]
    total = PhaseTotal(PHASE)
    total.histograms = {cell(f"{start}/ok/latency", PHASE): Histogram({1: said.count(start)}) for start in set(said)}
    total.tally = counted({"ok": n})
    return fired_on(LoadResult(labelling("warm-up", 4000, found)), [total])


def _overheads_ms(rng: Rng, n: int, share: float, *, alike: bool) -> Floats:
    colds = int(rng.binomial(n, share))
    overheads = 20 + 3 * np.exp(0.5 * rng.standard_normal(n)) + rng.exponential(1.0, n)
    if alike:
        overheads[:colds] += 30 * np.exp(0.3 * rng.standard_normal(colds))
        return overheads
    law, random = cold_start_law(str(rng.choice(PROFILES))), Random(int(rng.integers(1 << 62)))
    assert law is not None
    overheads[:colds] += [1000 * law.draw_s(random) for _ in range(colds)]
    return overheads


def growing(rng: Rng) -> bool:
    """Whether a backlog that grows over 30 batches is seen to."""
    return sequential.slope([batch + rng.normal(0, 3) for batch in range(30)]) > 0


def tied(seed: int) -> bool:
    """Whether a function whose instances differ by more than its sizes has no lone winner."""
    return len(memory.case(seed, function=memory.UNSTEADY).result.tied_mb) > 1


def imprecise(seed: int) -> bool:
    """Whether a comparison that ends before it is precise says how precise it is."""
    precision = memory.case(seed, function=memory.UNSTEADY).result.precision
    return precision is not None and precision > 0.02


def ran(number: int) -> bool:
    """Whether the rate that a capacity search reports is one that was held."""
    result = capacity.case(known()[number], baselines=False).result
    held = {probe.rate_per_s for probe in result.probes if probe.verdict == sequential.PASS}
    return result.confirmed_per_s is None or result.confirmed_per_s in held


# the table


class Rule(Struct, frozen=True):
    """A trust rule, by its number in the method: what it is about, and the slugs of the verdict that stand for it."""

    number: int
    what: str
    slugs: tuple[str, ...] = ()


RULES = (
    Rule(1, "planned starts were made", ("rate_missed",)),
    Rule(2, "starts were on time", ("late_starts",)),
    Rule(
        3,
        "the generator was well",
        ("generator_bound", "generator_limits", "pool_saturated"),
    ),
    Rule(4, "above the overhead floor", ("overhead_floor",)),
    Rule(5, "starts follow their law (as 2)", ("late_starts",)),
    Rule(6, "enough samples", ("too_few_samples",)),
    Rule(7, "precise enough: what was reached is printed"),
    Rule(8, "steady (capacity)"),
    Rule(9, "independent samples", ("dependent_samples",)),
    Rule(
        10,
        "no failures, all recorded",
        ("failures", "dropped", "redirects", "without_content", "record_incomplete", "nothing_measured"),
    ),
    Rule(11, "labels are not mixed", ("mixed_starts",)),
    Rule(12, "labels are known, and possible", ("starts_unknown", "pool_mismatch")),
    Rule(13, "few connects", ("connects_in_latency",)),
    Rule(14, "no negative overhead, one clock", ("negative_overhead", "clock_stepped")),
    Rule(15, "bills follow from durations", ("billing_mismatch",)),
    Rule(16, "the memory size asked for", ("memory_ignored",)),
    Rule(17, "answers have a summary, and one that can be", ("summary_missing", "unbelievable")),
    Rule(18, "no throttling", ("throttled",)),
    Rule(19, "repeats agree (memory): else no lone winner"),
    Rule(20, "enough instances (memory)", ("few_instances",)),
    Rule(21, "a winner that is one (memory): else tied"),
    Rule(22, "functions are not phase-locked", ("phase_locked",)),
    Rule(23, "a reported rate was run (capacity)"),
    Rule(24, "nothing clipped", ("clipped",)),
)  # fmt: skip


def rows(*, quick: bool, seed: int = SEED) -> Iterator[Row]:
    """The lines of the table."""
    times, loads, found_out = (3, 100, 30) if quick else (10, 1000, 500)
    breaks, alarms = breaking(times, seed), false_alarms(loads, found_out, seed)
    for rule in RULES:
        if not rule.slugs:
            yield _of_experiment(rule, 3 if quick else 10, seed)
            continue
        fired = sum(breaks[slug] for slug in rule.slugs)
        cleans = [alarms[slug] for slug in rule.slugs]
        worst = max(n / of for n, of in cleans)
        yield Row(
            "trust rules",
            f"{rule.number}: {rule.what} ({', '.join(rule.slugs)})",
            "all broken, < 1 % of clean",
            f"{fired} of {times * len(rule.slugs)} broken, {worst:.1%} of clean",
            fired == times * len(rule.slugs) and worst < 0.01,
            f"{times} broken each, {min(of for _, of in cleans)} clean",
        )


def breaking(times: int, seed: int) -> dict[str, int]:
    """How often each rule fired when it was broken so many times."""
    rng = np.random.default_rng((seed, 1))
    found = {slug: sum(broken(slug, rng) for _ in range(times)) for slug in BROKEN}
    found["mixed_starts"] = sum("mixed_starts" in labelled(rng, alike=True) for _ in range(times))
    found["pool_mismatch"] = sum(
        "pool_mismatch" in fired_on(started(rng, Shared, profiles=("r2-go",))) for _ in range(times)
    )
    found["starts_unknown"] = min(
        found["starts_unknown"], sum("starts_unknown" in fired_on(started(rng, cold=5)) for _ in range(times))
    )
    hasty = (memory.case(number, 0.95, 60, rounds=4).result for number in range(1000))
    found["few_instances"] = sum(
        "few_instances" in fired_on(r) for r in islice((r for r in hasty if r.recommended_mb), times)
    )
    return found


def false_alarms(loads: int, found_out: int, seed: int) -> dict[str, tuple[int, int]]:
    """(how often each rule fired, of how many clean runs): of ``loads``, and of ``found_out`` experiments."""
    rng = np.random.default_rng((seed, 2))
    records = [clean(rng).fired() for _ in range(loads)]
    found = {slug: (sum(slug in fired for fired in records), loads) for slug in BROKEN}
    results = [fired_on(started(rng)) for _ in range(found_out)]
    for slug in ("starts_unknown", "pool_mismatch"):
        n, of = found.get(slug, (0, 0))
        found[slug] = (n + sum(slug in fired for fired in results), of + found_out)
    labels = [labelled(rng, alike=False) for _ in range(found_out)]
    found["mixed_starts"] = (sum("mixed_starts" in fired for fired in (*labels, *results)), 2 * found_out)
    compared = [result for number in range(found_out) if (result := memory.case(number, 0.95).result).decided]
    few = sum("few_instances" in fired_on(result) for result in compared)
    found["few_instances"] = (few, len(compared))
    return found


def _of_experiment(rule: Rule, times: int, seed: int) -> Row:
    rng = np.random.default_rng((seed, rule.number))
    match rule.number:
        case 7:
            fired = sum(imprecise(number) for number in range(times))
        case 8:
            fired = sum(growing(rng) for _ in range(times))
        case 23:
            fired = sum(ran(number) for number in range(min(times, 3)))
            times = min(times, 3)
        case _:
            fired = sum(tied(number) for number in range(times))
    return Row(
        "trust rules", f"{rule.number}: {rule.what}", "all", f"{fired} of {times}", fired == times, f"{times} cases"
    )
