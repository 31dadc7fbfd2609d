"""The bars for intervals, on fewer runs than ``make simulate`` has."""

from __future__ import annotations

import pytest

from tests.simulate.intervals import CELLS, SEED, TOLERANCE, bursts, of_histograms, of_values


@pytest.mark.parametrize(("n", "p"), CELLS)
def test_an_interval_of_independent_values_holds_the_truth_as_often_as_it_says(n: int, p: float) -> None:
    found = of_values(n, p, 1000, SEED)
    assert found.exact >= 0.95
    assert abs(found.off) <= TOLERANCE


@pytest.mark.parametrize(("n", "p"), [(100, 50.0), (1000, 99.0)])
def test_a_histogram_rounds_its_interval_outwards(n: int, p: float) -> None:
    assert of_histograms(n, p, 300, SEED).off >= -TOLERANCE


def test_bursts_are_seen_and_intervals_hold_the_truth_that_they_would_miss_without_that() -> None:
    found = bursts(1.0, 90.0, 40, SEED)
    assert found.seen == 1
    assert found.before < 0.5
    assert found.after > 0.85
