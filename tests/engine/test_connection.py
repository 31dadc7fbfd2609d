from __future__ import annotations

import asyncio
import gc
import os
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509

from loadgen.engine.address import Address, tls_context
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.connection import Connection, HttpInvoker, Wire
from loadgen.engine.invoker import Caller as Told
from loadgen.engine.tls import TlsConnection
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import UNSENT, Outcome
from loadgen.targets.port import Classify, Timeout, Tls
from tests.servers.certificate import make_certificate, make_chain
from tests.servers.ports import free_port
from tests.servers.scripted import OK, Peer, Server, answer_all, serving

MS = 1_000_000
REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
TIMEOUT = Timeout(2000 * MS, 2000 * MS, 2000 * MS)


class Caller(Told):
    """Invokes and waits for the end."""

    def __init__(
        self,
        port: int,
        *,
        timeout: Timeout = TIMEOUT,
        fresh: bool = False,
        tls: Tls | None = None,
        wanted: frozenset[bytes] = frozenset(),
        most: int | None = None,
        host: str = "127.0.0.1",
        classify: Classify = lambda response: Facts(Outcome.OK, "ok", response.status),
    ) -> None:
        self.wire = Wire(
            asyncio.get_running_loop(),
            [Address(host, port, None if tls is None else tls_context(tls), "localhost")],
            timeout,
            connection=Connection if tls is None else TlsConnection,
            wanted=wanted,
            keep=1 << 24,
            most=most,
            classify=classify,
            fresh=fresh,
            bodiless=False,
        )
        self.read_ns = 0
        self.expect()
        self.invoker = HttpInvoker(self.wire, self)

    def expect(self) -> None:
        """Let ``told`` be the next end of an invocation."""
        self.told: asyncio.Future[tuple[int, Facts, int, bytes]] = asyncio.get_running_loop().create_future()

    def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        assert not self.told.done(), "an invocation ended twice"
        self.read_ns = read_ns
        self.told.set_result((arrived_ns, facts, connect_ns, body))

    async def call(self, request: bytes = REQUEST) -> tuple[str, float, int, bytes]:
        """outcome/reason, service time in ms, connect ns, body."""
        self.expect()
        started = self.invoker.invoke(request, monotonic_ns())
        assert not self.told.done(), "an invocation ended within invoke"
        ended, facts, connect_ns, body = await self.told
        return f"{facts.outcome.value}/{facts.reason}", (ended - started) / MS, connect_ns, body

    def close(self) -> None:
        self.invoker.close()
        self.wire.close()


Play = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def calling(
    play: Play, *, timeout: Timeout = TIMEOUT, fresh: bool = False
) -> AsyncIterator[tuple[Caller, Server]]:
    async with serving(play) as server:
        caller = Caller(server.port, timeout=timeout, fresh=fresh)
        try:
            yield caller, server
        finally:
            caller.close()


async def test_a_connection_is_reused_and_only_the_first_call_pays_for_it() -> None:
    async with calling(answer_all) as (caller, server):
        first = await caller.call()
        second = await caller.call()
    assert first[0] == second[0] == "ok/ok"
    assert first[2] > 0
    assert second[2] == 0
    assert len(server.peers) == 1
    assert (caller.wire.counts.opened, caller.wire.counts.reused) == (1, 1)


async def test_fresh_connections_are_opened_for_every_call() -> None:
    async with calling(answer_all, fresh=True) as (caller, server):
        for _ in range(3):
            assert (await caller.call())[2] > 0
    assert len(server.peers) == 3


