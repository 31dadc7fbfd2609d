"""From frames to phases: counts and histograms are added up, and nothing is averaged.

Theory of operation. A frame is a delta, so a phase is the sum of its frames, over seconds and over agents alike, and
the measured phases together are the sum of the phases. Only then are percentiles read off the merged histograms. What
is kept does not grow with the length of the run: one sparse histogram per start label, outcome and metric that
occurred, latencies in a bounded number of batches, and a bounded number of examples.

Every frame must be added, once and in its agent's order. ``faults`` says where that, or the identities of the counts,
did not hold.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from msgspec import Struct, structs

from loadgen.invocation.cell import CALL, Cell, chosen
from loadgen.invocation.metric import ALWAYS, REPORTED, Clock, Metric
from loadgen.invocation.outcome import CENSORED, FAILED, OK, SHEDDING, Outcome
from loadgen.invocation.sample import Failure, Slow
from loadgen.invocation.start import COLD, UNKNOWN
from loadgen.invocation.tally import Tally
from loadgen.measure.dependence import INDEPENDENT, Batches, Inflation, KeptBatches, Largest
from loadgen.measure.ends import Moved, of_extremes, together
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame, Health, Host
from loadgen.measure.percentile import LISTED, UNMOVED, percentiles
from loadgen.measure.recorder import EXAMPLES, SLOWEST
from loadgen.measure.summary import (
    AgentHealth,
    Billing,
    CallSummary,
    Examples,
    Generator,
    MetricSummary,
    PhaseSummary,
)
from loadgen.text.units import NS_PER_S, NS_PER_US

CUT_SHORT = "cut_short"
"""The reason of calls that were in flight when the record of a run ended."""
UNFINISHED = Outcome.UNFINISHED.value
_LOST = f"{UNFINISHED}/agent_lost"
_ONE_US = (1).to_bytes(2, "little")

_Number = TypeVar("_Number", int, float)


class PhasePlan(Struct, frozen=True):
    """What a phase was meant to be.

    ``duration_ns`` is how long it sent load: its own duration, or less when it was cut short. ``drawn`` is the number
    of starts in the schedule that was drawn for it, None in a closed phase, whose mean number of ``workers`` is given.
    ``locked`` is how probable it is that the functions of a replayed trace agree by chance as much as they do on the
    second of the minute; None where there is nothing to tell.
    """

    name: str
    warmup: bool
    closed: bool
    duration_ns: int
    drawn: int | None
    locked: float | None = None
    workers: float | None = None


class Loss(Struct, frozen=True):
    """An agent was lost; ``how`` completes a sentence that begins with ``agent 0``.

    Its ``part`` of the phase, if it had one, is missing from its last frame on; where it was ``taken_over``, until
    ``at_ns`` after the phase's beginning.
    """

    how: str
    at_ns: int
    taken_over: bool
    part: bool = True


@dataclass(slots=True)
class AgentFrames:
    """The frames of one agent in one phase: their numbers, and the agent's health over them.

    ``misplaced`` counts frames whose number did not follow its predecessor's. ``until_ns`` is when the last one ended,
    since the run began. ``clock_error_ns`` is by how much the agent's clock may be off.
    """

    first_seq: int
    last_seq: int
    count: int = 0
    planned: int = 0
    paused_ns: int = 0
    began_late_ns: int = 0
    clock_step_ns: int = 0
    clock_error_ns: int = 0
    misplaced: int = 0
    final: bool = False
    covered_ns: int = 0
    cpu_ns: int = 0
    rss_bytes: int = 0
    loop_lag_ns: int = 0
    timer_error_ns: int | None = None
    gc_collections: int = 0
    gc_pause_ns: int = 0
    open_files: int | None = None
    recent_connections: int = 0
    host: Host = field(default_factory=Host)
    until_ns: int = 0

    @property
    def start_error_ns(self) -> int:
        """How far from the phase's beginning it may have begun."""
        return self.began_late_ns + self.clock_error_ns

    @property
    def cpu(self) -> float:
        """The share of one core that the agent used."""
        return self.cpu_ns / self.covered_ns if self.covered_ns else 0.0

    def add(self, other: AgentFrames) -> None:
        """Add what the agent did in another phase, but for what it planned there and how its frames were numbered."""
        self.count += other.count
        self.paused_ns += other.paused_ns
        self.began_late_ns = max(self.began_late_ns, other.began_late_ns)
        self.clock_error_ns = max(self.clock_error_ns, other.clock_error_ns)
        self.covered_ns += other.covered_ns
        self.until_ns = max(self.until_ns, other.until_ns)
        self.add_health(other)

    def add_health(self, other: Health | AgentFrames) -> None:
        """Add the health of another interval or phase."""
        self.cpu_ns += other.cpu_ns
        self.rss_bytes = max(self.rss_bytes, other.rss_bytes)
        self.loop_lag_ns = max(self.loop_lag_ns, other.loop_lag_ns)
        self.timer_error_ns = least((self.timer_error_ns, other.timer_error_ns))
        self.gc_collections += other.gc_collections
        self.gc_pause_ns = max(self.gc_pause_ns, other.gc_pause_ns)
        self.open_files = most((self.open_files, other.open_files))
        self.recent_connections = max(self.recent_connections, other.recent_connections)
        self.clock_step_ns = max(self.clock_step_ns, other.clock_step_ns)
        if other.host is not None:
            self.host.add(other.host)


