"""Recording invocations: an agent's side of measuring.

Theory of operation. Each outcome of a phase has a ``Series``: sparse counts per metric, because an interval uses a few
hundred of the 23,552 HDR slots. ``take`` swaps all of them for new ones, which takes microseconds; the ``Taken``
interval is then packed one histogram at a time, so that its owner can start invocations in between. Memory does not
depend on how many invocations were recorded.

Most values are not stored but implied, because they are the same: ``connect`` of a reused connection is 0, ``waited``
is 0 while workers are free, ``late`` and ``unread`` are 0 to the µs when nothing of ours was slow, and in a closed
phase ``latency`` is ``service_time`` while ``lag`` and ``waited`` are 0. They are filled in when packing, so that every
started invocation counts once in each.

Invocations that the load generator disturbed have series of their own (``Lot``): what they would have shown without it
is not known, only bounded, see ``loadgen.measure.ends``. A failure that no heap of starts can bring about (a credential
that is refused, an error of the function) is none of ours whenever it was made. The pool says which were made or in
flight around a stop of the generator. Of an open phase a start is disturbed as well that was late by more than 50 µs
and a twentieth of its latency, and so is one that was dropped, or found no connection, for a reason of ours. A
call that failed may be over in no time: it is held against what an ok one takes.

Of an ok call in a heap is recorded besides, in the lot ``least``, what it would have taken at least: less by as much as
starts were late, its own and those before it. Not where the heap may have made the target do what it would not have
done, such as start instances: where starts were late by more than half of what a call ordinarily takes, where the call
took more than twice as much as that, or had to connect. See ``loadgen.measure.ends``.

Invocations that succeeded are split by whether they were cold: by what the answer says, else by two cuts on the
overhead that the parent sends once it has seen enough (``split``). Where neither is known, nothing is looked at and all
of them are ``unknown``.

Histograms count whole µs (memory: KiB). A negative overhead (the platform reports a longer run than the client saw)
is recorded as 0, and counted when it exceeds the resolution of 1 µs. A time of ours above an hour is recorded as an
hour and counted; of the platform's figures those that cannot be are in no histogram, and counted by name.

What is billed is summed exactly, by memory size, whatever the outcome: histograms are for distributions, not for money.
Of a function, every started invocation is counted once by what is known of its bill; see ``bill.charge``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

from loadgen.invocation.believed import LARGEST_MB
from loadgen.invocation.bill import BILLING_UNITS_NS, LONGEST_NS, Charge, Misbilled, billing_unit, charge, worse
from loadgen.invocation.cell import CALL, Cell
from loadgen.invocation.facts import Facts
from loadgen.invocation.metric import MOVED, RECORDED, REPORTED
from loadgen.invocation.outcome import LOCAL_LIMIT, SHEDDING, Outcome
from loadgen.invocation.sample import Failure, Sample, Slow
from loadgen.invocation.start import MIXTURE, NONE, UNKNOWN, Cuts
from loadgen.invocation.tally import Connections, Tally
from loadgen.measure.counts import Counts

EXAMPLES = 3
"""Examples kept of each failing outcome."""
SLOWEST = 10
"""Slowest answered invocations kept."""
EXCERPT = 512
"""Bytes of a failing answer's body that are kept."""

LATE_NS = 50_000
LATE_PART = 20
"""A call is disturbed whose start was late by more than this, and by more than this part (1/20) of its latency.

Of its latency, as one that waited for a worker besides is late by a smaller part of what a caller saw."""

_ORDINARY = 2
_ORDINARY_CALLS = 256
_ORDINARY_SHIFT = 6  # by a 64th up or down for each call: where as many are above it as below
UNBOUNDED = 2**62
"""The end of a call was moved by the generator, and nobody knows by how many ns."""

_LATE_NS, _LATE_PART = LATE_NS, LATE_PART  # in C in the compiled build

_OK = Outcome.OK
_NO_CONNECTION = LOCAL_LIMIT.partition("/")[2]
_COUNTED = tuple(metric for metric in RECORDED if metric in REPORTED)
"""What is not a part of another metric, so that a value is clipped once."""


