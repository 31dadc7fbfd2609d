"""A generator that is kept busy while answers arrive: what is told is when they arrived, and timeouts go by that."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loadgen.engine.clock import monotonic_ns
from loadgen.engine.connection import HttpInvoker
from loadgen.engine.invoker import Caller as Told
from loadgen.engine.kernel import stamps
from loadgen.engine.polling import STEP_NS
from loadgen.invocation.facts import Facts
from loadgen.targets.port import Timeout, Tls
from tests.engine.test_connection import MS, Caller, server_context
from tests.servers.blocking import blocking, gone, request
from tests.servers.certificate import make_certificate
from tests.servers.ports import free_port
from tests.servers.scripted import OK

pytestmark = pytest.mark.skipif(not stamps(), reason="without stamps an answer has arrived when it is read")

LONG = Timeout(2000 * MS, 2000 * MS, 2000 * MS)
NEVER = math.inf


class Clocked:
    """A server that answers each request in pieces at given times, and notes when it sent each."""

    def __init__(self, *pieces: tuple[float, bytes]) -> None:
        self.pieces = pieces
        self.sent_ns: list[tuple[int, int]] = []
        self.sent = threading.Event()

    def play(self, connection: socket.socket, number: int) -> None:
        while request(connection):
            begun = time.monotonic()
            for after_s, piece in self.pieces:
                if after_s is NEVER:
                    gone(connection)
                    return
                time.sleep(max(0.0, begun + after_s - time.monotonic()))
                before = monotonic_ns()
                connection.sendall(piece)
                self.sent_ns.append((before, monotonic_ns()))
            self.sent.set()


class Called:
    """How a call ended that was made with the loop kept busy from when it was sent."""

    def __init__(self, outcome: str, service_ms: float, unread_ms: float, arrived_ns: int) -> None:
        self.outcome = outcome
        self.service_ms = service_ms
        self.unread_ms = unread_ms
        self.arrived_ns = arrived_ns


async def call_busily(caller: Caller, busy_s: float, sent: threading.Event | None = None) -> Called:
    """Make a call; the loop does nothing for so long, and before that until the answer was sent."""
    caller.expect()
    started = caller.invoker.invoke(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", monotonic_ns())
    if sent is not None:
        assert sent.wait(5)
    time.sleep(busy_s)
    ended, facts, _, _ = await caller.told
    return Called(f"{facts.outcome.value}/{facts.reason}", (ended - started) / MS, (caller.read_ns - ended) / MS, ended)


Calling = Callable[[int, Timeout], Caller]


@pytest.fixture(params=["plain", "1.2", "1.3"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ssl.SSLContext | None, Calling]:
    """How a server is to be served, and who calls it."""
    if request.param == "plain":
        return None, lambda port, timeout: Caller(port, timeout=timeout)
    certificate = make_certificate(tmp_path)
    context = server_context(certificate)
    version = ssl.TLSVersion.TLSv1_2 if request.param == "1.2" else ssl.TLSVersion.TLSv1_3
    context.minimum_version = context.maximum_version = version
    return context, lambda port, timeout: Caller(port, timeout=timeout, tls=Tls(True, str(certificate[0])))


Transport = tuple[ssl.SSLContext | None, Calling]


async def called(
    transport: Transport, server: Clocked, *, busy_s: float, timeout: Timeout = LONG, until_sent: bool = False
) -> Called:
    """A call on a connection that was opened ahead, with the loop kept busy."""
    tls, calling = transport
    with blocking(server.play, tls=tls) as port:
        caller = calling(port, timeout)
        try:
            await caller.invoker.open()
            await asyncio.sleep(0.005)  # tickets
            return await call_busily(caller, busy_s, server.sent if until_sent else None)
        finally:
            caller.close()


@pytest.mark.parametrize("pieces", [((0.0, OK),), ((0.0, OK[:10]), (0.01, OK[10:20]), (0.02, OK[20:]))])
async def test_an_answer_has_arrived_when_the_last_of_it_was_sent_however_late_it_is_read(
    transport: Transport, pieces: tuple[tuple[float, bytes], ...]
) -> None:
    server = Clocked(*pieces)
    found = await called(transport, server, busy_s=0.03, until_sent=True)
    assert found.outcome == "ok/ok"
    assert server.sent_ns[-1][0] - STEP_NS <= found.arrived_ns <= server.sent_ns[-1][1] + 5 * MS
    assert found.unread_ms > 25


@pytest.mark.wallclock
async def test_an_answer_in_time_counts_however_late_it_is_read(transport: Transport) -> None:
    """The timer is due at 40 ms, the answer read at 80 ms."""
    found = await called(transport, Clocked((0.005, OK)), busy_s=0.08, timeout=Timeout(1000 * MS, 40 * MS, 40 * MS))
    assert found.outcome == "ok/ok"
    assert found.service_ms < 40


@pytest.mark.wallclock
async def test_a_large_answer_in_time_counts_however_late_it_is_read(transport: Transport) -> None:
    """What of it fits into the socket has arrived, and there is no more."""
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000
    found = await called(transport, Clocked((0, large)), busy_s=0.1, timeout=Timeout(1000 * MS, 50 * MS, 50 * MS))
    assert found.outcome == "ok/ok"


@pytest.mark.wallclock
@pytest.mark.parametrize("first_byte", [True, False])
async def test_an_answer_that_came_too_late_is_a_timeout_even_if_it_is_there_when_the_timer_rings(
    transport: Transport, first_byte: bool
) -> None:
    timeout = Timeout(1000 * MS, 20 * MS, 500 * MS) if first_byte else Timeout(1000 * MS, 500 * MS, 20 * MS)
    found = await called(transport, Clocked((0.045, OK)), busy_s=0.08, timeout=timeout)
    assert found.outcome == ("timeout/first_byte" if first_byte else "timeout/total")
    assert found.service_ms == pytest.approx(20)


async def test_a_call_that_is_given_up_late_ended_at_its_deadline(transport: Transport) -> None:
    found = await called(transport, Clocked((NEVER, b"")), busy_s=0.06, timeout=Timeout(1000 * MS, 30 * MS, 500 * MS))
    assert found.outcome == "timeout/first_byte"
    assert found.service_ms == pytest.approx(30)
    assert found.unread_ms >= 29


@pytest.mark.wallclock
async def test_the_first_byte_in_time_and_the_rest_too_late_is_a_timeout_of_the_whole(transport: Transport) -> None:
    timeout = Timeout(1000 * MS, 60 * MS, 80 * MS)
    found = await called(transport, Clocked((0, OK[:20]), (0.1, OK[20:])), busy_s=0.13, timeout=timeout)
    assert found.outcome in ("timeout/total", "timeout/first_byte")  # in one socket they are but one stamp
    found = await called(transport, Clocked((0, OK[:20]), (0.1, OK[20:])), busy_s=0.01, timeout=timeout)
    assert found.outcome == "timeout/total"
    assert found.service_ms == pytest.approx(80)


async def test_an_interim_answer_is_no_first_byte(transport: Transport) -> None:
    """103, and then silence."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    timeout = Timeout(1000 * MS, 40 * MS, 2000 * MS)
    found = await called(transport, Clocked((0, hints), (NEVER, b"")), busy_s=0, timeout=timeout)
    assert found.outcome == "timeout/first_byte"
    assert found.service_ms == pytest.approx(40)


