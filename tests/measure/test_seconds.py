from __future__ import annotations

from loadgen.measure.seconds import Seconds
from tests.cli.displays import frame


def test_a_second_is_what_all_agents_reported_of_it() -> None:
    seconds = Seconds(10)
    for each in (frame(0, ok=200), frame(0, agent=1, ok=100, failed=10), frame(1, ok=150, flying=2)):
        seconds.take(each)
    first, second = seconds
    assert (first.at, first.planned, first.started, first.completed, first.failed) == (1, 310, 310, 310, 10)
    assert (second.at, second.planned, second.started, second.completed, second.failed) == (2, 152, 152, 150, 0)
    assert seconds.newest == 2


def test_a_second_that_two_phases_share_is_two() -> None:
    seconds = Seconds(10)
    seconds.take(frame(0, name="warm-up", ok=5))
    seconds.take(frame(0, ok=7))
    assert [(each.at, each.phase, each.started) for each in seconds] == [(1, "warm-up", 5), (1, "steady", 7)]


def test_an_agent_that_lags_behind_all_that_is_kept_counts_into_the_first() -> None:
    seconds = Seconds(2)
    for at in range(5):
        seconds.take(frame(at, ok=10))
    seconds.take(frame(0, agent=1, ok=3))
    assert [(each.at, each.started) for each in seconds] == [(4, 13), (5, 10)]


def test_a_percentile_is_known_once_enough_calls_support_it() -> None:
    seconds = Seconds(10)
    second = seconds.take(frame(0, ok=250))
    assert second.percentile(95) is not None
    assert second.percentile(99) is None
    seconds.take(frame(0, agent=1, ok=750))
    assert second.percentile(99) is not None
