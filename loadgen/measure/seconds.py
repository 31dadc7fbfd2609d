"""The last seconds of a run, each as all agents together reported it. Pure.

A second is counted from the beginning of the run, and is of one phase: where two share one, there are two. An agent
that reports of an earlier one than those that are kept counts into the first of them, too late to matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from loadgen.invocation.cell import chosen
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.percentile import needed
from loadgen.text.units import NS_PER_S

SHOWN = (50.0, 95.0, 99.0)
"""The percentiles that are shown of seconds."""
NEEDED = {p: needed(p) or 0 for p in SHOWN}
"""How many calls each of them takes to be supported."""


@dataclass(slots=True)
class Second:
    """What was reported of a second so far; ``ok`` are latencies of ok invocations."""

    at: int
    phase: str
    planned: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0
    ok: Histogram = field(default_factory=Histogram)
    _known: tuple[int, dict[float, int]] = (0, {})

    def percentile(self, p: float) -> int | None:
        """One of ``SHOWN``, in µs; None where the calls are too few. It is looked for once."""
        count = self.ok.count
        if count != self._known[0]:
            ps = [each for each in SHOWN if count >= NEEDED[each]]
            self._known = (count, dict(zip(ps, self.ok.values_at(ps), strict=True)))
        return self._known[1].get(p)


class Seconds:
    """The last ones, at most ``kept``. What changes: those that frames are of."""

    def __init__(self, kept: int) -> None:
        self._seconds: deque[Second] = deque(maxlen=kept)

    def __iter__(self) -> Iterator[Second]:
        """In their order."""
        return iter(self._seconds)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._seconds)

    @property
    def newest(self) -> int:
        """The number of the last one; there has to be one."""
        return self._seconds[-1].at

    def take(self, frame: Frame) -> Second:
        """Count a frame into its second, which is returned."""
        second = self._of(round(frame.to_ns / NS_PER_S), frame.phase)
        tally = frame.tally
        second.planned += tally.planned
        second.started += tally.started
        second.completed += tally.completed
        second.failed += sum(n for outcome, n in tally.outcomes.items() if outcome != OK)
        for cell in chosen(frame.hist, Metric.LATENCY.value, outcomes=(OK,)):
            second.ok.add_packed(frame.hist[cell])
        return second

    def _of(self, at: int, phase: str) -> Second:
        if not self._seconds or self._seconds[-1].at < at or self._seconds[-1].phase != phase:
            self._seconds.append(Second(at, phase))
        for second in reversed(self._seconds):
            if second.at <= at:
                return second
        return self._seconds[0]
