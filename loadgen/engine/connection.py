"""An Invoker on a real connection: HTTP/1.1 over TCP, or over TLS (``loadgen.engine.tls``).

``HttpInvoker`` makes one invocation at a time on a connection of its own. It keeps the connection between
invocations, replaces it when the server closed it in between, and never sends a request twice: a connection that
turns out to be dead when it is used is an outcome (``connection``, reason ``stale``), not a reason to retry.

A ``Connection`` is a bare non-blocking socket. Everything that happens to it, it learns from ``ready``: that it stands,
that bytes came, that it may send the rest, that it is gone. Nothing is a task or a future. All connections read into
one buffer, which is safe because what was read is taken before anything else runs; so an idle connection costs nothing
but its objects. Each time a socket is told to be ready it is read once, so a server that sends without end keeps the
others from nothing; and where each byte may be work, as in tiny chunks, less is read at once as long as they come.

Who is late? ``arrived_ns`` of an answer is when its last segment came in, by the stamp of the kernel, and ``read_ns``
when it was read (``loadgen.engine.kernel``). So a generator that is busy or was stopped is told apart from a slow
target. Nothing is given up before its socket was read, and what is read is judged by when it arrived: an answer in time
counts, however late it is read, and one that came too late is a timeout even if it is read before the timer rings. A
call that is given up ends at its deadline.

A connection that ends before an answer came is ``stale`` where nothing of the request can have been read: where the
other side's kernel has not acknowledged any of it (tcpi_bytes_acked; RFC 4898). Otherwise it may have been, and it is
``closed`` or ``reset``. What is in the socket is read before a write that failed is judged: a server may refuse a
request and close before it has read it all.

Timeouts cost one timer per worker, not per invocation: a timer that rings early for the invocation under way is set
again for what is left.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle

from loadgen.engine.address import Address
from loadgen.engine.http1 import HeaderNames, ProtocolError, ResponseReader
from loadgen.engine.invoker import Caller, Invoker
from loadgen.engine.kernel import Inbox, Poll, Socket, stamp
from loadgen.engine.monotonic import Monotonic
from loadgen.engine.polling import GONE, READ, STEP_NS, WRITE
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.invocation.tally import Connections
from loadgen.targets.port import Classify, Timeout
from loadgen.targets.quick import QuickReader

READ_BUFFER = 256 * 1024
READ_PIECES = 16 * 1024
"""What is read at once where it may be tiny pieces: of chunks of one byte, some 5 ms of work."""
SEALED_BUFFER = 128 * 1024
_SEGMENT = 1448  # what fits into one segment on any path has one time of arrival
_LAST_LOOK_NS = 5_000_000  # others are kept waiting meanwhile; reading 6 MB takes less
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC}
_CONNECTING, _OPEN, _CLOSED = range(3)
_WRITE, _GONE, _EAGAIN = WRITE, GONE, errno.EAGAIN  # in C in the compiled build
_BYTES_ACKED = slice(120, 128)  # of struct tcp_info, linux/tcp.h; the SYN is one of them
_SYN = 1


class Manner:
    """How the answers of one call are read: see ``Reading``; those of a ``bodiless`` one have no body."""

    __slots__ = ("bodiless", "classify", "keep", "most", "quick")

    def __init__(
        self, classify: Classify, keep: int, most: int | None, *, bodiless: bool, quick: QuickReader | None
    ) -> None:
        self.classify = classify
        self.keep = keep
        self.most = most
        self.bodiless = bodiless
        self.quick = quick


class Wire:
    """What all connections of an agent share. ``close`` it in the end.

    What it is told of how answers are read is of the first call, and ``add`` tells of the others of a mix.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        addresses: Sequence[Address],
        timeout: Timeout,
        *,
        connection: type[Connection],
        wanted: frozenset[bytes],
        keep: int,
        most: int | None = None,
        classify: Classify,
        fresh: bool,
        bodiless: bool,
        quick: Callable[[memoryview], QuickReader] | None = None,
    ) -> None:
        self.loop = loop
        self.addresses = cycle(addresses)
        self.timeout = timeout
        self.first_deadline_ns = min(timeout.first_byte_ns, timeout.total_ns)
        self.fresh = fresh
        self.counts = Connections()
        self.clock = Monotonic()
        self.inbox = Inbox(READ_BUFFER, SEALED_BUFFER)
        self.poll = Poll(self.inbox)
        self.manners: list[Manner] = []
        self.alike = True  # whether a reader need not be told whose answer comes next
        self.add(classify, keep, most, bodiless=bodiless, quick=quick)
        self._connection = connection
        self._names = HeaderNames(wanted)
        # Linux stamps nothing for some 0.5 ms after the first socket of the machine asked for it
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            stamp(asking)
            self._stamped = asking.detach()
        self.poll.again = partial(loop.call_soon, self.poll.turn)
        loop.add_reader(self.poll.fd, self.poll.turn)

    def add(
        self,
        classify: Classify,
        keep: int,
        most: int | None,
        *,
        bodiless: bool,
        quick: Callable[[memoryview], QuickReader] | None,
    ) -> None:
        """Say how the answers of another call are read."""
        reader = quick(self.inbox.view) if quick is not None else None
        self.manners.append(Manner(classify, keep, most, bodiless=bodiless, quick=reader))
        self.alike = len({(each.keep, each.most, each.bodiless) for each in self.manners}) == 1

    def connection(self, invoker: HttpInvoker) -> Connection:
        """A new connection for an invoker, not begun."""
        return self._connection(self, invoker)

    def reader(self) -> ResponseReader:
        """A reader for a new connection."""
        first = self.manners[0]
        return ResponseReader(self._names, first.keep, most=first.most, bodiless=first.bodiless)

    def close(self) -> None:
        """Watch nothing any more."""
        self.loop.remove_reader(self.poll.fd)
        self.poll.close()
        os.close(self._stamped)


