from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.experiments.memory.evidence import agreed, evidence, inflation


def ever(share: float, limit: float, calls: int, verdict: str, seed: int) -> bool:
    """Whether the verdict is reached at any call of a run of them."""
    broken = np.random.default_rng(seed).random(calls) < share
    counts = np.cumsum(broken)
    looks = range(5, calls + 1, 5)
    return any(evidence(int(counts[n - 1]), n, limit, 0.05).verdict == verdict for n in looks)


@pytest.mark.parametrize(("share", "verdict"), [(0.05, "met"), (0.05, "broken")])
def test_a_share_at_its_limit_is_called_either_way_in_one_run_of_twenty_at_most_however_often_one_looks(
    share: float, verdict: str
) -> None:
    wrong = sum(ever(share, 0.05, 600, verdict, seed) for seed in range(200))
    assert wrong <= 20  # 10 are expected at most; 21 of 200 would have a probability of 0.1 %


def test_a_share_far_from_its_limit_is_told() -> None:
    assert evidence(0, 100, 0.05, 0.05).verdict == "met"
    assert evidence(5, 10, 0.05, 0.05).verdict == "broken"
    assert evidence(1, 20, 0.05, 0.05).verdict == "open"


@given(st.integers(0, 40), st.integers(0, 400), st.sampled_from([0.01, 0.05, 0.1]))
def test_no_count_is_evidence_for_both(broken: int, good: int, limit: float) -> None:
    for_it = evidence(broken, broken + good, limit, 0.05)
    assert for_it.verdict in ("met", "broken", "open")
    assert evidence(broken, broken + good + 1, limit, 0.05).verdict != "broken" or for_it.verdict == "broken"


@given(st.integers(0, 3), st.integers(30, 100))
def test_the_calls_that_are_said_to_be_needed_decide_if_they_go_on_alike(broken: int, count: int) -> None:
    found = evidence(broken, count, 0.1, 0.05)
    if found.more is not None and found.more < 2000:
        total = count + 2 * found.more
        assert evidence(round(broken / count * total), total, 0.1, 0.05).verdict != "open"


def test_calls_that_are_alike_within_an_instance_are_worth_less() -> None:
    assert inflation([(1, 10)] * 10) == 1
    assert inflation([(10, 10), *[(0, 10)] * 9]) == pytest.approx(10, rel=0.15)
    assert evidence(0, 100, 0.05, 0.05, inflation=10).verdict == "open"


def test_without_two_groups_or_a_mark_nothing_is_known_about_inflation() -> None:
    assert inflation([]) == inflation([(3, 10)]) == inflation([(0, 10), (0, 10)]) == 1


def test_what_only_calls_that_the_generator_disturbed_say_leaves_a_rule_open() -> None:
    broken, met = evidence(60, 1000, 0.02, 0.05), evidence(2, 1000, 0.02, 0.05)
    assert (broken.verdict, met.verdict) == ("broken", "met")
    assert agreed(broken, met).verdict == "open"
    assert agreed(broken, broken) == broken
    assert agreed(met, met) == met
