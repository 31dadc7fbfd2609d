from __future__ import annotations

import pytest

from loadgen.targets.functiongraph.protocol.target import MEMORY_SIZES_MB
from tests.simulate.memory import UNSTEADY, Case, case


@pytest.mark.parametrize("seeds", [4, pytest.param(16, marks=pytest.mark.soak)])
def test_the_cheapest_size_is_not_ruled_out_and_what_is_recommended_is_hardly_dearer(seeds: int) -> None:
    cases = [case(seed) for seed in range(seeds)]
    assert all(each.in_tied for each in cases)
    assert sum(each.near for each in cases) >= 0.8 * seeds
    assert sum(each.calls for each in cases) / len(cases) <= 750


@pytest.mark.parametrize("seeds", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_with_a_rule_nothing_that_breaks_it_is_recommended_and_the_best_size_is_not_ruled_out(seeds: int) -> None:
    cases = [case(seed, 0.95) for seed in range(seeds)]
    assert sum(each.in_tied for each in cases) >= 0.9 * seeds
    assert not any(each.wrong for each in cases)
    assert all(each.near for each in cases if each.result.decided)


def test_a_function_whose_instances_differ_has_no_lone_winner() -> None:
    found: Case = case(1, function=UNSTEADY)
    assert len(found.result.tied_mb) > 1
    assert (found.result.instance_deviation or 0) > 0.2


def test_the_same_seed_asks_for_the_same_calls_and_finds_the_same() -> None:
    assert case(3) == case(3)


def test_every_size_is_in_the_result_once() -> None:
    assert tuple(size.memory_mb for size in case(2).result.sizes) == MEMORY_SIZES_MB
