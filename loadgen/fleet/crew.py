"""The agents of one run, which play its phases together, wherever they run. Nothing here knows where.

As long as the loop goes round, it renews the lease of every agent, and what it is to do besides must not keep it from
that: what may block (a terminal, a disk) or takes long is done in threads. Where it does not go round, because the
process is stopped, starved or dead, nobody would see what the load does or costs, and agents end it by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from loadgen.engine.clock import monotonic_ns
from loadgen.engine.messages import (
    LEASE_NS,
    Alive,
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
    TakeOver,
    decode_report,
    encode,
    moved,
)
from loadgen.engine.numbers import ENDLESS, Ranges, shares
from loadgen.fleet.dealing import Dealer
from loadgen.fleet.files import by_value, pieces
from loadgen.fleet.port import Fleet, FleetError, Gone, Said, garbled
from loadgen.measure.interval import Frame
from loadgen.scenario.model import OnAgentLoss

_RENEWAL_S = 0.5
SILENT = 5
"""Renewals in a row that an agent may leave unanswered, before it is taken for lost: 2.5 s, longer than a lease."""


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


class Lost(Struct, frozen=True):
    """An agent is lost; ``how`` completes a sentence that begins with ``agent 0``.

    It took part in a phase where it had a ``part`` of it, and was missed ``at_ns`` after the phase's beginning;
    ``taken_over`` says that others make its part from then on.
    """

    agent: int
    how: str
    part: bool
    at_ns: int
    taken_over: bool


class Crew:
    """The agents of one run on a fleet. An async context manager that leaves none of them behind.

    An agent answers each renewal of its lease. One that leaves ``SILENT`` of them unanswered is lost, as is one that
    has died: it is killed, what it said until then stands, and what it says after that is not heard. The scenario's
    ``on_agent_loss`` says what becomes of its part of the load; later phases are made by those that are left. Where
    nobody is left, or the load is to stop, a FleetError says so.

    The last one is waited for longer, as nobody could do better: for the fleet's patience, in which agents say nothing
    (opening connections: for that much longer than the connect timeout).

    What changes: each phase has its Dealer, ``_begun`` counts them, ``_over`` keeps the numbers of the last frames of
    the phases that are over, and ``_last`` of all that came; ``_dearest`` and ``_size_mb`` grow with what agents tell.
    ``_living`` loses agents, ``_parts`` is what each makes of the phase under way, ``_leases_ns`` until when it may
    start something, as far as it was told, and ``_silent`` how many renewals it has left unanswered since it said
    something last, None before it has said anything.
    """

    def __init__(self, fleet: Fleet, plans: Sequence[Plan], notice: Callable[[str], None] = lambda _: None) -> None:
        """``notice`` is told of agents that are lost."""
        self._fleet = fleet
        self._plans = plans
        self._notice = notice
        self._on_loss = plans[0].scenario.on_agent_loss
        self._received: asyncio.Queue[Frame | Lost | FleetError] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = 0
        self._dealer = Dealer((), self._begun)
        self._last: dict[int, int] = {}
        self._over: dict[int, int] = {}
        self._dearest = self._size_mb = 0
        self._living = [plan.agent for plan in plans]
        self._silent: dict[int, int | None] = dict.fromkeys(self._living)
        self._heard_ns: dict[int, int] = {}
        self._leases_ns: dict[int, int] = {}
        self._parts: dict[int, list[tuple[int, int]]] = {}
        self._at_ns = 0
        self._cut = False
        self.losses: list[Lost] = []

    async def __aenter__(self) -> Self:
        await self._fleet.start(len(self._plans))
        try:
            await self._send_files()
            for plan in self._plans:
                self._tell(plan.agent, plan if self._fleet.has_our_files else by_value(plan))
        except BaseException:
            await self._fleet.close()
            raise
        self._tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._hear())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cut = True
        renewing, hearing = self._tasks
        renewing.cancel()
        await self._fleet.close()
        hearing.cancel()

    async def _send_files(self) -> None:
        """Send what agents do not find where they are. Raises FleetError."""
        if self._fleet.has_our_files:
            return
        of_rows = pieces(self._plans[0].scenario)
        while (piece := await asyncio.to_thread(next, of_rows, None)) is not None:
            message = encode(piece)
            for agent in self._living:
                self._fleet.send(agent, message)

    async def prepare(self, phase: int, connections: int, agents: int | None = None) -> list[Frame]:
        """Have the first ``agents`` agents, or all, open their share of connections; a frame of every agent, when done.

        Raises FleetError.
        """
        self._over, self._parts = dict(self._last), {}
        taking_part = set(self._living[:agents])
        share = -(-connections // max(1, len(taking_part)))
        for agent in self._living:
            self._tell(agent, Prepare(phase, share if agent in taking_part else 0))
        patience_s = self._fleet.patience_s + self._plans[0].scenario.target.timeout.connect_ns / 1e9
        ready: list[Frame] = []
        preparing = {*self._living}
        while preparing:
            received = await self._receive(patience_s)
            preparing.discard(received.agent)
            if isinstance(received, Frame):
                ready.append(received)
            else:
                self._bear(received)
                if self._stops:
                    raise FleetError(_stopped(received))
        return [frame for frame in ready if frame.agent in self._living]

    async def run(self, at_ns: int, means: Means = Means()) -> AsyncIterator[Frame]:  # noqa: B008 - immutable
        """Begin the prepared phase at an instant (monotonic); its frames as they come, each agent's last one ``final``.

        ``losses`` are of agents that have none. Raises FleetError when all are lost, or one where the load is to stop;
        then what is in flight is waited for.
        """
        taking_part = self._living[: means.agents]
        self._begun += 1
        self._at_ns = at_ns
        self._parts = {agent: [(place, len(taking_part))] for place, agent in enumerate(taking_part)}
        self._dealer = Dealer(taking_part, self._begun)
        for agent, go in _gos(at_ns, self._begun, taking_part, self._living, means):
            self._tell(agent, go)
        running = {*self._living}
        stopped: Lost | None = None
        while running:
            received = await self._receive(self._fleet.patience_s)
            if isinstance(received, Frame):
                if received.final:
                    running.discard(received.agent)
                yield received
                continue
            running.discard(received.agent)
            self._bear(received)
            if self._stops and stopped is None:
                stopped = received
                self.stop()
        self._parts = {}
        if stopped is not None:
            raise FleetError(_stopped(stopped))

    @property
    def _stops(self) -> bool:
        """Whether the load ends with the loss of any agent."""
        return self._on_loss is OnAgentLoss.STOP and not self._cut

    def _bear(self, lost: Lost) -> None:
        """Go on without an agent, as long as there are others. Raises FleetError."""
        self.losses.append(lost)
        if not self._living:
            raise FleetError(f"agent {lost.agent} {lost.how}")

    def error_ns(self, agent: int) -> int:
        """By how much the clock of an agent may be off."""
        return self._fleet.error_ns(agent)

    @property
    def lead_ns(self) -> int:
        """How long before a phase begins agents have to be told."""
        return self._fleet.lead_ns

    @property
    def left(self) -> Ranges:
        """What the phase that has ended was allowed to start, and did not."""
        return self._dealer.left

    def tell(self, message: Phases | Renew | Split | Stop) -> None:
        """Tell every agent."""
        for agent in self._living:
            self._tell(agent, message)

    def stop(self) -> None:
        """End the phase under way: nothing more is started, what is in flight gets its grace."""
        self.tell(Stop())

    def cut(self) -> None:
        """End everything at once; the frames still come. An agent that does not end by itself is killed."""
        self._cut = True
        self._fleet.end()

    def _tell(self, agent: int, message: Message) -> None:
        """Tell an agent something; instants are of this process's clock."""
        self._fleet.send(agent, encode(moved(message, self._fleet.ahead_ns(agent))))

    async def _renew(self) -> None:
        """Renew every agent's lease for as long as this loop goes round."""
        while True:
            self._miss()
            self._lease()
            await asyncio.sleep(_RENEWAL_S)

    def _lease(self) -> None:
        for agent in self._living:
            until_ns = self._until_ns(agent)
            self._leases_ns[agent] = max(until_ns, self._leases_ns.get(agent, 0))
            self._tell(agent, Lease(until_ns, self._dearest, self._size_mb))

    def _until_ns(self, agent: int) -> int:
        """Until when an agent may start something.

        Where others take over what it leaves, that is over before they do, though nothing that it says should arrive.
        """
        now = monotonic_ns()
        if self._on_loss is OnAgentLoss.REDISTRIBUTE and len(self._living) > 1:
            return min(now, self._heard_ns.get(agent, now)) + LEASE_NS
        return now + LEASE_NS

    def _miss(self) -> None:
        """Take those for lost that have not answered for too long, in this process's own waking time."""
        for agent in list(self._living):
            silent = self._silent[agent]
            if silent is not None:
                said = f"has said nothing for {silent * _RENEWAL_S:g} s, expected an answer twice a second"
                if silent >= SILENT and len(self._living) > 1 and not self._cut:
                    self._lose(agent, said, surely=False)
                    continue
                if silent == SILENT and not self._cut:
                    self._notice(f"warning: agent {agent} {said}: is it suspended? It is the last one, and waited for.")
                self._silent[agent] = silent + 1

    async def _receive(self, patience_s: float) -> Frame | Lost:
        """The next frame of this phase, or that an agent is lost.

        A frame of a phase that is over came too late, or once more, and says nothing.
        """
        while True:
            try:
                received = await asyncio.wait_for(self._received.get(), patience_s)
            except TimeoutError:
                raise FleetError(
                    f"no agent has said anything for {patience_s:g} s, expected a frame a second: is one suspended?"
                ) from None
            if isinstance(received, FleetError):
                raise received
            if isinstance(received, Lost):
                return received
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
        if report.agent not in self._living:
            return
        self._silent[report.agent], self._heard_ns[report.agent] = 0, monotonic_ns()
        match report:
            case Gone(agent, how, surely):
                self._lose(agent, how, surely=surely)
                return
            case Alive():
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
                told = []
                if report.final:
                    self._parts.pop(report.agent, None)
                    told = self._dealer.ended(report.agent, report.left, report.grants)
        for agent, message in told:
            self._tell(agent, message)

    def _lose(self, agent: int, how: str, *, surely: bool) -> None:
        """An agent is no more, or not to be reached: what is to be done without it.

        What it may still start under its lease is left to it.
        """
        self._living.remove(agent)
        if not self._cut:
            self._fleet.drop(agent)
        parts, left = self._parts.pop(agent, []), [other for other in self._living if other in self._parts]
        lease_ns = 0 if surely else self._leases_ns.get(agent, 0) + self._fleet.error_ns(agent)
        now = monotonic_ns()
        taken_over = bool(parts and left) and self._on_loss is OnAgentLoss.REDISTRIBUTE and not self._cut
        moved = self._dealer.moved(agent)
        for other, message in self._dealer.lost(agent):
            self._tell(other, message)
        at_ns = max(0, now - self._at_ns)
        if taken_over:
            at_ns = max(0, max(now + self._fleet.lead_ns, lease_ns) - self._at_ns)
            for place, other in enumerate(left):
                own = tuple((first + place * step, step * len(left)) for first, step in parts)
                self._parts[other] += own
                # // rounds down, so that of workers given away nobody has more than there are
                self._tell(other, TakeOver(self._begun, own, at_ns, moved // len(left)))
        self._received.put_nowait(Lost(agent, how, bool(parts), at_ns, taken_over))
        if self._living and not self._cut:
            still = f"{len(self._living)} of {len(self._plans)} agents are left"
            goes_on = "The run goes on" + (", and this phase without its part" if parts else "")
            then = "The load ends" if self._stops else "The others take over its part" if taken_over else goes_on
            self._notice(f"warning: agent {agent} {how}. {then}. {still}.")


def _stopped(lost: Lost) -> str:
    """Why the load has ended."""
    return f"agent {lost.agent} {lost.how}. The load was ended, as on_agent_loss is stop"


def _gos(
    at_ns: int, serial: int, taking_part: Sequence[int], agents: Sequence[int], means: Means
) -> Iterator[tuple[int, Go]]:
    """What each agent is told at the beginning of a phase. Those that take no part hold nothing of what is shared."""
    number = len(taking_part)
    dealt = [None] * number if means.allowance is None else shares(means.allowance, number)
    for agent in agents:
        if agent in taking_part:
            place, money = taking_part.index(agent), means.money
            part = None if money is None else money // number + (place < money % number)
            yield agent, Go(at_ns, serial, number, means.numbers, dealt[place], means.rows, part, place)
        else:
            yield agent, Go(at_ns, serial, number, means.numbers, None, means.rows)
