"""The capacity search in virtual time, where it meets what users run into."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import msgspec
import pytest

from loadgen.experiments.capacity.decision import capacity
from loadgen.experiments.capacity.findings import CapacityResult
from loadgen.experiments.capacity.plan import Plan, criterion
from loadgen.experiments.decision import Ask, Seen
from loadgen.invocation.sample import Sample
from loadgen.measure.rule import MetricRule, ShareRule, parse
from loadgen.measure.summary import Reason, Verdict
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Throttle, Work
from loadgen.text.units import NS_PER_S
from tests.simulate.world import World, play

MS = 1_000_000


def world(throttle: Throttle = Throttle.IMMEDIATE, **function: object) -> World:
    settings = EmulatedFunction("hello", 1024, Work(100 * MS, 0.3), "r2-php", 10, True, 0.0)
    emulator = Emulator(1, 5 * NS_PER_S, (msgspec.structs.replace(settings, **function),), throttle=throttle)
    return World(emulator, seed=4, totals=False)


def plan(*rules: str, limit: int | None = 10, start: float = 1.0, to: float = 500.0) -> Plan:
    parsed = [parse(rule) for rule in rules or ("latency.p95 < 600ms",)]
    return Plan(
        criteria=tuple(criterion(rule) for rule in parsed if isinstance(rule, MetricRule | ShareRule)),
        from_per_s=start,
        to_per_s=to,
        confirm_ns=30 * NS_PER_S,
        precision=0.05,
        keep_alive_ns=5 * NS_PER_S,
        limit=limit,
        max_in_flight=10_000,
        grace_ns=100 * NS_PER_S,
    )


CAPACITY = 59.4
"""Erlang's B is 5 % for 10 places at 6.216 calls in flight, and a call takes 104.6 ms on average."""


def test_the_estimate_and_the_confirmed_rate_are_those_of_erlangs_formula() -> None:
    found = play(capacity(plan()), world())
    assert found.estimate_per_s == pytest.approx(CAPACITY, rel=0.06)
    assert found.confirmed_per_s is not None
    assert 0.8 * CAPACITY < found.confirmed_per_s < CAPACITY
    assert found.predicted_per_s == pytest.approx(CAPACITY, rel=0.08)
    assert found.bound_by == "quota"
    assert found.cold_per_s == found.warm_per_s == found.confirmed_per_s
    assert found.debt_colds is not None
    assert 5 <= found.debt_colds <= 10
    assert found.shortened
    assert found.why == ""


def test_every_rate_that_is_reported_as_sustained_was_held_for_as_long_as_asked() -> None:
    found = play(capacity(plan()), world())
    held = [probe for probe in found.probes if probe.rate_per_s == found.confirmed_per_s and probe.approach == "cold"]
    assert [probe.verdict for probe in held] == ["pass"]
    assert held[0].measured_ns >= 30 * NS_PER_S


def test_without_a_known_limit_there_is_no_prediction_and_the_same_capacity() -> None:
    found = play(capacity(plan(limit=None)), world())
    assert found.predicted_per_s is None
    assert found.estimate_per_s == pytest.approx(CAPACITY, rel=0.08)
    assert found.bound_by == "quota"


def test_the_stricter_of_two_rules_binds() -> None:
    both = play(capacity(plan("latency.p95 < 600ms", "throttled < 1%")), world())
    assert both.estimate_per_s == pytest.approx(42.6, rel=0.08)  # 1 % is rejected at 4.461 calls in flight


def test_a_platform_that_queues_is_bound_by_its_limit_and_not_by_a_slow_handler() -> None:
    found = play(capacity(plan()), world(Throttle.QUEUE))
    assert found.estimate_per_s is not None
    assert 1.2 * CAPACITY < found.estimate_per_s < 1.02 * 10 / 0.1046
    assert found.bound_by == "quota"


def test_a_rule_that_even_one_call_a_second_breaks_leaves_no_capacity_and_says_so() -> None:
    found = play(capacity(plan("latency.p95 < 50ms")), world())
    assert (found.confirmed_per_s, found.estimate_per_s) == (None, None)
    assert found.why.startswith("The rules are not met at the smallest rate, 1/s: latency.p95 < 50ms is not met")


