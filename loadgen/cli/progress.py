"""What a run shows on stderr while it runs: a live display on a terminal, else a line every ten seconds.

What is said is made by ``watched``, from what the run tells and the time, and laid out by ``drawing``. It is drawn at
most four times a second, when there is something new or a second has passed, unless whoever reads it has not taken in
the last ones. Rules are looked at once a second, and more rarely where that would take more than a hundredth of a core.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

from msgspec.structs import replace

from loadgen.cli import drawing, output
from loadgen.cli.aside import Aside
from loadgen.cli.watched import Watched
from loadgen.experiments.decision import Ask
from loadgen.measure.cost import Spent
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.summary import Preflight
from loadgen.report import units
from loadgen.scenario.model import Scenario
from loadgen.text import foreign
from loadgen.text.units import NS_PER_S

if TYPE_CHECKING:  # rich takes a tenth of a second to import; a run without a terminal never pays it
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

_REDRAW_NS = NS_PER_S // 4
_LINE_NS, _SILENT_LINE_NS, _DRAINING_LINE_NS = 10 * NS_PER_S, 30 * NS_PER_S, 5 * NS_PER_S
_COLUMNS = 80  # where a terminal does not say
_MOST_CPU = 0.01  # of a core, for looking at the rules


class Progress:
    """The progress of one run, written to ``stream``. ``close`` it in a ``finally``: that gives the cursor back.

    ``interactive`` says that ``stream`` is a terminal on which lines may be redrawn; ``quiet`` shows nothing at all,
    and neither does a stream that is closed (None) or cannot be written any more: the run goes on without it. What it
    is told is shown at once, and what only time changes by ``keep``. ``clock`` gives monotonic ns.
    """

    def __init__(
        self,
        scenario: Scenario,
        stream: Aside | TextIO | None,
        interactive: bool,
        *,
        quiet: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._stream = stream
        self._quiet = quiet or stream is None
        self._clock = clock
        self._mixed = bool(scenario.calls)
        self._watched = Watched(scenario)
        self._shown_ns = clock()
        self._judged_ns = 0
        self._new = False
        self._closed = False
        self._plain = not _encodes(stream)
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

    def load_started(self, first: Spent, *, bills: bool) -> None:
        """See Observer."""
        self._watched.load_started(first, bills=bills, now_ns=self._clock())

    def asked(self, ask: Ask) -> None:
        """See Observer."""
        self._watched.asked(ask, self._clock())
        if (silence := self._watched.silence()) is not None and not self._draws:
            self.note(silence)
        self._changed()

    def phase_started(self, plan: PhasePlan, total: PhaseTotal, grace_ns: int) -> None:
        """See Observer."""
        self._watched.phase_started(plan, total, grace_ns, self._clock())
        self.note(self._watched.begun())
        self._changed()

    def frame(self, frame: Frame) -> None:
        """Take in what an agent reports. Frames of other phases are passed over."""
        if not self._quiet:
            self._watched.frame(frame)
            self._new = True
            self.tick()

    def enough(self) -> None:
        """See Observer."""
        self._watched.enough(self._clock())

    def phase_ended(self) -> None:
        """See Observer."""
        ended = self._watched.ended(self._clock())
        self._watched.phase_ended()
        if ended is not None:
            self.note(ended)
        self._changed()

    def stopping(self) -> None:
        """See Observer."""
        self._watched.stopping(self._clock())
        self._changed()

    def note(self, text: str) -> None:
        """Write a line that stays; on a terminal it is wrapped as wide as that is."""
        if self._quiet:
            return
        line = foreign.line(output.clean(text))
        with self._silenced_on_failure():
            if self._console is not None:
                self._console.width = self._width
                self._console.print(_text([(drawing.folded(line, self._width), "")]), soft_wrap=True)
            elif self._stream is not None:
                columns = output.columns(self._stream)
                self._stream.write(f"{line if columns is None else drawing.folded(line, columns)}\n")
                self._stream.flush()

    def tick(self) -> None:
        """Show what has changed, when it is time to."""
        if self._quiet or self._closed or (isinstance(self._stream, Aside) and self._stream.behind):
            return
        if not self._watched.under_way:
            return
        now_ns = self._clock()
        passed_ns = now_ns - self._shown_ns
        if self._draws:
            if passed_ns >= (_REDRAW_NS if self._new else NS_PER_S):
                self._draw(now_ns)
        elif passed_ns >= self._line_ns(now_ns):
            self._shown_ns = now_ns
            self._judge(now_ns)
            self.note(self._watched.line(now_ns))

    async def keep(self) -> None:
        """Show what time changes, for as long as this is not cancelled."""
        while True:
            await asyncio.sleep(_REDRAW_NS / NS_PER_S)
            self.tick()

    def close(self) -> None:
        """End the display and give the cursor back. Calling it again does nothing."""
        self.phase_ended()
        self._closed = True
        live, self._live = self._live, None
        if live is not None:
            with self._silenced_on_failure():
                live.stop()

    @property
    def _draws(self) -> bool:
        """Whether lines may be redrawn."""
        return self._console is not None and not self._console.is_dumb_terminal

    @property
    def _width(self) -> int:
        return (None if self._stream is None else output.columns(self._stream)) or _COLUMNS

    def _line_ns(self, now_ns: int) -> int:
        """How long after the last line the next one is due."""
        if self._watched.draining:
            return _DRAINING_LINE_NS
        return _SILENT_LINE_NS if self._watched.silent(now_ns) else _LINE_NS

    def _changed(self) -> None:
        """Something else goes on from now on: it is drawn soon, and the next line is due in its own time."""
        if not self._draws:
            self._shown_ns = self._clock()
        else:
            self._new = True
            self.tick()

    def _draw(self, now_ns: int) -> None:
        self._shown_ns, self._new = now_ns, False
        self._judge(now_ns)
        rows = (replace(row, text=foreign.line(output.clean(row.text))) for row in self._watched.rows(now_ns))
        lines = drawing.lines(rows, self._width, plain=self._plain)
        with self._silenced_on_failure():
            self._shown_by().update(_joined(lines), refresh=True)

    def _judge(self, now_ns: int) -> None:
        if now_ns < self._judged_ns:
            return
        began = time.thread_time_ns()
        self._watched.judge()
        took = time.thread_time_ns() - began
        self._judged_ns = now_ns + max(NS_PER_S, round(took / _MOST_CPU))

    def _shown_by(self) -> Live:
        """The display, which begins with the first drawing."""
        assert self._console is not None
        self._console.width = self._width
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self._live

    @contextmanager
    def _silenced_on_failure(self) -> Iterator[None]:
        """Show nothing any more when the stream cannot be written."""
        try:
            yield
        except OSError:
            self._quiet = True
            if not isinstance(self._stream, Aside):
                output.silence(self._stream)


def _joined(lines: list[drawing.Line]) -> Text:
    return _text([part for number, line in enumerate(lines) for part in ([("\n", "")] if number else []) + line])


def _text(parts: drawing.Line) -> Text:
    """Texts in their styles, which rich neither wraps nor reads anything into."""
    from rich.text import Text

    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _encodes(stream: Aside | TextIO | None) -> bool:
    """Whether the stream has the characters that bars are drawn with."""
    try:
        "█▁".encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
