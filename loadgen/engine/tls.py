"""A connection over TLS: Python's ssl over memory, so that the socket stays bare and its stamps are seen.

What comes in is handed to OpenSSL whole and all that it makes of it is read at once, so that nothing waits where the
poll cannot see it. The arrival of an answer is that of its last bytes as they were sent, still encrypted. Whatever
OpenSSL wants to say after reading (key updates, alerts) is sent at once.

An end of the connection without a close_notify cuts an answer that only the end delimits (RFC 9112, 9.8).
"""

from __future__ import annotations

import errno
import os
import ssl

from loadgen.engine.connection import SEALED_BUFFER, Connection, HttpInvoker, Wire
from loadgen.engine.polling import READ

_EAGAIN = errno.EAGAIN  # in C in the compiled build


class TlsConnection(Connection):
    """One TCP connection with TLS on it."""

    __slots__ = ("_incoming", "_notified", "_open_sealed", "_outgoing", "_seal", "_shaking", "_tls")

    def __init__(self, wire: Wire, invoker: HttpInvoker) -> None:
        super().__init__(wire, invoker)
        self._shaking = self._notified = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        address = self._address
        assert address.tls is not None
        self._tls: ssl.SSLObject | None = address.tls.wrap_bio(
            self._incoming, self._outgoing, server_hostname=address.server_name
        )
        direct = getattr(self._tls, "_sslobj", self._tls)  # what SSLObject calls for each, without a frame in between
        self._open_sealed = direct.read
        self._seal = direct.write

    def send(self, request: bytes, now_ns: int) -> int:
        """See Connection; encrypting takes place before the instant."""
        self._acked = self._sent
        self._seal(request)
        data = self._outgoing.read()
        started = self._wire.clock.now()
        self._write(data)
        return started

    def _go_on_connecting(self, events: int) -> None:
        if self._shaking:
            n = self.receive(SEALED_BUFFER, sealed=True)
            if n > 0:
                self._incoming.write(self.inbox.sealed[:n])
                self._shake()
            elif n == 0:
                self._failed(self._broken or ConnectionResetError(errno.ECONNRESET, "closed in the TLS handshake"))
            elif n != -_EAGAIN:
                self._failed(OSError(-n, os.strerror(-n)))
        else:
            Connection._go_on_connecting(self, events)

    def _stands(self) -> None:
        if self._shaking:
            Connection._stands(self)
        else:
            self._shaking = True
            self._wire.poll.change(self, READ)
            self._shake()

    def _shake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._say()
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._say()  # the alert
            self._failed(error)
        else:
            self._say()
            self._stands()
            if self._incoming.pending and self.open:  # came with the handshake: no poll tells of it
                self._deal(self._unsealed(), 0)

    def _say(self) -> None:
        """Send what OpenSSL wants to."""
        if self._outgoing.pending:
            self._write(self._outgoing.read())

    def _receive(self) -> int:
        n = self.receive(min(self._most, SEALED_BUFFER), sealed=True)
        if n <= 0:
            return n
        self._incoming.write(self.inbox.sealed[:n])
        return self._unsealed()

    def _unsealed(self) -> int:
        """All that can be read of what came in, at the head of the buffer; like ``Socket.receive``."""
        view, got, more = self.inbox.view, 0, 1
        try:
            while more:
                more = self._open_sealed(len(view), view if not got else view[got:])  # type: ignore[assignment]
                got += more
                if not self._incoming.pending:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._broken, self._over = error, True
        if self._outgoing.pending:
            self._say()
        if not more:
            self._notified, self._over, self._broken = True, True, None
        return got if got or self._over else -_EAGAIN

    def _whole(self) -> bool:
        return self._notified

    def close(self) -> None:
        """See Connection."""
        Connection.close(self)
        self._tls = self._open_sealed = self._seal = None
