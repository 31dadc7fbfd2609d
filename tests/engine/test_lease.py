"""Nothing is started without a lease, and no heap after a pause: in virtual time, with beats as an agent makes them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.workers import ClosedRun, OpenRun, Terms, WorkerPool
from loadgen.invocation.sample import Sample
from loadgen.measure.recorder import Recorder
from tests.engine.virtual import MS, S, Sends, VirtualTime, scripted

BEAT_NS = 20 * MS
FOREVER = 10**12


class Agent:
    """A pool with its clock, a beat, and renewals at given instants, each good for two seconds."""

    def __init__(self, delay: Callable[[int], int | None] = lambda _: MS) -> None:
        self.time = VirtualTime()
        self.sent: list[tuple[int, bytes]] = []
        self.pool = WorkerPool(scripted(self.time, delay, self.sent))
        self.over = False
        self.run: OpenRun | ClosedRun

    def terms(self, duration_ns: int, until_ns: int, catch_up_ns: int) -> Terms:
        time = self.time
        return Terms(
            time.clock, time.alarm, 0, duration_ns, 10 * S, None, self.done, until_ns=until_ns, catch_up_ns=catch_up_ns
        )

    def recorder(self, *, closed: bool) -> Recorder:
        return Recorder("p", 0, origin_ns=0, closed=closed, expects_summary=False, sampled=lambda: True)

    def open(
        self,
        gap_ns: int,
        *,
        duration_ns: int = 10 * S,
        limit: int = 1000,
        until_ns: int = FOREVER,
        catch_up_ns: int = S,
    ) -> OpenRun:
        offsets = takewhile(lambda at: at[1] < duration_ns, ((n, n * gap_ns) for n in count()))
        self.run = run = OpenRun(
            self.pool,
            offsets,
            Sends(lambda index: b"%d" % index),
            self.recorder(closed=False),
            self.terms(duration_ns, until_ns, catch_up_ns),
            limit=limit,
            max_lag_ns=None,
            until_idle=False,
        )
        self._beat()
        return run

    def closed(self, workers: int, *, duration_ns: int = 10 * S, until_ns: int = FOREVER) -> ClosedRun:
        self.run = run = ClosedRun(
            self.pool,
            [(0, duration_ns)] * workers,
            count(),
            Sends(lambda index: b"%d" % index),
            self.recorder(closed=True),
            self.terms(duration_ns, until_ns, S),
        )
        self._beat()
        return run

    def done(self) -> None:
        self.over = True

    def renewed(self, *at_ns: int) -> None:
        for at in at_ns:
            self.time.at(at, lambda: self.run.extend(self.time.now + 2 * S))

    def suspended(self, from_ns: int, to_ns: int) -> None:
        """The process stands still; what would have happened meanwhile happens at once when it goes on."""

        def sleep() -> None:
            self.time.now = max(self.time.now, to_ns)

        self.time.at(from_ns, sleep)

    def _beat(self) -> None:
        if not self.over:
            self.run.beat(self.time.now)
            self.time.at(self.time.now + BEAT_NS, self._beat)

    def samples(self) -> list[Sample]:
        self.time.run()
        assert self.over
        return sorted(self.run.recorder.now.samples, key=lambda sample: sample.index)

    @property
    def reasons(self) -> dict[str, int]:
        return self.run.recorder.now.reasons()


def starts(samples: list[Sample], from_ns: int = 0, to_ns: int = FOREVER) -> list[Sample]:
    return [each for each in samples if each.started_ns is not None and from_ns <= each.started_ns < to_ns]


def test_without_a_renewal_nothing_is_started_any_more_and_the_phase_ends_by_its_own_clock() -> None:
    agent = Agent()
    agent.open(10 * MS, until_ns=2 * S)
    samples = agent.samples()
    assert len(samples) == 1000
    assert len(starts(samples)) == 200
    assert not starts(samples, 2 * S)
    assert agent.reasons == {"dropped/paused": 800}
    assert agent.run.load_ns == 10 * S
    assert agent.run.paused_ns == 8 * S


def test_after_a_pause_the_last_second_of_the_schedule_is_made_up_for_and_the_rest_dropped() -> None:
    agent = Agent()
    agent.open(10 * MS, until_ns=2 * S)
    agent.renewed(5 * S, 6 * S, 7 * S, 8 * S, 9 * S)
    samples = agent.samples()
    assert not starts(samples, 2 * S, 5 * S)
    assert {each.intended_ns for each in samples if each.reason == "paused"} == set(range(2 * S, 4 * S, 10 * MS))
    assert len(starts(samples, 5 * S, 5 * S + 10 * MS)) == 101
    assert len(samples) == 1000
    assert agent.run.paused_ns == 3 * S


@pytest.mark.parametrize("catch_up_ms", [100, 500, 3000])
def test_how_much_is_made_up_for_is_the_users_choice(catch_up_ms: int) -> None:
    agent = Agent()
    agent.open(10 * MS, catch_up_ns=catch_up_ms * MS)
    agent.suspended(S + MS, 4 * S)
    samples = agent.samples()
    heap = starts(samples, 4 * S, 4 * S + 5 * MS)
    assert len(heap) == min(catch_up_ms, 3000) // 10 + (catch_up_ms < 3000)
    assert len(starts(samples)) + agent.reasons.get("dropped/paused", 0) == 1000


def test_a_process_that_was_suspended_fires_no_heap() -> None:
    """E1: after SIGCONT 597 starts came in half a second."""
    agent = Agent()
    agent.open(10 * MS)
    agent.suspended(2 * S + MS, 8 * S)
    samples = agent.samples()
    assert not starts(samples, 2 * S + MS, 8 * S)
    assert len(starts(samples, 8 * S, 8 * S + 9 * MS)) <= 101
    assert agent.reasons == {"dropped/paused": 499}


def test_a_process_that_sleeps_over_the_end_of_its_phase_starts_nothing_when_it_wakes() -> None:
    agent = Agent()
    agent.open(10 * MS, duration_ns=4 * S)
    agent.suspended(2 * S + MS, 60 * S)
    samples = agent.samples()
    assert not starts(samples, 2 * S + MS)
    assert len(samples) == 400
    assert agent.reasons == {"dropped/paused": 199}


def test_everything_asleep_for_a_minute_goes_on_with_the_first_renewal() -> None:
    agent = Agent()
    agent.open(10 * MS, duration_ns=70 * S, until_ns=2 * S)
    agent.renewed(S, 60 * S + 30 * MS, *range(61 * S, 70 * S, S))
    agent.suspended(S + 5 * MS, 60 * S)
    samples = agent.samples()
    assert not starts(samples, S + 6 * MS, 60 * S)
    assert len(starts(samples, 60 * S, 60 * S + 40 * MS)) <= 105
    assert len(starts(samples, 61 * S, 70 * S)) == 900


def test_a_sleep_in_a_lapse_makes_one_pause_of_both() -> None:
    """The lease is over at 2 s, and the machine asleep from 4 to 12 s: one second is made up for, of all that."""
    agent = Agent()
    agent.open(10 * MS, duration_ns=20 * S, until_ns=2 * S)
    agent.suspended(4 * S, 12 * S)
    agent.renewed(12 * S + 10 * MS, *range(13 * S, 20 * S, S))
    samples = agent.samples()
    assert not starts(samples, 2 * S, 12 * S)
    assert len(starts(samples, 12 * S, 12 * S + 20 * MS)) <= 103


def test_between_a_sleep_and_the_lapse_that_it_hides_there_is_no_hole() -> None:
    """Asleep from 1.3 to 3.5 s, the lease over at 3 s, renewed at 4 s: what fell due at 2.96 s is too old by then."""
    agent = Agent()
    agent.open(10 * MS, until_ns=2965 * MS, catch_up_ns=600 * MS)
    agent.suspended(1300 * MS, 3500 * MS)
    agent.renewed(4 * S, 5 * S, 6 * S, 7 * S, 8 * S, 9 * S)
    for each in starts(agent.samples()):
        assert (each.started_ns or 0) - each.intended_ns <= 600 * MS + BEAT_NS


def test_a_stall_at_the_end_of_a_lapse_makes_one_pause_of_both() -> None:
    agent = Agent()
    agent.open(10 * MS, until_ns=2 * S, catch_up_ns=100 * MS)
    agent.suspended(5 * S, 5200 * MS)
    agent.renewed(5201 * MS, 6 * S, 7 * S, 8 * S, 9 * S)
    assert len(starts(agent.samples(), 2 * S, 5300 * MS)) <= 22


def test_cut_or_stopped_while_the_lease_is_over_it_was_the_pause_that_dropped_what_fell_due() -> None:
    for end in ("stop", "cut"):
        agent = Agent()
        run = agent.open(10 * MS, until_ns=2 * S)
        agent.time.at(5 * S, getattr(run, end))
        agent.samples()
        assert agent.reasons == {"dropped/paused": 300}
        assert run.paused_ns == 3 * S


def test_a_lapse_in_which_nothing_was_due_is_no_pause() -> None:
    agent = Agent()
    run = agent.open(4900 * MS, duration_ns=8 * S, until_ns=2 * S)
    agent.renewed(5 * S, 6 * S, 7 * S)
    assert len(starts(agent.samples())) == 2
    assert run.paused_ns == 100 * MS


def test_a_busy_target_is_no_pause() -> None:
    """Ten workers for three seconds without an answer: starts wait, and none of them is dropped for a pause."""
    agent = Agent(lambda at: 3 * S if at < 100 * MS else MS)
    agent.open(10 * MS, limit=10)
    samples = agent.samples()
    assert len(starts(samples)) == 1000
    assert agent.reasons == {}


def test_what_waits_for_a_worker_behind_a_pause_is_dropped_as_well() -> None:
    """All workers are busy when the process is suspended; what fell due meanwhile is no queue for them to work off."""
    agent = Agent(lambda at: 2 * S if at < 100 * MS else MS)
    agent.open(10 * MS, limit=10)
    agent.suspended(S, 6 * S)
    samples = agent.samples()
    assert {each.intended_ns for each in samples if each.reason == "paused"} == set(range(980 * MS, 5 * S, 10 * MS))


@pytest.mark.parametrize("workers", [1, 5])
def test_workers_rest_while_there_is_no_lease(workers: int) -> None:
    agent = Agent(lambda _: 100 * MS)
    agent.closed(workers, until_ns=2 * S)
    agent.renewed(5 * S, 6 * S, 7 * S, 8 * S, 9 * S)
    samples = agent.samples()
    assert not starts(samples, 2 * S, 5 * S)
    assert len(starts(samples)) == 70 * workers
    assert agent.run.paused_ns == 3 * S


def test_workers_whose_lease_is_never_renewed_end_with_their_phase() -> None:
    agent = Agent(lambda _: 100 * MS)
    agent.closed(2, until_ns=2 * S)
    assert len(agent.samples()) == 40
    assert agent.run.paused_ns == 8 * S


def test_a_lease_that_is_renewed_in_time_costs_no_start() -> None:
    agent = Agent()
    agent.open(10 * MS, until_ns=2 * S)
    agent.renewed(*range(0, 10 * S, S))
    assert len(starts(agent.samples())) == 1000
    assert agent.run.paused_ns == 0


def test_a_renewal_of_the_past_changes_nothing() -> None:
    """They queue up in a pipe while the process is suspended."""
    agent = Agent()
    agent.open(10 * MS, until_ns=2 * S)
    agent.time.at(5 * S, lambda: agent.run.extend(3 * S))
    agent.time.at(5500 * MS, lambda: agent.run.extend(2 * S))
    agent.renewed(6 * S, 7 * S, 8 * S, 9 * S)
    samples = agent.samples()
    assert not starts(samples, 2 * S, 6 * S)
    assert agent.reasons == {"dropped/paused": 300}


@given(
    gap_ms=st.integers(1, 300),
    renewals=st.lists(st.integers(0, 9_999), max_size=8),
    sleeps=st.lists(st.tuples(st.integers(0, 9_999), st.integers(1, 5_000)), max_size=3),
    service_ms=st.integers(1, 2_000),
    limit=st.integers(1, 50),
    catch_up_ms=st.integers(100, 3_000),
)
def test_whatever_happens_every_planned_start_is_made_or_counted_and_none_without_a_lease(
    gap_ms: int,
    renewals: list[int],
    sleeps: list[tuple[int, int]],
    service_ms: int,
    limit: int,
    catch_up_ms: int,
) -> None:
    agent = Agent(lambda _: service_ms * MS)
    agent.open(gap_ms * MS, limit=limit, until_ns=2 * S, catch_up_ns=catch_up_ms * MS)
    held = [(0, 2 * S)]
    for at in renewals:

        def renew() -> None:
            held.append((agent.time.now, agent.time.now + 2 * S))
            agent.run.extend(agent.time.now + 2 * S)

        agent.time.at(at * MS, renew)
    for at, length in sleeps:
        agent.suspended(at * MS, (at + length) * MS)
    samples = agent.samples()
    assert len(samples) == -(-10_000 // gap_ms)
    for each in starts(samples):
        assert any(since <= (each.started_ns or 0) < until for since, until in held)
    if limit * gap_ms >= 2 * (service_ms + catch_up_ms + gap_ms):  # nobody had to wait for a worker
        for each in starts(samples):
            assert (each.started_ns or 0) - each.intended_ns <= catch_up_ms * MS + BEAT_NS
