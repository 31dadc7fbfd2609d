"""What an agent reports each second: the frame, its wire form and nothing else.

A frame is a 4-byte big-endian length and a msgpack map. Histograms in a frame are packed sparse counts: ``n``
little-endian u16 slots followed by ``n`` little-endian u64 counts (10 bytes per used slot), slots in any order, each at
most once.
Frames of one agent and phase are deltas: adding them up gives the phase.

History of ``v``: 1, first version.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

VERSION = 1


class Sample(Struct, frozen=True, gc=False, omit_defaults=False):
    """One invocation, kept when the scenario asks for samples; a line of samples.ndjson.

    Instants are ns since the run began.
    """

    intended_ns: int
    started_ns: int | None
    ended_ns: int
    phase: str
    agent: int
    index: int
    outcome: str
    reason: str
    status: int | None
    error_code: str | None
    duration_ns: int | None
    billed_duration_ns: int | None
    memory_size_mb: int | None
    memory_used_bytes: int | None
    connect_ns: int | None
    start: str
    start_source: str
    start_posterior: float | None
    request_id: str | None


class Failure(Struct, frozen=True):
    """An example of a failing outcome. ``body`` holds at most the first 512 bytes, decoded leniently."""

    outcome: str
    reason: str
    status: int | None
    error_code: str | None
    request_id: str | None
    body: str


class Slow(Struct, frozen=True):
    """One of the slowest answered invocations of a phase."""

    latency_ns: int
    service_time_ns: int
    outcome: str
    request_id: str | None


class Connections(Struct):
    """Connection events of an interval. ``reused`` counts invocations on a connection that had answered before."""

    opened: int = 0
    reused: int = 0
    closed_idle: int = 0
    failed: int = 0

    def add(self, other: Connections) -> None:
        """Add the counts of another interval."""
        self.opened += other.opened
        self.reused += other.reused
        self.closed_idle += other.closed_idle
        self.failed += other.failed


class Health(Struct, frozen=True):
    """An agent's own state over an interval: the CPU time it used, and its memory at the end.

    ``loop_lag_ns`` is by how much its event loop was late at most, as seen by a probe that asks to be called every 20
    ms.
    """

    cpu_ns: int = 0
    rss_bytes: int = 0
    gc_collections: int = 0
    loop_lag_ns: int = 0


class Frame(Struct):
    """One interval of one agent in one phase. Instants are ns since the run began; counts are of this interval only.

    ``seq`` numbers an agent's frames from 0, over the run or over each phase. ``reasons`` counts failing invocations by
    ``outcome/reason``. ``hist`` maps ``phase/start/outcome/metric`` to a packed histogram; ``clipped`` counts values
    above the largest one a histogram holds (they are recorded as that one); ``negative_overhead`` those recorded as 0.
    ``feeder_exhausted`` says that a feeder read ``once`` ran out and ended the phase, ``budget_reached`` that the
    invocations allowed were spent. ``final`` marks the last frame of the phase,
    which says in ``load_ns`` how long the phase sent load.
    """

    v: int
    agent: int
    seq: int
    phase: str
    from_ns: int
    to_ns: int
    planned: int
    started: int
    completed: int
    dropped: int
    unfinished: int
    outcomes: dict[str, int]
    reasons: dict[str, int]
    connections: Connections
    hist: dict[str, bytes]
    health: Health
    clipped: int = 0
    negative_overhead: int = 0
    summary_missing: int = 0
    samples: list[Sample] = []
    failures: list[Failure] = []
    slowest: list[Slow] = []
    feeder_exhausted: bool = False
    budget_reached: bool = False
    final: bool = False
    load_ns: int = 0


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    """The frame as it travels, length prefix included."""
    body = _ENCODER.encode(frame)
    return len(body).to_bytes(4, "big") + body


def decode(body: bytes) -> Frame:
    """The frame of a body without its length prefix.

    Raises msgspec.ValidationError or msgspec.DecodeError when the bytes are not a frame of this version.
    """
    frame = _DECODER.decode(body)
    if frame.v != VERSION:
        raise msgspec.ValidationError(f"frame version {frame.v}, expected {VERSION}")
    return frame
