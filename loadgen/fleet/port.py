"""Where agents run: all that a fleet has to be able to do.

A fleet starts agents, carries bytes to and from each, and ends them. What the bytes mean is none of its business: that
is the same wherever agents run (``loadgen.fleet.crew``).
"""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec import Struct


class FleetError(Exception):
    """An agent could not be started, died, or fell silent; the message says what it last said."""


class Said(Struct, frozen=True):
    """An agent said something: the body of one of ``loadgen.engine.messages``, without its length prefix."""

    agent: int
    body: bytes


class Gone(Struct, frozen=True):
    """An agent has ended, or is past understanding; ``how`` completes a sentence that begins with ``agent 0``.

    It says nothing any more. One that is not ``surely`` gone may go on with what it was told until its lease ends.
    """

    agent: int
    how: str
    surely: bool = True


def garbled(agent: int, error: msgspec.MsgspecError) -> Gone:
    """The end of an agent that sent what is neither a frame nor anything else it may say."""
    return Gone(agent, f"sent what is not a frame: {error}", surely=False)


class Fleet(Protocol):
    """Agents are numbered from 0.

    What one of them says or is told arrives in its order, and once or not at all. Of a frame that is lost the record of
    the run says so, as it does of one that came twice after all, which is not counted; what agents were dealt that is
    lost counts as spent. What agents deal bears no numbers: twice would be too much.
    """

    @property
    def patience_s(self) -> float:
        """How long all agents together may say nothing before they are taken for dead: each sends a frame a second."""

    @property
    def lead_ns(self) -> int:
        """How long before an instant agents have to be told what to do at it."""

    @property
    def has_our_files(self) -> bool:
        """Whether agents find the files that a scenario names where this process does; else they are sent."""

    async def start(self, agents: int) -> None:
        """Start so many agents; ``close`` has to follow. Raises FleetError, and then leaves none behind."""

    def ahead_ns(self, agent: int) -> int:
        """How far the agent's monotonic clock is ahead of this process's; negative where it is behind.

        By as much as it is wrong the agent begins early or late, and books too little or too much lateness where it
        waits for workers of agents with other clocks.
        """

    def error_ns(self, agent: int) -> int:
        """By how much ``ahead_ns`` may be wrong at most."""

    def send(self, agent: int, message: bytes) -> None:
        """Carry a message, length prefix included, to an agent, after those before; one that is gone misses nothing."""

    async def receive(self) -> Said | Gone:
        """What any agent said next, or that one is gone. Raises FleetError when nothing can be heard any more."""

    def end(self) -> None:
        """Have all agents end at once, which still say what they have to; one that does not end is killed soon."""

    def drop(self, agent: int) -> None:
        """Kill one that is lost, as far as it can be reached; waits for nothing."""

    async def close(self) -> None:
        """End all agents, and wait until there is none."""
