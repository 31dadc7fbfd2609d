"""Phases: stretches of load, each by a law."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from loadgen.load.bursts import Bursts
from loadgen.load.constant import ConstantRate
from loadgen.load.law import Arrivals, random_stream
from loadgen.load.ramp import RampRate
from loadgen.load.steps import StepRates
from loadgen.load.trace import Trace
from loadgen.load.workers import Workers

Shape = ConstantRate | RampRate | StepRates | Bursts | Trace | Workers
"""Every law that there is."""


class Phase(Struct, frozen=True):
    """One stretch of load.

    ``duration_ns`` of a burst phase is ``repeat``·``gap_ns``. ``max_in_flight`` is the number of workers of an open
    phase and unused in a closed one. A start that waits longer than ``max_lag_ns`` for a free worker is dropped; None
    drops nothing. Invocations in flight at the end of the phase get ``grace_ns`` to end.
    """

    name: str
    shape: Shape
    duration_ns: int
    warmup: bool = False
    arrivals: Arrivals = Arrivals.CONSTANT
    max_in_flight: int = 1000
    max_lag_ns: int | None = None
    grace_ns: int = 0

    @property
    def closed(self) -> bool:
        """Whether the target's speed sets the load (workers) rather than a schedule (rate, burst)."""
        return self.shape.closed

    @property
    def max_workers(self) -> int:
        """The largest number of invocations this phase can have in flight."""
        return self.shape.at_once() or 0 if self.closed else self.max_in_flight

    def offsets(self, seed: int) -> Iterator[int]:
        """Intended start offsets of an open phase.

        Yields ns since the start of the phase: non-decreasing, each at least 0 and below ``duration_ns``, possibly
        none. The same seed and name give the same sequence. Raises ValueError for a closed phase.
        """
        return self.shape.offsets(self.duration_ns, self.arrivals, partial(random_stream, seed, "arrivals", self.name))

    def spans(self) -> list[tuple[int, int]]:
        """When each worker of a closed phase is active: (from, to) in ns since its start, one per worker, in order.

        Raises ValueError for an open phase.
        """
        return self.shape.spans(self.duration_ns)

    def expected(self) -> int | None:
        """How many starts an open phase has, on average where they are Poisson; None when closed."""
        return self.shape.expected(self.duration_ns, self.arrivals)

    def peak_rate(self) -> float:
        """The largest number of starts per second that the phase plans; 0 where there is no rate (bursts, workers)."""
        return self.shape.peak_rate()

    def in_flight(self, service_ns: float) -> int:
        """The most invocations in flight if each takes so long."""
        return min(self.shape.in_flight(service_ns), self.max_workers)

    def capped(self, most: int) -> Self:
        """The phase with never more than so many invocations in flight."""
        return replace(self, shape=self.shape.capped(most), max_in_flight=min(self.max_in_flight, most))
