from __future__ import annotations

import pytest

from tests.simulate.adversaries.lifetimes import LAWS, Law, held, looked_for


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_time_is_called_fixed_where_it_is_and_bounds_hold_the_median(law: Law) -> None:
    found = [looked_for(law, seed) for seed in range(6)]
    assert sum((each.policy == "fixed") != law.fixed for each, _ in found) <= 1
    assert sum(held(each, median) for each, median in found) >= 5
