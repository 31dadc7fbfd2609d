"""What an agent can say about itself and the machine under it, at a price the load does not feel.

Theory of operation. What is looked at each second is kept open and read with ``pread``; measured, a reading of
``/proc/stat`` and ``cpu.stat`` together takes some 25 µs on a machine with two cores. ``/proc/stat`` also counts every
interrupt of every core, so a machine with very many of both needs longer to write it. ``HostReader`` times its first
readings, and a machine that needs more than 100 µs for one is looked at only when a phase begins and ends.

Source: Linux, Documentation/filesystems/proc.rst (the columns of /proc/stat; the size of /proc/PID/fd is the number of
open files since Linux 6.2).
"""

from __future__ import annotations

import gc
import os
from collections import deque
from contextlib import suppress
from typing import NamedTuple

from loadgen.engine import cgroup
from loadgen.engine.clock import Clock, monotonic_ns
from loadgen.measure.interval import Host

_CHEAP_NS = 100_000
_TRIALS = 3
_LINE_BYTES = 256  # ten counters of 20 digits and a name
_IDLE, _WAITING_FOR_DISK, _STOLEN = 3, 4, 7
_TICKS = 8  # further columns are parts of these
_TIME_WAIT_NS = 60_000_000_000


class Core(NamedTuple):
    """What a core did since the machine began, in ticks."""

    idle: int
    stolen: int
    total: int


def cores(stat: bytes, usable: frozenset[int]) -> dict[int, Core]:
    """The usable cores by number, from the text of /proc/stat or its beginning, whose last line may be cut."""
    found = {}
    for line in stat.split(b"\n")[:-1]:
        name, *columns = line.split()[: _TICKS + 1] or [b""]
        if not name.startswith(b"cpu"):
            break
        if name != b"cpu" and int(name[3:]) in usable and len(columns) == _TICKS:
            ticks = [int(column) for column in columns]
            found[int(name[3:])] = Core(ticks[_IDLE] + ticks[_WAITING_FOR_DISK], ticks[_STOLEN], sum(ticks))
    return found


def host_between(
    before: dict[int, Core], after: dict[int, Core], observed_ns: int, throttled: tuple[int, int], tick_ns: int
) -> Host | None:
    """What the cores did between two readings; None when they did nothing at all, because nobody counts it.

    ``throttled`` is how often and for how many ns the control group was throttled in that time.
    """
    passed = [
        Core(*(max(0, late - early) for early, late in zip(before[number], core, strict=True)))
        for number, core in after.items()
        if number in before
    ]
    counted = [core for core in passed if core.total]
    if not counted:
        return None
    return Host(
        cores=len(counted),
        observed_ns=observed_ns,
        least_idle_ns=min(observed_ns, min(core.idle for core in counted) * tick_ns),
        stolen_ns=sum(core.stolen for core in counted) * tick_ns,
        throttled=throttled[0],
        throttled_ns=throttled[1],
    )


def _stolen(found: dict[int, Core]) -> int:
    """The ticks that were stolen of all of them."""
    return sum(core.stolen for core in found.values())


class HostReader:
    """Looks at this machine: the cores that this process may use, and the control group it is in.

    ``stat`` is where the system counts what its cores do. ``cheap`` says whether that can be looked at while load is
    sent.
    """

    def __init__(self, clock: Clock = monotonic_ns, stat: str | os.PathLike[str] = "/proc/stat") -> None:
        self._clock = clock
        self._usable = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset[int]()
        self._tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        self._size = (max(self._usable, default=0) + 2) * _LINE_BYTES
        self._stat = opened(stat)
        self._cpu_stat = opened(cgroup.cpu_stat())
        trials = []
        for _ in range(_TRIALS):
            began = clock()
            self.begin()
            trials.append(clock() - began)
        self.cheap = min(trials) <= _CHEAP_NS

    def begin(self) -> None:
        """Let the next reading be of the time from now on."""
        self._at_ns = self._clock()
        self._cores = self._read_cores()
        self._stolen = _stolen(self._cores)
        self._throttled = cgroup.throttling(content(self._cpu_stat, self._size))

    def read(self) -> Host | None:
        """The machine since the last reading; None where the system says nothing."""
        at_ns, before, (times, ns) = self._at_ns, self._cores, self._throttled
        self.begin()
        throttled = max(0, self._throttled[0] - times), max(0, self._throttled[1] - ns)
        return host_between(before, self._cores, self._at_ns - at_ns, throttled, self._tick_ns)

    def stolen(self) -> bool:
        """Whether a hypervisor took time from these cores since that was asked last, or the last reading."""
        now = _stolen(self._read_cores())
        before, self._stolen = self._stolen, now
        return now > before

    def _read_cores(self) -> dict[int, Core]:
        return cores(content(self._stat, self._size), self._usable)

    def close(self) -> None:
        """Look no more."""
        for fd in (self._stat, self._cpu_stat):
            if fd is not None:
                os.close(fd)
        self._stat = self._cpu_stat = None


class Collections:
    """What the garbage collector does. It is off while measuring, so whatever it does then is a fault."""

    def __init__(self, clock: Clock = monotonic_ns) -> None:
        self._clock = clock
        self._began_ns = self._count = self._longest_ns = 0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_ns = self._clock()
        else:
            self._count += 1
            self._longest_ns = max(self._longest_ns, self._clock() - self._began_ns)

    def take(self) -> tuple[int, int]:
        """The number of collections since the last call, and how long the longest of them took in ns."""
        taken = self._count, self._longest_ns
        self._count = self._longest_ns = 0
        return taken

    def close(self) -> None:
        """Note nothing more."""
        with suppress(ValueError):
            gc.callbacks.remove(self._note)


class Recent:
    """How many connections were opened within a minute: Linux keeps the port of a closed one for as long.

    Source: net/tcp.h, TCP_TIMEWAIT_LEN.
    """

    def __init__(self) -> None:
        self._opened: deque[tuple[int, int]] = deque()

    def add(self, now_ns: int, opened: int) -> int:
        """Count those opened since the last call; gives the number within the last minute."""
        self._opened.append((now_ns, opened))
        while self._opened[0][0] <= now_ns - _TIME_WAIT_NS:
            self._opened.popleft()
        return sum(opened for _, opened in self._opened)


def open_files() -> int | None:
    """Files that this process has open; None where the system would have to be asked for each of them."""
    try:
        return os.stat("/proc/self/fd").st_size or None  # noqa: PTH116 - a Path costs more than the question
    except OSError:
        return None


def opened(path: str | os.PathLike[str] | None) -> int | None:
    """A file of the system's, to be looked at again and again; None where it is not there."""
    try:
        return None if path is None else os.open(path, os.O_RDONLY)
    except OSError:
        return None


def content(fd: int | None, size: int) -> bytes:
    """What it says now, of that many bytes at most; nothing where it says nothing any more."""
    try:
        return b"" if fd is None else os.pread(fd, size, 0)
    except OSError:  # the group is gone, or the core that answered
        return b""
