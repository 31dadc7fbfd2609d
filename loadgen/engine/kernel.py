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

import errno
import select
import selectors
import socket
import sys
import time
from typing import Protocol

DOUBT_NS = 1_000_000_000
"""For how long no stamp is believed after the clocks moved against each other."""
STEP_NS = 20_000
"""The least that counts as a step; looking at both clocks takes much less."""
BATCH = 16
"""The most sockets that one ``turn`` tells, so that answers keep nothing that is due waiting."""
READ, WRITE = 0x001, 0x004
GONE = 0x008 | 0x010 | 0x2000
"""EPOLLERR, EPOLLHUP and EPOLLRDHUP: the other side sends no more."""
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


class Socket:
    """A non-blocking socket in a ``Poll``; ``ready`` is called with READ, WRITE and GONE bits as they come."""

    __slots__ = ("fd", "inbox", "sock")

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.fd = -1
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

    def ready(self, events: int) -> None:
        """Something can be done with the socket."""
        raise NotImplementedError


class Poll:
    """The sockets of an agent; ``fd`` is ready when one of them is, and then ``turn`` is to be called."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._set: _Set = _Epoll() if hasattr(select, "epoll") else _Selector()
        self._sockets: dict[int, Socket] = {}
        self._removed: set[int] = set()
        self.fd = self._set.fileno()

    def add(self, watched: Socket, events: int) -> None:
        """Watch a socket for READ or WRITE; for GONE it always is. Raises OSError."""
        self._set.register(watched.fd, events)
        self._sockets[watched.fd] = watched

    def change(self, watched: Socket, events: int) -> None:
        """Watch it for this from now on."""
        self._set.modify(watched.fd, events)

    def remove(self, watched: Socket) -> None:
        """Watch it no more, if it is watched. It has to be open still."""
        if self._sockets.pop(watched.fd, None) is not None:
            self._set.unregister(watched.fd)
            self._removed.add(watched.fd)

    def turn(self) -> int:
        """Tell some of those that are ready; how many were."""
        found = self._set.poll()
        if found:
            self._inbox.look()
        # what is closed meanwhile may leave its number to another, which is not what was ready
        self._removed.clear()
        for fd, events in found:
            if fd not in self._removed:
                self._sockets[fd].ready(events)
        return len(found)

    def close(self) -> None:
        """Watch nothing any more; what was watched may still be removed."""
        self._removed.update(self._sockets)
        self._sockets.clear()
        self._set.close()


class _Set(Protocol):
    def fileno(self) -> int: ...
    def register(self, fd: int, events: int) -> None: ...
    def modify(self, fd: int, events: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def poll(self) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


class _Epoll:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.fileno, self.unregister, self.close = self._epoll.fileno, self._epoll.unregister, self._epoll.close

    def register(self, fd: int, events: int) -> None:
        self._epoll.register(fd, events | _RDHUP)

    def modify(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events | _RDHUP)

    def poll(self) -> list[tuple[int, int]]:
        return self._epoll.poll(0, BATCH)


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

    def poll(self) -> list[tuple[int, int]]:
        ready = self._selector.select(0)[:BATCH]
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


_TIMESPEC = 16
_CONTROL_BYTES = socket.CMSG_SPACE(_TIMESPEC) if hasattr(select, "epoll") else 0
