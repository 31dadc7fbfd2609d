from __future__ import annotations

import math
from random import Random

import pytest

from loadgen.experiments.capacity.crossing import Ceiling, Crossing, Evidence

LIMIT = 0.05


def share(rate: float, *, at: float, steepness: float, floor: float = 0.0) -> float:
    odds = math.log((LIMIT - floor) / (1 - LIMIT)) + steepness * math.log(rate / at)
    return floor + (1 - floor) / (1 + math.exp(-odds))


def drawn(random: Random, rate: float, n: int, true: float) -> Evidence:
    return Evidence(rate, n, sum(random.random() < true for _ in range(n)), 1.0)


def test_the_interval_holds_the_true_rate_as_often_as_it_says() -> None:
    random, held, trials = Random(5), 0, 60
    for _ in range(trials):
        at, steepness = random.uniform(20, 200), random.uniform(5, 40)
        rates = [at * factor for factor in (0.85, 0.95, 1.0, 1.05, 1.15)]
        evidence = [drawn(random, rate, 800, share(rate, at=at, steepness=steepness)) for rate in rates]
        low, high = Crossing([evidence], [LIMIT]).interval
        held += low <= at <= high
    assert held >= 0.85 * trials


def test_more_evidence_makes_the_interval_narrower() -> None:
    def width(n: int) -> float:
        rates = (80, 95, 105, 120)
        evidence = [Evidence(rate, n, round(n * share(rate, at=100, steepness=15)), 1.0) for rate in rates]
        low, high = Crossing([evidence], [LIMIT]).interval
        return high / low

    assert width(100) > width(300) > width(1000)
    assert width(1000) < 1.12


def test_dependent_observations_count_as_fewer() -> None:
    plain = Crossing([[Evidence(90, 2000, 50, 1.0), Evidence(110, 2000, 200, 1.0)]], [LIMIT]).interval
    inflated = Crossing([[Evidence(90, 2000, 50, 8.0), Evidence(110, 2000, 200, 8.0)]], [LIMIT]).interval
    assert inflated[1] / inflated[0] > plain[1] / plain[0]


def test_of_several_rules_the_one_that_breaks_first_decides() -> None:
    early = [Evidence(50, 4000, 40, 1.0), Evidence(70, 4000, 800, 1.0)]
    late = [Evidence(50, 4000, 0, 1.0), Evidence(70, 4000, 4, 1.0)]
    both = Crossing([early, late], [LIMIT, LIMIT])
    assert both.estimate == pytest.approx(Crossing([early], [LIMIT]).estimate, rel=0.02)


def test_below_the_limit_the_expected_share_is_smaller() -> None:
    evidence = [Evidence(90, 4000, 80, 1.0), Evidence(100, 4000, 200, 1.0), Evidence(110, 4000, 500, 1.0)]
    crossing = Crossing([evidence], [LIMIT])
    assert crossing.below(0.5) < crossing.below(0.8) < crossing.estimate


def test_a_ceiling_holds_the_estimate_down_whatever_short_probes_showed() -> None:
    evidence = [[Evidence(100, 3000, 30, 1.0), Evidence(150, 3000, 1200, 1.0, True)]]
    assert Crossing(evidence, [LIMIT]).estimate > 110
    low, high = Crossing(evidence, [LIMIT], Ceiling(105, 0.01)).interval
    assert 100 < low < 105 < high < 110
