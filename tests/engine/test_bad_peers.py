"""Connections with bad peers: what is called stale, who is heard before a failed write, and who comes to harm."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from loadgen.engine.address import Address
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.connection import Connection, HttpInvoker, Wire
from loadgen.engine.invoker import Caller as Told
from loadgen.engine.kernel import Poll
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.port import Answer, Timeout
from tests.engine.test_connection import MS, REQUEST, TIMEOUT, Caller
from tests.servers.blocking import blocking, gone, request, reset
from tests.servers.scripted import OK

SIX_MB = 6 * 1024 * 1024
LARGE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % SIX_MB + bytes(range(256)) * (SIX_MB // 256)
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


# what is stale


@pytest.mark.parametrize(("die", "expected"), [(gone, "connection/closed"), (reset, "connection/reset")])
async def test_a_server_that_dies_over_a_request_that_it_has_read_was_no_stale_connection(
    die: Any, expected: str
) -> None:
    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)
        request(connection)
        time.sleep(0.05)
        if die is reset:
            reset(connection)

    with blocking(play) as port:
        caller = Caller(port)
        assert (await caller.call())[0] == "ok/ok"
        assert (await caller.call())[0] == expected
        caller.close()


async def test_a_server_that_dies_over_half_a_request_has_read_of_it() -> None:
    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)
        connection.recv(1000)
        reset(connection)

    with blocking(play) as port:
        caller = Caller(port)
        assert (await caller.call())[0] == "ok/ok"
        assert (await caller.call(LARGE))[0] == "connection/reset"
        caller.close()


async def test_a_close_that_comes_with_the_answer_is_seen_before_the_connection_is_used_again() -> None:
    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.setsockopt(socket.IPPROTO_TCP, 3, 1)  # TCP_CORK: the end goes out with the answer
        connection.sendall(OK)

    with blocking(play) as port:
        caller = Caller(port)
        for _ in range(50):
            assert (await caller.call())[0] == "ok/ok"
        caller.close()
    assert caller.wire.counts.closed_idle == 50
    assert caller.wire.counts.reused == 0


async def test_a_close_that_comes_right_behind_the_answer_is_stale_at_worst() -> None:
    """Whether it was known depends on who was first; what is acknowledged may have been read, so it is a reset."""

    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)

    with blocking(play) as port:
        caller = Caller(port)
        outcomes = [(await caller.call())[0] for _ in range(50)]
        caller.close()
    assert set(outcomes) <= {"ok/ok", "connection/stale", "connection/reset"}
    assert outcomes.count("ok/ok") >= 25
    # whoever met a close was on a connection that had answered, and the next one had a new connection
    assert all(b == "ok/ok" for a, b in pairwise(outcomes) if a != "ok/ok")


async def test_a_close_that_was_there_when_the_loop_last_looked_costs_no_call() -> None:
    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)

    with blocking(play) as port:
        caller = Caller(port)
        for k in range(20):
            assert (await caller.call())[0] == "ok/ok"
            while caller.wire.counts.closed_idle == k:
                await asyncio.sleep(0.001)
        caller.close()


async def test_a_first_request_is_never_stale() -> None:
    """A connection that has not answered before was not closed for its age."""

    def play(connection: socket.socket, number: int) -> None:
        reset(connection)

    with blocking(play) as port:
        caller = Caller(port)
        for _ in range(10):
            assert (await caller.call())[0] in ("connection/reset", "connection/closed")
        caller.close()


# what is heard


@pytest.mark.parametrize("status", [429, 413])
async def test_a_refusal_of_six_megabytes_that_were_never_read_is_heard_each_time(status: int) -> None:
    refusal = b"HTTP/1.1 %d No\r\nContent-Length: 7\r\n\r\nrefused" % status

    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)
        connection.recv(100)
        connection.sendall(refusal)

    with blocking(play) as port:
        caller = Caller(port)
        for _ in range(30):
            assert (await caller.call())[0] == "ok/ok"
            caller.expect()
            caller.invoker.invoke(LARGE, monotonic_ns())
            _, facts, _, body = await caller.told
            assert (facts.outcome, facts.status, body) == (Outcome.OK, status, b"refused")
        caller.close()


async def test_an_answer_to_a_request_that_can_no_longer_be_written_is_read_first() -> None:
    """It is there, and a reset behind it, before the loop looks."""

    def play(connection: socket.socket, number: int) -> None:
        connection.recv(100)
        connection.sendall(OK)
        reset(connection)

    with blocking(play) as port:
        caller = Caller(port)
        await caller.invoker.open()
        caller.expect()
        caller.invoker.invoke(LARGE, monotonic_ns())
        time.sleep(0.03)
        _, facts, _, _ = await caller.told
        assert facts.outcome is Outcome.OK
        caller.close()


async def test_a_reset_after_half_an_answer_is_a_reset() -> None:
    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK if number else OK[:20])
        if not number:
            reset(connection)

    with blocking(play) as port:
        caller = Caller(port)
        assert (await caller.call())[0] == "connection/reset"
        assert (await caller.call())[0] == "ok/ok"
        caller.close()


async def test_a_server_that_answers_before_it_reads_is_heard_and_its_connection_goes_on() -> None:
    def play(connection: socket.socket, number: int) -> None:
        connection.sendall(OK)
        gone(connection)

    with blocking(play) as port:
        caller = Caller(port)
        outcome, service_ms, _, body = await caller.call()
        assert (outcome, body) == ("ok/ok", b"{}")
        assert 0 <= service_ms < 1000
        caller.close()


async def test_a_server_that_ends_its_side_with_the_answer_and_reads_on_gets_no_second_request() -> None:
    got: list[bytes] = []

    def play(connection: socket.socket, number: int) -> None:
        got.append(request(connection))
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_WR)
        got.append(request(connection))

    with blocking(play) as port:
        caller = Caller(port)
        for _ in range(3):
            assert (await caller.call())[0] == "ok/ok"
            await asyncio.sleep(0.005)
        caller.close()
    assert [bool(each) for each in got].count(True) == 3


async def test_a_server_that_ends_its_side_first_has_closed() -> None:
    def play(connection: socket.socket, number: int) -> None:
        connection.shutdown(socket.SHUT_WR)
        gone(connection)

    with blocking(play) as port:
        caller = Caller(port)
        assert (await caller.call())[0] == "connection/closed"
        caller.close()


async def test_a_server_that_ends_its_side_early_in_a_large_request_and_answers_nothing_has_closed() -> None:
    def play(connection: socket.socket, number: int) -> None:
        connection.recv(100)
        connection.shutdown(socket.SHUT_WR)
        gone(connection)

    with blocking(play) as port:
        caller = Caller(port)
        assert (await caller.call(LARGE))[0] == "connection/closed"
        caller.close()


async def test_a_server_that_hears_no_more_but_answers_is_heard() -> None:
    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.shutdown(socket.SHUT_RD)
        connection.sendall(OK)
        time.sleep(0.02)

    with blocking(play) as port:
        caller = Caller(port)
        assert (await caller.call())[0] == "ok/ok"
        caller.close()


# what does not fit


async def test_a_peer_that_stops_reading_a_large_request_is_a_timeout_and_costs_no_cpu() -> None:
    over = threading.Event()

    def play(connection: socket.socket, number: int) -> None:
        connection.recv(100)
        over.wait(10)

    with blocking(play) as port:
        caller = Caller(port, timeout=Timeout(2000 * MS, 300 * MS, 300 * MS))
        await caller.invoker.open()
        before = time.process_time()
        outcome, service_ms, *_ = await caller.call(LARGE)
        spent = time.process_time() - before
        caller.close()
        over.set()
    assert outcome in ("timeout/first_byte", "timeout/total")
    assert service_ms == pytest.approx(300)
    assert spent < 0.1


async def test_a_large_request_to_a_peer_that_reads_little_at_a_time_arrives_as_it_was_and_costs_little() -> None:
    got: list[bytes] = []

    def play(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        seen = 0
        while seen < len(LARGE):
            got.append(connection.recv(16_384))
            seen += len(got[-1])
            time.sleep(0.0002)
        connection.sendall(OK)
        gone(connection)

    with blocking(play) as port:
        caller = Caller(port, timeout=Timeout(20_000 * MS, 20_000 * MS, 20_000 * MS))
        before = time.thread_time()
        assert (await caller.call(LARGE))[0] == "ok/ok"
        spent = time.thread_time() - before
        caller.close()
    assert b"".join(got) == LARGE
    assert spent < 0.3


@pytest.mark.parametrize("size", [65_536, 3_000_000])
async def test_large_answers_come_whole_and_leave_the_connection_for_the_next(size: int) -> None:
    body = random.Random(size).randbytes(size)

    def play(connection: socket.socket, number: int) -> None:
        while request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body)

    with blocking(play) as port:
        caller = Caller(port)
        for _ in range(3):
            outcome, _, _, got = await caller.call()
            assert (outcome, got == body) == ("ok/ok", True)
        caller.close()
    assert caller.wire.counts.opened == 1


# who comes to harm


class Again(Told):
    """Calls again from within the end of a call, as a worker does."""

    def __init__(self, wire: Wire, calls: int) -> None:
        self.invoker = HttpInvoker(wire, self)
        self.left = calls
        self.ends: list[str] = []
        self.over = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        self.invoker.invoke(REQUEST, monotonic_ns())

    def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        assert connect_ns >= 0
        assert arrived_ns <= read_ns
        self.ends.append(f"{facts.outcome.value}/{facts.reason}")
        self.left -= 1
        if self.left:
            self.begin()
        else:
            self.over.set_result(None)


def wire_to(port: int, timeout: Timeout = TIMEOUT, **changed: Any) -> Wire:
    said: dict[str, Any] = {
        "connection": Connection,
        "wanted": frozenset(),
        "keep": 100,
        "classify": lambda answer: Facts(Outcome.OK, "ok", answer.status),
        "fresh": False,
        "bodiless": False,
    }
    return Wire(asyncio.get_running_loop(), [Address("127.0.0.1", port, None, None)], timeout, **(said | changed))


async def test_in_a_storm_of_closing_connections_every_call_ends_once_and_gets_its_own_answer() -> None:
    """Numbers of sockets are taken again at once, by connections whose turn is still to come."""
    draw = random.Random(1)
    fates = [draw.choice(["ok", "ok", "close", "closing", "reset", "half", "mute"]) for _ in range(5000)]

    def play(connection: socket.socket, number: int) -> None:
        for k in range(20):
            if not request(connection):
                return
            match fates[(number * 20 + k) % len(fates)]:
                case "ok":
                    connection.sendall(OK)
                case "closing":
                    connection.sendall(CLOSING)
                    return
                case "close":
                    connection.sendall(OK)
                    return
                case "reset":
                    reset(connection)
                    return
                case "half":
                    connection.sendall(OK[:30])
                    return
                case "mute":
                    return

    with blocking(play) as port:
        wire = wire_to(port)
        callers = [Again(wire, 20) for _ in range(32)]
        for caller in callers:
            caller.begin()
        await asyncio.wait_for(asyncio.gather(*(caller.over for caller in callers)), 20)
        for caller in callers:
            caller.invoker.close()
        wire.close()
    ends = [end for caller in callers for end in caller.ends]
    assert len(ends) == 32 * 20
    allowed = {"ok/ok", "connection/closed", "connection/closed_early", "connection/reset", "connection/stale"}
    assert set(ends) <= allowed
    assert ends.count("ok/ok") > 200
    assert wire.counts.failed == 0


async def test_what_fails_at_once_is_never_told_within_the_call_however_often_it_is_called_from_there() -> None:
    wire = wire_to(1)
    caller = Again(wire, 100)
    caller.begin()
    assert caller.ends == []
    await asyncio.wait_for(caller.over, 5)
    assert set(caller.ends) == {"connection/refused"}
    caller.invoker.close()
    wire.close()


@pytest.mark.parametrize("how", ["abandon", "close"])
@pytest.mark.parametrize("ending", [OK, CLOSING, OK[:20], b"garbage\r\n\r\n"])
async def test_whoever_gives_up_within_the_end_of_a_call_has_given_up(how: str, ending: bytes) -> None:
    class Quits(Again):
        def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
            super().ended(arrived_ns, read_ns, facts, connect_ns, body)
            getattr(self.invoker, how)()

    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(ending)
        if ending is OK:
            gone(connection)

    with blocking(play) as port:
        wire = wire_to(port)
        caller = Quits(wire, 1)
        caller.begin()
        await asyncio.wait_for(caller.over, 5)
        await asyncio.sleep(0.01)
        assert len(caller.ends) == 1
        wire.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def files_are_closed(left: int) -> None:
    """Wait until no more than that are open: the server's side takes a moment."""
    async with asyncio.timeout(5):
        while open_files() > left:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("after_s", [0, 0.002])
