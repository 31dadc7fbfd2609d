"""The agents of one run, which play its phases together, wherever they run. Nothing here knows where.

As long as the loop goes round, it renews the lease of every agent, and what it is to do besides must not keep it from
that: what may block (a terminal, a disk) or takes long is done in threads. Where it does not go round, because the
process is stopped, starved or dead, nobody would see what the load does or costs, and agents end it by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from loadgen.engine.clock import monotonic_ns
from loadgen.engine.messages import (
    LEASE_NS,
    Ceded,
    Dearer,
    Go,
    Lack,
    Lease,
    Message,
    Phases,
    Plan,
    Prepare,
    Renew,
    Report,
    Split,
    Stop,
    decode_report,
    encode,
    moved,
)
from loadgen.engine.numbers import ENDLESS, Ranges, shares
from loadgen.fleet.dealing import Dealer
from loadgen.fleet.port import Fleet, FleetError, Gone, Said, garbled
from loadgen.measure.interval import Frame

_RENEWAL_S = 0.5


class Means(Struct, frozen=True):
    """What the agents of a phase may use together: the first ``agents`` of them share it, None for all.

    ``numbers`` are those of its arrivals, ``allowance`` what may be started, None for any number, and ``money`` what
    may be spent, None for any amount; see ``Go``.
    """

    agents: int | None = None
    numbers: Ranges = ENDLESS
    allowance: Ranges | None = None
    rows: bool = False
    money: int | None = None


class Crew:
    """The agents of one run on a fleet. An async context manager that leaves none of them behind.

    Agents that say nothing for the fleet's patience (opening connections: for that much longer than the connect
    timeout) are taken for dead: a FleetError.

    What changes: each phase has its Dealer, ``_begun`` counts them, ``_over`` keeps the numbers of the last frames of
    the phases that are over, and ``_last`` of all that came; ``_dearest`` and ``_size_mb`` grow with what agents tell.
    """

    def __init__(self, fleet: Fleet, plans: Sequence[Plan]) -> None:
        self._fleet = fleet
        self._plans = plans
        self._received: asyncio.Queue[Frame | FleetError] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = 0
        self._dealer = Dealer(0, self._begun)
        self._last: dict[int, int] = {}
        self._over: dict[int, int] = {}
        self._dearest = self._size_mb = 0

    async def __aenter__(self) -> Self:
        await self._fleet.start(len(self._plans))
        try:
            for plan in self._plans:
                self._tell(plan.agent, plan)
        except BaseException:
            await self._fleet.close()
            raise
        self._tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._hear())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        renewing, hearing = self._tasks
        renewing.cancel()
        await self._fleet.close()
        hearing.cancel()

    async def prepare(self, phase: int, connections: int, agents: int | None = None) -> list[Frame]:
        """Have the first ``agents`` agents, or all, open their share of connections; a frame of every agent, when done.

        Raises FleetError.
        """
        self._over = dict(self._last)
        taking_part = len(self._plans) if agents is None else agents
        share = -(-connections // taking_part)
        for agent in self._agents:
            self._tell(agent, Prepare(phase, share if agent < taking_part else 0))
        patience_s = self._fleet.patience_s + self._plans[0].scenario.target.timeout.connect_ns / 1e9
        ready: list[Frame] = []
        preparing = {*self._agents}
        while preparing:
            ready.append(await self._receive(patience_s))
            preparing.discard(ready[-1].agent)
        return ready

    async def run(self, at_ns: int, means: Means = Means()) -> AsyncIterator[Frame]:  # noqa: B008 - immutable
        """Begin the prepared phase at an instant (monotonic); its frames as they come, each agent's last one ``final``.

        Raises FleetError when an agent dies.
        """
        taking_part = len(self._plans) if means.agents is None else means.agents
        self._begun += 1
        self._dealer = Dealer(taking_part, self._begun)
        for agent, go in enumerate(_gos(at_ns, self._begun, taking_part, len(self._plans), means)):
            self._tell(agent, go)
        running = {*self._agents}
        while running:
            frame = await self._receive(self._fleet.patience_s)
            if frame.final:
                running.discard(frame.agent)
            yield frame

    @property
    def left(self) -> Ranges:
        """What the phase that has ended was allowed to start, and did not."""
        return self._dealer.left

    def tell(self, message: Phases | Renew | Split | Stop) -> None:
        """Tell every agent."""
        for agent in self._agents:
            self._tell(agent, message)

    def stop(self) -> None:
        """End the phase under way: nothing more is started, what is in flight gets its grace."""
        self.tell(Stop())

    def cut(self) -> None:
        """End everything at once; the frames still come. An agent that does not end by itself is killed."""
        self._fleet.end()

    @property
    def _agents(self) -> range:
        return range(len(self._plans))

    def _tell(self, agent: int, message: Message) -> None:
        """Tell an agent something; instants are of this process's clock."""
        self._fleet.send(agent, encode(moved(message, self._fleet.ahead_ns(agent))))

    async def _renew(self) -> None:
        """Renew every agent's lease for as long as this loop goes round."""
        while True:
            self._lease()
            await asyncio.sleep(_RENEWAL_S)

    def _lease(self) -> None:
        until_ns = monotonic_ns() + LEASE_NS
        for agent in self._agents:
            self._tell(agent, Lease(until_ns, self._dearest, self._size_mb))

    async def _receive(self, patience_s: float) -> Frame:
        """The next frame of this phase. One of a phase that is over came too late, or once more, and says nothing."""
        while True:
            try:
                received = await asyncio.wait_for(self._received.get(), patience_s)
            except TimeoutError:
                raise FleetError(
                    f"no agent has said anything for {patience_s:g} s, expected a frame a second: is one suspended?"
                ) from None
            if isinstance(received, FleetError):
                raise received
            if received.seq > self._over.get(received.agent, -1):
                self._last[received.agent] = max(received.seq, self._last.get(received.agent, -1))
                return received

    async def _hear(self) -> None:
        """Take in what agents say, for as long as there are any."""
        try:
            while True:
                received = await self._fleet.receive()
                self._heard(self._understood(received) if isinstance(received, Said) else received)
        except FleetError as error:
            self._received.put_nowait(error)
        except Exception as error:  # whatever it is, who waits for a frame has to know
            lost = FleetError(f"what agents say cannot be taken in any more ({type(error).__name__}: {error})")
            lost.__cause__ = error
            self._received.put_nowait(lost)

    def _understood(self, said: Said) -> Report | Gone:
        """What an agent says, in this process's clock."""
        try:
            return moved(decode_report(said.body), -self._fleet.ahead_ns(said.agent))
        except msgspec.MsgspecError as error:
            return garbled(said.agent, error)

    def _heard(self, report: Report | Gone) -> None:
        """Take in what an agent says; what agents deal with each other is passed on at once."""
        match report:
            case Gone(agent, how):
                self._received.put_nowait(FleetError(f"agent {agent} {how}"))
                return
            case Lack():
                told = self._dealer.lack(report)
            case Ceded():
                told = self._dealer.ceded(report)
            case Dearer():
                self._dearest = max(self._dearest, report.bill)
                self._lease()  # at once, as the others go on starting meanwhile
                return
            case _:
                self._dearest = max(self._dearest, report.dearest)
                self._size_mb = max(self._size_mb, *report.tally.billed_ns, 0)
                self._received.put_nowait(report)
                told = self._dealer.ended(report.agent, report.left, report.grants) if report.final else []
        for agent, message in told:
            self._tell(agent, message)


def _gos(at_ns: int, serial: int, taking_part: int, agents: int, means: Means) -> Iterator[Go]:
    """What each agent is told at the beginning of a phase. Those that take no part hold nothing of what is shared."""
    dealt = [None] * taking_part if means.allowance is None else shares(means.allowance, taking_part)
    for agent in range(agents):
        if agent < taking_part:
            money = means.money
            part = None if money is None else money // taking_part + (agent < money % taking_part)
            yield Go(at_ns, serial, taking_part, means.numbers, dealt[agent], means.rows, part)
        else:
            yield Go(at_ns, serial, taking_part, means.numbers, None, means.rows)
