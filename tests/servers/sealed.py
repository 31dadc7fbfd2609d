"""The server's side of TLS over a blocking socket, record by record: what is sealed is sent as a test wants."""

from __future__ import annotations

import ctypes
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.servers.blocking import Play

_SSL_OFFSET = 3 * ctypes.sizeof(ctypes.c_void_p)  # of SSL* in a PySSLSocket: behind the head and the Socket
_UPDATE_REQUESTED, _UPDATE_NOT_REQUESTED = 1, 0


def _openssl() -> ctypes.CDLL | None:
    """The library that the ssl module has loaded, if it is a shared one."""
    with suppress(OSError, AttributeError):
        maps = Path("/proc/self/maps").read_text().splitlines()
        path = next((line.split()[-1] for line in maps if "libssl" in line), None)
        if path is not None:
            library = ctypes.CDLL(path)
            library.SSL_key_update.argtypes = (ctypes.c_void_p, ctypes.c_int)
            library.SSL_renegotiate.argtypes = (ctypes.c_void_p,)
            return library
    return None


OPENSSL = _openssl()
"""What of OpenSSL the ssl module does not offer; None where it cannot be had."""


class SealedPeer:
    """The server's side of one connection."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self.connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._read = b""

    def shake(self, *, send: Callable[[bytes], None] | None = None, hold_last: bool = False) -> bytes:
        """Shake hands; the last flight is returned rather than sent where it is to be held."""
        send = self.connection.sendall if send is None else send
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                send(self._outgoing.read())
                self._feed()
            else:
                last = self._outgoing.read()
                if not hold_last:
                    send(last)
                return last

    def _feed(self) -> None:
        data = self.connection.recv(65_536)
        if not data:
            raise ConnectionResetError
        self._incoming.write(data)

    def read(self) -> bytes:
        """What comes next; empty at the end."""
        while True:
            try:
                return self.tls.read(1 << 20)
            except ssl.SSLWantReadError:
                self._feed()

    def request(self) -> bytes:
        """The next request, head and body; empty when the client has closed."""
        with suppress(ConnectionError):
            seen = bytearray(self._read)
            while b"\r\n\r\n" not in seen:
                seen += self.read()
            head = bytes(seen[: seen.index(b"\r\n\r\n") + 4])
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            end = len(head) + (int(length[1]) if length else 0)
            while len(seen) < end:
                seen += self.read()
            self._read = bytes(seen[end:])
            return bytes(seen[:end])
        return b""

    def seal(self, *pieces: bytes) -> bytes:
        """Each piece as records of its own."""
        for piece in pieces:
            self.tls.write(piece)
        return self._outgoing.read()

    def farewell(self) -> bytes:
        """A close_notify."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()

    def key_update(self, *, requested: bool) -> bytes:
        """A key update (RFC 8446, 4.6.3), which may ask for the other side's."""
        assert OPENSSL is not None
        assert OPENSSL.SSL_key_update(self._ssl(), _UPDATE_REQUESTED if requested else _UPDATE_NOT_REQUESTED) == 1
        self.tls.do_handshake()
        return self._outgoing.read()

    def hello_request(self) -> bytes:
        """TLS 1.2: a wish to shake hands again (RFC 5246, 7.4.1.1)."""
        assert OPENSSL is not None
        assert OPENSSL.SSL_renegotiate(self._ssl()) == 1
        with suppress(ssl.SSLError):
            self.tls.do_handshake()
        return self._outgoing.read()

    def _ssl(self) -> int:
        return ctypes.cast(id(self.tls._sslobj) + _SSL_OFFSET, ctypes.POINTER(ctypes.c_void_p))[0] or 0  # type: ignore[attr-defined]

    def gone(self) -> None:
        """Read and discard until the client has closed."""
        with suppress(OSError):
            while self.connection.recv(1 << 16):
                pass


def sealed(context: ssl.SSLContext, play: Callable[[SealedPeer, int], None]) -> Play:
    """Shake hands, then play."""

    def run(connection: socket.socket, number: int) -> None:
        peer = SealedPeer(connection, context)
        peer.shake()
        play(peer, number)

    return run
