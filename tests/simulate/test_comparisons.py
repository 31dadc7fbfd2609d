"""The bars for comparisons, on fewer of them than ``make simulate`` has."""

from __future__ import annotations

import pytest

from loadgen.comparison.comparison import WORSE
from tests.simulate.comparisons import BURSTY, EPISODES, INDEPENDENT, LEVELS, SEED, Case, Law, told


@pytest.mark.parametrize("law", [INDEPENDENT, BURSTY, EPISODES, LEVELS], ids=lambda law: law.name)
def test_a_function_compared_with_itself_is_seldom_called_better_or_worse(law: Law) -> None:
    found = [told(Case(law, 1.0, SEED + n)).claims for n in range(12)]
    assert sum(found) <= 3  # where 5 % claim something, 1 in 450 has more


def test_ten_percent_are_found_at_p95_of_five_thousand_independent_calls() -> None:
    found = [told(Case(INDEPENDENT, 1.1, SEED + n)).p95 == WORSE for n in range(12)]
    assert sum(found) >= 9