class Counted(NamedTuple):
    """What a figure is made of; ``failed``, of which ``censored`` were given up, only where these rank above ``ok``.

    All but ``moved`` is of invocations that the load generator did not disturb.
    """

    ok: Histogram
    failed: Histogram | None = None
    censored: Histogram | None = None
    moved: Moved = UNMOVED

    @property
    def size(self) -> int:
        """How many invocations it is of."""
        return self.ok.count + (0 if self.failed is None else self.failed.count)


class Kept(Struct):
    """All of a PhaseTotal but its name, to be written down; from ``hist`` on of the whole alone."""

    tally: Tally
    feeder_exhausted: bool
    budget_reached: str
    failures: list[Failure]
    slowest: list[Slow]
    stepped: int
    step_us: int
    batches: KeptBatches
    hist: dict[Cell, bytes] = {}
    agents: dict[int, AgentFrames] = {}
    calls: dict[str, Kept] = {}
    losses: dict[int, Loss] = {}
    in_flight: list[tuple[int, str, int]] = []
    least: dict[Cell, bytes] = {}


class PhaseTotal:
    """The sum of the frames of one phase.

    ``least`` are histograms of what disturbed ok calls would have taken at least, as far as that is known.
    Of a mix, ``calls`` are those of each call alone, in the scenario's order: all of it but who sent it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.tally = Tally()
        self.feeder_exhausted = False
        self.budget_reached = ""
        self.histograms: dict[Cell, Histogram] = {}
        self.least: dict[Cell, Histogram] = {}
        self.failures: dict[str, list[Failure]] = {}
        self.slowest: list[Slow] = []
        self.agents: dict[int, AgentFrames] = {}
        self.stepped = 0
        self.step_us = 0
        self.calls: dict[str, PhaseTotal] = {}
        self._whole = self
        self.losses: dict[int, Loss] = {}
        self._batches = Batches()
        self._in_flight: Counter[tuple[int, str]] = Counter()

    def add(self, frame: Frame) -> bool:
        """Add one frame; whether it was new. One that was added before is left out, and is a fault.

        Raises ValueError for a frame of another phase, a histogram of another phase, or a histogram that is malformed.
        """
        if frame.phase != self.name:
            raise ValueError(f"a frame of phase {frame.phase!r}, expected one of {self.name!r}")
        told = [*frame.hist, *frame.least]
        if strays := [cell for cell in told if cell.phase != self.name]:
            raise ValueError(f"a histogram of {strays[0]}, expected one of phase {self.name!r}")
        if frame.calls and (strays := [cell for cell in told if cell.call not in frame.calls]):
            raise ValueError(f"a histogram of {strays[0]}, expected one of {', '.join(frame.calls)}")
        if not self._follows(frame):
            return False
        for call in frame.calls:
            self._part(call)
        for cell, packed in frame.hist.items():
            self._histogram(cell).add_packed(packed)
        for cell, packed in frame.least.items():
            self._least(cell).add_packed(packed)
        self._take(frame, frame.tally, None)
        for call, tally in frame.calls.items():
            self.calls[call]._take(frame, tally, call)
        for call, tally in (frame.calls or {CALL: frame.tally}).items():
            self._in_flight[frame.agent, call] += tally.started - tally.completed - tally.unfinished
        self._note_end(frame)
        return True

    def _take(self, frame: Frame, tally: Tally, call: str | None) -> None:
        """Add what is in a frame besides histograms, of one call or of all."""
        undisturbed = chosen(frame.hist, Metric.LATENCY.value, outcomes=(OK,), disturbed=False, call=call)
        self._batches.add(frame.from_ns, frame.to_ns, [frame.hist[cell] for cell in undisturbed])
        self.tally.add(tally)
        self._step(tally.completed, -(-frame.health.clock_step_ns // NS_PER_US))
        self._keep(
            (each for each in frame.failures if call in (None, each.call)),
            (each for each in frame.slowest if call in (None, each.call)),
        )

    def lose(self, agent: int, loss: Loss) -> None:
        """Note that an agent was lost: what it had in flight in its last frame is unfinished, for all that is known."""
        if agent in self.losses:
            return
        self.losses[agent] = loss
        for (of, call), in_flight in list(self._in_flight.items()):
            if of == agent and in_flight > 0:
                self._unfinish(call, in_flight)

    def _unfinish(self, call: str, calls: int) -> None:
        """So many calls were in flight at an agent that was lost: they took some time, and that is all there is."""
        known = {UNFINISHED: calls}
        for total in (self, self.calls[call]) if self.calls else (self,):
            billed = total.tally.metered + total.tally.unmetered
            total.tally.add(
                Tally(unfinished=calls, outcomes=known, reasons={_LOST: calls}, unmetered=calls if billed else 0)
            )
        cell = Cell(self.name, call, UNKNOWN, UNFINISHED, Metric.LATENCY.value)
        self._histogram(cell).add_packed(_ONE_US + calls.to_bytes(8, "little"))

    def note_clocks(self, errors_ns: Mapping[int, int]) -> None:
        """Note by how much each agent's clock may be off."""
        for agent, error_ns in errors_ns.items():
            if agent in self.agents:
                self.agents[agent].clock_error_ns = error_ns

    def of(self, call: str | None) -> PhaseTotal:
        """Those of a call of the mix, None for all of them; an empty total of one that is not known."""
        return self if call is None else self.calls.get(call) or PhaseTotal(self.name)

    def _part(self, call: str) -> PhaseTotal:
        """That of one call of a mix, which has the very histograms of its cells."""
        if call not in self.calls:
            self.calls[call] = PhaseTotal(self.name)
            self.calls[call]._whole = self
        return self.calls[call]

    def kept(self) -> Kept:
        """All of it, see ``restored``."""
        kept = self._kept()
        kept.hist = {cell: histogram.pack() for cell, histogram in self.histograms.items()}
        kept.least = {cell: histogram.pack() for cell, histogram in self.least.items()}
        kept.agents = self.agents
        kept.calls = {call: part._kept() for call, part in self.calls.items()}
        kept.losses = self.losses
        kept.in_flight = [(agent, call, n) for (agent, call), n in self._in_flight.items()]
        return kept

    def _kept(self) -> Kept:
        return Kept(
            self.tally,
            self.feeder_exhausted,
            self.budget_reached,
            [failure for kept in self.failures.values() for failure in kept],
            self.slowest,
            self.stepped,
            self.step_us,
            self._batches.kept(),
        )

    @classmethod
    def restored(cls, name: str, kept: Kept) -> PhaseTotal:
        """The total that this was. Raises ValueError for a histogram that is malformed."""
        total = cls(name)
        total._restore(kept)
        total.agents, total.losses = kept.agents, kept.losses
        total._in_flight = Counter({(agent, call): n for agent, call, n in kept.in_flight})
        for call, part in kept.calls.items():
            total._part(call)._restore(part)
        for cell, packed in kept.hist.items():
            total._histogram(cell).add_packed(packed)
        for cell, packed in kept.least.items():
            total._least(cell).add_packed(packed)
        return total

    def _restore(self, kept: Kept) -> None:
        self.tally = kept.tally
        self.feeder_exhausted, self.budget_reached = kept.feeder_exhausted, kept.budget_reached
        self.stepped, self.step_us = kept.stepped, kept.step_us
        self._batches = Batches.restored(kept.batches)
        self._keep(kept.failures, kept.slowest)

    def cut(self, *, bills: bool) -> int:
        """Count the calls in flight as unfinished, whose end nobody will tell; how many those are.

        Like all that is given up they rank above every ok call; for how long they lasted is not known. ``bills`` says
        that calls are charged for.
        """
        in_flight = 0
        for call, part in self.calls.items() or [(CALL, self)]:
            tally = part.tally
            n = max(0, tally.started - tally.completed - tally.unfinished)
            in_flight += n
            for each in {id(part): part, id(self): self}.values():
                each.tally.add(_given_up(n, unmetered=n if bills else 0))
            cell = Cell(self.name, call, UNKNOWN, Outcome.UNFINISHED.value, Metric.LATENCY.value)
            if n:
                self._histogram(cell).add(Histogram({0: n}))
        return in_flight

    @property
    def lasted_ns(self) -> int:
        """From the first interval of load to the end of the last frame."""
        until_ns = max((frames.until_ns for frames in self.agents.values()), default=0)
        begin_ns = self._batches.begin_ns
        return 0 if begin_ns is None else max(0, until_ns - begin_ns)

    def merge(self, other: PhaseTotal) -> None:
        """Add another phase: all but which frames agents sent, and what was seen when."""
        for call, part in other.calls.items():
            self._part(call)._join(part)
        for cell, histogram in other.histograms.items():
            self._histogram(cell._replace(phase=self.name)).add(histogram)
        for cell, histogram in other.least.items():
            self._least(cell._replace(phase=self.name)).add(histogram)
        self._join(other)

    def _join(self, other: PhaseTotal) -> None:
        """Add what is known of another phase besides its histograms and calls."""
        self.tally.add(other.tally)
        self._step(other.stepped, other.step_us)
        self._note_end(other)
        self._keep((failure for kept in other.failures.values() for failure in kept), other.slowest)
        for agent, frames in other.agents.items():
            self.agents.setdefault(agent, AgentFrames(first_seq=0, last_seq=0)).add(frames)

    def merged(
        self,
        metric: str,
        *,
        outcomes: Container[str] | None = None,
        start: str | None = None,
        disturbed: bool | None = None,
    ) -> Histogram:
        """The histogram of a metric over all invocations, or over those given; a new one, possibly empty."""
        total = Histogram()
        for cell in chosen(self.histograms, metric, outcomes=outcomes, start=start, disturbed=disturbed):
            total.add(self.histograms[cell])
        return total

    def metrics(self, outcome: str = OK, start: str | None = None) -> list[str]:
        """The metrics that invocations of one outcome have, of all starts or one."""
        cells = chosen(self.histograms, outcomes=(outcome,), start=start)
        return sorted({cell.metric for cell in cells if cell.metric in REPORTED})

    def latency_all(self) -> Histogram:
        """Latency over every planned invocation, as recorded; ``loadgen.measure.ranking`` says how they stand."""
        return self.merged("latency")

    @property
    def disturbed(self) -> int:
        """How many of the planned invocations the load generator disturbed."""
        return sum(self.tally.disturbed.values())

    def failed(self, *, disturbed: bool = False) -> int:
        """How many of the planned invocations, or of the disturbed ones, are not ok."""
        counts = self.tally.disturbed if disturbed else self.tally.outcomes
        return sum(n for outcome, n in counts.items() if outcome != OK)

    @property
    def exposed(self) -> bool:
        """Whether what disturbed invocations met was of their own making: refusals, timeouts, cold starts."""
        cold = chosen(self.histograms, Metric.LATENCY.value, start=COLD, disturbed=True)
        return bool(SHEDDING & self.tally.disturbed.keys()) or any(cold)

    def figure(self, metric: str, outcome: str = OK, start: str | None = None) -> Counted:
        """What a figure is made of: a metric of invocations of one outcome, of all starts or one."""
        kind = Metric(metric).kind
        if kind.ranked:
            own, disturbed = self._planned(disturbed=False), self._planned(disturbed=True)
        elif kind.unmoved:
            return Counted(self.merged(metric, outcomes=(outcome,), start=start))
        else:
            own, disturbed = (
                Counted(self.merged(metric, outcomes=(outcome,), start=start, disturbed=each)) for each in (False, True)
            )
        astray = self._astray(start) if outcome == OK and own.failed is None else 0
        stepped = kind.clock is not Clock.PLATFORM and metric != Metric.CONNECT.value  # which ends before it arrives
        moved = Moved(
            disturbed.ok,
            disturbed.failed or Histogram(),
            disturbed.censored or Histogram(),
            astray=astray,
            open=self.exposed and bool(disturbed.size or astray),
            stepped=self.stepped if stepped else 0,
            step_us=self.step_us,
            least=Histogram() if self._whole.exposed or outcome != OK else self._lowered(metric, start),
        )
        return own._replace(moved=moved)

    def _lowered(self, metric: str, start: str | None) -> Histogram:
        """What disturbed ok invocations would have taken at least, of as many as that is known of."""
        of = Metric.LATENCY.value if Metric(metric).kind.ranked else metric
        found = Histogram()
        for cell in chosen(self.least, of, outcomes=(OK,), start=start):
            found.add(self.least[cell])
        return found

    def _planned(self, *, disturbed: bool) -> Counted:
        ok, failed, censored = (
            self.merged("latency", outcomes=outcomes, disturbed=disturbed) for outcomes in ((OK,), FAILED, CENSORED)
        )
        return Counted(ok, failed, censored)

    def _astray(self, start: str | None) -> int:
        """The disturbed invocations that failed and might have been ok, or were cold and might have been of a start."""
        if start == COLD:
            return 0
        failed = self.failed(disturbed=True)
        if start is None:
            return failed
        return failed + self.merged("latency", outcomes=(OK,), start=COLD, disturbed=True).count

    def _step(self, calls: int, step_us: int) -> None:
        """So many calls ended while the clock of arrivals may have been wrong by so much."""
        if step_us:
            self.stepped += calls
            self.step_us = max(self.step_us, step_us)

    def inflation(self, load_ns: int) -> Inflation:
        """By how much less it says than as many independent invocations; see ``Batches``."""
        return self._batches.inflation(load_ns)

    @property
    def forsaken(self) -> bool:
        """Whether every agent was lost."""
        return bool(self.losses) and self.losses.keys() >= self.agents.keys()

    def faults(self, *, ended: bool = True) -> Iterator[str]:
        """What is wrong with this phase's record, one sentence each; of one that has not ``ended`` no end is missed."""
        for agent, frames in sorted(self.agents.items()):
            if frames.misplaced:
                yield f"{frames.misplaced} frames of agent {agent} are missing or came twice"
            if ended and not frames.final and (agent not in self.losses or self.forsaken):
                yield f"the last frame of agent {agent} is missing"
        yield from self._miscounts(self.tally)
        for call, part in self.calls.items():
            yield from (f"of call {call} {fault}" for fault in part._miscounts(part.tally))
        yield from self._uncalled()

    def _uncalled(self) -> Iterator[str]:
        """Where the calls of a mix are not all that there is."""
        if not self.calls:
            return
        together = Tally()
        for part in self.calls.values():
            together.add(part.tally)
        for name, whole, parts in (
            ("planned", self.tally.planned, together.planned),
            ("started", self.tally.started, together.started),
            *((f"ended as {each}", n, together.outcomes.get(each, 0)) for each, n in self.tally.outcomes.items()),
        ):
            if whole != parts:
                yield f"{whole} {name}, but {parts} of them are of a call of the mix"

    def _miscounts(self, tally: Tally) -> Iterator[str]:
        if tally.planned != tally.started + tally.dropped:
            yield f"{tally.planned} were planned, but {tally.started} started and {tally.dropped} were dropped"
        if tally.started != tally.completed + tally.unfinished:
            yield f"{tally.started} started, but {tally.completed} completed and {tally.unfinished} were unfinished"
        if tally.planned != sum(tally.outcomes.values()):
            yield f"{tally.planned} were planned, but {sum(tally.outcomes.values())} have an outcome"
        for outcome in sorted(tally.outcomes.keys() | {cell.outcome for cell in self.histograms}):
            for counted, disturbed, what in ((tally.outcomes, None, ""), (tally.disturbed, True, ", disturbed")):
                ended = counted.get(outcome, 0)
                recorded = self.merged("latency", outcomes=(outcome,), disturbed=disturbed).count
                if recorded != ended:
                    yield f"{ended} ended as {outcome}{what}, but {recorded} of those have a latency"

    def _follows(self, frame: Frame) -> bool:
        """Whether the frame is new; notes its number and the agent's health."""
        seen = self.agents.get(frame.agent)
        if seen is None:
            seen = self.agents[frame.agent] = AgentFrames(first_seq=frame.seq, last_seq=frame.seq - 1)
        if frame.seq != seen.last_seq + 1:
            seen.misplaced += max(1, frame.seq - seen.last_seq - 1)
        if frame.seq <= seen.last_seq:
            return False
        seen.last_seq = frame.seq
        seen.count += 1
        seen.planned += frame.tally.planned
        seen.paused_ns += frame.paused_ns
        seen.began_late_ns = max(seen.began_late_ns, frame.began_late_ns)
        seen.final = frame.final
        seen.covered_ns += frame.to_ns - frame.from_ns
        seen.until_ns = frame.to_ns
        seen.add_health(frame.health)
        return True

    def _histogram(self, cell: Cell) -> Histogram:
        histogram = self.histograms.get(cell)
        if histogram is None:
            histogram = self.histograms[cell] = Histogram()
            if (part := self.calls.get(cell.call)) is not None:
                part.histograms[cell] = histogram
        return histogram

    def _least(self, cell: Cell) -> Histogram:
        histogram = self.least.get(cell)
        if histogram is None:
            histogram = self.least[cell] = Histogram()
            if (part := self.calls.get(cell.call)) is not None:
                part.least[cell] = histogram
        return histogram

    def _note_end(self, other: Frame | PhaseTotal) -> None:
        self.feeder_exhausted |= other.feeder_exhausted
        self.budget_reached = self.budget_reached or other.budget_reached

    def _keep(self, failures: Iterable[Failure], slowest: Iterable[Slow]) -> None:
        for failure in failures:
            kept = self.failures.setdefault(failure.outcome, [])
            if len(kept) < EXAMPLES:
                kept.append(failure)
        self.slowest = heapq.nlargest(SLOWEST, [*self.slowest, *slowest], key=lambda slow: slow.latency_ns)


