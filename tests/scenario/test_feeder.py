from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.feeder import row_index
from loadgen.scenario.model import FeederOrder


def test_once_runs_out_and_loop_goes_round() -> None:
    assert [row_index(FeederOrder.ONCE, i, 2, 1) for i in range(4)] == [0, 1, None, None]
    assert [row_index(FeederOrder.LOOP, i, 2, 1) for i in range(4)] == [0, 1, 0, 1]


def test_random_rows_never_change_between_versions() -> None:
    assert [row_index(FeederOrder.RANDOM, i, 1000, 1) for i in range(8)] == [368, 526, 737, 692, 870, 465, 189, 199]


def test_random_rows_are_spread_evenly() -> None:
    counts = Counter(row_index(FeederOrder.RANDOM, i, 10, 7) for i in range(10_000))
    assert set(counts) == set(range(10))
    assert max(counts.values()) < 1150
    assert min(counts.values()) > 850


@given(
    st.sampled_from([FeederOrder.LOOP, FeederOrder.RANDOM]), st.integers(0, 2**63), st.integers(1, 10**9), st.integers()
)
def test_a_row_is_always_one_of_the_rows(order: FeederOrder, index: int, count: int, seed: int) -> None:
    row = row_index(order, index, count, seed)
    assert row is not None
    assert 0 <= row < count
