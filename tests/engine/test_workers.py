from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.numbers import ENDLESS, parted, size
from loadgen.engine.workers import ClosedRun, OpenRun, Terms, WorkerPool
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.measure.histogram import Histogram
from loadgen.measure.recorder import Recorder, Taken
from tests.engine.virtual import MS, OK, S, Sends, VirtualTime, scripted


class Bench:
    """A pool in virtual time, and what came of its runs."""

    def __init__(self, delay: Callable[[int], int | None], facts: Facts = OK) -> None:
        self.time = VirtualTime()
        self.sent: list[tuple[int, bytes]] = []
        self.pool = WorkerPool(scripted(self.time, delay, self.sent, facts))
        self.done = self.done_at = 0

    def _finished(self) -> None:
        self.done += 1
        self.done_at = self.time.now

    def recorder(self, *, closed: bool) -> Recorder:
        return Recorder("p", 0, origin_ns=0, closed=closed, expects_summary=False, sampled=lambda: True)

    def open(
        self,
        offsets: Iterator[int],
        *,
        duration_ns: int = S,
        limit: int = 10,
        grace_ns: int = 10 * S,
        max_lag_ns: int | None = None,
        allowance: int | None = None,
        until_idle: bool = False,
        rows: int | None = None,
    ) -> OpenRun:
        return OpenRun(
            self.pool,
            iter(enumerate(offsets)),
            Sends(lambda index: b"%d" % index if rows is None or index < rows else None),
            self.recorder(closed=False),
            self._terms(duration_ns, grace_ns, allowance),
            limit=limit,
            max_lag_ns=max_lag_ns,
            until_idle=until_idle,
        )

    def closed(
        self,
        spans: list[tuple[int, int]],
        *,
        duration_ns: int = S,
        grace_ns: int = 10 * S,
        allowance: int | None = None,
        rows: int | None = None,
    ) -> ClosedRun:
        return ClosedRun(
            self.pool,
            spans,
            count(),
            Sends(lambda index: b"%d" % index if rows is None or index < rows else None),
            self.recorder(closed=True),
            self._terms(duration_ns, grace_ns, allowance),
        )

    def _terms(self, duration_ns: int, grace_ns: int, allowance: int | None) -> Terms:
        numbers = None if allowance is None else parted(ENDLESS, allowance)[0]
        return Terms(self.time.clock, self.time.alarm, self.time.now, duration_ns, grace_ns, numbers, self._finished)


def every(gap_ns: int, n: int) -> Iterator[int]:
    return iter([k * gap_ns for k in range(n)])


def merged(taken: Taken, metric: str) -> Histogram:
    """One metric over all outcomes."""
    histogram = Histogram()
    for cell, packed in taken.packed():
        if cell.metric == metric:
            histogram.add_packed(packed)
    return histogram


def test_a_frozen_server_shows_in_the_latency_of_every_start_that_fell_into_the_freeze() -> None:
    """At 100/s, with 10 workers, a freeze of 1 s delays 100 starts; only 10 of them see it as service time."""
    freeze_from, freeze_to = S, 2 * S

    def delay(at_ns: int) -> int:
        return max(freeze_to - at_ns, 0) + MS if at_ns >= freeze_from else MS

    bench = Bench(delay)
    run = bench.open(every(10 * MS, 400), duration_ns=4 * S, limit=10)
    bench.time.run()
    taken = run.recorder.take()
    samples = taken.samples
    assert len(samples) == 400
    delayed = [s for s in samples if s.ended_ns - s.intended_ns > 10 * MS]
    assert 95 <= len(delayed) <= 105
    slow_service = [s for s in samples if s.started_ns is not None and s.ended_ns - s.started_ns > 10 * MS]
    assert len(slow_service) == 10
    waited = [s for s in samples if s.started_ns is not None and s.started_ns - s.intended_ns > 0]
    assert 85 <= len(waited) <= 95
    for s in waited:  # the rest of the delay is in waited, none of it late
        assert s.started_ns is not None
        assert s.ended_ns - s.intended_ns == (s.started_ns - s.intended_ns) + (s.ended_ns - s.started_ns)
    assert merged(taken, "waited").counts == merged(taken, "lag").counts
    assert merged(taken, "late").counts == {0: 400}


