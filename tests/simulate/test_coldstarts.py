"""The bars for cold starts, on fewer cases than ``make simulate`` has."""

from __future__ import annotations

import math
from random import Random

import pytest

from tests.simulate.coldstarts import PROFILES, SEED, cell, coverage, keep_alive_error_s


@pytest.mark.parametrize("jitter_ms", [1.0, 10.0, 50.0])
def test_labels_are_as_good_as_any_threshold_or_withheld(jitter_ms: float) -> None:
    cells = [cell(profile, jitter_ms, SEED + 10 * row) for row, profile in enumerate(PROFILES)]
    for each in cells:
        assert each.wrong is None or each.wrong <= 0.01, each
    assert [each for each in cells if not each.meets] == []
    if jitter_ms == 1:
        assert sum(each.f1 is not None for each in cells) >= 10, "it may not get there by saying nothing"


def test_the_interval_of_the_cold_rate_covers_the_truth_as_often_as_it_says() -> None:
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
