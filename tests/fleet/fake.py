"""A fleet in memory: its agents take no time, and what they say may be lost, come late or twice, or be their last word.

An agent starts its share of a schedule, or ``calls`` in a closed phase, a frame's worth after another, and passes on
what may be started and spent as a real one does. Every call is answered at once; where money is limited it has a bill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

from loadgen.engine import messages
from loadgen.engine.messages import (
    Alive,
    Cede,
    Ceded,
    Dearer,
    Go,
    GrantMoney,
    GrantStarts,
    Lack,
    Lease,
    Message,
    Phases,
    Plan,
    Prepare,
    Report,
    Stop,
)
from loadgen.engine.numbers import Ranges, each, parted, size
from loadgen.engine.tariff import tariff_of
from loadgen.engine.workers import COST, INVOCATIONS
from loadgen.fleet.port import Gone, Said
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.load.phase import Phase
from loadgen.measure import interval
from loadgen.measure.interval import Frame
from loadgen.measure.purse import Purse
from tests.frames import NS_PER_S, frame, sample

Way = Callable[[Report], Sequence[Report | Gone]]
"""What arrives of what an agent says, and in which order; a Gone is an agent's end."""
When = Callable[[Frame], bool]

MS = 1_000_000
BILLED = Facts(Outcome.OK, "ok", 200, duration_ns=MS, billed_duration_ns=100 * MS, memory_size_mb=1024)


def straight(report: Report) -> Sequence[Report | Gone]:
    """Everything arrives, once."""
    return [report]


def lost(when: When) -> Way:
    """Such frames never arrive."""
    return lambda report: [] if isinstance(report, Frame) and when(report) else [report]


def undealt(report: Report) -> Sequence[Report | Gone]:
    """What agents give away is lost."""
    return [] if isinstance(report, Ceded) else [report]


def twice(when: When) -> Way:
    """Such frames arrive again."""
    return lambda report: [report, report] if isinstance(report, Frame) and when(report) else [report]


def late(when: When) -> Way:
    """Such frames arrive after what their agent says next."""
    held: dict[int, Report] = {}

    def way(report: Report) -> Sequence[Report]:
        if isinstance(report, Frame) and when(report):
            held[report.agent] = report
            return []
        return [report, held.pop(report.agent)] if report.agent in held else [report]

    return way


def last(when: When) -> Way:
    """Agents that are about to say such a frame die."""

    def way(report: Report) -> Sequence[Report | Gone]:
        if isinstance(report, Frame) and when(report):
            return [Gone(report.agent, "died with exit code -9: silently")]
        return [report]

    return way


def silent(when: When) -> Way:
    """Agents that are about to say such a frame say nothing any more."""
    silenced: set[int] = set()

    def way(report: Report) -> Sequence[Report]:
        if isinstance(report, Frame) and when(report):
            silenced.add(report.agent)
        return [] if report.agent in silenced else [report]

    return way


class FakeFleet:
    """See Fleet. ``started`` are the numbers of all arrivals that were started, ``told`` all that agents were told.

    The clock of agent i is ``ahead_ns`` · i ahead.
    """

    def __init__(
        self, way: Way = straight, *, calls: int = 100, a_frame: int = 10, ahead_ns: int = 0, patience_s: float = 30
    ) -> None:
        self.patience_s = patience_s
        self.lead_ns = 0
        self.has_our_files = True
        self.dropped: list[int] = []
        self.way = way
        self.calls = calls
        self.a_frame = a_frame
        self.started: list[int] = []
        self.told: list[tuple[int, Message]] = []
        self.agents: list[FakeAgent] = []
        self.closed = False
        self._ahead_ns = ahead_ns
        self._received: asyncio.Queue[Said | Gone] = asyncio.Queue()

    async def start(self, agents: int) -> None:
        self.agents = [FakeAgent(self, number) for number in range(agents)]

    def ahead_ns(self, agent: int) -> int:
        return agent * self._ahead_ns

    def error_ns(self, agent: int) -> int:
        return 0

    def drop(self, agent: int) -> None:
        self.dropped.append(agent)
        self.agents[agent].alive = False

    def send(self, agent: int, message: bytes) -> None:
        heard = messages.decode(message[4:])
        self.told.append((agent, heard))
        if self.agents[agent].alive:
            self.agents[agent].hear(heard)

    async def receive(self) -> Said | Gone:
        return await self._received.get()

    def end(self) -> None:
        for agent in self.agents:
            agent.cut()

    async def close(self) -> None:
        self.end()
        self.closed = True

    def say(self, report: Report) -> None:
        """Carry what an agent says, as far as it comes."""
        for arriving in self.way(report):
            if isinstance(arriving, Gone):
                self.gone(arriving)
            else:
                encoded = interval.encode(arriving) if isinstance(arriving, Frame) else messages.encode(arriving)
                self._received.put_nowait(Said(arriving.agent, encoded[4:]))

    def gone(self, end: Gone) -> None:
        """An agent is no more."""
        self.agents[end.agent].alive = False
        self._received.put_nowait(end)


