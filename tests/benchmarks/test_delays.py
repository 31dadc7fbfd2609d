"""The truth about a server with injected delays is known in closed form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.delays import DELAYS, Bimodal, Fixed, Stall, true_latencies_ns

S = 1_000_000_000
MS = 1_000_000


def test_a_fixed_delay_is_the_latency_of_every_arrival() -> None:
    assert true_latencies_ns(Fixed(20 * MS), 200, 3) == [20 * MS] * 600


def test_the_slow_share_of_a_bimodal_delay_is_the_one_asked_for() -> None:
    latencies = true_latencies_ns(Bimodal(10 * MS, 200 * MS, 0.05), 1000, 20)
    assert latencies.count(200 * MS) + latencies.count(10 * MS) == 20_000
    assert latencies.count(200 * MS) / 20_000 == pytest.approx(0.05, abs=0.005)


def test_in_a_stall_each_arrival_waits_for_what_is_left_of_it() -> None:
    latencies = true_latencies_ns(Stall(5 * S, 7 * S), 200, 12)
    waits = [2 * S - n * S // 200 for n in range(400)]
    assert latencies == [0] * 2000 + sorted(waits)


@given(st.sampled_from(sorted(DELAYS)), st.integers(0, 5000), st.integers(0, 12 * S))
def test_no_answer_is_due_before_its_request(delay: str, number: int, at_ns: int) -> None:
    assert DELAYS[delay].held_ns(number, at_ns) >= 0


@given(st.integers(0, 5000), st.integers(0, 12 * S), st.integers(0, 12 * S))
def test_which_requests_are_slow_does_not_depend_on_when_they_arrive(number: int, a_ns: int, b_ns: int) -> None:
    assert DELAYS["bimodal"].held_ns(number, a_ns) == DELAYS["bimodal"].held_ns(number, b_ns)
