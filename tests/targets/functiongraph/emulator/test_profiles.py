"""Cold start profiles follow the published quantiles, and scipy's interpolation between them."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator
from scipy.stats import kstest, norm

from loadgen.targets.functiongraph.emulator.profiles import (
    MAX_SLOPE_ABOVE,
    MAX_SLOPE_BELOW,
    NO_COLD_START,
    PROBABILITIES,
    PROFILES,
    QUANTILES_S,
    ColdStartLaw,
    cold_start_law,
    standard_normal,
)
from loadgen.targets.functiongraph.protocol.platform import COLD_START_PROFILES

KNOTS = norm.ppf(PROBABILITIES)


def law(profile: str) -> ColdStartLaw:
    found = cold_start_law(profile)
    assert found is not None
    return found


def oracle(profile: str, deviates: np.ndarray) -> np.ndarray:
    """The logarithm of the seconds by scipy: PCHIP between the knots, straight lines outside."""
    y = np.log(QUANTILES_S[profile])
    inside = PchipInterpolator(KNOTS, y)(np.clip(deviates, KNOTS[0], KNOTS[-1]))
    below = min((y[1] - y[0]) / (KNOTS[1] - KNOTS[0]), MAX_SLOPE_BELOW) * np.minimum(deviates - KNOTS[0], 0)
    above = min((y[-1] - y[-2]) / (KNOTS[-1] - KNOTS[-2]), MAX_SLOPE_ABOVE) * np.maximum(deviates - KNOTS[-1], 0)
    return np.asarray(inside + below + above)


def test_there_is_a_table_for_exactly_the_names_a_scenario_may_use() -> None:
    assert set(PROFILES) == set(COLD_START_PROFILES)


def test_the_profile_none_has_no_law() -> None:
    assert cold_start_law(NO_COLD_START) is None


def test_an_unknown_profile_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        cold_start_law("r6")


@pytest.mark.parametrize("profile", QUANTILES_S)
def test_every_table_is_positive_and_strictly_increasing(profile: str) -> None:
    assert QUANTILES_S[profile][0] > 0
    assert all(left < right for left, right in pairwise(QUANTILES_S[profile]))


@pytest.mark.parametrize("profile", QUANTILES_S)
def test_the_law_goes_through_its_published_quantiles(profile: str) -> None:
    assert [law(profile).seconds(x) for x in KNOTS] == pytest.approx(QUANTILES_S[profile], rel=1e-9)


@pytest.mark.parametrize("profile", QUANTILES_S)
def test_the_law_is_scipys_pchip_between_the_quantiles_and_straight_outside(profile: str) -> None:
    deviates = np.linspace(-5, 5, 401)
    assert [law(profile).seconds(x) for x in deviates] == pytest.approx(np.exp(oracle(profile, deviates)), rel=1e-9)


@pytest.mark.parametrize("profile", QUANTILES_S)
def test_the_ends_are_bounded_by_half_the_tenth_and_four_times_the_ninety_ninth_percentile(profile: str) -> None:
    assert law(profile).seconds(norm.ppf(0.01)) >= 0.998 * QUANTILES_S[profile][0] / 2
    assert law(profile).seconds(norm.ppf(0.999)) <= 4 * QUANTILES_S[profile][-1]


def draws_pvalue(profile: str, number: int) -> float:
    """How well draws agree with scipy's interpolation: the p-value of a Kolmogorov-Smirnov test."""
    random = Random(7)
    draws = [law(profile).draw_s(random) for _ in range(number)]
    grid = np.linspace(-9, 9, 20_001)
    logs = oracle(profile, grid)
    return float(kstest(np.log(draws), lambda log_s: norm.cdf(np.interp(log_s, logs, grid))).pvalue)


@pytest.mark.parametrize("profile", QUANTILES_S)
def test_draws_follow_the_law(profile: str) -> None:
    assert draws_pvalue(profile, 1000) > 0.001


@pytest.mark.soak
@pytest.mark.parametrize("profile", QUANTILES_S)
def test_ten_thousand_draws_follow_the_law(profile: str) -> None:
    assert draws_pvalue(profile, 10_000) > 0.001


@given(profile=st.sampled_from(sorted(QUANTILES_S)), deviates=st.lists(st.floats(-9, 9), min_size=2, max_size=20))
def test_the_law_never_decreases(profile: str, deviates: list[float]) -> None:
    seconds = [law(profile).seconds(x) for x in sorted(deviates)]
    assert all(left <= right * (1 + 1e-12) for left, right in pairwise(seconds))


def test_standard_normal_draws_are_standard_normal() -> None:
    random = Random(1)
    assert kstest([standard_normal(random) for _ in range(5000)], "norm").pvalue > 0.001


def test_a_draw_of_zero_has_a_normal_deviate_too() -> None:
    class Zero(Random):
        def random(self) -> float:
            return 0.0

    assert standard_normal(Zero()) == pytest.approx(-8.2, abs=0.1)
