"""The overhead floor: what the load generator takes on this machine when the target takes nothing.

No figure means much that is not well above it. It belongs to the machine and the build that it was measured with: a
different one of either has another floor.

History of ``schema``: ``loadgen.floor/1``, first version.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from loadgen.measure.histogram import Histogram
from loadgen.measure.percentile import supported
from loadgen.measure.summary import Environment
from loadgen.text.units import NS_PER_US

SCHEMA = "loadgen.floor/1"

IDENTITY = (
    "version", "build", "python", "uvloop", "timer", "kernel", "cpu_model", "usable_cores", "cgroup_cpu_limit",
    "arrival_clock",
)  # fmt: skip
"""The fields of an Environment that have to be the same for a floor to hold."""


class Quantiles(Struct, frozen=True):
    """Of a distribution of ``count`` times, in ns; null where they are too few."""

    count: int
    p50_ns: int | None
    p99_ns: int | None
    p999_ns: int | None


class Floor(Struct, frozen=True):
    """What was measured against the stub, when (RFC 3339 in UTC) and where.

    ``latency`` and ``service_time`` are of an open phase of ``rate_per_s``, ``closed`` is the service_time of one
    worker that invokes back to back.
    """

    schema: str
    measured_at: str
    environment: Environment
    rate_per_s: int
    latency: Quantiles
    service_time: Quantiles
    closed: Quantiles


def quantiles(histogram: Histogram) -> Quantiles:
    """What a floor keeps of a histogram of µs."""

    def ns(p: float) -> int | None:
        value = histogram.value_at(p)
        return value * NS_PER_US if value is not None and supported(histogram.count, p) else None

    return Quantiles(histogram.count, ns(50), ns(99), ns(99.9))


def differences(floor: Floor, environment: Environment) -> Iterator[str]:
    """Why a floor does not hold in another environment, one clause each; none when it does."""
    for name in IDENTITY:
        then, now = getattr(floor.environment, name), getattr(environment, name)
        if then != now:
            yield f"{name.replace('_', ' ')} was {then}, is {now}"


def encode(floor: Floor) -> bytes:
    """The text of a floor's file, indented."""
    return msgspec.json.format(msgspec.json.encode(floor), indent=1) + b"\n"


def decode(text: bytes) -> Floor:
    """The floor of such a text.

    Raises msgspec.ValidationError or msgspec.DecodeError when it is not one of this version.
    """
    floor = msgspec.json.decode(text, type=Floor)
    if floor.schema != SCHEMA:
        raise msgspec.ValidationError(f"schema {floor.schema!r}, expected {SCHEMA!r}")
    return floor
