"""How many invocations a second the emulator answers, and how late: ``python -m benchmarks.emulator``.

Closed loop over raw connections, on a function without work. The delay is from the instant the model gave to the moment
the client has the answer, both on the same clock; so it holds the client's own time, too.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

from loadgen.emulator.process import embedded
from loadgen.scenario.model import EmulatedFunction, Emulator, Work

CONNECTIONS = 128
DURATION_S = 3.0
PACED_PER_S = 1000
SETTINGS = Emulator(1, 60_000_000_000, (EmulatedFunction("idle", 1024, Work(0, 0.0), "none", 10_000, True, 0.0),))
REQUEST = b"POST /v2/demo/fgs/functions/idle/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class Client(asyncio.Protocol):
    """One connection, which sends its next request when an answer has come, or when told to."""

    def __init__(self, ended: dict[bytes, int], *, again: bool) -> None:
        self.ended = ended
        self.again = again
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it, and start."""
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's own class is none of asyncio's
        if self.again:
            self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """Note when the answer came; it is small enough to arrive whole."""
        self.ended[data.partition(b"X-Cff-Request-Id: ")[2][:36]] = time.monotonic_ns()
        if self.again:
            self.transport.write(REQUEST)


async def connect(url: str, ended: dict[bytes, int], *, again: bool) -> list[Client]:
    """Open all connections."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    host, port = parts.hostname, parts.port
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Client(ended, again=again), host, port) for _ in range(CONNECTIONS)]
    return [client for _, client in made]


async def closed(url: str, ended: dict[bytes, int]) -> None:
    """As fast as the connections can."""
    clients = await connect(url, ended, again=True)
    await asyncio.sleep(DURATION_S)
    for client in clients:
        client.transport.abort()


async def paced(url: str, ended: dict[bytes, int]) -> None:
    """At a constant rate, which leaves the emulator idle most of the time."""
    clients = await connect(url, ended, again=False)
    started = time.monotonic()
    for number in range(int(PACED_PER_S * DURATION_S)):
        await asyncio.sleep(max(0.0, started + number / PACED_PER_S - time.monotonic()))
        clients[number % CONNECTIONS].transport.write(REQUEST)
    await asyncio.sleep(0.1)
    for client in clients:
        client.transport.abort()


def delays_us(truth: Path, ended: dict[bytes, int]) -> list[float]:
    """How late each answer was, in order of size."""
    records = (json.loads(line) for line in truth.read_bytes().splitlines())
    return sorted(
        (ended[identifier] - record["ends_at_ns"]) / 1000
        for record in records
        if (identifier := record["request_id"].encode()) in ended
    )


async def main() -> None:
    """Print a line for each load."""
    for name, load in (("closed loop", closed), (f"{PACED_PER_S}/s", paced)):
        ended: dict[bytes, int] = {}
        with tempfile.TemporaryDirectory() as directory:
            truth = Path(directory, "truth.ndjson")
            async with embedded(SETTINGS, "demo", truth) as url:
                await load(url, ended)
            delays = delays_us(truth, ended)
        assert min(delays) >= 0, "an answer left early"
        p50, p99 = (delays[int(share * len(delays))] for share in (0.50, 0.99))
        print(f"{name:12} {len(ended) / DURATION_S:8.0f} invocations/s   delay p50 {p50:7.0f} µs, p99 {p99:7.0f} µs")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