def _given_up(n: int, *, unmetered: int) -> Tally:
    """So many calls that had started, without an end."""
    if not n:
        return Tally()
    name = Outcome.UNFINISHED.value
    return Tally(unfinished=n, outcomes={name: n}, reasons={f"{name}/{CUT_SHORT}": n}, unmetered=unmetered)


Bill = Callable[[PhaseTotal], Billing]
"""What the platform charges for a phase; not asked for where the target is no function."""


def missing_frames(totals: Iterable[PhaseTotal], *, ended: bool = True) -> Iterator[str]:
    """Where whole phases of an agent, or frames between two phases, are missing; one sentence each.

    ``totals`` are in the order they ran; in the last one, unless it has ``ended``, an agent may not have reported. An
    agent numbers its frames from 0, over the run or over each phase.
    """
    ran = list(totals)
    for agent in sorted({agent for total in ran for agent in total.agents}):
        last = -1
        for total in ran:
            frames = total.agents.get(agent)
            if frames is None:
                if total is ran[-1] and not ended:
                    continue
                yield f"agent {agent} reported nothing of phase {total.name}"
                continue
            if frames.first_seq not in (0, last + 1):
                yield f"the first frames of agent {agent} in phase {total.name} are missing"
            last = frames.last_seq


def combined(measured: Iterable[PhaseTotal]) -> PhaseTotal:
    """All given phases as one, named ``totals``."""
    total = PhaseTotal("totals")
    for phase in measured:
        total.merge(phase)
    return total


