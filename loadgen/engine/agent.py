"""The agent: one process that fires, records and sends one message a second, and does nothing else.

``python -m loadgen.engine.agent`` reads messages (see ``loadgen.engine.messages``) on stdin and writes frames (see
``loadgen.measure.interval``) on stdout. It never renders, merges or stores, so nothing but the load runs on its loop:
the garbage collector is frozen and off while measuring, and an interval is packed in slices between starts.

The agent ends when its stdin does, when its parent dies (the kernel sees to that, so that nothing a target does can
keep it from it), and when its lease was not renewed for ``ABANDONED_NS`` in all: it cannot outlive whoever watches over
it.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, count, islice, repeat
from typing import Any, BinaryIO

import msgspec

from loadgen.engine import messages
from loadgen.engine.address import address_of
from loadgen.engine.child import die_with_parent
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.connection import HttpInvoker
from loadgen.engine.cores import Held, Own
from loadgen.engine.environment import rss_bytes
from loadgen.engine.health import Collections, HostReader, Recent, open_files
from loadgen.engine.loop import new_event_loop
from loadgen.engine.messages import (
    LEASE_NS,
    Alive,
    Cede,
    Ceded,
    Dearer,
    Go,
    GrantMoney,
    GrantStarts,
    GrantWorkers,
    Lack,
    Lease,
    Phases,
    Piece,
    Plan,
    Prepare,
    Renew,
    Split,
    Stop,
    TakeOver,
    decode,
    read_body,
)
from loadgen.engine.monotonic import Monotonic
from loadgen.engine.numbers import Ranges, each
from loadgen.engine.part import Part
from loadgen.engine.polling import LINGER_NS
from loadgen.engine.received import received
from loadgen.engine.requests import ConstantRequests, FedRequests, MixedRequests, TurnedRequests, mixed, requests
from loadgen.engine.tariff import tariff_of
from loadgen.engine.timer import Alarm, alarm_of
from loadgen.engine.wire import wire_to
from loadgen.engine.workers import ClosedRun, OpenRun, Terms, WorkerPool
from loadgen.invocation.bill import BILLING_UNITS_NS
from loadgen.invocation.cell import Cell
from loadgen.invocation.start import Cuts
from loadgen.invocation.tally import Connections, Tally
from loadgen.load.law import random_stream
from loadgen.load.phase import Phase
from loadgen.measure.interval import INTERVAL_NS, VERSION, Frame, Health, encode
from loadgen.measure.purse import Purse
from loadgen.measure.recorder import Recorder
from loadgen.scenario.model import OnAgentLoss
from loadgen.targets.port import MemoryTurns
from loadgen.targets.registry import tenant_of
from loadgen.targets.target import Target

_PROBE_NS = 20_000_000  # how often the loop is asked to show that it is alive
_GAP_NS = 5_000_000  # a probe that is later than this may have been so because the whole core was taken away
_SLICE_NS = 150_000  # packing gives way to the load after this long
_WATCH_S = 0.5  # how often the lease is looked at
ABANDONED_NS = 5_000_000_000
"""How long after the last renewal of its lease an agent ends."""
_LAST_WORDS_S = 0.5
_PIPE_BYTES = 2**20  # the most that Linux gives to ordinary users
_OPEN_AT_ONCE = 128  # a listening server's backlog is finite, often 128


class Agent:
    """Runs the phases of a plan. ``send`` takes the bytes of a frame; ``held`` is its core, if it has one."""

    def __init__(self, plan: Plan, send: Callable[[bytes], None], loop: asyncio.AbstractEventLoop, held: Held) -> None:
        scenario = plan.scenario
        self._tenant = tenant_of(scenario.target)
        template = self._tenant.template(scenario.target)
        self._plan = plan
        self._phases = Phases(scenario.phases, scenario.sample_share)
        self._own = self._target = scenario.target
        self._version: str | None = None
        self._size: int | None = None
        self._send = send
        self._loop = loop
        self._held = held
        self._wire = wire_to(
            scenario.each_call,
            [address_of(template.origin, ip, scenario.target.tls) for ip in plan.addresses or (plan.address,)],
            loop,
            probe=plan.probe,
        )
        self._requests = mixed(scenario, plan.agent) if scenario.calls else requests(scenario, template, plan.agent)
        self._wire.poll.linger_ns = LINGER_NS  # nothing but the load is on this loop
        self._alarm = partial(alarm_of, loop, self._wire.poll)
        self._turns: tuple[int, ...] = ()
        self._sized: dict[int, ConstantRequests | FedRequests] = {}
        self._told = self._tenant.told
        readings = [tenant_of(call.target).reading(call.target, plan.probe) for call in scenario.each_call]
        self._evidence = any(reading.starts for reading in readings)
        self._pool = WorkerPool(partial(HttpInvoker, self._wire))
        tariff = tariff_of(scenario, plan.size_mb)
        if tariff is not None:
            tariff.learn(plan.dearest)
        self._purse = None if tariff is None else Purse(tariff, self._tell_dearer)
        self.until_ns = monotonic_ns() + LEASE_NS
        self._cuts: Cuts | None = None
        self._seq = 0
        self._interval_ns = monotonic_ns()
        self._cpu_ns = time.process_time_ns()
        self._phase: Phase | None = None
        self._run: OpenRun | ClosedRun | None = None
        self._last_run: OpenRun | ClosedRun | None = None
        self._grants = self._serial = 0
        self._part: Iterator[tuple[int, int]] = iter(())
        self._abandoned = False
        self._opening: asyncio.Task[None] | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._tick_ns = 0
        self._probe: Alarm | None = None
        self._probe_due_ns = self._loop_lag_ns = 0
        self._timer_error_ns: int | None = None
        self._collections = Collections()
        self._host = HostReader()
        self._recent = Recent()
        self._packing: deque[tuple[Frame, Iterator[tuple[dict[Cell, bytes], tuple[Cell, bytes]]]]] = deque()

    def use_phases(self, message: Phases) -> None:
        """Take other phases than the scenario's."""
        self._phases = message

    async def prepare(self, message: Prepare) -> None:
        """Open connections for a phase, then say so; at the latest after the connect timeout, or when stopped."""
        self._phase = self._phases.phases[message.phase]
        sizes, versions = self._phases.memory_mb, self._phases.versions
        self._ask_for(sizes[message.phase] if sizes else None, versions[message.phase] if versions else None)
        if not self._wire.fresh:
            self._opening = self._loop.create_task(self._open(message.connections))
            await asyncio.wait([self._opening], timeout=self._wire.timeout.connect_ns / 1e9)
            if self._opening.cancel():
                await asyncio.wait([self._opening])
            elif not self._opening.cancelled():
                self._opening.result()
        gc.collect()
        gc.freeze()
        gc.disable()
        # what it took to get ready is no part of the load: the frame that says so covers no time
        self._interval_ns, self._cpu_ns = monotonic_ns(), time.process_time_ns()
        self._collections.take()
        self._report(self._recorders(self._phase))

    async def _open(self, connections: int) -> None:
        self._pool.grow(connections)
        # the workers that will be used first are the last on the stack
        invokers = [worker.invoker for worker in self._pool.free[-connections:]]
        for start in range(0, len(invokers), _OPEN_AT_ONCE):
            batch = invokers[start : start + _OPEN_AT_ONCE]
            await asyncio.gather(*(invoker.open() for invoker in batch if isinstance(invoker, HttpInvoker)))

    def go(self, message: Go) -> None:
        """Begin the prepared phase."""
        assert self._phase is not None
        phase, plan = self._phase, self._plan
        recorder, *further = self._recorders(phase)
        first, step = message.numbers[0][0] if message.numbers else 0, message.agents
        place = message.place
        takes_part = place is not None
        self._grants, self._serial = 0, message.serial
        terms = Terms(
            clock=Monotonic(),
            alarm=self._alarm,
            begin_ns=message.at_ns,
            duration_ns=phase.duration_ns,
            grace_ns=phase.grace_ns,
            allowance=message.allowance,
            done=self._done,
            rows=message.rows,
            others=self if step > 1 and takes_part else None,
            purse=self._purse,
            until_ns=self.until_ns,
            catch_up_ns=plan.scenario.catch_up_ns,
            further=further,
        )
        if self._purse is not None and message.money is not None:
            self._purse.left, self._purse.in_flight = message.money, 0
        wanted = TurnedRequests(self._turns, self._sized, first) if self._turns else self._requests
        if phase.closed:
            spans = [] if place is None else phase.spans()[place::step]
            indices = count(first + (place or 0), step)
            pause = None if phase.think is None else phase.think.pauses(plan.scenario.seed, phase.name)
            self._run = ClosedRun(self._pool, spans, indices, wanted, recorder, terms, pause)
        else:
            schedule = zip(each(message.numbers), phase.offsets(plan.scenario.seed), strict=False)
            share, rest = divmod(phase.max_in_flight, step)
            part: Iterator[tuple[int, int]] = iter(())
            if place is not None:
                part = self._part = _part(schedule, place, step, plan.scenario.on_agent_loss)
            self._run = OpenRun(
                self._pool,
                part,
                wanted,
                recorder,
                terms,
                limit=0 if place is None else share + (place < rest),
                max_lag_ns=phase.max_lag_ns,
                until_idle=phase.shape.until_idle,
            )
        self._last_run = self._run
        self._interval_ns = message.at_ns
        self._held.take()
        self._host.begin()
        self._probe = self._alarm(self._ring_probe)
        self._set_probe()
        self._tick_ns = message.at_ns
        self._set_ticker()

    def lack_starts(self) -> None:
        """See Others."""
        self._send(messages.encode(Lack(self._plan.agent, self._serial)))

    def lack_money(self, each: int, rest: int) -> None:
        """See Others."""
        self._send(messages.encode(Lack(self._plan.agent, self._serial, money=each, rest=rest)))

    def _tell_dearer(self, bill: int) -> None:
        self._send(messages.encode(Dearer(self._plan.agent, bill)))

    def lack_worker(self, due_ns: int) -> None:
        """See Others."""
        self._send(messages.encode(Lack(self._plan.agent, self._serial, due_ns)))

    def offer(self, workers: int, since_ns: int) -> None:
        """See Others."""
        self._send(messages.encode(Ceded(self._plan.agent, self._serial, None, workers=workers, since_ns=since_ns)))

    def cede(self, message: Cede) -> None:
        """Give away what can be done without, for other agents."""
        numbers: Ranges = ()
        workers = since_ns = money = 0
        if message.money:
            money = 0 if self._purse is None else self._purse.cede(half=self._run is not None)
        elif message.due_ns is not None:
            if self._last_run is not None:  # what a run that is over had is of no more use to it
                workers, since_ns = self._last_run.cede_workers(message.due_ns)
        elif self._run is None:
            return  # what was left at its end is in the last frame, which is the answer
        else:
            numbers = self._run.cede_starts()
        given = Ceded(self._plan.agent, self._serial, message.deal, numbers, workers, since_ns, money)
        self._send(messages.encode(given))

    def grant_starts(self, message: GrantStarts) -> None:
        """Take what others had left to start; too late, it is known by the number of grants in the last frame."""
        if self._run is not None:
            self._grants += 1
            self._run.grant_starts(message.numbers)

    def grant_workers(self, message: GrantWorkers) -> None:
        """Take workers of other agents, or learn that they have none."""
        if self._last_run is not None:
            self._last_run.grant_workers(message.workers, message.since_ns, message.waiting_ns)

    def grant_money(self, message: GrantMoney) -> None:
        """Take money of other agents, or learn that they have none; after the end it is there to be asked for."""
        if self._purse is not None:
            self._purse.left += message.money
        if self._run is not None:
            self._run.grant_money(message.money)

    def extend(self, message: Lease) -> None:
        """The lease lasts until then."""
        self._send(messages.encode(Alive(self._plan.agent)))
        self.until_ns = max(self.until_ns, message.until_ns)
        if self._purse is not None:
            self._purse.tariff.learn(message.dearest, (message.size_mb,))
        if self._run is not None:
            self._run.extend(message.until_ns)

    def take_over(self, message: TakeOver) -> None:
        """Make what an agent would have made that is lost; what is over here is not made by anybody."""
        phase, run = self._phase, self._run
        if phase is None or message.serial != self._serial:
            return
        if isinstance(run, ClosedRun):
            run.take_over(list(chain.from_iterable(phase.spans()[first::step] for first, step in message.parts)))
        elif isinstance(run, OpenRun) and isinstance(self._part, Part):
            workers = sum(phase.max_in_flight // step for _, step in message.parts) + message.workers
            run.take_over(self._part.take_over(message.parts, message.from_ns), max(0, workers))

    def renew(self, message: Renew) -> None:
        """Take new credentials for every start from now on."""
        self._own = message.target
        self._call(self._variant(self._size))
        for memory_mb, sized in self._sized.items():
            sized.use(self._tenant.template(self._variant(memory_mb)))

    def _ask_for(self, memory_mb: MemoryTurns, version: str | None) -> None:
        """Call this version from now on, with this memory size or these in turns; None for the target's own."""
        self._turns = memory_mb if isinstance(memory_mb, tuple) else ()
        self._size = memory_mb if isinstance(memory_mb, int) else None
        if version != self._version:
            self._version, self._sized = version, {}
        self._call(self._variant(self._size))
        for size in {*self._turns} - {*self._sized}:
            template = self._tenant.template(self._variant(size))
            self._sized[size] = requests(self._plan.scenario, template, self._plan.agent)

    def _variant(self, memory_mb: int | None) -> Target:
        """The target with this memory size, at the version that is called."""
        meant: Target = self._tenant.variant(self._own, memory_mb, self._version)
        return meant

    def _call(self, wanted: Target) -> None:
        if wanted != self._target:
            self._target = wanted
            if isinstance(self._requests, MixedRequests):
                self._requests.use(wanted)
            else:
                self._requests.use(self._tenant.template(wanted))

    def split(self, cuts: Cuts) -> None:
        """Tell cold invocations from warm ones by these cuts, from the next phase on."""
        self._cuts = cuts

    def stop(self) -> None:
        """End the phase under way; what is in flight gets its grace. Nothing more is opened ahead."""
        if self._opening is not None:
            self._opening.cancel()
        if self._run is not None:
            self._run.stop()

    def cut(self, *, abandoned: bool = False) -> None:
        """End the phase under way at once; one that was ``abandoned`` has no last frame, as it is not complete."""
        self._abandoned = abandoned
        if self._run is not None:
            self._run.cut()

    def close(self) -> None:
        """Close every connection and send what is still to be sent."""
        while self._packing:
            self._pack(monotonic_ns() + 10**12)
        for worker in self._pool.workers:
            worker.invoker.abandon()
        self._wire.close()
        self._collections.close()
        self._host.close()

    def _recorders(self, phase: Phase) -> list[Recorder]:
        """One for each call of the scenario."""
        scenario, share = self._plan.scenario, self._phases.sample_share
        chance = random_stream(scenario.seed, "samples", phase.name, str(self._plan.agent)).random
        own_unit = () if scenario.prices is None else (scenario.prices.granularity_ns,)
        return [
            Recorder(
                phase.name,
                self._plan.agent,
                origin_ns=self._plan.origin_ns,
                closed=phase.closed,
                expects_summary=self._told,
                sampled=(lambda: chance() < share) if share else None,
                evidence=self._evidence,
                cuts=self._cuts,
                residual=self._told and phase.warmup and self._cuts is None,
                billing_units_ns=tuple(dict.fromkeys((*BILLING_UNITS_NS, *own_unit))),
                call=call.name,
            )
            for call in scenario.each_call
        ]

    def _tick(self) -> None:
        assert self._run is not None
        self._set_ticker()
        self._held.look(INTERVAL_NS)
        self._report(self._run.recorders)

    def _set_ticker(self) -> None:
        """The next tick is a whole number of intervals after the phase began, however late the last one was."""
        now = monotonic_ns()
        passed = max(0, now - self._tick_ns) // INTERVAL_NS
        self._tick_ns += (passed + 1) * INTERVAL_NS
        self._ticker = self._loop.call_later((self._tick_ns - now) / 1e9, self._tick)

    def _set_probe(self) -> None:
        assert self._probe is not None
        self._probe_due_ns = monotonic_ns() + _PROBE_NS
        self._probe.set(self._probe_due_ns)

    def _ring_probe(self) -> None:
        late_ns = self._note_loop_lag()
        if self._run is not None:
            now = monotonic_ns()
            self._run.beat(now)
            if late_ns > _GAP_NS and self._host.stolen():
                self._run.disturb(now)
        self._timer_error_ns = late_ns if self._timer_error_ns is None else min(self._timer_error_ns, late_ns)
        self._set_probe()

    def _note_loop_lag(self) -> int:
        late_ns = max(0, monotonic_ns() - self._probe_due_ns)
        self._loop_lag_ns = max(self._loop_lag_ns, late_ns)
        return late_ns

    def _done(self) -> None:
        run, self._run = self._run, None
        assert run is not None
        self._note_loop_lag()  # a stall over the end would otherwise not be seen
        if self._probe is not None:
            self._probe.close()
        if self._ticker is not None:
            self._ticker.cancel()
        self._report(run.recorders, run)

    def _report(self, recorders: Sequence[Recorder], ended: OpenRun | ClosedRun | None = None) -> None:
        """Report what was recorded in an interval, the last one when its run has ended."""
        assert self._phase is not None
        now = monotonic_ns()
        connections, self._wire.counts = self._wire.counts, Connections()
        tally = Tally(connections=connections, unstamped=self._wire.inbox.unstamped)
        self._wire.inbox.unstamped = 0
        taken = [recorder.take() for recorder in recorders]
        calls = {recorded.call: recorded.tally(Connections()) for recorded in taken}
        for of_call in calls.values():
            tally.add(of_call)
        frame = Frame(
            v=VERSION,
            agent=self._plan.agent,
            seq=self._seq,
            phase=self._phase.name,
            from_ns=self._interval_ns - self._plan.origin_ns,
            to_ns=now - self._plan.origin_ns,
            tally=tally,
            hist={},
            health=self._health(now, connections.opened, ended=ended is not None),
            samples=[sample for recorded in taken for sample in recorded.samples],
            failures=[failure for recorded in taken for failure in recorded.failures],
            slowest=[slow for recorded in taken for slow in recorded.slowest],
            calls=calls if self._plan.scenario.calls else {},
        )
        run = self._run if ended is None else ended
        if isinstance(run, OpenRun):
            frame.short_of_workers = run.take_short_of_workers()
        if run is not None:
            frame.budget_reached = run.budget_reached
            frame.began_late_ns = run.began_late_ns
            frame.paused_ns, run.paused_ns = run.paused_ns, 0
        if self._purse is not None:
            frame.dearest = self._purse.tariff.dearest
        if ended is not None:
            frame.final = not self._abandoned
            frame.load_ns = ended.load_ns
            frame.feeder_exhausted = ended.feeder_exhausted
            frame.left = ended.left
            frame.grants = self._grants
        self._seq += 1
        self._interval_ns = now
        packed = chain.from_iterable(recorded.packed() for recorded in taken)
        least = chain.from_iterable(recorded.packed_least() for recorded in taken)
        self._packing.append((frame, chain(zip(repeat(frame.hist), packed), zip(repeat(frame.least), least))))
        if len(self._packing) == 1:
            self._loop.call_soon(self._pack_slice)

    def _pack_slice(self) -> None:
        self._pack(monotonic_ns() + _SLICE_NS)
        if self._packing:
            self._loop.call_soon(self._pack_slice)

    def _pack(self, until_ns: int) -> None:
        """Pack for a while; a complete frame is sent."""
        if not self._packing:
            return
        frame, histograms = self._packing[0]
        for into, (cell, packed) in histograms:
            into[cell] = packed
            if monotonic_ns() > until_ns:
                return
        self._packing.popleft()
        self._send(encode(frame))

    def _health(self, now_ns: int, opened: int, *, ended: bool) -> Health:
        cpu_ns, before = time.process_time_ns(), self._cpu_ns
        self._cpu_ns = cpu_ns
        loop_lag_ns, self._loop_lag_ns = self._loop_lag_ns, 0
        timer_error_ns, self._timer_error_ns = self._timer_error_ns, None
        collections, longest_ns = self._collections.take()
        step_ns, self._wire.inbox.step_ns = self._wire.inbox.step_ns, 0
        looks = ended or (self._run is not None and self._host.cheap)
        return Health(
            cpu_ns=cpu_ns - before,
            rss_bytes=rss_bytes(),
            gc_collections=collections,
            gc_pause_ns=longest_ns,
            loop_lag_ns=loop_lag_ns,
            timer_error_ns=timer_error_ns,
            open_files=open_files(),
            recent_connections=self._recent.add(now_ns, opened),
            host=self._host.read() if looks else None,
            clock_step_ns=step_ns,
        )


def _part(
    schedule: Iterator[tuple[int, int]], place: int, step: int, on_loss: OnAgentLoss
) -> Iterator[tuple[int, int]]:
    """Every ``step``-th of a schedule; one to which more can be added costs more."""
    if step > 1 and on_loss is OnAgentLoss.REDISTRIBUTE:
        return Part(schedule, place, step)
    return islice(schedule, place, None, step)


class _Output(asyncio.BaseProtocol):
    """Knows when everything was written, or the parent is gone."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


def _result(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.result()


def _die(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End the process when a callback failed: half an agent would keep the run waiting, or its numbers be wrong.

    What happens to sockets is an OSError, and is handled where it happens.
    """
    loop.default_exception_handler(context)
    if isinstance(context.get("exception"), Exception) and not isinstance(context["exception"], OSError):
        logging.shutdown()
        sys.stderr.flush()
        os._exit(1)


async def serve(own: Own | None) -> None:
    """Read messages until the end of stdin, or until nobody renews the lease any more; on its own core, if any."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_die)
    stdin = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin.buffer)
    _enlarge(1)
    stdout, output = await loop.connect_write_pipe(_Output, os.fdopen(os.dup(1), "wb"))
    plan = await _plan(stdin)
    if plan is None:
        return
    agent = Agent(plan, stdout.write, loop, Held(own))
    obeying, watching = loop.create_task(_obey(agent, stdin)), loop.create_task(_abandoned(agent))
    await asyncio.wait([obeying, watching], return_when=asyncio.FIRST_COMPLETED)
    abandoned = not obeying.done()
    if abandoned:
        obeying.cancel()
        sys.stderr.write(
            f"its lease was not renewed for {ABANDONED_NS / 1e9:g} s: was loadgen stopped, or kept from working? It "
            "sends no load that nobody watches"
        )
    else:
        watching.cancel()
        obeying.result()
    agent.cut(abandoned=abandoned)
    agent.close()
    stdout.close()
    with suppress(TimeoutError):  # a parent that is stopped reads nothing, either
        await asyncio.wait_for(output.closed.wait(), _LAST_WORDS_S if abandoned else None)


async def _plan(stdin: asyncio.StreamReader) -> Plan | None:
    """The plan, with files that came ahead of it in the place of those that it names; None at the end of stdin."""
    files: dict[str, BinaryIO] = {}
    while (body := await read_body(stdin)) is not None:
        match decode(body):
            case Plan() as plan:
                return received(plan, files)
            case Piece(path, data):
                if path not in files:
                    files[path] = tempfile.TemporaryFile()  # noqa: SIM115 - it lasts as long as this process, and has no name
                files[path].write(data)
    return None


async def _obey(agent: Agent, stdin: asyncio.StreamReader) -> None:
    """Do what messages say, until the end of stdin."""
    loop = asyncio.get_running_loop()
    preparing: asyncio.Task[None] | None = None
    try:
        while (body := await read_body(stdin)) is not None:
            match decode(body):
                case Lease() as message:
                    agent.extend(message)
                case Phases() as message:
                    agent.use_phases(message)
                case Prepare() as message:
                    preparing = loop.create_task(agent.prepare(message))
                    preparing.add_done_callback(_result)
                    await asyncio.sleep(0)  # it has begun by then, so that a Stop right after it finds what to end
                case Go() as message:
                    agent.go(message)
                case Cede() as message:
                    agent.cede(message)
                case GrantStarts() as message:
                    agent.grant_starts(message)
                case GrantMoney() as message:
                    agent.grant_money(message)
                case GrantWorkers() as message:
                    agent.grant_workers(message)
                case TakeOver() as message:
                    agent.take_over(message)
                case Renew() as message:
                    agent.renew(message)
                case Split(cuts):
                    agent.split(cuts)
                case Stop():
                    agent.stop()
    finally:
        if preparing is not None:
            preparing.cancel()


async def _abandoned(agent: Agent) -> None:
    """Wait until the lease has not been renewed for long enough.

    What counts is how often it was looked at in vain: a machine that slept wakes up with every lease over, and parents
    need a moment as well.
    """
    patience = round((ABANDONED_NS - LEASE_NS) / 1e9 / _WATCH_S)
    left = patience
    while left:
        await asyncio.sleep(_WATCH_S)
        left = left - 1 if monotonic_ns() >= agent.until_ns else patience


def _enlarge(pipe: int) -> None:
    """Have it hold what is measured while the parent is stopped, as far as the system allows that."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def main() -> None:
    """Run an agent; its parent speaks to it and decides when it stops. The argument, if any, is its ``Own`` as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole foreground group
    die_with_parent()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(msgspec.json.decode(sys.argv[1], type=Own) if sys.argv[1:] else None))


if __name__ == "__main__":
    main()
