"""What an agent is told, on its stdin: length-prefixed msgpack, like the frames it answers with.

First the Plan, once. Phases replaces the phases that the Plan's scenario names. For each phase there is Prepare, which
the agent answers with an empty frame when its connections are open, and Go, with the instant at which the phase begins.
Renew, at any time, replaces the token; Split says how to tell cold invocations from warm ones. Stop ends the phase
under way as its schedule would have: nothing more is started, what is in flight gets its grace. The end of file,
whether asked for or because the parent died, ends everything at once.

Credentials reach an agent this way only, never by its arguments or environment, which other processes can read.
"""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader

import msgspec
from msgspec import Struct

from loadgen.measure.start import Cuts
from loadgen.scenario.model import MemoryTurns, Phase, Scenario, TokenAuth


class Plan(Struct, frozen=True, tag="plan"):
    """The run.

    ``address`` is what the target's name was resolved to; ``origin_ns`` (monotonic) is when the run began;
    ``allowance`` is how many invocations this agent may start in all.

    Of every schedule the agent takes the offsets n with n mod ``agents`` = ``agent``.
    """

    scenario: Scenario
    address: str
    agent: int
    agents: int
    origin_ns: int
    allowance: int | None


class Phases(Struct, frozen=True, tag="phases"):
    """From now on these are the phases of the run, and Prepare counts them from 0.

    ``memory_mb`` is the memory size that each asks for, or the sizes that its arrivals ask for in turns, None for the
    target's own; ``versions`` is the version that each calls, or ``!`` and an alias, None for the target's own. Either
    is empty where all of them have the target's own.
    ``sample_share`` is the share of the invocations whose samples are kept.
    """

    phases: tuple[Phase, ...]
    sample_share: float
    memory_mb: tuple[MemoryTurns, ...] = ()
    versions: tuple[str | None, ...] = ()


class Prepare(Struct, frozen=True, tag="prepare"):
    """Open ``connections`` connections for phase number ``phase``, then send a frame without counts."""

    phase: int
    connections: int


class Go(Struct, frozen=True, tag="go"):
    """Begin the prepared phase at this instant (monotonic ns); its arrivals are numbered from ``first_index`` on."""

    at_ns: int
    first_index: int


class Renew(Struct, frozen=True, tag="renew"):
    """From the next start on, requests carry this token."""

    auth: TokenAuth


class Split(Struct, frozen=True, tag="split"):
    """From the next phase on, tell cold invocations from warm ones by these cuts."""

    cuts: Cuts


class Stop(Struct, frozen=True, tag="stop"):
    """End the phase under way."""


Message = Plan | Phases | Prepare | Go | Renew | Split | Stop

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The message as it travels, length prefix included."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode(body: bytes) -> Message:
    """The message of a body without its length prefix; raises msgspec.DecodeError."""
    return _DECODER.decode(body)


async def read_body(stream: StreamReader) -> bytes | None:
    """The next length-prefixed body of a stream, message or frame; None at its end, even in the middle of one."""
    try:
        size = int.from_bytes(await stream.readexactly(4), "big")
        return await stream.readexactly(size)
    except IncompleteReadError:
        return None
