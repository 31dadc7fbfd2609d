"""A proxy on loopback that lets things go wrong between a client and a server, by a seeded script.

What it does to the bytes on their way is what networks, load balancers and platforms do. Each answer that passes draws
its own fate, so that a run meets many of them, in an order that the seed decides as far as the client asks in order.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

_BODY = b'{"error_code":"FSS.0429","error_msg":"too fast"}'
THROTTLED = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
PLAIN = {"delay": 3, "drip": 2, "lose": 2, "reset": 2, "half_close": 2, "close": 2, "slow_read": 2, "double": 1}
"""What happens on a bad network, by how often."""
SEALED = {"flip": 2, "garbage": 2, "reset": 2, "close": 2, "delay": 2, "drip": 1}
"""What happens to TLS: records that were tampered with, another protocol, an end in the middle of the handshake."""
_STORM_S = 0.2
_CLEAN = 4  # answers that pass for one that does not


class Proxy:
    """Where it listens, what it did, and how many clients are connected."""

    def __init__(self, upstream: int, seed: int, faults: Mapping[str, int], *, storms: bool) -> None:
        self.port = 0
        self.did: Counter[str] = Counter()
        self.connected = 0
        self._upstream = upstream
        self._rng = random.Random(seed)
        self._storms = storms
        self._draw = [*faults.items(), ("", _CLEAN * sum(faults.values()))]

    def _fate(self) -> str:
        names, weights = zip(*self._draw, strict=True)
        (fate,) = self._rng.choices(names, weights)
        self.did[fate] += 1
        return str(fate)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until either side has closed."""
        self.connected += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
            try:
                await asyncio.gather(self._requests(reader, back, writer), self._answers(there, writer))
            finally:
                back.transport.abort()
        except (ConnectionError, OSError, _EndError):
            pass
        finally:
            writer.transport.abort()
            self.connected -= 1

    async def _requests(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            if self._storms and data.startswith(b"POST") and self._stormy():
                self.did["storm"] += 1
                writer.write(THROTTLED)
                continue
            back.write(data)
            await back.drain()
        raise _EndError

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(65_536):
            await self._answer(self._fate(), data, writer)
        raise _EndError

    async def _answer(self, fate: str, data: bytes, writer: asyncio.StreamWriter) -> None:
        half = max(1, len(data) // 2)
        match fate:
            case "delay":
                await asyncio.sleep(self._rng.uniform(0, 0.4))
            case "drip":
                for at in range(min(half, 60)):
                    if writer.is_closing():
                        raise _EndError
                    writer.write(data[at : at + 1])
                    await asyncio.sleep(0.002)
                data = data[min(half, 60) :]
            case "lose":
                data = data[:half] + data[half + 3 :]
            case "double":
                data = data + data
            case "flip":
                data = data[:half] + bytes([data[half - 1] ^ 0x55]) + data[half + 1 :]
            case "garbage":
                data = b"\x15\x03\x03\x00\x02\x02\x28" + self._rng.randbytes(20)
            case "half_close":
                writer.write(data[:half])
                writer.write_eof()
                await asyncio.sleep(0.3)
                raise _EndError
            case "slow_read":
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(0.2)
                writer.transport.resume_reading()  # type: ignore[attr-defined]
            case "close":
                writer.write(data[: half if self._rng.random() < 0.5 else 0])
                raise _CloseError
            case "reset":
                sock = writer.get_extra_info("socket")
                sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER with no time: RST instead of FIN
                raise _EndError
        if writer.is_closing():
            raise _EndError
        writer.write(data)
        await writer.drain()

    def _stormy(self) -> bool:
        return int(asyncio.get_running_loop().time() / _STORM_S) % 5 == 0


class _EndError(Exception):
    """A connection is over."""


class _CloseError(_EndError):
    """It ends in good order, after what was written."""


@asynccontextmanager
async def chaos(
    upstream: int, seed: int, faults: Mapping[str, int] = PLAIN, *, storms: bool = False
) -> AsyncIterator[Proxy]:
    """Pass on what comes to a server on this port of loopback, with these faults by their weights.

    ``storms`` has one fifth of a second in each second in which every call is answered with 429 at once.
    """
    proxy = Proxy(upstream, seed, faults, storms=storms)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
