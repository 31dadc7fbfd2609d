"""How many invocations a second the emulator answers, and how late: ``python -m benchmarks.emulator``.

Over raw connections, on a function without work, with the truth log and credentials of every request checked for their
form (``auth: lenient``): once in a closed loop, once at a constant rate.

The delay is from the instant the model gave to the answer's arrival at the client's socket, as the kernel stamps it
(SO_TIMESTAMPNS), so that it holds nothing of the client's own. It does hold what the machine does to any process: the
last line is what a loop sees that does nothing but look at the clock, the gaps in which it did not run. As other
processes also take from what the closed loop reaches, the CPU time of an invocation says what one core would do.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from loadgen.targets.functiongraph.emulator.process import embedded
from loadgen.targets.functiongraph.protocol.platform import CredentialCheck, EmulatedFunction, Emulator, Work

Load = Callable[[str, dict[bytes, int]], Coroutine[None, None, None]]

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
SO_TIMESTAMPNS = 35  # of Linux; Python names it from 3.14 on
EPOCH_NS = time.time_ns() - time.monotonic_ns()
TOKEN = b"MII" + b"x" * 1500  # as long as a real one
REQUEST = (
    b"POST /v2/demo/fgs/functions/idle/invocations HTTP/1.1\r\n"
    b"Host: x\r\nX-Auth-Token: %b\r\nContent-Length: 2\r\n\r\n{}" % TOKEN
)


class Client:
    """One connection, which sends its next request when an answer has come, or when told to."""

    def __init__(self, address: tuple[str, int], ended: dict[bytes, int], *, again: bool) -> None:
        self.ended = ended
        self.again = again
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self.socket, self.received)
        if again:
            self.send()

    def send(self) -> None:
        """Ask once more; a request is small enough to leave whole."""
        self.socket.send(REQUEST)

    def received(self) -> None:
        """Note when the answer came; it is small enough to arrive whole."""
        data, stamps, _, _ = self.socket.recvmsg(1 << 16, 64)
        seconds, ns = struct.unpack("qq", stamps[0][2])
        self.ended[data.partition(b"X-Cff-Request-Id: ")[2][:36]] = seconds * 1_000_000_000 + ns - EPOCH_NS
        if self.again:
            self.send()

    def close(self) -> None:
        """Ask no more."""
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()


def connect(url: str, ended: dict[bytes, int], *, again: bool) -> list[Client]:
    """Open all connections."""
    host, _, port = urlsplit(url).netloc.partition(":")
    return [Client((host, int(port)), ended, again=again) for _ in range(CONNECTIONS)]


async def closed(url: str, ended: dict[bytes, int]) -> None:
    """As fast as the connections can."""
    clients = connect(url, ended, again=True)
    await asyncio.sleep(DURATION_S)
    for client in clients:
        client.close()


async def paced(url: str, ended: dict[bytes, int]) -> None:
    """At a constant rate, which leaves the emulator idle most of the time."""
    clients = connect(url, ended, again=False)
    started = time.monotonic()
    for number in range(int(PACED_PER_S * DURATION_S)):
        await asyncio.sleep(max(0.0, started + number / PACED_PER_S - time.monotonic()))
        clients[number % CONNECTIONS].send()
    await asyncio.sleep(0.1)
    for client in clients:
        client.close()


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


async def idle(url: str, ended: dict[bytes, int]) -> None:
    """No load: what starting and stopping take."""


async def measured(load: Load) -> tuple[int, list[float], float]:
    """Invocations, their delays by size, and the CPU seconds of an emulator under this load."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended: dict[bytes, int] = {}
    with tempfile.TemporaryDirectory() as directory:
        truth = Path(directory, "truth.ndjson")
        async with embedded(SETTINGS, "demo", truth) as url:
            await load(url, ended)
        delays = delays_us(truth, ended)
    # the stamps are of the wall clock, which may be slewed meanwhile
    assert not delays or delays[0] > -100, "an answer left early"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return len(ended), delays, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def main() -> None:
    """Print a line for each load, and one for the machine."""
    _, _, start_s = await measured(idle)
    number, delays, cpu_s = await measured(closed)
    cpu_us = (cpu_s - start_s) / number * 1e6
    print(f"{'closed loop':12} {number / DURATION_S:8.0f} invocations/s   delay {quantiles(delays)}")
    print(f"{'one core':12} {1e6 / cpu_us:8.0f} invocations/s   CPU {cpu_us:.0f} µs each")
    number, delays, _ = await measured(paced)
    print(f"{f'{PACED_PER_S}/s':12} {number / DURATION_S:8.0f} invocations/s   delay {quantiles(delays)}")
    print(f"{'idle spin':12} {'':22}   gap   {quantiles(spin_us())}")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
