"""A run: pre-flight, phases one after another, and the Summary of what was measured.

The parent's side of a run, whatever its kind. It starts the embedded emulator and the agents, has the decision of the
run's kind played, and judges the whole at the end. What a run can end by before its load does is in
``loadgen.run.ending``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct

import loadgen
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.environment import environment
from loadgen.engine.messages import Plan
from loadgen.experiments.decision import Decision
from loadgen.experiments.registry import changes, probe
from loadgen.fleet.crew import Crew
from loadgen.fleet.port import Fleet, FleetError
from loadgen.history.rundir import RunDirectory
from loadgen.measure import hlog
from loadgen.measure.floor import Floor
from loadgen.measure.summary import (
    KERNEL,
    READ,
    AgentHost,
    Environment,
    Experiment,
    Preflight,
    Run,
    Summary,
    texts,
)
from loadgen.run.agents import Agents
from loadgen.run.allowance import Allowance, excess
from loadgen.run.conductor import Conductor
from loadgen.run.contact import Confirm, Contact
from loadgen.run.ending import Ending
from loadgen.run.fault import RunFailedError
from loadgen.run.journal import Opening, Over
from loadgen.run.observer import Observer
from loadgen.run.summary import Record, Terms, charged, summary, verdict_on
from loadgen.run.writing import Writing
from loadgen.scenario.load import Loaded
from loadgen.scenario.rows import ChangedError, check_unchanged
from loadgen.targets.port import TargetError
from loadgen.targets.secret import hidden_in_yaml, sent
from loadgen.targets.settings import Changing, SettingsError
from loadgen.text.secret import Secrets


class Finished(Struct, frozen=True):
    """A run that got as far as a Summary. ``failed`` says what went wrong on the way, None for nothing."""

    summary: Summary
    budget_reached: bool
    failed: str | None


class Runner:
    """Plays one decision over a scenario, once. All that changes is in its parts."""

    def __init__(
        self,
        loaded: Loaded,
        decision: Decision[Experiment | None],
        directory: RunDirectory,
        observer: Observer,
        *,
        fleet: Fleet,
        agents: Agents,
        hosts: Sequence[AgentHost] = (),
        cluster: str | None = None,
        floor: Floor | None = None,
        secrets: Secrets | None = None,
        confirm: Confirm | None = None,
        journal: Callable[[str], Any] | None = None,
        force: bool = False,
    ) -> None:
        """``agents`` are those to start on ``fleet``, see ``agents_of``; ``floor`` is the last calibration, if any.

        Where they are on a ``cluster``, ``hosts`` are its machines.

        ``secrets`` learns of every token obtained; where it is None, nobody else needs to know. ``confirm`` and
        ``force`` are as in Contact. ``journal`` opens the journal of a run by its id; it is needed where the run
        changes settings of the platform.
        """
        scenario = loaded.scenario
        self._secrets = secrets or Secrets(sent(scenario.target))
        self._loaded = loaded
        self._decision = decision
        self._directory = directory
        self._observer = observer
        self._fleet = fleet
        self._agents = agents
        self._floor = floor if cluster is None else None  # which is of this machine
        machine = environment(
            agents=agents.number,
            agents_why=agents.why,
            scenario_sha256=scenario.sha256,
            synthetic=scenario.target.emulated,
        )
        clocks = [host.arrival_clock for host in hosts] or [machine.arrival_clock]
        self._machine = msgspec.structs.replace(
            machine, cluster=cluster, hosts=list(hosts), arrival_clock=READ if READ in clocks else KERNEL
        )
        self._journal = journal
        self._ending = Ending(self._note, self._secrets.hide, observer.stopping)
        self._contact = Contact(scenario, self._ending, observer, self._secrets, confirm=confirm, force=force)
        self._writing = Writing(directory, self._secrets.hide, scenario, agents=agents.number)

    def interrupt(self) -> None:
        """End the run, see Ending."""
        self._ending.interrupt()

    async def run(self) -> Finished:
        """Run it.

        Raises RunFailedError when the load could not begin, DeclinedError when it may not, and RunDirectoryError when
        not even the first files could be written.
        """
        began = datetime.now(UTC)
        identity = f"{self._secrets.hide(self._loaded.scenario.name)}-{began:%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
        origin_ns = monotonic_ns()
        self._directory.write_scenario(hidden_in_yaml(self._loaded.as_run, self._secrets))
        self._directory.append_interval_lines(hlog.header(int(began.timestamp() * 1000)))
        machine = self._machine
        answers: tuple[Preflight, ...] = ()
        conductor = None
        try:
            async with self._writing, AsyncExitStack() as stack:
                self._writing.note(self._opening(identity, began, machine, ()))
                if self._loaded.scenario.target.emulated:
                    await self._contact.serve(stack, self._directory.truth_path)
                answers, addresses = await self._contact.reach(stack)
                machine = msgspec.structs.replace(machine, address=", ".join(addresses) or None)
                self._directory.write_environment(texts(machine, self._secrets.hide))
                self._writing.note(self._opening(identity, began, machine, answers))
                if addresses:
                    conductor = await self._load(stack, identity, addresses, origin_ns)
        except TargetError as error:  # it ended in the middle of the run, or stays changed
            self._ending.fail(str(error))
        self._look_at_feeder()
        if self._writing.fault is not None:
            self._ending.unwritten(self._writing.fault)
        return self._finished(identity, began, machine, answers, conductor)

    async def _load(
        self, stack: AsyncExitStack, identity: str, addresses: tuple[str, ...], origin_ns: int
    ) -> Conductor | None:
        """Play the decision; None where there are no agents. They, and settings that are changed, last like the stack.

        Raises RunFailedError.
        """
        scenario, ending = self._contact.scenario, self._ending
        tariff, size_mb, dearest = self._contact.tariff()
        plans = [
            Plan(scenario, addresses[0], agent, origin_ns, size_mb, dearest, probe(scenario), addresses)
            for agent in range(self._agents.number)
        ]
        try:
            settings = await ending.interruptible(self._settings(stack, identity))
        except SettingsError as error:
            raise RunFailedError(self._secrets.hide(str(error))) from error
        try:
            crew = await stack.enter_async_context(Crew(self._fleet, plans, self._note))
        except FleetError as error:
            ending.lose(str(error))
            return None
        ending.load = crew
        self._contact.join(crew, scenario.target)
        conductor = Conductor(
            self._decision,
            crew,
            contact=self._contact,
            ending=ending,
            allowance=Allowance(scenario, self._agents, tariff, self._contact.first),
            writing=self._writing,
            observer=self._observer,
            settings=settings,
            agents=self._agents.number,
        )
        with self._timed(scenario.budget.duration_ns):
            await conductor.conduct()
        return conductor

    def _look_at_feeder(self) -> None:
        """Fail where the rows that were sent are not those that the scenario had."""
        try:
            for feeder in self._loaded.scenario.feeders:
                check_unchanged(feeder)
        except ChangedError as error:
            self._ending.fail(str(error))

    async def _settings(self, stack: AsyncExitStack, identity: str) -> Changing | None:
        """The function's settings, where the experiment changes them."""
        if not changes(self._loaded.scenario) or self._ending.ending:
            return None
        settings = self._contact.settings(identity, self._journal)
        self._ending.hurry = settings.hurry
        return await stack.enter_async_context(settings)

    @contextmanager
    def _timed(self, duration_ns: int | None) -> Iterator[None]:
        """End the load once the time is over that the budget allows it."""
        if duration_ns is None:
            yield
            return
        why = "budget.duration: the time allowed is over"
        timer = asyncio.get_running_loop().call_later(duration_ns / 1e9, self._ending.exhaust, why)
        try:
            yield
        finally:
            timer.cancel()

    def _opening(self, identity: str, began: datetime, machine: Environment, answers: tuple[Preflight, ...]) -> Opening:
        """What is known of the run before its load."""
        contact = self._contact
        terms = Terms.of(contact.scenario, self._loaded.document, contact.asked_mb)
        terms = msgspec.structs.replace(terms, document=self._secrets.hide_in(terms.document))
        return Opening(self._identified(identity, began), terms, machine, answers, contact.first, self._floor)

    def _identified(self, identity: str, began: datetime) -> Run:
        """Which run this is, as if it ended now."""
        scenario, ending = self._contact.scenario, self._ending
        return Run(
            id=identity,
            name=scenario.name,
            kind=scenario.kind,
            started_at=_instant(began),
            ended_at=_instant(datetime.now(UTC)),
            interrupted=ending.interrupted,
            version=loadgen.__version__,
            stopped=ending.stopped,
        )

    def _finished(
        self,
        identity: str,
        began: datetime,
        machine: Environment,
        answers: tuple[Preflight, ...],
        conductor: Conductor | None,
    ) -> Finished:
        ending, contact = self._ending, self._contact
        scenario = contact.scenario
        record = Record(
            terms=Terms.of(scenario, self._loaded.document, contact.asked_mb),
            machine=machine,
            preflights=answers,
            played=() if conductor is None else tuple(conductor.played),
            experiment=None if conductor is None else conductor.experiment,
            watched={} if conductor is None else conductor.watched,
            first=contact.first,
            floor=self._floor,
        )
        cost = charged(record)
        if (over := excess(cost, scenario.budget.cost)) is not None:
            ending.exceed(over)
        run = self._identified(identity, began)
        # before what takes long: from here on nothing but the Summary is missing
        self._writing.over(Over(run, record.experiment, tuple(record.watched.values()), ending.ending))
        verdict = verdict_on(record, stopped=ending.ending)
        return Finished(
            summary(record, run, verdict, cost, self._writing.course.timeline()), ending.budget_reached, ending.failed
        )

    def _note(self, text: str) -> None:
        self._observer.note(self._secrets.hide(text))


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
