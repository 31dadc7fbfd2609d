"""A rule of a probe is decided where it is with and without what the load generator itself did."""

from __future__ import annotations

import pytest

from loadgen.experiments.capacity.batches import WINDOW, Batches
from loadgen.experiments.capacity.plan import Criterion
from loadgen.experiments.capacity.watch import drowned, overloaded
from tests.frames import sample

S = 1_000_000_000


def batches(slow: int, disturbed: int, seconds: int = 40) -> Batches:
    """A hundred calls a second, of which so many are slow, ``disturbed`` of them by the generator."""
    found = Batches(S, 0, [[]])
    for at in range(100 * seconds):
        is_slow = at % 100 < slow
        found.add(
            sample(intended_ns=at * S // 100, ended_ns=at * S // 100 + 1_000_000, disturbed=at % 100 < disturbed),
            [is_slow],
            False,
        )
    return found


@pytest.mark.parametrize(
    ("slow", "disturbed", "verdict"),
    [(0, 0, "pass"), (0, 5, "pass"), (5, 0, "fail"), (5, 5, "undecided"), (9, 1, "fail"), (1, 1, "undecided")],
)
def test_a_rule_is_decided_where_it_is_with_and_without_what_the_generator_disturbed(
    slow: int, disturbed: int, verdict: str
) -> None:
    assert batches(slow, disturbed).verdict(0, 0.01, 0) == verdict


def test_a_rate_is_not_given_up_for_what_the_generator_did() -> None:
    criterion = Criterion("latency.p99 < 1s", 0.01, lambda _: True)
    for disturbed, given_up in ((0, True), (95, False)):
        found = batches(95, disturbed, 2 * WINDOW)
        assert (overloaded([criterion], found, len(found.n)) is not None) is given_up
        assert (drowned([criterion], found) is not None) is given_up