def phase_summary(
    plan: PhasePlan, total: PhaseTotal, ps: Iterable[float] = (), billing: Bill | None = None
) -> PhaseSummary:
    """The Summary of one phase. ``ps`` are percentiles wanted beyond those always listed, in percent."""
    widened = {call: total.of(call).inflation(plan.duration_ns) for call in (None, *total.calls)}
    return _summary(plan, total, "closed" if plan.closed else "open", [*LISTED, *ps], billing, widened)


def totals(
    plans: Sequence[PhasePlan], phases: Sequence[PhaseTotal], ps: Iterable[float] = (), billing: Bill | None = None
) -> PhaseSummary:
    """The Summary over all measured phases, warm-up left out; ``plans`` and ``phases`` in the same order."""
    measured = [(plan, phase) for plan, phase in zip(plans, phases, strict=True) if not plan.warmup]
    plan_of_all = PhasePlan(
        name="totals",
        warmup=False,
        closed=all(plan.closed for plan, _ in measured),
        duration_ns=sum(plan.duration_ns for plan, _ in measured),
        drawn=None,  # a Summary tells of no schedule
    )
    models = {"closed" if plan.closed else "open" for plan, _ in measured}
    model = models.pop() if len(models) == 1 else "mixed"
    # bursts of one phase are in the totals, too; how much they count there is not known
    whole = combined(phase for _, phase in measured)
    widened = {
        call: Largest(phase.of(call).inflation(plan.duration_ns) for plan, phase in measured)
        for call in (None, *whole.calls)
    }
    return _summary(plan_of_all, whole, model, [*LISTED, *ps], billing, widened)


