"""What is measured of an invocation: one table, from which everybody learns what a metric is."""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

from loadgen.text.units import NS_PER_US


class Unit(Struct, frozen=True):
    """What a metric is told in (``name``), and what its histograms count: ``counted``, which is ``size`` of those."""

    name: str
    counted: str
    size: int


TIME: Final = Unit("ns", "us", NS_PER_US)
MEMORY: Final = Unit("bytes", "KiB", 1024)


class Clock(Enum):
    """Who measured it. What the platform has a part in exists only where an answer told it."""

    OURS = "ours"
    PLATFORM = "platform"
    BOTH = "both"


class Kind(Struct, frozen=True):
    """What a metric is.

    ``unmoved``: told as it was, of disturbed calls too: it tells how the load was made, or what no start can change.
    ``ranked``: over every planned invocation, what is not ok above what is; not recorded, but made of the latencies of
    all. The others are over the ok ones in a Summary, but for those that are not ``reported``, which are in none.
    """

    clock: Clock = Clock.OURS
    unit: Unit = TIME
    unmoved: bool = False
    ranked: bool = False
    reported: bool = True

    @property
    def always(self) -> bool:
        """Whether every phase has it, if need be with a count of 0."""
        return self.reported and self.clock is Clock.OURS

    @property
    def ruled(self) -> bool:
        """Whether thresholds may be about it."""
        return self.reported and self.unit is TIME


class Metric(Enum):
    """What is measured of an invocation, in the order in which it is reported."""

    LATENCY = "latency"
    LATENCY_ALL = "latency_all"
    SERVICE_TIME = "service_time"
    LAG = "lag"
    WAITED = "waited"
    LATE = "late"
    UNREAD = "unread"
    DURATION = "duration"
    BILLED_DURATION = "billed_duration"
    OVERHEAD = "overhead"
    CONNECT = "connect"
    MEMORY_USED = "memory_used"
    RESIDUAL = "residual"
    """Overhead without connecting, what ``start.Cuts`` are about: recorded on demand, for a fit to it."""

    @property
    def kind(self) -> Kind:
        """What it is."""
        return _KINDS[self]

    @property
    def field(self) -> str:
        """What holds it where it is told of one invocation: ``latency_ns``, ``memory_used_bytes``."""
        return f"{self.value}_{self.kind.unit.name}"


_KINDS = {
    Metric.LATENCY: Kind(),
    Metric.LATENCY_ALL: Kind(ranked=True),
    Metric.SERVICE_TIME: Kind(),
    Metric.LAG: Kind(unmoved=True),
    Metric.WAITED: Kind(unmoved=True),
    Metric.LATE: Kind(unmoved=True),
    Metric.UNREAD: Kind(unmoved=True),
    Metric.DURATION: Kind(Clock.PLATFORM),
    Metric.BILLED_DURATION: Kind(Clock.PLATFORM),
    Metric.OVERHEAD: Kind(Clock.BOTH),
    Metric.CONNECT: Kind(),
    Metric.MEMORY_USED: Kind(Clock.PLATFORM, MEMORY, unmoved=True),
    Metric.RESIDUAL: Kind(Clock.BOTH, reported=False),
}

ALWAYS = tuple(metric.value for metric in Metric if metric.kind.always)
SIZES = tuple(metric.value for metric in Metric if metric.kind.unit is not TIME)
MOVED = tuple(
    metric.value for metric in Metric if metric.kind.reported and not (metric.kind.unmoved or metric.kind.ranked)
)
"""Of which the load generator can move the figures of calls that it disturbs."""
REPORTED = tuple(metric.value for metric in Metric if metric.kind.reported)
RECORDED = tuple(metric.value for metric in Metric if not metric.kind.ranked)
