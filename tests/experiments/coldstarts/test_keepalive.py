from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from loadgen.experiments.coldstarts.findings import GapProbe, KeepAlive
from loadgen.experiments.coldstarts.keepalive import MOST, estimate, isotonic, next_gap

S = 1_000_000_000
RANGE = (10 * S, 120 * S)


def looked_for(lives_ns: list[int]) -> KeepAlive:
    """The keep-alive time of a function whose instances live for these times, one after another, round and round."""
    probes: list[GapProbe] = []
    while (gap_ns := next_gap(probes, *RANGE)) is not None:
        probes.append(GapProbe(gap_ns, gap_ns >= lives_ns[len(probes) % len(lives_ns)]))
    assert len(probes) <= MOST
    return estimate(probes, *RANGE)


@given(st.integers(12 * S, 118 * S))
def test_a_fixed_time_is_found_within_a_second_and_inside_its_bounds(lives_ns: int) -> None:
    found = looked_for([lives_ns])
    assert found.policy == "fixed"
    assert found.estimate_ns is not None
    assert found.low_ns is not None
    assert found.high_ns is not None
    assert abs(found.estimate_ns - lives_ns) <= S
    assert found.low_ns <= lives_ns <= found.high_ns
    assert len(found.probes) <= 45


@pytest.mark.parametrize(("lives_s", "policy"), [(500, "longer"), (3, "shorter")])
def test_a_time_outside_the_range_is_bounded_on_one_side(lives_s: int, policy: str) -> None:
    found = looked_for([lives_s * S])
    assert (found.policy, found.estimate_ns) == (policy, None)
    assert (found.low_ns is None) != (found.high_ns is None)


def test_a_time_that_varies_is_called_random_and_its_quantiles_are_estimated() -> None:
    random = Random(1)
    found = looked_for([round(random.uniform(30, 100) * S) for _ in range(400)])
    assert found.policy == "random"
    assert found.estimate_ns is not None
    assert 45 * S < found.estimate_ns < 85 * S
    assert (found.low_ns or 0) <= 65 * S <= (found.high_ns or 120 * S)
    assert list(found.quantiles_ns.values()) == sorted(found.quantiles_ns.values())


def at_both_ends(times: int) -> list[GapProbe]:
    return [GapProbe(gap * S, gap > 60) for gap in (59, 61) for _ in range(times)]


def test_one_wrong_label_among_many_does_not_make_a_fixed_time_random() -> None:
    found = estimate([*at_both_ends(10), GapProbe(30 * S, True)], *RANGE)
    assert (found.policy, found.low_ns, found.high_ns) == ("fixed", 59 * S, 61 * S)


def test_answers_that_do_not_contradict_one_time_are_no_evidence_of_one() -> None:
    assert estimate(at_both_ends(1), *RANGE).policy == "unknown"


def test_a_reaper_that_comes_every_few_seconds_is_no_fixed_time() -> None:
    random = Random(2)
    found = looked_for([round(random.uniform(60, 65) * S) for _ in range(400)])
    assert found.policy == "random"
    assert (found.low_ns or 0) <= 62.5 * S <= (found.high_ns or 120 * S)


def test_the_upper_bound_allows_for_what_calls_spend_on_the_way() -> None:
    assert estimate(at_both_ends(10), *RANGE, slack_ns=S).high_ns == 62 * S


def test_no_probes_are_no_knowledge() -> None:
    assert estimate([], *RANGE).policy == "unknown"


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_isotonic_estimate_is_that_of_scipy(cold: list[bool]) -> None:
    expected = isotonic_regression(np.array(cold, dtype=float)).x
    assert isotonic([float(each) for each in cold]) == pytest.approx(list(expected))


@given(st.integers(12 * S, 118 * S), st.integers(0, 25))
def test_one_wrong_label_moves_a_fixed_time_by_less_than_two_seconds(lives_ns: int, wrong: int) -> None:
    probes: list[GapProbe] = []
    while (gap_ns := next_gap(probes, *RANGE)) is not None:
        probes.append(GapProbe(gap_ns, (gap_ns >= lives_ns) != (len(probes) == wrong)))
    found = estimate(probes, *RANGE)
    assert found.policy == "fixed"
    assert found.estimate_ns is not None
    assert abs(found.estimate_ns - lives_ns) < 2 * S
