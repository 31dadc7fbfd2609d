from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from loadgen.comparison.stretches import PARTS, Together, between_runs, inflation_of_failures, read
from loadgen.measure.histogram import Histogram
from tests.report.builders import S, histogram, intervals, spread, valid


def parts(level: Callable[[int], float], n: int = 400) -> list[Histogram]:
    """Stretches of that many calls, each with a level of its own."""
    return [histogram([round(value * level(at)) for value in spread(n, 20_000)]) for at in range(PARTS)]


def test_a_log_is_cut_into_stretches_of_each_measured_phase_with_every_call_in_one() -> None:
    found = read(intervals(valid()), {"steady": 30 * S})
    assert {phase for phase, _ in found} == {"steady"}
    assert {metric for _, metric in found} == {"latency", "latency_all", "service_time"}
    assert all(len(each) == PARTS for each in found.values())
    assert sum(each.count for each in found["steady", "latency"]) == 6000


def test_a_phase_of_no_length_and_one_that_is_not_asked_for_have_no_stretches() -> None:
    assert read(intervals(valid()), {"steady": 0}) == {}


def test_runs_whose_levels_move_together_do_not_wander() -> None:
    ramp = parts(lambda at: 1 + at / 10)
    assert Together(ramp, ramp).wander(50.0, 1e-8, 1e-8) == 0.0


def test_a_level_that_wanders_in_one_run_counts_with_students_t() -> None:
    base, new = parts(lambda at: 1.0), parts(lambda at: 1.05 if at // 2 % 2 else 0.95)
    s = math.log(1.05 / 0.95) / 2 * math.sqrt(12 / 11)
    assert Together(base, new).wander(50.0, 1e-9, 1e-9) == pytest.approx(2.20 * s, rel=0.01)


def test_what_sampling_explains_is_no_wandering() -> None:
    base, new = parts(lambda at: 1.0), parts(lambda at: 1.01 if at // 2 % 2 else 0.99)
    assert Together(base, new).wander(50.0, 1e-3, 1e-3) == 0.0


def test_stretches_with_too_few_calls_become_longer_ones_or_say_nothing() -> None:
    base, new = parts(lambda at: 1.0, 40), parts(lambda at: 1.05 if at // 4 % 2 else 0.95, 40)
    assert Together(base, new).wander(95.0, 1e-9, 1e-9) > 0  # 200 calls take five stretches, so there are four of six
    assert Together(base, new).wander(99.0, 1e-9, 1e-9) == 0.0


def test_three_runs_say_how_much_one_more_differs_from_one_of_them() -> None:
    assert between_runs([1.0, math.e**0.02, math.e**-0.02]) == pytest.approx(6.205 * math.sqrt(2) * 0.02, rel=1e-3)


def test_failures_that_come_at_once_say_less_than_as_many_that_do_not() -> None:
    whole = [Histogram({100: 200})] * PARTS
    even = [Histogram({100: 198})] * PARTS
    heap = [Histogram({100: 200 if at else 152}) for at in range(PARTS)]
    assert inflation_of_failures({("p", "latency"): even, ("p", "latency_all"): whole}, "p") == 1
    assert inflation_of_failures({("p", "latency"): heap, ("p", "latency_all"): whole}, "p") > 10
    assert inflation_of_failures({}, "p") == 1


def test_a_run_without_a_log_says_nothing_of_how_runs_wander() -> None:
    assert Together((), parts(lambda at: 1.0)).wander(50.0, 1e-9, 1e-9) == 0.0
