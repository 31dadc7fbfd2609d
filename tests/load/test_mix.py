"""A mix of calls: exact in its shares, random in its order, the same for every agent."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.load.mix import MOST, Independent, Mix, Turn, terms

WEIGHTS = st.lists(st.integers(1, 40), min_size=1, max_size=6)
SEED = st.integers(0, 2**63 - 1)


@given(WEIGHTS, SEED, st.integers(0, 10**9))
def test_every_block_has_each_call_as_often_as_it_weighs(weights: list[int], seed: int, block: int) -> None:
    mix = Mix(weights, seed)
    calls = Counter(mix(block * mix.block + position).call for position in range(mix.block))
    assert [calls[call] for call in range(len(weights))] == list(mix.weights)


@given(WEIGHTS, SEED, st.integers(1, 400))
def test_at_any_moment_each_call_was_made_as_often_as_its_share_says(weights: list[int], seed: int, count: int) -> None:
    mix = Mix(weights, seed)
    made = Counter(mix(index).call for index in range(count))
    for call, weight in enumerate(weights):
        assert abs(made[call] - Fraction(count * weight, sum(weights))) <= len(weights)


@given(WEIGHTS, SEED, st.integers(1, 5), st.integers(1, 200))
def test_agents_that_take_arrivals_in_turns_make_the_same_mix_together(
    weights: list[int], seed: int, agents: int, count: int
) -> None:
    whole = [Mix(weights, seed)(index) for index in range(count)]
    shared: dict[int, Turn] = {}
    for agent in range(agents):
        mix = Mix(weights, seed)
        shared |= {index: mix(index) for index in reversed(range(agent, count, agents))}
    assert [shared[index] for index in range(count)] == whole


@given(WEIGHTS, SEED, st.integers(1, 300))
def test_the_occurrences_of_each_call_are_numbered_without_gaps(weights: list[int], seed: int, count: int) -> None:
    mix = Mix(weights, seed)
    seen: Counter[int] = Counter()
    for index in range(count):
        turn = mix(index)
        assert turn.number == seen[turn.call]
        seen[turn.call] += 1


@given(WEIGHTS, st.integers(2, 9))
def test_weights_count_in_proportion(weights: list[int], by: int) -> None:
    assert terms([weight * by for weight in weights]) == terms(weights)


def test_the_order_never_changes_between_versions() -> None:
    assert [tuple(Mix([3, 1, 1], 1)(index)) for index in range(10)] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (0, 2),
        (2, 0),
        (0, 3),
        (2, 1),
        (0, 4),
        (0, 5),
        (1, 1),
    ]


def test_the_next_call_does_not_follow_from_those_before() -> None:
    """Of two equal calls, each is as often followed by itself as by the other, but for the pairs of a block."""
    mix = Mix([1, 1], 7)
    firsts = Counter(mix(2 * block).call for block in range(2000))
    assert abs(firsts[0] - 1000) < 100
    pairs = Counter((mix(2 * block).call, mix(2 * block + 2).call) for block in range(2000))
    assert all(400 < count < 600 for count in pairs.values())


@pytest.mark.parametrize("weights", [[], [0], [1, -1], [1, MOST]])
def test_weights_that_make_no_mix_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="expected weights"):
        Mix(weights, 1)


@given(WEIGHTS, SEED, st.integers(0, 10**6))
def test_calls_that_are_drawn_independently_are_the_same_for_every_agent(
    weights: list[int], seed: int, lot: int
) -> None:
    drawn = Independent(weights, seed).lot(lot)
    assert drawn == Independent(weights, seed).lot(lot)
    assert {call for call, _ in drawn} <= set(range(len(weights)))
    assert [number for _, number in drawn] == list(range(lot * 1024, (lot + 1) * 1024))


def test_independent_draws_have_the_shares_on_average_and_strata_are_more_even() -> None:
    """Of 1000 stretches of 40 arrivals, one in four of a call: its number varies as chance has it, or hardly."""
    independent, strata = Independent([3, 1], 5), Mix([3, 1], 5)
    calls = [call for lot in range(40) for call, _ in independent.lot(lot)][:40_000]
    even = [strata(index).call for index in range(40_000)]
    for found, least, most in ((calls, 6.0, 9.0), (even, 0.0, 0.5)):
        counts = [sum(found[at : at + 40]) for at in range(0, 40_000, 40)]
        assert abs(sum(counts) / 1000 - 10) < 0.3
        assert least <= sum((count - 10) ** 2 for count in counts) / 1000 <= most  # np(1 - p) = 7.5
