"""What a run shows on stderr while it runs: a small live table on a terminal, else a line every ten seconds.

Time is read from the frames, so nothing here needs a clock or a timer: a frame comes in, and the display is drawn again
when half a second of the run has passed, unless whoever reads it has not taken in the last ones. The figures are those
of each agent's last interval. A percentile is shown only when the interval has the invocations for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

from loadgen.cli import output
from loadgen.cli.aside import Aside
from loadgen.invocation.cell import chosen
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.percentile import supported
from loadgen.measure.summary import Preflight
from loadgen.report import units
from loadgen.scenario.model import Scenario
from loadgen.text import foreign
from loadgen.text.units import NS_PER_S

if TYPE_CHECKING:  # rich takes a tenth of a second to import; a run without a terminal never pays it
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

_REDRAW_NS = NS_PER_S // 2
_LINE_NS = 10 * NS_PER_S


class Progress:
    """The progress of one run, written to ``stream``. ``close`` it in a ``finally``: that gives the cursor back.

    ``interactive`` says that ``stream`` is a terminal on which lines may be redrawn; ``quiet`` shows nothing at all,
    and neither does a stream that is closed (None) or cannot be written any more: the run goes on without it.
    """

    def __init__(
        self, scenario: Scenario, stream: Aside | TextIO | None, interactive: bool, *, quiet: bool = False
    ) -> None:
        self._stream = stream
        self._quiet = quiet or stream is None
        self._mixed = bool(scenario.calls)
        self._warmups = {phase.name for phase in scenario.phases if phase.warmup}
        self._phase: _Phase | None = None
        self._shown_ns = 0
        self._console: Console | None = None
        self._live: Live | None = None
        if interactive and not self._quiet:
            from rich.console import Console

            self._console = Console(file=cast("TextIO", stream), force_terminal=True, highlight=False)

    def preflight(self, result: Preflight) -> None:
        """Say how an invocation before the load went."""
        status = f" (status {result.status})" if result.status is not None else ""
        of = f" of {result.call}" if self._mixed else ""
        self.note(f"pre-flight{of}: {result.outcome}{status} after {units.duration(result.latency_ns)}")

    def phase_started(self, name: str, duration_ns: int, planned: int | None) -> None:
        """Begin a phase; the one before has ended. ``planned`` is None when nobody can know (a closed phase)."""
        self._end_phase()
        self._phase = _Phase(name, duration_ns, planned)
        kind = "warm-up " if name in self._warmups else "phase "
        due = f", {units.count(planned)} invocations planned" if planned is not None else ""
        self.note(f"{kind}{name}: {units.span(duration_ns)}{due}")
        if self._console is not None and not self._console.is_dumb_terminal:
            from rich.live import Live

            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            with self._silenced_on_failure():
                self._live.start()

    def frame(self, frame: Frame) -> None:
        """Take in what an agent reports, and show it when it is time to. Frames of other phases are passed over."""
        phase = self._phase
        if self._quiet or phase is None or phase.name != frame.phase:
            return
        if phase.began_ns is None:
            self._shown_ns = phase.began_ns = frame.from_ns
        phase.add(frame)
        if isinstance(self._stream, Aside) and self._stream.behind:
            return
        passed = frame.to_ns - self._shown_ns
        if self._live is not None and passed >= _REDRAW_NS:
            self._shown_ns = frame.to_ns
            with self._silenced_on_failure():
                self._live.update(_table(phase), refresh=True)
        elif self._live is None and passed >= _LINE_NS:
            self._shown_ns = frame.to_ns
            self.note(phase.line())

    def note(self, text: str) -> None:
        """Write a line that stays."""
        if self._quiet:
            return
        line = foreign.line(output.clean(text))
        with self._silenced_on_failure():
            if self._console is not None:
                self._console.print(line, markup=False, soft_wrap=True)
            elif self._stream is not None:
                self._stream.write(f"{line}\n")
                self._stream.flush()

    def close(self) -> None:
        """End the display and give the cursor back. Calling it again does nothing."""
        self._end_phase()

    def _end_phase(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            with self._silenced_on_failure():
                live.stop()
        phase, self._phase = self._phase, None
        if phase is not None and phase.began_ns is not None:
            self.note(phase.end())

    @contextmanager
    def _silenced_on_failure(self) -> Iterator[None]:
        """Show nothing any more when the stream cannot be written."""
        try:
            yield
        except OSError:
            self._quiet = True
            if not isinstance(self._stream, Aside):
                output.silence(self._stream)


class _Phase:
    """What has been reported of the phase that runs."""

    def __init__(self, name: str, duration_ns: int, planned: int | None) -> None:
        self.name = name
        self.duration_ns = duration_ns
        self.planned = planned
        self.began_ns: int | None = None
        self.now_ns = 0
        self.in_flight = 0
        self.started = 0
        self.outcomes: dict[str, int] = {}
        self.last: dict[int, Frame] = {}

    def add(self, frame: Frame) -> None:
        self.now_ns = max(self.now_ns, frame.to_ns)
        self.started += frame.tally.started
        self.in_flight += frame.tally.started - frame.tally.completed - frame.tally.unfinished
        for outcome, n in frame.tally.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + n
        self.last[frame.agent] = frame

    @property
    def passed_ns(self) -> int:
        return max(0, self.now_ns - (self.began_ns or 0))

    def rates(self) -> tuple[float, float]:
        """Planned and started per second, all agents' last intervals together."""
        frames = [frame for frame in self.last.values() if frame.to_ns > frame.from_ns]
        lengths = [(frame.to_ns - frame.from_ns) / NS_PER_S for frame in frames]
        planned = sum(frame.tally.planned / length for frame, length in zip(frames, lengths, strict=True))
        started = sum(frame.tally.started / length for frame, length in zip(frames, lengths, strict=True))
        return planned, started

    def latency(self) -> str:
        """p50, p99 and maximum of the last intervals, ok invocations only, however they started."""
        merged = Histogram()
        for frame in self.last.values():
            for cell in chosen(frame.hist, Metric.LATENCY.value, outcomes=(OK,)):
                merged.add_packed(frame.hist[cell])
        if not merged.count:
            return "no ok invocation"
        known = [
            f"{units.percentile(p)} {units.duration(value * 1000)}"
            for p in (50.0, 99.0)
            if supported(merged.count, p) and (value := merged.value_at(p)) is not None
        ]
        return ", ".join([*known, f"max {units.duration((merged.ceiling_us or 0) * 1000)}"])

    def counts(self) -> str:
        """Every outcome so far, ok first, the frequent ones next."""
        order = sorted(self.outcomes.items(), key=lambda item: (item[0] != OK, -item[1], item[0]))
        return ", ".join(f"{name} {units.count(n)}" for name, n in order if n or name == OK) or "none yet"

    def line(self) -> str:
        """The state of the phase in one line."""
        planned, started = self.rates()
        return (
            f"{self.name}: {units.span(_seconds(self.passed_ns))} of {units.span(self.duration_ns)}; "
            f"planned {_rounded(planned)}, achieved {_rounded(started)}, in flight {units.count(self.in_flight)}; "
            f"latency {self.latency()}; {self.counts()}"
        )

    def end(self) -> str:
        """The end of the phase in one line."""
        return f"{self.name}: ended after {units.span(_seconds(self.passed_ns))}; {self.counts()}"


def _table(phase: _Phase) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    planned, started = phase.rates()
    left = max(0, phase.duration_ns - phase.passed_ns)
    table = Table.grid(padding=(0, 2))
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=phase.duration_ns, completed=min(phase.passed_ns, phase.duration_ns), width=30),
        Text(f"{units.span(_seconds(left))} left" if left else "waiting for the last invocations"),
    )
    table.add_row(Text(output.clean(phase.name), style="bold"), bar)
    table.add_row("rate", Text(f"planned {_rounded(planned)}, achieved {_rounded(started)} in the last second"))
    table.add_row("in flight", Text(units.count(phase.in_flight)))
    table.add_row("latency", Text(f"{phase.latency()} in the last second"))
    table.add_row("outcomes", Text(phase.counts()))
    return table


def _seconds(ns: int) -> int:
    """Rounded to whole seconds, still in ns: a countdown needs no more."""
    return round(ns / NS_PER_S) * NS_PER_S


def _rounded(per_s: float) -> str:
    """A rate of one interval; the interval is a little more or less than a second, so decimals would be noise."""
    return units.rate(round(per_s)) if per_s >= 10 else units.rate(round(per_s, 1))
