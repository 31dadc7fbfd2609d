"""The worker pool: who starts what, when. No network, no loop, no clock of its own.

A worker makes one invocation at a time through its Invoker. In an **open** phase (``OpenRun``) the schedule decides:
a start that falls due goes to the most recently freed worker, so that few connections stay busy. When every worker is
busy the next start waits; there is no queue but the schedule itself. In a **closed** phase (``ClosedRun``) a worker
starts again as soon as it is done.

Three clocks. ``intended`` is when the schedule says a start is due, ``started`` when the request is handed to the
transport, ``ended`` when its last byte was read or it was given up. ``lag = started − intended`` has two parts:
``waited``, while no worker was free, which is the target's doing (or that of max_in_flight), and ``late``, the rest,
which is ours. A worker counts as free from the instant the pool could have used one, not from when *this* worker was
freed: otherwise a stall of our own would be blamed on the target by the last worker to end in it. A stall also leaves
a backlog that keeps every worker busy for a while. Had we been on time, a worker would have been free by as much
earlier as the start was late that took the last one, so up to that much of the wait behind it is ``late`` too.

At the end of a phase nothing more is started. What was due and found no worker is dropped (reason ``phase_end``, or
``max_lag`` once it waited longer than that; ``phase_end_late`` and ``max_lag_late`` where the fault is ours). What is
in flight gets the phase's grace, and whatever is left is unfinished. Nothing is ever retried.

Everything happens in two callbacks, an alarm that rings and an invocation that ends, so that the same code runs against
sockets and in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from loadgen.engine.clock import Clock
from loadgen.engine.timer import AlarmFactory
from loadgen.functiongraph.facts import Facts
from loadgen.measure.recorder import Recorder

_LAST_STARTS_NS = 100_000_000  # a wake-up is never punctual to the µs; starts due before the end may be this late
_PUNCTUAL_NS = 1_000_000  # a start less late than this has cost no other start its turn
_DROPS_AT_ONCE = 500  # some 200 µs: starts never reached are counted in slices, so that answers are still read on time


class Ended(Protocol):
    """What an Invoker calls, exactly once per invocation and never from within ``invoke``.

    ``ended_ns`` is when the last byte was read or the invocation given up, ``connect_ns`` what opening a connection
    took, 0 where one was reused, ``body`` as much of the answer's body as was kept.
    """

    def __call__(self, ended_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        """Report the end of the invocation."""


class Invoker(Protocol):
    """Makes one invocation at a time."""

    def invoke(self, request: bytes, started_ns: int) -> None:
        """Hand a request to the transport."""

    def abandon(self) -> None:
        """Give up the invocation under way; its end will not be reported."""


InvokerFactory = Callable[[Ended], Invoker]
Requests = Callable[[int], bytes | None]
"""The request of an arrival, by its global index; None when the feeder has run out."""


class Worker:
    """One invocation at a time, from start to record."""

    __slots__ = ("_index", "_intended_ns", "_late_ns", "_pool", "_started_ns", "busy", "invoker", "until_ns")

    def __init__(self, pool: WorkerPool, invoker: InvokerFactory) -> None:
        self._pool = pool
        self._index = self._intended_ns = self._late_ns = self._started_ns = 0
        self.busy = False
        self.until_ns = 0
        self.invoker = invoker(self.ended)

    def start(self, index: int, intended_ns: int, started_ns: int, late_ns: int, request: bytes) -> None:
        """Start an invocation now."""
        self.busy = True
        self._index, self._intended_ns, self._started_ns, self._late_ns = index, intended_ns, started_ns, late_ns
        self.invoker.invoke(request, started_ns)

    def ended(self, ended_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        """Record the invocation and be free again."""
        self.busy = False
        run = self._pool.run
        assert run is not None
        run.recorder.record(
            facts, self._index, self._intended_ns, self._started_ns, ended_ns, self._late_ns, connect_ns, body
        )
        run.freed(self, ended_ns)

    def give_up(self, now_ns: int, recorder: Recorder) -> None:
        """Record the invocation as unfinished."""
        self.busy = False
        self.invoker.abandon()
        recorder.unfinished(self._index, self._intended_ns, self._started_ns, now_ns, self._late_ns)


class WorkerPool:
    """The workers of an agent. They outlive phases, so that a warm-up phase leaves warm connections behind."""

    def __init__(self, invoker: InvokerFactory) -> None:
        self._invoker = invoker
        self.workers: list[Worker] = []
        self.free: list[Worker] = []
        self.run: Run | None = None

    def grow(self, size: int) -> None:
        """Have at least ``size`` workers."""
        while len(self.workers) < size:
            self.add()

    def add(self) -> Worker:
        """One more worker, free."""
        worker = Worker(self, self._invoker)
        self.workers.append(worker)
        self.free.append(worker)
        return worker


@dataclass(frozen=True, slots=True)
class Terms:
    """What a phase is run under, open or closed.

    It begins at ``begin_ns`` of the clock and lasts ``duration_ns``; then what is in flight gets ``grace_ns``.
    ``allowance`` is how many invocations may be started in all, None for any number. ``done`` is called once, when
    nothing is in flight any more.
    """

    clock: Clock
    alarm: AlarmFactory
    begin_ns: int
    duration_ns: int
    grace_ns: int
    allowance: int | None
    done: Callable[[], None]


class Run:
    """What a phase is in either model; ``recorder`` gets what happened."""

    def __init__(self, pool: WorkerPool, requests: Requests, recorder: Recorder, terms: Terms) -> None:
        self.recorder = recorder
        self.feeder_exhausted = False
        self.budget_reached = False
        self._pool = pool
        self._requests = requests
        self._clock = terms.clock
        self._begin_ns = terms.begin_ns
        self._end_ns = terms.begin_ns + terms.duration_ns
        self._grace_ns = terms.grace_ns
        self._left = terms.allowance
        self._done = terms.done
        self._in_flight = 0
        pool.run = self

    @property
    def allowance_left(self) -> int | None:
        """How many more may be started in all."""
        return self._left

    @property
    def load_ns(self) -> int:
        """How long the phase sent load: its duration, or less when it was ended early."""
        return max(0, self._end_ns - self._begin_ns)

    def stop(self) -> None:
        """End the phase now; what is in flight gets its grace."""
        raise NotImplementedError

    def cut(self) -> None:
        """End the phase now and give up whatever is in flight."""
        raise NotImplementedError

    def freed(self, worker: Worker, at_ns: int) -> None:
        """A worker's invocation ended at this instant."""
        raise NotImplementedError

    def _request(self, index: int) -> bytes | None:
        """The request of an arrival that is to be started now; None when it may not be started."""
        if self._left == 0:
            self.budget_reached = True
            return None
        request = self._requests(index)
        if request is None:
            self.feeder_exhausted = True
            return None
        if self._left is not None:
            self._left -= 1
        self._in_flight += 1
        self.recorder.now.starts += 1
        return request


