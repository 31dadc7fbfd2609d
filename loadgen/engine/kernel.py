"""What the hot path asks of the operating system: which sockets are ready, what came in and when, and to send.

The compiled build has these classes in C (``kernel.pyx``), with the same behaviour and the same tests.

All sockets of an agent are in one set (``Poll``; epoll on Linux), which its event loop watches as one descriptor, so
that a batch of answers costs the loop one callback.

The clock of arrivals. Linux stamps every segment when it comes in and tells the stamp with what is read
(``SO_TIMESTAMPNS``, a control message of ``recvmsg``; Linux, Documentation/networking/timestamping.rst), so that when
an answer arrived is known however late it is read. The stamp is that of the last segment queued with what was read: an
upper bound. Stamps are CLOCK_REALTIME, all else here is CLOCK_MONOTONIC. Both are slewed alike, so their distance is
constant but for steps; it is looked at before each batch. After a step no stamp is believed for a second, in which what
was stamped before it is read. What has no stamp that is believed counts as arrived when it was read, and is counted.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Protocol

from loadgen.engine.polling import BATCH, DOUBT_NS, PATIENCE_MS, READ, STEP_NS, WRITE

_RDHUP = 0x2000
_SO_TIMESTAMPNS = 35  # Linux, asm-generic/socket.h; the type of the message that has one, too
_PAIRS = 3


class Inbox:
    """What all connections of an agent read into, and the clock of arrivals.

    ``view`` is for what was read, ``sealed`` for what is still encrypted. ``read_ns`` is when that was, ``arrived_ns``
    when it arrived. ``believed`` says whether that is by a stamp. ``unstamped`` counts answers for which it is not, and
    ``step_ns`` is the largest step of the clocks against each other; whoever reports these sets them to 0.
    """

    def __init__(self, size: int, sealed_size: int) -> None:
        self.view = memoryview(bytearray(size))
        self.sealed = memoryview(bytearray(sealed_size))
        self.read_ns = self.arrived_ns = self.unstamped = self.step_ns = 0
        self._offset_ns = self._width_ns = self._doubt_until_ns = 0
        self.believed = self._known = False

    def look(self) -> None:
        """See how far the clocks are apart, by the tightest of a few pairs of readings."""
        width = offset = after = 0
        for trial in range(_PAIRS):
            before = time.monotonic_ns()
            real = time.time_ns()
            after = time.monotonic_ns()
            if not trial or after - before < width:
                width, offset = after - before, real - (before + after) // 2
            if width < STEP_NS:
                break
        self.note(offset, width, after)

    def note(self, offset_ns: int, width_ns: int, now_ns: int) -> None:
        """CLOCK_REALTIME is ahead by so much now, as far as can be told to within ``width_ns``.

        The tightest look since the last step is the one that is gone by.
        """
        moved = abs(offset_ns - self._offset_ns)
        if not self._known:
            self._known, self._offset_ns, self._width_ns = True, offset_ns, width_ns
        elif moved > max(STEP_NS, width_ns, self._width_ns):
            self._offset_ns, self._width_ns, self._doubt_until_ns = offset_ns, width_ns, now_ns + DOUBT_NS
            self.step_ns = max(self.step_ns, moved)
        elif width_ns < self._width_ns:
            self._offset_ns, self._width_ns = offset_ns, width_ns

    def stamped(self, stamp_ns: int, read_ns: int) -> None:
        """Something was read now; ``stamp_ns`` is its stamp, 0 where it has none."""
        self.read_ns = read_ns
        self.believed = stamp_ns != 0 and read_ns >= self._doubt_until_ns
        self.arrived_ns = min(stamp_ns - self._offset_ns, read_ns) if self.believed else read_ns


class Watched:
    """A descriptor in a ``Poll``; ``ready`` is called with READ, WRITE and GONE bits as they come."""

    __slots__ = ("fd",)

    def __init__(self) -> None:
        self.fd = -1

    def ready(self, events: int) -> None:
        """Something can be done with it."""
        raise NotImplementedError


class Socket(Watched):
    """A non-blocking socket."""

    __slots__ = ("inbox", "sock")

    def __init__(self, inbox: Inbox) -> None:
        super().__init__()
        self.inbox = inbox
        self.sock: socket.socket | None = None

    def use(self, sock: socket.socket) -> bool:
        """Be this socket, made non-blocking and stamped; whether the system stamps what comes in."""
        sock.setblocking(False)
        self.sock, self.fd = sock, sock.fileno()
        return stamp(sock)

    def receive(self, most: int, *, sealed: bool = False) -> int:
        """Read at most so many bytes into the inbox: how many, 0 at the end, or the negative of an errno."""
        assert self.sock is not None
        inbox = self.inbox
        into = (inbox.sealed if sealed else inbox.view)[:most]
        try:
            if _CONTROL_BYTES:
                n, control, _, _ = self.sock.recvmsg_into((into,), _CONTROL_BYTES)
            else:
                n, control = self.sock.recv_into(into), []
        except OSError as error:
            return -(error.errno or errno.EIO)
        inbox.stamped(_stamp(control), time.monotonic_ns())
        return n

    def put(self, data: bytes, begin: int) -> int:
        """Send what follows ``begin``, as far as that is possible now: how much, or the negative of an errno."""
        assert self.sock is not None
        try:
            return self.sock.send(memoryview(data)[begin:] if begin else data)
        except OSError as error:
            return -(error.errno or errno.EIO)


class Timer(Watched):
    """A timerfd on CLOCK_MONOTONIC; when it has gone off, ``ring`` is called as soon as it is ``at_ns``.

    Raises OSError where the system has none. ``close`` it in the end.
    """

    __slots__ = ("_poll", "at_ns", "awake")

    def __init__(self, poll: Poll) -> None:
        super().__init__()
        self._poll = poll
        self.at_ns = 0
        self.awake = False
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "no timerfd")
        self.fd = _libc().timerfd_create(1, os.O_NONBLOCK | os.O_CLOEXEC)  # CLOCK_MONOTONIC
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        poll.add_timer(self)

    def arm(self, at_ns: int) -> None:
        """Go off at this instant instead; one of 0 would disarm it, so the past is clamped to 1 ns."""
        self.awake = False
        seconds, ns = divmod(max(1, at_ns), 1_000_000_000)
        _libc().timerfd_settime(self.fd, 1, struct.pack("qqqq", 0, 0, seconds, ns), None)  # TFD_TIMER_ABSTIME

    def ready(self, events: int) -> None:
        """See Watched."""
        with suppress(BlockingIOError):  # armed anew between the wake-up and this
            os.read(self.fd, 8)
            self.awake = True

    def ring(self) -> None:
        """It is time."""
        raise NotImplementedError

    def close(self) -> None:
        """Never go off again."""
        self.awake = False
        self._poll.remove_timer(self)
        os.close(self.fd)


class Poll:
    """What an agent waits for; ``fd`` is ready when something of it is, and then ``turn`` is to be called.

    While there is traffic a turn lasts up to ``linger_ns``, in which what comes is told without going through the event
    loop, which has to have nothing else to do that is urgent: it is kept waiting for that long, and for ``PATIENCE_MS``
    where the traffic ends. ``again`` is called where a turn ended while a timer is awake.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.again: Callable[[], object] = int
        self.linger_ns = 0
        self._timers: list[Timer] = []
        self._seen_ns = 0
        self._set: _Set = _Epoll() if hasattr(select, "epoll") else _Selector()
        self._sockets: dict[int, Watched] = {}
        self._removed: set[int] = set()
        self.fd = self._set.fileno()

    def add(self, watched: Watched, events: int) -> None:
        """Watch it for READ or WRITE; for GONE it always is. Raises OSError."""
        self._set.register(watched.fd, events)
        self._sockets[watched.fd] = watched

    def add_timer(self, timer: Timer) -> None:
        """Watch a timer."""
        self.add(timer, READ)
        self._timers.append(timer)

    def remove_timer(self, timer: Timer) -> None:
        """Watch a timer no more. It has to be open still."""
        self.remove(timer)
        self._timers.remove(timer)

    def change(self, watched: Watched, events: int) -> None:
        """Watch it for this from now on."""
        self._set.modify(watched.fd, events)

    def remove(self, watched: Watched) -> None:
        """Watch it no more, if it is watched. It has to be open still."""
        if self._sockets.pop(watched.fd, None) is not None:
            self._set.unregister(watched.fd)
            self._removed.add(watched.fd)

    def turn(self) -> None:
        """Tell what is ready, and ring what is due."""
        began = time.monotonic_ns()
        found = self.tell(0)
        while self.fd >= 0:  # what is told may close it
            now = time.monotonic_ns()
            awake = self._ring(now)
            dense = found and now - self._seen_ns < self.linger_ns
            self._seen_ns = now if found else self._seen_ns
            if now - began >= self.linger_ns:
                if awake:
                    self.again()
                return
            if not awake and not dense:
                return
            found = self.tell(0 if awake else PATIENCE_MS)

    def tell(self, timeout_ms: int) -> int:
        """Tell some of those that are ready within a time; how many were."""
        found = self._set.poll(timeout_ms)
        if found:
            self._inbox.look()
        # what is closed meanwhile may leave its number to another, which is not what was ready
        self._removed.clear()
        for fd, events in found:
            if fd not in self._removed:
                self._sockets[fd].ready(events)
        return len(found)

    def _ring(self, now_ns: int) -> bool:
        """Ring what is due; whether a timer is awake for what is not."""
        awake = False
        for timer in self._timers:
            if timer.awake and now_ns >= timer.at_ns:
                timer.awake = False
                timer.ring()
                return self._ring(now_ns)  # which may have closed any
            awake = awake or timer.awake
        return awake

    def close(self) -> None:
        """Watch nothing any more; what was watched may still be removed."""
        self._removed.update(self._sockets)
        self._sockets.clear()
        self._set.close()
        self.fd = -1


