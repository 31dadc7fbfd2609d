from __future__ import annotations

import pytest

from tests.simulate.adversaries.tails import PATTERNS, Pattern, seen

SOME = [each for each in PATTERNS if each.name.startswith(("nothing", "0.2 s every", "1 s about", "up and down"))]


@pytest.mark.parametrize("pattern", SOME, ids=lambda pattern: pattern.name)
def test_intervals_of_tails_hold_the_truth_where_slow_calls_come_together(pattern: Pattern) -> None:
    found = seen(pattern, 8, 1, truths=100)
    for p in (95.0, 99.0):
        assert found.held[p] * found.shown[p] >= found.shown[p] - 0.25
