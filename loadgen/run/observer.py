"""Who watches a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from loadgen.experiments.decision import Ask
from loadgen.measure.cost import Spent
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.summary import Preflight


class Observer(Protocol):
    """Is told of what happens, in the order in which it does."""

    def preflight(self, result: Preflight) -> None:
        """The pre-flight was answered."""

    def load_started(self, first: Spent, *, bills: bool) -> None:
        """The agents are there; ``first`` is what the pre-flight used, ``bills`` whether calls are charged for."""

    def asked(self, ask: Ask) -> None:
        """The decision has asked for this; its silence, if any, begins."""

    def phase_started(self, plan: PhasePlan, total: PhaseTotal, grace_ns: int) -> None:
        """A phase begins, which ends calls in flight after ``grace_ns``; ``total`` grows with each of its frames."""

    def frame(self, frame: Frame) -> None:
        """An interval was reported, and is in the phase's total; the frames of its connections come first."""

    def enough(self) -> None:
        """Nothing more is started in the phase under way, as what there is is enough."""

    def phase_ended(self) -> None:
        """No call of the phase is in flight any more."""

    def stopping(self) -> None:
        """The run ends: nothing more is started, and what is in flight is waited for, if at all."""

    def note(self, text: str) -> None:
        """Something worth saying happened."""


class Together:  # not a subclass, of which mypy would not say that it lacks a method
    """Several observers of one run; each is told everything, in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def preflight(self, result: Preflight) -> None:
        """See Observer."""
        for each in self._observers:
            each.preflight(result)

    def load_started(self, first: Spent, *, bills: bool) -> None:
        """See Observer."""
        for each in self._observers:
            each.load_started(first, bills=bills)

    def asked(self, ask: Ask) -> None:
        """See Observer."""
        for each in self._observers:
            each.asked(ask)

    def phase_started(self, plan: PhasePlan, total: PhaseTotal, grace_ns: int) -> None:
        """See Observer."""
        for each in self._observers:
            each.phase_started(plan, total, grace_ns)

    def frame(self, frame: Frame) -> None:
        """See Observer."""
        for each in self._observers:
            each.frame(frame)

    def enough(self) -> None:
        """See Observer."""
        for each in self._observers:
            each.enough()

    def phase_ended(self) -> None:
        """See Observer."""
        for each in self._observers:
            each.phase_ended()

    def stopping(self) -> None:
        """See Observer."""
        for each in self._observers:
            each.stopping()

    def note(self, text: str) -> None:
        """See Observer."""
        for each in self._observers:
            each.note(text)
