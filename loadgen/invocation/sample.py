"""What is kept of single invocations: samples, failures, and the slowest."""

from __future__ import annotations

from msgspec import Struct

from loadgen.invocation.cell import CALL
from loadgen.invocation.metric import Metric


class Sample(Struct, frozen=True, gc=False, kw_only=True):
    """One invocation, kept when the scenario asks for samples; a line of samples.ndjson.

    Instants are ns since the run began. ``arrived_ns`` is when the last of the answer arrived, or the call was given
    up, and so ``ended_ns`` by another name; ``read_ns`` is when the load generator read it. ``disturbed`` says that the
    generator disturbed the call. ``start`` and ``start_source`` are of ``loadgen.invocation.start``, ``instance`` is
    what the function calls its instance, null where it does not tell. ``start_posterior`` is always null: a label is
    one or none. ``error_code`` and what follows the status are as in ``Facts``. ``call`` is which one of a mix it was,
    by name.
    """

    intended_ns: int
    started_ns: int | None
    ended_ns: int
    arrived_ns: int
    read_ns: int
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
    start_posterior: None = None
    request_id: str | None
    instance: str | None = None
    disturbed: bool = False
    call: str = CALL

    @property
    def latency_ns(self) -> int:
        """What a caller on schedule waited, or would have waited at least."""
        return self.ended_ns - self.intended_ns

    @property
    def service_time_ns(self) -> int:
        """The service time; of a call that never started, how long it waited to."""
        return self.latency_ns if self.started_ns is None else self.ended_ns - self.started_ns

    @property
    def lag_ns(self) -> int:
        """How long after its instant it started; of a call that never did, how long it waited to."""
        return (self.ended_ns if self.started_ns is None else self.started_ns) - self.intended_ns

    @property
    def unread_ns(self) -> int:
        """How long its answer lay unread."""
        return self.read_ns - self.arrived_ns

    @property
    def overhead_ns(self) -> int | None:
        """The service time without the duration; None where that was not told."""
        return None if self.duration_ns is None else max(0, self.service_time_ns - self.duration_ns)

    @property
    def residual_ns(self) -> int | None:
        """The overhead without connecting; None where the duration was not told."""
        if self.duration_ns is None:
            return None
        return max(0, self.service_time_ns - self.duration_ns - (self.connect_ns or 0))

    def value(self, metric: Metric) -> int | None:
        """A metric of it, None where no answer told it.

        Raises AttributeError for one that no sample tells: ``waited``, ``late`` and what is ranked.
        """
        found: int | None = getattr(self, metric.field)
        return found


class Failure(Struct, frozen=True):
    """An example of a failing outcome.

    ``body`` holds at most the first 512 bytes of the answer, decoded leniently; of a connection that could not be made
    what OpenSSL says, if anything. ``call`` is which of a mix it was.
    """

    outcome: str
    reason: str
    status: int | None
    error_code: str | None
    request_id: str | None
    body: str
    call: str = CALL


class Slow(Struct, frozen=True):
    """One of the slowest answered invocations of a phase; ``disturbed`` by the load generator; ``call`` as above."""

    latency_ns: int
    service_time_ns: int
    outcome: str
    request_id: str | None
    disturbed: bool = False
    call: str = CALL
