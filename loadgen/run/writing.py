"""What is measured is written down as it comes, in a thread and behind: no disk keeps the load from being watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from msgspec import structs

from loadgen.history.rundir import RunDirectory, RunDirectoryError
from loadgen.invocation.metric import Metric
from loadgen.invocation.sample import Sample
from loadgen.load.law import random_stream
from loadgen.measure import hlog
from loadgen.measure.ends import together
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import INTERVAL_NS, Frame
from loadgen.measure.merge import PhaseTotal
from loadgen.report.timeline import Course
from loadgen.run.journal import Began, Ended, Opening, Over, Parted, encode, shortened
from loadgen.scenario.model import Scenario

_MOST_BEHIND, _MORE_BEHIND = 600, 10  # frames of one agent, and of each more
_STRETCHES = 120
"""So many parts of a run are told apart while it goes on: a hundred bytes for each slot that a part has calls in."""
_LONG = 16 * 2**20
"""Bytes by which a journal grows before it is written anew: minutes of one agent's frames."""


class Writing:
    """Writes the journal, intervals and samples. An async context manager, left when everything is written that can be.

    What changes: ``fault`` says why nothing is written any more, once that is so, and stays; ``_long`` is how many
    bytes the journal may have before it is written anew, and ``_interval`` what came of an interval that is not
    written yet, as some agent's part is missing. ``course`` is what of the run was written.
    """

    def __init__(
        self, directory: RunDirectory, hide: Callable[[str], str], scenario: Scenario, *, agents: int = 1
    ) -> None:
        """``hide`` masks secrets; so many ``agents`` report each interval."""
        self.fault: str | None = None
        self.course = Course(_STRETCHES)
        self._directory = directory
        self._hide = hide
        self._share = scenario.sample_share
        self._random = random_stream(scenario.seed, "samples")
        self._behind: SimpleQueue[tuple[Frame, list[Sample]] | Opening | Began | Parted | Ended | None] = SimpleQueue()
        self._long = _LONG
        self._agents = agents
        self._interval: list[Frame] = []
        self._thread: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._thread = asyncio.create_task(asyncio.to_thread(self._write_down))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self._behind.put(None)
        await self._thread

    def keep(self, frame: Frame, sampled: float) -> None:
        """Have a frame written down, without waiting for it; it has the samples of that share of its invocations."""
        most = _MOST_BEHIND + _MORE_BEHIND * (self._agents - 1)
        if self.fault is None and self._behind.qsize() > most:
            self.fault = (
                f"cannot write to {self._directory.path}: its disk has not taken in the last {most} frames; give --out "
                "a directory on another one"
            )
        if self.fault is None:
            self._behind.put((frame, self._wanted(frame.samples, sampled)))

    def note(self, record: Opening | Began | Parted | Ended) -> None:
        """Have it written down where it stands between the frames, without waiting for it."""
        self._behind.put(record)

    def over(self, record: Over) -> None:
        """Write down at once how a run ended of which everything else is written."""
        if self.fault is None:
            try:
                self._directory.append_record(encode(record, self._hide))
            except RunDirectoryError as error:
                self.fault = str(error)

    def _wanted(self, samples: list[Sample], sampled: float) -> list[Sample]:
        """Those that the scenario wants written down; a decision may have asked for more of them."""
        if self._share >= sampled:
            return samples
        return [sample for sample in samples if self._random.random() * sampled < self._share]

    def _write_down(self) -> None:
        """Write what there is to be written, until told that there is no more. In a thread."""
        while True:
            kept = self._behind.get()
            try:
                if self.fault is None:
                    self._write_interval() if kept is None else self._write(kept)
            except RunDirectoryError as error:
                self.fault = str(error)
            except Exception as error:  # whatever it is, the results have to be written
                self.fault = f"what was measured cannot be written down ({type(error).__name__}: {error})"
            if kept is None:
                return

    def _write(self, kept: tuple[Frame, list[Sample]] | Opening | Began | Parted | Ended) -> None:
        record = kept[0] if isinstance(kept, tuple) else kept
        if self._directory.append_record(encode(record, self._hide)) > self._long:
            self._long = self._directory.rewrite_journal(shortened) + _LONG
        if isinstance(kept, tuple):
            frame, samples = kept
            if self._interval and not _same_interval(self._interval, frame):
                self._write_interval()
            self._interval.append(frame)
            if len(self._interval) == self._agents:
                self._write_interval()
            self._directory.append_samples(samples)

    def _write_interval(self) -> None:
        """Write what came of an interval, of all agents together: as many lines as of one."""
        interval, self._interval = self._interval, []
        if interval:
            entries = list(interval_entries(interval))
            self._directory.append_interval_lines(
                [hlog.text(_hidden(entry, interval[0].phase, self._hide)) for entry in entries]
            )
            for entry in entries:
                self.course.add(entry)


def _same_interval(interval: Sequence[Frame], frame: Frame) -> bool:
    """Whether a frame is another agent's of this interval; agents report at whole seconds of a phase."""
    first = interval[0]
    near = abs(frame.to_ns - first.to_ns) < INTERVAL_NS // 2 and abs(frame.from_ns - first.from_ns) < INTERVAL_NS // 2
    return near and frame.phase == first.phase and all(each.agent != frame.agent for each in interval)


def interval_entries(interval: Sequence[Frame]) -> Iterator[hlog.Line | hlog.Started]:
    """What intervals.hlog tells of the frames of an interval of one phase.

    There is a line of each metric of its ok invocations, and of latency over all planned, and how many were started.
    Those that the load generator disturbed have lines of their own, but for what tells how the load was made.
    """
    total = PhaseTotal(interval[0].phase)
    for frame in interval:
        total.add(frame)
    from_ns = min(frame.from_ns for frame in interval)
    length_ns = max(frame.to_ns for frame in interval) - from_ns
    for metric in (*total.metrics(), Metric.LATENCY_ALL.value):
        counted = total.figure(metric)
        disturbed = together(counted.moved.ok, counted.moved.failed)
        for tag, histogram in (
            (metric, together(counted.ok, counted.failed or Histogram())),
            (f"{hlog.DISTURBED}.{metric}", disturbed),
        ):
            if histogram.count:
                yield hlog.Line(f"{total.name}.{tag}", from_ns, length_ns, histogram)
    if total.tally.started:
        yield hlog.Started(total.name, from_ns, length_ns, total.tally.started)


def _hidden(entry: hlog.Line | hlog.Started, phase: str, hide: Callable[[str], str]) -> hlog.Line | hlog.Started:
    """The entry with the secrets in the phase's name masked."""
    if isinstance(entry, hlog.Started):
        return structs.replace(entry, phase=hide(phase))
    return structs.replace(entry, tag=hide(phase) + entry.tag.removeprefix(phase))
