from __future__ import annotations

import pytest

from tests.simulate.adversaries.sizes import LAWS, SIZES, Law, comparison, told


@pytest.mark.parametrize("seeds", [4, pytest.param(40, marks=pytest.mark.soak)])
@pytest.mark.parametrize("law", [LAWS[0], LAWS[2]], ids=lambda law: law.name)
def test_sizes_that_cost_the_same_are_hardly_ever_told_apart(law: Law, seeds: int) -> None:
    found = [told(seed, law) for seed in range(seeds)]
    assert sum(each.claimed for each in found) <= max(1, seeds // 10)
    assert sum(each.held for each in found) >= 0.75 * seeds


def test_a_size_that_costs_half_as_much_is_found() -> None:
    cheaper = Law("one is cheaper", ("normal", 0.08), ("gamma", 0.3), "day", (*[0.0] * 7, -0.7, *[0.0] * 6))
    found = comparison(1, cheaper)
    assert found.recommended_mb == SIZES[7]
    assert found.tied_mb == [SIZES[7]]
