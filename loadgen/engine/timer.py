"""Waking up on time.

uvloop's own timers tick in whole milliseconds and may fire up to one early (MagicStack/uvloop#359, #739), which is a
hundred times worse than the machine can do. On Linux an alarm is a timerfd on CLOCK_MONOTONIC watched by the loop.
Waking a sleeping core takes some 50 µs, so the timerfd goes off that much early and the loop then goes round without
sleeping until it is time, reading answers as always. That costs CPU, so a budget limits it to a fifth of the time that
would be slept: up to some thousands of starts a second each is within a few µs; above that wake-ups are frequent.
Whoever is woken on a core that another is using waits until that one has had its slice, some 3 ms, unless its own is
shorter: so short ones are asked for, which takes no privilege and no larger share of the core, and which Linux 6.12 and
later grant. Elsewhere an alarm is ``call_later``, whose error the ``late`` metric reports like any other. An alarm may
ring early by its own resolution: whoever is woken re-checks the clock.

Source: Linux, Documentation/scheduler/sched-eevdf.rst and kernel/sched/fair.c (PREEMPT_SHORT) for slices.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import struct
import sys
from collections.abc import Callable
from functools import cache
from typing import Protocol

from loadgen.engine.clock import monotonic_ns
from loadgen.engine.kernel import Poll, Timer

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_MONOTONIC = 1  # CLOCK_MONOTONIC
_PR_SET_TIMERSLACK = 29
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}  # by machine; few C libraries have it
_KEEP_POLICY = 0x08  # SCHED_FLAG_KEEP_POLICY
_SLICE_NS = 100_000  # the shortest there is
_EARLY_NS = 60_000  # what waking up takes, on virtual machines too
_AWAKE_SHARE = 5  # at most one part in so many of the time is spent waiting awake
_MOST_BUDGET_NS = 1_000_000


class Alarm(Protocol):
    """Rings once at the instant it was last set to."""

    def set(self, at_ns: int) -> None:
        """Ring at ``at_ns`` (monotonic), or as soon as possible when that has passed; replaces an earlier setting."""

    def close(self) -> None:
        """Never ring again."""


AlarmFactory = Callable[[Callable[[], None]], Alarm]
"""Makes an alarm that calls the given function when it rings."""


class Budget:
    """Time that may be spent waiting awake: a fifth of what would be slept, of which at most a millisecond is saved up.

    What is not slept earns nothing, so that an agent at its limit spends nothing on this.
    """

    def __init__(self, now_ns: int) -> None:
        self._since_ns = self._until_ns = now_ns
        self._saved_ns = 0
        self._drawn_ns = 0

    def draw(self, now_ns: int, until_ns: int) -> int:
        """How long before the end of a sleep from now until then to be awake; it replaces the sleep before."""
        if now_ns < self._until_ns - self._drawn_ns:
            self._saved_ns += self._drawn_ns  # the sleep before was replaced before its end
        slept_ns = max(0, min(now_ns, self._until_ns) - self._since_ns)
        self._saved_ns = min(self._saved_ns + slept_ns // _AWAKE_SHARE, _MOST_BUDGET_NS)
        self._since_ns, self._until_ns = now_ns, until_ns
        self._drawn_ns = max(0, min(_EARLY_NS, until_ns - now_ns, self._saved_ns))
        self._saved_ns -= self._drawn_ns
        return self._drawn_ns


def _ask_for_short_slices(libc: ctypes.CDLL) -> None:
    """Have this thread run ``_SLICE_NS`` at a time where others want its core; policy and priority stay as they are.

    All stays as it is where that cannot be asked for, or is not heard.
    """
    if (call := _SCHED_SETATTR.get(platform.machine())) and sys.maxsize > 2**32:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        libc.syscall(call, 0, struct.pack("=IIQiIQQQ", 48, 0, _KEEP_POLICY, nice, 0, _SLICE_NS, 0, 0), 0)


@cache
def _punctual() -> ctypes.CDLL:
    """The C library, once it was told that this thread is not to be woken 50 µs late for the sake of economy.

    Nor is it to wait for its turn for as long as others may run.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    _ask_for_short_slices(libc)
    return libc


class TimerfdAlarm:
    """An alarm on a Linux timerfd."""

    kind = "timerfd"

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._libc = _punctual()
        self._fd = self._libc.timerfd_create(_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._loop = loop
        self._ring = ring
        self._budget = Budget(monotonic_ns())
        self._at_ns = 0
        self._waiting: asyncio.Handle | None = None
        loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # set anew between the wake-up and the read
        self._wait_awake()

    def _wait_awake(self) -> None:
        if monotonic_ns() < self._at_ns:
            self._waiting = self._loop.call_soon(self._wait_awake)
        else:
            self._waiting = None
            self._ring()

    def set(self, at_ns: int) -> None:
        """See Alarm. An instant of 0 would disarm a timerfd, so the past is clamped to 1 ns."""
        self._stop_waiting()
        self._at_ns = at_ns
        seconds, ns = divmod(max(1, at_ns - self._budget.draw(monotonic_ns(), at_ns)), 1_000_000_000)
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, struct.pack("qqqq", 0, 0, seconds, ns), None)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def close(self) -> None:
        """See Alarm."""
        self._stop_waiting()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class PolledAlarm(Timer):
    """An alarm in the poll of an agent, which waits awake by turning."""

    __slots__ = ("_budget", "_ring")

    def __init__(self, poll: Poll, ring: Callable[[], None]) -> None:
        _punctual()
        super().__init__(poll)
        self._ring = ring
        self._budget = Budget(monotonic_ns())

    def set(self, at_ns: int) -> None:
        """See Alarm."""
        self.at_ns = at_ns
        self.arm(at_ns - self._budget.draw(monotonic_ns(), at_ns))

    def ring(self) -> None:
        """See Timer."""
        self._ring()


def alarm_of(loop: asyncio.AbstractEventLoop, poll: Poll, ring: Callable[[], None]) -> Alarm:
    """The best alarm this platform has, for an agent."""
    return PolledAlarm(poll, ring) if ALARM is TimerfdAlarm else ALARM(loop, ring)


class LoopAlarm:
    """An alarm on the loop's own timer, good to a millisecond."""

    kind = "call_later"

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        """See Alarm."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_later(max(0, at_ns - monotonic_ns()) / 1e9, self._ring)

    def close(self) -> None:
        """See Alarm."""
        if self._handle is not None:
            self._handle.cancel()


ALARM: type[TimerfdAlarm | LoopAlarm] = TimerfdAlarm if sys.platform == "linux" else LoopAlarm
"""The best alarm this platform has."""
