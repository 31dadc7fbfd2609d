"""A load run: pre-flight, phases one after another, and the Summary of what was measured.

The parent's side of a run. It starts the embedded emulator and the agents, tells them when each phase begins, adds up
their frames, writes each interval down as it comes, and judges the whole at the end. Nothing here is on the measured
path.

A run can end early in four ways, and all of them write what was measured: an interrupt or a spent budget stops the
load and waits for what is in flight, a second interrupt waits for nothing, and an agent that dies leaves a record
that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import takewhile
from math import ceil
from typing import Protocol
from uuid import uuid4

import msgspec
from msgspec import Struct

import loadgen
from loadgen.emulator import EmulatorError
from loadgen.emulator.process import embedded
from loadgen.engine.address import AddressError, resolve
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.environment import environment
from loadgen.engine.messages import Plan
from loadgen.engine.preflight import Answer, preflight
from loadgen.fleet.local import FleetError, LocalFleet
from loadgen.functiongraph.outcome import Outcome
from loadgen.functiongraph.remedy import remedy
from loadgen.functiongraph.request import request_template
from loadgen.history.rundir import RunDirectory, RunDirectoryError
from loadgen.measure import hlog
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, PhaseTotal, generator, phase_summary, totals
from loadgen.measure.summary import SCHEMA, Environment, Preflight, Run, Summary
from loadgen.measure.threshold import evaluate, named_percentiles
from loadgen.measure.verdict import judge
from loadgen.pacing import expected, offsets, peak_rate
from loadgen.scenario.load import Loaded
from loadgen.scenario.model import Arrivals, Bursts, FunctionTarget, Phase, Scenario

_FATAL = {Outcome.CONNECTION, Outcome.AUTH, Outcome.NOT_FOUND, Outcome.BAD_REQUEST}
_LEAD_NS = 50_000_000  # from Go to the phase's beginning: every agent has read it by then
_SPARE = 1.5  # connections opened ahead, beyond what is expected to be in flight


class RunFailedError(Exception):
    """The load could not begin; the message says why and what to do."""


class Observer(Protocol):
    """Who watches a run."""

    def preflight(self, result: Preflight) -> None:
        """The pre-flight was answered."""

    def phase_started(self, name: str, duration_ns: int, planned: int | None) -> None:
        """A phase begins; ``planned`` is how many starts its schedule has, None when closed."""

    def frame(self, frame: Frame) -> None:
        """An interval was reported."""

    def note(self, text: str) -> None:
        """Something worth saying happened."""


class Finished(Struct, frozen=True):
    """A run that got as far as a Summary. ``failed`` says what went wrong on the way, None for nothing."""

    summary: Summary
    budget_reached: bool
    failed: str | None


class LoadRun:
    """One run of a scenario of kind ``load``."""

    def __init__(self, loaded: Loaded, directory: RunDirectory, observer: Observer, *, agents: int) -> None:
        """``agents`` is the most processes to use; a phase with fewer workers than that needs no more."""
        self._loaded = loaded
        self._scenario = loaded.scenario
        self._directory = directory
        self._observer = observer
        self._agents = min(agents, *(phase.max_workers for phase in loaded.scenario.phases))
        self._fleet: LocalFleet | None = None
        self._waiting: asyncio.Task[tuple[Answer | None, str]] | None = None
        self._interrupted = False
        self._budget_reached = False
        self._failed: str | None = None
        self._plans: list[PhasePlan] = []
        self._totals: list[PhaseTotal] = []
        self._origin_ns = 0
        self._service_ns = 0
        self._arrivals = 0

    def interrupt(self) -> None:
        """End the run: the first time what is in flight is waited for, the second time it is not."""
        if self._interrupted:
            if self._fleet is not None:
                self._fleet.cut()
            return
        self._interrupted = True
        self._observer.note("Stopping: waiting for what is in flight. Interrupt again to stop at once.")
        if self._waiting is not None:
            self._waiting.cancel()
        if self._fleet is not None:
            self._fleet.stop()

    async def run(self) -> Finished:
        """Run it.

        Raises RunFailedError when the load could not begin, and RunDirectoryError when not even the first files could
        be written.
        """
        began = datetime.now(UTC)
        self._origin_ns = monotonic_ns()
        self._directory.write_scenario(self._loaded.as_run)
        self._directory.append_interval_lines(hlog.header(int(began.timestamp() * 1000)))
        machine = environment(
            agents=self._agents, scenario_sha256=self._scenario.sha256, synthetic=self._scenario.target.emulated
        )
        answer = None
        try:
            async with AsyncExitStack() as stack:
                if self._scenario.target.emulated:
                    await self._start_emulator(stack)
                answer, address = await self._reach()
                machine = msgspec.structs.replace(machine, address=address)
                self._directory.write_environment(machine)
                if address is not None:
                    await self._load(stack, address)
        except EmulatorError as error:  # it ended in the middle of the run
            self._failed = str(error)
        return Finished(self._summary(began, machine, answer), self._budget_reached, self._failed)

    async def _start_emulator(self, stack: AsyncExitStack) -> None:
        target, settings = self._scenario.target, self._scenario.emulator
        assert isinstance(target, FunctionTarget)
        assert settings is not None
        try:
            url = await stack.enter_async_context(embedded(settings, target.project_id, self._directory.truth_path))
        except EmulatorError as error:
            raise RunFailedError(str(error)) from error
        self._scenario = msgspec.structs.replace(self._scenario, target=msgspec.structs.replace(target, endpoint=url))

    async def _reach(self) -> tuple[Preflight | None, str | None]:
        """Make the pre-flight, or at least resolve the target's name; no address when interrupted."""
        if self._ending():
            return None, None
        try:
            self._waiting = asyncio.create_task(_first_contact(self._scenario))
            answer, address = await self._waiting
        except AddressError as error:
            raise RunFailedError(str(error)) from error
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
            return None, None
        finally:
            self._waiting = None
        if answer is None:
            return None, address
        facts = answer.facts
        result = Preflight(facts.outcome.value, facts.reason, facts.status or None, answer.latency_ns, facts.request_id)
        self._observer.preflight(result)
        if facts.outcome in _FATAL or (facts.outcome is Outcome.TIMEOUT and facts.reason == "connect"):
            raise RunFailedError(f"pre-flight: {_remedy(answer, self._loaded.scenario)}")
        self._service_ns = answer.service_ns
        return result, address

    async def _load(self, stack: AsyncExitStack, address: str) -> None:
        scenario = self._scenario
        allowance = scenario.budget.invocations
        if allowance is not None:
            allowance -= scenario.target.preflight
        shares = _shares(allowance, self._agents)
        plans = [
            Plan(scenario, address, agent, self._agents, self._origin_ns, shares[agent])
            for agent in range(self._agents)
        ]
        try:
            self._fleet = await stack.enter_async_context(LocalFleet(plans))
            timer = None
            if scenario.budget.duration_ns is not None:
                timer = asyncio.get_running_loop().call_later(scenario.budget.duration_ns / 1e9, self._spent)
            for number, phase in enumerate(scenario.phases):
                if self._ending():
                    break
                await self._phase(self._fleet, number, phase)
            if timer is not None:
                timer.cancel()
        except FleetError as error:
            if not self._interrupted:
                self._failed = str(error)

    async def _phase(self, fleet: LocalFleet, number: int, phase: Phase) -> None:
        total = PhaseTotal(phase.name)
        drawn, ready = await asyncio.gather(
            asyncio.to_thread(_drawn, phase, self._scenario.seed, self._ending),
            fleet.prepare(number, self._connections(phase)),
        )
        if self._ending():
            return
        begin_ns = monotonic_ns() + _LEAD_NS
        self._totals.append(total)
        self._plans.append(PhasePlan(phase.name, phase.warmup, phase.closed, phase.duration_ns, drawn))
        self._observer.phase_started(phase.name, phase.duration_ns, drawn)
        load_ns = 0
        try:
            for frame in ready:
                self._add(total, frame)
            async for frame in fleet.run(begin_ns, self._arrivals):
                self._add(total, frame)
                load_ns = max(load_ns, frame.load_ns)
                if frame.budget_reached:
                    self._budget_reached = True
        finally:
            if load_ns == 0:  # no last frame: an agent died
                load_ns = min(phase.duration_ns, max(1, monotonic_ns() - begin_ns))
            self._plans[-1] = msgspec.structs.replace(self._plans[-1], duration_ns=load_ns)
        self._arrivals += _numbered(total, self._agents)
        served = total.merged("service_time", outcomes=("ok",))
        if served.mean_us is not None:
            self._service_ns = round(served.mean_us * 1000)

    def _add(self, total: PhaseTotal, frame: Frame) -> None:
        total.add(frame)
        self._observer.frame(frame)
        if self._failed is None:
            try:
                self._directory.append_interval_lines(list(interval_lines(frame)))
                self._directory.append_samples(frame.samples)
            except RunDirectoryError as error:  # the load goes on: what is measured is still shown at the end
                self._failed = str(error)
                self._observer.note(self._failed)

    def _spent(self) -> None:
        self._budget_reached = True
        self._observer.note("The time allowed by budget.duration is over: stopping.")
        if self._fleet is not None:
            self._fleet.stop()

    def _ending(self) -> bool:
        return self._interrupted or self._budget_reached

    def _connections(self, phase: Phase) -> int:
        """How many connections to open ahead: what is expected to be in flight (Little's law), and some to spare."""
        if phase.closed:
            return phase.max_workers
        if isinstance(phase.shape, Bursts):
            return min(phase.shape.size, phase.max_in_flight)
        return min(ceil(peak_rate(phase) * self._service_ns / 1e9 * _SPARE) + 1, phase.max_in_flight)

    def _summary(self, began: datetime, machine: Environment, answer: Preflight | None) -> Summary:
        rules = self._scenario.thresholds
        ps = named_percentiles(rules)
        verdict = judge(
            self._plans,
            self._totals,
            rules,
            stopped=self._interrupted or self._budget_reached,
            scenarios={machine.scenario_sha256},
        )
        phases = [phase_summary(plan, total, ps) for plan, total in zip(self._plans, self._totals, strict=True)]
        together = totals(self._plans, self._totals, ps)
        return Summary(
            schema=SCHEMA,
            run=Run(
                id=f"{self._scenario.name}-{began:%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}",
                name=self._scenario.name,
                kind=self._scenario.kind,
                started_at=_instant(began),
                ended_at=_instant(datetime.now(UTC)),
                interrupted=self._interrupted,
                version=loadgen.__version__,
            ),
            scenario=self._loaded.document,
            environment=machine,
            preflight=answer,
            verdict=verdict,
            phases=phases,
            totals=together,
            cost=None,
            thresholds=evaluate(rules, phases, together, verdict),
            generator=generator(self._totals),
            experiment=None,
        )


