"""An Invoker on a real connection: HTTP/1.1 over TCP or TLS.

``HttpInvoker`` makes one invocation at a time on a connection of its own. It keeps the connection between
invocations, replaces it when the server closed it in between, and never sends a request twice: a connection that
turns out to be dead when it is used is an outcome (``connection``, reason ``stale``), not a reason to retry.

Reads go into one buffer shared by all connections of an agent. That is safe because the loop asks for the buffer,
fills it and reports the bytes without running anything in between, and it makes an idle connection cost nothing but
its objects. A ``BufferedProtocol`` matters most under TLS, where uvloop otherwise allocates 256 KiB for each read.

An event loop reads from a socket for as long as it is full, so a server that sends without end could keep it from all
else. Hence a read that fills the buffer and is no whole answer is a connection's last in that turn of the loop, and
where each byte may be work, as in tiny chunks, the buffer is smaller as long as they come.

Timeouts cost one timer per worker, not per invocation: a timer that rings early for the invocation under way is set
again for what is left.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from typing import cast

from loadgen.engine.address import Address
from loadgen.engine.clock import Clock
from loadgen.engine.http1 import HeaderNames, ProtocolError, Response, ResponseReader
from loadgen.engine.transport import CONNECT, Connect
from loadgen.engine.workers import Ended
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.invocation.tally import Connections
from loadgen.targets.port import Classify, Timeout
from loadgen.targets.quick import QuickReader

READ_BUFFER = 256 * 1024
READ_PIECES = 16 * 1024
"""What is read at once where it may be tiny pieces: of chunks of one byte, some 5 ms of work."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}


class Wire:
    """What all connections of an agent share."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        address: Address,
        timeout: Timeout,
        *,
        wanted: frozenset[bytes],
        keep: int,
        most: int | None = None,
        classify: Classify,
        fresh: bool,
        bodiless: bool,
        quick: type[QuickReader] | None = None,
        connect: Connect = CONNECT,
    ) -> None:
        self.loop = loop
        self.connect = connect
        self.clock = clock
        self.address = address
        self.timeout = timeout
        self.classify = classify
        self.fresh = fresh
        self.counts = Connections()
        self.view = memoryview(bytearray(READ_BUFFER))
        self.pieces = self.view[:READ_PIECES]
        self.quick = quick(self.view) if quick is not None else None
        self._names = HeaderNames(wanted)
        self._keep = keep
        self._most = most
        self._bodiless = bodiless

    def reader(self) -> ResponseReader:
        """A reader for a new connection."""
        return ResponseReader(self._names, self._keep, most=self._most, bodiless=self._bodiless)


class Connection:
    """One TCP connection; tells its invoker what arrives and when it is gone."""

    __slots__ = ("_invoker", "_midway", "_read", "_view", "_wire", "open", "transport", "used", "write")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._view = wire.view
        self._invoker: HttpInvoker | None = None
        self._read = wire.reader()
        self._midway = False
        self.open = True
        self.used = False

    def attach(self, invoker: HttpInvoker) -> None:
        """From now on tell this invoker; until then nobody has asked for anything."""
        self._invoker = invoker

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BaseProtocol."""
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol. The hot path."""
        now = self._wire.clock()
        invoker = self._invoker
        if invoker is None or not invoker.waiting:
            if invoker is not None:
                invoker.lost(self)
            self.close()  # bytes that nobody asked for: nobody can know where the next answer begins
            return
        quick = self._wire.quick
        if quick is not None and not self._midway:
            facts = quick.read(nbytes)
            if facts is not None:
                self.used = True
                invoker.answered(now, facts, b"", True)
                return
        try:
            response = self._read.feed(bytes(self._view[:nbytes]))
        except ProtocolError as error:
            self.close()
            invoker.failed(now, Outcome.PROTOCOL, error.reason)
            return
        self._midway = response is None
        if response is None:
            invoker.reading = True
            if nbytes == len(self._view):
                self._give_way()
        else:
            self.used = True
            self._answered(invoker, now, response)
        self._view = self._wire.pieces if self._read.laborious(nbytes) else self._wire.view

    def _give_way(self) -> None:
        """Read no more in this turn of the loop."""
        self.transport.pause_reading()
        self._wire.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.open:
            self.transport.resume_reading()

    def _answered(self, invoker: HttpInvoker, now_ns: int, response: Response) -> None:
        invoker.answered(now_ns, self._wire.classify(response), response.body, response.reusable)

    def eof_received(self) -> None:
        """The server sends no more. The transport closes itself; the answer may just have become complete."""
        self._gone(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.BaseProtocol."""
        self._gone(exc)
        # under TLS they lead back here: a cycle, and nobody collects any while measuring
        del self.transport, self.write

    def _gone(self, error: Exception | None) -> None:
        self.open = False
        invoker, self._invoker = self._invoker, None
        if invoker is None:
            return
        now = self._wire.clock()
        invoker.lost(self)
        if not invoker.waiting:
            self._wire.counts.closed_idle += 1
            return
        untouched = self._read.idle
        try:
            response = self._read.end() if error is None else None
        except ProtocolError as cut:
            invoker.failed(now, Outcome.CONNECTION, cut.reason)
            return
        if response is not None:
            self._answered(invoker, now, response)
        elif untouched and self.used:
            invoker.failed(now, Outcome.CONNECTION, "stale")
        elif error is None:
            invoker.failed(now, Outcome.CONNECTION, "closed")
        else:
            invoker.failed(now, Outcome.CONNECTION, _broken(error))

    def close(self) -> None:
        """Close without telling the invoker."""
        self._invoker = None
        if self.open:
            self.open = False
            self.transport.abort()