def test_a_stall_of_our_own_is_late_and_not_waited_although_a_busy_worker_ended_in_it() -> None:
    """Nine workers stay free, so none of the delay is the server's."""
    bench = Bench(lambda at: 5 * MS)
    run = bench.open(every(10 * MS, 20), duration_ns=300 * MS)
    bench.time.run(until_ns=52 * MS)
    bench.time.now = 120 * MS  # nothing ran in between: a stall of the generator
    bench.time.run()
    taken = run.recorder.take()
    assert merged(taken, "waited").max_us == 0
    late = merged(taken, "late")
    assert late.max_us is not None
    assert late.max_us >= 59_000


def test_the_backlog_that_a_stall_of_our_own_leaves_is_late_too() -> None:
    """At 500/s with 10 workers and answers in 5 ms: all but 7 of the starts behind the stall find every worker busy."""
    bench = Bench(lambda at: 5 * MS)
    run = bench.open(every(2 * MS, 1000), duration_ns=2 * S, limit=10)
    bench.time.run(until_ns=500 * MS)
    bench.time.now = 1000 * MS
    bench.time.run()
    taken = run.recorder.take()
    waited, late = merged(taken, "waited"), merged(taken, "late")
    assert waited.max_us is not None
    assert waited.max_us <= 11_000  # two turns of the pool
    assert late.max_us is not None
    assert late.max_us >= 490_000
    assert sum(n for slot, n in late.counts.items() if slot) >= 250
    assert late.value_at(50) == 0  # and when the backlog is gone we are punctual again


@pytest.mark.parametrize("slow_ms", [5, 10, 40])
def test_a_heap_behind_a_stall_that_fills_the_pool_makes_no_start_wait_for_the_target(slow_ms: int) -> None:
    """Forty calls at once take longer than one, of a target and of connections; that there were forty is our doing."""
    bench = Bench(lambda at: (slow_ms if S + 299 * MS < at < S + 400 * MS else 5) * MS)
    run = bench.open(every(5 * MS, 600), duration_ns=3 * S, limit=40)
    bench.time.run(until_ns=S + MS)
    bench.time.now = S + 301 * MS
    bench.time.run()
    taken = run.recorder.take()
    assert merged(taken, "waited").max_us == 0
    assert merged(taken, "late").value_at(50) == 0


def test_what_a_frozen_server_makes_wait_stays_its_fault_after_a_small_stall_of_ours() -> None:
    bench = Bench(lambda at: max(2 * S - at, 0) + MS if at >= S else MS)
    run = bench.open(every(10 * MS, 400), duration_ns=4 * S, limit=10)
    bench.time.run(until_ns=1080 * MS)
    bench.time.now = 1110 * MS  # two starts are late; one of them takes the last worker
    bench.time.run()
    taken = run.recorder.take()
    late, waited = merged(taken, "late").max_us, merged(taken, "waited").max_us
    assert late is not None
    assert late <= 30_100
    assert waited is not None
    assert waited >= 850_000


def test_starts_go_to_the_most_recently_freed_worker() -> None:
    bench = Bench(lambda at: MS)
    bench.pool.grow(10)
    bench.open(every(10 * MS, 50), duration_ns=S)
    bench.time.run()
    assert len({id(w) for w in bench.pool.workers}) == 10
    assert bench.pool.free[-1] is bench.pool.workers[-1]
    assert bench.done == 1


def test_no_more_workers_than_the_limit_are_ever_busy_even_when_an_earlier_phase_had_more() -> None:
    bench = Bench(lambda at: None)
    bench.pool.grow(50)
    run = bench.open(iter([0] * 20), limit=5, grace_ns=0)
    bench.time.run()
    assert len(bench.sent) == 5
    assert run.recorder.take().outcomes() == {"unfinished": 5, "dropped": 15}
    assert len(bench.pool.free) == 50


