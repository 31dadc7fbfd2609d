"""How arrivals are held against a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pacing import Deviation, deviation

S = 1_000_000_000
RATES = st.sampled_from([200, 1000, 3000, 5000])


def line(rate: int, count: int, begin_ns: int = 0) -> list[int]:
    return [begin_ns + n * S // rate for n in range(count)]


@given(RATES, st.integers(0, 10**15))
def test_arrivals_on_a_line_do_not_deviate_from_it_wherever_it_begins(rate: int, begin_ns: int) -> None:
    assert deviation(line(rate, 500, begin_ns), rate) == Deviation(0, 0)


@given(RATES, st.integers(1, 10**9))
def test_an_equal_delay_of_all_shows_only_against_the_schedule_itself(rate: int, delay_ns: int) -> None:
    late = line(rate, 500, delay_ns)
    assert deviation(late, rate) == Deviation(0, 0)
    assert deviation(late, rate, 0) == Deviation(delay_ns, delay_ns)


def test_one_late_arrival_in_fifty_moves_the_p99_and_not_the_median() -> None:
    arrivals = line(1000, 1000)
    for n in range(0, 1000, 50):
        arrivals[n] += 700_000
    assert deviation(arrivals, 1000) == Deviation(0, 700_000)


def test_a_request_that_was_never_sent_moves_all_later_ones_by_a_gap() -> None:
    arrivals = line(1000, 1001)
    del arrivals[600]
    assert deviation(arrivals, 1000) == Deviation(0, 1_000_000)


def test_a_burst_of_fifty_every_fifty_milliseconds_is_no_rate_of_a_thousand() -> None:
    bursts = [n // 50 * S // 20 for n in range(1000)]
    assert deviation(bursts, 1000) == Deviation(12_000_000, 25_000_000)
