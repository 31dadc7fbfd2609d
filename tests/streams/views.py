"""A view in virtual time, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.rule import parse
from loadgen.streams.view import View
from tests.cli.displays import GRACE_NS, Clock, scenario
from tests.frames import plan


class Told:
    """A view, and the total of its phase."""

    def __init__(self, *rules: str, hide: Callable[[str], str] = str, **changes: Any) -> None:
        self.clock = Clock()
        of = scenario(thresholds=tuple(map(parse, rules)), **changes)
        self.view = View(of, hide, self.clock)
        self.total = PhaseTotal("")

    def begin(self, name: str = "steady") -> None:
        """A phase begins."""
        self.total = PhaseTotal(name)
        self.view.phase_started(plan(name, drawn=6000, seconds=30), self.total, GRACE_NS)

    def tell(self, *frames: Frame) -> None:
        """Frames come, each at its end."""
        for each in frames:
            self.clock.now_ns = max(self.clock.now_ns, each.to_ns)
            self.total.add(each)
            self.view.frame(each)
        self.view.tick()