async def test_connection_close_is_obeyed() -> None:
    async def play(peer: Peer) -> None:
        await answer_all(peer, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    async with calling(play) as (caller, server):
        for _ in range(3):
            assert (await caller.call())[0] == "ok/ok"
    assert len(server.peers) == 3


async def test_a_connection_closed_while_idle_is_replaced_before_use() -> None:
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        peer.close()

    async with calling(play) as (caller, _):
        for _ in range(3):
            assert (await caller.call())[0] == "ok/ok"
            await asyncio.sleep(0.05)
    assert caller.wire.counts.closed_idle == 3


async def test_a_connection_that_dies_on_reuse_is_stale_and_nothing_is_sent_twice() -> None:
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        peer.reset()

    async with calling(play) as (caller, server):
        assert (await caller.call())[0] == "ok/ok"
        assert (await caller.call())[0] == "connection/stale"
        assert len(server.requests) == 2
        assert (await caller.call())[0] == "ok/ok"


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",), b"hello"),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 5\r\n\r\nhel", b"lo"), b"hello"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", b"llo\r\n0\r\n\r\n"), b"hello"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), b""),
    ],
)
async def test_answers_are_read_however_they_are_framed_and_cut(pieces: tuple[bytes, ...], body: bytes) -> None:
    async def play(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(*pieces)

    async with calling(play) as (caller, server):
        for _ in range(2):
            result = await caller.call()
            assert result[0] == "ok/ok"
            assert result[3] == body
    assert len(server.peers) == 1


async def test_an_answer_that_ends_with_the_connection_is_complete_when_it_closes() -> None:
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")

    async with calling(play) as (caller, server):
        for _ in range(2):
            result = await caller.call()
            assert result[0] == "ok/ok"
            assert result[3] == b"hello"
    assert len(server.peers) == 2


async def test_bodies_of_six_megabytes_go_both_ways() -> None:
    size = 6 * 1024 * 1024

    async def play(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size)

    async with calling(play) as (caller, server):
        result = await caller.call(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    assert result[0] == "ok/ok"
    assert result[3] == b"y" * size
    assert server.requests[0].endswith(b"x" * size)


async def _reset(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def _close(peer: Peer) -> None:
    await peer.request()


async def _half(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf")


async def _half_head(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")


async def _garbage(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"220 smtp ready\r\n")
    await asyncio.sleep(5)


async def _malformed(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n")
    await asyncio.sleep(5)


@pytest.mark.parametrize(
    ("play", "expected"),
    [
        (_reset, "connection/reset"),
        (_close, "connection/closed"),
        (_half, "connection/closed_early"),
        (_half_head, "connection/closed_early"),
        (_garbage, "protocol/not_http"),
        (_malformed, "protocol/bad_header"),
    ],
)
async def test_a_broken_answer_is_an_outcome_and_the_next_call_opens_a_new_connection(
    play: Play, expected: str
) -> None:
    async def first_broken(peer: Peer) -> None:
        await (play(peer) if peer.number == 0 else answer_all(peer))

    async with calling(first_broken) as (caller, server):
        assert (await caller.call())[0] == expected
        assert (await caller.call())[0] == "ok/ok"
    assert len(server.peers) == 2


async def test_a_refused_connection_is_an_outcome() -> None:
    caller = Caller(free_port())
    result = await caller.call()
    assert result[0] == "connection/refused"
    assert caller.wire.counts.failed == 1
    caller.close()


async def test_bytes_that_come_before_a_connection_is_in_use_close_it() -> None:
    closed = asyncio.Event()

    async def play(peer: Peer) -> None:
        await peer.send(OK)
        await peer.gone()
        closed.set()

    async with calling(play) as (caller, _):
        await caller.invoker.open()
        async with asyncio.timeout(5):
            await closed.wait()


async def test_a_connection_that_was_answered_on_before_all_was_sent_is_not_used_again() -> None:
    """The rest of the request would stand before the next one."""

    async def first_unread(peer: Peer) -> None:
        if peer.number:
            await answer_all(peer)
        cast(asyncio.Transport, peer.writer.transport).pause_reading()
        await asyncio.sleep(0.2)
        await peer.send(OK)
        await asyncio.sleep(10)

    size = 32 * 1024 * 1024
    async with calling(first_unread, timeout=Timeout(5000 * MS, 5000 * MS, 5000 * MS)) as (caller, server):
        large = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
        assert (await caller.call(large))[0] == "ok/ok"
        assert (await caller.call())[0] == "ok/ok"
    assert len(server.peers) == 2


async def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK, b"HTTP/1.1 200 OK\r\n")
        await answer_all(peer)

    async with calling(play) as (caller, server):
        assert (await caller.call())[0] == "ok/ok"
        await asyncio.sleep(0.1)
        assert (await caller.call())[0] == "ok/ok"
    assert len(server.peers) == 2


async def _silent(peer: Peer) -> None:
    await peer.request()
    await asyncio.sleep(10)


async def _trickle(peer: Peer) -> None:
    await peer.request()
    for _ in range(100):
        await peer.send(b"HTTP/1.1 200 OK\r\n"[:1])
        break
    await peer.send(b"TTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(500):
        await peer.send(b"x")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("play", "timeout", "expected", "ms"),
    [
        (_silent, Timeout(2000 * MS, 100 * MS, 2000 * MS), "timeout/first_byte", 100),
        (_silent, Timeout(2000 * MS, 2000 * MS, 150 * MS), "timeout/total", 150),
        (_trickle, Timeout(2000 * MS, 100 * MS, 300 * MS), "timeout/total", 300),
    ],
)
async def test_timeouts_are_outcomes_at_the_time_they_say(
    play: Play, timeout: Timeout, expected: str, ms: float
) -> None:
    async with calling(play, timeout=timeout) as (caller, _):
        for _ in range(2):
            outcome, service_ms, _, _ = await caller.call()
            assert outcome == expected
            assert ms <= service_ms < ms + 60


async def test_a_connection_that_is_never_accepted_times_out_at_connect() -> None:
    # a listening socket whose backlog is full drops further SYNs

    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        caller = Caller(full.getsockname()[1], timeout=Timeout(200 * MS, 2000 * MS, 2000 * MS))
        outcome, service_ms, _, _ = await caller.call()
        caller.close()
        for filler in fillers:
            filler.close()
    assert outcome == "timeout/connect"
    assert 200 <= service_ms < 300


async def test_a_call_after_one_that_was_read_slowly_is_given_up_at_its_own_first_byte_timeout() -> None:
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK[:-1], OK[-1:], pause_s=0.3)
        await peer.request()
        await asyncio.sleep(10)

    async with calling(play, timeout=Timeout(2000 * MS, 150 * MS, 2000 * MS)) as (caller, _):
        assert (await caller.call())[0] == "ok/ok"
        outcome, service_ms, _, _ = await caller.call()
    assert outcome == "timeout/first_byte"
    assert service_ms < 1000


async def test_a_slow_call_after_many_fast_ones_still_gets_its_whole_time() -> None:
    """The timer of a worker belongs to no call in particular."""

    async def play(peer: Peer) -> None:
        for _ in range(5):
            await peer.request()
            await peer.send(OK)
        await peer.request()
        await asyncio.sleep(0.25)
        await peer.send(OK)

    timeout = Timeout(300 * MS, 300 * MS, 300 * MS)
    async with calling(play, timeout=timeout) as (caller, _):
        for _ in range(5):
            await caller.call()
            await asyncio.sleep(0.04)
        outcome, service_ms, _, _ = await caller.call()
    assert outcome == "ok/ok"
    assert service_ms >= 240


async def test_abandoning_a_call_closes_its_connection_and_reports_nothing() -> None:
    async with calling(_silent) as (caller, server):
        caller.invoker.invoke(REQUEST, time.monotonic_ns())
        await asyncio.sleep(0.1)
        caller.invoker.abandon()
        await asyncio.sleep(0.05)
        assert not caller.told.done()
        assert len(server.peers) == 1


async def test_a_connection_opened_ahead_costs_the_first_call_nothing() -> None:
    async with calling(answer_all) as (caller, _):
        await caller.invoker.open()
        assert (await caller.call())[2] == 0
    assert (caller.wire.counts.opened, caller.wire.counts.reused) == (1, 0)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path)


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize(
    ("verify", "trusted", "expected"),
    [(True, True, "ok/ok"), (True, False, "connection/tls_certificate"), (False, False, "ok/ok")],
)
async def test_the_servers_certificate_is_checked_as_the_scenario_says(
    certificate: tuple[Path, Path], verify: bool, trusted: bool, expected: str
) -> None:
    async with serving(answer_all, tls=server_context(certificate)) as server:
        caller = Caller(server.port, tls=Tls(verify, str(certificate[0]) if trusted else None))
        first, second = await caller.call(), await caller.call()
        caller.close()
    assert first[0] == second[0] == expected


ELSEWHERE = (x509.DNSName("elsewhere.example"),)


@pytest.mark.parametrize(
    ("made", "ca", "said"),
    [
        ({"key_usage": True}, "root", None),
        ({"key_usage": False}, "root", None),  # refused by strict verification, which Python has from 3.13 on
        ({"key_usage": False}, "intermediate", None),  # the chain ends where the user trusts it, as with curl
        ({"key_usage": False}, "certificate", None),  # the server's own
        ({}, None, "self-signed certificate in certificate chain|unable to get local issuer certificate"),
        ({"days": (-3, -1)}, "root", "certificate has expired"),
        ({"days": (1, 3)}, "root", "certificate is not yet valid"),
        ({"names": ELSEWHERE}, "root", "(?i)hostname mismatch.*"),
    ],
)
async def test_certificates_are_checked_with_one_strictness_and_openssl_says_why(
    tmp_path: Path, made: dict[str, Any], ca: str | None, said: str | None
) -> None:
    """On every version of Python, and by every transport."""
    chain = make_chain(tmp_path, **made)
    trusted = None if ca is None else str(getattr(chain, ca))
    async with serving(answer_all, tls=server_context((chain.certificate, chain.key))) as server:
        caller = Caller(server.port, tls=Tls(True, trusted))
        outcome, _, _, body = await caller.call()
        caller.close()
    if said is None:
        assert outcome == "ok/ok"
    else:
        assert outcome == "connection/tls_certificate"
        assert re.fullmatch(said, body.decode())


async def test_another_authoritys_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    chain, other = make_chain(tmp_path), make_chain(tmp_path / "other")
    async with serving(answer_all, tls=server_context((chain.certificate, chain.key))) as server:
        caller = Caller(server.port, tls=Tls(True, str(other.root)))
        outcome, _, _, body = await caller.call()
        caller.close()
    assert (outcome, bool(body)) == ("connection/tls_certificate", True)


async def test_large_answers_come_whole_through_tls(certificate: tuple[Path, Path]) -> None:
    size = 3_000_000

    async def play(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size)

    async with serving(play, tls=server_context(certificate)) as server:
        caller = Caller(server.port, tls=Tls(True, str(certificate[0])))
        for _ in range(2):
            outcome, _, _, body = await caller.call()
            assert outcome == "ok/ok"
            assert body == b"y" * size
        caller.close()


async def test_a_server_that_speaks_no_tls_is_an_outcome() -> None:
    async def play(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    async with serving(play) as server:
        caller = Caller(server.port, tls=Tls(True, None))
        outcome, _, _, _ = await caller.call()
        caller.close()
    assert outcome == "connection/tls"


async def test_tls_that_breaks_after_the_request_was_read_is_told_apart_from_a_connection_that_never_stood(
    certificate: tuple[Path, Path],
) -> None:
    async def play(peer: Peer) -> None:
        await peer.request()
        record = b"\x17\x03\x03\x00\x20" + b"x" * 32  # application data under no key of theirs
        os.write(peer.writer.get_extra_info("socket").fileno(), record)
        await asyncio.sleep(1)

    async with serving(play, tls=server_context(certificate)) as server:
        caller = Caller(server.port, tls=Tls(True, str(certificate[0])))
        outcome, _, _, _ = await caller.call()
        caller.close()
        assert len(server.requests) == 1
    assert outcome == "connection/tls_broken"
    assert outcome not in UNSENT


async def _never_shakes_hands(peer: Peer) -> None:
    await asyncio.sleep(30)


async def test_a_call_that_times_out_while_connecting_has_spent_all_its_time_on_that() -> None:
    async with serving(_never_shakes_hands) as server:
        caller = Caller(server.port, timeout=Timeout(200 * MS, 2000 * MS, 2000 * MS), tls=Tls(False, None))
        outcome, service_ms, connect_ns, _ = await caller.call()
        caller.close()
    assert outcome == "timeout/connect"
    assert connect_ns == pytest.approx(service_ms * MS)


async def test_opening_a_connection_ahead_takes_no_longer_than_the_connect_timeout() -> None:
    async with serving(_never_shakes_hands) as server:
        caller = Caller(server.port, timeout=Timeout(200 * MS, 2000 * MS, 2000 * MS), tls=Tls(False, None))
        await asyncio.wait_for(caller.invoker.open(), 5)
        caller.close()
    assert caller.wire.counts.failed == 1


async def test_closed_tls_connections_leave_nothing_for_a_garbage_collector_that_is_off(
    certificate: tuple[Path, Path],
) -> None:
    async with serving(answer_all, tls=server_context(certificate)) as server:
        caller = Caller(server.port, fresh=True, tls=Tls(False, None))
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                assert (await caller.call())[0] == "ok/ok"
            await asyncio.sleep(0.1)
            left = sum(isinstance(thing, Connection) for thing in gc.get_objects())
        finally:
            gc.enable()
        caller.close()
    assert left == 0