class Connection(Socket):
    """One TCP connection; tells its invoker what arrives and when it is gone."""

    __slots__ = (
        "_acked",
        "_address",
        "_broken",
        "_invoker",
        "_midway",
        "_most",
        "_over",
        "_read",
        "_rest_from",
        "_sent",
        "_state",
        "_wire",
        "rest",
        "used",
    )

    def __init__(self, wire: Wire, invoker: HttpInvoker) -> None:
        super().__init__(wire.inbox)
        self._wire = wire
        self._invoker: HttpInvoker | None = invoker
        self._address: Address = next(wire.addresses)  # connections take them in turns
        self._read = wire.reader()
        self._most = READ_BUFFER
        self._state = _CONNECTING
        self._midway = False
        self._over = False  # no more comes, although the socket does not say so
        self.rest = b""  # what is to be sent when there is room, from there on
        self._rest_from = 0
        self._broken: OSError | None = None
        self._sent = self._acked = 0  # bytes handed to the kernel, and those before the request under way
        self.used = False

    @property
    def open(self) -> bool:
        """Whether it stands."""
        return self._state == _OPEN

    def begin(self) -> None:
        """Begin to connect; raises OSError where that fails at once."""
        address = self._address
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.use(sock)
        failed = sock.connect_ex(address.sockaddr)
        if failed and failed != errno.EINPROGRESS:
            raise _os_error(failed)
        self._wire.poll.add(self, WRITE)

    def send(self, request: bytes, now_ns: int) -> int:
        """Send a request on a connection that stands; the instant it was sent at, ``now_ns`` or later."""
        self._acked = self._sent
        self._write(request)
        return now_ns

    def _write(self, data: bytes) -> None:
        """Send this, what does not go now when there is room. What fails is learned by reading."""
        if self.rest:  # nothing overtakes it
            self.rest, self._rest_from = self.rest[self._rest_from :] + data, 0
            return
        n = self.put(data, 0)
        if n == len(data):
            self._sent += n
            return
        if n < 0:
            if n != -_EAGAIN:
                self._broken = _os_error(-n)
                return
            n = 0
        self._sent += n
        self.rest, self._rest_from = data, n
        self._wire.poll.change(self, READ | WRITE)

    def _write_on(self) -> None:
        """There is room to send more."""
        n = self.put(self.rest, self._rest_from)
        if n >= 0:
            self._sent += n
            self._rest_from += n
        elif n != -_EAGAIN:
            self._broken = _os_error(-n)
            self._rest_from = len(self.rest)
        if self._rest_from == len(self.rest):
            self.rest, self._rest_from = b"", 0
            self._wire.poll.change(self, READ)

    def ready(self, events: int) -> None:
        """See Socket. The hot path."""
        if self._state != _OPEN:
            if self._state == _CONNECTING:
                self._go_on_connecting(events)
            return
        self.take(events)
        if events & _WRITE and self.rest and self._state == _OPEN:
            self._write_on()

    def take(self, events: int) -> int:
        """Read once, and do what it asks for; how many bytes there were, 0 or less for none."""
        n = self._receive()
        self._deal(n, events)
        return n

    def _deal(self, n: int, events: int) -> None:
        """So many bytes were read, or the negative of an errno."""
        if n > 0:
            self._took(n, events)
            if self._over and self._state == _OPEN:
                self._gone(self._broken)
        elif n != -_EAGAIN:
            self._gone(self._broken if n == 0 else _os_error(-n))

    def _receive(self) -> int:
        """Read into the head of the buffer; see ``Socket.receive``."""
        return self.receive(self._most)

    def _took(self, n: int, events: int) -> None:
        """So many bytes came."""
        wire, inbox, invoker = self._wire, self.inbox, self._invoker
        if invoker is None or not invoker.waiting:
            if invoker is not None:
                invoker.lost(self)
            self.close()  # bytes that nobody asked for: nobody can know where the next answer begins
            return
        manner = wire.manners[invoker.call]
        quick = manner.quick
        if quick is not None and not self._midway:
            facts = quick.read(n)
            if facts is not None:
                self.used = True
                invoker.answered(facts, b"", not (events & _GONE or self._over) or self._closed_behind(), n)
                return
        try:
            response = self._read.feed(bytes(inbox.view[:n]))
        except ProtocolError as error:
            self.close()
            invoker.failed(inbox.arrived_ns, Outcome.PROTOCOL, error.reason)
            return
        self._midway = response is None
        if response is None:
            if not invoker.reading and self._read.begun:
                invoker.begun(n)
        else:
            self.used = True
            reusable = response.reusable and (not (events & _GONE or self._over) or self._closed_behind())
            invoker.answered(manner.classify(response), response.body, reusable, n)
        self._most = READ_PIECES if self._read.laborious(n) else READ_BUFFER

    def _closed_behind(self) -> bool:
        """The server closed behind its answer without saying so: never fit for another request."""
        self._wire.counts.closed_idle += 1
        return False

    def _go_on_connecting(self, events: int) -> None:
        """The connection stands, or it never will."""
        assert self.sock is not None
        failed = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            self._failed(_os_error(failed))
        else:
            self._stands()

    def look(self) -> None:
        """While it connects: go on with what no turn has told yet."""
        assert self.sock is not None
        try:
            self.sock.getpeername()
        except OSError:  # it does not stand
            failed = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                self._failed(_os_error(failed))
        else:
            self._go_on_connecting(0)

    def _stands(self) -> None:
        self._state = _OPEN
        self._wire.poll.change(self, READ)
        self._wire.counts.opened += 1
        if self._invoker is not None:
            self._invoker.connected()

    def _failed(self, error: OSError) -> None:
        """It will never stand."""
        invoker = self._invoker
        self.close()
        if invoker is not None:
            invoker.unconnected(error)

    def _gone(self, error: OSError | None) -> None:
        """The other side sends no more, or there is an error."""
        invoker, inbox = self._invoker, self.inbox
        untouched = self.used and self._read.idle and not self._acknowledged()
        self.close()
        if invoker is None:
            return
        invoker.lost(self)
        if not invoker.waiting:
            self._wire.counts.closed_idle += 1
            return
        inbox.read_ns = self._wire.clock.now()
        inbox.arrived_ns = inbox.read_ns
        try:
            response = self._read.end() if error is None else None
        except ProtocolError as cut:
            invoker.failed(inbox.arrived_ns, Outcome.CONNECTION, cut.reason)
            return
        if response is not None and self._whole():
            inbox.believed = False  # an end carries no stamp
            invoker.answered(self._wire.manners[invoker.call].classify(response), response.body, False, 0)
        elif response is not None:
            invoker.failed(inbox.arrived_ns, Outcome.CONNECTION, "closed_early")
        elif untouched:
            invoker.failed(inbox.arrived_ns, Outcome.CONNECTION, "stale")
        elif error is None:
            invoker.failed(inbox.arrived_ns, Outcome.CONNECTION, "closed")
        else:
            invoker.failed(inbox.arrived_ns, Outcome.CONNECTION, _broken(error), _said(error))

    def expect(self, call: int) -> None:
        """The next answer is that of this call of a mix."""
        manner = self._wire.manners[call]
        self._read.expect(manner.keep, most=manner.most, bodiless=manner.bodiless)

    def _whole(self) -> bool:
        """Whether the end was meant."""
        return True

    def _acknowledged(self) -> bool:
        """Whether the other side's kernel has anything of the request under way; False where nobody can say."""
        if self.sock is None or not hasattr(socket, "TCP_INFO"):
            return False
        try:
            told = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)[_BYTES_ACKED]
        except OSError:
            return False
        return len(told) == 8 and int.from_bytes(told, "little") - _SYN > self._acked

    def close(self) -> None:
        """Close without telling the invoker."""
        self._invoker = None
        if self._state != _CLOSED:
            self._state = _CLOSED
            sock, self.sock = self.sock, None
            if sock is not None:
                self._wire.poll.remove(self)
                sock.close()


