"""Agents as processes of this machine.

Each is a fresh interpreter (never a fork, so that no loop, lock or socket is inherited) in a session of its own, so
that Ctrl-C reaches the parent alone, which decides what it means, and with no more of the environment than Python and
TLS need, which may hold secrets. Stdin carries messages, stdout frames.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

import msgspec

from loadgen.engine.child import child_command, child_environment
from loadgen.engine.cores import Own
from loadgen.engine.messages import read_body
from loadgen.fleet.port import FleetError, Gone, Said, garbled

_EXIT_S = 5
_STDERR_TAIL = 2000


class LocalFleet:
    """See Fleet. ``start`` is what changes it: from then on there are processes, each with a task that reads it.

    ``own`` are the cores of agents, of the first one first; those that have none run wherever there is room.
    """

    lead_ns = 50_000_000
    has_our_files = True

    def __init__(self, own: Sequence[Own] = (), *, patience_s: float = 30.0) -> None:
        self.patience_s = patience_s
        self._own = own
        self._agents: list[Process] = []
        self._readers: list[asyncio.Task[None]] = []
        self._received: asyncio.Queue[Said | Gone] = asyncio.Queue()

    async def start(self, agents: int) -> None:
        """See Fleet."""
        try:
            for number in range(agents):
                agent = await self.spawned(*map(_told, self._own[number : number + 1]))
                self._agents.append(agent)
                self._readers.append(asyncio.create_task(self._read(number, agent)))
        except OSError as error:
            await self.close()
            raise FleetError(f"an agent could not be started: {error.strerror or error}") from error
        except BaseException:
            await self.close()
            raise

    async def spawned(self, *arguments: str) -> Process:
        """A new agent, told these arguments; raises OSError.

        A fleet that starts them by another command is otherwise the same.
        """
        return await asyncio.create_subprocess_exec(
            *child_command("loadgen.engine.agent", *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
            env=child_environment(os.environ),
        )

    def ahead_ns(self, agent: int) -> int:
        """See Fleet: processes of one machine have one monotonic clock."""
        return 0

    def error_ns(self, agent: int) -> int:
        """See Fleet."""
        return 0

    def pid(self, agent: int) -> int:
        """Its process id."""
        return self._agents[agent].pid

    def send(self, agent: int, message: bytes) -> None:
        """See Fleet."""
        stdin = self._agents[agent].stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(message)

    async def receive(self) -> Said | Gone:
        """See Fleet."""
        return await self._received.get()

    def end(self) -> None:
        """See Fleet: the end of its stdin ends an agent."""
        for agent in self._agents:
            if agent.stdin is not None and not agent.stdin.is_closing():
                agent.stdin.close()
                asyncio.get_running_loop().call_later(_EXIT_S, _kill, agent)

    def drop(self, agent: int) -> None:
        """See Fleet."""
        if agent < len(self._agents):
            _kill(self._agents[agent])

    async def close(self) -> None:
        """See Fleet."""
        self.end()
        await asyncio.gather(*(agent.wait() for agent in self._agents))
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _read(self, number: int, agent: Process) -> None:
        assert agent.stdout is not None
        assert agent.stderr is not None
        said = asyncio.create_task(_end_of(agent.stderr))
        try:
            while (body := await read_body(agent.stdout)) is not None:
                self._received.put_nowait(Said(number, body))
        except msgspec.MsgspecError as error:
            self._received.put_nowait(garbled(number, error))
            return
        last_words = (await said).decode("utf-8", "replace").strip()
        code = await agent.wait()
        self._received.put_nowait(Gone(number, _how(code, last_words)))


def _how(code: int, last_words: str) -> str:
    """How an agent ended."""
    if code or last_words:
        return f"{f'died with exit code {code}' if code else 'ended'}: {last_words or 'silently'}"
    return "stopped before the end of the phase"


def _told(own: Own) -> str:
    return msgspec.json.encode(own).decode()


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    """The last bytes of a stream, once it has ended."""
    end = b""
    while piece := await stream.read(65_536):
        end = (end + piece)[-_STDERR_TAIL:]
    return end


def _kill(agent: Process) -> None:
    if agent.returncode is None:
        agent.kill()
