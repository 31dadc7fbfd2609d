"""How many invocations a second the emulator answers, and how late: ``python -m benchmarks.emulator``.

Over raw connections, on a function without work, with the truth log and credentials of every request checked for their
form (``auth: lenient``): once in a closed loop, once at a constant rate. The delay is from the instant the model gave to
the moment the client has the answer, both on the same clock; so it holds the client's own time, too. At the constant
rate it also holds what the machine does to any process: the last line is what a loop sees that does nothing but look at
the clock, the gaps in which it did not run. A delay cannot be better than that.
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
from loadgen.scenario.model import CredentialCheck, EmulatedFunction, Emulator, Work

CONNECTIONS = 128
DURATION_S = 3.0
PACED_PER_S = 1000
SETTINGS = Emulator(
    seed=1,
    keep_alive_ns=60_000_000_000,
    functions=(EmulatedFunction("idle", 1024, Work(0, 0.0), "none", 10_000, True, 0.0),),
    auth=CredentialCheck.LENIENT,
    max_instances=10_000,
)
TOKEN = b"MII" + b"x" * 1500  # as long as a real one
REQUEST = (
    b"POST /v2/demo/fgs/functions/idle/invocations HTTP/1.1\r\n"
    b"Host: x\r\nX-Auth-Token: %b\r\nContent-Length: 2\r\n\r\n{}" % TOKEN
)


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


def spin_us() -> list[float]:
    """How long a call that falls due at each ms would have waited for a loop that only looks at the clock, by size."""
    waits = []
    started = last = time.monotonic_ns()
    due = started
    while last - started < DURATION_S * 1e9:
        now = time.monotonic_ns()
        while due <= now:
            waits.append((now - due) / 1000)
            due += 1_000_000_000 // PACED_PER_S
        last = now
    return sorted(waits)


def quantiles(sorted_us: list[float]) -> str:
    """Median and 99th percentile, for printing."""
    p50, p99 = (sorted_us[int(share * len(sorted_us))] for share in (0.50, 0.99))
    return f"p50 {p50:7.0f} µs, p99 {p99:7.0f} µs"


async def main() -> None:
    """Print a line for each load, and one for the machine."""
    for name, load in (("closed loop", closed), (f"{PACED_PER_S}/s", paced)):
        ended: dict[bytes, int] = {}
        with tempfile.TemporaryDirectory() as directory:
            truth = Path(directory, "truth.ndjson")
            async with embedded(SETTINGS, "demo", truth) as url:
                await load(url, ended)
            delays = delays_us(truth, ended)
        assert min(delays) >= 0, "an answer left early"
        print(f"{name:12} {len(ended) / DURATION_S:8.0f} invocations/s   delay {quantiles(delays)}")
    print(f"{'idle spin':12} {'':>8}                   gap   {quantiles(spin_us())}")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
