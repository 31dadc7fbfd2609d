"""The target of a run: reached before any load, looked at for what stands against it, and kept reachable beside it.

A token that is lent for a while is obtained before anything is sent, and renewed beside the load; agents are told of
each new one. The pre-flight is one call, or one of each of a mix, which says what is the matter with the target or the
scenario, and what the load may take; where that is much the user is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from loadgen.engine.address import AddressError, addresses_of, called
from loadgen.engine.messages import Renew
from loadgen.engine.preflight import Answer, preflight
from loadgen.engine.tariff import tariff_of
from loadgen.experiments.registry import one_size
from loadgen.fleet.crew import Crew
from loadgen.invocation.outcome import Again, Outcome
from loadgen.measure.cost import Spent, spent_on
from loadgen.measure.interval import Frame
from loadgen.measure.purse import Tariff
from loadgen.measure.summary import Preflight
from loadgen.run import forecast
from loadgen.run.ending import Ending
from loadgen.run.fault import DeclinedError, RunFailedError
from loadgen.run.observer import Observer
from loadgen.run.quota import limits_of, unreachable
from loadgen.scenario.model import Call, Scenario
from loadgen.scenario.rows import ChangedError
from loadgen.targets.port import TargetError
from loadgen.targets.registry import tenant_of
from loadgen.targets.remedy import remedy
from loadgen.targets.secret import sent
from loadgen.targets.settings import Changing, Renewal, settings_of
from loadgen.targets.status import REDIRECTING
from loadgen.targets.target import Target
from loadgen.text.secret import Secrets

Confirm = Callable[[str], Awaitable[bool]]
"""Asks the user whether to go on, given what the run may take; raises DeclinedError where there is nobody to ask."""

_SILENT_PROBE = (
    "the answer does not say whether its call was cold where target.probe looks for that, so that its calls stay "
    "unknown; docs/probe has functions that say it, and target.probe says where: {cold: PATH, count: PATH}."
)


class Contact:
    """The target as it is to be called, and what is known of it.

    What changes: ``scenario``, whose target gets the emulator's address, and each new token; with the pre-flight
    ``first``, which is what that used, and ``service_ns``, how long a call took on average (0 without one), and with
    the look ahead what is known of the memory of functions; once there is a crew, it is told of each new token.
    """

    def __init__(
        self,
        scenario: Scenario,
        ending: Ending,
        observer: Observer,
        secrets: Secrets,
        *,
        confirm: Confirm | None = None,
        force: bool = False,
    ) -> None:
        """``secrets`` learns of every token obtained.

        ``confirm`` is asked where the run is expected to take more than ``scenario.confirm``; None goes on in any case.
        ``force`` goes on after a pre-flight that would end the run.
        """
        self.scenario = scenario
        self.first = Spent()
        self.service_ns = 0
        self._loaded = scenario
        self._tenant = tenant_of(scenario.target)
        self._platform = settings_of(scenario.target)
        self._ending = ending
        self._observer = observer
        self._secrets = secrets
        self._confirm = confirm
        self._force = force
        self._configured_mb: Sequence[int | None] = ()
        self._renewal: Renewal | None = None
        self._told_expired = False
        self._crew: Crew | None = None

    async def serve(self, stack: AsyncExitStack, truth: Path) -> None:
        """Start the embedded emulator, which writes its truth there, until the stack is left. Raises RunFailedError."""
        emulated = self._platform.emulated(self.scenario, truth, lambda error: self._ending.unserve(str(error)))
        try:
            self._use(await stack.enter_async_context(emulated))
        except TargetError as error:
            raise RunFailedError(str(error)) from error

    async def reach(self, stack: AsyncExitStack) -> tuple[tuple[Preflight, ...], tuple[str, ...]]:
        """Make the pre-flight of each call, or at least resolve the target's name; no addresses where the run is over.

        Tokens are kept good until the stack is left. Raises RunFailedError and DeclinedError.
        """
        if self._ending.ending:
            return (), ()
        try:
            contact = await self._ending.interruptible(self._first_contact(stack))
        except (AddressError, TargetError, ChangedError) as error:
            raise RunFailedError(str(error)) from error
        if contact is None:
            return (), ()
        answers, addresses = contact
        result = self._judged(answers) if answers else ()
        if await self._ending.interruptible(self._look_ahead(answers)) is None:
            return result, ()
        return result, addresses

    def tariff(self) -> tuple[Tariff | None, int | None, int]:
        """What calls cost, as far as money is limited, and the memory and the dearest bill (0: none) known by now.

        For after the pre-flight, which may have told both.
        """
        size_mb = forecast.size_mb(self.scenario, self._configured_mb)
        tariff = tariff_of(self.scenario, size_mb)
        if tariff is None:
            return None, size_mb, 0
        tariff.note(self.first)
        return tariff, tariff.known_mb or None, tariff.dearest

    def settings(self, run: str, journal: Callable[[str], Any] | None) -> Changing:
        """Those of the function, to be changed and put back; ``journal`` opens the one of a run by its id."""
        assert journal is not None
        return self._platform.changing(self.scenario.target, run, journal, self._note)

    def join(self, crew: Crew, planned: Target) -> None:
        """From now on tell these agents, which were started to call ``planned``, of each new token."""
        self._crew = crew
        target = self.scenario.target  # its token may have been renewed while the agents were started
        if target is not planned:
            crew.tell(Renew(target))

    def heard(self, frame: Frame) -> None:
        """Look for what the platform says of the token; the calls it said that to stay what they were."""
        told = (self._tenant.expired(reason.rpartition("/")[2]) for reason in frame.tally.reasons)
        why = next(filter(None, told), None)
        if why is None:
            return
        if self._renewal is not None:
            self._renewal.refused()
        elif not self._told_expired:
            self._told_expired = True
            self._note(why)

    @property
    def bills(self) -> bool:
        """Whether calls are charged for."""
        return self._tenant.bills

    @property
    def asked_mb(self) -> dict[str, int | None]:
        """The memory size that each call asks for; None where it asks for none, or for different ones."""
        known, calls = one_size(self.scenario), self.scenario.each_call
        return {call.name: self._tenant.asked_mb(call.target) if known else None for call in calls}

    async def _first_contact(self, stack: AsyncExitStack) -> tuple[tuple[Answer, ...], tuple[str, ...]]:
        """The answers to the pre-flight, one for each call, none where there is none, and the addresses to use.

        Where a token is needed for that, it is obtained first, and kept good until the stack is left.
        """
        self._renewal = self._platform.renewal(self.scenario.target, self._renewed, self._note)
        if self._renewal is not None:
            await self._renewal.first()
            await stack.enter_async_context(_beside(self._renewal.keep()))
        target = self.scenario.target  # with the token
        if not target.preflight:
            known = await addresses_of(target, self._tenant.template(target).origin)
            addresses = called(target, known[0], known)
            self._tell_others(addresses, len(known) - len(addresses))
            return (), addresses
        if self.bills:
            # they may run, though an interrupt keeps their answers from being seen
            self.first = Spent(requests=self.scenario.preflights)
        answers = await preflight(self.scenario)
        first = answers[0]
        self._tell_others(first.addresses, first.others)
        return answers, first.addresses

    def _tell_others(self, addresses: tuple[str, ...], others: int) -> None:
        """Say that not all addresses of a name get load."""
        if others:
            self._note(
                f"note: the target's name has {others + 1} addresses, and all calls go to {addresses[0]}; "
                "target.addresses: rotate has connections take them in turn"
            )

    def _judged(self, answers: Sequence[Answer]) -> tuple[Preflight, ...]:
        """What the pre-flight of each call said, unless that is the end of the run."""
        calls = self._loaded.each_call
        results = [self._result(call, answer) for call, answer in zip(calls, answers, strict=True)]
        refused = [
            (result, answer.facts.outcome)
            for result, answer in zip(results, answers, strict=True)
            if answer.facts.outcome.traits.lasting or answer.facts.status in REDIRECTING
        ]
        refused = [(result, outcome) for result, outcome in refused if result.remedy is not None]
        if refused and not self._force:
            why = " ".join(f"{self._named(result)}: {result.remedy}" for result, _ in refused)
            raise RunFailedError(f"{why} {_no_load(refused[0][1])}")
        for result in results:
            if result.remedy is not None:
                self._note(f"warning: {self._named(result)}: {result.remedy} The run goes on.")
        for call, result, answer in zip(calls, results, answers, strict=True):
            if result.remedy is None and tenant_of(call.target).tells_starts(call.target) and not answer.facts.start:
                self._note(f"warning: {self._named(result)}: {_SILENT_PROBE}")
        if wrong := self._tenant.clock_doubt(self.scenario.target, answers[0].ahead_s):
            self._note(f"warning: {wrong}.")
        self.service_ns = _mean_ns(self._loaded, answers)
        if self.bills:
            self.first = sum((spent_on(answer.facts) for answer in answers), Spent())
        return tuple(results)

    def _result(self, call: Call, answer: Answer) -> Preflight:
        """What the pre-flight of a call said."""
        facts = answer.facts
        advice = None if facts.outcome is Outcome.OK else self._secrets.hide(_remedy(answer, call.target))
        result = Preflight(
            facts.outcome.value,
            facts.reason,
            facts.status or None,
            answer.latency_ns,
            facts.request_id,
            advice,
            call.name,
        )
        self._observer.preflight(result)
        return result

    def _named(self, result: Preflight) -> str:
        """The pre-flight, of which call it was where there are several."""
        return f"pre-flight of {result.call}" if self._loaded.calls else "pre-flight"

    async def _look_ahead(self, answers: Sequence[Answer]) -> bool:
        """Say what the run will take and what stands against it, and ask first where it is much; True."""
        scenario = self._loaded
        limits = await limits_of(self.scenario)
        self._configured_mb = [None if each is None else each.memory_mb for each in limits]
        # an instance is busy for the duration of a call, not for its way and its cold start
        busy_ns = [answer.facts.duration_ns for answer in answers]
        for warning in unreachable(scenario, limits, busy_ns):
            self._note(f"warning: {warning}.")
        if not answers or not self.bills:
            return True
        told = [answer.facts for answer in answers]
        for line in forecast.after(scenario, told, self.service_ns):
            self._note(line)
        used = forecast.gb_seconds_expected(scenario, told)
        if used is not None and used > scenario.confirm.gb_seconds and self._confirm is not None:
            limit = f"confirm.gb_seconds, which is {scenario.confirm.gb_seconds}"
            if not await self._confirm(f"this run is expected to take {used:.0f} GB-seconds, more than {limit}"):
                raise DeclinedError("not confirmed, so nothing was run but the pre-flight")
        return True

    def _renewed(self, target: Target) -> None:
        """Use the credentials of this target from now on."""
        self._secrets.add(sent(target))
        self._use(target)
        if self._crew is not None:
            self._crew.tell(Renew(target))

    def _use(self, target: Target) -> None:
        self.scenario = msgspec.structs.replace(self.scenario, target=target)

    def _note(self, text: str) -> None:
        self._observer.note(self._secrets.hide(text))


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


def _mean_ns(scenario: Scenario, answers: Sequence[Answer]) -> int:
    """How long an invocation takes on average, as the pre-flight says."""
    return round(sum(share * answer.service_ns for share, answer in zip(scenario.shares, answers, strict=True)))


def _remedy(answer: Answer, target: Target) -> str:
    facts = answer.facts
    if not facts.status:
        return remedy(facts.outcome, target, reason=facts.reason, body=answer.body)
    return remedy(facts, target, body=answer.body, ahead_s=answer.ahead_s)
