"""Agents as processes of this machine.

Each is a fresh interpreter (never a fork, so that no loop, lock or socket is inherited) in a session of its own, so
that Ctrl-C reaches the parent alone, which decides what it means, and with no more of the environment than Python and
TLS need, which may hold secrets. Stdin carries messages, stdout frames.

As long as the loop goes round, it renews the lease of every agent, and what it is to do besides must not keep it from
that: what may block (a terminal, a disk) or takes long is done in threads. Where it does not go round, because the
process is stopped, starved or dead, nobody would see what the load does or costs, and agents end it by themselves.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import msgspec

from loadgen.engine.child import child_environment
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
    read_body,
)
from loadgen.engine.numbers import ENDLESS, Ranges, shares
from loadgen.fleet.dealing import Dealer
from loadgen.invocation.start import Cuts
from loadgen.measure.interval import Frame
from loadgen.targets.target import Target

_EXIT_S = 5
_RENEWAL_S = 0.5
PATIENCE_S = 30.0
"""How long agents may say nothing: each sends a frame a second."""
_STDERR_TAIL = 2000


class FleetError(Exception):
    """An agent could not be started or died; the message says what it last said."""


class LocalFleet:
    """The agents of one run. An async context manager that leaves no process behind.

    Agents that say nothing for ``patience_s`` (opening connections: for that much longer than the connect timeout) are
    taken for dead: a FleetError.
    """

    def __init__(self, plans: list[Plan], *, patience_s: float = PATIENCE_S) -> None:
        self._plans = plans
        self._patience_s = patience_s
        self._agents: list[Process] = []
        self._readers: list[asyncio.Task[None]] = []
        self._received: asyncio.Queue[Frame | FleetError] = asyncio.Queue()
        self._dealer = Dealer(0, 0)
        self._renewing: asyncio.Task[None] | None = None
        self._dearest = self._size_mb = 0

    async def __aenter__(self) -> Self:
        try:
            for plan in self._plans:
                agent = await asyncio.create_subprocess_exec(
                    # -P: a random.py in the directory where loadgen is run is not to be imported in place of Python's
                    sys.executable,
                    "-P",
                    "-m",
                    "loadgen.engine.agent",
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=PIPE,
                    start_new_session=True,
                    env=child_environment(os.environ),
                )
                self._agents.append(agent)
                self._readers.append(asyncio.create_task(self._read(plan.agent, agent)))
                self._tell(agent, plan)
        except OSError as error:
            await self._close()
            raise FleetError(f"an agent could not be started: {error.strerror or error}") from error
        except BaseException:
            await self._close()
            raise
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    def use(self, phases: Phases) -> None:
        """Have every agent run these phases from now on, rather than those of its plan."""
        self._tell_all(phases)

    async def prepare(self, phase: int, connections: int, agents: int | None = None) -> list[Frame]:
        """Have the first ``agents`` agents, or all, open their share of connections; a frame of every agent, when done.

        Raises FleetError.
        """
        taking_part = len(self._agents) if agents is None else agents
        share = -(-connections // taking_part)
        for number, agent in enumerate(self._agents):
            self._tell(agent, Prepare(phase, share if number < taking_part else 0))
        patience_s = self._patience_s + self._plans[0].scenario.target.timeout.connect_ns / 1e9
        return [await self._receive(patience_s) for _ in self._agents]

    async def run(
        self,
        at_ns: int,
        *,
        agents: int | None = None,
        numbers: Ranges = ENDLESS,
        allowance: Ranges | None = None,
        rows: bool = False,
        money: int | None = None,
    ) -> AsyncIterator[Frame]:
        """Begin the prepared phase at an instant (monotonic); its frames as they come, each agent's last one ``final``.

        The first ``agents`` agents share it, None for all. ``numbers`` are those of its arrivals, ``allowance`` what
        may be started, None for any number, and ``money`` what may be spent; see ``Go``. Raises FleetError when an
        agent dies.
        """
        taking_part = len(self._agents) if agents is None else agents
        self._dealer = Dealer(taking_part, at_ns)
        dealt = [None] * taking_part if allowance is None else shares(allowance, taking_part)
        for number, agent in enumerate(self._agents):
            own = dealt[number] if number < taking_part else None
            part = None if money is None else money // taking_part + (number < money % taking_part)
            self._tell(agent, Go(at_ns, taking_part, numbers, own, rows, part if number < taking_part else None))
        left = len(self._agents)
        while left:
            frame = await self._receive(self._patience_s)
            left -= frame.final
            yield frame

    @property
    def left(self) -> Ranges:
        """What the phase that has ended was allowed to start, and did not."""
        return self._dealer.left

    def renew(self, target: Target) -> None:
        """Have every agent send the credentials of this target, the run's but for them, from its next start on."""
        self._tell_all(Renew(target))

    def split(self, cuts: Cuts) -> None:
        """Have every agent tell cold invocations from warm ones by these cuts, from the next phase on."""
        self._tell_all(Split(cuts))

    def stop(self) -> None:
        """End the phase under way: nothing more is started, what is in flight gets its grace."""
        self._tell_all(Stop())

    def cut(self) -> None:
        """End everything at once; the frames still come. An agent that does not end by itself is killed."""
        for agent in self._agents:
            if agent.stdin is not None and not agent.stdin.is_closing():
                agent.stdin.close()
                asyncio.get_running_loop().call_later(_EXIT_S, _kill, agent)

    async def _renew(self) -> None:
        """Renew every agent's lease for as long as this loop goes round."""
        while True:
            self._tell_all(self._lease())
            await asyncio.sleep(_RENEWAL_S)

    def _lease(self) -> Lease:
        return Lease(monotonic_ns() + LEASE_NS, self._dearest, self._size_mb)

    async def _receive(self, patience_s: float) -> Frame:
        try:
            received = await asyncio.wait_for(self._received.get(), patience_s)
        except TimeoutError:
            raise FleetError(
                f"no agent has said anything for {patience_s:g} s, expected a frame a second: is one suspended?"
            ) from None
        if isinstance(received, FleetError):
            raise received
        return received

    def _tell_all(self, message: Message) -> None:
        for agent in self._agents:
            self._tell(agent, message)

    def _tell(self, agent: Process, message: Message) -> None:
        if agent.stdin is not None and not agent.stdin.is_closing():
            agent.stdin.write(encode(message))

    def _heard(self, report: Report) -> None:
        """Take in what an agent says; what agents deal with each other is passed on at once."""
        match report:
            case Lack():
                told = self._dealer.lack(report)
            case Ceded():
                told = self._dealer.ceded(report)
            case Dearer():
                self._dearest = max(self._dearest, report.bill)
                self._tell_all(self._lease())  # at once, as the others go on starting meanwhile
                return
            case _:
                self._dearest = max(self._dearest, report.dearest)
                self._size_mb = max(self._size_mb, *report.tally.billed_ns, 0)
                self._received.put_nowait(report)
                told = self._dealer.ended(report.agent, report.left, report.grants) if report.final else []
        for agent, message in told:
            self._tell(self._agents[agent], message)

    async def _read(self, number: int, agent: Process) -> None:
        assert agent.stdout is not None
        assert agent.stderr is not None
        said = asyncio.create_task(_end_of(agent.stderr))
        try:
            while (body := await read_body(agent.stdout)) is not None:
                self._heard(decode_report(body))
        except msgspec.MsgspecError as error:
            self._received.put_nowait(FleetError(f"agent {number} sent what is not a frame: {error}"))
            return
        last_words = (await said).decode("utf-8", "replace").strip()
        code = await agent.wait()
        if code or last_words:
            end = f"died with exit code {code}" if code else "ended"
            self._received.put_nowait(FleetError(f"agent {number} {end}: {last_words or 'silently'}"))
        else:
            self._received.put_nowait(FleetError(f"agent {number} stopped before the end of the phase"))

    async def _close(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        self.cut()
        await asyncio.gather(*(agent.wait() for agent in self._agents))
        await asyncio.gather(*self._readers, return_exceptions=True)


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    """The last bytes of a stream, once it has ended."""
    end = b""
    while piece := await stream.read(65_536):
        end = (end + piece)[-_STDERR_TAIL:]
    return end


def _kill(agent: Process) -> None:
    if agent.returncode is None:
        agent.kill()