@pytest.mark.wallclock
async def test_the_first_byte_of_the_final_answer_ends_that_timeout(transport: Transport) -> None:
    timeout = Timeout(1000 * MS, 40 * MS, 100 * MS)
    found = await called(transport, Clocked((0, OK[:20]), (NEVER, b"")), busy_s=0, timeout=timeout)
    assert found.outcome == "timeout/total"
    assert found.service_ms == pytest.approx(100)


async def test_what_was_in_the_socket_before_a_request_was_sent_is_no_answer_to_it(transport: Transport) -> None:
    """It would have a service time below zero; whose answer it is nobody can know."""

    class Twice:
        go_on = threading.Event()

        def play(self, connection: socket.socket, number: int) -> None:
            request(connection)
            connection.sendall(OK)
            self.go_on.wait(5)
            connection.sendall(OK)
            sent.set()
            gone(connection)

    tls, calling = transport
    sent = threading.Event()
    server = Twice()
    with blocking(server.play, tls=tls) as port:
        caller = calling(port, LONG)
        first = await caller.call()
        server.go_on.set()
        assert sent.wait(5)
        time.sleep(0.002)  # the second answer comes, and is not seen
        found = await call_busily(caller, 0.02)
        caller.close()
    assert first[0] == "ok/ok"
    assert found.outcome == "protocol/trailing_data"
    assert found.service_ms > 0


