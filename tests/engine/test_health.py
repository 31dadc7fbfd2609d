from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.engine import cgroup
from loadgen.engine.health import Collections, Core, HostReader, Recent, cores, host_between, open_files
from loadgen.measure.interval import Host

STAT = b"""\
cpu  400 0 200 3000 100 0 0 40 0 0
cpu0 100 10 50 1000 50 1 2 10 7 0
cpu1 300 0 150 2000 50 0 0 30 0 0
intr 7905973 0 0
"""
TICK_NS = 10_000_000
S = 1_000_000_000

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_core_is_idle_also_while_it_waits_for_a_disk_and_guests_are_not_counted_twice() -> None:
    assert cores(STAT, frozenset({0, 1})) == {0: Core(1050, 10, 1223), 1: Core(2050, 30, 2530)}


def test_cores_that_may_not_be_used_are_left_out() -> None:
    assert list(cores(STAT, frozenset({1, 7}))) == [1]


@pytest.mark.parametrize("text", [b"", b"cpu0 1 2 3\n", b"intr 1\n", STAT[:60]], ids=["none", "short", "other", "cut"])
def test_what_is_not_there_is_not_made_up(text: bytes) -> None:
    assert cores(text, frozenset({0})) == {}


def test_a_last_line_that_is_whole_counts() -> None:
    assert cores(b"cpu0 1 2 3 4 5 6 7 8 9 10\n", frozenset({0})) == {0: Core(9, 8, 36)}


def test_the_least_idle_core_and_the_stolen_time_of_all() -> None:
    before = {0: Core(100, 0, 200), 1: Core(100, 5, 200)}
    after = {0: Core(190, 1, 300), 1: Core(110, 8, 300)}
    seen = host_between(before, after, S, (2, 30_000_000), TICK_NS)
    assert seen is not None
    assert (seen.cores, seen.observed_ns, seen.least_idle_ns, seen.stolen_ns) == (2, S, 100_000_000, 40_000_000)
    assert (seen.throttled, seen.throttled_ns) == (2, 30_000_000)
    assert (seen.least_idle, seen.stolen) == (0.1, 0.02)


def test_a_core_that_was_not_there_before_or_does_not_count_is_left_out() -> None:
    before = {0: Core(100, 0, 200), 1: Core(0, 0, 0)}
    after = {0: Core(150, 0, 300), 1: Core(0, 0, 0), 2: Core(0, 0, 100)}
    seen = host_between(before, after, S, (0, 0), TICK_NS)
    assert seen is not None
    assert (seen.cores, seen.least_idle_ns) == (1, 500_000_000)
    assert host_between({1: before[1]}, {1: after[1]}, S, (0, 0), TICK_NS) is None


def test_a_count_that_goes_back_is_no_time() -> None:
    """The kernel says so of the time a core waited for a disk."""
    seen = host_between({0: Core(100, 5, 200)}, {0: Core(99, 5, 300)}, S, (0, 0), TICK_NS)
    assert seen is not None
    assert seen.least_idle_ns == 0


def test_idle_ticks_are_never_more_than_the_time_that_passed() -> None:
    seen = host_between({0: Core(0, 0, 0)}, {0: Core(101, 0, 101)}, S, (0, 0), TICK_NS)
    assert seen is not None
    assert seen.least_idle == 1


@linux
def test_a_core_that_is_kept_busy_has_no_idle_time() -> None:
    code = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from loadgen.engine.health import HostReader
reader = HostReader()
reader.begin()
until = time.monotonic() + 1
while time.monotonic() < until:
    pass
seen = reader.read()
print(seen.cores, seen.least_idle, seen.observed_ns)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    number, least_idle, observed_ns = done.stdout.split()
    assert int(number) == 1
    assert float(least_idle) < 0.2
    assert int(observed_ns) >= S


@linux
def test_each_reading_is_of_the_time_since_the_one_before_and_all_files_are_closed() -> None:
    before = open_files()
    now = 0
    reader = HostReader(lambda: now)
    now = 5 * S
    reader.begin()
    now = 7 * S
    first = reader.read()
    now = 8 * S
    second = reader.read()
    reader.close()
    reader.close()
    # no tick may have passed in between, then there is nothing to be seen
    assert [seen.observed_ns for seen in (first, second) if seen is not None] in ([2 * S, S], [2 * S], [S], [])
    assert open_files() == before


