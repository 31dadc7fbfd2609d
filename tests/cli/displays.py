"""A display in virtual time, and what it is told."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from loadgen.cli.progress import Progress
from loadgen.load.budget import Budget
from loadgen.load.constant import ConstantRate
from loadgen.load.phase import Phase
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhaseTotal
from loadgen.scenario.model import Scenario
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.port import Timeout, Tls
from loadgen.text.units import Rate
from tests.frames import blank, counted, packed, plan
from tests.report.builders import histogram, spread

S = 1_000_000_000
GRACE_NS = 10 * S


def scenario(**changes: Any) -> Scenario:
    """A warm-up and a steady phase, both of 30 s at 200/s, with these changes."""

    def phase(name: str, *, warmup: bool) -> Phase:
        rate = ConstantRate(Rate(200, S))
        return Phase(name, rate, 30 * S, warmup, max_in_flight=10, grace_ns=GRACE_NS)

    whole = Scenario(
        name="live",
        kind="load",
        seed=1,
        target=HttpTarget("http://127.0.0.1:1/", "GET", (), False, Timeout(S, S, S), Tls(True, None), True),
        event="{}",
        feeder=None,
        phases=(phase("warm-up", warmup=True), phase("steady", warmup=False)),
        thresholds=(),
        sample_share=0.0,
        budget=Budget(None, None),
        tags={},
        emulator=None,
        sha256="0",
    )
    return replace(whole, **changes)


def frame(
    second: float, *, agent: int = 0, ok: int = 200, failed: int = 0, flying: int = 0, name: str = "steady"
) -> Frame:
    """A second of calls that ended, ``flying`` more of which only began."""
    hist = packed(
        {"ok/latency": histogram(spread(ok, 21_000))}
        | ({"throttled/latency": histogram([400] * failed)} if failed else {})
        if ok
        else {},
        name,
    )
    tally = counted({"ok": ok, "throttled": failed})
    tally.started += flying
    tally.planned += flying
    span = int(second * S), int((second + 1) * S)
    return blank(tally, hist, phase=name, agent=agent, seq=int(second), span=span)


class Clock:
    """Time, which passes when it is told to."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Tty(io.StringIO):
    """A text stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Display:
    """A display of a scenario in virtual time, and what it wrote."""

    def __init__(
        self, of: Scenario | None = None, *, interactive: bool = False, quiet: bool = False, tty: bool | None = None
    ) -> None:
        self.clock = Clock()
        self.stream = Tty() if (interactive if tty is None else tty) else io.StringIO()
        self.progress = Progress(of or scenario(), self.stream, interactive, quiet=quiet, clock=self.clock)
        self._total = PhaseTotal("")

    def begin(self, name: str = "steady", *, drawn: int | None = 6000, seconds: int = 30, warmup: bool = False) -> None:
        """A phase begins."""
        self._total = PhaseTotal(name)
        begun = plan(name, drawn=drawn, seconds=seconds, warmup=warmup, closed=drawn is None)
        self.progress.phase_started(begun, self._total, GRACE_NS)

    def tell(self, frames: Iterable[Frame]) -> None:
        """Frames come, each at the end of its interval."""
        for each in frames:
            self.clock.now_ns = max(self.clock.now_ns, each.to_ns)
            if each.phase == self._total.name:
                self._total.add(each)
            self.progress.frame(each)

    def wait(self, seconds: float) -> None:
        """Time passes, and the display is asked four times a second whether there is something to show."""
        for _ in range(round(4 * seconds)):
            self.clock.now_ns += S // 4
            self.progress.tick()

    @property
    def text(self) -> str:
        """What it wrote, with blanks of one kind."""
        return self.stream.getvalue().replace("\u00a0", " ").replace("\u202f", " ")
