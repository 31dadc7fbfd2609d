from __future__ import annotations

from random import Random

import pytest

from loadgen.measure.dependence import INDEPENDENT, MOST_BATCHES, Batches, Inflation, Largest
from tests.frames import NS_PER_S, histogram


def batches(seconds: list[list[int]], start_ns: int = 0) -> Batches:
    """What ended in each second, in µs."""
    result = Batches()
    for number, values in enumerate(seconds):
        begin_ns = start_ns + number * NS_PER_S
        result.add(begin_ns, begin_ns + NS_PER_S, [histogram(values).pack()] if values else [])
    return result


def independent(seconds: int, each: int, seed: int = 1) -> list[list[int]]:
    random = Random(seed)
    return [[round(20_000 * random.lognormvariate(0, 0.5)) for _ in range(each)] for _ in range(seconds)]


def inflation(seconds: list[list[int]], p: float = 50.0) -> float:
    return batches(seconds).inflation(len(seconds) * NS_PER_S).at(p)


@pytest.mark.parametrize("p", [50.0, 95.0, 99.0])
def test_independent_invocations_are_not_inflated_much(p: float) -> None:
    found = [inflation(independent(40, 100, seed), p) for seed in range(20)]
    assert all(1 <= each < 2.5 for each in found)
    assert sorted(found)[10] < 1.2


def test_where_a_second_is_wholly_slow_or_not_at_all_it_counts_as_one_invocation() -> None:
    """50 in a second are as one, so all say as much as a fiftieth of them; batches of several seconds say about it."""
    random = Random(1)
    found = inflation([[50_000 if random.random() < 0.3 else 10_000] * 50 for _ in range(38)])
    assert 50 * 38 / 37 <= found < 150


def test_bursts_that_last_longer_than_a_batch_inflate_by_their_length() -> None:
    """Stretches of 8 s: 400 calls are as one, which batches of two and a half seconds see no more than a third of."""
    random = Random(1)
    slow = [random.random() < 0.3 for _ in range(10)]
    found = inflation([[50_000 if slow[second // 8] else 10_000] * 50 for second in range(80)])
    assert found > 250


def test_a_slow_stretch_among_many_fast_seconds_is_seen() -> None:
    seconds = independent(60, 100)
    seconds[30:33] = [[80_000] * 100] * 3
    assert inflation(seconds, 95.0) > 10


def test_each_percentile_has_an_inflation_of_its_own() -> None:
    """Six bursts make up all of p99, and leave the median alone."""
    seconds = independent(120, 100)
    for second in range(5, 120, 20):
        seconds[second] = [*seconds[second][:80], *[400_000] * 20]
    assert inflation(seconds, 50.0) < 2
    assert inflation(seconds, 99.0) > 15


def test_the_fewer_the_episodes_the_less_is_known_of_how_much_they_inflate() -> None:
    def hit(times: int) -> list[list[int]]:
        seconds = independent(120, 100)
        for number in range(times):
            seconds[5 + 100 * number // times] = [400_000] * (120 // times) + [20_000] * (100 - 120 // times)
        return seconds

    few, many = inflation(hit(2), 99.0), inflation(hit(12), 99.0)
    assert few > 2 * many > 10


def test_what_is_not_known_to_be_dependent_is_not_inflated_and_of_several_the_largest_counts() -> None:
    assert INDEPENDENT.at(99.0) == 1
    slow = Inflation([histogram([50_000 if number % 3 else 10_000] * 50) for number in range(30)])
    assert Largest([INDEPENDENT, slow]).at(50.0) == slow.at(50.0) > 10


@pytest.mark.parametrize(
    "seconds",
    [
        [],
        independent(19, 100),  # too short
        independent(20, 1),  # too few
        [[5_000] * 100] * 30,  # all alike
        [values if number % 2 else [] for number, values in enumerate(independent(30, 100))],  # most seconds empty
    ],
)
def test_too_little_to_tell_inflates_nothing(seconds: list[list[int]]) -> None:
    assert inflation(seconds) == 1


def test_the_number_of_batches_stays_bounded_and_what_they_tell_stays_the_same() -> None:
    random = Random(2)
    seconds = [[100_000 if random.random() < 0.3 else 10_000] * 50 for _ in range(10 * MOST_BATCHES)]
    record = batches(seconds)
    assert len(record._packed) <= MOST_BATCHES
    found = record.inflation(len(seconds) * NS_PER_S).at(50.0)
    assert 20 < found < 150


def test_agents_are_added_together_by_time_and_in_any_order() -> None:
    first, second = independent(30, 50, 1), independent(30, 50, 2)
    together = batches([a + b for a, b in zip(first, second, strict=True)])
    apart = batches(first, start_ns=7 * NS_PER_S)
    for number in reversed(range(30)):
        begin_ns = (7 + number) * NS_PER_S + 300_000_000  # its clock ticks a little later
        apart.add(begin_ns, begin_ns + NS_PER_S, [histogram(second[number]).pack()])
    for p in (50.0, 90.0):
        assert apart.inflation(30 * NS_PER_S).at(p) == together.inflation(30 * NS_PER_S).at(p)


def test_an_agent_that_says_it_is_ready_does_not_begin_the_phase() -> None:
    record = Batches()
    record.add(0, 1_000, [])
    for number, values in enumerate(independent(20, 100)):
        begin_ns = 3_400_000_000 + number * NS_PER_S
        record.add(begin_ns, begin_ns + NS_PER_S, [histogram(values).pack()])
    assert record.inflation(20 * NS_PER_S) is not INDEPENDENT


def test_slow_invocations_have_not_ended_yet_when_a_phase_begins_and_alone_are_left_when_it_is_over() -> None:
    """Independent ones of 2 s on average, started evenly: with its edges the phase would not seem steady."""
    random = Random(3)
    started = [(n / 50, random.expovariate(0.5)) for n in range(50 * 60)]
    seconds: list[list[int]] = [[] for _ in range(100)]
    for at, took in started:
        seconds[min(99, int(at + took))].append(round(took * 1e6))
    found = batches(seconds).inflation(60 * NS_PER_S).at(50.0)
    assert found < 2.5
    assert batches(seconds).inflation(66 * NS_PER_S).at(50.0) > 1.5 * found