class HttpInvoker(Invoker):
    """Makes one invocation at a time on a connection of its own."""

    __slots__ = (
        "_caller",
        "_connect_ns",
        "_connecting_ns",
        "_connection",
        "_mixed",
        "_opened",
        "_request",
        "_soon",
        "_started_ns",
        "_timer",
        "_wire",
        "reading",
        "waiting",
    )

    def __init__(self, wire: Wire, caller: Caller) -> None:
        super().__init__()
        self._wire = wire
        self._caller = caller
        self._mixed = not wire.alike
        self._connection: Connection | None = None
        self._connecting_ns = 0  # when it began to connect; 0 while it does not
        self._request: bytes | None = None  # what waits for the connection
        self._opened: asyncio.Future[None] | None = None
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._started_ns = self._connect_ns = 0
        self.waiting = False
        self.reading = False

    def invoke(self, request: bytes, started_ns: int) -> int:
        """See Invoker."""
        self._started_ns = started_ns
        self._connect_ns = 0
        self.waiting = True
        self.reading = False
        connection = self._connection
        if connection is not None and not self._connecting_ns:
            if connection.used:
                self._wire.counts.reused += 1
            if self._mixed:
                connection.expect(self.call)
            self._started_ns = connection.send(request, started_ns)
            if self._timer is None:
                self._arm()
        else:
            self._request = request
            if connection is None and self._soon is None:
                self._connect()
            self._arm()
        return self._started_ns

    def abandon(self) -> None:
        """See Invoker."""
        self.waiting = False
        self._drop()

    async def open(self) -> None:
        """Open the connection ahead of its use; a failure shows when it is used. Takes at most the connect timeout."""
        if self._connection is not None:
            return
        self._opened = self._wire.loop.create_future()
        self._connect()
        try:
            async with asyncio.timeout(self._wire.timeout.connect_ns / 1e9):
                await self._opened
        except TimeoutError:
            self._wire.counts.failed += 1
        finally:
            self._opened = None
            if self._connecting_ns and not self.waiting:
                self._drop()

    def close(self) -> None:
        """Close whatever is open, for good."""
        self.abandon()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def begun(self, n: int) -> None:
        """The answer has begun, with ``n`` bytes that were just read."""
        if n <= _SEGMENT and self._first_byte_too_late():
            self.failed(self._started_ns + self._wire.timeout.first_byte_ns, Outcome.TIMEOUT, "first_byte")
        else:
            self.reading = True

    def answered(self, facts: Facts, body: bytes, reusable: bool, n: int) -> None:
        """The answer is complete, with ``n`` bytes that were just read."""
        wire = self._wire
        inbox = wire.inbox
        if inbox.arrived_ns < self._started_ns and self._came_too_early():
            return
        if inbox.arrived_ns - self._started_ns > wire.first_deadline_ns and self._came_too_late(n):
            return
        self.waiting = False
        if not reusable or wire.fresh or self._unsent():
            self._drop()
        if not inbox.believed:
            inbox.unstamped += 1
        self._caller.ended(inbox.arrived_ns, inbox.read_ns, facts, self._connect_ns, body)

    def _came_too_early(self) -> bool:
        """Whether what was just read lay there before the request was sent, so that it answers none of ours."""
        inbox = self._wire.inbox
        if inbox.arrived_ns < self._started_ns - STEP_NS:
            self.failed(inbox.read_ns, Outcome.PROTOCOL, "trailing_data")
            return True
        inbox.arrived_ns = self._started_ns  # the clocks are not known better against each other
        return False

    def _came_too_late(self, n: int) -> bool:
        """Whether the answer that was just read counts as none, as it arrived behind a deadline."""
        total_ns = self._wire.timeout.total_ns
        if self._wire.inbox.arrived_ns - self._started_ns > total_ns:
            self.failed(self._started_ns + total_ns, Outcome.TIMEOUT, "total")
            return True
        if not self.reading and n <= _SEGMENT and self._first_byte_too_late():
            self.failed(self._started_ns + self._wire.timeout.first_byte_ns, Outcome.TIMEOUT, "first_byte")
            return True
        return False

    def _first_byte_too_late(self) -> bool:
        return self._wire.inbox.arrived_ns - self._started_ns > self._wire.timeout.first_byte_ns

    def failed(self, at_ns: int, outcome: Outcome, reason: str, said: bytes = b"") -> None:
        """There will be no answer; ``said`` stands in place of one, where somebody says more than the reason."""
        self.waiting = False
        self._drop()
        now = self._wire.clock.now()
        self._caller.ended(min(at_ns, now), now, Facts(outcome, reason, 0), self._connect_ns, said)

    def lost(self, connection: Connection) -> None:
        """The connection is of no more use."""
        if self._connection is connection:
            self._connection = None

    def connected(self) -> None:
        """The connection stands."""
        now = self._wire.clock.now()
        begun, self._connecting_ns = self._connecting_ns, 0
        request, self._request = self._request, None
        self._ahead()
        if request is not None and self._connection is not None:
            self._connect_ns = now - max(begun, self._started_ns)
            if self._mixed:
                self._connection.expect(self.call)
            self._connection.send(request, now)
            self._arm()  # the timer stood for the connecting

    def unconnected(self, error: OSError) -> None:
        """The connection could not be made."""
        now = self._wire.clock.now()
        begun, self._connecting_ns = self._connecting_ns, 0
        self._soon = self._connection = self._request = None
        self._wire.counts.failed += 1
        self._ahead()
        if self.waiting:
            self._connect_ns = now - max(begun, self._started_ns)
            self.failed(now, Outcome.CONNECTION, _failure(error), _said(error))

    def _ahead(self) -> None:
        """Whoever opened the connection ahead waits no longer."""
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def _unsent(self) -> bool:
        """Whether the answer came before the whole request was sent: the rest would delay the next one."""
        return self._connection is not None and len(self._connection.rest) > 0

    def _drop(self) -> None:
        self._connecting_ns = 0
        self._request = None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        wire = self._wire
        self._connecting_ns = wire.clock.now()
        connection = wire.connection(self)
        try:
            connection.begin()
        except OSError as error:
            connection.close()
            self._soon = wire.loop.call_soon(self.unconnected, error)  # nothing ends within invoke
        else:
            self._connection = connection

    def _deadline(self) -> tuple[int, str]:
        """When the invocation under way is given up, and why."""
        timeout = self._wire.timeout
        total = self._started_ns + timeout.total_ns
        if self._connecting_ns:
            step, reason = self._started_ns + timeout.connect_ns, "connect"
        elif not self.reading:
            step, reason = self._started_ns + timeout.first_byte_ns, "first_byte"
        else:
            return total, "total"
        return (step, reason) if step < total else (total, "total")

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # never later than any deadline of an invocation that may begin meanwhile, and find the timer set
        timeout = self._wire.timeout
        left = min(self._deadline()[0] - self._wire.clock.now(), timeout.first_byte_ns, timeout.total_ns)
        self._timer = self._wire.loop.call_later(max(left, 1_000_000) / 1e9, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self.waiting:
            return
        started = self._started_ns
        if self._connecting_ns and self._connection is not None:
            self._connection.look()
            if not self.waiting or self._started_ns != started:  # failed, and another one may have begun
                return
        deadline, _ = self._deadline()
        if deadline <= self._wire.clock.now() and not self._unanswered(deadline):
            return
        deadline, reason = self._deadline()
        if self._wire.clock.now() < deadline:
            self._arm()
        else:
            if self._connecting_ns:
                self._connect_ns = deadline - self._started_ns
            self.failed(deadline, Outcome.TIMEOUT, reason)

    def _unanswered(self, deadline_ns: int) -> bool:
        """Read what is in the socket, as the answer may have arrived in time; whether it has not."""
        connection, inbox, started = self._connection, self._wire.inbox, self._started_ns
        inbox.look()
        until = self._wire.clock.now() + _LAST_LOOK_NS
        while connection is not None and connection.open:
            read = connection.take(0)
            if not self.waiting or self._started_ns != started:  # answered, and another one may have begun
                return False
            if read <= 0 or inbox.arrived_ns > deadline_ns or self._wire.clock.now() > until:
                break
        return self.waiting


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _failure(error: Exception) -> str:
    """The reason slug of a connection that could not be opened."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls_certificate"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "reset"
    if isinstance(error, socket.gaierror):
        return "name_not_found"
    if isinstance(error, TimeoutError):
        return "timed_out"
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        return "local_limit"
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "unreachable"
    return "failed"


def _broken(error: Exception) -> str:
    """The reason slug of a connection that broke once it stood: none that says that no request can have been read."""
    if isinstance(error, ssl.SSLError):
        return "tls_broken"
    reason = _failure(error)
    return "failed" if reason in ("refused", "unreachable") else reason


def _said(error: Exception) -> bytes:
    """What OpenSSL says about it, nothing of other errors: ``certificate has expired``, ``WRONG_VERSION_NUMBER``."""
    text = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else None
    if text is None and isinstance(error, ssl.SSLError):
        text = getattr(error, "reason", None)  # what was not raised by OpenSSL has none
    return (text or "").encode("utf-8", "replace")
