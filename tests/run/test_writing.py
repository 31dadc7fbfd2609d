from __future__ import annotations

import threading
from pathlib import Path

import pytest

from loadgen.history.journal import bodies
from loadgen.history.rundir import RunDirectory, RunDirectoryError, read_intervals
from loadgen.invocation.sample import Sample
from loadgen.invocation.tally import Tally
from loadgen.measure import hlog
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhaseTotal
from loadgen.run.journal import Began, Told
from loadgen.run.writing import Writing, interval_entries
from tests import frames
from tests.frames import blank, packed, plan, sample
from tests.scenarios import function, scenario


def frame(hist: dict[str, Histogram]) -> Frame:
    return blank(Tally(5, 5, 5), packed(hist), seq=1)


def test_a_frame_becomes_a_line_per_metric_of_its_ok_calls_one_of_every_latency_and_how_many_were_started() -> None:
    one = frame(
        {
            "ok/latency": Histogram({10: 3}),
            "ok/duration": Histogram({5: 3}),
            "throttled/latency": Histogram({2: 1}),
            "throttled/late": Histogram({0: 1}),
            "dropped/latency": Histogram({90: 1}),
        }
    )
    *entries, started = interval_entries([one])
    read = {each.tag: each for each in entries if isinstance(each, hlog.Line)}
    assert {tag: line.histogram.counts for tag, line in read.items()} == {
        "steady.duration": {5: 3},
        "steady.latency": {10: 3},
        "steady.latency_all": {2: 1, 10: 3, 90: 1},
    }
    assert {(line.start_ns, line.length_ns) for line in read.values()} == {(1_000_000_000, 1_000_000_000)}
    assert started == hlog.Started("steady", 1_000_000_000, 1_000_000_000, 5)


def test_an_empty_frame_becomes_no_line() -> None:
    assert list(interval_entries([blank(Tally(), packed({}), seq=1)])) == []


class Disk:
    """A run directory whose writes may be held up, or fail."""

    path = Path("run")

    def __init__(self, error: Exception | None = None) -> None:
        self.intervals = 0
        self.samples: list[Sample] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._error = error

    def append_record(self, body: bytes) -> int:
        return len(body)

    def append_interval_lines(self, lines: list[str]) -> None:
        self.goes_on.wait(10)
        if self._error is not None:
            raise self._error
        self.intervals += 1

    def append_samples(self, samples: list[Sample]) -> None:
        self.samples += samples


def to(disk: Disk, share: float = 1.0) -> Writing:
    asked = scenario(function("http://127.0.0.1:1"), sample_share=share)
    return Writing(disk, str, asked)  # type: ignore[arg-type]  # as much of a directory as it takes


def sampled(n: int) -> Frame:
    interval = frame({})
    interval.samples = [sample(index=index) for index in range(n)]
    return interval


async def test_all_that_was_given_is_written_before_it_is_left() -> None:
    disk = Disk()
    async with to(disk) as writing:
        for _ in range(50):
            writing.keep(sampled(2), 1.0)
    assert (disk.intervals, len(disk.samples), writing.fault) == (50, 100, None)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (RunDirectoryError("cannot write run/intervals.hlog"), "cannot write run/intervals.hlog"),
        (KeyError("x"), "what was measured cannot be written down (KeyError: 'x')"),
    ],
)
async def test_what_cannot_be_written_ends_the_writing_and_nothing_else(error: Exception, fault: str) -> None:
    disk = Disk(error)
    async with to(disk) as writing:
        for _ in range(3):
            writing.keep(sampled(1), 1.0)
    assert (disk.intervals, disk.samples, writing.fault) == (0, [], fault)


async def test_a_disk_that_takes_nothing_in_is_given_up_before_memory_is_full() -> None:
    disk = Disk()
    disk.goes_on.clear()
    async with to(disk) as writing:
        for _ in range(700):
            writing.keep(sampled(0), 1.0)
        assert writing.fault is not None
        assert writing.fault.startswith("cannot write to run: its disk has not taken in the last 600 frames")
        disk.goes_on.set()
    assert disk.intervals <= 1


@pytest.mark.parametrize(("share", "sampled_share", "least", "most"), [(1, 1, 1000, 1000), (0.1, 1, 50, 150)])
async def test_of_the_samples_that_a_decision_asked_for_only_the_scenarios_share_is_written(
    share: float, sampled_share: float, least: int, most: int
) -> None:
    disk = Disk()
    async with to(disk, share) as writing:
        writing.keep(sampled(1000), sampled_share)
    assert least <= len(disk.samples) <= most


async def test_an_interval_has_as_many_lines_of_several_agents_as_of_one_and_no_call_of_any_is_missing(
    tmp_path: Path,
) -> None:
    directory = RunDirectory.create(tmp_path / "run")
    directory.append_interval_lines(hlog.header(0))
    asked = scenario(function("http://127.0.0.1:1"))
    async with Writing(directory, str, asked, agents=3) as writing:
        for second, present in enumerate(((0, 1, 2), (2, 0), (0, 1, 2))):  # in the middle one says nothing
            for agent in present:
                late = 4_000_000 * agent
                part = frames.frame({"ok": [20 + agent]}, agent=agent, seq=second, final=False)
                part.from_ns, part.to_ns = part.from_ns + late, part.to_ns + late
                writing.keep(part, 0.0)
    directory.close()
    lines = [line for line in hlog.read(read_intervals(directory.path)) if line.tag == "steady.latency"]
    assert [(line.start_ns, line.histogram.counts) for line in lines] == [
        (0, {20: 1, 21: 1, 22: 1}),
        (1_000_000_000, {20: 1, 22: 1}),
        (2_000_000_000, {20: 1, 21: 1, 22: 1}),
    ]


async def test_a_journal_that_gets_long_is_written_anew_and_tells_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadgen.run.writing._LONG", 3000)
    directory = RunDirectory.create(tmp_path / "run")
    asked = scenario(function("http://127.0.0.1:1"))
    whole = PhaseTotal("steady")
    async with Writing(directory, str, asked) as writing:
        writing.note(Began(plan()))
        for number in range(60):
            interval = frames.frame({"ok": [number] * 10}, seq=number, final=False)
            writing.keep(interval, 0.0)
            whole.add(interval)
    directory.close()
    held = (tmp_path / "run" / "frames.journal").read_bytes()
    assert writing.fault is None
    assert len(list(bodies(held))) < 40
    (phase,) = Told(held).phases
    assert phase.total.kept() == whole.kept()
