"""Playing one phase on a crew, the only way there is: connections first, then the load, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import msgspec

from loadgen.engine.clock import monotonic_ns
from loadgen.fleet.crew import Crew, Means
from loadgen.invocation.outcome import OK
from loadgen.load.law import Arrivals
from loadgen.load.phase import Phase
from loadgen.measure.interval import Frame
from loadgen.measure.merge import Loss, PhasePlan, PhaseTotal

_SPARE = 1.5  # connections opened ahead, beyond what is expected to be in flight


@dataclass(slots=True)
class Played:
    """A phase, from its beginning on.

    What changes: ``total`` with each frame; ``plan`` when less than was drawn proves enough, and at the end, which says
    how long there was load.
    """

    plan: PhasePlan
    total: PhaseTotal


class Watch:
    """Who is told how a phase goes: here nobody, who never gives up and never has enough."""

    @property
    def given_up(self) -> bool:
        """Whether the phase is not to begin. Also asked in a thread."""
        return False

    def begun(self, played: Played) -> None:
        """It begins."""

    def ready(self, frame: Frame) -> None:
        """An agent has opened its connections."""

    def lost(self, phase: Phase, agent: int) -> None:
        """An agent is lost, of which no more frames come."""

    def reported(self, phase: Phase, frame: Frame) -> bool:
        """An interval of load; whether nothing more need be started, as what there is is enough."""
        return False


async def play(
    crew: Crew,
    number: int,
    phase: Phase,
    *,
    seed: int,
    connections: int,
    means: Means = Means(),  # noqa: B008 - immutable
    watch: Watch = Watch(),  # noqa: B008 - it keeps nothing
) -> Played | None:
    """Play phase ``number`` of those that the crew knows; None where the watch gave up before it began.

    ``connections`` are opened ahead, in all. Raises FleetError, after which the record is whatever was begun.
    """
    drawn, ready = await asyncio.gather(
        asyncio.to_thread(_drawn, phase, seed, lambda: watch.given_up),
        crew.prepare(number, connections, means.agents),
    )
    if watch.given_up:
        return None
    begin_ns = monotonic_ns() + crew.lead_ns  # every agent has read it by then
    played = Played(_plan(phase, drawn), PhaseTotal(phase.name))
    watch.begun(played)
    load_ns = 0
    try:
        for frame in ready:
            if played.total.add(frame):
                watch.ready(frame)
        async for frame in crew.run(begin_ns, means):
            _note_losses(phase, played.total, crew, watch)
            if played.total.add(frame):
                load_ns = max(load_ns, frame.load_ns)
                if watch.reported(phase, frame):
                    played.plan = msgspec.structs.replace(played.plan, drawn=None)
                    crew.stop()
    finally:
        _note_losses(phase, played.total, crew, watch)
        played.total.note_clocks({agent: crew.error_ns(agent) for agent in played.total.agents})
        if load_ns == 0:  # no last frame: an agent died
            load_ns = min(phase.duration_ns, max(1, monotonic_ns() - begin_ns))
        played.plan = msgspec.structs.replace(played.plan, duration_ns=load_ns)
    return played


def _note_losses(phase: Phase, total: PhaseTotal, crew: Crew, watch: Watch) -> None:
    """Of the agents that were lost since that was asked last."""
    losses, crew.losses = crew.losses, []
    for lost in losses:
        total.lose(lost.agent, Loss(lost.how, lost.at_ns, taken_over=lost.taken_over, part=lost.part))
        watch.lost(phase, lost.agent)


def connections_for(phase: Phase, service_ns: int) -> int:
    """How many connections to open ahead: what is expected to be in flight (Little's law), and some to spare."""
    expected = phase.in_flight(service_ns * _SPARE)
    return expected if phase.shape.at_once() else min(expected + 1, phase.max_in_flight)


def service_ns(played: Sequence[Played], before_ns: int) -> int:
    """How long a call took on average in the last phase that had an ok one, ``before_ns`` where none had."""
    for each in reversed(played):
        mean_us = each.total.merged("service_time", outcomes=(OK,)).mean_us
        if mean_us is not None:
            return round(mean_us * 1000)
    return before_ns


def _plan(phase: Phase, drawn: int | None) -> PhasePlan:
    locked = phase.shape.lockstep()
    workers = phase.shape.mean_workers()
    return PhasePlan(phase.name, phase.warmup, phase.closed, phase.duration_ns, drawn, locked=locked, workers=workers)


def _drawn(phase: Phase, seed: int, given_up: Callable[[], bool]) -> int | None:
    """How many starts the schedule of a phase has; drawing a Poisson schedule is the only way to count it."""
    if phase.closed or phase.arrivals is Arrivals.CONSTANT:
        return phase.expected()
    return sum(1 for _ in takewhile(lambda _: not given_up(), phase.offsets(seed)))