class Series:
    """The counts of one outcome in one interval; ``started`` of its ``n`` invocations had been started."""

    __slots__ = ("n", "reasons", "started", *RECORDED)

    def __init__(self) -> None:
        self.n = 0
        self.started = 0
        self.reasons: dict[str, int] = {}
        self.latency = Counts()
        self.service_time = Counts()
        self.lag = Counts()
        self.waited = Counts()
        self.late = Counts()
        self.unread = Counts()
        self.connect = Counts()
        self.duration = Counts()
        self.billed_duration = Counts()
        self.overhead = Counts()
        self.memory_used = Counts()
        self.residual: Counts | None = None

    def packed(self, metric: str, *, closed: bool) -> bytes:
        """The counts of a metric as they travel, what was left out of them filled in."""
        counts: Counts | None = getattr(self, "service_time" if closed and metric == "latency" else metric)
        if counts is None:
            return b""
        if metric in ("lag", "waited"):
            return counts.pack(zeros=self.n - counts.total)
        if metric in ("late", "unread", "connect"):
            return counts.pack(zeros=self.started - counts.total)
        return counts.pack()

    @property
    def clipped(self) -> int:
        """Values above the largest one that counts hold."""
        return sum(getattr(self, metric).clipped for metric in _COUNTED)


class Lot:
    """The series of an interval's invocations that were disturbed, or of those that were not."""

    __slots__ = ("by_start", "failed", "ok")

    def __init__(self, *, residual: bool) -> None:
        self.ok = Series()
        if residual:
            self.ok.residual = Counts()
        self.by_start: dict[str, Series] = {}
        self.failed: dict[str, Series] = {}

    def each(self) -> Iterator[tuple[str, str, Series]]:
        """Every series with its start label and its outcome."""
        yield UNKNOWN, _OK.value, self.ok
        for start, series in self.by_start.items():
            yield start, _OK.value, series
        for outcome, series in self.failed.items():
            yield UNKNOWN, outcome, series

    def outcomes(self) -> dict[str, int]:
        """Invocations by outcome."""
        counts = {outcome: series.n for outcome, series in self.failed.items()}
        ok = self.ok.n + sum(series.n for series in self.by_start.values())
        return {_OK.value: ok, **counts} if ok else counts

    def of_start(self, start: str) -> Series:
        """The series of ok invocations with a label."""
        series = self.by_start.get(start)
        if series is None:
            series = self.by_start[start] = Series()
        return series

    def of_failure(self, facts: Facts) -> Series:
        """The series of an outcome that is not ok, in which the reason is counted."""
        outcome = facts.outcome.value
        series = self.failed.get(outcome)
        if series is None:
            series = self.failed[outcome] = Series()
        series.reasons[facts.reason] = series.reasons.get(facts.reason, 0) + 1
        return series


