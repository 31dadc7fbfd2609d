"""What an agent is told, on its stdin, and what it says: length-prefixed msgpack.

First the Plan, once. Phases replaces the phases that the Plan's scenario names. For each phase there is Prepare, which
the agent answers with an empty frame when its connections are open, and Go, with the instant at which the phase begins.
Renew, at any time, replaces the credentials; Split says how to tell cold invocations from warm ones. Stop ends the
phase under way as its schedule would have: nothing more is started, what is in flight gets its grace. The end of file,
whether asked for or because the parent died, ends everything at once.

An agent holds a lease on whatever it may use: time, invocations, money. It starts nothing once its time is over, until
the parent renews it (Lease), and ends by itself when that does not happen. So what goes wrong with the parent, or on
the way, ends the load.

Besides its frames an agent says when it is short of something that it shares with other agents: starts, money or
workers (Lack). The parent asks those for some of theirs (Cede), and passes on (GrantStarts, GrantMoney, GrantWorkers)
what they give (Ceded). What is in such a message belongs to nobody else, so that the sum never exceeds what is allowed.

Credentials reach an agent this way only, never by its arguments or environment, which other processes can read.
"""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader
from typing import TypeVar

import msgspec
from msgspec import Struct

from loadgen.engine.numbers import Ranges
from loadgen.invocation.start import Cuts
from loadgen.load.phase import Phase
from loadgen.measure.interval import Frame, checked
from loadgen.scenario.model import Scenario
from loadgen.targets.port import MemoryTurns, Probe
from loadgen.targets.registry import decoded
from loadgen.targets.target import Target

LEASE_NS = 2_000_000_000
"""How long a lease is good for from when it is given; it is renewed at least each second."""


class Plan(Struct, frozen=True, tag="plan"):
    """The run.

    ``address`` is what the target's name was resolved to, the first of the ``addresses`` that are called; ``origin_ns``
    (monotonic) is when the run began. ``agent`` is the agent's own number, from 0. ``size_mb`` is the memory of the
    calls and ``dearest`` the dearest bill, in trillionths of the currency, as far as they are known before the load.
    ``probe`` says where answers tell whether their start was cold, if the function is a probe.
    """

    scenario: Scenario
    address: str
    agent: int
    origin_ns: int
    size_mb: int | None = None
    dearest: int = 0
    probe: Probe | None = None
    addresses: tuple[str, ...] = ()


class Piece(Struct, frozen=True, tag="piece"):
    """The next bytes of a file that the Plan, which follows, names by this path; it is on no disk of the agent's."""

    path: str
    data: bytes


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
    """Begin the prepared phase at this instant (monotonic ns), as number ``serial`` of the phases that were begun.

    So many ``agents`` take part; this one is in ``place`` i of them, None where it is not. Of an open phase's schedule
    it takes the offsets n with n mod ``agents`` = i, and the n-th arrival has the n-th of ``numbers``.
    ``allowance`` is what this agent may start for now, None for any number: in a closed phase the
    numbers of its arrivals, else only their count means anything. ``rows`` says that the allowance ends with a feeder's
    rows, rather than with the budget. ``money`` is what it may spend for now, in trillionths of the currency, None for
    any amount.
    """

    at_ns: int
    serial: int
    agents: int
    numbers: Ranges
    allowance: Ranges | None
    rows: bool = False
    money: int | None = None
    place: int | None = None


class Lease(Struct, frozen=True, tag="lease"):
    """What you hold is yours until ``until_ns`` (monotonic); then start nothing until there is a new lease.

    ``dearest`` is the dearest bill that any agent has told, in trillionths of the currency, and ``size_mb`` the largest
    memory.
    """

    until_ns: int
    dearest: int = 0
    size_mb: int = 0


class Cede(Struct, frozen=True, tag="cede"):
    """Say in a Ceded what you can do without: starts, money, or workers for a start that fell due at ``due_ns``.

    ``deal`` is the number of this request. An agent whose run has ended answers one for starts with its last frame.
    """

    deal: int
    due_ns: int | None = None
    money: bool = False


class GrantStarts(Struct, frozen=True, tag="grant_starts"):
    """Start these as well; none says that no agent has any left."""

    numbers: Ranges


class GrantMoney(Struct, frozen=True, tag="grant_money"):
    """Spend that much more, in trillionths of the currency; 0 says that no agent has any left."""

    money: int


class GrantWorkers(Struct, frozen=True, tag="grant_workers"):
    """Have so many workers more, which could have been used since ``since_ns``; 0: since then nobody has had any.

    ``waiting_ns`` is when the oldest start fell due that waits at yet another agent, null where none does.
    """

    workers: int
    since_ns: int
    waiting_ns: int | None


