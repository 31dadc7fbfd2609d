"""What several agents make of one schedule, also when some of them are lost: together all of it, and nothing twice."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.part import Part
from tests.engine.test_workers import Bench, every
from tests.engine.virtual import MS, S


def schedule(n: int) -> list[tuple[int, int]]:
    return [(number, number * 10) for number in range(n)]


@given(agents=st.integers(2, 5), arrivals=st.integers(0, 60), data=st.data())
def test_agents_that_are_lost_one_after_another_leave_all_that_falls_due_later_to_the_others(
    agents: int, arrivals: int, data: st.DataObject
) -> None:
    parts = {agent: Part(iter(schedule(arrivals)), agent, agents) for agent in range(agents)}
    held = {agent: [(agent, agents)] for agent in parts}
    given_to: dict[int, list[tuple[int, int]]] = {agent: [] for agent in parts}
    now_ns = 0
    while len(parts) > 1:
        now_ns += data.draw(st.integers(0, 10 * arrivals), label="later")
        for agent, part in parts.items():
            mine = given_to[agent]
            while not mine or mine[-1][1] < now_ns:  # an agent holds the next one that is to come
                following = next(part, None)
                if following is None:
                    break
                mine.append(following)
        lost = data.draw(st.sampled_from(sorted(parts)), label="lost")
        del parts[lost]
        given_to[lost] = [arrival for arrival in given_to[lost] if arrival[1] < now_ns]
        strides = held.pop(lost)
        for place, agent in enumerate(sorted(parts)):
            own = tuple((first + place * step, step * len(parts)) for first, step in strides)
            held[agent] += own
            given_to[agent] += parts[agent].take_over(own, now_ns)
            given_to[agent].sort()
    for agent, part in parts.items():
        given_to[agent] += part
    made = Counter(arrival for mine in given_to.values() for arrival in mine)
    assert set(made.values()) <= {1}
    assert {arrival for arrival in schedule(arrivals) if arrival[1] >= now_ns} <= set(made)


def test_who_has_no_more_of_its_own_gives_what_others_leave_it_one_after_another() -> None:
    part = Part(iter(schedule(1)), 2, 3)
    assert list(part) == []
    assert part.take_over([(3, 6)], 0) == []
    assert list(part) == []
    assert part.take_over([(0, 6)], 0) == [(0, 0)]


def test_an_open_phase_makes_what_it_takes_over_in_order_though_its_own_next_start_is_far_ahead() -> None:
    """Its own are due at 0 and 900 ms; the other agent's at 300, 600 ms, of which the first is too early to be made."""
    bench = Bench(lambda at: MS)
    run = bench.open(iter([0, 900 * MS]), limit=1)
    bench.time.run(until_ns=400 * MS)
    run.take_over([(7, 600 * MS)], 1)
    bench.time.run()
    taken = run.recorder.take()
    assert [(sample.index, sample.intended_ns) for sample in taken.samples] == [
        (0, 0),
        (7, 600 * MS),
        (1, 900 * MS),
    ]
    assert max((sample.started_ns or 0) - sample.intended_ns for sample in taken.samples) == 0
    assert taken.outcomes() == {"ok": 3}
    assert bench.done == 1


def test_an_open_phase_whose_own_schedule_is_over_still_makes_what_it_takes_over() -> None:
    bench = Bench(lambda at: MS)
    run = bench.open(iter([0]), limit=1)
    bench.time.run(until_ns=400 * MS)
    run.take_over([(3, 500 * MS)], 0)
    bench.time.run()
    assert run.recorder.take().outcomes() == {"ok": 2}


@pytest.mark.parametrize("ended", [False, True])
def test_a_closed_phase_has_the_workers_that_it_takes_over_until_their_time_is_over(ended: bool) -> None:
    bench = Bench(lambda at: 100 * MS)
    run = bench.closed([(0, S)])
    bench.time.run(until_ns=2 * S if ended else 450 * MS)
    now = bench.time.now
    run.take_over([(0, S), (700 * MS, S), (0, 300 * MS)])
    bench.time.run()
    starts = [sample.started_ns or 0 for sample in run.recorder.take().samples]
    own = list(islice(every(100 * MS, 10), 10))
    other = [now + start for start in every(100 * MS, 6)]
    third = [700 * MS + start for start in every(100 * MS, 3)]
    assert sorted(starts) == sorted(own if ended else own + other + third)
    assert bench.done == 1