class Taken:
    """What was recorded in one interval."""

    def __init__(self, phase: str, *, closed: bool, residual: bool, call: str = CALL) -> None:
        self._phase = phase
        self.call = call
        self._closed = closed
        self.undisturbed = Lot(residual=residual)
        self.disturbed = Lot(residual=residual)
        self.least = Lot(residual=False)
        self.starts = 0
        self.negative_overhead = 0
        self.summary_missing = 0
        self.unbelieved: dict[str, int] = {}
        self.billed_ns: dict[int, int] = {}
        self.metered = 0
        self.unmetered = 0
        self.refused = 0
        self.billed_to_ms = 0
        self.billed_to: dict[int, int] = {}
        self.misbilled = 0
        self.underbilled = 0
        self.worst_bill: Misbilled | None = None
        self.samples: list[Sample] = []
        self.failures: list[Failure] = []
        self.slow_heap: list[tuple[int, int, Slow]] = []

    @property
    def slowest(self) -> list[Slow]:
        """The slowest answered invocations that are among the slowest of the phase so far, in no order."""
        return [slow for _, _, slow in self.slow_heap]

    def tally(self, connections: Connections) -> Tally:
        """What was counted; ``connections``, and what was not stamped, are counted elsewhere."""
        outcomes = self.outcomes()
        dropped, unfinished = (outcomes.get(each.value, 0) for each in (Outcome.DROPPED, Outcome.UNFINISHED))
        return Tally(
            planned=self.starts + dropped,
            started=self.starts,
            completed=sum(outcomes.values()) - dropped - unfinished,
            dropped=dropped,
            unfinished=unfinished,
            outcomes=outcomes,
            disturbed=self.disturbed.outcomes(),
            reasons=self.reasons(),
            clipped=sum(series.clipped for lot in self._lots() for _, _, series in lot.each()),
            negative_overhead=self.negative_overhead,
            summary_missing=self.summary_missing,
            unbelieved=self.unbelieved,
            billed_ns=self.billed_ns,
            metered=self.metered,
            unmetered=self.unmetered,
            refused=self.refused,
            billing_units=self._billing_units(),
            misbilled=self.misbilled,
            underbilled=self.underbilled,
            worst_bill=self.worst_bill,
            connections=connections,
        )

    def _billing_units(self) -> dict[int, int]:
        ms = BILLING_UNITS_NS[0]
        to_ms = self.billed_to_ms + self.billed_to.get(ms, 0)
        return {**self.billed_to, ms: to_ms} if to_ms else self.billed_to

    def outcomes(self) -> dict[str, int]:
        """Invocations by outcome."""
        counts = self.undisturbed.outcomes()
        for outcome, n in self.disturbed.outcomes().items():
            counts[outcome] = counts.get(outcome, 0) + n
        return counts

    def reasons(self) -> dict[str, int]:
        """Invocations that were not simply ok by ``outcome/reason``."""
        counts: dict[str, int] = {}
        for lot in self._lots():
            for _, outcome, series in lot.each():
                for reason, n in series.reasons.items():
                    counts[f"{outcome}/{reason}"] = counts.get(f"{outcome}/{reason}", 0) + n
        return counts

    def _lots(self) -> tuple[Lot, Lot]:
        return self.undisturbed, self.disturbed

    def packed(self) -> Iterator[tuple[Cell, bytes]]:
        """The histograms as they travel, and what each is of; a few µs of work for each."""
        for lot in self._lots():
            yield from self._packed(lot, RECORDED, disturbed=lot is self.disturbed)

    def packed_least(self) -> Iterator[tuple[Cell, bytes]]:
        """The same of what disturbed calls would have taken at least."""
        return self._packed(self.least, MOVED, disturbed=True)

    def _packed(self, lot: Lot, metrics: Sequence[str], *, disturbed: bool) -> Iterator[tuple[Cell, bytes]]:
        for start, outcome, series in lot.each():
            for metric in metrics:
                if packed := series.packed(metric, closed=self._closed):
                    yield Cell(self._phase, self.call, start, outcome, metric, disturbed), packed


