"""A real server on loopback with a thread for each connection: it goes on while a test keeps its event loop busy."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Play = Callable[[socket.socket, int], None]
"""What to do with a connection, and its number from 0; it is closed afterwards."""


@contextmanager
def blocking(play: Play, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[int]:
    """Play for each connection until the context ends; the port. ``tls`` shakes hands first."""
    threads: list[threading.Thread] = []
    open_ones: set[socket.socket] = set()
    over = threading.Event()

    def run(connection: socket.socket, number: int) -> None:
        open_ones.add(connection)
        try:
            with suppress(OSError):
                if tls is not None:
                    raw, connection = connection, tls.wrap_socket(connection, server_side=True)
                    open_ones.remove(raw)
                    open_ones.add(connection)
                play(connection, number)
        finally:
            with suppress(KeyError):
                open_ones.remove(connection)
            connection.close()

    def accept() -> None:
        with suppress(OSError):
            while not over.is_set():
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=run, args=(connection, len(threads)))
                threads.append(thread)
                thread.start()

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=128) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for connection in tuple(open_ones):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def request(connection: socket.socket) -> bytes:
    """The next request, head and body; empty when the client has closed."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        more = connection.recv(65_536)
        if not more:
            return b""
        seen += more
    length = re.search(rb"content-length: *(\d+)", seen, re.IGNORECASE)
    body = seen.index(b"\r\n\r\n") + 4
    pieces, missing = [seen], (int(length[1]) if length else 0) - (len(seen) - body)
    while missing > 0:
        more = connection.recv(min(missing, 1 << 20))
        if not more:
            return b""
        pieces.append(more)
        missing -= len(more)
    return b"".join(pieces)


def gone(connection: socket.socket) -> None:
    """Read and discard until the client has closed."""
    with suppress(OSError):
        while connection.recv(1 << 16):
            pass


def reset(connection: socket.socket) -> None:
    """Close with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
