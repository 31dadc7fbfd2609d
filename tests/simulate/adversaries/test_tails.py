from __future__ import annotations

import pytest

from tests.simulate.adversaries.tails import PATTERNS, Pattern, seen

SHORT = [each for each in PATTERNS if each.seconds <= 120 and "60 s" not in each.name]


@pytest.mark.parametrize("pattern", SHORT, ids=lambda pattern: pattern.name)
def test_intervals_of_tails_hold_the_truth_where_slow_calls_come_together(pattern: Pattern) -> None:
    found = seen(pattern, 12, 1)
    for p in (95.0, 99.0):
        assert found.held[p] * found.shown[p] >= found.shown[p] - 0.25