async def _first_contact(scenario: Scenario) -> tuple[Answer | None, str]:
    """The answer to the pre-flight, if there is to be one, and the address to use."""
    if not scenario.target.preflight:
        return None, (await resolve(request_template(scenario.target).origin))[0]
    answer = await preflight(scenario)
    return answer, answer.address


def _remedy(answer: Answer, scenario: Scenario) -> str:
    facts = answer.facts
    if not facts.status:
        return remedy(facts.outcome, scenario.target, reason=facts.reason)
    return remedy(facts, scenario.target, body=answer.body)


def interval_lines(frame: Frame) -> Iterator[str]:
    """The lines of intervals.hlog for one frame: each metric of its ok invocations, and latency over all planned."""
    total = PhaseTotal(frame.phase)
    total.add(frame)
    for metric, histogram in {**total.by_metric(), "latency_all": total.latency_all()}.items():
        if histogram.count:
            yield hlog.line(f"{frame.phase}.{metric}", frame.from_ns, frame.to_ns - frame.from_ns, histogram)


def _drawn(phase: Phase, seed: int, given_up: Callable[[], bool]) -> int | None:
    """How many starts the schedule of a phase has; drawing a Poisson schedule is the only way to count it."""
    if phase.closed or phase.arrivals is Arrivals.CONSTANT:
        return expected(phase)
    return sum(1 for _ in takewhile(lambda _: not given_up(), offsets(phase, seed)))


def _numbered(total: PhaseTotal, agents: int) -> int:
    """How many numbers the arrivals of a phase took: an agent takes every ``agents``-th, beginning with its own."""
    return max((agent + (frames.planned - 1) * agents + 1 for agent, frames in total.agents.items()), default=0)


def _shares(allowance: int | None, agents: int) -> list[int | None]:
    """What each agent may start, so that all together may start exactly what is allowed."""
    if allowance is None:
        return [None] * agents
    return [allowance // agents + (agent < allowance % agents) for agent in range(agents)]


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