def generator(phases: Sequence[PhaseTotal], overhead_floor_ns: int | None = None) -> Generator:
    """The agents' own state over all phases, warm-up included."""
    agents = [_health(agent, phases) for agent in sorted({agent for phase in phases for agent in phase.agents})]
    return Generator(
        agents=agents,
        cpu=max((agent.cpu for agent in agents), default=0.0),
        loop_lag_ns=max((agent.loop_lag_ns for agent in agents), default=0),
        timer_error_ns=most(agent.timer_error_ns for agent in agents),
        gc_pause_ns=max((agent.gc_pause_ns for agent in agents), default=0),
        least_idle=least(agent.least_idle for agent in agents),
        stolen=most(agent.stolen for agent in agents),
        throttled_ns=max((agent.throttled_ns for agent in agents), default=0),
        overhead_floor_ns=overhead_floor_ns,
    )


def _health(agent: int, phases: Iterable[PhaseTotal]) -> AgentHealth:
    whole = AgentFrames(first_seq=0, last_seq=0)
    for phase in phases:
        frames = phase.agents.get(agent)
        if frames is not None:
            whole.add(frames)
    return AgentHealth(
        agent=agent,
        cpu=whole.cpu,
        rss_bytes=whole.rss_bytes,
        frames=whole.count,
        loop_lag_ns=whole.loop_lag_ns,
        timer_error_ns=whole.timer_error_ns,
        gc_collections=whole.gc_collections,
        gc_pause_ns=whole.gc_pause_ns,
        open_files=whole.open_files,
        recent_connections=whole.recent_connections,
        least_idle=whole.host.least_idle,
        stolen=whole.host.stolen,
        throttled=whole.host.throttled,
        throttled_ns=whole.host.throttled_ns,
        began_late_ns=whole.began_late_ns,
        clock_step_ns=whole.clock_step_ns,
        start_error_ns=whole.began_late_ns + whole.clock_error_ns,
        clock_error_ns=whole.clock_error_ns,
        lost=next((phase.losses[agent].how for phase in phases if agent in phase.losses), None),
    )