class TakeOver(Struct, frozen=True, tag="take_over"):
    """Another agent of the phase with this ``serial`` is lost: make this part of its load as well.

    Each of the ``parts`` is (first, step): of the schedule, or of the phase's workers, those with the numbers first,
    first + step and so on; of the schedule from ``from_ns`` after the phase's beginning on. With it come ``workers``
    more or fewer than the part's share of max_in_flight.
    """

    serial: int
    parts: tuple[tuple[int, int], ...]
    from_ns: int
    workers: int = 0


class Renew(Struct, frozen=True, tag="renew"):
    """From the next start on, requests carry the credentials of this target, which is the run's but for them."""

    target: Target


class Split(Struct, frozen=True, tag="split"):
    """From the next phase on, tell cold invocations from warm ones by these cuts."""

    cuts: Cuts


class Stop(Struct, frozen=True, tag="stop"):
    """End the phase under way."""


Message = (
    Piece
    | Plan
    | Phases
    | Prepare
    | Go
    | Lease
    | Cede
    | GrantStarts
    | GrantMoney
    | GrantWorkers
    | TakeOver
    | Renew
    | Split
    | Stop
)
"""What an agent is told."""


class Lack(Struct, frozen=True, tag="lack"):
    """An agent has nothing more that it may start; or, with ``due_ns``, no worker for the start that fell due then.

    With ``money`` it may start more, but has not the money for it: one start takes that much, and ``rest`` is what it
    had left, which it gives away. ``serial`` is that of the phase's Go.
    """

    agent: int
    serial: int
    due_ns: int | None = None
    money: int = 0
    rest: int = 0


class Ceded(Struct, frozen=True, tag="ceded"):
    """What an agent gives away, in answer to the Cede of this number, or because others wait for it (``deal`` null).

    The ``workers`` could have been used since ``since_ns``; where there are none of them, there have been none since.
    ``serial`` is that of the phase's Go.
    """

    agent: int
    serial: int
    deal: int | None
    numbers: Ranges = ()
    workers: int = 0
    since_ns: int = 0
    money: int = 0


class Dearer(Struct, frozen=True, tag="dearer"):
    """A bill, in trillionths of the currency, that is dearer than any that this agent knew."""

    agent: int
    bill: int


class Alive(Struct, frozen=True, tag="alive"):
    """An agent has got its lease."""

    agent: int


Report = Frame | Lack | Ceded | Dearer | Alive
"""What an agent says."""

_INSTANTS: dict[type[Struct], tuple[str, ...]] = {
    Plan: ("origin_ns",),
    Go: ("at_ns",),
    Lease: ("until_ns",),
    Cede: ("due_ns",),
    GrantWorkers: ("since_ns", "waiting_ns"),
    Lack: ("due_ns",),
    Ceded: ("since_ns",),
}
"""The instants of a monotonic clock in each message; those in a Frame count from the origin of the run."""

_Said = TypeVar("_Said", bound=Message | Report)

LONGEST = 2**28
"""Bytes of a message or frame: those of a second in which a million samples were kept."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message, dec_hook=decoded)
_REPORT_DECODER: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)


def encode(message: Message | Lack | Ceded | Dearer | Alive) -> bytes:
    """The message as it travels, length prefix included."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode(body: bytes) -> Message:
    """The message of a body without its length prefix; raises msgspec.DecodeError."""
    return _DECODER.decode(body)


def decode_report(body: bytes) -> Report:
    """What an agent says in a body without its length prefix; raises msgspec.MsgspecError."""
    return checked(body, _REPORT_DECODER)


def moved(message: _Said, by_ns: int) -> _Said:
    """The message, with its instants on a clock that is that much ahead of the one they were on."""
    if not by_ns:
        return message
    instants = {name: getattr(message, name) for name in _INSTANTS.get(type(message), ())}
    known = {name: at_ns + by_ns for name, at_ns in instants.items() if at_ns is not None}
    return msgspec.structs.replace(message, **known)


async def read_body(stream: StreamReader) -> bytes | None:
    """The next length-prefixed body of a stream, message or frame; None at its end, even in the middle of one.

    Raises msgspec.DecodeError for a length that none of them has.
    """
    try:
        size = int.from_bytes(await stream.readexactly(4), "big")
        if size > LONGEST:
            raise msgspec.DecodeError(f"got a length of {size:,} bytes, expected at most {LONGEST:,}")
        return await stream.readexactly(size)
    except IncompleteReadError:
        return None
