from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.experiments.memory import evidence as together
from loadgen.experiments.memory.evidence import Count, Evidence, agreed, inflation, rises

ALPHA = 0.05


def evidence(broken: int, count: int, limit: float, *, inflation: float = 1.0) -> Evidence:
    """What the calls of one size say."""
    return together.evidence([(broken, count)], limit, ALPHA, inflation)[0]


def verdicts(*counts: Count, limit: float = 0.05) -> list[str]:
    """What the calls of several sizes say."""
    return [each.verdict for each in together.evidence(counts, limit, ALPHA)]


def ever(share: float, limit: float, calls: int, verdict: str, seed: int) -> bool:
    """Whether the verdict is reached at any call of a run of them."""
    broken = np.random.default_rng(seed).random(calls) < share
    counts = np.cumsum(broken)
    looks = range(5, calls + 1, 5)
    return any(evidence(int(counts[n - 1]), n, limit).verdict == verdict for n in looks)


@pytest.mark.parametrize(("share", "verdict"), [(0.05, "met"), (0.05, "broken")])
def test_a_share_at_its_limit_is_called_either_way_in_one_run_of_twenty_at_most_however_often_one_looks(
    share: float, verdict: str
) -> None:
    wrong = sum(ever(share, 0.05, 600, verdict, seed) for seed in range(200))
    assert wrong <= 20  # 10 are expected at most; 21 of 200 would have a probability of 0.1 %


def test_a_share_far_from_its_limit_is_told() -> None:
    assert evidence(0, 100, 0.05).verdict == "met"
    assert evidence(5, 10, 0.05).verdict == "broken"
    assert evidence(1, 20, 0.05).verdict == "open"


@given(st.integers(0, 40), st.integers(0, 400), st.sampled_from([0.01, 0.05, 0.1]))
def test_no_count_is_evidence_for_both(broken: int, good: int, limit: float) -> None:
    for_it = evidence(broken, broken + good, limit)
    assert for_it.verdict in ("met", "broken", "open")
    assert evidence(broken, broken + good + 1, limit).verdict != "broken" or for_it.verdict == "broken"


@given(st.integers(0, 3), st.integers(30, 100))
def test_the_calls_that_are_said_to_be_needed_decide_if_they_go_on_alike(broken: int, count: int) -> None:
    found = evidence(broken, count, 0.1)
    if found.more is not None and found.more < 2000:
        total = count + 2 * found.more
        assert evidence(round(broken / count * total), total, 0.1).verdict != "open"


def test_calls_that_are_alike_within_an_instance_are_worth_less() -> None:
    assert inflation([[(1, 10)] * 10]) == 1
    assert inflation([[(10, 10), *[(0, 10)] * 9]]) == pytest.approx(10, rel=0.15)
    assert evidence(0, 100, 0.05, inflation=10).verdict == "open"


def test_without_two_groups_or_a_mark_nothing_is_known_about_inflation() -> None:
    assert inflation([]) == inflation([[(3, 10)]]) == inflation([[(0, 10), (0, 10)]]) == 1


def test_how_alike_calls_of_an_instance_are_is_learned_from_all_sizes() -> None:
    alike = [(10, 10), *[(0, 10)] * 9]
    assert inflation([alike, alike]) == pytest.approx(inflation([alike]))
    assert 1 < inflation([alike, [(1, 10)] * 10]) < inflation([alike])


def test_what_only_calls_that_the_generator_disturbed_say_leaves_a_rule_open() -> None:
    broken, met = evidence(60, 1000, 0.02), evidence(2, 1000, 0.02)
    assert (broken.verdict, met.verdict) == ("broken", "met")
    assert agreed(broken, met).verdict == "open"
    assert agreed(broken, broken) == broken
    assert agreed(met, met) == met


def test_sizes_that_meet_a_rule_speak_for_larger_ones_and_sizes_that_break_it_for_smaller_ones() -> None:
    assert verdicts((0, 50)) == ["open"]
    assert verdicts((0, 50), (0, 50), (0, 50)) == ["open", "open", "met"]
    assert verdicts((5, 30)) == ["open"]
    assert verdicts((5, 30), (5, 30), (5, 30))[::2] == ["broken", "open"]


def test_a_size_that_breaks_a_rule_is_none_for_a_larger_one_nor_one_that_meets_it_against_a_smaller_one() -> None:
    assert verdicts((30, 60), (0, 100)) == ["broken", "met"]
    assert verdicts((2, 60), (0, 400)) == ["open", "met"]


def test_where_a_larger_size_breaks_a_rule_clearly_more_often_each_speaks_for_itself() -> None:
    assert rises([(0, 100), (0, 100), (30, 100)])
    assert not rises([(30, 100), (0, 100), (2, 100)])
    assert verdicts((0, 100), (0, 10), (30, 60)) == ["met", "open", "broken"]


def test_shares_that_do_not_rise_look_as_if_they_did_in_one_of_fifty_at_most() -> None:
    rng = np.random.default_rng(7)
    looks = [rises([(int(rng.binomial(80, 0.05)), 80) for _ in range(8)]) for _ in range(500)]
    assert sum(looks) <= 10


@pytest.mark.parametrize("verdict", ["met", "broken"])
def test_of_several_sizes_at_the_limit_each_is_called_so_in_one_of_twenty_at_most(verdict: str) -> None:
    rng = np.random.default_rng(11)
    wrong = np.zeros(4)
    for _ in range(200):
        broken = np.cumsum(rng.random((4, 400)) < 0.05, axis=1)
        counts = [[(int(each[n - 1]), n) for each in broken] for n in range(20, 401, 20)]
        wrong += np.any([[each == verdict for each in verdicts(*look)] for look in counts], axis=0)
    assert wrong.max() <= 20  # 10 are expected at most; 21 of 200 would have a probability of 0.1 %