class _Set(Protocol):
    def fileno(self) -> int: ...
    def register(self, fd: int, events: int) -> None: ...
    def modify(self, fd: int, events: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def poll(self, timeout_ms: int) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


class _Epoll:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.fileno, self.unregister, self.close = self._epoll.fileno, self._epoll.unregister, self._epoll.close

    def register(self, fd: int, events: int) -> None:
        self._epoll.register(fd, events | _RDHUP)

    def modify(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events | _RDHUP)

    def poll(self, timeout_ms: int) -> list[tuple[int, int]]:
        return self._epoll.poll(timeout_ms / 1000, BATCH)


class _Selector:
    """What other systems than Linux have; they tell no GONE, which shows as an end when it is read."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def fileno(self) -> int:
        descriptor: int = self._selector.fileno()
        return descriptor

    def register(self, fd: int, events: int) -> None:
        self._selector.register(fd, _selected(events))

    def modify(self, fd: int, events: int) -> None:
        self._selector.modify(fd, _selected(events))

    def unregister(self, fd: int) -> None:
        self._selector.unregister(fd)

    def poll(self, timeout_ms: int) -> list[tuple[int, int]]:
        ready = self._selector.select(timeout_ms / 1000)[:BATCH]
        return [
            (key.fd, READ * bool(events & selectors.EVENT_READ) | WRITE * bool(events & selectors.EVENT_WRITE))
            for key, events in ready
        ]

    def close(self) -> None:
        self._selector.close()


def _selected(events: int) -> int:
    return selectors.EVENT_READ * bool(events & READ) | selectors.EVENT_WRITE * bool(events & WRITE)


def stamp(sock: socket.socket) -> bool:
    """Have the system stamp what comes in on a socket; whether it will."""
    if not _CONTROL_BYTES:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def stamps() -> bool:
    """Whether this system stamps what comes in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return stamp(sock)


def _stamp(control: list[tuple[int, int, bytes]]) -> int:
    """The stamp among the control messages in ns since 1970, 0 for none."""
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) == _TIMESPEC:
            return int.from_bytes(data[:8], sys.byteorder) * 1_000_000_000 + int.from_bytes(data[8:], sys.byteorder)
    return 0


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


_TIMESPEC = 16
_CONTROL_BYTES = socket.CMSG_SPACE(_TIMESPEC) if hasattr(select, "epoll") else 0