class Recorder:
    """Records the invocations of one phase on one agent: of a mix those of one ``call``.

    ``origin_ns`` is when the run began; samples are relative to it. ``sampled`` chooses the invocations whose samples
    are kept, None for none. ``expects_summary`` says that the target is a function: an ok answer without a duration is
    worth counting, and so is a call without a bill.
    ``evidence`` says that answers may tell whether they are cold; ``cuts`` are applied to those that do not.
    ``residual`` asks for the counts that cuts are made from. ``billing_units_ns`` are what durations may be rounded up
    to, beginning with 1 ms.
    """

    def __init__(
        self,
        phase: str,
        agent: int,
        *,
        origin_ns: int,
        closed: bool,
        expects_summary: bool,
        sampled: Callable[[], bool] | None = None,
        evidence: bool = False,
        cuts: Cuts | None = None,
        residual: bool = False,
        billing_units_ns: tuple[int, ...] = BILLING_UNITS_NS,
        call: str = CALL,
    ) -> None:
        self._phase = phase
        self._call = call
        self._agent = agent
        self._origin_ns = origin_ns
        self._closed = closed
        self._expects_summary = expects_summary
        self._sampled = sampled
        self._split = evidence or cuts is not None
        self._cuts = cuts
        self._residual = residual
        self._billing_units_ns = billing_units_ns
        self._examples: dict[str, int] = {}
        self._slowest: list[int] = []
        self._slow_floor_ns = -1
        self._slow_count = 0
        self._ok_ns = self._ok_count = self._ordinary_ns = 0
        self.now = self._new()
        self._ok = self.now.undisturbed.ok

    def _new(self) -> Taken:
        return Taken(self._phase, closed=self._closed, residual=self._residual, call=self._call)

    def take(self) -> Taken:
        """What was recorded since the last call."""
        taken, self.now = self.now, self._new()
        self._ok = self.now.undisturbed.ok
        return taken

    def record(
        self,
        facts: Facts,
        index: int,
        intended_ns: int,
        started_ns: int,
        arrived_ns: int,
        read_ns: int,
        late_ns: int,
        connect_ns: int,
        body: bytes,
        moved_ns: int,
    ) -> None:
        """Record an invocation that was started and has ended. The hot path.

        ``arrived_ns``, not before ``started_ns``, is when the last of the answer arrived or the call was given up, and
        ``read_ns`` when that was read. ``moved_ns`` is how much later than planned that may have been because the
        generator stopped around it: 0 where it did not, ``UNBOUNDED`` where nobody knows. See above for the rest.
        """
        disturbed = moved_ns > 0
        service_ns = arrived_ns - started_ns
        start = UNKNOWN
        if facts.outcome is _OK:
            self._ok_ns += service_ns
            self._ok_count += 1
            if service_ns > self._ordinary_ns:
                self._ordinary_ns += (self._ordinary_ns >> _ORDINARY_SHIFT) + 1 if self._ordinary_ns else service_ns
            else:
                self._ordinary_ns -= self._ordinary_ns >> _ORDINARY_SHIFT
            disturbed = disturbed or self._was_late(late_ns, arrived_ns - intended_ns)
            series = self.now.disturbed.ok if disturbed else self._ok
            if self._split:
                start = self._start(facts, service_ns - connect_ns)
                if start != UNKNOWN:
                    series = self._lot(disturbed).of_start(start)
            if facts.reason != "ok":
                series.reasons[facts.reason] = series.reasons.get(facts.reason, 0) + 1
        else:
            disturbed = facts.reason == _NO_CONNECTION or (
                facts.outcome.value in SHEDDING and (disturbed or self._was_late(late_ns, self._as_ok(service_ns)))
            )
            self._keep_failure(facts, body)
            series = self._lot(disturbed).of_failure(facts)
        series.n += 1
        series.started += 1
        series.service_time.hit(service_ns // 1000)
        latency_ns = service_ns
        if not self._closed:
            latency_ns = arrived_ns - intended_ns
            series.latency.hit(latency_ns // 1000)
            self._record_lag(series, started_ns - intended_ns, late_ns)
        elif late_ns >= 1000:
            series.late.hit(late_ns // 1000)
        if read_ns - arrived_ns >= 1000:
            series.unread.hit((read_ns - arrived_ns) // 1000)
        if connect_ns >= 1000:
            series.connect.hit(connect_ns // 1000)
        if facts.duration_ns is not None:
            duration_ns = facts.duration_ns
            series.duration.hit(duration_ns // 1000)
            overhead_ns = service_ns - duration_ns
            if overhead_ns < 0:
                self.now.negative_overhead += overhead_ns < -1000
                overhead_ns = 0
            series.overhead.hit(overhead_ns // 1000)
            if series.residual is not None:
                series.residual.hit(max(0, overhead_ns - connect_ns) // 1000)
        elif self._expects_summary and facts.status == 200 and "duration" not in facts.unbelieved:
            self.now.summary_missing += 1
        if facts.billed_duration_ns is not None:
            series.billed_duration.hit(facts.billed_duration_ns // 1000)
            self._bill(facts, facts.billed_duration_ns)
        elif self._expects_summary:
            self._without_bill(facts)
        if facts.memory_used_bytes is not None:
            series.memory_used.hit(facts.memory_used_bytes // 1024)
        for name in facts.unbelieved:
            self.now.unbelieved[name] = self.now.unbelieved.get(name, 0) + 1
        if moved_ns > 0 and facts.outcome is _OK and connect_ns == 0 and not self._closed:
            self._record_least(facts, latency_ns, service_ns, max(moved_ns, late_ns), start)
        if latency_ns > self._slow_floor_ns and facts.status:
            self._slow(latency_ns, service_ns, facts, disturbed)
        if self._sampled is not None and self._sampled():
            self._sample(facts, index, intended_ns, started_ns, arrived_ns, read_ns, connect_ns, start, disturbed)

    def _record_least(self, facts: Facts, latency_ns: int, service_ns: int, moved_ns: int, start: str) -> None:
        """Record what an ok invocation would have taken at least that ended by ``moved_ns`` later at most, if known."""
        if self._ok_count < _ORDINARY_CALLS or _ORDINARY * moved_ns > self._ordinary_ns:
            return
        if service_ns > _ORDINARY * self._ordinary_ns:
            return
        lot = self.now.least
        series = lot.ok if start == UNKNOWN else lot.of_start(start)
        series.n += 1
        series.started += 1
        series.latency.hit((latency_ns - moved_ns) // 1000 if latency_ns > moved_ns else 0)
        series.service_time.hit((service_ns - moved_ns) // 1000 if service_ns > moved_ns else 0)
        if facts.duration_ns is not None:
            overhead_ns = service_ns - facts.duration_ns
            series.duration.hit((facts.duration_ns - moved_ns) // 1000 if facts.duration_ns > moved_ns else 0)
            series.overhead.hit((overhead_ns - moved_ns) // 1000 if overhead_ns > moved_ns else 0)
        if facts.billed_duration_ns is not None:
            billed_ns = facts.billed_duration_ns
            series.billed_duration.hit((billed_ns - moved_ns) // 1000 if billed_ns > moved_ns else 0)

    def _was_late(self, late_ns: int, service_ns: int) -> bool:
        """Whether the start of an open phase was so late that its call may have met another target than it should."""
        return late_ns > _LATE_NS and late_ns * _LATE_PART > service_ns and not self._closed

    def _as_ok(self, service_ns: int) -> int:
        """The service time of a call that failed, at least that of an ok one so far."""
        return max(service_ns, self._ok_ns // self._ok_count) if self._ok_count else service_ns

    def _lot(self, disturbed: bool) -> Lot:
        return self.now.disturbed if disturbed else self.now.undisturbed

    def _bill(self, facts: Facts, billed_ns: int) -> None:
        """Add up what is billed, and hold it against the duration."""
        now = self.now
        size = facts.memory_size_mb
        if size and size <= LARGEST_MB and 0 < billed_ns <= LONGEST_NS:  # Charge.METERED, without a call
            now.metered += 1
            now.billed_ns[size] = now.billed_ns.get(size, 0) + billed_ns
        else:
            self._without_bill(facts)
        if facts.duration_ns is None:
            return
        duration_ns = facts.duration_ns
        ms = (duration_ns + 999_999) // 1_000_000
        if billed_ns == ms * 1_000_000 and ms:
            now.billed_to_ms += 1
            return
        unit = billing_unit(duration_ns, billed_ns, self._billing_units_ns)
        if unit is not None:
            now.billed_to[unit] = now.billed_to.get(unit, 0) + 1
            return
        now.misbilled += 1
        now.underbilled += billed_ns < duration_ns
        now.worst_bill = worse(now.worst_bill, Misbilled(duration_ns, billed_ns, facts.request_id))

    def _without_bill(self, facts: Facts) -> None:
        """Count an invocation that tells no bill, or none to go by."""
        charged = charge(facts)
        if charged is Charge.UNMETERED:
            self.now.unmetered += 1
        elif charged is Charge.REFUSED:
            self.now.refused += 1

    def _start(self, facts: Facts, connected_ns: int) -> str:
        """The label of an ok invocation that took so long once it was connected."""
        if facts.start is not None:
            return facts.start
        if self._cuts is None or facts.duration_ns is None:
            return UNKNOWN
        return self._cuts.label(connected_ns - facts.duration_ns)

    def dropped(
        self, index: int, intended_ns: int, at_ns: int, reason: str, *, ours: bool = False, disturbed: bool = False
    ) -> None:
        """Record a start that was given up at ``at_ns``: no worker was free for it, or (``ours``) we were too late."""
        lag_ns = at_ns - intended_ns
        late_ns = lag_ns if ours else 0
        self._censored(Outcome.DROPPED, reason, index, intended_ns, None, at_ns, late_ns, disturbed or ours)

    def unfinished(
        self, index: int, intended_ns: int, started_ns: int, at_ns: int, late_ns: int, *, disturbed: bool = False
    ) -> None:
        """Record an invocation whose end was not waited for any longer at ``at_ns``."""
        disturbed = disturbed or self._was_late(late_ns, self._as_ok(at_ns - started_ns))
        self._censored(Outcome.UNFINISHED, "grace", index, intended_ns, started_ns, at_ns, late_ns, disturbed)

    def _censored(
        self,
        outcome: Outcome,
        reason: str,
        index: int,
        intended_ns: int,
        started_ns: int | None,
        at_ns: int,
        late_ns: int,
        disturbed: bool,
    ) -> None:
        facts = Facts(outcome, reason, 0)
        series = self._lot(disturbed).of_failure(facts)
        if self._expects_summary:
            self._without_bill(facts)
        series.n += 1
        series.latency.hit((at_ns - intended_ns) // 1000)
        lag_ns = (at_ns if started_ns is None else started_ns) - intended_ns
        self._record_lag(series, lag_ns, late_ns, started=started_ns is not None)
        if started_ns is not None:
            series.started += 1
            series.service_time.hit((at_ns - started_ns) // 1000)
        if self._sampled is not None and self._sampled():
            self._sample(facts, index, intended_ns, started_ns, at_ns, at_ns, None, UNKNOWN, disturbed)

    def _record_lag(self, series: Series, lag_ns: int, late_ns: int, started: bool = True) -> None:
        """Record a lag and its two parts, lateness only of what was started; zeros are filled in when packing."""
        if lag_ns >= 1000:
            series.lag.hit(lag_ns // 1000)
            if late_ns >= 1000 and started:
                series.late.hit(late_ns // 1000)
            if lag_ns - late_ns >= 1000:
                series.waited.hit((lag_ns - late_ns) // 1000)

    def _keep_failure(self, facts: Facts, body: bytes) -> None:
        outcome = facts.outcome.value
        seen = self._examples.get(outcome, 0)
        if seen < EXAMPLES:
            self._examples[outcome] = seen + 1
            self.now.failures.append(
                Failure(
                    outcome,
                    facts.reason,
                    facts.status or None,
                    facts.error_code,
                    facts.request_id,
                    body[:EXCERPT].decode("utf-8", "replace"),
                    self._call,
                )
            )

    def _slow(self, latency_ns: int, service_ns: int, facts: Facts, disturbed: bool) -> None:
        """Keep one of the slowest so far; the parent picks the slowest of all.

        No more than ``SLOWEST`` per interval: when a target falls behind, every answer is the slowest so far.
        """
        heapq.heappush(self._slowest, latency_ns)
        if len(self._slowest) > SLOWEST:
            heapq.heappop(self._slowest)
            self._slow_floor_ns = self._slowest[0]
        self._slow_count += 1
        kept = self.now.slow_heap
        slow = Slow(latency_ns, service_ns, facts.outcome.value, facts.request_id, disturbed, self._call)
        heapq.heappush(kept, (latency_ns, -self._slow_count, slow))
        if len(kept) > SLOWEST:
            heapq.heappop(kept)

    def _sample(
        self,
        facts: Facts,
        index: int,
        intended_ns: int,
        started_ns: int | None,
        arrived_ns: int,
        read_ns: int,
        connect_ns: int | None,
        start: str,
        disturbed: bool,
    ) -> None:
        self.now.samples.append(
            Sample(
                intended_ns=intended_ns - self._origin_ns,
                started_ns=None if started_ns is None else started_ns - self._origin_ns,
                ended_ns=arrived_ns - self._origin_ns,
                arrived_ns=arrived_ns - self._origin_ns,
                read_ns=read_ns - self._origin_ns,
                phase=self._phase,
                agent=self._agent,
                index=index,
                outcome=facts.outcome.value,
                reason=facts.reason,
                status=facts.status or None,
                error_code=facts.error_code,
                duration_ns=facts.duration_ns,
                billed_duration_ns=facts.billed_duration_ns,
                memory_size_mb=facts.memory_size_mb,
                memory_used_bytes=facts.memory_used_bytes,
                connect_ns=connect_ns,
                start=start,
                start_source=NONE if start == UNKNOWN else facts.start_source or MIXTURE,
                request_id=facts.request_id,
                instance=facts.instance,
                disturbed=disturbed,
                call=self._call,
            )
        )