class OpenRun(Run):
    """A phase whose schedule decides when to start.

    ``schedule`` gives (index, offset in ns) in order; ``limit`` is the number of workers. A start that waits longer
    than ``max_lag_ns`` is dropped. ``until_idle`` ends the phase as soon as its whole schedule has been answered.
    """

    def __init__(
        self,
        pool: WorkerPool,
        schedule: Iterator[tuple[int, int]],
        requests: Requests,
        recorder: Recorder,
        terms: Terms,
        *,
        limit: int,
        max_lag_ns: int | None,
        until_idle: bool,
    ) -> None:
        super().__init__(pool, requests, recorder, terms)
        self._schedule = schedule
        self._limit = limit
        self._max_lag_ns = max_lag_ns
        self._until_idle = until_idle
        self._stage = self._dispatch
        self._available = True
        self._available_since_ns = terms.begin_ns
        self._owed_ns = 0
        self._short_of_workers = False
        self._grace_from_ns = self._load_end_ns = self._end_ns
        self._index = 0
        self._due_ns = self._end_ns
        self._exhausted = False
        # a smaller phase uses the most recently freed workers of a larger one
        self._spare = pool.free[: max(0, len(pool.free) - limit)]
        del pool.free[: len(self._spare)]
        self._size = len(pool.workers) - len(self._spare)
        self._alarm = terms.alarm(self._ring)
        self._next()
        self._alarm.set(min(self._due_ns, self._end_ns))

    @property
    def load_ns(self) -> int:
        """How long the phase sent load: its duration, or less when it was ended early."""
        return max(0, self._load_end_ns - self._begin_ns)

    def take_short_of_workers(self) -> bool:
        """Whether a start that was due found all workers busy since the last call, or does now."""
        waits = self._stage == self._dispatch and not self._available and self._due_ns <= self._clock()
        short, self._short_of_workers = self._short_of_workers or waits, False
        return short

    def stop(self) -> None:
        """End the phase now."""
        if self._stage == self._dispatch:
            self._end(min(self._end_ns, self._clock()))
            self._alarm.set(0)

    def _end(self, now_ns: int) -> None:
        """Plan no start from this instant on."""
        self._end_ns = self._grace_from_ns = self._load_end_ns = now_ns

    def freed(self, worker: Worker, at_ns: int) -> None:
        """A worker's invocation ended: give it the next start if one waits."""
        self._in_flight -= 1
        self._pool.free.append(worker)
        if not self._available:
            self._available, self._available_since_ns = True, at_ns
            if self._stage == self._dispatch:
                self._dispatch()
        if not self._in_flight and (
            self._stage == self._drain or (self._until_idle and self._exhausted and self._stage == self._dispatch)
        ):
            self._finish()

    def _ring(self) -> None:
        self._stage()

    def _dispatch(self) -> None:
        """Start everything that is due and finds a worker, then sleep until the next start or the end."""
        now = self._clock()
        drops = 0
        while self._due_ns <= now and self._due_ns < self._end_ns:
            if not self._available or now >= self._end_ns + _LAST_STARTS_NS:
                break
            if self._max_lag_ns is not None and now - self._due_ns > self._max_lag_ns:
                if drops == _DROPS_AT_ONCE:
                    self._alarm.set(now)
                    return
                drops += 1
                waited = max(0, self._available_since_ns - self._due_ns - self._owed_ns)
                self._dropped("max_lag", now, ours=2 * waited < now - self._due_ns)
            elif not self._start():
                # nothing more is planned once a start cannot be made, but the load went on until now
                self._end(min(self._end_ns, now))
                self._end_ns = self._due_ns
                break
            self._next()
            now = self._clock()
        if now >= self._end_ns:
            self._stage = self._drop
            self._drop()
        else:
            self._alarm.set(min(self._due_ns, self._end_ns) if self._available else self._end_ns)

    def _start(self) -> bool:
        """Start what is due; whether the phase may go on."""
        request = self._request(self._index)
        if request is None:
            return False
        free = self._pool.free
        if free:
            worker = free.pop()
        else:
            worker = self._pool.add()
            free.pop()
            self._size += 1
        if not free and self._size >= self._limit:
            self._available = False
        due = self._due_ns
        since = self._available_since_ns
        now = self._clock()
        if due >= since:
            late = self._owed_ns = now - due
        else:
            self._short_of_workers = True
            if self._owed_ns > since - due:
                self._owed_ns = since - due
            late = now - since + self._owed_ns
        worker.start(self._index, due, now, late, request)
        return True

    def _next(self) -> None:
        step = next(self._schedule, None)
        if step is None:
            self._exhausted, self._due_ns = True, self._end_ns
        else:
            self._index, offset = step
            self._due_ns = self._begin_ns + offset

    def _drop(self) -> None:
        """Count some of the starts that were due and found no worker."""
        for _ in range(_DROPS_AT_ONCE):
            if self._due_ns >= self._end_ns:
                self._stage = self._drain
                if self._in_flight:
                    self._alarm.set(self._grace_from_ns + self._grace_ns)
                else:
                    self._finish()
                return
            self._drop_one()
        self._alarm.set(self._clock())

    def _drop_one(self) -> None:
        # a worker that became free after the end could not have been given this start
        ours = self._available and self._available_since_ns < self._end_ns
        if self._owed_ns > _PUNCTUAL_NS and self._end_ns - self._due_ns <= self._owed_ns:
            ours = True
        self._dropped("phase_end", self._end_ns, ours=ours)
        self._next()

    def _dropped(self, reason: str, at_ns: int, *, ours: bool) -> None:
        self.recorder.dropped(self._index, self._due_ns, at_ns, f"{reason}_late" if ours else reason, ours=ours)

    def _drain(self) -> None:
        """The grace is over."""
        if self._clock() < self._grace_from_ns + self._grace_ns:
            self._alarm.set(self._grace_from_ns + self._grace_ns)
        else:
            self.cut()

    def cut(self) -> None:
        """End the phase now and give up whatever is in flight."""
        self.stop()
        while self._due_ns < self._end_ns:
            self._drop_one()
        self._pool.free += _give_up(self._pool, self._clock(), self.recorder)
        self._in_flight = 0
        self._finish()

    def _finish(self) -> None:
        if self._stage == self._dispatch:  # the whole schedule was answered before its time was over
            self._load_end_ns = self._clock()
        self._stage = self._finish
        self._alarm.close()
        self._pool.free[:0] = self._spare
        self._pool.run = None
        self._done()


