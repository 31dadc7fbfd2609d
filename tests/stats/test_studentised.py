from __future__ import annotations

import pytest
from scipy.stats import studentized_range

from loadgen.stats import student, studentised


@pytest.mark.parametrize(("alpha", "means", "freedom"), [(0.05, 14, 26), (0.05, 3, 4), (0.006, 15, 60), (1e-5, 5, 100)])
def test_quantiles_are_those_of_scipy(alpha: float, means: int, freedom: int) -> None:
    assert studentised.quantile(alpha, means, freedom) == pytest.approx(
        studentized_range.ppf(1 - alpha, means, freedom), rel=1e-4
    )


def test_of_two_means_it_is_students_law() -> None:
    assert studentised.quantile(0.05, 2, 7) == pytest.approx(2**0.5 * student.quantile(0.975, 7), rel=1e-4)


def test_a_larger_range_is_less_likely_and_more_means_make_it_likelier() -> None:
    assert studentised.above(4.0, 5, 12) > studentised.above(5.0, 5, 12)
    assert studentised.above(4.0, 8, 12) > studentised.above(4.0, 5, 12)
    assert studentised.above(0.0, 5, 12) == pytest.approx(1.0)