def least(values: Iterable[_Number | None]) -> _Number | None:
    """The smallest of what is known."""
    return min((value for value in values if value is not None), default=None)


def most(values: Iterable[_Number | None]) -> _Number | None:
    """The largest of what is known."""
    return max((value for value in values if value is not None), default=None)


def _summary(
    plan: PhasePlan,
    total: PhaseTotal,
    model: str,
    ps: Sequence[float],
    billing: Bill | None,
    inflations: Mapping[str | None, Inflation],
) -> PhaseSummary:
    """``inflations`` are those of each call, and of all together."""
    tally = total.tally
    return PhaseSummary(
        name=plan.name,
        warmup=plan.warmup,
        model=model,
        duration_ns=plan.duration_ns,
        connections=tally.connections,
        notes=list(_notes(total)),
        unstamped=tally.unstamped,
        workers=plan.workers,
        in_flight_mean=None if plan.workers is None else _in_flight(total, plan),
        by_call={call: _results(plan, part, ps, billing, inflations[call]) for call, part in total.calls.items()},
        **structs.asdict(_results(plan, total, ps, billing, inflations[None])),
    )


def _results(
    plan: PhasePlan, total: PhaseTotal, ps: Sequence[float], billing: Bill | None, inflation: Inflation
) -> CallSummary:
    """What is told of each call of a phase, and of the phase as a whole."""
    tally, starts = total.tally, sorted({cell.start for cell in chosen(total.histograms, outcomes=(OK,))})
    return CallSummary(
        planned=tally.planned,
        started=tally.started,
        completed=tally.completed,
        dropped=tally.dropped,
        unfinished=tally.unfinished,
        planned_rate=_per_s(tally.planned, plan.duration_ns),
        achieved_rate=_per_s(tally.started, plan.duration_ns),
        outcomes=_descending(tally.outcomes),
        reasons=_descending(tally.reasons),
        examples=Examples(
            failures=[failure for _, kept in sorted(total.failures.items()) for failure in kept],
            slowest=total.slowest,
        ),
        metrics=_summaries(total, dict.fromkeys([*ALWAYS, *total.metrics()]), ps, inflation),
        by_outcome={
            outcome: _summaries(total, total.metrics(outcome), ps, inflation, outcome=outcome)
            for outcome in sorted(FAILED & tally.outcomes.keys())
        },
        by_start={start: _summaries(total, total.metrics(start=start), ps, inflation, start=start) for start in starts},
        billing=None if billing is None else billing(total),
        disturbed=_descending(tally.disturbed),
    )


