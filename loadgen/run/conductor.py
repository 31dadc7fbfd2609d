"""The load of a run, whatever its kind: a decision (``loadgen.experiments.decision``) is played on a crew.

The phases that the decision asks for are played, what they showed is told to the decision, until it asks for nothing
more and gives its result. Nothing here is on the measured path.
"""

from __future__ import annotations

import asyncio
from inspect import GEN_SUSPENDED, getgeneratorstate

import msgspec

from loadgen.engine.messages import Phases, Split
from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.fleet.crew import Crew
from loadgen.fleet.port import FleetError
from loadgen.invocation.sample import Sample
from loadgen.load.phase import Phase
from loadgen.measure.interval import Frame
from loadgen.measure.rule import Rule
from loadgen.measure.summary import Experiment, ThresholdResult, Verdict
from loadgen.measure.threshold import withholds
from loadgen.measure.trust.rule import Whose
from loadgen.measure.verdict import judge, of_generator
from loadgen.measure.window import Broken, WatchedRule, Watcher
from loadgen.run.allowance import Allowance
from loadgen.run.contact import Contact
from loadgen.run.ending import Ending
from loadgen.run.journal import Began, Ended, Parted
from loadgen.run.observer import Observer
from loadgen.run.play import Played, Watch, connections_for, play, service_ns
from loadgen.run.writing import Writing
from loadgen.targets.settings import Changing, SettingsError


class _Turn:
    """What is made of one Ask. What changes: ``samples`` are those asked for, as they come; ``decided`` is for good."""

    def __init__(self, ask: Ask, share: float) -> None:
        """``share`` is that of the invocations whose samples agents keep."""
        self.ask = ask
        self.share = share
        self.samples: list[Sample] = []
        self.decided = False

    @property
    def enough(self) -> bool:
        """Whether the samples so far are."""
        return self.ask.enough is not None and self.ask.enough(self.samples)

    def seen(self, played: list[Played], *, stopped: bool, fresh_connections: bool) -> Seen:
        """What the phases of this Ask showed."""
        plans, totals = [each.plan for each in played], [each.total for each in played]
        verdict = judge(plans, totals, part=True, stopped=stopped, fresh_connections=fresh_connections)
        samples = sorted(self.samples, key=lambda sample: sample.intended_ns)
        return Seen(tuple(totals), tuple(samples), of_generator(verdict), stopped=stopped)


