from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress

from loadgen.experiments.capacity import sequential
from loadgen.experiments.capacity.sequential import FAIL, MOST, PASS, UNDECIDED, fewest, inflation, slope, verdict


@pytest.mark.parametrize(("limit", "calls"), [(0.05, 87), (0.01, 451), (0.001, 4550)])
def test_the_fewest_calls_that_pass_are_those_without_a_violation(limit: float, calls: int) -> None:
    assert fewest(limit) == calls
    assert verdict(calls, 0, limit) == PASS
    assert verdict(calls - 1, 0, limit) == UNDECIDED


@given(st.floats(0.0005, 0.1))
def test_failing_takes_three_violations(limit: float) -> None:
    assert verdict(2, 2, limit) != FAIL
    assert verdict(3, 3, limit) == FAIL


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(1, 100))
def test_inflation_never_makes_a_verdict_bolder(n: int, share: float, factor: float) -> None:
    k = int(share * n)
    plain, inflated = verdict(n, k, 0.01), verdict(n, k, 0.01, factor)
    assert inflated in (plain, UNDECIDED)


@pytest.mark.parametrize(
    ("times", "passes", "fails"), [(0.5, (0.93, 1.0), (0.0, 0.06)), (1.5, (0.0, 0.025), (0.97, 1.0))]
)
def test_the_errors_of_the_test_are_those_it_was_made_for(
    times: float, passes: tuple[float, float], fails: tuple[float, float]
) -> None:
    random, limit, trials = Random(7), 0.05, 600
    found = {PASS: 0, FAIL: 0, UNDECIDED: 0}
    for _ in range(trials):
        n = k = 0
        said = UNDECIDED
        while said == UNDECIDED and n < MOST / limit:
            n += 1
            k += random.random() < times * limit
            said = verdict(n, k, limit)
        found[said] += 1
    assert passes[0] <= found[PASS] / trials <= passes[1]
    assert fails[0] <= found[FAIL] / trials <= fails[1]


def test_independent_violations_are_not_inflated_and_clusters_are() -> None:
    random = Random(3)
    single = [sum(random.random() < 0.1 for _ in range(50)) for _ in range(300)]
    assert inflation([50] * 300, single) < 1.6
    clusters = [10 * sum(random.random() < 0.1 for _ in range(5)) for _ in range(300)]
    assert 6 < inflation([50] * 300, clusters) < 16


@pytest.mark.parametrize(("sizes", "hits"), [([], []), ([5], [3]), ([5, 5], [0, 0]), ([5, 5], [5, 5])])
def test_without_variance_nothing_is_inflated(sizes: list[int], hits: list[int]) -> None:
    assert inflation(sizes, hits) == 1.0


@given(st.lists(st.floats(-1e3, 1e3), min_size=20, max_size=60))
def test_a_slope_is_significant_where_a_regression_says_so(values: list[float]) -> None:
    if max(values) - min(values) < 1e-3:
        return
    fitted = linregress(range(len(values)), values)
    if abs(fitted.pvalue - sequential.SIGNIFICANCE) < 1e-4:
        return
    expected = math.copysign(1, fitted.slope) if fitted.pvalue < sequential.SIGNIFICANCE else 0
    assert slope(values) == expected


def test_a_perfect_line_has_a_slope_and_a_constant_has_none() -> None:
    assert [slope(values) for values in ([1.0] * 20, list(range(20)), list(range(20, 0, -1)), [1, 2])] == [0, 1, -1, 0]
