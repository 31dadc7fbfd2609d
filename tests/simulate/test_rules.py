"""The trust rules, on fewer records than ``make simulate`` has.

That each fires when broken is in the tests of the verdict, of starts and of the kinds of experiment.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulate.rules import BROKEN, RULES, SEED, Shared, clean, fired_on, labelled, started

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("loads", [8, pytest.param(40, marks=pytest.mark.soak)])
def test_no_rule_fires_on_clean_loads(loads: int) -> None:
    rng = np.random.default_rng(SEED)
    assert [fired for fired in (clean(rng).fired() for _ in range(loads)) if fired] == []


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_clean_labels_and_a_function_of_ones_own_break_no_rule(times: int) -> None:
    rng = np.random.default_rng(SEED)
    assert [fired for fired in (labelled(rng, alike=False) for _ in range(2 * times)) if fired] == []
    assert [fired for fired in (fired_on(started(rng)) for _ in range(times)) if fired] == []


def test_rules_about_starts_fire_on_experiments_that_break_them() -> None:
    rng = np.random.default_rng(SEED)
    assert "mixed_starts" in labelled(rng, alike=True)
    assert "pool_mismatch" in fired_on(started(rng, Shared, profiles=("r2-go",)))
    assert "starts_unknown" in fired_on(started(rng, cold=5))


def test_the_table_has_every_rule_of_the_method_and_every_slug_that_is_tried() -> None:
    assert [rule.number for rule in RULES] == [*range(1, 25)]
    slugs = {slug for rule in RULES for slug in rule.slugs}
    assert slugs == {*BROKEN, "mixed_starts", "pool_mismatch", "few_instances"}