class Conductor(Watch):
    """Plays one decision, once.

    What changes: ``played`` grows by each phase that begins, ``experiment`` is what the decision returned, once it has,
    each Ask has a turn of its own, and ``_grace_ns`` is that of the phase under way.
    """

    def __init__(
        self,
        decision: Decision[Experiment | None],
        crew: Crew,
        *,
        contact: Contact,
        ending: Ending,
        allowance: Allowance,
        writing: Writing,
        observer: Observer,
        settings: Changing | None,
        agents: int,
    ) -> None:
        """``settings`` are the function's, where the run changes them; ``agents`` is how many the crew has."""
        self.played: list[Played] = []
        self.experiment: Experiment | None = None
        self._decision = decision
        self._crew = crew
        self._contact = contact
        self._ending = ending
        self._allowance = allowance
        self._writing = writing
        self._observer = observer
        self._settings = settings
        self._watcher = Watcher(contact.scenario.thresholds, agents)
        self._aborted: dict[Rule, ThresholdResult] = {}
        self._turn = _Turn(Ask(()), 0.0)
        self._grace_ns = 0

    async def conduct(self) -> None:
        """Play what the decision asks for, until it has decided or nothing more may be run.

        An agent that dies, or settings that cannot be changed, end it, and are told to the ending.
        """
        self._observer.load_started(self._contact.first, bills=self._contact.bills)
        try:
            # in a thread, as what an experiment computes may take longer than agents wait for their lease
            ask = await asyncio.to_thread(self._decide, None)
            while ask is not None and not self._ending.ending:
                ask = await asyncio.to_thread(self._decide, await self._asked(ask))
        except FleetError as error:
            self._ending.lose(str(error))
        except SettingsError as error:
            self._ending.fail(str(error))
        if self._ending.out_of_money:
            self._ending.account(self._allowance.spent([each.total for each in self.played]))
        if getgeneratorstate(self._decision) == GEN_SUSPENDED:  # it has to say what it knows: nothing more will be run
            self._decide(Seen((), (), Verdict("invalid", []), stopped=True))
            self._decision.close()

    @property
    def watched(self) -> dict[Rule, ThresholdResult]:
        """How rules ended that were judged while the load went on: over windows, or by ending it."""
        return {**self._aborted, **self._watcher.results()}

    @property
    def given_up(self) -> bool:
        """See Watch."""
        return self._ending.ending

    def begun(self, played: Played) -> None:
        """See Watch."""
        self.played.append(played)
        self._writing.note(Began(played.plan))
        self._watcher.begin(played.plan.name, played.plan.duration_ns, warmup=played.plan.warmup)
        self._observer.phase_started(played.plan, played.total, self._grace_ns)

    def ready(self, frame: Frame) -> None:
        """See Watch."""
        self._take(frame)

    def _take(self, frame: Frame) -> None:
        """Show, look at and write down what an agent sent, with load or without."""
        self._observer.frame(frame)
        if self._turn.ask.samples > 0:
            self._turn.samples += frame.samples
        self._contact.heard(frame)
        self._writing.keep(frame, self._turn.share)
        if self._writing.fault is not None:
            self._ending.unwritten(self._writing.fault)

    def lost(self, phase: Phase, agent: int) -> None:
        """See Watch."""
        self._writing.note(Parted(agent, self.played[-1].total.losses[agent]))
        for broken in self._watcher.lose(agent):
            self._abort(phase, broken)

    def reported(self, phase: Phase, frame: Frame) -> bool:
        """See Watch."""
        self._take(frame)
        if (why := self._allowance.used_up(frame)) is not None:
            self._ending.used_up(why)
        exhausted = self._allowance.exhausted(phase, frame)
        if exhausted is not None and not self._ending.ending:
            why, of_money = exhausted
            self._ending.exhaust(why, of_money=of_money)
        for broken in self._watcher.take(frame):
            self._abort(phase, broken)
        if self._turn.decided or frame.final or not self._turn.enough:
            return False
        self._turn.decided = True
        self._observer.enough()
        return True

    def _abort(self, phase: Phase, broken: Broken) -> None:
        """End the load by a rule, unless it has ended, or the record so far says that the rule must not be judged."""
        last = phase.name == self._contact.scenario.phases[-1].name
        if self._ending.ending or (last and self._watcher.over) or self._doubted(broken.rule):
            return
        why = f"broken, and ended the load: {broken.result.why}"
        self._aborted[broken.rule] = msgspec.structs.replace(broken.result, why=why)
        self._ending.abort(f"the threshold {broken.rule.text} is broken: {broken.result.why}")

    def _doubted(self, rule: WatchedRule) -> bool:
        """Whether the phases so far are such that nobody may conclude from them by the rule."""
        scenario = self._contact.scenario
        verdict = judge(
            [each.plan for each in self.played],
            [each.total for each in self.played],
            part=True,
            stopped=True,
            fresh_connections=scenario.target.fresh_connections,
            memory_mb=self._contact.asked_mb,
        )
        # the record of a phase that goes on is not complete
        reasons = [reason for reason in verdict.reasons if reason.whose != Whose.RECORD.value]
        return withholds(rule, Verdict(verdict.status, reasons)) is not None

    def _decide(self, seen: Seen | None) -> Ask | None:
        """What the decision asks for next; None once it has decided. A fault in it costs none of what was measured."""
        try:
            return next(self._decision) if seen is None else self._decision.send(seen)
        except StopIteration as decided:
            self.experiment = decided.value
        except Exception as error:  # whatever it is, the results have to be written
            self._ending.fail(
                f"the experiment could not decide how to go on ({type(error).__name__}: {error}). This is a fault of "
                "loadgen's; please report it with the run directory"
            )
        return None

    async def _asked(self, ask: Ask) -> Seen:
        """Play the phases of an Ask."""
        self._observer.asked(ask)
        if ask.idle_ns:
            await self._ending.interruptible(asyncio.sleep(ask.idle_ns / 1e9))
        scenario = self._contact.scenario
        if (most := scenario.budget.in_flight) is not None:
            ask = msgspec.structs.replace(ask, phases=tuple(phase.capped(most) for phase in ask.phases))
        turn = self._turn = _Turn(ask, max(float(ask.samples), scenario.sample_share))
        before = len(self.played)
        if ask.cuts is not None:
            self._crew.tell(Split(ask.cuts))
        await self._arrange(ask)
        self._crew.tell(Phases(ask.phases, turn.share, ask.memory_mb, ask.versions))
        for number, phase in enumerate(ask.phases):
            if self._ending.ending or (turn.samples and turn.enough):
                break
            await self._phase(number, phase)
        return turn.seen(
            self.played[before:],
            stopped=self._ending.ending,
            fresh_connections=scenario.target.fresh_connections,
        )

    async def _arrange(self, ask: Ask) -> None:
        """Change the function's settings as is asked. Raises SettingsError."""
        if self._settings is None or self._ending.ending:
            return
        if ask.renewed:
            await self._settings.renew()
        if ask.resized_mb is not None:
            await self._settings.resize(ask.resized_mb)

    async def _phase(self, number: int, phase: Phase) -> None:
        means = self._allowance.means(phase, [each.total for each in self.played])
        connections = connections_for(phase, service_ns(self.played, self._contact.service_ns))
        seed = self._contact.scenario.seed
        self._grace_ns = phase.grace_ns
        before = len(self.played)
        try:
            played = await play(self._crew, number, phase, seed=seed, connections=connections, means=means, watch=self)
        finally:
            if len(self.played) > before:
                clocks = {agent: frames.clock_error_ns for agent, frames in self.played[-1].total.agents.items()}
                self._writing.note(Ended(self.played[-1].plan, clocks))
            self._observer.phase_ended()
        if played is not None:
            self._allowance.played(phase, means, played.total, self._crew.left)