class BufferedConnection(Connection, asyncio.BufferedProtocol):
    """A Connection as asyncio's own event loops know one, which ask for the type; uvloop asks for the methods."""

    __slots__ = ()


class HttpInvoker:
    """Makes one invocation at a time on a connection of its own."""

    __slots__ = (
        "_connect_ns",
        "_connecting",
        "_connection",
        "_ended",
        "_started_ns",
        "_timer",
        "_wire",
        "reading",
        "waiting",
    )

    def __init__(self, wire: Wire, ended: Ended) -> None:
        self._wire = wire
        self._ended = ended
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._started_ns = self._connect_ns = 0
        self.waiting = False
        self.reading = False

    def invoke(self, request: bytes, started_ns: int) -> None:
        """See Invoker."""
        self._started_ns = started_ns
        self._connect_ns = 0
        self.waiting = True
        self.reading = False
        connection = self._connection
        if connection is not None:
            if connection.used:
                self._wire.counts.reused += 1
            connection.write(request)
            if self._timer is None:
                self._arm()
        else:
            self._connecting = self._wire.loop.create_task(self._connect_and_send(request))
            self._arm()

    def abandon(self) -> None:
        """See Invoker."""
        self.waiting = False
        self._drop()

    async def open(self) -> None:
        """Open the connection ahead of its use; a failure shows when it is used. Takes at most the connect timeout."""
        if self._connection is None:
            try:
                async with asyncio.timeout(self._wire.timeout.connect_ns / 1e9):
                    await self._connect()
            except OSError:
                self._wire.counts.failed += 1

    def close(self) -> None:
        """Close whatever is open, for good."""
        self.abandon()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answered(self, now_ns: int, facts: Facts, body: bytes, reusable: bool) -> None:
        """The answer is complete."""
        self.waiting = False
        if not reusable or self._wire.fresh or self._unsent():
            self._drop()
        self._ended(now_ns, facts, self._connect_ns, body)

    def failed(self, now_ns: int, outcome: Outcome, reason: str, said: bytes = b"") -> None:
        """There will be no answer; ``said`` stands in place of one, where somebody says more than the reason."""
        self.waiting = False
        self._drop()
        self._ended(now_ns, Facts(outcome, reason, 0), self._connect_ns, said)

    def lost(self, connection: Connection) -> None:
        """The connection is of no more use."""
        if self._connection is connection:
            self._connection = None

    def _unsent(self) -> bool:
        """Whether the answer came before the whole request was sent: the rest would delay the next one."""
        return self._connection is not None and self._connection.transport.get_write_buffer_size() > 0

    def _drop(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _connect(self) -> None:
        wire = self._wire
        address = wire.address
        connection = await wire.connect(
            wire.loop, lambda: BufferedConnection(wire), address.host, address.port, address.tls, address.server_name
        )
        wire.counts.opened += 1
        if connection.open:  # it may have been closed again before this task ran
            connection.attach(self)
            self._connection = connection

    async def _connect_and_send(self, request: bytes) -> None:
        clock = self._wire.clock
        begun = clock()
        try:
            await self._connect()
        except OSError as error:
            self._wire.counts.failed += 1
            self._connecting = None
            now = clock()
            self._connect_ns = now - begun
            self.failed(now, Outcome.CONNECTION, _failure(error), _said(error))
            return
        self._connecting = None
        self._connect_ns = clock() - begun
        if self._connection is None:
            self.failed(clock(), Outcome.CONNECTION, "closed")
        else:
            self._connection.write(request)
            self._arm()  # the timer stood for the connecting

    def _deadline(self) -> tuple[int, str]:
        """When the invocation under way is given up, and why."""
        timeout = self._wire.timeout
        total = self._started_ns + timeout.total_ns
        if self._connecting is not None:
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
        left = min(self._deadline()[0] - self._wire.clock(), timeout.first_byte_ns, timeout.total_ns)
        self._timer = self._wire.loop.call_later(max(left, 1_000_000) / 1e9, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self.waiting:
            return
        now = self._wire.clock()
        deadline, reason = self._deadline()
        if now < deadline:
            self._arm()
        else:
            if self._connecting is not None:
                self._connect_ns = now - self._started_ns
            self.failed(now, Outcome.TIMEOUT, reason)


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
        text = error.reason
    return (text or "").encode("utf-8", "replace")
