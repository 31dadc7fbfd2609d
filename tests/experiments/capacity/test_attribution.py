from __future__ import annotations

import msgspec
import pytest

from loadgen.experiments.capacity.attribution import (
    COLD,
    EXECUTION,
    GENERATOR,
    QUEUEING,
    QUOTA,
    causes,
    cold_test,
    excess,
    full,
)
from loadgen.invocation.sample import Sample
from tests import frames

MS = 1_000_000
WARM = frames.sample(
    ended_ns=15 * MS,
    duration_ns=10 * MS,
    billed_duration_ns=10 * MS,
    memory_size_mb=128,
    memory_used_bytes=1,
    connect_ns=0,
)


def sample(**changes: object) -> Sample:
    return msgspec.structs.replace(WARM, **changes)


@pytest.mark.parametrize(
    ("changes", "cold", "at_limit", "cause"),
    [
        ({"outcome": "throttled", "duration_ns": None}, False, True, QUOTA),
        ({"started_ns": 180 * MS, "ended_ns": 200 * MS}, False, False, GENERATOR),
        ({"outcome": "dropped", "started_ns": None, "duration_ns": None}, False, False, GENERATOR),
        ({"duration_ns": 120 * MS, "ended_ns": 130 * MS}, True, True, EXECUTION),
        ({"outcome": "function_error"}, False, False, EXECUTION),
        ({"ended_ns": 500 * MS}, True, False, COLD),
        ({"ended_ns": 500 * MS}, False, True, QUOTA),
        ({"ended_ns": 500 * MS}, False, False, QUEUEING),
        ({"outcome": "timeout", "duration_ns": None, "ended_ns": 500 * MS}, False, False, QUEUEING),
    ],
)
def test_a_violation_has_the_first_cause_that_applies(
    changes: dict[str, object], cold: bool, at_limit: bool, cause: str
) -> None:
    found = causes([sample(**changes), WARM], [cold, False], [at_limit, False], lambda each: each is not WARM, 100 * MS)
    assert found == {cause: 0.5}


def test_an_overhead_far_above_those_of_warm_calls_is_a_cold_start() -> None:
    cold = cold_test([WARM] * 20)
    assert [cold(sample(ended_ns=ms * MS)) for ms in (15, 25, 40)] == [False, False, True]


def test_a_label_outweighs_the_overhead() -> None:
    cold = cold_test([WARM] * 20)
    assert [cold(sample(start="warm", ended_ns=900 * MS)), cold(sample(start="cold"))] == [False, True]


def test_without_a_duration_only_a_label_makes_a_call_cold() -> None:
    cold = cold_test([sample(duration_ns=None)] * 20)
    assert [cold(sample(duration_ns=None, ended_ns=900 * MS)), cold(sample(start="cold"))] == [False, True]


def test_the_limit_is_reached_while_as_many_calls_are_under_way() -> None:
    calls = [sample(intended_ns=at * MS, ended_ns=(at + 10) * MS) for at in (0, 1, 2, 11, 11)]
    assert full(calls, 2) == [False, False, True, False, True]
    assert full(calls, None) == [False] * 5


def test_refused_calls_take_no_place() -> None:
    refused = sample(intended_ns=0, ended_ns=50 * MS, outcome="throttled")
    assert full([refused, sample(intended_ns=MS)], 1) == [False, False]


def test_what_binds_is_what_grew_and_not_what_was_always_there() -> None:
    found = excess({EXECUTION: 0.02, QUOTA: 0.03}, [{EXECUTION: 0.02}, {EXECUTION: 0.03}])
    assert found == {QUOTA: 1.0}


def test_nothing_binds_where_nothing_grew() -> None:
    assert excess({EXECUTION: 0.02}, [{EXECUTION: 0.02}]) == {}
