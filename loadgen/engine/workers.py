"""The worker pool: who starts what, when. No network, no loop, no clock of its own.

A worker makes one invocation at a time through its Invoker. In an **open** phase (``OpenRun``) the schedule decides:
a start that falls due goes to the most recently freed worker, so that few connections stay busy. When every worker is
busy the next start waits; there is no queue but the schedule itself. In a **closed** phase (``ClosedRun``) a worker
starts again as soon as it is done.

Four clocks. ``intended`` is when the schedule says a start is due, ``started`` when the request is sent, ``arrived``
when the last of its answer came in or it was given up, ``read`` when that was noticed. ``lag = started − intended`` has
two parts: ``waited``, while no worker was free, which is the target's doing (or that of max_in_flight), and ``late``,
the rest, which is ours. A worker is free from when its answer arrived, however late that is read. It counts as free
from the instant the pool could have used one, not from when *this* worker was freed: otherwise a stall of our own would
be blamed on the target by the last worker to end in it. A stall also leaves a backlog that keeps every worker busy for
a while. Had we been on time, a worker would have been free by as much earlier as the start was late that took the last
one, or the one that it was freed from, so up to that much of the wait behind them is ``late`` too. In a closed phase a
start is late by what has passed since its worker was free; there that is no part of any lag, as nothing was due.

A stop of ours is followed by a heap of starts that no schedule has asked for, and the target has more to do than was
planned. Calls of a heap are **disturbed**: it begins with a start that is late by more than 50 µs and a twentieth of
what a call takes, and is over with one on time that finds at most half as many in flight as there were before the stop:
with as many, what is left of it still delays some (docs/decisions/020). Where more is planned by then than before, that
is never so; it is over as well when twenty times as long has passed as the start was late by, in which a target that is
95 % busy has caught up: arrears of d take it d · 0.95 / (1 − 0.95).

Several agents may share a phase. Each has a part of the workers, and of what may be started where that is limited, and
one that is short gets from the others what they have left (``Others``; ``loadgen.fleet.dealing`` passes it on). So that
no figure depends on how many agents there were, a start that waits for its own agent's worker while another agent has
room, or may have, is ``late``; it is ``waited`` from when all the others are known to have none.

Nothing is started without a lease (``loadgen.engine.messages``): until it is renewed, starts that fall due are held
back. They are held back as well while the process is suspended, which shows as a gap between two looks at the clock. Of
what fell due while nothing could be started the last ``catch_up_ns`` are made up for; what is older is dropped (reason
``paused``), never fired in a heap that no schedule has asked for.

At the end of a phase nothing more is started. What was due and found no worker is dropped (reason ``phase_end``, or
``max_lag`` once it waited longer than that; ``phase_end_late`` and ``max_lag_late`` where the fault is ours). What is
in flight gets the phase's grace, and whatever is left is unfinished. Nothing is ever retried.

Everything happens in two callbacks, an alarm that rings and an invocation that ends, so that the same code runs against
sockets and in virtual time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain, count
from typing import Protocol

from loadgen.engine.invoker import Caller, Invoker, Requests
from loadgen.engine.monotonic import Monotonic
from loadgen.engine.numbers import Ranges, each, parted, size
from loadgen.engine.timer import AlarmFactory
from loadgen.invocation.facts import Facts
from loadgen.measure.purse import Purse
from loadgen.measure.recorder import LATE_NS, LATE_PART, UNBOUNDED, Recorder

INVOCATIONS = "invocations"
COST = "cost"
"""The budgets that may keep a start from being made."""
PAUSED = "paused"
"""Why a start is dropped that fell due while nothing could be started."""
_LAST_STARTS_NS = 100_000_000  # a wake-up is never punctual to the µs; starts due before the end may be this late
_PUNCTUAL_NS = 1_000_000  # a start less late than this has cost no other start its turn
_DROPS_AT_ONCE = 500  # some 200 µs: starts never reached are counted in slices, so that answers are still read on time
_FAIR_NS = 5_000_000  # a start that has waited longer by this and a quarter at another agent gets the next worker
_GAP_NS = 100_000_000  # longer than any beat is late that was only late
_NEVER_NS = 1 << 61
_UNLIMITED = -1
_TYPICAL_SHIFT = 4  # the mean is of the last 16 or so
_LATE_NS, _LATE_PART, _UNBOUNDED = LATE_NS, LATE_PART, UNBOUNDED  # in C in the compiled build
_CAUGHT_UP = 20


InvokerFactory = Callable[[Caller], Invoker]


class Worker(Caller):
    """One invocation at a time, from start to record."""

    __slots__ = (
        "_call",
        "_intended_ns",
        "_late_ns",
        "_moved_ns",
        "_pool",
        "_started_ns",
        "busy",
        "index",
        "invoker",
        "until_ns",
    )

    def __init__(self, pool: WorkerPool, invoker: InvokerFactory) -> None:
        self._pool = pool
        self.index = self._intended_ns = self._late_ns = self._started_ns = 0
        self._moved_ns = 0
        self.busy = False
        self._call = 0
        self.until_ns = 0
        self.invoker = invoker(self)

    def start(
        self, index: int, intended_ns: int, started_ns: int, late_ns: int, request: bytes, moved_ns: int, call: int
    ) -> None:
        """Start an invocation of a call now, whose end a stop of ours may put off by ``moved_ns``; 0 for none."""
        self.busy = True
        self._moved_ns = moved_ns
        self.invoker.call = self._call = call
        self.index, self._intended_ns = index, intended_ns
        self._started_ns = self.invoker.invoke(request, started_ns)
        self._late_ns = late_ns + self._started_ns - started_ns

    def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        """See Caller: record the invocation and be free again."""
        self.busy = False
        run = self._pool.run
        assert run is not None
        service_ns = arrived_ns - self._started_ns
        if run.typical_ns:
            run.typical_ns += (service_ns - run.typical_ns) >> _TYPICAL_SHIFT
        else:
            run.typical_ns = service_ns
        self._pool.typical_ns = run.typical_ns
        recorder = run.recorders[self._call]
        recorder.record(
            facts,
            self.index,
            self._intended_ns,
            self._started_ns,
            arrived_ns,
            read_ns,
            self._late_ns,
            connect_ns,
            body,
            _UNBOUNDED if self._started_ns < run.unsure_until_ns else self._moved_ns,
        )
        if run.purse is not None:
            run.purse.settle(facts)
        run.freed(self, arrived_ns, read_ns)

    def give_up(self, now_ns: int, recorders: Sequence[Recorder]) -> None:
        """Record the invocation as unfinished, with the recorder of its call."""
        self.busy = False
        self.invoker.abandon()
        run = self._pool.run
        disturbed = self._moved_ns > 0 or (run is not None and self._started_ns < run.unsure_until_ns)
        recorders[self._call].unfinished(
            self.index, self._intended_ns, self._started_ns, now_ns, self._late_ns, disturbed=disturbed
        )


class WorkerPool:
    """The workers of an agent. They outlive phases, so that a warm-up phase leaves warm connections behind."""

    def __init__(self, invoker: InvokerFactory) -> None:
        self._invoker = invoker
        self.workers: list[Worker] = []
        self.free: list[Worker] = []
        self.run: Run | None = None
        self.typical_ns = 0

    def grow(self, size: int) -> None:
        """Have at least ``size`` workers."""
        while len(self.workers) < size:
            self.free.append(self.grown())

    def grown(self) -> Worker:
        """One more worker, which is not among the free ones."""
        worker = Worker(self, self._invoker)
        self.workers.append(worker)
        return worker


class Others(Protocol):
    """The other agents of a phase, as far as a run deals with them. Answers come later, never from within a call."""

    def lack_starts(self) -> None:
        """Ask for more to start; the answer is ``grant_starts``."""

    def lack_money(self, each: int, rest: int) -> None:
        """Ask for money for another start, which takes ``each``, and give away the ``rest``: see ``grant_money``."""

    def lack_worker(self, due_ns: int) -> None:
        """Ask for a worker for the start that was due then; the answers are ``grant_workers``."""

    def offer(self, workers: int, since_ns: int) -> None:
        """Give workers away that have been free since then."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a phase is run under, open or closed.

    It begins at ``begin_ns`` of the clock and lasts ``duration_ns``; then what is in flight gets ``grace_ns``.
    ``allowance`` are the numbers of what may be started here, None for any number; a closed phase takes them for its
    arrivals, an open one only counts them. ``rows`` says that they are those of a feeder's last rows, rather than of a
    budget. ``others`` is None where no other agent has any. ``done`` is called once, when nothing is in flight any
    more. ``purse`` is what may be spent, None for any amount. Nothing is started from ``until_ns`` on, when the lease
    ends, and no more than the last ``catch_up_ns`` is made up for after a pause. ``further`` are the recorders of a
    mix's calls, from the second one on.
    """

    clock: Monotonic
    alarm: AlarmFactory
    begin_ns: int
    duration_ns: int
    grace_ns: int
    allowance: Ranges | None
    done: Callable[[], None]
    rows: bool = False
    others: Others | None = None
    purse: Purse | None = None
    until_ns: int = _NEVER_NS
    catch_up_ns: int = _NEVER_NS
    further: Sequence[Recorder] = ()


class Run:
    """What a phase is in either model; ``recorder`` gets what happened, of a mix each call's own of the ``recorders``.

    ``budget_reached`` is the budget that ended it, empty for none; ``paused_ns`` for how long what was to be started
    was held back, for want of a lease; ``began_late_ns`` how late it began. ``typical_ns`` is a running mean of the
    service time. Calls that were started before ``unsure_until_ns`` are disturbed.
    """

    def __init__(self, pool: WorkerPool, requests: Requests, recorder: Recorder, terms: Terms) -> None:
        self.recorder = recorder
        self.recorders = [recorder, *terms.further]
        self.feeder_exhausted = False
        self.budget_reached = ""
        self.paused_ns = 0
        self.purse = terms.purse
        self._pool = pool
        self._requests = requests
        self._clock = terms.clock
        self._begin_ns = terms.begin_ns
        self._end_ns = terms.begin_ns + terms.duration_ns
        self._grace_ns = terms.grace_ns
        self._rows = terms.rows
        self._others = terms.others
        self._lacking: set[str] = set()
        self._denied: set[str] = set()
        self._until_ns = terms.until_ns
        self._catch_up_ns = terms.catch_up_ns
        self._alive_ns = terms.begin_ns
        self._done = terms.done
        self._in_flight = 0
        self.typical_ns = pool.typical_ns
        self.unsure_until_ns = 0
        self.began_late_ns = 0
        self._began = False
        pool.run = self

    @property
    def left(self) -> Ranges:
        """What of the allowance was not used."""
        raise NotImplementedError

    @property
    def room(self) -> int:
        """How many workers could be given away."""
        return 0

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

    def freed(self, worker: Worker, at_ns: int, now_ns: int) -> None:
        """A worker's invocation ended at this instant, as is known now."""
        raise NotImplementedError

    def beat(self, now_ns: int) -> None:
        """Show that the process is alive; it was suspended where that is longer ago than can be made up for."""
        since_ns = self._alive_ns
        self._alive_ns = now_ns
        if now_ns - since_ns > _GAP_NS:  # a short one counts together with a lapse that follows
            self._missed(since_ns, now_ns)

    def disturb(self, now_ns: int) -> None:
        """What is in flight now may have been kept from this machine, unseen by any clock of it."""
        self.unsure_until_ns = now_ns

    def _begin(self, now_ns: int, due_ns: int) -> None:
        """The first look at what is to be started, which was due then."""
        if not self._began and now_ns >= due_ns:
            self._began = True
            self.began_late_ns = now_ns - due_ns

    def extend(self, until_ns: int) -> None:
        """The lease lasts until then; what was held back goes on."""
        now, lapsed_ns = self._clock.now(), self._until_ns
        if until_ns <= max(lapsed_ns, now):
            return  # renewals of the past queue up while the process is suspended
        self._until_ns = until_ns
        if lapsed_ns <= now:
            self.paused_ns += self._held_ns(lapsed_ns, now)
            self._missed(lapsed_ns, now)
            self._go_on_all()

    def _missed(self, since_ns: int, until_ns: int) -> None:
        """Nothing could be started in that time; of what fell due in it only the end is made up for."""

    def _held_ns(self, lapsed_ns: int, now_ns: int) -> int:
        """For how long until now something has been held back by a lease that ended at ``lapsed_ns``."""
        raise NotImplementedError

    def _go_on_all(self) -> None:
        """Start whatever was held back."""
        raise NotImplementedError

    def cede_starts(self) -> Ranges:
        """Give away half of what is left to be started, all of it once nothing more is started here."""
        raise NotImplementedError

    def grant_starts(self, numbers: Ranges) -> None:
        """Take what others had left; nothing means that they have nothing, either."""
        raise NotImplementedError

    def cede_workers(self, due_ns: int) -> tuple[int, int]:
        """Give away workers for a start that was due then: how many, and since when they could have been used.

        Without any it is 0, and since when there are none.
        """
        return 0, self._begin_ns

    def grant_workers(self, workers: int, since_ns: int, waiting_ns: int | None) -> None:
        """Take workers that could have been used since then; 0 means that since then all others are known to have none.

        ``waiting_ns`` is when the oldest start fell due that waits at another agent, None where none does.
        """

    def grant_money(self, money: int) -> None:
        """Take money that others could do without; nothing means that they have nothing, either."""
        self._take_note(COST, denied=not money)
        self._go_on_all()

    def _take_note(self, what: str, *, denied: bool) -> None:
        """Others have answered what was asked of them."""
        self._lacking.discard(what)
        if denied:
            self._denied.add(what)
        else:
            self._denied.discard(what)

    def _may_wait(self, what: str) -> bool:
        """Whether others may have what is lacking for another start; asks for it."""
        if self._others is None or what in self._denied:
            return False
        if what not in self._lacking:
            self._lacking.add(what)
            if what == COST:
                assert self.purse is not None
                self._others.lack_money(self.purse.tariff.dearest, self.purse.cede(half=False))
            else:
                self._others.lack_starts()
        return True

    def _exhausted(self, what: str) -> None:
        """Note what ran out."""
        if what == INVOCATIONS and self._rows:
            self.feeder_exhausted = True
        else:
            self.budget_reached = what

    def _request(self, index: int) -> bytes | None:
        """The request of an arrival that is to be started now; None when the feeder has run out."""
        request = self._requests.fixed
        if request is None:
            request = self._requests.of(index)
        if request is None:
            self.feeder_exhausted = True
            return None
        self._in_flight += 1
        if self.purse is not None:
            self.purse.in_flight += 1
        recorder = self.recorders[self._requests.call]
        recorder.now.starts += 1
        return request

    def _dropped_at(self, index: int, due_ns: int, at_ns: int, reason: str, *, ours: bool) -> None:
        """Record that an arrival was dropped, with the recorder of its call."""
        self.recorders[self._requests.call_of(index)].dropped(index, due_ns, at_ns, reason, ours=ours)

    def _give_up(self) -> list[Worker]:
        """Give up whatever is in flight; the workers that are free now."""
        self._in_flight = 0
        busy = [worker for worker in self._pool.workers if worker.busy]
        for worker in busy:
            worker.give_up(self._clock.now(), self.recorders)
            if self.purse is not None:
                self.purse.give_up()
        return busy


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
        self._left = _UNLIMITED if terms.allowance is None else size(terms.allowance)
        self._limit = limit
        self._max_lag_ns = max_lag_ns
        self._until_idle = until_idle
        self._stage = self._dispatch
        self._available = limit > 0
        self._available_since_ns = self._full_since_ns = terms.begin_ns
        # when no agent had a worker, as far as that is known and the next start has to do with it
        self._scarce = deque([(terms.begin_ns, _NEVER_NS)] if terms.others is None else [])
        self._short = self._on_notice = False
        self._elsewhere_ns = 0  # how long the oldest start at another agent had waited, when that was last heard
        self._owed_ns = 0
        self._heap = False
        self._heap_until_ns = self._heap_due_ns = self._heap_late_ns = 0
        self._sent_ns = terms.begin_ns
        self._calm = 0  # how many were in flight at the last start on time
        self._pauses: deque[tuple[int, int]] = deque()
        self._pause_from_ns = _NEVER_NS
        self._short_of_workers = False
        self._grace_from_ns = self._load_end_ns = self._end_ns
        self._index = 0
        self._due_ns = self._end_ns
        self._exhausted_schedule = False
        self._alarm = terms.alarm(self._ring)
        self._next()
        self._alarm.set(min(self._due_ns, self._end_ns))

    @property
    def left(self) -> Ranges:
        """What of the allowance was not used; only its size means anything."""
        return ((0, self._left),) if self._left > 0 else ()

    @property
    def room(self) -> int:
        """How many workers could be given away: those that no start waits for."""
        if self._stage != self._dispatch:
            return max(0, self._limit - self._in_flight)
        # a start that waits for what others may have keeps its worker, or whoever has money would never have one
        return max(0, self._limit - self._in_flight - bool(self._lacking)) if self._available else 0

    @property
    def load_ns(self) -> int:
        """How long the phase sent load: its duration, or less when it was ended early."""
        return max(0, self._load_end_ns - self._begin_ns)

    def take_short_of_workers(self) -> bool:
        """Whether a start that was due found all workers busy, of all agents, since the last call, or does now."""
        waits = self._waits() and self._is_scarce()
        short, self._short_of_workers = self._short_of_workers or waits, False
        return short

    def _is_scarce(self) -> bool:
        """Whether all other agents are known to have no worker left."""
        return bool(self._scarce) and self._scarce[-1][1] == _NEVER_NS

    def _waits(self) -> bool:
        return self._stage == self._dispatch and not self._available and self._due_ns <= self._clock.now()

    def stop(self) -> None:
        """End the phase now."""
        if self._stage == self._dispatch:
            self._end(min(self._end_ns, self._clock.now()))
            if self._lacking:  # nor is the start planned that waits for what other agents may have
                self._end_ns = min(self._end_ns, self._due_ns)
            self._alarm.set(0)

    def _end(self, now_ns: int) -> None:
        """Plan no start from this instant on."""
        self._end_ns = self._grace_from_ns = self._load_end_ns = now_ns

    def freed(self, worker: Worker, at_ns: int, now_ns: int) -> None:
        """A worker's invocation ended: give it the next start if one waits."""
        self._in_flight -= 1
        self._pool.free.append(worker)
        if not self._available and self._in_flight < self._limit:
            if self._elsewhere_ns > _FAIR_NS and self._waits_longer_elsewhere(at_ns):
                self._give_way(at_ns)
            else:
                self._available, self._available_since_ns = True, at_ns
                if self._others is None:  # else it may have been late for want of another agent's worker alone
                    self._owed_ns = max(self._owed_ns, worker._late_ns)
                if self._stage == self._dispatch:
                    self._dispatch()
        if self._on_notice:
            self._offer(at_ns)
        if not self._in_flight and (
            self._stage == self._drain
            or (self._until_idle and self._exhausted_schedule and self._stage == self._dispatch)
        ):
            self._finish()

    def _ring(self) -> None:
        self._stage()

    def _dispatch(self) -> None:
        """Start everything that is due and finds a worker, then sleep until the next start or the end."""
        now = self._clock.now()
        self._begin(now, self._due_ns)
        self.beat(now)
        drops = 0
        asks = False
        while self._due_ns <= now and self._due_ns < self._end_ns and now < self._until_ns:
            if drops == _DROPS_AT_ONCE:
                self._alarm.set(now)
                return
            if self._due_ns >= self._pause_from_ns and self._fell_due_in_a_pause():
                drops += 1
                self._dropped_at(self._index, self._due_ns, now, PAUSED, ours=True)
                self._next()
                continue
            if not self._available or now >= self._end_ns + _LAST_STARTS_NS:
                break
            if self._lacks_what_others_may_have():
                asks = True
                break
            if self._max_lag_ns is not None and now - self._due_ns > self._max_lag_ns:
                drops += 1
                self._dropped(
                    "max_lag", now, ours=2 * self._waited_until(self._available_since_ns) < now - self._due_ns
                )
            elif not self._start():
                # nothing more is planned once a start cannot be made, but the load went on until now
                self._end(min(self._end_ns, now))
                self._end_ns = self._due_ns
                break
            self._next()
            now = self._clock.now()
        if now >= self._end_ns:
            self._lapse_ends_with_the_phase()
            self._stage = self._drop
            self._drop()
        elif asks or now >= self._until_ns:
            self._alarm.set(self._end_ns)
        elif self._available or self._awaits_short():
            self._alarm.set(min(self._due_ns, self._end_ns))
        else:
            self._alarm.set(self._end_ns)

    def _missed(self, since_ns: int, until_ns: int) -> None:
        """Nothing could be started in that time; of what fell due in it only the end is made up for."""
        pauses = self._pauses
        while pauses and since_ns <= pauses[-1][1]:  # a suspension is noted before the lapse that it came into
            since, until = pauses.pop()
            since_ns, until_ns = min(since_ns, since), max(until_ns, until)
        if since_ns < until_ns:
            pauses.append((since_ns, until_ns))
            self._pause_from_ns = pauses[0][0]

    def _fell_due_in_a_pause(self) -> bool:
        """Whether the next start did."""
        pauses = self._pauses
        while pauses and pauses[0][1] - self._catch_up_ns <= self._due_ns:
            pauses.popleft()
        self._pause_from_ns = pauses[0][0] if pauses else _NEVER_NS
        return self._due_ns >= self._pause_from_ns

    def _held_ns(self, lapsed_ns: int, now_ns: int) -> int:
        return max(0, now_ns - max(lapsed_ns, self._due_ns)) if self._stage == self._dispatch else 0

    def _lapse_ends_with_the_phase(self) -> None:
        if self._until_ns < self._end_ns:
            self.paused_ns += self._held_ns(self._until_ns, self._end_ns)
            self._missed(self._until_ns, self._end_ns + self._catch_up_ns)

    def _go_on_all(self) -> None:
        if self._stage == self._dispatch:
            self._dispatch()

    def _lacks_what_others_may_have(self) -> bool:
        """Whether the next start has to wait for what other agents may have; asks for it."""
        if self._left == 0:
            return self._may_wait(INVOCATIONS)
        return self.purse is not None and not self.purse.covers and self._may_wait(COST)

    def _awaits_short(self) -> bool:
        """Whether the next start, which finds no worker here, still has to ask others for one; if it is due, ask."""
        if self._others is None or self._short:
            return False
        if self._due_ns > self._clock.now():
            return True
        self._short = True
        self._others.lack_worker(self._due_ns)
        return False

    def _without_until(self, at_ns: int) -> int:
        """For how long until then the next start has been due and no agent had a worker, as far as is known."""
        scarce = self._scarce
        while scarce and scarce[0][1] <= self._due_ns:
            scarce.popleft()
        without = 0
        for since, until in scarce:
            without += max(0, min(until, at_ns) - max(since, self._due_ns))
        return without

    def _waited_until(self, at_ns: int) -> int:
        """For how long until then the next start has waited for a worker that no agent had, for no fault of ours.

        What is owed and time in which another agent may have had one are the same time as far as is known: the longer
        of them is ours, and not their sum.
        """
        return max(0, min(self._without_until(at_ns), at_ns - self._due_ns - self._owed_ns))

    def _start(self) -> bool:
        """Start what is due; whether the phase may go on."""
        if self._left == 0:
            self._exhausted(INVOCATIONS)
            return False
        if self.purse is not None and not self.purse.covers:
            self._exhausted(COST)
            return False
        request = self._request(self._index)
        if request is None:
            return False
        if self._left > 0:
            self._left -= 1
        free = self._pool.free
        worker = free.pop() if free else self._pool.grown()
        due = self._due_ns
        since = self._available_since_ns
        now = self._clock.now()
        if self._in_flight >= self._limit:
            self._available, self._full_since_ns = False, now
        if due >= since:
            late = self._owed_ns = now - due
        else:
            waited = self._waited_until(since)
            self._short_of_workers = self._short_of_workers or self._without_until(since) > 0
            late = now - due - waited
            # passed on to whoever waits behind this start: the worker may have been free for long when that was read
            self._owed_ns = late if self._others is None else since - due - waited
        moved = self._moves(now - max(due, since), late, now)
        worker.start(self._index, due, now, late, request, moved, self._requests.call)
        self._sent_ns = self._clock.now()
        return True

    def _moves(self, late_ns: int, all_ns: int, now_ns: int) -> int:
        """By how much the end of the call that is started may be put off by a heap that a stop of ours made.

        That is as much as any start was late by, ``all_ns`` what it inherits included, since the last one on time
        outside of a heap: where calls are served as they come, none ends later by more than some before it began.
        """
        disturbed = self._disturbs(late_ns, now_ns)
        moved = max(1, self._heap_late_ns, all_ns)
        self._heap_late_ns = moved if self._heap or all_ns > _LATE_NS else 0
        return moved if disturbed else 0

    def _disturbs(self, late_ns: int, now_ns: int) -> bool:
        """Whether the start that is being made is one of a heap, by a stop of ours, that no schedule has asked for.

        ``late_ns`` is its own lateness, without what it inherits of others that it waited for.

        A heap begins with the first late start behind a stop. Those due at the same instant, as in a burst, would have
        met each other without it, and are judged by their own lateness alone. It is over with one on time that finds at
        most half as many in flight as before the stop, or by when the heap would have been worked off.
        """
        # what starts in a row take to be sent is no stop: a burst is what the schedule has asked for
        stop_ns = min(late_ns, now_ns - self._sent_ns)
        if stop_ns > (_LATE_NS if self.typical_ns else _PUNCTUAL_NS) and stop_ns * _LATE_PART > self.typical_ns:
            if not self._heap:
                self._heap, self._heap_due_ns = True, self._due_ns
            self._heap_until_ns = max(self._heap_until_ns, now_ns + _CAUGHT_UP * late_ns)
        elif not self._heap:
            self._calm = self._in_flight
        elif self._due_ns == self._heap_due_ns:
            return False
        elif late_ns > _LATE_NS and late_ns * _LATE_PART > self.typical_ns:
            return True
        elif now_ns > self._heap_until_ns or 2 * (self._in_flight - 1) <= max(2, self._calm - 1):
            # the start that is being made is in flight as well, as was the last one on time
            self._heap = False
            return True
        return self._heap and self._due_ns != self._heap_due_ns

    def _next(self) -> None:
        step = next(self._schedule, None)
        if step is None:
            self._exhausted_schedule, self._due_ns = True, self._end_ns
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
        self._alarm.set(self._clock.now())

    def _drop_one(self) -> None:
        if self._due_ns >= self._pause_from_ns and self._fell_due_in_a_pause():
            self._dropped_at(self._index, self._due_ns, self._end_ns, PAUSED, ours=True)
            self._next()
            return
        # a worker that became free after the end could not have been given this start
        ours = self._available and self._available_since_ns < self._end_ns
        if self._owed_ns > _PUNCTUAL_NS and self._end_ns - self._due_ns <= self._owed_ns:
            ours = True
        if 2 * self._without_until(self._end_ns) < self._end_ns - self._due_ns:
            ours = True  # for most of the time another agent had room, or may have had
        self._dropped("phase_end", self._end_ns, ours=ours)
        self._next()

    def _dropped(self, reason: str, at_ns: int, *, ours: bool) -> None:
        self._dropped_at(self._index, self._due_ns, at_ns, f"{reason}_late" if ours else reason, ours=ours)

    def _drain(self) -> None:
        """The grace is over."""
        if self._clock.now() < self._grace_from_ns + self._grace_ns:
            self._alarm.set(self._grace_from_ns + self._grace_ns)
        else:
            self.cut()

    def cut(self) -> None:
        """End the phase now and give up whatever is in flight."""
        self.stop()
        if self._stage == self._dispatch:
            self._lapse_ends_with_the_phase()
        while self._due_ns < self._end_ns:
            self._drop_one()
        self._pool.free += self._give_up()
        self._finish()

    def _finish(self) -> None:
        if self._stage == self._dispatch:  # the whole schedule was answered before its time was over
            self._load_end_ns = self._clock.now()
        self._stage = self._finish
        self._alarm.close()
        self._pool.run = None
        self._done()

    def take_over(self, arrivals: Sequence[tuple[int, int]], workers: int) -> None:
        """Have so many workers more, for what the schedule will give more; these ``arrivals`` come before the next."""
        if self._stage != self._dispatch:
            return
        pending = [] if self._exhausted_schedule else [(self._index, self._due_ns - self._begin_ns)]
        self._schedule = chain(arrivals, pending, self._schedule)
        self._exhausted_schedule = False
        self._next()
        self._limit += workers
        if not self._available and self._in_flight < self._limit:
            self._available, self._available_since_ns = True, self._clock.now()
        self._dispatch()

    def cede_starts(self) -> Ranges:
        """Give away half of what is left, all of it once nothing more is started here."""
        if self._left <= 0:
            return ()
        given = self._left - self._left // 2 if self._stage == self._dispatch else self._left
        self._left -= given
        return ((0, given),)

    def grant_starts(self, numbers: Ranges) -> None:
        """Take what others had left; nothing means that they have nothing, either."""
        self._take_note(INVOCATIONS, denied=not numbers)
        self._left += size(numbers)
        if self._stage == self._dispatch and (numbers or self._clock.now() < self._end_ns):
            self._dispatch()

    def cede_workers(self, due_ns: int) -> tuple[int, int]:
        """Give away half of the workers that no start waits for; with none of them, the next ones are offered."""
        room = self.room
        if not room:
            self._on_notice, self._elsewhere_ns = True, self._clock.now() - due_ns
            return 0, self._full_since_ns
        return self._give(room - room // 2 if self._stage == self._dispatch else room), self._available_since_ns

    def grant_workers(self, workers: int, since_ns: int, waiting_ns: int | None) -> None:
        """Take workers that could have been used since then; 0 means that since then all others are known to have none.

        ``waiting_ns`` is when the oldest start fell due that waits at another agent, None where none does.
        """
        scarce = self._scarce
        if not workers:
            if not self._is_scarce():
                scarce.append((max(since_ns, scarce[-1][1]) if scarce else since_ns, _NEVER_NS))
            return
        if self._is_scarce():
            scarce.append((scarce.pop()[0], since_ns))
        self._short = False
        self._on_notice = waiting_ns is not None
        self._elsewhere_ns = 0 if waiting_ns is None else self._clock.now() - waiting_ns
        self._limit += workers
        if self._in_flight < self._limit:
            if not self._available:
                self._available, self._available_since_ns = True, since_ns
            if self._stage == self._dispatch:
                self._dispatch()
        if self._on_notice:
            self._offer(since_ns)

    def _offer(self, since_ns: int) -> None:
        """While others wait for a worker, give away every one that no start waits for here, free since then."""
        room = self.room
        if room and self._others is not None:
            self._others.offer(self._give(room), since_ns)

    def _waits_longer_elsewhere(self, at_ns: int) -> bool:
        """Whether the oldest start at another agent has waited clearly longer than the next one here."""
        own_ns = max(0, at_ns - self._due_ns)
        return self._stage == self._dispatch and self._elsewhere_ns > own_ns + own_ns // 4 + _FAIR_NS

    def _give_way(self, since_ns: int) -> None:
        """Give a worker that was just freed to the start that has waited longest, rather than to the next one here.

        It is given once: what waits there then is not known.
        """
        self._elsewhere_ns = 0
        self._limit -= 1
        if self._others is not None:
            self._others.offer(1, since_ns)

    def _give(self, workers: int) -> int:
        self._limit -= workers
        if self._available and self._in_flight >= self._limit:
            self._available, self._full_since_ns = False, self._clock.now()
            if self._stage == self._dispatch and self._awaits_short():
                self._alarm.set(min(self._due_ns, self._end_ns))
        return workers


class ClosedRun(Run):
    """A phase in which each worker starts again as soon as it is done; intended is started.

    ``spans`` are the workers' active times, (from, to) in ns since the beginning. ``indices`` numbers the invocations
    where ``terms`` have no allowance. ``pause`` says for how long a worker waits after the call of an arrival, by its
    number; None for not at all.
    """

    def __init__(
        self,
        pool: WorkerPool,
        spans: list[tuple[int, int]],
        indices: Iterator[int],
        requests: Requests,
        recorder: Recorder,
        terms: Terms,
        pause: Callable[[int], int] | None = None,
    ) -> None:
        super().__init__(pool, requests, recorder, terms)
        self._pause = pause
        self._limited = terms.allowance is not None
        self._numbers: Ranges = terms.allowance or ()
        self._indices = each(self._numbers) if self._limited else indices
        self._used = 0
        self._ended = False
        self._finished = False
        pool.grow(len(spans))
        # the last to be freed have the warmest connections, so they start first; a heap of (from, order, worker)
        self._to_start: list[tuple[int, int, Worker]] = []
        self._order = count()
        for worker, (start, end) in zip(reversed(pool.free), spans, strict=False):
            worker.until_ns = terms.begin_ns + end
            heappush(self._to_start, (terms.begin_ns + start, next(self._order), worker))
        self._idle: list[Worker] = []
        self._alarm = terms.alarm(self._ring)
        self._alarm.set(terms.begin_ns)

    @property
    def left(self) -> Ranges:
        """The numbers of the allowance that were not used."""
        return parted(self._numbers, self._used)[1]

    def stop(self) -> None:
        """End the phase now."""
        if not self._ended:
            self._end_ns = min(self._end_ns, self._clock.now())
            self._alarm.set(0)

    def freed(self, worker: Worker, at_ns: int, now_ns: int) -> None:
        """A worker's invocation ended: start the next one unless its time is over."""
        self._in_flight -= 1
        if self._pause is None:
            self._go_on(worker, at_ns, now_ns)
        else:
            heappush(self._to_start, (at_ns + self._pause(worker.index), next(self._order), worker))
            if not self._ended:
                self._alarm.set(min(self._to_start[0][0], self._end_ns))
        if self._ended and not self._in_flight:
            self._finish()

    def _go_on(self, worker: Worker, since_ns: int, now_ns: int) -> None:
        """Let a worker go on that might have done so since then."""
        if now_ns >= worker.until_ns or now_ns >= self._end_ns:
            return
        if now_ns < self._until_ns:
            self._start(worker, since_ns)
        else:
            self._idle.append(worker)

    def _ring(self) -> None:
        now = self._clock.now()
        self._begin(now, self._begin_ns)
        if self._ended:
            if now < self._end_ns + self._grace_ns:
                self._alarm.set(self._end_ns + self._grace_ns)
            else:
                self.cut()
            return
        while self._to_start and self._to_start[0][0] <= now < self._end_ns:
            since, _, worker = heappop(self._to_start)
            self._go_on(worker, since, now)
            now = self._clock.now()
        if now < self._end_ns:
            self._alarm.set(min(self._to_start[0][0], self._end_ns) if self._to_start else self._end_ns)
            return
        self._ended = True
        if self._until_ns < self._end_ns:
            self.paused_ns += self._held_ns(self._until_ns, self._end_ns)
        if self._in_flight:
            self._alarm.set(self._end_ns + self._grace_ns)
        else:
            self._finish()

    def _held_ns(self, lapsed_ns: int, now_ns: int) -> int:
        return now_ns - lapsed_ns if self._idle else 0

    def _go_on_all(self) -> None:
        waiting, self._idle = self._idle, []
        for worker in waiting:
            now = self._clock.now()
            self._go_on(worker, now, now)

    def _start(self, worker: Worker, since_ns: int) -> None:
        if self.purse is not None and not self.purse.covers:
            self._without(COST, worker)
            return
        index = next(self._indices, None)
        if index is None:
            self._without(INVOCATIONS, worker)
            return
        request = self._request(index)
        if request is None:
            self.stop()
            return
        self._used += 1
        now = self._clock.now()
        worker.start(index, now, now, max(0, now - since_ns), request, 0, self._requests.call)

    def _without(self, what: str, worker: Worker) -> None:
        """A worker lacks that: it waits as long as others may have it, else the phase ends."""
        if self._may_wait(what):
            self._idle.append(worker)
        else:
            self._exhausted(what)
            self.stop()

    def cut(self) -> None:
        """End the phase now and give up whatever is in flight."""
        self.stop()
        self._give_up()
        self._finish()

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._alarm.close()
            self._pool.run = None
            self._done()

    def take_over(self, spans: Sequence[tuple[int, int]]) -> None:
        """Have workers more, which are active in these spans as far as they are still to come."""
        if self._ended:
            return
        now = self._clock.now()
        for start, end in spans:
            worker = self._pool.grown()
            self._pool.free.insert(0, worker)
            worker.until_ns = self._begin_ns + end
            heappush(self._to_start, (max(now, self._begin_ns + start), next(self._order), worker))
        self._alarm.set(now)

    def cede_starts(self) -> Ranges:
        """Give away half of the numbers that are left, all of them once nothing more is started here."""
        left = self.left
        if not self._limited or not left:
            return ()
        kept, given = parted(left, 0 if self._ended else size(left) // 2)
        self._hold(kept)
        return given

    def grant_starts(self, numbers: Ranges) -> None:
        """Take what others had left; nothing means that they have nothing, either."""
        self._take_note(INVOCATIONS, denied=not numbers)
        self._hold((*self.left, *numbers))
        self._go_on_all()

    def _hold(self, numbers: Ranges) -> None:
        self._numbers, self._used = numbers, 0
        self._indices = each(numbers)
