"""What a late generator does to the load, and whose doing a wait is: in virtual time, with answers read late."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from itertools import accumulate, count, takewhile
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.engine.invoker import Caller, Invoker
from loadgen.engine.workers import ClosedRun, OpenRun, Terms, WorkerPool
from loadgen.invocation.facts import Facts
from loadgen.measure.recorder import Recorder
from tests.engine.virtual import MS, OK, S, Sends, VirtualTime


class Call(NamedTuple):
    """What is known of an invocation."""

    intended_ns: int
    started_ns: int
    arrived_ns: int
    read_ns: int
    late_ns: int
    moved_ns: int

    @property
    def disturbed(self) -> bool:
        return self.moved_ns > 0

    @property
    def waited_ns(self) -> int:
        return self.started_ns - self.intended_ns - self.late_ns


class Noting(Recorder):
    """A Recorder that notes what it is told."""

    calls: list[Call]
    unfinished_disturbed: list[bool]

    def record(
        self,
        facts: Facts,
        index: int,
        intended_ns: int,
        started_ns: int,
        ended_ns: int,
        read_ns: int,
        late_ns: int,
        connect_ns: int,
        body: bytes,
        moved_ns: int,
    ) -> None:
        self.calls.append(Call(intended_ns, started_ns, ended_ns, read_ns, late_ns, moved_ns))

    def unfinished(
        self, index: int, intended_ns: int, started_ns: int, at_ns: int, late_ns: int, disturbed: bool = False
    ) -> None:
        self.unfinished_disturbed.append(disturbed)


class Target:
    """Answers after a time, at most so many at once; who reads is late where time has passed meanwhile."""

    def __init__(self, time: VirtualTime, service_ns: Callable[[int], int | None], servers: int = 1_000_000) -> None:
        self.time = time
        self.service_ns = service_ns
        self._free = [0] * min(servers, 1000) if servers < 1_000_000 else None

    def arrival(self, at_ns: int) -> int | None:
        service = self.service_ns(at_ns)
        if service is None:
            return None
        if self._free is None:
            return at_ns + service
        k = min(range(len(self._free)), key=self._free.__getitem__)
        self._free[k] = max(self._free[k], at_ns) + service
        return self._free[k]


class Reading(Invoker):
    """An invoker whose answers are read when the generator gets round to it."""

    def __init__(self, target: Target, caller: Caller) -> None:
        self._target = target
        self._caller = caller
        self._number = 0

    def invoke(self, request: bytes, started_ns: int) -> int:
        self._number += 1
        number, arrived = self._number, self._target.arrival(started_ns)
        if arrived is not None:
            self._target.time.at(arrived, lambda: self._told(number, arrived))
        return started_ns

    def _told(self, number: int, arrived_ns: int) -> None:
        if number == self._number:
            self._caller.ended(arrived_ns, self._target.time.now, OK, 0, b"")

    def abandon(self) -> None:
        self._number += 1


class Generator:
    """A pool in virtual time before a target."""

    def __init__(self, service_ns: Callable[[int], int | None], servers: int = 1_000_000) -> None:
        self.time = VirtualTime()
        target = Target(self.time, service_ns, servers)
        self.pool = WorkerPool(lambda caller: Reading(target, caller))
        self.recorder = Noting("p", 0, origin_ns=0, closed=False, expects_summary=False)
        self.recorder.calls = []
        self.recorder.unfinished_disturbed = []

    def _terms(self, duration_ns: int, grace_ns: int) -> Terms:
        return Terms(self.time.clock, self.time.alarm, 0, duration_ns, grace_ns, None, lambda: None)

    def open(self, offsets: Iterator[int], *, duration_ns: int, limit: int = 1000, grace_ns: int = 10 * S) -> OpenRun:
        return OpenRun(
            self.pool,
            iter(enumerate(offsets)),
            Sends(lambda index: b""),
            self.recorder,
            self._terms(duration_ns, grace_ns),
            limit=limit,
            max_lag_ns=None,
            until_idle=False,
        )

    def closed(self, workers: int, duration_ns: int) -> ClosedRun:
        return ClosedRun(
            self.pool,
            [(0, duration_ns)] * workers,
            count(),
            Sends(lambda index: b""),
            self.recorder,
            self._terms(duration_ns, 10 * S),
        )

    def stalled(self, from_ns: int, for_ns: int) -> None:
        def stall() -> None:
            self.time.now = max(self.time.now, from_ns + for_ns)

        self.time.at(from_ns, stall)

    def calls(self) -> list[Call]:
        self.time.run()
        return sorted(self.recorder.calls)


def every(gap_ns: int, duration_ns: int) -> Iterator[int]:
    return iter(range(0, duration_ns, gap_ns))


def test_a_start_that_finds_its_workers_answer_unread_is_late_and_never_waited() -> None:
    """One worker, whose answer arrives at 10 ms; the next start is due at 20 ms; both are seen at 100 ms."""
    generator = Generator(lambda at: 10 * MS)
    generator.open(iter([0, 20 * MS]), duration_ns=S, limit=1)
    generator.stalled(5 * MS, 95 * MS)
    first, second = generator.calls()
    assert (first.arrived_ns, first.read_ns) == (10 * MS, 100 * MS)
    assert second.started_ns == 100 * MS
    assert second.late_ns == 80 * MS
    assert second.waited_ns == 0


def test_a_start_that_was_due_before_its_workers_answer_came_waited_until_then_and_is_late_from_then_on() -> None:
    generator = Generator(lambda at: 50 * MS)
    generator.open(iter([0, 20 * MS]), duration_ns=S, limit=1)
    generator.stalled(5 * MS, 95 * MS)
    _, second = generator.calls()
    assert second.waited_ns == 30 * MS
    assert second.late_ns == 50 * MS


def test_a_stop_never_makes_an_open_phase_wait_for_workers_that_a_generator_on_time_would_have_had() -> None:
    """Ten workers for a load of one: whatever the length of the stop, all of the delay is late."""
    for stop_ms in (20, 90, 300):
        generator = Generator(lambda at: 5 * MS)
        generator.open(every(5 * MS, S), duration_ns=S, limit=10)
        generator.stalled(302 * MS, stop_ms * MS)
        calls = generator.calls()
        assert len(calls) == 200
        assert max(call.late_ns for call in calls) >= (stop_ms - 5) * MS
        # a heap of up to 60 works itself off through ten workers: owed by the stop
        assert all(call.waited_ns <= 5 * MS for call in calls), stop_ms


@example(2, 5, 0.0, 0, [(1806, 300), (2091, 300), (2454, 300)])
@example(2, 50, 0.0, 2, [(911, 90)])
@example(5, 50, 0.5, 0, [(100, 90)])
@given(
    gap_ms=st.sampled_from([1, 2, 5, 10]),
    service_ms=st.sampled_from([1, 5, 20, 50]),
    spread=st.sampled_from([0.0, 0.5]),
    spare=st.sampled_from([0, 2, 20]),
    stops=st.lists(st.tuples(st.integers(100, 3000), st.sampled_from([20, 90, 300])), min_size=1, max_size=3),
)
def test_what_waits_behind_a_stop_alone_is_late_and_nothing_is_left_for_the_target(
    gap_ms: int, service_ms: int, spread: float, spare: int, stops: list[tuple[int, int]]
) -> None:
    """There are as many workers as the load ever needs when nobody is late."""
    draw = random.Random(1)
    limit = math.ceil(service_ms * (1 + spread) / gap_ms) + 1 + spare
    generator = Generator(lambda at: int(service_ms * MS * (1 + spread * (2 * draw.random() - 1))))
    generator.open(every(gap_ms * MS, 4 * S), duration_ns=4 * S, limit=limit)
    for at_ms, for_ms in stops:
        generator.stalled(at_ms * MS, for_ms * MS)
    calls = generator.calls()
    assert min(call.waited_ns for call in calls) >= 0
    assert min(call.late_ns for call in calls) >= 0
    assert sum(call.waited_ns for call in calls) <= 0.03 * sum(call.late_ns for call in calls)


def test_in_a_closed_phase_a_start_is_late_by_what_has_passed_since_the_answer_before_it_arrived() -> None:
    generator = Generator(lambda at: 10 * MS)
    generator.closed(1, 200 * MS)
    generator.stalled(45 * MS, 30 * MS)  # the answer of 50 ms is read at 75 ms
    calls = generator.calls()
    late = [call for call in calls if call.late_ns]
    assert [(call.started_ns, call.late_ns) for call in late] == [(75 * MS, 25 * MS)]
    assert {call.arrived_ns - call.started_ns for call in calls} == {10 * MS}


def test_of_a_burst_that_is_late_as_a_whole_nothing_is_disturbed_but_by_its_own_lateness() -> None:
    """A hundred at once: what they meet is what was planned. Ten more that were due 1 ms later come with them."""
    generator = Generator(lambda at: 100 * MS)
    generator.open(iter([300 * MS] * 100 + [301 * MS] * 10), duration_ns=S, limit=110)
    generator.stalled(290 * MS, 13 * MS)
    disturbed = [call.intended_ns for call in generator.calls() if call.disturbed]
    assert disturbed == [301 * MS] * 10


def test_without_a_stop_nothing_is_disturbed() -> None:
    generator = Generator(lambda at: 5 * MS)
    run = generator.open(every(5 * MS, 2 * S), duration_ns=2 * S)
    calls = generator.calls()
    assert not any(call.disturbed for call in calls)
    assert run.began_late_ns == 0


def test_a_stop_marks_its_heap_and_nothing_long_after_it() -> None:
    """200/s, 5 ms, a stop of 50 ms: ten starts are late, and one more finds them in flight.

    The first of them is disturbed by its own lateness, which the recorder judges.
    """
    generator = Generator(lambda at: 5 * MS)
    generator.open(every(5 * MS, 2 * S), duration_ns=2 * S)
    generator.stalled(1001 * MS, 50 * MS)
    calls = generator.calls()
    disturbed = [call.intended_ns for call in calls if call.disturbed]
    assert 10 <= len(disturbed) <= 14
    assert min(disturbed) == 1010 * MS
    assert max(disturbed) <= 1070 * MS


def test_a_heap_that_keeps_a_busy_target_behind_lasts_until_it_has_caught_up() -> None:
    """640/s on four servers of 5 ms, 80 % busy: 20 ms of arrears take some 80 ms to work off."""
    gap = S // 640
    generator = Generator(lambda at: 5 * MS, servers=4)
    generator.open(every(gap, 2 * S), duration_ns=2 * S)
    generator.stalled(1000 * MS, 20 * MS)
    calls = generator.calls()
    slow = [call for call in calls if call.arrived_ns - call.started_ns > 8 * MS]
    disturbed = [call for call in calls if call.disturbed]
    assert len(slow) > 20
    assert all(call.disturbed for call in slow)
    assert max(call.intended_ns for call in disturbed) < 1500 * MS


@given(
    gap_ms=st.sampled_from([1, 2, 5]),
    servers=st.integers(1, 8),
    busy=st.floats(0.2, 0.95),
    stops=st.lists(st.tuples(st.integers(100, 1500), st.floats(0.1, 60.0)), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_no_call_of_a_heap_ends_later_than_without_stops_by_more_than_is_said(
    gap_ms: int, servers: int, busy: float, stops: list[tuple[int, float]], seed: int
) -> None:
    """On a queue, the same work for each call, with stops and without; nor does any call end sooner."""

    def played(*, stopped: bool) -> list[Call]:
        work = random.Random(seed)
        typical = gap_ms * MS * servers * busy
        generator = Generator(lambda at: round(typical * work.uniform(0.2, 1.8)), servers)
        generator.open(every(gap_ms * MS, 2 * S), duration_ns=2 * S, limit=10_000)
        for at_ms, for_ms in stops if stopped else ():
            generator.stalled(at_ms * MS, round(for_ms * MS))
        return generator.calls()

    seen, true = played(stopped=True), played(stopped=False)
    assert [call.intended_ns for call in seen] == [call.intended_ns for call in true]
    for one, other in zip(seen, true, strict=True):
        moved = max(one.moved_ns, one.late_ns)
        assert one.arrived_ns >= other.arrived_ns
        assert not one.disturbed or one.arrived_ns - moved <= other.arrived_ns


def test_a_stop_in_a_rising_load_does_not_disturb_the_rest_of_the_phase() -> None:
    """What is in flight never falls back to the level before the stop, as there is more load."""
    gaps = (max(MS, 10 * MS - k * MS // 10) for k in count())  # 100/s to 1,000/s, 50 ms: 5 to 50 in flight
    offsets = takewhile(lambda at: at < 4 * S, accumulate(gaps, initial=0))
    generator = Generator(lambda at: 50 * MS)
    generator.open(offsets, duration_ns=4 * S)
    generator.stalled(300 * MS, 90 * MS)
    calls = generator.calls()
    assert any(call.disturbed for call in calls)
    assert not any(call.disturbed for call in calls if call.intended_ns > 3 * S)


@pytest.mark.parametrize("first_late_us", [60, 300, 2000])
def test_a_phase_that_begins_a_little_late_is_not_disturbed_for_long(first_late_us: int) -> None:
    """Of how long a call takes nothing is known then, nor how many are in flight ordinarily (500, at 10,000/s)."""
    generator = Generator(lambda at: 50 * MS)
    run = generator.open(every(MS // 10, S), duration_ns=S)
    generator.time.now = first_late_us * 1000
    calls = generator.calls()
    assert run.began_late_ns == first_late_us * 1000
    assert not any(call.disturbed for call in calls if call.intended_ns > 200 * MS)


def test_a_phase_whose_first_start_is_due_later_has_not_begun_late() -> None:
    generator = Generator(lambda at: 5 * MS)
    run = generator.open(iter([300 * MS, 600 * MS]), duration_ns=S)
    generator.calls()
    assert run.began_late_ns == 0


@pytest.mark.parametrize("model", ["open", "closed"])
def test_how_late_a_phase_began_is_told(model: str) -> None:
    generator = Generator(lambda at: 5 * MS)
    run: OpenRun | ClosedRun
    run = generator.open(every(5 * MS, S), duration_ns=S) if model == "open" else generator.closed(2, S)
    generator.time.now = 120 * MS
    generator.calls()
    assert run.began_late_ns == 120 * MS


def test_lateness_that_is_nothing_to_what_a_call_takes_disturbs_nothing() -> None:
    """A start that is 1 ms late is within a twentieth of 50 ms."""
    generator = Generator(lambda at: 50 * MS)
    generator.open(every(5 * MS, 2 * S), duration_ns=2 * S)
    generator.stalled(1000 * MS - 1, MS)
    calls = generator.calls()
    assert max(call.late_ns for call in calls) > 900_000
    assert not any(call.disturbed for call in calls if call.intended_ns > 200 * MS)


def test_what_was_in_flight_when_this_machine_was_kept_from_it_is_disturbed_whatever_becomes_of_it() -> None:
    generator = Generator(lambda at: 30 * MS if at < 490 * MS else None if at < 500 * MS else 30 * MS)
    run = generator.open(every(10 * MS, S), duration_ns=S, grace_ns=50 * MS)
    generator.time.at(500 * MS + 1, lambda: run.disturb(500 * MS + 1))
    calls = generator.calls()
    assert [call.started_ns for call in calls if call.disturbed] == [480 * MS, 500 * MS]
    assert generator.recorder.unfinished_disturbed == [True]
