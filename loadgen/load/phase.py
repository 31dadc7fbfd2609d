"""Phases and the laws by which their starts follow one another."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from loadgen.text.units import Rate


class ConstantRate(Struct, frozen=True, tag="constant"):
    """Open model: the same rate throughout."""

    rate: Rate


class RampRate(Struct, frozen=True, tag="ramp"):
    """Open model: the rate changes linearly from ``start`` to ``end`` over the phase."""

    start: Rate
    end: Rate


class StepRates(Struct, frozen=True, tag="steps"):
    """Open model: each rate for an equal share of the phase; at least one."""

    rates: tuple[Rate, ...]


class Bursts(Struct, frozen=True, tag="burst"):
    """Open model: ``size`` starts at once, at 0, ``gap_ns``, 2·``gap_ns``, …, ``repeat`` times."""

    size: int
    gap_ns: int
    repeat: int


class TraceFormat(Enum):
    """The layouts of published traces, see ``loadgen.load.trace``."""

    AZURE_2019 = "azure-2019"
    AZURE_2021 = "azure-2021"
    HUAWEI_MINUTE = "huawei-minute"
    HUAWEI_SECOND = "huawei-second"
    HUAWEI_REQUESTS = "huawei-requests"


class Trace(Struct, frozen=True, tag="trace"):
    """Open model: the arrivals of a trace.

    ``counts`` are starts in each ``slot_ns``, at instants that are drawn. ``starts`` are others, known exactly: sorted
    ns since the phase began, as 8-byte signed integers of this machine. ``locked`` is how probable it is that functions
    which have nothing to do with each other agree on the second of the minute as much as these do, None where there is
    no telling.
    """

    counts: tuple[int, ...]
    slot_ns: int
    starts: bytes
    locked: float | None = None

    def __repr__(self) -> str:
        return f"Trace({sum(self.counts) + len(self.starts) // 8} starts)"


class Workers(Struct, frozen=True, tag="workers"):
    """Closed model: workers that invoke back to back; their number changes linearly from ``start`` to ``end``."""

    start: int
    end: int


Shape = ConstantRate | RampRate | StepRates | Bursts | Trace | Workers


class Arrivals(Enum):
    """How the starts of an open phase are spread around its rate."""

    CONSTANT = "constant"
    POISSON = "poisson"


class Phase(Struct, frozen=True):
    """One stretch of load.

    ``duration_ns`` of a burst phase is ``repeat``·``gap_ns``. ``max_in_flight`` is the number of workers of an open
    phase and unused in a closed one. A start that waits longer than ``max_lag_ns`` for a free worker is dropped; None
    drops nothing. Invocations in flight at the end of the phase get ``grace_ns`` to end.
    """

    name: str
    shape: Shape
    duration_ns: int
    warmup: bool
    arrivals: Arrivals
    max_in_flight: int
    max_lag_ns: int | None
    grace_ns: int

    @property
    def closed(self) -> bool:
        """Whether the target's speed sets the load (workers) rather than a schedule (rate, burst)."""
        return isinstance(self.shape, Workers)

    @property
    def max_workers(self) -> int:
        """The largest number of invocations this phase can have in flight."""
        return max(self.shape.start, self.shape.end) if isinstance(self.shape, Workers) else self.max_in_flight