class Machine:
    """The files of a machine whose usable cores all do the same, and a reader of them at its own time."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 0
        self._stat, self._cpu_stat = directory / "stat", directory / "cpu.stat"
        monkeypatch.setattr(cgroup, "cpu_stat", lambda: self._cpu_stat)
        self.at()
        self.reader = HostReader(lambda: self.now_ns, self._stat)

    def at(self, seconds: int = 0, *, busy: int = 0, idle: int = 0, stolen: int = 0, throttled: int = 0) -> None:
        """Let it be so many seconds after its beginning; counts are ticks, ``throttled`` times of a millisecond."""
        self.now_ns = seconds * S
        cores = "".join(f"cpu{n} {busy} 0 0 {idle} 0 0 0 {stolen} 0 0\n" for n in sorted(os.sched_getaffinity(0)))
        self._stat.write_text(f"cpu 0 0 0 0 0 0 0 0 0 0\n{cores}intr 1\n")
        self._cpu_stat.write_text(f"nr_throttled {throttled}\nthrottled_usec {throttled * 1000}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path, monkeypatch)
    yield made
    made.reader.close()


@linux
def test_a_reading_is_of_what_every_usable_core_and_the_control_group_did_since_the_one_before(
    machine: Machine,
) -> None:
    tick_ns, cores = S // os.sysconf("SC_CLK_TCK"), len(os.sched_getaffinity(0))
    machine.at(2, busy=100, idle=60, stolen=3, throttled=4)
    assert machine.reader.read() == Host(cores, 2 * S, 60 * tick_ns, 3 * cores * tick_ns, 4, 4_000_000)
    machine.at(3, busy=110, idle=90, stolen=3, throttled=5)
    assert machine.reader.read() == Host(cores, S, 30 * tick_ns, 0, 1, 1_000_000)
    machine.at(9, busy=120, idle=100, throttled=5)
    machine.reader.begin()
    machine.at(10, busy=130, idle=105, throttled=2)  # of another group
    assert machine.reader.read() == Host(cores, S, 5 * tick_ns, 0, 0, 0)


@linux
def test_time_is_stolen_once_and_since_it_was_asked_last_or_the_last_reading(machine: Machine) -> None:
    assert not machine.reader.stolen()
    machine.at(busy=1, stolen=1)
    assert (machine.reader.stolen(), machine.reader.stolen()) == (True, False)
    machine.at(busy=1, stolen=2)
    machine.reader.read()
    assert not machine.reader.stolen()


@linux
def test_a_machine_that_tells_nothing_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "cpu_stat", lambda: None)
    for silent in (tmp_path / "nothing", tmp_path):  # which is not there, and which cannot be read
        reader = HostReader(stat=silent)
        assert (reader.read(), reader.stolen()) == (None, False)
        reader.close()
    for fd in (0, 1):
        os.fstat(fd)  # what is not open is not closed: these are of others


@linux
def test_a_reader_that_was_closed_reads_nothing(machine: Machine) -> None:
    machine.reader.close()
    machine.at(1, busy=1)
    assert machine.reader.read() is None


@pytest.mark.parametrize(("trials_ns", "cheap"), [((900_000, 100_000, 900_000), True), ((100_001,) * 3, False)])
def test_a_machine_that_is_slow_to_tell_at_every_trial_is_not_asked_during_the_load(
    trials_ns: tuple[int, ...], cheap: bool
) -> None:
    times = iter([at for ns in trials_ns for at in (S, S, S + ns)])  # before, of the reading, after
    reader = HostReader(lambda: next(times))
    reader.close()
    assert reader.cheap is cheap


def test_a_collection_is_noticed_once_and_with_its_pause() -> None:
    watch = Collections()
    try:
        assert watch.take() == (0, 0)
        gc.collect()
        number, longest_ns = watch.take()
        assert number == 1
        assert longest_ns > 0
        assert watch.take() == (0, 0)
    finally:
        watch.close()
    gc.collect()
    assert watch.take() == (0, 0)


def test_of_several_collections_the_longest_pause_is_told() -> None:
    times = iter([10, 35, 100, 107])
    gc.disable()  # or one that nobody asked for would be counted, too
    watch = Collections(lambda: next(times))
    try:
        gc.collect()
        gc.collect()
        assert watch.take() == (2, 25)
    finally:
        watch.close()
        gc.enable()


def test_a_closed_connection_is_recent_for_a_minute() -> None:
    recent = Recent()
    assert recent.add(0, 5) == 5
    assert recent.add(30 * S, 2) == 7
    assert recent.add(59 * S, 0) == 7
    assert recent.add(60 * S, 0) == 2
    assert recent.add(90 * S, 1) == 1


@linux
def test_open_files_are_counted() -> None:
    if not Path("/proc/self/fd").stat().st_size:
        pytest.skip("this kernel does not say how many files are open (Linux 6.2 does)")
    before = open_files()
    assert before is not None
    pipe = os.pipe()
    assert open_files() == before + 2
    for end in pipe:
        os.close(end)
    assert open_files() == before