class ClosedRun(Run):
    """A phase in which each worker starts again as soon as it is done; intended is started.

    ``spans`` are the workers' active times, (from, to) in ns since the beginning; ``indices`` numbers the invocations.
    """

    def __init__(
        self,
        pool: WorkerPool,
        spans: list[tuple[int, int]],
        indices: Iterator[int],
        requests: Requests,
        recorder: Recorder,
        terms: Terms,
    ) -> None:
        super().__init__(pool, requests, recorder, terms)
        self._indices = indices
        self._ended = False
        self._finished = False
        pool.grow(len(spans))
        # the last to be freed have the warmest connections, so they start first; a stack of (from, worker)
        self._to_start: list[tuple[int, Worker]] = []
        for worker, (start, end) in zip(reversed(pool.free), spans, strict=False):
            worker.until_ns = terms.begin_ns + end
            self._to_start.append((terms.begin_ns + start, worker))
        self._to_start.sort(key=lambda entry: entry[0], reverse=True)
        self._alarm = terms.alarm(self._ring)
        self._alarm.set(terms.begin_ns)

    def stop(self) -> None:
        """End the phase now."""
        if not self._ended:
            self._end_ns = min(self._end_ns, self._clock())
            self._alarm.set(0)

    def freed(self, worker: Worker, at_ns: int) -> None:
        """A worker's invocation ended: start the next one unless its time is over."""
        self._in_flight -= 1
        if at_ns < worker.until_ns and at_ns < self._end_ns:
            self._start(worker)
        if self._ended and not self._in_flight:
            self._finish()

    def _ring(self) -> None:
        now = self._clock()
        if self._ended:
            if now < self._end_ns + self._grace_ns:
                self._alarm.set(self._end_ns + self._grace_ns)
            else:
                self.cut()
            return
        while self._to_start and self._to_start[-1][0] <= now < self._end_ns:
            self._start(self._to_start.pop()[1])
            now = self._clock()
        if now < self._end_ns:
            self._alarm.set(min(self._to_start[-1][0], self._end_ns) if self._to_start else self._end_ns)
            return
        self._ended = True
        if self._in_flight:
            self._alarm.set(self._end_ns + self._grace_ns)
        else:
            self._finish()

    def _start(self, worker: Worker) -> None:
        index = next(self._indices)
        request = self._request(index)
        if request is None:
            self.stop()
            return
        now = self._clock()
        worker.start(index, now, now, 0, request)

    def cut(self) -> None:
        """End the phase now and give up whatever is in flight."""
        self.stop()
        _give_up(self._pool, self._clock(), self.recorder)
        self._in_flight = 0
        self._finish()

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._alarm.close()
            self._pool.run = None
            self._done()


def _give_up(pool: WorkerPool, now_ns: int, recorder: Recorder) -> list[Worker]:
    busy = [worker for worker in pool.workers if worker.busy]
    for worker in busy:
        worker.give_up(now_ns, recorder)
    return busy
