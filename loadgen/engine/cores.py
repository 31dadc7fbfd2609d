"""Cores of their own for agents beside the emulator: who sends the load is to be moved and displaced by nobody.

Theory of operation. An agent that waits awake (``loadgen.engine.polling``) looks busy to the scheduler, and whoever a
packet of its wakes is put on its core all the same, as the kernel takes the sender for one that is about to sleep: the
embedded emulator displaces the agent that calls it, or the agent is moved. So where there are more cores than agents,
each agent keeps to one of them and all else of a run to the rest. Measured on two cores with 500 calls a second of
5 ms, eight runs each way in turns: 61 and 29 of 1,500 calls disturbed in the median, p99 of ``late`` 322 and 185 µs.

Not where others run on this machine, too, as none of it could then get out of their way: it is not begun where any do,
and an agent gives it up for the rest of the run as soon as others use its core. Nor where the target is elsewhere: it
wakes nobody here, and which of a machine's cores are the fast ones is better left to the kernel.

Source: Linux, Documentation/filesystems/proc.rst (the fourth column of /proc/loadavg: how many are running, the reader
among them) and scheduler/sched-stats.rst (the second number of /proc/PID/schedstat is the time spent waiting on a
runqueue, in ns); kernel/sched/fair.c, select_task_rq_fair with WF_SYNC.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from loadgen.engine.health import content, opened

_SHARED: Final = 0.02
"""An agent that waited for its core for more than this share of a time does not have it to itself."""
_LOADAVG: Final = Path("/proc/loadavg")
_SCHEDSTAT: Final = Path("/proc/self/schedstat")
_LINE_BYTES: Final = 64  # three counters


class Own(Struct, frozen=True):
    """The ``core`` that an agent is to keep to, of those that are ``usable``."""

    core: int
    usable: tuple[int, ...]


def parted(agents: int, usable: Sequence[int]) -> tuple[Own, ...]:
    """A core for each agent, the last ones, as interrupts are mostly on the first; none where none is left for others.

    >>> [own.core for own in parted(2, (0, 1, 2))], parted(2, (0, 1))
    ([2, 1], ())
    """
    cores = tuple(sorted(usable))
    return tuple(Own(core, cores) for core in cores[: -agents - 1 : -1]) if agents < len(cores) else ()


def usable() -> Sequence[int]:
    """The cores that this thread may use; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ()


def shared() -> bool:
    """Whether anything but this thread runs on this machine now; so where the system does not say."""
    try:
        running, _, _ = _LOADAVG.read_text().split()[3].partition("/")
        return int(running) > 1
    except (OSError, IndexError, ValueError):
        return True


@contextmanager
def apart(own: Sequence[Own]) -> Iterator[None]:
    """Keep this thread, and threads and processes it starts meanwhile, off these cores of agents."""
    before = usable()
    if own:
        _keep_to({*before} - {each.core for each in own})
    try:
        yield
    finally:
        if own:
            _keep_to(before)


class Held:
    """The core of this agent, if it has one, from ``take`` on, until others use it, too."""

    def __init__(self, own: Own | None) -> None:
        self._own = own
        self._waited_ns: int | None = None
        self._schedstat = None if own is None else opened(_SCHEDSTAT)
        if own is not None:
            _keep_to(own.usable)

    def take(self) -> None:
        """Keep to it, if it was not given up before."""
        if self._own is not None:
            self._waited_ns = self._read()
            _keep_to({self._own.core} if self._waited_ns is not None else self._own.usable)

    def look(self, passed_ns: int) -> None:
        """Give it up for good if this process had to wait for it in that time, which is since the last look."""
        if self._own is None or self._waited_ns is None:
            return
        waited_ns = self._read() or 0
        if waited_ns - self._waited_ns > _SHARED * passed_ns:
            _keep_to(self._own.usable)
            self._own = None
        self._waited_ns = waited_ns

    def _read(self) -> int | None:
        """How long this thread, the first of its process, has waited for a core; None where nobody counts that."""
        fields = content(self._schedstat, _LINE_BYTES).split()
        return int(fields[1]) if len(fields) > 1 else None


def _keep_to(cores: Collection[int]) -> None:
    with suppress(OSError, ValueError):  # cores that were taken from this control group meanwhile
        os.sched_setaffinity(0, cores)
