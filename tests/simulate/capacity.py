"""The capacity search on random functions whose capacity is known, beside the searches of other tools.

``python -m tests.simulate.systems FIRST NUMBER CALLS`` finds the capacity of more systems.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median

from msgspec import Struct

from loadgen.experiments.capacity.decision import capacity
from loadgen.experiments.capacity.findings import CapacityResult
from loadgen.experiments.capacity.plan import Plan, criterion
from loadgen.measure.rule import MetricRule, parse
from loadgen.text.units import NS_PER_S
from tests.simulate.baselines import mutilate, nighthawk
from tests.simulate.parallel import all_of
from tests.simulate.systems import FUNCTION, System, Truth, known, violations
from tests.simulate.table import Row, quantile
from tests.simulate.world import World, play

TRUE_CALLS = 50_000
"""Of the long run that says how many violations a confirmed rate really has."""


class Case(Struct, frozen=True):
    """One system and what the searches said of it; rates are relative to the true capacity, times in seconds.

    ``violated`` is the true share of violations at the confirmed rate, relative to its limit. ``patient`` is Nighthawk
    with runs of a minute, and without its deadline.
    """

    seed: int
    estimate: float | None
    covered: bool
    confirmed: float | None
    violated: float | None
    attributed: bool | None
    search_s: float
    nighthawk: float | None
    nighthawk_s: float
    patient: float | None
    patient_s: float
    mutilate: float
    mutilate_s: float
    result: CapacityResult


def plan(system: System) -> Plan:
    """What is asked about a system: its SLO, and everything else as the method has it."""
    rule = parse(f"latency.p{100 * system.p:g} < {max(1, round(system.latency_ns / 1000))}us")
    assert isinstance(rule, MetricRule)
    return Plan(
        criteria=(criterion(rule),),
        from_per_s=0.05,
        to_per_s=1000.0,
        confirm_ns=system.held_ns,
        precision=0.05,
        keep_alive_ns=system.keep_alive_s * NS_PER_S,
        limit=system.limit,
        max_in_flight=1_000_000,
        grace_ns=100 * NS_PER_S,
    )


def world(system: System, seed: int) -> World:
    """The system, with arrivals and draws that the true capacity was not found with."""
    emulator = system.emulator
    return World(
        type(emulator)(seed, emulator.keep_alive_ns, emulator.functions, throttle=emulator.throttle),
        function=FUNCTION,
        seed=seed,
        rtt_ns=system.rtt_ns,
        totals=False,
    )


def case(truth: Truth, *, baselines: bool = True, turn: int = 0) -> Case:
    """Search the capacity of one system in every way; each turn has arrivals and draws of its own."""
    system, true = truth.system, truth.capacity_per_s
    limit, violates = 1 - system.p, plan(system).criteria[0].broken
    ours = world(system, system.seed + 1_000_000 + 10_000_000 * turn)
    result = play(capacity(plan(system)), ours)
    confirmed = result.confirmed_per_s
    share = None if confirmed is None else sum(violations(system, confirmed, TRUE_CALLS).values()) / limit
    night = mute = patient = None
    other, third, fourth = (world(system, system.seed + number * 1_000_000) for number in (2, 3, 4))
    if baselines:
        start = 0.25 * system.limit / system.busy_ns * NS_PER_S
        night = play(nighthawk(start, limit, violates), other)
        patient = play(nighthawk(start, limit, violates, 60, math.inf), fourth)
        mute = play(mutilate(system.limit, limit, violates), third)
    low, high = result.estimate_low_per_s, result.estimate_high_per_s
    causes = [cause for cause, part in truth.bound.items() if part >= max(truth.bound.values()) - 0.1]
    return Case(
        seed=system.seed,
        estimate=None if result.estimate_per_s is None else result.estimate_per_s / true,
        covered=low is not None and high is not None and low <= true <= high,
        confirmed=None if confirmed is None else confirmed / true,
        violated=share,
        attributed=None if not causes else result.bound_by in causes,
        search_s=result.search_ns / NS_PER_S,
        nighthawk=None if night is None else night / true,
        nighthawk_s=other.loaded_ns / NS_PER_S,
        patient=None if patient is None else patient / true,
        patient_s=fourth.loaded_ns / NS_PER_S,
        mutilate=0.0 if mute is None else mute / true,
        mutilate_s=third.loaded_ns / NS_PER_S,
        result=result,
    )


def rows(*, quick: bool) -> Iterator[Row]:
    """The lines of the table."""
    truths = known()[:6] if quick else known()
    first = all_of(case, truths, "capacity")
    again = []
    if not quick:
        for turn, some in ((1, truths), (2, truths[: len(truths) // 2])):  # 473 confirmations, and some to spare
            again += all_of(partial(case, baselines=False, turn=turn), some, f"capacity, turn {turn + 1}")
    yield from summarised(first, again)


def summarised(cases: Sequence[Case], again: Sequence[Case] = ()) -> Iterator[Row]:
    """The lines of the table for these cases; ``again`` are more searches of the same systems."""
    n = len(cases)
    errors = [abs(each.estimate - 1) for each in cases if each.estimate is not None]
    over = f"{len(errors)} of {n} systems"
    night = [abs(each.nighthawk - 1) for each in cases if each.nighthawk is not None]
    mute = [abs(each.mutilate - 1) for each in cases]
    yield Row(
        "capacity",
        "error of the estimate, median",
        "≤ 3 %",
        f"{quantile(errors, 0.5):.1%}",
        quantile(errors, 0.5) <= 0.03,
        over,
        f"Nighthawk {quantile(night, 0.5):.1%} ({n - len(night)} gave up), mutilate {quantile(mute, 0.5):.1%}",
    )
    yield Row(
        "capacity",
        "error of the estimate, p95",
        "≤ 6 %",
        f"{quantile(errors, 0.95):.1%}",
        quantile(errors, 0.95) <= 0.06,
        over,
        f"Nighthawk {quantile(night, 0.95):.1%}, mutilate {quantile(mute, 0.95):.1%}",
    )
    covered = sum(each.covered for each in cases)
    yield Row("capacity", "95 % interval holds the truth", "", f"{covered / max(1, n):.1%}", None, over)
    confirmed = [each for each in (*cases, *again) if each.confirmed is not None]
    false = sum((each.violated or 0) >= 1.5 for each in confirmed)
    yield Row(
        "capacity",
        "confirmed though violations are ≥ 1.5 times the limit",
        "≤ 1 %",
        f"{false / max(1, len(confirmed)):.1%}",
        false <= 0.01 * len(confirmed),
        f"{len(confirmed)} confirmations",
        "answers more than 3 % above the capacity: "
        f"Nighthawk {_false(cases, 'nighthawk'):.0%}, mutilate {_false(cases, 'mutilate'):.0%}",
    )
    rates = [each.confirmed or 0 for each in confirmed]
    held = f"{len(confirmed)} of {n + len(again)} searches"
    yield Row("capacity", "confirmed rate, share of the capacity", "", f"median {quantile(rates, 0.5):.1%}", None, held)
    effort = [each.search_s / each.nighthawk_s for each in cases if each.nighthawk_s]
    ratio = sum(each.search_s for each in cases) / max(1.0, sum(each.nighthawk_s for each in cases))
    yield Row(
        "capacity",
        "probe time of the search, against Nighthawk's",
        "≤ 60 %",
        f"median {median(effort) if effort else 0:.0%}, in sum {ratio:.0%}; median "
        f"{quantile([each.search_s for each in cases], 0.5):.0f} s",
        bool(effort) and median(effort) <= 0.6,
        over,
        f"Nighthawk median {quantile([each.nighthawk_s for each in cases], 0.5):.0f} s; with runs of a minute and no "
        f"deadline {quantile([each.patient_s for each in cases], 0.5):.0f} s, erring by "
        f"{quantile([abs(each.patient - 1) for each in cases if each.patient is not None], 0.5):.1%} "
        f"({sum(each.patient is None for each in cases)} gave up)",
    )
    judged = [each.attributed for each in cases if each.attributed is not None]
    yield Row(
        "capacity",
        "what binds it is named right",
        "≥ 95 %",
        f"{sum(judged) / max(1, len(judged)):.1%}",
        sum(judged) >= 0.95 * len(judged),
        f"{len(judged)} systems",
    )


def _false(cases: Sequence[Case], name: str) -> float:
    answers: list[float] = [answer for each in cases if (answer := getattr(each, name))]
    return sum(answer > 1.03 for answer in answers) / max(1, len(answers))
