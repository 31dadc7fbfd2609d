"""An agent on another machine: a process there, with somebody beside it who is asked from afar for what it says.

Theory of operation. A Berth lives in a process that is not the parent of the run and has a loop of its own, such as a
worker of a cluster. It starts the agent as ``LocalFleet`` does here, so the load is never on that loop, and carries
bytes to and fro: it understands none of them, and no file and no log gets any. Both ways are numbered, so that a call
that was made again because its answer was lost says nothing twice. What the agent says is kept until it is known to
have arrived.

The agent ends by itself when nobody renews its lease. One that is stopped cannot; so a Berth that nobody has called for
``FORSAKEN_S`` kills it.
"""

from __future__ import annotations

import asyncio
import platform
import resource
import socket
import sys
import time
from asyncio.subprocess import Process
from collections import deque
from contextlib import suppress
from itertools import islice

from msgspec import Struct

import loadgen
from loadgen.build import build
from loadgen.engine import cgroup
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.environment import environment
from loadgen.fleet.local import LocalFleet
from loadgen.fleet.port import Gone
from loadgen.measure.summary import Environment

FORSAKEN_S = 6.0
"""In this process's own waking time. Longer than an agent goes on without a lease."""
_LINGER_S = 0.5
_LOOK_S = 0.5
_AT_ONCE_BYTES = 2**23


class About(Struct, frozen=True):
    """The machine that an agent runs on, and the time of day there."""

    host: str
    environment: Environment
    files: int
    time_ns: int


class Words(Struct, frozen=True):
    """What an agent said: ``bodies``, of which the first is number ``first``, and how it ended, None if it has not."""

    first: int
    bodies: list[bytes]
    ended: str | None = None


def about() -> About:
    """What machine it is that this runs on."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    machine = environment(agents=0, scenario_sha256="", synthetic=False)
    return About(socket.gethostname(), machine, sys.maxsize if files < 0 else files, time.time_ns())


def versions() -> tuple[str, str, str]:
    """Of loadgen and Python, and which build it is."""
    return loadgen.__version__, platform.python_version(), build()


def cores() -> int:
    """How many this process may use."""
    return cgroup.usable_cores()


class _Hosted(LocalFleet):
    """One agent, which may open as many files as the system allows: nobody here knows how many it will need."""

    async def spawned(self, *arguments: str) -> Process:
        agent = await super().spawned(*arguments)
        if sys.platform == "linux":
            with suppress(OSError):
                _, hard = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
                resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (hard, hard))
        return agent


class Berth:
    """One agent. All but the constructor is called on one loop.

    What changes: ``_told`` is how often it was told something, ``_bodies`` what it said and was not heard yet, after
    ``_heard`` that were, and ``_ended`` how it ended; ``_calls`` counts who calls.
    """

    def __init__(self) -> None:
        self._fleet: LocalFleet | None = None
        self._told = self._heard = self._calls = 0
        self._bodies: deque[bytes] = deque()
        self._ended: str | None = None
        self._news: asyncio.Event | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> int:
        """Start the agent; its process id. Raises FleetError."""
        self._news = asyncio.Event()
        fleet = self._fleet = _Hosted()
        await fleet.start(1)
        self._tasks = [asyncio.create_task(self._listen(fleet)), asyncio.create_task(self._watch(fleet))]
        return fleet.pid(0)

    async def clock(self) -> tuple[int, int]:
        """The monotonic clock of this machine, which is the agent's, too; and its time of day."""
        return monotonic_ns(), time.time_ns()

    async def tell(self, number: int, messages: bytes) -> None:
        """Tell it this, the ``number``-th that it is told, from 1; again is not told again."""
        self._calls += 1
        if number == self._told + 1 and self._fleet is not None:
            self._told = number
            self._fleet.send(0, messages)

    async def said(self, heard: int) -> Words:
        """What it said after the first ``heard`` bodies; waits a moment where that is nothing yet."""
        assert self._news is not None
        self._calls += 1
        while self._heard < heard and self._bodies:
            self._bodies.popleft()
            self._heard += 1
        if not self._bodies and self._ended is None:
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LINGER_S)
        size = 0
        for number, body in enumerate(self._bodies):
            size += len(body)
            if size > _AT_ONCE_BYTES and number:
                return Words(self._heard, list(islice(self._bodies, number)))
        return Words(self._heard, list(self._bodies), self._ended)

    async def end(self) -> None:
        """Have it end at once, and say what it still has to."""
        if self._fleet is not None:
            self._fleet.end()

    async def kill(self) -> None:
        """Have it end without another word."""
        if self._fleet is not None:
            self._fleet.drop(0)

    async def _listen(self, fleet: LocalFleet) -> None:
        assert self._news is not None
        while True:
            received = await fleet.receive()
            if isinstance(received, Gone):
                self._ended = received.how
                self._news.set()
                return
            self._bodies.append(received.body)
            self._news.set()

    async def _watch(self, fleet: LocalFleet) -> None:
        """Kill the agent when nobody cares any more; what counts is how often that was looked at in vain."""
        patience = round(FORSAKEN_S / _LOOK_S)
        left, calls = patience, self._calls
        while left and self._ended is None:
            await asyncio.sleep(_LOOK_S)
            left = left - 1 if calls == self._calls else patience
            calls = self._calls
        fleet.drop(0)