def _in_flight(total: PhaseTotal, plan: PhasePlan) -> float:
    """How many calls were in flight on average, at most: what ended after the phase counts as far as workers allow."""
    assert plan.workers is not None
    service = total.merged("service_time")
    busy_ns = (service.mean_us or 0.0) * service.count * NS_PER_US
    return min(plan.workers, busy_ns / plan.duration_ns) if plan.duration_ns else 0.0


def _notes(total: PhaseTotal) -> Iterator[str]:
    tally = total.tally
    if total.feeder_exhausted:
        yield f"The feeder ran out of rows and ended the phase after {tally.started} invocations."
    if total.budget_reached:
        yield f"The budget of {total.budget_reached} was spent and ended the phase after {tally.started} invocations."


def _per_s(count: int, duration_ns: int) -> float:
    return count * NS_PER_S / duration_ns if duration_ns else 0.0


def _descending(counts: dict[str, int]) -> dict[str, int]:
    """Counts by name, the largest first, equal ones by name: independent of the order of frames."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _summaries(
    total: PhaseTotal,
    metrics: Iterable[str],
    ps: Sequence[float],
    inflation: Inflation,
    *,
    outcome: str = OK,
    start: str | None = None,
) -> dict[str, MetricSummary]:
    return {metric: summarised(metric, total.figure(metric, outcome, start), ps, inflation) for metric in metrics}


def summarised(
    metric: str, counted: Counted, ps: Iterable[float], inflation: Inflation, *, blobs: bool = True
) -> MetricSummary:
    """The distribution of what was counted of a metric, see ``metric_summary``."""
    return metric_summary(
        metric,
        counted.ok,
        ps,
        failed=counted.failed,
        censored=counted.censored,
        inflation=inflation,
        moved=counted.moved,
        blobs=blobs,
    )


def metric_summary(
    metric: str,
    ok: Histogram,
    ps: Iterable[float],
    *,
    failed: Histogram | None = None,
    censored: Histogram | None = None,
    inflation: Inflation = INDEPENDENT,
    moved: Moved = UNMOVED,
    blobs: bool = True,
) -> MetricSummary:
    """The distribution of one metric with the percentiles ``ps`` (in percent); see ``percentile.percentiles``.

    ``min`` and ``max`` are the outer edges of the slots of the first and the last in order, ``mean`` is rounded to
    whole ns or bytes, over all as recorded. Without ``blobs``, which take ten ms each, the histograms are left out.
    """
    unit = Metric(metric).kind.unit
    own, disturbed = together(ok, failed or Histogram()), together(moved.ok, moved.failed)
    histogram, first = (own, ok) if own.counts else (disturbed, moved.ok)
    least, most, mean = (first if first.counts else histogram).min_us, histogram.ceiling_us, histogram.mean_us
    ends = of_extremes(ok, failed or Histogram(), moved, unit.size) if moved.any else {}
    lows = {name: each.low for name, each in ends.items() if not each.low_failed}
    return MetricSummary(
        unit=unit.name,
        count=own.count,
        min=None if least is None else least * unit.size,
        max=None if most is None else max(most * unit.size, lows.get("max", 0)),
        mean=None if mean is None else max(round(mean * unit.size), lows.get("mean", 0)),
        percentiles=percentiles(ok, ps, unit.size, failed=failed, censored=censored, inflation=inflation, moved=moved),
        histogram=own.encode() if blobs else "",
        histogram_unit=unit.counted,
        failed=0 if failed is None else failed.count,
        disturbed=disturbed.count,
        disturbed_histogram=disturbed.encode() if blobs and disturbed.counts else "",
        ends=ends,
    )
