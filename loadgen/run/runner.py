"""A run: pre-flight, phases one after another, and the Summary of what was measured.

The parent's side of a run, whatever its kind. It plays a decision (``experiments.decision``): the phases that the
decision asks for are run on the fleet, what they showed is told to the decision, until it asks for nothing more and
gives its result. It starts the embedded emulator and the agents, tells them when each phase begins, adds up their
frames, writes each interval down as it comes, and judges the whole at the end. Nothing here is on the measured path.

A token that comes from IAM is obtained before anything is sent, and renewed beside the load; agents are told of each
new one.

A run can end early in five ways, and all of them write what was measured: an interrupt or a spent budget stops the
load and waits for what is in flight, a second interrupt waits for nothing, as does the death of the embedded emulator,
and an agent that dies leaves a record that says so.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from inspect import GEN_SUSPENDED, getgeneratorstate
from itertools import takewhile
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import msgspec
from msgspec import Struct

import loadgen
from loadgen.engine.address import AddressError, resolve
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.environment import environment
from loadgen.engine.messages import Phases, Plan, Renew, Split
from loadgen.engine.numbers import ENDLESS, Ranges, below, parted, size, united
from loadgen.engine.preflight import Answer, preflight
from loadgen.engine.workers import COST, INVOCATIONS
from loadgen.experiments.decision import Ask, Decision, Enough, Seen
from loadgen.fleet.crew import Crew, Means
from loadgen.fleet.local import LocalFleet
from loadgen.fleet.port import FleetError
from loadgen.history.rundir import RunDirectory, RunDirectoryError
from loadgen.invocation.outcome import OK, Again, Outcome
from loadgen.invocation.sample import Sample
from loadgen.load.law import Arrivals, random_stream
from loadgen.load.phase import Phase
from loadgen.measure import hlog
from loadgen.measure.cost import Spent, billing, cost, spent, spent_on
from loadgen.measure.experiment import Experiment
from loadgen.measure.floor import Floor, differences
from loadgen.measure.guard import Guard
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, PhaseTotal, generator, phase_summary, totals
from loadgen.measure.purse import Tariff, tariff_of
from loadgen.measure.summary import SCHEMA, Cost, Environment, Preflight, Run, Summary, Verdict, texts
from loadgen.measure.threshold import evaluate, named_percentiles
from loadgen.measure.verdict import judge, of_experiment, of_generator
from loadgen.run import forecast
from loadgen.run.agents import Agents
from loadgen.run.quota import unreachable
from loadgen.scenario.load import Loaded
from loadgen.scenario.model import FeederOrder, Scenario
from loadgen.targets.port import TargetError
from loadgen.targets.registry import tenant_of
from loadgen.targets.remedy import remedy
from loadgen.targets.secret import hidden_in_yaml, sent
from loadgen.targets.settings import Changing, Renewal, SettingsError, settings_of
from loadgen.targets.status import REDIRECTING
from loadgen.targets.target import Target
from loadgen.text.secret import Secrets

_LEAD_NS = 50_000_000  # from Go to the phase's beginning: every agent has read it by then
_MOST_BEHIND = 600  # frames
_SPARE = 1.5  # connections opened ahead, beyond what is expected to be in flight


class RunFailedError(Exception):
    """The load could not begin; the message says why and what to do."""


class DeclinedError(Exception):
    """The user does not want what the run would take; the message says what that is."""


Confirm = Callable[[str], Awaitable[bool]]
"""Asks the user whether to go on, given what the run may take; raises DeclinedError where there is nobody to ask."""

T = TypeVar("T")


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


class Runner:
    """Plays one decision over a scenario."""

    def __init__(
        self,
        loaded: Loaded,
        decision: Decision[Experiment | None],
        directory: RunDirectory,
        observer: Observer,
        *,
        agents: Agents,
        floor: Floor | None = None,
        secrets: Secrets | None = None,
        confirm: Confirm | None = None,
        journal: Callable[[str], Any] | None = None,
        force: bool = False,
    ) -> None:
        """``agents`` are the processes to use, see ``agents_of``; ``floor`` is the last calibration, if any.

        ``secrets`` learns of every token obtained; where it is None, nobody else needs to know. ``confirm`` is asked
        where the run is expected to take more than ``scenario.confirm``; None goes on in any case. ``journal`` opens
        the journal of a run by its id; it is needed where the run changes settings of the platform. ``force`` goes on
        after a pre-flight that would end the run.
        """
        self._loaded = loaded
        self._scenario = loaded.scenario
        self._tenant = tenant_of(loaded.scenario.target)
        self._platform = settings_of(loaded.scenario.target)
        self._decision = decision
        self._experiment: Experiment | None = None
        self._directory = directory
        self._observer = observer
        self._agents = agents
        self._floor = floor
        self._fleet: Crew | None = None
        self._journal = journal
        self._force = force
        self._settings: Changing | None = None
        self._id = ""
        self._secrets = secrets or Secrets(sent(loaded.scenario.target))
        self._renewal: Renewal | None = None
        self._told_expired = False
        self._confirm = confirm
        self._waiting: asyncio.Task[Any] | None = None
        self._interrupted = self._cut = False
        self._budget_reached = self._out_of_money = False
        self._unserved = False  # the embedded emulator is gone
        self._stopped: str | None = None
        self._first = Spent()
        self._configured_mb: int | None = None
        self._tariff: Tariff | None = None
        self._failed: str | None = None
        self._behind: SimpleQueue[tuple[Frame, list[Sample]] | None] = SimpleQueue()
        self._unwritten: str | None = None
        self._plans: list[PhasePlan] = []
        self._totals: list[PhaseTotal] = []
        self._samples: list[Sample] = []
        self._share = 0.0
        self._keeps = False
        self._kept: random.Random = random_stream(loaded.scenario.seed, "samples")
        self._pause: asyncio.Task[None] | None = None
        self._origin_ns = 0
        self._service_ns = 0
        self._numbers = ENDLESS  # of the arrivals to come

    def interrupt(self) -> None:
        """End the run: the first time what is in flight is waited for, the second time it is not.

        Nor is then tried again to put settings back that were changed.
        """
        if self._interrupted:
            self._cut = True
            if self._fleet is not None:
                self._fleet.cut()
            if self._settings is not None:
                self._settings.hurry()
            return
        self._interrupted = True
        self._observer.note("Stopping: waiting for what is in flight. Interrupt again to stop at once.")
        if self._waiting is not None:
            self._waiting.cancel()
        self._stop()

    async def run(self) -> Finished:
        """Run it.

        Raises RunFailedError when the load could not begin, DeclinedError when it may not, and RunDirectoryError when
        not even the first files could be written.
        """
        began = datetime.now(UTC)
        self._id = f"{self._secrets.hide(self._scenario.name)}-{began:%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
        self._origin_ns = monotonic_ns()
        self._directory.write_scenario(hidden_in_yaml(self._loaded.as_run, self._secrets))
        self._directory.append_interval_lines(hlog.header(int(began.timestamp() * 1000)))
        machine = environment(
            agents=self._agents.number,
            agents_why=self._agents.why,
            scenario_sha256=self._scenario.sha256,
            synthetic=self._scenario.target.emulated,
        )
        answer = None
        writing = asyncio.create_task(asyncio.to_thread(self._write_down))
        try:
            async with AsyncExitStack() as stack:
                if self._scenario.target.emulated:
                    await self._start_emulator(stack)
                answer, address = await self._reach(stack)
                machine = msgspec.structs.replace(machine, address=address)
                self._directory.write_environment(texts(machine, self._secrets.hide))
                if address is not None:
                    await self._load(stack, address)
        except TargetError as error:  # it ended in the middle of the run, or stays changed
            self._failed = self._secrets.hide(str(error))
        finally:
            self._behind.put(None)
            await writing
        if self._failed is None and self._unwritten is not None:
            self._failed = self._unwritten
            self._observer.note(self._failed)
        return Finished(self._summary(began, machine, answer), self._budget_reached, self._failed)

    async def _start_emulator(self, stack: AsyncExitStack) -> None:
        try:
            target = await stack.enter_async_context(
                self._platform.emulated(self._scenario, self._directory.truth_path, self._emulator_died)
            )
        except TargetError as error:
            raise RunFailedError(str(error)) from error
        self._scenario = msgspec.structs.replace(self._scenario, target=target)

    def _emulator_died(self, error: TargetError) -> None:
        """End the run at once: nobody answers any more, what is in flight included."""
        self._unserved = True
        self._failed = self._stopped = str(error)
        if self._waiting is not None:
            self._waiting.cancel()
        self._stop()
        if self._fleet is not None:
            self._fleet.cut()

    async def _reach(self, stack: AsyncExitStack) -> tuple[Preflight | None, str | None]:
        """Make the pre-flight, or at least resolve the target's name; no address when interrupted."""
        if self._ending():
            return None, None
        try:
            contact = await self._interruptible(self._first_contact(stack))
        except (AddressError, TargetError) as error:
            raise RunFailedError(str(error)) from error
        if contact is None:
            return None, None
        answer, address = contact
        result = None if answer is None else self._judged(answer)
        if await self._interruptible(self._look_ahead(answer)) is None:
            return result, None
        return result, address

    async def _interruptible(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of some work; None when an interrupt put an end to it."""
        task = asyncio.create_task(work)
        self._waiting = task
        try:
            return await task
        except asyncio.CancelledError:
            if not self._ending():
                raise
            return None
        finally:
            self._waiting = None

    def _judged(self, answer: Answer) -> Preflight:
        """What the pre-flight said, unless that is the end of the run."""
        facts = answer.facts
        advice = None if facts.outcome is Outcome.OK else self._secrets.hide(_remedy(answer, self._loaded.scenario))
        result = Preflight(
            facts.outcome.value, facts.reason, facts.status or None, answer.latency_ns, facts.request_id, advice
        )
        self._observer.preflight(result)
        if (facts.outcome.traits.lasting or facts.status in REDIRECTING) and not self._force and advice is not None:
            raise RunFailedError(f"pre-flight: {advice} {_no_load(facts.outcome)}")
        if advice is not None:
            self._note(f"warning: pre-flight: {advice} The run goes on.")
        if wrong := self._tenant.clock_doubt(self._scenario.target, answer.ahead_s):
            self._observer.note(f"warning: {wrong}.")
        self._service_ns = answer.service_ns
        if self._tenant.told:
            self._first = spent_on(facts)
        return result

    async def _look_ahead(self, answer: Answer | None) -> bool:
        """Say what the run will take and what stands against it, and ask first where it is much; True."""
        scenario = self._loaded.scenario
        limits = await self._platform.limits(scenario, self._scenario.target)
        if limits is not None:
            self._configured_mb = limits.memory_mb
            # an instance is busy for the duration of a call, not for its way and its cold start
            busy_ns = None if answer is None else answer.facts.duration_ns
            for warning in unreachable(scenario, limits, busy_ns):
                self._note(f"warning: {warning}.")
        if answer is None or not self._tenant.told:
            return True
        for line in forecast.after(scenario, answer.facts, answer.service_ns):
            self._note(line)
        used = forecast.gb_seconds_expected(scenario, answer.facts)
        if used is not None and used > scenario.confirm.gb_seconds and self._confirm is not None:
            limit = f"confirm.gb_seconds, which is {scenario.confirm.gb_seconds}"
            if not await self._confirm(f"this run is expected to take {used:.0f} GB-seconds, more than {limit}"):
                raise DeclinedError("not confirmed, so nothing was run but the pre-flight")
        return True

    async def _first_contact(self, stack: AsyncExitStack) -> tuple[Answer | None, str]:
        """The answer to the pre-flight, if there is to be one, and the address to use.

        Where a token is needed for that, it is obtained first, and kept good until the stack is left.
        """
        target = self._scenario.target
        self._renewal = self._platform.renewal(target, self._renewed, self._note)
        if self._renewal is not None:
            await self._renewal.first()
            await stack.enter_async_context(_beside(self._renewal.keep()))
        if not target.preflight:
            return None, (await resolve(self._tenant.template(target).origin))[0]
        if self._tenant.told:
            self._first = Spent(requests=1)  # it may run, though an interrupt keeps its answer from being seen
        answer = await preflight(self._scenario)
        return answer, answer.address

    def _renewed(self, target: Target) -> None:
        """Use the credentials of this target from now on."""
        self._secrets.add(sent(target))
        self._scenario = msgspec.structs.replace(self._scenario, target=target)
        if self._fleet is not None:
            self._fleet.tell(Renew(target))

    def _token_refused(self, why: str) -> None:
        """The platform calls the token expired; the calls it said that to stay what they were."""
        if self._renewal is not None:
            self._renewal.refused()
        elif not self._told_expired:
            self._told_expired = True
            self._note(why)

    def _note(self, text: str) -> None:
        self._observer.note(self._secrets.hide(text))

    async def _load(self, stack: AsyncExitStack, address: str) -> None:
        scenario = self._scenario
        self._guard = Guard(scenario.budget)
        size_mb = forecast.size_mb(scenario, self._configured_mb)
        self._tariff = tariff_of(
            scenario.budget,
            scenario.prices,
            size_mb=size_mb,
            timeout_ns=scenario.target.timeout.total_ns,
            sizes_mb=self._tenant.memory_sizes_mb,
        )
        dearest = 0
        if self._tariff is not None:
            self._tariff.note(self._first)
            size_mb, dearest = self._tariff.known_mb or None, self._tariff.dearest
        plans = [
            Plan(scenario, address, agent, self._origin_ns, size_mb, dearest) for agent in range(self._agents.number)
        ]
        try:
            await self._interruptible(self._allow_changes(stack))
        except SettingsError as error:
            raise RunFailedError(self._secrets.hide(str(error))) from error
        try:
            fleet = await stack.enter_async_context(Crew(LocalFleet(), plans))
            self._fleet = fleet
            target = self._scenario.target  # its token may have been renewed while the agents were started
            if target is not scenario.target:
                fleet.tell(Renew(target))
            timer = None
            if scenario.budget.duration_ns is not None:
                timer = asyncio.get_running_loop().call_later(
                    scenario.budget.duration_ns / 1e9, self._exhausted, "budget.duration: the time allowed is over"
                )
            await self._play(fleet)
            if timer is not None:
                timer.cancel()
        except (FleetError, SettingsError) as error:
            if not (self._cut or self._unserved) or isinstance(error, SettingsError):
                self._failed = self._secrets.hide(str(error))
            self._conclude()

    async def _allow_changes(self, stack: AsyncExitStack) -> None:
        """Get ready to change the function's settings, where the experiment does."""
        if not self._scenario.changes_settings or self._ending():
            return
        assert self._journal is not None
        self._settings = self._platform.changing(self._scenario.target, self._id, self._journal, self._note)
        await stack.enter_async_context(self._settings)

    async def _arrange(self, ask: Ask) -> Ask:
        """Change the function's settings as is asked; what is left for the agents to ask for. Raises SettingsError."""
        if self._settings is None or self._ending():
            return ask
        if ask.renewed:
            await self._settings.renew()
        if self._scenario.memory is None:
            return ask
        (wanted,) = ask.memory_mb
        assert isinstance(wanted, int)
        await self._settings.resize(wanted)
        return msgspec.structs.replace(ask, memory_mb=())

    async def _play(self, fleet: Crew) -> None:
        """Run what the decision asks for, until it has decided or nothing more may be run."""
        # in a thread, as what an experiment computes may take longer than agents wait for their lease
        ask = await asyncio.to_thread(self._decide, None)
        while ask is not None and not self._ending():
            ask = await asyncio.to_thread(self._decide, await self._asked(fleet, ask))
        self._conclude()

    def _conclude(self) -> None:
        """Have a decision that is under way say what it knows: nothing more will be run."""
        if getgeneratorstate(self._decision) == GEN_SUSPENDED:
            self._decide(Seen((), (), Verdict("invalid", []), stopped=True))
            self._decision.close()

    def _decide(self, seen: Seen | None) -> Ask | None:
        """What the decision asks for next; None once it has decided. A fault in it costs none of what was measured."""
        try:
            return next(self._decision) if seen is None else self._decision.send(seen)
        except StopIteration as decided:
            self._experiment = decided.value
        except Exception as error:  # whatever it is, the results have to be written
            self._failed = (
                f"the experiment could not decide how to go on ({type(error).__name__}: {error}). This is a fault of "
                "loadgen's; please report it with the run directory"
            )
        return None

    async def _asked(self, fleet: Crew, ask: Ask) -> Seen:
        """Run the phases of an Ask."""
        if ask.idle_ns:
            self._pause = asyncio.create_task(asyncio.sleep(ask.idle_ns / 1e9))
            await asyncio.wait([self._pause])
        ask = msgspec.structs.replace(ask, phases=tuple(_capped(phase, self._scenario) for phase in ask.phases))
        before, self._samples = len(self._totals), []
        self._keeps = ask.samples > 0
        self._share = max(float(ask.samples), self._scenario.sample_share)
        if ask.cuts is not None:
            fleet.tell(Split(ask.cuts))
        ask = await self._arrange(ask)
        fleet.tell(Phases(ask.phases, self._share, ask.memory_mb, ask.versions))
        for number, phase in enumerate(ask.phases):
            if self._ending() or (ask.enough is not None and self._samples and ask.enough(self._samples)):
                break
            await self._phase(fleet, number, phase, ask.enough)
        plans, totals = self._plans[before:], self._totals[before:]
        verdict = judge(plans, totals, stopped=self._ending(), fresh_connections=self._fresh)
        samples = sorted(self._samples, key=lambda sample: sample.intended_ns)
        return Seen(tuple(totals), tuple(samples), of_generator(verdict), stopped=self._ending())

    async def _phase(self, fleet: Crew, number: int, phase: Phase, enough: Enough | None) -> None:
        total = PhaseTotal(phase.name)
        agents = self._agents.of(phase, self._scenario.target)
        drawn, ready = await asyncio.gather(
            asyncio.to_thread(_drawn, phase, self._scenario.seed, self._ending),
            fleet.prepare(number, self._connections(phase), agents),
        )
        if self._ending():
            return
        begin_ns = monotonic_ns() + _LEAD_NS
        self._totals.append(total)
        locked = phase.shape.lockstep()
        planned = PhasePlan(phase.name, phase.warmup, phase.closed, phase.duration_ns, drawn, locked=locked)
        self._plans.append(planned)
        self._observer.phase_started(phase.name, phase.duration_ns, drawn)
        allowance, rows = self._allowance(phase)
        money = self._money()
        load_ns = 0
        decided = False
        try:
            for frame in ready:
                self._add(total, frame)
            async for frame in fleet.run(begin_ns, Means(agents, self._numbers, allowance, rows, money)):
                self._add(total, frame)
                load_ns = max(load_ns, frame.load_ns)
                if frame.budget_reached == INVOCATIONS:
                    self._budget_reached = True
                    self._stopped = self._stopped or "budget.invocations: all that are allowed were made"
                reached = self._guard.reached(phase, frame) or self._spent(frame)
                if reached is not None and not self._ending():
                    self._exhausted(reached)
                if enough is not None and not decided and not frame.final and enough(self._samples):
                    decided = True
                    self._plans[-1] = msgspec.structs.replace(self._plans[-1], drawn=None)
                    fleet.stop()
        finally:
            if load_ns == 0:  # no last frame: an agent died
                load_ns = min(phase.duration_ns, max(1, monotonic_ns() - begin_ns))
            self._plans[-1] = msgspec.structs.replace(self._plans[-1], duration_ns=load_ns)
        self._numbers = _to_come(self._numbers, total, agents, allowance if phase.closed else None, fleet.left)
        served = total.merged("service_time", outcomes=(OK,))
        if served.mean_us is not None:
            self._service_ns = round(served.mean_us * 1000)

    def _allowance(self, phase: Phase) -> tuple[Ranges | None, bool]:
        """What a phase may start, None for any number, and whether it ends with a feeder's rows and not the budget.

        Workers draw the numbers of their arrivals from it, so that of rows to be sent once none is left out, whichever
        agent is the fastest. In an open phase the numbers follow from the schedule, and only how many there are counts.
        """
        scenario = self._scenario
        budget, feeder = scenario.budget.invocations, scenario.feeder
        spent = scenario.target.preflight + sum(total.tally.started for total in self._totals)
        left = None if budget is None else max(0, budget - spent)
        if not phase.closed:
            return (None if left is None else parted(ENDLESS, left)[0]), False
        once = feeder is not None and feeder.order is FeederOrder.ONCE
        numbers = below(self._numbers, feeder.rows) if once and feeder is not None else self._numbers
        if left is not None and (not once or left <= size(numbers)):
            return parted(numbers, left)[0], False
        return (numbers, True) if once else (None, False)

    def _used(self) -> Spent:
        """What has been used so far, the pre-flight included."""
        return sum((spent(total.tally) for total in self._totals), self._first)

    def _money(self) -> int | None:
        """What the next phase may spend, None for any amount."""
        limit = self._scenario.budget.cost
        return None if self._tariff is None or limit is None else self._tariff.left(limit.amount, self._used())

    def _spent(self, frame: Frame) -> str | None:
        """Why the run has to end for want of money, where it has to."""
        tariff, limit = self._tariff, self._scenario.budget.cost
        if tariff is None or limit is None:
            return None
        tariff.learn(frame.dearest, frame.tally.billed_ns)
        if frame.budget_reached != COST or self._out_of_money:
            return None
        self._out_of_money = not self._ending()
        return tariff.reached(limit)

    def _add(self, total: PhaseTotal, frame: Frame) -> None:
        total.add(frame)
        self._observer.frame(frame)
        if self._keeps:
            self._samples += frame.samples
        for why in filter(None, (self._tenant.expired(reason.rpartition("/")[2]) for reason in frame.tally.reasons)):
            self._token_refused(why)
        self._keep(frame)

    def _keep(self, frame: Frame) -> None:
        """Have a frame written down, without waiting for it.

        Where that fails the load goes on, as what is measured is still shown at the end.
        """
        if self._unwritten is None and self._behind.qsize() > _MOST_BEHIND:
            self._unwritten = (
                f"cannot write to {self._directory.path}: its disk has not taken in the last {_MOST_BEHIND} intervals; "
                "give --out a directory on another one"
            )
        if self._unwritten is None:
            self._behind.put((frame, self._wanted(frame.samples)))
        elif self._failed is None:
            self._failed = self._unwritten
            self._observer.note(self._failed)

    def _write_down(self) -> None:
        """Write what there is to be written, until told that there is no more. In a thread."""
        while (kept := self._behind.get()) is not None:
            frame, samples = kept
            try:
                if self._unwritten is None:
                    self._directory.append_interval_lines(list(interval_lines(frame, self._secrets.hide)))
                    self._directory.append_samples(samples)
            except RunDirectoryError as error:
                self._unwritten = str(error)
            except Exception as error:  # whatever it is, the results have to be written
                self._unwritten = f"what was measured cannot be written down ({type(error).__name__}: {error})"

    def _wanted(self, samples: list[Sample]) -> list[Sample]:
        """Those that the scenario wants written down; a decision may have asked for more of them."""
        share, asked = self._scenario.sample_share, self._share
        return samples if share >= asked else [sample for sample in samples if self._kept.random() * asked < share]

    def _exhausted(self, why: str) -> None:
        """End the run, whose budget is spent: what is in flight is waited for."""
        self._budget_reached = True
        self._stopped = why
        self._note(f"Stopping: {why}.")
        self._stop()

    def _stop(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        if self._fleet is not None:
            self._fleet.stop()

    @property
    def _fresh(self) -> bool:
        return self._scenario.target.fresh_connections

    def _ending(self) -> bool:
        return self._interrupted or self._budget_reached or self._unserved

    def _connections(self, phase: Phase) -> int:
        """How many connections to open ahead: what is expected to be in flight (Little's law), and some to spare."""
        expected = phase.in_flight(self._service_ns * _SPARE)
        return expected if phase.shape.at_once() else min(expected + 1, phase.max_in_flight)

    def _summary(self, began: datetime, machine: Environment, answer: Preflight | None) -> Summary:
        rules = self._scenario.thresholds
        ps = named_percentiles(rules)
        floor_ns = None
        if self._floor is not None and not any(differences(self._floor, machine)):
            floor_ns = self._floor.service_time.p99_ns
        verdict = judge(
            self._plans,
            self._totals,
            rules,
            stopped=self._ending(),
            fresh_connections=self._fresh,
            overhead_floor_ns=floor_ns,
            memory_mb=_asked_mb(self._scenario),
            experiment=self._experiment,
        )
        if self._scenario.kind != "load":
            verdict = of_experiment(verdict, [total.name for total in self._totals])
        bill = None
        if self._tenant.told:
            bill = partial(billing, book=self._scenario.prices)
        phases = [phase_summary(plan, total, ps, bill) for plan, total in zip(self._plans, self._totals, strict=True)]
        together = totals(self._plans, self._totals, ps, bill)
        charged = None if bill is None else cost([self._used()], self._scenario.prices)
        self._hold_against_budget(charged)
        return Summary(
            schema=SCHEMA,
            run=Run(
                id=self._id,
                name=self._scenario.name,
                kind=self._scenario.kind,
                started_at=_instant(began),
                ended_at=_instant(datetime.now(UTC)),
                interrupted=self._interrupted,
                version=loadgen.__version__,
                stopped=self._stopped,
            ),
            scenario=self._loaded.document,
            environment=machine,
            preflight=answer,
            verdict=verdict,
            phases=phases,
            totals=together,
            cost=charged,
            thresholds=evaluate(rules, phases, together, verdict),
            generator=generator(self._totals, floor_ns),
            experiment=self._experiment,
        )

    def _hold_against_budget(self, charged: Cost | None) -> None:
        """Say what the run cost where that ended it, and by how much it has cost more than it was allowed to."""
        limit = self._scenario.budget.cost
        if self._tariff is not None and self._out_of_money:
            self._stopped = f"{self._stopped}; {self._tariff.spent(self._used())}"
        if charged is None or charged.amount is None or limit is None or charged.amount <= limit.amount:
            return
        least, more = "> " if charged.unmetered else "", charged.amount - limit.amount
        over = f"the run cost {least}{charged.amount:.6g} {limit.currency}, {least}{more:.3g} more than allowed"
        self._stopped = f"{self._stopped}; {over}" if self._stopped else f"budget.cost: {over}"
        self._budget_reached = True
        self._note(f"warning: {over}.")


def _asked_mb(scenario: Scenario) -> int | None:
    """The memory size that every invocation asks for; None where there is none, or they ask for different ones."""
    return tenant_of(scenario.target).asked_mb(scenario.target) if scenario.kind in ("load", "capacity") else None


def _capped(phase: Phase, scenario: Scenario) -> Phase:
    """A phase that never has more in flight than the budget allows."""
    most = scenario.budget.in_flight
    return phase if most is None else phase.capped(most)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Work that goes on for as long as the context lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _no_load(outcome: Outcome) -> str:
    """Why no load follows such a pre-flight, which was one call, and on an instance that was not there yet."""
    if outcome.traits.again is Again.MIXED:
        return "No load was sent, as it would hardly fare better; if one call in some does this, --force sends it."
    return "No load was sent, as it would fare no better; --force sends it."


def _remedy(answer: Answer, scenario: Scenario) -> str:
    facts = answer.facts
    if not facts.status:
        return remedy(facts.outcome, scenario.target, reason=facts.reason, body=answer.body)
    return remedy(facts, scenario.target, body=answer.body, ahead_s=answer.ahead_s)


def interval_lines(frame: Frame, hide: Callable[[str], str] = str) -> Iterator[str]:
    """The lines of intervals.hlog for one frame: each metric of its ok invocations, and latency over all planned.

    ``hide`` masks the secrets in the phase's name.
    """
    phase = hide(frame.phase)
    total = PhaseTotal(frame.phase)
    total.add(frame)
    for metric, histogram in {**total.by_metric(), "latency_all": total.latency_all()}.items():
        if histogram.count:
            yield hlog.line(f"{phase}.{metric}", frame.from_ns, frame.to_ns - frame.from_ns, histogram)


def _drawn(phase: Phase, seed: int, given_up: Callable[[], bool]) -> int | None:
    """How many starts the schedule of a phase has; drawing a Poisson schedule is the only way to count it."""
    if phase.closed or phase.arrivals is Arrivals.CONSTANT:
        return phase.expected()
    return sum(1 for _ in takewhile(lambda _: not given_up(), phase.offsets(seed)))


def _to_come(numbers: Ranges, total: PhaseTotal, agents: int, dealt: Ranges | None, left: Ranges) -> Ranges:
    """The numbers for later phases, after one of so many agents that might use ``numbers``.

    ``dealt`` is what they drew theirs from, and ``left`` what they did not use of it. Without it agent i takes every
    n-th number, beginning with the i-th, as far as it comes.
    """
    if dealt is not None:
        return united(left, parted(numbers, size(dealt))[1])
    planned = {agent: frames.planned for agent, frames in total.agents.items() if frames.planned}
    used = max((agent + (n - 1) * agents + 1 for agent, n in planned.items()), default=0)
    return parted(numbers, used)[1]


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
