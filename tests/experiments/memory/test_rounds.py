from __future__ import annotations

import numpy as np
import pytest

from loadgen.experiments.memory.rounds import fit

Cells = dict[tuple[int, int], list[float]]


def cells(rng: np.random.Generator, ratios: list[float], rounds: int, calls: int, instance: float) -> Cells:
    """Log-normal values; every round has an effect of its own, and so has every instance."""
    effects = rng.normal(0, 0.3, rounds)
    return {
        (name, number): list(
            ratio * np.exp(effects[number] + rng.normal(0, instance) + rng.normal(0, 0.3, calls)) * 100.0
        )
        for name, ratio in enumerate(ratios)
        for number in range(rounds)
    }


@pytest.mark.parametrize("instance", [0.0, 0.1])
def test_an_interval_holds_the_true_ratio_as_often_as_it_says(instance: float) -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(300):
        fitted = fit(cells(rng, [1.0, 1.2, 1.5], 5, 12, instance), {})
        assert fitted is not None
        ratio = fitted.alone(1, 0, 0.05)
        held += ratio.low <= 1.2 <= ratio.high
    assert held >= 273  # 285 are expected at 95 %; fewer than 273 would have a probability of 0.1 %


def test_what_changes_between_rounds_drops_out() -> None:
    steady = {(name, number): [float(10 * (name + 1))] * 3 for name in range(2) for number in range(4)}
    drifting = {key: [value * 2.0 ** key[1] for value in values] for key, values in steady.items()}
    for found in (fit(steady, {}), fit(drifting, {})):
        assert found is not None
        assert found.ratio(1, 0, 0.05).value == pytest.approx(2)


def test_the_spread_between_instances_is_found() -> None:
    rng = np.random.default_rng(3)
    found = fit(cells(rng, [1.0] * 8, 12, 30, 0.2), {})
    assert found is not None
    assert found.deviation == pytest.approx(0.2, rel=0.25)


def test_equal_means_are_rarely_told_apart_and_unequal_ones_are() -> None:
    rng = np.random.default_rng(4)
    fitted = [fit(cells(rng, [1.0, 1.0, 1.6], 6, 15, 0.05), {}) for _ in range(100)]
    assert sum(each.p_value(1, 0) < 0.05 for each in fitted if each) <= 13
    assert all(each.p_value(2, 0) < 0.05 for each in fitted if each)


def test_one_treatment_or_one_round_tells_nothing() -> None:
    assert fit({}, {}) is None
    assert fit({(1, 1): [1.0, 2.0], (1, 2): [1.0]}, {}) is None
    assert fit({(1, 1): [1.0, 2.0], (2, 1): [1.0]}, {}) is None


def test_a_treatment_that_missed_rounds_is_compared_over_those_it_was_in() -> None:
    rng = np.random.default_rng(5)
    whole = cells(rng, [1.0, 2.0, 4.0], 6, 40, 0.0)
    partly = {key: values for key, values in whole.items() if key[0] != 2 or key[1] < 3}
    found = fit(partly, {})
    assert found is not None
    ratio = found.ratio(2, 0, 0.05)
    assert ratio.low <= 4 <= ratio.high
    assert ratio.high / ratio.low > found.ratio(1, 0, 0.05).high / found.ratio(1, 0, 0.05).low


def test_drawn_means_scatter_as_the_intervals_say() -> None:
    rng = np.random.default_rng(6)
    found = fit(cells(rng, [1.0, 1.1], 8, 20, 0.05), {})
    assert found is not None
    drawn = found.drawn(20_000, rng)
    low, high = np.quantile(drawn[:, 1] / drawn[:, 0], [0.025, 0.975])
    ratio = found.alone(1, 0, 0.05)
    assert (low, high) == pytest.approx((ratio.low, ratio.high), rel=0.02)


def test_of_equal_means_the_lowest_and_the_highest_are_told_apart_no_more_often_than_said() -> None:
    rng = np.random.default_rng(8)
    claimed = excluded = 0
    for _ in range(100):
        found = fit(cells(rng, [1.0] * 8, 4, 8, 0.1), {})
        assert found is not None
        lowest, *_, highest = sorted(range(8), key=lambda name: found.ratio(name, 0, 0.05).value)
        ratio = found.ratio(highest, lowest, 0.05)
        claimed += found.p_value(highest, lowest) < 0.05
        excluded += ratio.low > 1
    assert claimed == excluded <= 12  # 5 are expected; more than 12 would have a probability of 0.1 %


def test_a_cell_on_several_instances_says_more_about_a_treatment_than_one_on_one() -> None:
    def drawn(rng: np.random.Generator, instances: int) -> list[float]:
        return list(np.concatenate([np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.01, 10)) for _ in range(instances)]))

    rng = np.random.default_rng(9)
    many = {(name, number): 9 if number > 2 else 1 for name in range(6) for number in range(8)}
    found = fit({cell: drawn(rng, k) for cell, k in many.items()}, many)
    assert found is not None
    assert found.deviation == pytest.approx(0.2, rel=0.3)