@given(
    gaps=st.lists(st.integers(0, 30 * MS), max_size=60),
    delays=st.lists(st.one_of(st.none(), st.integers(0, 200 * MS)), min_size=1, max_size=20),
    limit=st.integers(1, 8),
    max_lag_ns=st.one_of(st.none(), st.integers(0, 100 * MS)),
    grace_ns=st.integers(0, 300 * MS),
    allowance=st.one_of(st.none(), st.integers(0, 40)),
)
def test_every_planned_start_has_exactly_one_fate(
    gaps: list[int],
    delays: list[int | None],
    limit: int,
    max_lag_ns: int | None,
    grace_ns: int,
    allowance: int | None,
) -> None:
    """Planned = started + dropped; started = completed + unfinished; every metric counts each start once."""
    answers = iter(delays * 100)
    bench = Bench(lambda at: next(answers))
    offsets, total = [], 0
    for gap in gaps:
        offsets.append(total)
        total += gap
    run = bench.open(
        iter(o for o in offsets if o < S),
        limit=limit,
        max_lag_ns=max_lag_ns,
        grace_ns=grace_ns,
        allowance=allowance,
    )
    bench.time.run()
    taken = run.recorder.take()
    outcomes = taken.outcomes()
    planned = sum(o < S for o in offsets)
    assert bench.done == 1
    assert taken.starts == len(bench.sent) == sum(outcomes.values()) - outcomes.get("dropped", 0)
    assert len(taken.samples) == sum(outcomes.values())
    if allowance is None:
        assert sum(outcomes.values()) == planned
    else:
        assert taken.starts <= allowance
    assert merged(taken, "service_time").count == taken.starts
    assert merged(taken, "latency").count == sum(outcomes.values())
    assert merged(taken, "lag").count == sum(outcomes.values())
    assert all(s.started_ns is None or s.started_ns >= s.intended_ns for s in taken.samples)
    if max_lag_ns is not None:
        assert all(s.started_ns is None or s.started_ns - s.intended_ns <= max_lag_ns for s in taken.samples)
    assert sorted(map(id, bench.pool.free)) == sorted(map(id, bench.pool.workers))


def test_starts_that_found_no_worker_are_dropped_at_the_end_with_the_time_they_waited() -> None:
    bench = Bench(lambda at: None)
    run = bench.open(every(100 * MS, 10), limit=1, grace_ns=0)
    bench.time.run()
    dropped = [s for s in run.recorder.take().samples if s.outcome == "dropped"]
    assert [s.ended_ns - s.intended_ns for s in dropped] == [900 * MS - k * 100 * MS for k in range(9)]
    assert {s.reason for s in dropped} == {"phase_end"}


def test_many_waiting_starts_are_counted_in_slices_so_that_answers_are_still_read() -> None:
    bench = Bench(lambda at: 2 * S)
    run = bench.open(every(100_000, 9000), duration_ns=S, limit=1)
    bench.time.run()
    outcomes = run.recorder.take().outcomes()
    assert outcomes == {"ok": 1, "dropped": 8999}


def test_a_worker_that_becomes_free_while_drops_are_counted_does_not_make_them_our_fault() -> None:
    bench = Bench(lambda at: None)
    run = bench.open(every(100_000, 9000), duration_ns=S, limit=1)
    bench.time.run(until_ns=S - 1)
    bench.time.at(S, lambda: bench.pool.workers[0].ended(S, S, OK, 0, b""))  # between the first slice and the second
    bench.time.run()
    assert run.recorder.take().reasons() == {"dropped/phase_end": 8999}


def test_starts_dropped_for_their_lag_are_whose_fault_the_lag_was() -> None:
    frozen = Bench(lambda at: 500 * MS)
    run = frozen.open(every(10 * MS, 100), limit=1, max_lag_ns=100 * MS)
    frozen.time.run()
    assert run.recorder.take().reasons().keys() == {"dropped/max_lag", "dropped/phase_end"}

    stalled = Bench(lambda at: MS)
    run = stalled.open(every(10 * MS, 100), max_lag_ns=100 * MS)
    stalled.time.run(until_ns=200 * MS)
    stalled.time.now = 500 * MS
    stalled.time.run()
    taken = run.recorder.take()
    assert taken.reasons() == {"dropped/max_lag_late": 19}
    assert merged(taken, "waited").max_us == 0


