"""Who watches a run."""

from __future__ import annotations

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