async def test_a_call_given_up_while_it_connects_is_told_nothing_and_leaves_no_socket(after_s: float) -> None:
    with blocking(lambda connection, number: gone(connection)) as port:
        before = open_files()
        wire = wire_to(port)
        callers = [Again(wire, 1) for _ in range(20)]
        for caller in callers:
            caller.begin()
        await asyncio.sleep(after_s)
        for caller in callers:
            caller.invoker.close()
        await asyncio.sleep(0.02)
        assert [caller.ends for caller in callers] == [[]] * 20
        wire.close()
        await files_are_closed(before)


class Full:
    """A Poll that has no room."""

    def add(self, watched: object, events: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def remove(self, watched: object) -> None:
        pass


async def test_opening_ahead_that_fails_while_a_call_waits_for_it_is_that_calls_failure() -> None:
    wire = wire_to(1)
    poll, wire.poll = wire.poll, cast(Poll, Full())
    caller = Again(wire, 1)
    opening = asyncio.create_task(caller.invoker.open())
    asyncio.get_running_loop().call_soon(caller.begin)  # before it is told that it failed
    await asyncio.wait_for(caller.over, 5)
    await opening
    assert caller.ends == ["connection/local_limit"]
    assert wire.counts.failed == 1
    caller.invoker.close()
    wire.poll = poll
    wire.close()


async def test_a_wire_closed_with_calls_in_flight_lets_them_be_given_up() -> None:
    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        gone(connection)

    with blocking(play) as port:
        wire = wire_to(port)
        callers = [Again(wire, 1) for _ in range(3)]
        for caller in callers:
            caller.begin()
        await asyncio.sleep(0.02)
        wire.close()
        for caller in callers:
            caller.invoker.close()
        assert [caller.ends for caller in callers] == [[], [], []]


async def test_a_wire_closed_within_the_end_of_a_call_tells_nobody_any_more() -> None:
    class Ends(Again):
        def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
            super().ended(arrived_ns, read_ns, facts, connect_ns, body)
            wire.close()

    def play(connection: socket.socket, number: int) -> None:
        request(connection)
        connection.sendall(OK)
        gone(connection)

    with blocking(play) as port:
        wire = wire_to(port)
        callers = [Ends(wire, 1) for _ in range(4)]
        for caller in callers:
            await caller.invoker.open()
        for caller in callers:
            caller.begin()
        time.sleep(0.03)  # all four are answered, and none has been told
        await asyncio.sleep(0.02)
        assert sum(len(caller.ends) for caller in callers) == 1
        for caller in callers:
            caller.invoker.close()


async def test_a_fault_of_ours_in_judging_an_answer_is_the_loops_to_report_and_harms_no_other_call() -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))

    def classify(answer: Answer) -> Facts:
        if answer.status == 500:
            raise ValueError("a bug")
        return Facts(Outcome.OK, "ok", answer.status)

    def play(connection: socket.socket, number: int) -> None:
        while request(connection):
            connection.sendall(OK if number else b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")

    with blocking(play) as port:
        wire = wire_to(port, Timeout(2000 * MS, 100 * MS, 100 * MS), classify=classify)
        bad, good = Again(wire, 1), Again(wire, 20)
        await bad.invoker.open()
        bad.begin()
        good.begin()
        await asyncio.gather(bad.over, good.over)
        for caller in (bad, good):
            caller.invoker.close()
        wire.close()
    assert [str(each) for each in reported] == ["a bug"]
    assert good.ends == ["ok/ok"] * 20
    assert bad.ends[0].startswith("timeout/")


async def test_a_socket_that_cannot_be_watched_is_a_limit_of_this_machine() -> None:
    """Linux has a limit of its own for that (max_user_watches)."""
    with blocking(lambda connection, number: gone(connection)) as port:
        wire = wire_to(port)
        poll, wire.poll = wire.poll, cast(Poll, Full())
        caller = Again(wire, 1)
        caller.begin()
        await asyncio.wait_for(caller.over, 5)
        caller.invoker.close()
        wire.poll = poll
        wire.close()
    assert caller.ends == ["connection/local_limit"]


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_calls_go_over_ipv6_as_well() -> None:
    def play(connection: socket.socket, number: int) -> None:
        while request(connection):
            connection.sendall(OK)

    try:
        serving = blocking(play, host="::1")
        port = serving.__enter__()
    except OSError:
        pytest.skip("no IPv6 on loopback")
    caller = Caller(port, host="::1")
    for _ in range(2):
        assert (await caller.call())[0] == "ok/ok"
    assert caller.wire.inbox.unstamped == 0
    caller.close()
    serving.__exit__(None, None, None)