def test_many_starts_dropped_for_their_lag_are_counted_in_slices_too() -> None:
    bench = Bench(lambda at: 500 * MS)
    run = bench.open(every(100_000, 9000), limit=1, max_lag_ns=0)
    seen: list[int] = []
    bench.time.at(500 * MS, lambda: seen.append(run.recorder.now.outcomes().get("dropped", 0)))
    bench.time.run(until_ns=500 * MS - 1)
    bench.time.at(500 * MS, lambda: seen.append(run.recorder.now.outcomes().get("dropped", 0)))
    bench.time.run()
    assert 0 < seen[1] <= 1000
    assert run.recorder.take().outcomes() == {"ok": 2, "dropped": 8998}


def test_cutting_a_phase_counts_the_starts_that_were_waiting() -> None:
    bench = Bench(lambda at: None)
    run = bench.open(every(100 * MS, 10), limit=1)
    bench.time.run(until_ns=450 * MS)
    bench.time.now = 450 * MS
    run.cut()
    bench.time.run()
    taken = run.recorder.take()
    assert taken.outcomes() == {"unfinished": 1, "dropped": 4}
    assert taken.reasons() == {"unfinished/grace": 1, "dropped/phase_end": 4}
    assert bench.done == 1


def test_starts_that_we_were_too_slow_to_make_are_dropped_as_our_own_fault() -> None:
    bench = Bench(lambda at: MS)
    run = bench.open(every(MS, 1000), duration_ns=S)
    bench.time.run(until_ns=500 * MS)
    bench.time.now = S + 200 * MS  # a stall over the end of the phase
    bench.time.run()
    reasons = run.recorder.take().reasons()
    assert reasons.keys() == {"dropped/phase_end_late"}
    assert 490 <= reasons["dropped/phase_end_late"] <= 500


def test_a_start_due_just_before_the_end_is_made_although_the_wake_up_comes_after_it() -> None:
    bench = Bench(lambda at: MS)
    run = bench.open(iter([S - 1]), duration_ns=S)
    bench.time.run(until_ns=S - 2)
    bench.time.now = S + MS
    bench.time.run()
    assert run.recorder.take().outcomes() == {"ok": 1}


def test_stop_ends_the_phase_now_and_waits_for_what_is_in_flight() -> None:
    bench = Bench(lambda at: 300 * MS)
    run = bench.open(every(100 * MS, 10))
    bench.time.run(until_ns=450 * MS)
    run.stop()
    bench.time.run()
    assert run.recorder.take().outcomes() == {"ok": 5}
    assert bench.done == 1
    assert bench.done_at == 700 * MS


def test_stop_before_the_first_start_ends_without_one() -> None:
    bench = Bench(lambda at: MS)
    run = bench.open(iter([500 * MS]))
    run.stop()
    bench.time.run()
    assert bench.sent == []
    assert bench.done == 1


def test_a_burst_phase_ends_with_its_last_answer() -> None:
    bench = Bench(lambda at: 50 * MS)
    bench.open(iter([0, 0, 0]), duration_ns=90 * S, until_idle=True)
    bench.time.run(until_ns=60 * MS)
    assert bench.done == 1


def test_the_allowance_ends_the_phase_exactly() -> None:
    bench = Bench(lambda at: MS)
    run = bench.open(every(10 * MS, 100), allowance=7)
    bench.time.run()
    assert len(bench.sent) == 7
    assert run.budget_reached
    assert run.left == ()
    assert run.recorder.take().outcomes() == {"ok": 7}


def test_a_phase_whose_allowance_is_spent_behind_schedule_sent_load_until_then_and_gives_the_whole_grace() -> None:
    bench = Bench(lambda at: 300 * MS)
    run = bench.open(every(100 * MS, 10), limit=2, allowance=3, grace_ns=250 * MS)
    bench.time.run()  # starts at 0, 100 and 300 ms; at 400 ms a worker is free for what was due at 300 ms
    assert run.load_ns == 400 * MS
    assert run.recorder.take().outcomes() == {"ok": 3}
    assert bench.done_at == 600 * MS


@pytest.mark.parametrize("model", ["open", "closed"])
def test_a_feeder_that_runs_out_costs_no_allowance(model: str) -> None:
    bench = Bench(lambda at: MS)
    if model == "open":
        run: OpenRun | ClosedRun = bench.open(every(10 * MS, 100), rows=3, allowance=10)
    else:
        run = bench.closed([(0, S)], rows=3, allowance=10)
    bench.time.run()
    assert size(run.left) == 7


