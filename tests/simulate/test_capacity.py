"""The bars for capacity, on fewer systems than ``make simulate`` has."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.simulate.baselines import mutilate, nighthawk
from tests.simulate.capacity import case, plan, world
from tests.simulate.systems import draw, known
from tests.simulate.table import quantile
from tests.simulate.world import play

pytestmark = pytest.mark.timeout(240)
SMALL = (1,)


@pytest.mark.parametrize("systems", [SMALL, pytest.param(range(6), marks=pytest.mark.soak)])
def test_estimates_are_near_the_true_capacity_and_no_confirmed_rate_breaks_its_rules(systems: Sequence[int]) -> None:
    cases = [case(known()[number], baselines=False) for number in systems]
    errors = [abs(each.estimate - 1) for each in cases if each.estimate is not None]
    assert len(errors) == len(cases)
    assert quantile(errors, 0.5) <= 0.06
    assert [each for each in cases if each.violated is not None and each.violated >= 1.5] == []
    assert any(each.confirmed is not None for each in cases)


def test_systems_are_drawn_within_their_bounds_and_the_same_for_the_same_seed() -> None:
    for seed in range(40):
        system = draw(seed)
        assert system == draw(seed)
        assert system.limit % system.concurrency == 0
        assert system.limit / system.busy_ns * 1e9 <= 300


def test_the_other_searches_answer_with_a_rate() -> None:
    system = known()[0].system
    violates = plan(system).criteria[0].broken
    start = 0.25 * system.limit / system.busy_ns * 1e9
    assert (play(nighthawk(start, 1 - system.p, violates), world(system, 1)) or 1.0) > 0
    assert play(mutilate(system.limit, 1 - system.p, violates), world(system, 1)) > 0