def test_a_function_that_always_fails_is_not_loaded_at_all() -> None:
    failing = world(errors=1.0)
    found = play(capacity(plan()), failing)
    assert found.why == "No invocation succeeded, even without load (function_error)."
    assert found.probes == []
    assert failing.invocations < 300


def test_a_quota_below_the_smallest_rate_is_told_as_throttling() -> None:
    found = play(capacity(plan(start=40.0, limit=1)), world(max_instances=1))
    assert found.confirmed_per_s is None
    assert "smallest rate" in found.why
    assert found.probes[-1].throttled > 0


def test_rules_met_at_the_largest_rate_give_that_rate_and_no_estimate() -> None:
    found = play(capacity(plan(to=20.0)), world())
    assert (found.confirmed_per_s, found.estimate_per_s) == (20.0, None)
    assert found.notes[0] == "The rules are met at the largest rate asked for, 20/s."


def stopping(after: int) -> CapacityResult:
    """What is told when the run is stopped in a probe."""
    decision, there = capacity(plan()), world()
    ask = next(decision)
    try:
        for number in range(100):
            ask = decision.send(msgspec.structs.replace(there.run(ask), stopped=number >= after))
    except StopIteration as decided:
        result: CapacityResult = decided.value
        return result
    raise AssertionError("it went on")


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_run_cut_short_tells_what_is_known_so_far(after: int) -> None:
    found = stopping(after)
    assert found.why == "The run was stopped before the search had come to its end."
    assert len(found.probes) == after
    assert found.confirmed_per_s is None


def test_probes_that_the_generator_spoilt_are_never_held_against_the_function() -> None:
    decision, there = capacity(plan()), world()
    late = Verdict("invalid", [Reason("late_starts", "invalid", "it was late", 1, 1, withholds="all")])
    ask: Ask = next(decision)
    seen: Seen = there.run(ask)
    try:
        while True:
            ask = decision.send(seen)
            seen = msgspec.structs.replace(there.run(ask), verdict=late)
    except StopIteration as decided:
        found: CapacityResult = decided.value
    assert {probe.verdict for probe in found.probes} == {"invalid"}
    assert (found.confirmed_per_s, found.estimate_per_s, found.bound_by) == (None, None, None)
    assert "the load generator cannot be trusted" in found.why


def test_each_ask_says_what_it_is_for_and_how_rates_stood_by_then() -> None:
    decision, there = capacity(plan()), world()
    asked: list[Ask] = []
    standing: list[str] = []
    try:
        ask = next(decision)
        while True:
            asked.append(ask)
            seen = there.run(ask)
            if ask.standing is not None:
                standing.append(ask.standing())
            ask = decision.send(seen)
    except StopIteration:
        pass
    assert asked[0].purpose == "one call after another, to learn how long it takes without load"
    assert all(ask.purpose.startswith("hold ") for ask in asked[1:])
    assert asked[-2].purpose.endswith(" from a cold pool, to confirm it")
    assert asked[-1].purpose.endswith(" coming from a higher rate, to confirm it")
    assert asked[1].found == ""
    assert re.fullmatch(r"the rules are met at [\d.]+/s, not met at [\d.]+/s", asked[-1].found)
    assert standing[-1] == "met at this rate so far"
    assert "broken at this rate" in standing


def test_no_probe_asks_for_more_than_the_largest_rate_or_workers() -> None:
    decision, there = capacity(plan(to=70.0)), world()
    asked: list[Ask] = []

    def watched(ask: Ask) -> Seen:
        asked.append(ask)
        return there.run(ask)

    try:
        ask = next(decision)
        while True:
            ask = decision.send(watched(ask))
    except StopIteration:
        pass
    for phase in (phase for ask in asked for phase in ask.phases if not phase.closed):
        steady = phase.shape.rates[-1]  # type: ignore[union-attr]
        assert steady.per_s <= 70.0
        assert phase.max_in_flight == 10_000