@pytest.mark.parametrize("model", ["open", "closed"])
def test_a_feeder_that_runs_out_ends_the_phase(model: str) -> None:
    bench = Bench(lambda at: MS)
    if model == "open":
        run: OpenRun | ClosedRun = bench.open(every(10 * MS, 100), rows=3)
    else:
        run = bench.closed([(0, S)] * 2, rows=3)
    bench.time.run()
    assert [request for _, request in bench.sent] == [b"0", b"1", b"2"]
    assert run.feeder_exhausted
    assert bench.done == 1
    assert run.recorder.take().outcomes() == {"ok": 3}


def test_closed_workers_start_again_as_soon_as_they_are_done() -> None:
    bench = Bench(lambda at: 100 * MS)
    run = bench.closed([(0, S)] * 4)
    bench.time.run()
    taken = run.recorder.take()
    assert taken.outcomes() == {"ok": 40}
    assert all(s.intended_ns == s.started_ns for s in taken.samples)
    assert merged(taken, "latency").counts == merged(taken, "service_time").counts
    assert merged(taken, "lag").counts == {0: 40}
    assert bench.done == 1


def test_closed_workers_ramp_up_and_down_with_their_spans() -> None:
    bench = Bench(lambda at: 100 * MS)
    bench.closed([(0, S), (500 * MS, S), (0, 200 * MS)])
    bench.time.run()
    assert len(bench.sent) == 10 + 5 + 2


def test_closed_workers_that_never_end_are_unfinished_after_the_grace() -> None:
    bench = Bench(lambda at: None)
    run = bench.closed([(0, S)] * 3, grace_ns=S)
    bench.time.run()
    assert run.recorder.take().outcomes() == {"unfinished": 3}
    assert bench.done_at == 2 * S
    assert len(bench.pool.free) == 3


def test_a_closed_phase_stops_at_its_allowance() -> None:
    bench = Bench(lambda at: MS)
    run = bench.closed([(0, S)] * 3, allowance=10)
    bench.time.run()
    assert len(bench.sent) == 10
    assert run.budget_reached
    assert bench.done == 1


def test_failures_are_recorded_under_their_outcome_and_start_the_next_like_any_other() -> None:
    bench = Bench(lambda at: 10 * MS, Facts(Outcome.THROTTLED, "FSS.0429", 429))
    run = bench.closed([(0, 100 * MS)], duration_ns=100 * MS)
    bench.time.run()
    taken = run.recorder.take()
    assert taken.outcomes() == {"throttled": 10}
    assert taken.reasons() == {"throttled/FSS.0429": 10}


def test_a_phase_says_whether_a_start_that_was_due_found_all_workers_busy() -> None:
    bench = Bench(lambda started_ns: 100 * MS if started_ns < 300 * MS else None)
    run = bench.open(every(100 * MS, 10), limit=2)
    bench.time.run(250 * MS)
    assert not run.take_short_of_workers()
    bench.time.run(450 * MS)  # two that never end, and none is due yet
    assert not run.take_short_of_workers()
    bench.time.run(499 * MS)
    bench.time.now = 500 * MS
    assert run.take_short_of_workers()
    bench = Bench(lambda started_ns: 150 * MS)
    run = bench.open(every(100 * MS, 5), limit=1)
    bench.time.run(160 * MS)  # the second one waited, and has started meanwhile
    assert run.take_short_of_workers()
    assert not run.take_short_of_workers()


def test_a_worker_that_thinks_is_free_again_after_its_pause_and_late_only_from_then_on() -> None:
    bench = Bench(lambda at: 5 * MS)
    run = ClosedRun(
        bench.pool,
        [(0, S)],
        count(),
        Sends(lambda index: b""),
        bench.recorder(closed=True),
        bench._terms(S, S, None),
        lambda index: (10 + index) * MS,
    )
    bench.time.run()
    starts = [at for at, _ in bench.sent]
    assert starts[:4] == [0, 15 * MS, 31 * MS, 48 * MS]
    assert run.recorder.now.starts == len(starts)
