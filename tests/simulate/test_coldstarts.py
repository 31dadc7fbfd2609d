"""The bars for cold starts, on fewer cases than ``make simulate`` has."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean

import pytest

from tests.simulate.coldstarts import PROFILES, SEED, cell, coverage, keep_alive_error_s


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("jitter_ms", [1.0, 10.0, 50.0])
def test_labels_are_as_good_as_any_threshold_or_withheld(jitter_ms: float, step: int) -> None:
    cells = [cell(PROFILES[row], jitter_ms, SEED + 10 * row) for row in range(0, len(PROFILES), step)]
    for each in cells:
        assert each.wrong is None or each.wrong <= 0.01, each
    assert [each for each in cells if not each.meets] == []
    if jitter_ms == 1:
        assert 2 * sum(each.f1 is not None for each in cells) > len(cells), "it may not get there by saying nothing"


def test_the_interval_of_the_cold_rate_covers_the_truth_as_often_as_it_says_over_all_settings() -> None:
    replicates = 25
    found = [covered for *_, covered in coverage(replicates, SEED)]
    assert fmean(found) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / (replicates * len(found)))


@pytest.mark.soak
def test_the_interval_of_the_cold_rate_covers_the_truth_as_often_as_it_says_in_each_setting() -> None:
    replicates = 250
    tolerance = 3 * math.sqrt(0.95 * 0.05 / replicates)
    for share, sensitivity, specificity, covered in coverage(replicates, SEED):
        assert covered >= 0.95 - tolerance, (share, sensitivity, specificity)


def test_the_keep_alive_time_is_within_two_seconds_although_labels_err() -> None:
    random = Random(SEED)
    errors = [keep_alive_error_s(random, 0.002) for _ in range(120)]
    known = [abs(error) for error in errors if error is not None]
    assert len(known) >= 114
    assert max(known) <= 2
