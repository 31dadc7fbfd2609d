"""Ten minutes over TLS with every kind of end: descriptors and memory stay as they were.

``LOADGEN_SOAK_S`` is another time in seconds. ``python -m tests.engine.test_soak`` prints the figures.
"""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from loadgen.engine.address import Address, tls_context
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.connection import HttpInvoker, Wire
from loadgen.engine.invoker import Caller
from loadgen.engine.loop import new_event_loop
from loadgen.engine.tls import TlsConnection
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.port import Timeout, Tls
from tests.servers.certificate import make_certificate
from tests.servers.scripted import OK, Peer, serving

SOAK_S = float(os.environ.get("LOADGEN_SOAK_S", "600"))
WARM_PART = 0.2
MOST_KIB = 4096
REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
TIMEOUT = Timeout(2_000_000_000, 500_000_000, 1_000_000_000)
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"x" * 65_536


class Held(NamedTuple):
    """What a process holds."""

    files: int
    kib: int
    connections: int


def held() -> Held:
    """Of this process, now. Source: proc_pid_status(5), VmRSS."""
    status = Path("/proc/self/status").read_text()
    return Held(
        len(list(Path("/proc/self/fd").iterdir())),
        int(status.partition("VmRSS:")[2].split()[0]),
        sum(isinstance(thing, TlsConnection) for thing in gc.get_objects()),
    )


class Endless(Caller):
    """Calls again whenever a call has ended, until it is told to stop."""

    def __init__(self, wire: Wire, ends: Counter[str]) -> None:
        self.invoker = HttpInvoker(wire, self)
        self.ends = ends
        self.begun = self.ended_ones = 0
        self.stopped = False

    def begin(self) -> None:
        self.begun += 1
        self.invoker.invoke(REQUEST, monotonic_ns())

    def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        self.ended_ones += 1
        self.ends[f"{facts.outcome.value}/{facts.reason}"] += 1
        if not self.stopped:
            self.begin()


async def every_kind(peer: Peer) -> None:
    """Answer, mostly; the rest by turns."""
    turn = peer.number * 7
    while await peer.request() is not None:
        turn += 1
        if turn % 997 == 0:
            peer.reset()
        elif turn % 499 == 0:
            peer.writer.write(OK[:20])
            return
        elif turn % 211 == 0:
            peer.writer.write(OK)
            return
        elif turn % 1999 == 0:
            await asyncio.sleep(1.5)
        peer.writer.write(LARGE if turn % 50 == 0 else OK)


async def serve(certificate: str, key: str) -> None:
    """Serve until stdin ends; say the port first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serving(every_kind, tls=context, remembers=False) as server:  # a million connections
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def served(certificate: tuple[Path, Path]) -> Iterator[int]:
    """The server in a process of its own; its port."""
    command = [sys.executable, "-m", "tests.engine.test_soak", *map(str, certificate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


async def soaked(port: int, ca: str, seconds: float) -> tuple[Held, Held, Counter[str], int]:
    """What was held when all was warm and at the end, how calls ended, and how many were not told exactly once."""
    address = Address("127.0.0.1", port, tls_context(Tls(True, ca)), "localhost")
    ends: Counter[str] = Counter()
    wires = [
        Wire(
            asyncio.get_running_loop(),
            [address],
            TIMEOUT,
            connection=TlsConnection,
            wanted=frozenset(),
            keep=1024,
            classify=lambda answer: Facts(Outcome.OK, "ok", answer.status),
            fresh=fresh,
            bodiless=False,
        )
        for fresh in (False, True)
    ]
    callers = [Endless(wire, ends) for wire, n in zip(wires, (12, 2), strict=True) for _ in range(n)]
    gc.collect()
    gc.disable()  # as an agent has it under load
    try:
        for caller in callers:
            caller.begin()
        await asyncio.sleep(seconds * WARM_PART)
        warm = held()
        await asyncio.sleep(seconds * (1 - WARM_PART))
        last = held()
    finally:
        gc.enable()
    for caller in callers:
        caller.stopped = True
    await asyncio.sleep(2 * TIMEOUT.total_ns / 1e9)
    for caller in callers:
        caller.invoker.close()
    for wire in wires:
        wire.close()
    return warm, last, ends, sum(caller.begun != caller.ended_ones for caller in callers)


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 60)
def test_ten_minutes_over_tls_hold_as_much_at_the_end_as_when_they_were_warm(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with served(certificate) as port, asyncio.Runner(loop_factory=new_event_loop) as runner:
        warm, last, ends, lost = runner.run(soaked(port, str(certificate[0]), SOAK_S))
    assert lost == 0
    assert abs(last.files - warm.files) <= 14  # one for each caller that has none at the moment
    assert last.kib - warm.kib < MOST_KIB
    assert last.connections <= 14
    assert {"ok/ok", "connection/closed_early", "connection/reset"} <= set(ends)
    assert set(ends) <= {
        "ok/ok",
        *(f"connection/{reason}" for reason in ("closed", "closed_early", "reset", "stale")),
        *(f"timeout/{reason}" for reason in ("first_byte", "total", "connect")),
    }


def print_figures() -> None:
    with tempfile.TemporaryDirectory() as made:
        certificate = make_certificate(Path(made))
        with served(certificate) as port, asyncio.Runner(loop_factory=new_event_loop) as runner:
            warm, last, ends, lost = runner.run(soaked(port, str(certificate[0]), SOAK_S))
    sys.stdout.write(f"{warm}\n{last}\n{dict(ends)}\n{lost} not told exactly once\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(serve(sys.argv[1], sys.argv[2]))
    else:
        print_figures()