def test_what_is_enough_does_not_depend_on_how_often_it_is_asked() -> None:
    decision, there = capacity(plan()), world()
    ask = decision.send(there.run(next(decision)))
    assert ask.enough is not None
    samples: Sequence[Sample] = sorted(there.run(msgspec.structs.replace(ask, enough=None)).samples, key=ended)
    again = next_probe()
    assert again.enough is not None
    first = next((n for n in range(1, len(samples)) if ask.enough(samples[:n])), None)
    assert first is not None
    assert again.enough(samples[:first])


def next_probe() -> Ask:
    decision = capacity(plan())
    return decision.send(world().run(next(decision)))


def ended(sample: Sample) -> int:
    return sample.ended_ns


def test_where_calls_queue_the_estimate_is_no_higher_than_what_all_places_serve() -> None:
    # ten places, 104.6 ms each: 95.6 a second, of which 5 % more may be refused or slow
    on = world(Throttle.QUEUE, work=Work(100 * MS, 0.3))
    found = play(capacity(plan("latency.p95 < 9s")), on)
    assert found.estimate_per_s is not None
    assert 0.9 * 95.6 < found.estimate_per_s < 1.03 * 95.6 / 0.95


def test_a_limit_that_is_exceeded_holds_nothing_down() -> None:
    found = play(capacity(plan(limit=3)), world())
    assert found.estimate_per_s == pytest.approx(CAPACITY, rel=0.08)


def test_a_backlog_of_slow_cold_starts_is_waited_for_and_fails_no_rate() -> None:
    function = EmulatedFunction("hello", 1024, Work(100 * MS, 0.3), "r2-custom", 10, True, 0.0)  # 10 s to start
    on = World(Emulator(1, 60 * NS_PER_S, (function,), throttle=Throttle.QUEUE), seed=4, totals=False)
    found = play(capacity(dataclasses.replace(plan("latency.p95 < 2s"), keep_alive_ns=60 * NS_PER_S)), on)
    assert found.estimate_per_s is not None
    assert found.estimate_per_s > 0.9 * 95.6


def test_what_a_rate_far_too_high_leaves_behind_is_not_blamed_on_the_next() -> None:
    # ten places of 52 ms serve 190 a second, and calls may wait a minute for them
    function = EmulatedFunction("hello", 1024, Work(50 * MS, 0.3), "r2-php", 10, True, 0.0)
    emulator = Emulator(1, NS_PER_S, (function,), throttle=Throttle.QUEUE, queue_timeout_ns=60 * NS_PER_S)
    on = World(emulator, seed=4, totals=False, timeout_ns=5 * NS_PER_S)
    asked = dataclasses.replace(plan("latency.p95 < 500ms", limit=60, start=5, to=1000), keep_alive_ns=NS_PER_S)
    found = play(capacity(asked), on)
    assert found.probes[0].verdict == "fail"
    assert found.confirmed_per_s is not None
    assert 0.7 * 190 < found.confirmed_per_s < 190


def test_calls_that_take_no_time_end_in_a_result_without_a_prediction() -> None:
    class Instant(World):
        """Its platform says that handlers take no time."""

        def run(self, ask: Ask) -> Seen:
            seen = super().run(ask)
            return msgspec.structs.replace(
                seen, samples=tuple(msgspec.structs.replace(each, duration_ns=0) for each in seen.samples)
            )

    function = EmulatedFunction("hello", 1024, Work(100 * MS, 0.3), "r2-php", 10, True, 0.0)
    found = play(capacity(plan()), Instant(Emulator(1, 5 * NS_PER_S, (function,)), seed=4, totals=False))
    assert found.predicted_per_s is None
    assert found.estimate_per_s == pytest.approx(CAPACITY, rel=0.1)


@pytest.mark.parametrize("rule", ["latency.p95 < 600ms", "latency.p99 < 1h"])
def test_refusals_within_a_millisecond_meet_no_rule_on_latency(rule: str) -> None:
    """The platform refuses what it has no place for at once: a rate far above its limit is not met for being fast."""
    found = play(capacity(plan(rule, start=200.0)), world())
    assert found.confirmed_per_s is None
    assert "not met at the smallest rate" in found.why
    assert found.probes[0].broken[0] > 0.5 * found.probes[0].invocations
    assert found.probes[0].p99_ns is None
