"""A real server on loopback that plays a script: what to do with each connection and each request."""

from __future__ import annotations

import asyncio
import re
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Play = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's side of one connection. ``number`` counts connections from 0."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._reader = reader
        self.writer = writer
        self.number = number
        self.requests: list[bytes] = []

    async def request(self) -> bytes | None:
        """The next request, head and body; None when the client has closed."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        request = head + (await self._reader.readexactly(int(length[1])) if length else b"")
        self.requests.append(request)
        return request

    async def begun(self) -> None:
        """Wait until a request has begun to arrive; its first byte is lost."""
        await self._reader.read(1)

    async def send(self, *pieces: bytes, pause_s: float = 0.02) -> None:
        """Send pieces, with a pause in between so that they arrive apart."""
        for i, piece in enumerate(pieces):
            if i:
                await asyncio.sleep(pause_s)
            self.writer.write(piece)
            await self.writer.drain()

    async def gone(self) -> None:
        """Read and discard until the client has closed."""
        with suppress(ConnectionError):
            while await self._reader.read(65_536):
                pass

    def close(self) -> None:
        """Close in good order."""
        self.writer.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER with no time: RST instead of FIN
        self.writer.transport.abort()


class Server:
    """Where the script is served, and what was seen."""

    def __init__(self, port: int, peers: list[Peer]) -> None:
        self.port = port
        self.peers = peers

    @property
    def requests(self) -> list[bytes]:
        """Every request so far."""
        return [request for peer in self.peers for request in peer.requests]


@asynccontextmanager
async def serving(
    play: Play, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0, remembers: bool = True
) -> AsyncIterator[Server]:
    """Play the script for each connection until the context ends; it ``remembers`` them all, or none."""
    peers: list[Peer] = []
    tasks: set[asyncio.Task[None]] = set()
    numbers = count()

    async def run(peer: Peer) -> None:
        try:
            await play(peer)
        except ConnectionError:
            pass
        finally:
            peer.writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, next(numbers))
        if remembers:
            peers.append(peer)
        task = asyncio.get_running_loop().create_task(run(peer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, host, port, ssl=tls, limit=2**25)
    try:
        yield Server(server.sockets[0].getsockname()[1], peers)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answer_all(peer: Peer, answer: bytes = OK) -> None:
    """Answer every request alike."""
    while await peer.request() is not None:
        await peer.send(answer)
