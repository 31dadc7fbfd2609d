"""A server that sends without end keeps the event loop from nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from loadgen.engine.clock import monotonic_ns
from loadgen.targets.functiongraph.protocol.tenant import MOST
from loadgen.targets.port import Timeout
from tests.engine.test_connection import MS, Caller

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n"),
    "chunks with extensions": (CHUNKED, b"1;a=b\r\nx\r\n"),
    "a body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "interim answers": (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
}
TIMEOUT = Timeout(2000 * MS, 2000 * MS, 500 * MS)


@contextmanager
def flooding(begin: bytes, endless: bytes) -> Iterator[int]:
    """Send this to whoever connects, as fast as it is taken, from a thread of its own; the port."""
    block = endless * (2**20 // len(endless))

    def flood() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.recv(4096)
                    connection.sendall(begin)
                    while True:
                        connection.sendall(block)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


async def longest_turn_ns() -> int:
    """How long the event loop was away at most, until cancelled."""
    longest, last = 0, monotonic_ns()
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(0)
            now = monotonic_ns()
            longest, last = max(longest, now - last), now
    return longest


@pytest.mark.wallclock
@pytest.mark.parametrize("flood", FLOODS)
async def test_the_loop_turns_and_timers_ring_under_a_flood(flood: str) -> None:
    """Without giving way one turn of the loop took seconds: it read eight megabytes of chunks of one byte."""
    with flooding(*FLOODS[flood]) as port:
        caller = Caller(port, timeout=TIMEOUT, fresh=True)
        watching = asyncio.create_task(longest_turn_ns())
        outcome, took_ms, *_ = await caller.call()
        watching.cancel()
        caller.close()
    assert outcome == ("protocol/too_many_interim" if flood == "interim answers" else "timeout/total")
    assert took_ms < 1000, took_ms
    assert await watching < 400 * MS


async def test_a_flood_beyond_what_a_function_may_answer_ends_at_once() -> None:
    with flooding(*FLOODS["a body"]) as port:
        caller = Caller(port, timeout=Timeout(2000 * MS, 2000 * MS, 20_000 * MS), fresh=True, most=MOST)
        assert (await caller.call())[0] == "protocol/body_too_large"
        caller.close()
