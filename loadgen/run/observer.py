"""Who watches a run."""

from __future__ import annotations

from typing import Protocol

from loadgen.measure.interval import Frame
from loadgen.measure.summary import Preflight


class Observer(Protocol):
    """Is told of what happens, in the order in which it does."""

    def preflight(self, result: Preflight) -> None:
        """The pre-flight was answered."""

    def phase_started(self, name: str, duration_ns: int, planned: int | None) -> None:
        """A phase begins; ``planned`` is how many starts its schedule has, None when closed."""

    def frame(self, frame: Frame) -> None:
        """An interval was reported."""

    def note(self, text: str) -> None:
        """Something worth saying happened."""
