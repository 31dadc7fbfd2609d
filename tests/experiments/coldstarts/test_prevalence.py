from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from loadgen.experiments.coldstarts.prevalence import share, share_estimated
from loadgen.stats.proportion import proportion


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_proportion_is_clopper_and_pearsons(counts: tuple[int, int]) -> None:
    expected = binomtest(*counts).proportion_ci(method="exact")
    assert proportion(*counts) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_share_is_corrected_for_what_is_taken_for_the_other_kind() -> None:
    found = share(140, 1000, sensitivity=0.9, specificity=0.95)
    assert found is not None
    assert found.value == pytest.approx((0.14 - 0.05) / 0.85)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_with_certain_labels_the_share_is_the_plain_one() -> None:
    found = share(7, 70)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.1, *proportion(7, 70)))


def test_labels_that_say_nothing_give_no_share() -> None:
    assert share(5, 10, sensitivity=0.5, specificity=0.5) is None
    assert share(0, 0) is None
    assert share_estimated(5, 10, (0, 0), (10, 10)) is None
    assert share_estimated(5, 10, (5, 10), (5, 10)) is None


def test_error_rates_that_were_measured_on_few_calls_widen_the_interval() -> None:
    few, many = (share_estimated(100, 1000, (9 * k, 10 * k), (99 * k, 100 * k)) for k in (2, 200))
    assert few is not None
    assert many is not None
    assert few.value == pytest.approx(many.value)
    assert few.low is not None
    assert few.high is not None
    assert many.low is not None
    assert many.high is not None
    assert few.low < many.low < many.value < many.high < few.high


def test_error_rates_measured_on_very_many_calls_are_as_good_as_known() -> None:
    measured = share_estimated(4000, 40_000, (9 * 10**7, 10**8), (95 * 10**6, 10**8))
    known = share(4000, 40_000, 0.9, 0.95)
    assert measured is not None
    assert known is not None
    assert (measured.value, measured.low, measured.high) == pytest.approx(
        (known.value, known.low, known.high), rel=0.01
    )