async def test_answers_without_a_stamp_are_counted() -> None:
    """An end has none, and an answer may end with it."""

    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nx")
        time.sleep(0.02)

    with blocking(play) as port:
        caller = Caller(port)
        assert (await caller.call())[0] == "ok/ok"
        assert caller.wire.inbox.unstamped == 1
        caller.close()


async def test_stamped_answers_are_not_counted(transport: Transport) -> None:
    tls, calling = transport
    with blocking(Clocked((0, OK)).play, tls=tls) as port:
        caller = calling(port, LONG)
        for _ in range(5):
            await caller.call()
        assert caller.wire.inbox.unstamped == 0
        caller.close()


async def test_behind_a_step_of_the_clocks_answers_arrive_when_they_are_read(transport: Transport) -> None:
    tls, calling = transport
    with blocking(Clocked((0, OK)).play, tls=tls) as port:
        caller = calling(port, LONG)
        await caller.invoker.open()
        await asyncio.sleep(0.005)
        now = monotonic_ns()
        offset = time.time_ns() - monotonic_ns()
        caller.wire.inbox.note(offset - 3600 * 1_000 * MS, 100, now)  # an hour ago; the next look finds it out
        found = await call_busily(caller, 0.04)
        caller.close()
    assert found.outcome == "ok/ok"
    assert found.service_ms >= 40
    assert found.unread_ms == 0
    assert caller.wire.inbox.unstamped == 1
    assert caller.wire.inbox.step_ns == pytest.approx(3600_000 * MS, rel=0.01)


class Deaf(Told):
    """Hears nothing."""

    def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        pass


@pytest.mark.wallclock
@pytest.mark.parametrize("others", [0, 20])
async def test_a_connection_that_stood_in_time_is_no_timeout_however_late_that_is_seen(others: int) -> None:
    """Twenty others are ready, too, which is more than one turn tells."""
    with blocking(Clocked((0, OK)).play) as port:
        caller = Caller(port, timeout=Timeout(30 * MS, 1000 * MS, 1000 * MS))
        first = [HttpInvoker(caller.wire, Deaf()) for _ in range(others)]
        for each in first:
            each.invoke(b"x", monotonic_ns())
        found = await call_busily(caller, 0.06)
        for each in first:
            each.close()
        caller.close()
    assert found.outcome == "ok/ok"


@pytest.mark.wallclock
async def test_a_connection_that_was_refused_in_time_is_no_timeout_however_late_that_is_seen() -> None:
    caller = Caller(free_port(), timeout=Timeout(30 * MS, 1000 * MS, 1000 * MS))
    first = [HttpInvoker(caller.wire, Deaf()) for _ in range(20)]
    for each in first:
        each.invoke(b"x", monotonic_ns())
    found = await call_busily(caller, 0.06)
    for each in first:
        each.close()
    caller.close()
    assert found.outcome == "connection/refused"


async def test_a_connection_that_stands_too_late_is_a_timeout() -> None:
    """A listener whose backlog is full does not answer."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        caller = Caller(full.getsockname()[1], timeout=Timeout(30 * MS, 1000 * MS, 1000 * MS))
        found = await call_busily(caller, 0.06)
        caller.close()
        for filler in fillers:
            filler.close()
    assert found.outcome == "timeout/connect"
    assert found.service_ms == pytest.approx(30)
