from __future__ import annotations

from random import Random

import pytest

from loadgen.measure.dependence import MOST_BATCHES, Batches, widening
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


def inflation(seconds: list[list[int]]) -> float | None:
    return batches(seconds).inflation(len(seconds) * NS_PER_S)


def test_independent_invocations_are_not_inflated_much() -> None:
    for seed in range(20):
        found = inflation(independent(40, 100, seed))
        assert found is not None
        assert 1 <= found < 2.5
        assert widening(found) == 1


def test_where_a_second_is_wholly_slow_or_not_at_all_it_counts_as_one_invocation() -> None:
    """50 in a second are as one, so all say as much as a fiftieth of them; batches of several seconds say about it."""
    random = Random(1)
    found = inflation([[50_000 if random.random() < 0.3 else 10_000] * 50 for _ in range(38)])
    assert found is not None
    assert 50 * 38 / 37 <= found < 100
    assert widening(found) == found


def test_bursts_that_last_longer_than_a_batch_inflate_by_their_length() -> None:
    """Stretches of 8 s: 400 calls are as one, which batches of two and a half seconds see no more than a third of."""
    random = Random(1)
    slow = [random.random() < 0.3 for _ in range(10)]
    found = inflation([[50_000 if slow[second // 8] else 10_000] * 50 for second in range(80)])
    assert found is not None
    assert found > 250


def test_a_slow_stretch_among_many_fast_seconds_is_seen() -> None:
    seconds = independent(60, 100)
    seconds[30:33] = [[80_000] * 100] * 3
    found = inflation(seconds)
    assert found is not None
    assert found > 10


@pytest.mark.parametrize(
    "seconds",
    [
        [],
        independent(19, 100),  # too short
        independent(30, 1),  # too few
        [[5_000] * 100] * 30,  # all alike
        [values if number % 2 else [] for number, values in enumerate(independent(30, 100))],  # most seconds empty
    ],
)
def test_too_little_to_tell_is_none(seconds: list[list[int]]) -> None:
    assert inflation(seconds) is None
    assert widening(inflation(seconds)) == 1


def test_the_number_of_batches_stays_bounded_and_what_they_tell_stays_the_same() -> None:
    random = Random(2)
    seconds = [[100_000 if random.random() < 0.3 else 10_000] * 50 for _ in range(10 * MOST_BATCHES)]
    record = batches(seconds)
    assert len(record._packed) <= MOST_BATCHES
    found = record.inflation(len(seconds) * NS_PER_S)
    assert found is not None
    assert 20 < found < 120


def test_agents_are_added_together_by_time_and_in_any_order() -> None:
    first, second = independent(30, 50, 1), independent(30, 50, 2)
    together = batches([a + b for a, b in zip(first, second, strict=True)])
    apart = batches(first, start_ns=7 * NS_PER_S)
    for number in reversed(range(30)):
        begin_ns = (7 + number) * NS_PER_S + 300_000_000  # its clock ticks a little later
        apart.add(begin_ns, begin_ns + NS_PER_S, [histogram(second[number]).pack()])
    assert apart.inflation(30 * NS_PER_S) == together.inflation(30 * NS_PER_S) is not None


def test_an_agent_that_says_it_is_ready_does_not_begin_the_phase() -> None:
    record = Batches()
    record.add(0, 1_000, [])
    for number, values in enumerate(independent(20, 100)):
        begin_ns = 3_400_000_000 + number * NS_PER_S
        record.add(begin_ns, begin_ns + NS_PER_S, [histogram(values).pack()])
    assert record.inflation(20 * NS_PER_S) is not None


def test_slow_invocations_have_not_ended_yet_when_a_phase_begins_and_alone_are_left_when_it_is_over() -> None:
    """Independent ones of 2 s on average, started evenly: with its edges the phase would not seem steady."""
    random = Random(3)
    started = [(n / 50, random.expovariate(0.5)) for n in range(50 * 60)]
    seconds: list[list[int]] = [[] for _ in range(100)]
    for at, took in started:
        seconds[min(99, int(at + took))].append(round(took * 1e6))
    found = batches(seconds).inflation(60 * NS_PER_S)
    assert found is not None
    assert found < 2.5
    assert (batches(seconds).inflation(66 * NS_PER_S) or 0) > 1.5 * found
