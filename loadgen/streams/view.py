"""A run as it is seen from outside, second by second: the one observer behind the live page, the scrape and OTLP.

Theory of operation. The run tells its observers in its own thread, which must not wait; whoever carries figures to the
outside works in threads of its own. Between them stands a ``Snapshot``, which nobody changes any more: soon after
agents have reported, and whenever a phase begins or ends, a new one is put in the place of the last. What a phase
counted is copied for it, as long as the phase goes on; once more when it has ended, before an experiment labels its
calls anew, so that nothing that was told is ever taken back. Rules are looked at once a second, and more rarely where
that would take more than a hundredth of a core.

Seconds are those in which agents reported, all of them together; each has a number, that of the snapshot in which it
changed last, so that a reader asks for what is newer than what it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from loadgen import __version__
from loadgen.experiments.decision import Ask
from loadgen.measure import seconds
from loadgen.measure.cost import Spent
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.sofar import Played, so_far
from loadgen.measure.summary import Preflight, Summary
from loadgen.report.families import Part, Standing, of_total, together
from loadgen.scenario.model import Scenario
from loadgen.text.units import NS_PER_S, NS_PER_US

KEPT = 900
"""Of how many of the last seconds each is known by itself."""
_MOST_CPU = 0.01  # of a core, for looking at the rules


class Second(Struct, frozen=True):
    """A second of the run, counted from its beginning; latencies are of ok invocations, in ns.

    A percentile is None where its sample does not support it. ``number`` is that of the snapshot in which it changed
    last.
    """

    at: int
    phase: str
    planned: int
    started: int
    failed: int
    percentiles: tuple[int | None, ...]
    longest: int | None
    number: int


class Doing(Struct, frozen=True):
    """What goes on: ``what`` is waiting, silence, phase, draining or ended; instants are monotonic ns.

    ``phase`` is the one under way, or the purpose of the next. ``lasts_ns`` is for how long at most, 0 where nobody
    knows.
    """

    what: str = "waiting"
    phase: str = ""
    began_ns: int = 0
    lasts_ns: int = 0


class Snapshot(Struct, frozen=True):
    """What was known at an instant. ``outcome`` and ``answer`` are those of the Summary, None and empty before it."""

    number: int
    standing: Standing
    seconds: tuple[Second, ...] = ()
    doing: Doing = Doing()
    outcome: str | None = None
    answer: str = ""

    @property
    def over(self) -> bool:
        """Whether the run has ended, and nothing more comes."""
        return self.doing.what == "ended"


class View:
    """An Observer that keeps ``snapshot``, which any thread may read at any time.

    What changes: ``snapshot`` is another one with each report, all else in the thread of the run alone.
    """

    def __init__(
        self, scenario: Scenario, hide: Callable[[str], str] = str, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """``hide`` masks secrets in names and rules; ``clock`` gives monotonic ns."""
        self._scenario = scenario
        self._hide = hide
        self._clock = clock
        self._ended: list[Part] = []
        self._played: list[Played] = []
        self._total: PhaseTotal | None = None
        self._seconds = seconds.Seconds(KEPT)
        self._shown: dict[tuple[int, str], Second] = {}
        self._changed: set[tuple[int, str]] = set()
        self._rules: tuple[tuple[str, bool | None], ...] = tuple(
            (hide(each.text), None) for each in scenario.thresholds
        )
        self._judged_ns = self._made_ns = clock()
        self._stale = False
        self._doing = Doing(began_ns=self._made_ns)
        standing = Standing(hide(scenario.name), scenario.kind, __version__, rules=self._rules)
        self.snapshot = Snapshot(0, standing, doing=self._doing)

    def preflight(self, result: Preflight) -> None:
        """See Observer."""

    def load_started(self, first: Spent, *, bills: bool) -> None:
        """See Observer."""

    def asked(self, ask: Ask) -> None:
        """See Observer."""
        self._does("silence" if ask.idle_ns else "waiting", ask.purpose, ask.idle_ns)

    def phase_started(self, plan: PhasePlan, total: PhaseTotal, grace_ns: int) -> None:
        """See Observer."""
        self._total = total
        self._played.append((plan, total))
        self._does("phase", plan.name, plan.duration_ns)

    def frame(self, frame: Frame) -> None:
        """See Observer."""
        if self._total is None or frame.phase != self._total.name:
            return
        self._stale = True
        if frame.to_ns > frame.from_ns and self._total.tally.planned:  # agents report before the load begins, too
            changed = self._seconds.take(frame)
            self._changed.add((changed.at, changed.phase))

    def enough(self) -> None:
        """See Observer."""

    def phase_ended(self) -> None:
        """See Observer."""
        if self._total is not None:
            self._judge()
            self._ended += self._parts(self._total)
            self._total = None
            self._does("waiting")

    def stopping(self) -> None:
        """See Observer."""
        self._does("draining", self._doing.phase)

    def note(self, text: str) -> None:
        """See Observer."""

    def tick(self) -> None:
        """Show what was told since the last snapshot; to be called some times a second."""
        if self._stale:
            self._make()

    def finish(self, summary: Summary | None) -> None:
        """The run has ended, with this Summary, whose secrets are masked; without any where there is none."""
        self.phase_ended()
        self._doing = Doing("ended", began_ns=self._clock())
        if summary is None:
            self._make()
        else:
            self._rules = tuple((each.rule, each.passed) for each in summary.thresholds)
            self._make(summary.outcome, summary.answer)

    def _does(self, what: str, phase: str = "", lasts_ns: int = 0) -> None:
        self._doing = Doing(what, self._hide(phase), self._clock(), lasts_ns)
        self._make()

    def _make(self, outcome: str | None = None, answer: str = "") -> None:
        """Put a new snapshot in the place of the last."""
        self._made_ns, self._stale = self._clock(), False
        self._judge()
        number, total = self.snapshot.number + 1, self._total
        flying = 0 if total is None else total.tally.started - total.tally.completed - total.tally.unfinished
        standing = replace(
            self.snapshot.standing,
            parts=together([*self._ended, *([] if total is None else self._parts(total))]),
            in_flight=max(0, flying),
            rules=self._rules,
        )
        self.snapshot = Snapshot(number, standing, self._told(number), self._doing, outcome, answer)

    def _parts(self, total: PhaseTotal) -> list[Part]:
        return [replace(part, phase=self._hide(part.phase), call=self._hide(part.call)) for part in of_total(total)]

    def _judge(self) -> None:
        """Look at the rules, while a phase is under way: afterwards its calls may be labelled anew at any time."""
        if not self._scenario.thresholds or self._total is None or self._made_ns < self._judged_ns:
            return
        began = time.thread_time_ns()
        found = so_far(self._scenario.thresholds, self._played, self._scenario.prices)
        self._rules = tuple((self._hide(each.rule), each.passed) for each in found)
        took = time.thread_time_ns() - began
        self._judged_ns = self._made_ns + max(NS_PER_S, round(took / _MOST_CPU))

    def _told(self, number: int) -> tuple[Second, ...]:
        """The last seconds, those anew that changed; the others are what they were told as."""
        told = []
        for second in self._seconds:
            key = (second.at, second.phase)
            if key in self._changed or key not in self._shown:
                self._shown[key] = _second(second, self._hide(second.phase), number)
            told.append(self._shown[key])
        self._changed.clear()
        self._shown = {key: self._shown[key] for key in ((each.at, each.phase) for each in self._seconds)}
        return tuple(told)


def _second(counted: seconds.Second, phase: str, number: int) -> Second:
    longest = counted.ok.ceiling_us
    ps = [counted.percentile(p) for p in seconds.SHOWN]
    return Second(
        counted.at,
        phase,
        counted.planned,
        counted.started,
        counted.failed,
        tuple(None if value is None else value * NS_PER_US for value in ps),
        None if longest is None else longest * NS_PER_US,
        number,
    )
