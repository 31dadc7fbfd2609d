"""Experiments in virtual time: a decision is played on the platform model, without sleeping.

A ``World`` stands for the fleet and the platform at once. It runs what a decision asks for the way the runner does
(intended starts from the pacers, a limit of invocations in flight, ``enough`` asked once a second), hands every start
to the platform model at its instant, and makes the same Samples and totals of it that agents would. Half a round trip
passes before an invocation reaches the platform, and half of one before its answer is back.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from typing import Protocol, TypeVar

from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.invocation.cell import CALL, Cell
from loadgen.invocation.sample import Sample
from loadgen.invocation.start import MIXTURE, NONE, UNKNOWN, Cuts
from loadgen.invocation.tally import Connections
from loadgen.load.phase import Phase
from loadgen.measure.histogram import HIGHEST, Histogram, slot
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.summary import Verdict
from loadgen.targets.functiongraph.emulator.model import LATEST, Admitted, Platform, Rejected
from loadgen.targets.functiongraph.protocol.platform import Emulator
from loadgen.text.units import NS_PER_S
from tests.frames import blank, counted

Result = TypeVar("Result")


_METRICS = ("latency", "service_time", "duration", "billed_duration", "overhead", "memory_used")


class World:
    """One function on an emulated platform, and the clock both live by.

    ``truth`` keeps what the platform decided for each call by request id, where ``remember`` says so. ``loaded_ns`` is
    the time that load was sent for, ``invocations`` how many there were. ``totals`` False leaves out the histograms of
    the PhaseTotals, which not every decision reads.
    """

    def __init__(
        self,
        settings: Emulator,
        *,
        function: str = "hello",
        seed: int = 1,
        rtt_ns: int = 1_000_000,
        timeout_ns: int = 100 * NS_PER_S,
        totals: bool = True,
        remember: bool = False,
    ) -> None:
        self.platform = Platform(settings)
        self.now_ns = 0
        self.loaded_ns = 0
        self.invocations = 0
        self.truth: dict[str, Admitted | Rejected] = {}
        self._function = function
        self._seed = seed
        self._half_trip_ns = rtt_ns // 2
        self._timeout_ns = timeout_ns
        self._totals = totals
        self._remember = remember
        self._numbers = count()
        self._last_end_ns = 0
        self._cuts: Cuts | None = None

    def run(self, ask: Ask) -> Seen:
        """What the run showed."""
        self.now_ns += ask.idle_ns
        if ask.renewed:
            self.platform.update(self.now_ns, self._function, self.platform.current(self._function))
        self._cuts = ask.cuts or self._cuts
        samples: list[Sample] = []
        totals: list[PhaseTotal] = []
        for number, phase in enumerate(ask.phases):
            if samples and ask.enough is not None and ask.enough(samples):
                break
            wanted = ask.memory_mb[number] if ask.memory_mb else ask.resized_mb
            version = ask.versions[number] if ask.versions else None
            begun = len(samples)
            self._phase(phase, wanted if isinstance(wanted, tuple) else (wanted,), version, ask, samples)
            totals.append(self._total(phase, samples[begun:]))
        samples.sort(key=lambda sample: (sample.intended_ns, sample.index))
        return Seen(tuple(totals), tuple(samples) if ask.samples else (), Verdict("valid", []))

    def call(self, at_ns: int, memory_mb: int | None = None) -> Sample:
        """One invocation, intended and started at an instant not before the last."""
        return self._invoke("call", next(self._numbers), at_ns, at_ns, memory_mb, None)

    def _phase(
        self, phase: Phase, turns: Sequence[int | None], version: str | None, ask: Ask, samples: list[Sample]
    ) -> None:
        """Run a phase to its end, or until it is enough; ``samples`` grow in the order in which calls end.

        The invocations ask for the memory sizes in turns.
        """
        sizes = cycle(turns)
        begin_ns = self.now_ns
        tick_ns = begin_ns + NS_PER_S
        flying: list[tuple[int, int, Sample]] = []
        until_ns = begin_ns + phase.duration_ns
        for intended_ns, started_ns in self._starts(phase, begin_ns):
            while started_ns >= tick_ns and tick_ns < until_ns:
                _land(flying, tick_ns, samples)
                if ask.enough is not None and ask.enough(samples):
                    until_ns = tick_ns
                tick_ns += NS_PER_S
            if started_ns >= until_ns:
                break
            number = next(self._numbers)
            sample = self._invoke(phase.name, number, intended_ns, started_ns, next(sizes), version)
            heapq.heappush(flying, (sample.ended_ns, number, sample))
        _land(flying, 1 << 62, samples)
        self.loaded_ns += until_ns - begin_ns
        self.now_ns = max([until_ns, *(sample.ended_ns for sample in samples[-1:])])

    def _starts(self, phase: Phase, begin_ns: int) -> Iterator[tuple[int, int]]:
        """Intended and actual instants of the starts; each is made before the next one is asked for."""
        ends: list[int] = []  # of invocations that hold a worker
        if phase.closed:
            free = [(begin_ns + start, number) for number, (start, _) in enumerate(phase.spans())]
            stops = [begin_ns + stop for _, stop in phase.spans()]
            heapq.heapify(free)
            while free:
                at_ns, worker = heapq.heappop(free)
                if at_ns >= stops[worker]:
                    continue
                yield at_ns, at_ns
                heapq.heappush(free, (max(at_ns + 1, self._last_end_ns), worker))
            return
        for offset_ns in phase.offsets(self._seed):
            intended_ns = begin_ns + offset_ns
            started_ns = intended_ns
            while ends and ends[0] <= intended_ns:
                heapq.heappop(ends)
            if len(ends) >= phase.max_in_flight:
                started_ns = heapq.heappop(ends)
            yield intended_ns, started_ns
            heapq.heappush(ends, self._last_end_ns)

    def _invoke(
        self, phase: str, number: int, intended_ns: int, started_ns: int, memory_mb: int | None, version: str | None
    ) -> Sample:
        call = self.platform.arrive(started_ns + self._half_trip_ns, self._function, memory_mb, version or LATEST)
        if self._remember:
            self.truth[call.request_id] = call
        self.invocations += 1
        ended_ns = call.ends_at_ns + self._half_trip_ns
        outcome, reason, duration_ns, billed_ns, used = "ok", "ok", None, None, None
        if isinstance(call, Rejected):
            throttled = call.status == 429
            outcome, reason = ("throttled", "429") if throttled else ("platform_error", call.reason)
        elif call.reason == "gateway_timeout":
            outcome, reason = "gateway", "504"
        else:
            duration_ns, billed_ns, used = call.duration_ns, call.billed_duration_ns, call.memory_used_bytes
            if call.code:
                outcome, reason = "function_error", str(call.code)
        if ended_ns - started_ns > self._timeout_ns:
            ended_ns, outcome, reason = started_ns + self._timeout_ns, "timeout", "total"
            duration_ns = billed_ns = used = None
        self._last_end_ns = ended_ns
        start, source = UNKNOWN, NONE
        if self._cuts is not None and outcome == "ok" and duration_ns is not None:
            start, source = self._cuts.label(max(0, ended_ns - started_ns - duration_ns)), MIXTURE
        return Sample(
            intended_ns=intended_ns,
            started_ns=started_ns,
            ended_ns=ended_ns,
            arrived_ns=ended_ns,
            read_ns=ended_ns,
            phase=phase,
            agent=0,
            index=number,
            outcome=outcome,
            reason=reason,
            status=call.status,
            error_code=call.code if isinstance(call, Rejected) else None,
            duration_ns=duration_ns,
            billed_duration_ns=billed_ns,
            memory_size_mb=call.memory_mb if duration_ns is not None else None,
            memory_used_bytes=used,
            connect_ns=0,
            start=start,
            start_source=source,
            request_id=call.request_id,
        )

    def _total(self, phase: Phase, samples: list[Sample]) -> PhaseTotal:
        total = PhaseTotal(phase.name)
        n = len(samples)
        outcomes = dict(Counter(sample.outcome for sample in samples))
        tally = counted(outcomes, connections=Connections(reused=n))
        total.add(blank(tally, phase=phase.name, final=True, load_ns=phase.duration_ns, span=(0, phase.duration_ns)))
        if self._totals:
            counts: dict[Cell, Counter[int]] = {}
            for sample in samples:
                for metric, value in zip(_METRICS, _values(sample), strict=True):
                    if value is not None:
                        key = Cell(phase.name, CALL, sample.start, sample.outcome, metric)
                        counts.setdefault(key, Counter())[slot(min(value, HIGHEST))] += 1
            total.histograms = {key: Histogram(dict(counted)) for key, counted in counts.items()}
        return total


class Plays(Protocol):
    """What runs what a decision asks for."""

    def run(self, ask: Ask) -> Seen:
        """What the run showed."""


def play(decision: Decision[Result], world: Plays) -> Result:
    """Play a decision to its end; its result."""
    try:
        ask = next(decision)
        while True:
            ask = decision.send(world.run(ask))
    except StopIteration as decided:
        result: Result = decided.value
        return result


def _land(flying: list[tuple[int, int, Sample]], until_ns: int, samples: list[Sample]) -> None:
    while flying and flying[0][0] <= until_ns:
        samples.append(heapq.heappop(flying)[2])


def _values(sample: Sample) -> tuple[int | None, ...]:
    """The metrics of a sample as they are recorded: whole µs, memory whole KiB."""
    assert sample.started_ns is not None
    service_ns = sample.ended_ns - sample.started_ns
    latency_ns = sample.ended_ns - sample.intended_ns
    if sample.duration_ns is None or sample.billed_duration_ns is None or sample.memory_used_bytes is None:
        return latency_ns // 1000, service_ns // 1000, None, None, None, None
    return (
        latency_ns // 1000,
        service_ns // 1000,
        sample.duration_ns // 1000,
        sample.billed_duration_ns // 1000,
        max(0, service_ns - sample.duration_ns) // 1000,
        sample.memory_used_bytes >> 10,
    )