class FakeAgent:
    """One of them."""

    def __init__(self, fleet: FakeFleet, number: int) -> None:
        self.alive = True
        self._fleet = fleet
        self._number = number
        self._phases: Sequence[Phase] = ()
        self._phase: Phase | None = None
        self._seq = self._grants = 0
        self._held: Ranges | None = None
        self._granted: asyncio.Queue[Ranges | None] = asyncio.Queue()
        self._purse: Purse | None = None
        self._money: asyncio.Queue[int | None] = asyncio.Queue()
        self._stopped = False
        self._playing: asyncio.Task[None] | None = None
        self._go: Go | None = None
        self._serial = 0

    def hear(self, message: Message) -> None:
        match message:
            case Plan(scenario):
                self._phases = scenario.phases
                tariff = tariff_of(scenario, message.size_mb)
                if tariff is not None:
                    self._purse = Purse(tariff, lambda bill: self._fleet.say(Dearer(self._number, bill)))
            case Lease(_, dearest):
                if self._purse is not None:
                    self._purse.tariff.learn(dearest)
                self._fleet.say(Alive(self._number))
            case Phases(phases):
                self._phases = phases
            case Prepare(number):
                self._phase = self._phases[number]
                self._report([], final=False)
            case Go():
                self._stopped = False
                self._playing = asyncio.create_task(self._play(message))
            case Cede(deal, None, money=False) if self._go is not None:
                given: Ranges = ()
                if self._held is not None:
                    self._held, given = parted(self._held, size(self._held) // 2)
                self._fleet.say(Ceded(self._number, self._go.serial, deal, given))
            case Cede(deal, money=True):
                assert self._purse is not None
                money = self._purse.cede(half=self._go is not None)
                self._fleet.say(Ceded(self._number, self._serial, deal, money=money))
            case GrantMoney(money):
                assert self._purse is not None
                self._purse.left += money
                self._money.put_nowait(money)
            case GrantStarts(numbers):
                self._granted.put_nowait(numbers)
            case Stop():
                self._stop()

    def cut(self) -> None:
        """Its stdin is closed."""
        if self.alive:
            self._stop()
            if self._playing is None:
                self._fleet.gone(Gone(self._number, "stopped before the end of the phase"))
            else:
                self._playing.add_done_callback(
                    lambda _: self._fleet.gone(Gone(self._number, "stopped before the end of the phase"))
                )

    def _stop(self) -> None:
        self._stopped = True
        if self._go is not None:
            self._granted.put_nowait(None)
            self._money.put_nowait(None)

    async def _play(self, go: Go) -> None:
        assert self._phase is not None
        self._go, self._serial, self._held, self._grants = go, go.serial, go.allowance, 0
        self._granted, self._money = asyncio.Queue(), asyncio.Queue()
        if self._purse is not None:
            self._purse.left, self._purse.in_flight = go.money or 0, 0
        planned = self._phase.expected()
        place = go.place or 0
        arrivals = range(place, self._fleet.calls * go.agents if planned is None else planned, go.agents)
        due = 0 if go.place is None else len(arrivals)
        numbers = islice(each(go.numbers), place, None, go.agents)
        reached: str | None = None
        while due and not self._stopped and self.alive and reached is None:
            await asyncio.sleep(0)
            n = min(due, self._fleet.a_frame if self._held is None else min(self._fleet.a_frame, size(self._held)))
            n = self._paid(n)
            if not n:
                reached = await self._more(go)
                continue
            taken = list(islice(numbers, n))
            if self._held is not None:
                drawn, self._held = parted(self._held, n)
                taken = list(each(drawn)) if self._phase.closed else taken
            due -= n
            self._fleet.started += taken
            self._report(taken, final=False)
        left, self._go = self._held or (), None
        self._report([], final=True, left=left, reached=reached or "")

    async def _more(self, go: Go) -> str | None:
        """Ask for what there is none left of; which budget is spent where nobody has any, empty when stopped."""
        if self._held == ():
            self._fleet.say(Lack(self._number, go.serial))
            numbers = await self._granted.get()
            self._held, self._grants = numbers or (), self._grants + (numbers is not None)
            return None if numbers else "" if numbers is None else INVOCATIONS
        assert self._purse is not None
        rest = self._purse.cede(half=False)
        self._fleet.say(Lack(self._number, go.serial, money=self._purse.tariff.dearest, rest=rest))
        money = await self._money.get()
        return None if money else "" if money is None else COST

    def _paid(self, n: int) -> int:
        """How many of so many calls there is money for; they are paid."""
        if self._purse is None:
            return n
        paid = 0
        while paid < n and self._purse.covers:
            self._purse.in_flight += 1
            self._purse.settle(BILLED)
            paid += 1
        return paid

    def _report(self, started: list[int], *, final: bool, left: Ranges = (), reached: str = "") -> None:
        if not self.alive:
            return
        assert self._phase is not None
        said = frame(
            {"ok": [1000] * len(started)},
            phase=self._phase.name,
            agent=self._number,
            seq=self._seq,
            final=final,
            metrics={"ok/service_time": [1000] * len(started)},
            budget_reached=reached,
        )
        at_ns, own = self._seq * NS_PER_S, {"phase": self._phase.name, "agent": self._number}
        said.samples = [
            sample(intended_ns=at_ns + n, started_ns=at_ns + n, ended_ns=at_ns + n + MS, index=n, **own)
            for n in started
        ]
        said.left, said.grants = left, self._grants
        said.load_ns = self._phase.duration_ns if final else 0
        if self._purse is not None and started:
            assert BILLED.billed_duration_ns is not None
            said.tally.billed_ns = {1024: len(started) * BILLED.billed_duration_ns}
            said.tally.metered = len(started)
        said.dearest = 0 if self._purse is None else self._purse.tariff.dearest
        self._seq += 1
        self._fleet.say(said)
