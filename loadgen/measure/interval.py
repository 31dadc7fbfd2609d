"""What an agent reports each second: the frame, its wire form and nothing else.

A frame is a 4-byte big-endian length and a msgpack map. Histograms in a frame are packed sparse counts: ``n``
little-endian u16 slots followed by ``n`` little-endian u64 counts (10 bytes per used slot), slots in any order, each at
most once.
Frames of one agent and phase are deltas: adding them up gives the phase.

History of ``v``: 1, first version; ``type``, ``left``, ``grants``, ``paused_ns`` and ``dearest`` were added to it, and
``budget_reached`` became a name. 2, counts are in ``tally``, and histograms have a ``Cell`` instead of a name with
slashes. 3, a cell says whether its calls were disturbed; ``disturbed`` and ``unstamped`` in ``tally``,
``began_late_ns``, and ``clock_step_ns`` in ``health``. 4, ``calls``, and the call of samples, failures and the slowest;
``least`` was added to it.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from loadgen.invocation.cell import Cell
from loadgen.invocation.sample import Failure, Sample, Slow
from loadgen.invocation.tally import Tally

VERSION = 4
INTERVAL_NS = 1_000_000_000
"""How often an agent reports: at whole seconds of a phase, and when it ends."""


class Host(Struct):
    """The machine under an agent, over the ``observed_ns`` between two looks at it.

    Of the ``cores`` that the agent may use, ``least_idle_ns`` is the idle time of the one that had least, and
    ``stolen_ns`` the time that a hypervisor gave to others, of all of them together. ``throttled_ns`` is how long the
    CPU limit of the agent's control group held it back, ``throttled`` times; 0 where there is no limit.
    """

    cores: int = 0
    observed_ns: int = 0
    least_idle_ns: int = 0
    stolen_ns: int = 0
    throttled: int = 0
    throttled_ns: int = 0

    @property
    def least_idle(self) -> float | None:
        """The share of the time in which each moment's busiest core was idle; None when nobody looked."""
        return self.least_idle_ns / self.observed_ns if self.observed_ns else None

    @property
    def stolen(self) -> float | None:
        """The share of the cores' time that was stolen; None when nobody looked."""
        return self.stolen_ns / (self.observed_ns * self.cores) if self.observed_ns and self.cores else None

    def add(self, other: Host) -> None:
        """Add what was seen in another interval."""
        self.cores = max(self.cores, other.cores)
        self.observed_ns += other.observed_ns
        self.least_idle_ns += other.least_idle_ns
        self.stolen_ns += other.stolen_ns
        self.throttled += other.throttled
        self.throttled_ns += other.throttled_ns


class Health(Struct, frozen=True):
    """An agent's own state over an interval: the CPU time it used, and its memory at the end.

    A probe asks to be called every 20 ms by an alarm like the one that starts invocations. ``loop_lag_ns`` is by how
    much it was late at most, which is how long the event loop stood still; ``timer_error_ns`` by how much at least,
    which is the alarm's own part of it, None when it did not ring. ``gc_pause_ns`` is the longest of the
    ``gc_collections``. ``open_files`` were open at the end, None where the system does not say so cheaply;
    ``recent_connections`` were opened in the 60 s before, and may each still hold a local port. ``host`` is None when
    the machine was not looked at. ``clock_step_ns`` is by how much the clock of arrivals moved against the one of
    starts at most, beyond what is known of it: arrivals of the interval may be wrong by as much.
    """

    cpu_ns: int = 0
    rss_bytes: int = 0
    gc_collections: int = 0
    gc_pause_ns: int = 0
    loop_lag_ns: int = 0
    timer_error_ns: int | None = None
    open_files: int | None = None
    recent_connections: int = 0
    host: Host | None = None
    clock_step_ns: int = 0


class Frame(Struct, tag="frame"):
    """One interval of one agent in one phase. Instants are ns since the run began; ``tally`` is of this interval only.

    Of a mix, ``calls`` has each call's part of the tally, but for what is of connections, in the scenario's order.
    ``seq`` numbers an agent's frames from 0, over the run or over each phase. ``hist`` are packed histograms, each of a
    cell of this phase; ``least`` are those of what disturbed ok calls would have taken at least, where that is known.
    ``feeder_exhausted`` says that a feeder read ``once`` ran out and ended the phase, ``budget_reached`` which budget
    did (``invocations``, ``cost``, empty for none), ``short_of_workers`` that a start found all workers of all agents
    busy. ``final`` marks the last frame of the phase, which says in ``load_ns`` how long the phase sent load, in
    ``left`` what of its allowance the agent did not use (ranges of numbers), and in ``grants`` how often it was given
    more. ``paused_ns`` is for how long it held back what was to be started, because its lease was not renewed.
    ``began_late_ns`` is how late the agent began the phase, in its first frame of it.
    ``dearest`` is the dearest bill known to the agent (``measure.purse``), 0 where nothing limits what may be spent.
    """

    v: int
    agent: int
    seq: int
    phase: str
    from_ns: int
    to_ns: int
    tally: Tally
    hist: dict[Cell, bytes]
    health: Health
    samples: list[Sample] = []
    failures: list[Failure] = []
    slowest: list[Slow] = []
    feeder_exhausted: bool = False
    budget_reached: str = ""
    final: bool = False
    load_ns: int = 0
    short_of_workers: bool = False
    left: tuple[tuple[int, int], ...] = ()
    grants: int = 0
    paused_ns: int = 0
    dearest: int = 0
    began_late_ns: int = 0
    calls: dict[str, Tally] = {}
    least: dict[Cell, bytes] = {}


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    """The frame as it travels, length prefix included."""
    body = _ENCODER.encode(frame)
    return len(body).to_bytes(4, "big") + body


T = TypeVar("T")


def decode(body: bytes) -> Frame:
    """The frame of a body without its length prefix.

    Raises msgspec.ValidationError or msgspec.DecodeError when the bytes are not a frame of this version.
    """
    return checked(body, _DECODER)


def checked(body: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """What a decoder makes of a body, frames of this version only; see ``decode``."""
    try:
        said = decoder.decode(body)
    except UnicodeDecodeError as error:  # msgspec leaves this one to Python
        raise msgspec.DecodeError(f"text that is not UTF-8: {error}") from error
    if isinstance(said, Frame) and said.v != VERSION:
        raise msgspec.ValidationError(f"frame version {said.v}, expected {VERSION}")
    return said
