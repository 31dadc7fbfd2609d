from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from loadgen.comparison.ratio import (
    Share,
    Z,
    difference,
    estimate,
    of_estimates,
    of_shares,
    of_variation,
    wilson,
    z_of,
)


def test_the_level_is_that_at_which_all_rows_hold_at_once() -> None:
    assert z_of(1) == pytest.approx(norm.ppf(0.975))
    assert z_of(20) == pytest.approx(norm.ppf(1 - 0.05 / 40))
    assert z_of(0) == z_of(1)


def test_distances_to_the_limits_add_up_as_squares_on_logarithms() -> None:
    base, new = estimate(100, 90, 120), estimate(200, 150, 220)
    found = of_estimates(base, new, Z)
    assert found.value == 2
    assert found.low == pytest.approx(2 / math.exp(math.hypot(math.log(200 / 150), math.log(120 / 100))))
    assert found.high == pytest.approx(2 * math.exp(math.hypot(math.log(220 / 200), math.log(100 / 90))))


def test_intervals_of_normal_logarithms_are_those_of_their_difference() -> None:
    found = of_estimates(of_variation(1.0, 0.03**2), of_variation(1.0, 0.04**2), 3.0)
    assert math.log(found.high) == pytest.approx(3 * 0.05)
    assert math.log(found.low) == pytest.approx(-3 * 0.05)


def test_what_moves_a_run_is_added_as_a_square_at_its_own_level() -> None:
    found = of_estimates(of_variation(1.0, 0.0), of_variation(1.0, 0.01**2), 3.0, run=0.04)
    assert math.log(found.high) == pytest.approx(0.05)


@given(*[st.floats(1, 1e6) for _ in range(6)], st.floats(1, 5), st.floats(0, 1))
def test_the_other_way_round_the_interval_is_the_inverse(
    a: float, b: float, c: float, d: float, e: float, f: float, z: float, run: float
) -> None:
    base, new = estimate(a, min(a, b), max(a, c)), estimate(d, min(d, e), max(d, f))
    one, other = of_estimates(base, new, z, run), of_estimates(new, base, z, run)
    assert one.value is not None
    assert one.low <= one.value <= one.high
    assert one.low * other.high == pytest.approx(1)
    assert one.high * other.low == pytest.approx(1)


def test_a_limit_that_is_not_there_leaves_the_ratio_open_on_its_side() -> None:
    found = of_estimates(estimate(100, 90, 110), estimate(100, 90, math.inf), Z)
    assert found.high == math.inf
    assert 0 < found.low < 1
    assert of_estimates(estimate(100, 90, math.inf), estimate(100, 90, 110), Z).low == 0
    assert of_estimates(estimate(100, 0, 110), estimate(100, 90, 110), Z).high == math.inf


def test_limits_of_a_share_are_wilsons() -> None:
    low, high = wilson(Share(81, 263), Z)  # Newcombe 1998, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(Share(0, 20), Z) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(Share(1, 29), Z) == pytest.approx((0.0061, 0.1718), abs=1e-4)


@pytest.mark.parametrize(
    ("new", "base", "low", "high"),
    [  # Newcombe 1998, Interval Estimation for the Difference, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 10), -0.2775, 0.2775),
    ],
)
def test_limits_of_a_difference_are_newcombes(
    new: tuple[int, int], base: tuple[int, int], low: float, high: float
) -> None:
    found = difference(Share(*base), Share(*new), Z)
    assert (round(found[0], 4), round(found[1], 4)) == (low, high)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 1000), st.integers(1, 1000), st.floats(1, 4))
def test_the_ratio_of_shares_excludes_1_where_their_difference_excludes_0(
    k1: int, k2: int, more1: int, more2: int, z: float
) -> None:
    base, new = Share(k1, k1 + more1 + 1), Share(k2, k2 + more2)
    low, high = difference(base, new, z)
    found = of_shares(base, new, z)
    assert 0 <= found.low <= found.high
    if abs(low) > 1e-9:
        assert (found.low > 1) == (low > 0)
    if abs(high) > 1e-9:
        assert (found.high < 1) == (high < 0)


def test_dependent_failures_say_less() -> None:
    wide, narrow = (of_shares(Share(50, 5000, v), Share(80, 5000, v), Z) for v in (10, 1))
    assert wide.low < narrow.low
    assert wide.high > narrow.high
