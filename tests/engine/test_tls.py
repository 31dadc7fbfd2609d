"""TLS as servers may speak it, over sockets that a poll watches."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.engine.clock import monotonic_ns
from loadgen.invocation.outcome import Outcome
from loadgen.targets.port import Timeout, Tls
from tests.engine.test_bad_peers import CLOSING, LARGE, Again, files_are_closed, open_files
from tests.engine.test_connection import MS, Caller, server_context
from tests.servers.blocking import blocking, gone, reset
from tests.servers.certificate import make_certificate
from tests.servers.scripted import OK
from tests.servers.sealed import OPENSSL, SealedPeer, sealed

TIMEOUT = Timeout(2000 * MS, 2000 * MS, 2000 * MS)
SHORT = Timeout(100 * MS, 500 * MS, 500 * MS)
UNDELIMITED = b"HTTP/1.1 200 OK\r\n\r\nhello"

with_openssl = pytest.mark.skipif(OPENSSL is None, reason="the ssl module's OpenSSL is no shared library")


class Setting(NamedTuple):
    """What a server needs to speak TLS of a version, and a client to trust it."""

    context: ssl.SSLContext
    version: str
    ca: str

    def caller(self, port: int, timeout: Timeout = TIMEOUT, *, fresh: bool = False) -> Caller:
        return Caller(port, timeout=timeout, tls=Tls(True, self.ca), fresh=fresh)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def setting_of(certificate: tuple[Path, Path], version: str) -> Setting:
    context = server_context(certificate)
    exact = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    context.minimum_version = context.maximum_version = exact
    return Setting(context, version, str(certificate[0]))


@pytest.fixture(params=["1.2", "1.3"])
def setting(certificate: tuple[Path, Path], request: pytest.FixtureRequest) -> Setting:
    return setting_of(certificate, request.param)


@pytest.fixture
def tls13(certificate: tuple[Path, Path]) -> Setting:
    return setting_of(certificate, "1.3")


@pytest.fixture
def tls12(certificate: tuple[Path, Path]) -> Setting:
    return setting_of(certificate, "1.2")


@contextmanager
def playing(setting: Setting, play: Callable[[SealedPeer, int], None]) -> Iterator[int]:
    with blocking(sealed(setting.context, play)) as port:
        yield port


def answering(peer: SealedPeer, answer: bytes = OK) -> None:
    while peer.request():
        peer.connection.sendall(peer.seal(answer))


# tickets, keys and the hands shaken again


@pytest.mark.parametrize("tickets", [0, 2, 8])
async def test_tickets_are_no_answer_and_cost_no_connection(tls13: Setting, tickets: int) -> None:
    tls13.context.num_tickets = tickets
    with playing(tls13, lambda peer, number: answering(peer)) as port:
        caller = tls13.caller(port)
        await caller.invoker.open()
        await asyncio.sleep(0.01)
        for _ in range(5):
            assert (await caller.call())[0] == "ok/ok"
        caller.close()
    assert (caller.wire.counts.opened, caller.wire.counts.closed_idle) == (1, 0)


@with_openssl
@pytest.mark.parametrize("requested", [True, False])
@pytest.mark.parametrize("when", ["idle", "before the answer", "within the answer", "behind the answer"])
async def test_key_updates_are_followed_and_answered(tls13: Setting, when: str, requested: bool) -> None:
    def play(peer: SealedPeer, number: int) -> None:
        for _ in range(6):
            if not peer.request():
                return
            update = peer.key_update(requested=requested) if when == "before the answer" else b""
            first = peer.seal(OK[:10])
            within = peer.key_update(requested=requested) if when == "within the answer" else b""
            rest = peer.seal(OK[10:])
            behind = peer.key_update(requested=requested) if when == "behind the answer" else b""
            peer.connection.sendall(update + first + within + rest + behind)
            if when == "idle":
                time.sleep(0.003)
                peer.connection.sendall(peer.key_update(requested=requested))

    with playing(tls13, play) as port:
        caller = tls13.caller(port)
        for _ in range(6):
            assert (await caller.call())[0] == "ok/ok"
            await asyncio.sleep(0.006)
        caller.close()
    assert caller.wire.counts.opened == 1


@with_openssl
async def test_a_key_update_leaves_a_request_that_waits_for_room_as_it_was(tls13: Setting) -> None:
    """The client's own is asked for while most of 6 MB wait for room, and there is room again when it is read."""
    got: list[bytes] = []

    def play(peer: SealedPeer, number: int) -> None:
        peer.request()
        peer.connection.sendall(peer.seal(OK))
        time.sleep(0.02)
        peer.connection.sendall(peer.key_update(requested=True))
        got.append(peer.request())
        peer.connection.sendall(peer.seal(OK))
        got.append(peer.request())
        peer.connection.sendall(peer.seal(OK))

    with playing(tls13, play) as port:
        caller = tls13.caller(port)
        assert (await caller.call())[0] == "ok/ok"
        caller.expect()
        caller.invoker.invoke(LARGE, monotonic_ns())
        await asyncio.sleep(0)
        time.sleep(0.06)
        _, facts, _, _ = await caller.told
        assert facts.outcome is Outcome.OK
        assert (await caller.call())[0] == "ok/ok"
        caller.close()
    assert got[0] == LARGE


@with_openssl
async def test_a_server_that_wants_to_shake_hands_again_delays_no_request(tls12: Setting) -> None:
    """It is refused; whether the server goes on is the server's choice, and OpenSSL's does not."""

    def play(peer: SealedPeer, number: int) -> None:
        if number:
            return answering(peer)
        peer.request()
        peer.connection.sendall(peer.seal(OK))
        time.sleep(0.005)
        peer.connection.sendall(peer.hello_request())
        time.sleep(0.03)
        return None

    with playing(tls12, play) as port:
        caller = tls12.caller(port)
        assert (await caller.call())[0] == "ok/ok"
        await asyncio.sleep(0.02)
        outcome, *_ = await caller.call()
        assert outcome.startswith("connection/")
        assert (await caller.call())[0] == "ok/ok"
        caller.close()


# ends


@pytest.mark.parametrize("together", [True, False])
async def test_an_answer_that_only_the_end_delimits_is_whole_with_a_close_notify_and_cut_without(
    setting: Setting, together: bool
) -> None:
    def play(peer: SealedPeer, number: int) -> None:
        peer.request()
        answer, farewell = peer.seal(UNDELIMITED), peer.farewell() if number % 2 else b""
        if together:
            peer.connection.sendall(answer + farewell)
        else:
            peer.connection.sendall(answer)
            time.sleep(0.005)
            peer.connection.sendall(farewell)

    with playing(setting, play) as port:
        caller = setting.caller(port)
        results = [await caller.call() for _ in range(4)]
        caller.close()
    assert [result[0] for result in results] == ["connection/closed_early", "ok/ok"] * 2
    assert results[1][3] == b"hello"


@pytest.mark.parametrize("together", [True, False])
async def test_a_close_notify_is_the_end_although_the_connection_stays(setting: Setting, together: bool) -> None:
    """A server may wait for the client's before it closes."""

    def play(peer: SealedPeer, number: int) -> None:
        peer.request()
        answer, farewell = peer.seal(UNDELIMITED), peer.farewell()
        peer.connection.sendall(answer + farewell if together else answer)
        if not together:
            time.sleep(0.005)
            peer.connection.sendall(farewell)
        peer.gone()

    with playing(setting, play) as port:
        caller = setting.caller(port)
        for _ in range(2):
            outcome, service_ms, _, body = await caller.call()
            assert (outcome, body) == ("ok/ok", b"hello")
            assert service_ms < 1000
        caller.close()


@pytest.mark.parametrize("together", [True, False])
async def test_no_request_goes_to_a_server_that_has_said_farewell(setting: Setting, together: bool) -> None:
    def play(peer: SealedPeer, number: int) -> None:
        peer.request()
        answer, farewell = peer.seal(OK), peer.farewell()
        peer.connection.sendall(answer + farewell if together else answer)
        if not together:
            time.sleep(0.002)
            peer.connection.sendall(farewell)
        peer.gone()

    with playing(setting, play) as port:
        caller = setting.caller(port)
        for k in range(4):
            assert (await caller.call())[0] == "ok/ok"
            while not together and caller.wire.counts.closed_idle == k:
                await asyncio.sleep(0.001)
        caller.close()
    assert caller.wire.counts.closed_idle == 4
    assert caller.wire.counts.reused == 0


async def test_a_broken_record_behind_a_part_of_an_answer_breaks_the_call_at_once(setting: Setting) -> None:
    def play(peer: SealedPeer, number: int) -> None:
        peer.request()
        broken = bytearray(peer.seal(OK))
        broken[-1] ^= 1
        peer.connection.sendall(broken)
        peer.gone()

    def play_part_first(peer: SealedPeer, number: int) -> None:
        peer.request()
        part, broken = peer.seal(OK[:20]), bytearray(peer.seal(OK[20:]))
        broken[-1] ^= 1
        peer.connection.sendall(part + broken)
        peer.gone()

    for each in (play, play_part_first):
        with playing(setting, each) as port:
            caller = setting.caller(port)
            outcome, service_ms, _, said = await caller.call()
            caller.close()
        assert outcome == "connection/tls_broken"
        assert service_ms < 1000
        assert b"BAD" in said.upper() or b"MAC" in said.upper() or not said


async def test_a_reset_after_half_an_answer_is_a_reset(setting: Setting) -> None:
    def play(peer: SealedPeer, number: int) -> None:
        peer.request()
        peer.connection.sendall(peer.seal(OK[:20]))
        reset(peer.connection)

    with playing(setting, play) as port:
        caller = setting.caller(port)
        assert (await caller.call())[0] == "connection/reset"
        caller.close()


async def test_a_refusal_of_six_megabytes_that_were_never_read_is_heard_each_time(setting: Setting) -> None:
    def play(peer: SealedPeer, number: int) -> None:
        peer.request()
        peer.connection.sendall(peer.seal(OK))
        peer.connection.recv(100)
        peer.connection.sendall(peer.seal(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"))

    with playing(setting, play) as port:
        caller = setting.caller(port)
        for _ in range(15):
            assert (await caller.call())[0] == "ok/ok"
            caller.expect()
            caller.invoker.invoke(LARGE, monotonic_ns())
            _, facts, _, _ = await caller.told
            assert (facts.outcome, facts.status) == (Outcome.OK, 413)
        caller.close()


async def test_a_server_that_dies_over_a_request_that_it_has_read_was_no_stale_connection(setting: Setting) -> None:
    def play(peer: SealedPeer, number: int) -> None:
        peer.request()
        peer.connection.sendall(peer.seal(OK))
        peer.request()
        time.sleep(0.03)

    with playing(setting, play) as port:
        caller = setting.caller(port)
        assert (await caller.call())[0] == "ok/ok"
        assert (await caller.call())[0] == "connection/closed"
        caller.close()


async def test_a_peer_that_stops_reading_a_large_request_is_a_timeout_and_costs_no_cpu(setting: Setting) -> None:
    over = threading.Event()

    def play(peer: SealedPeer, number: int) -> None:
        over.wait(10)

    with playing(setting, play) as port:
        caller = setting.caller(port, Timeout(2000 * MS, 300 * MS, 300 * MS))
        await caller.invoker.open()
        caller.expect()
        caller.invoker.invoke(LARGE, monotonic_ns())
        before = time.thread_time()
        _, facts, _, _ = await caller.told
        spent = time.thread_time() - before
        caller.close()
        over.set()
    assert facts.outcome is Outcome.TIMEOUT
    assert spent < 0.05


# shaking hands


def half_a_hello(peer: SealedPeer) -> None:
    def send_half(flight: bytes) -> None:
        peer.connection.sendall(flight[: len(flight) // 2])
        peer.connection.close()

    peer.shake(send=send_half)


async def test_hands_that_are_not_shaken_to_the_end_are_outcomes(setting: Setting) -> None:
    def garbage(connection: socket.socket, number: int) -> None:
        connection.recv(1000)
        connection.sendall(random.Random(1).randbytes(3000))
        gone(connection)

    def closes(connection: socket.socket, number: int) -> None:
        connection.recv(1000)

    def resets(connection: socket.socket, number: int) -> None:
        connection.recv(1000)
        reset(connection)

    def half(connection: socket.socket, number: int) -> None:
        half_a_hello(SealedPeer(connection, setting.context))

    def alert(connection: socket.socket, number: int) -> None:
        connection.recv(1000)
        connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")  # handshake_failure
        gone(connection)

    def silence(connection: socket.socket, number: int) -> None:
        gone(connection)

    def trickle(connection: socket.socket, number: int) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")
        for _ in range(200):
            connection.sendall(b"\x02")
            time.sleep(0.002)

    expected = {
        garbage: {"connection/tls"},
        closes: {"connection/reset"},
        resets: {"connection/reset"},
        half: {"connection/tls", "connection/reset"},
        alert: {"connection/tls"},
        silence: {"timeout/connect"},
        trickle: {"timeout/connect", "connection/tls"},
    }
    for play, outcomes in expected.items():
        with blocking(play) as port:
            caller = setting.caller(port, SHORT)
            assert (await caller.call())[0] in outcomes, play.__name__
            caller.close()


async def test_hands_are_shaken_however_the_flights_are_cut(setting: Setting) -> None:
    def play(connection: socket.socket, number: int) -> None:
        def trickle(flight: bytes) -> None:
            for at in range(0, len(flight), 97):
                connection.sendall(flight[at : at + 97])

        peer = SealedPeer(connection, setting.context)
        peer.shake(send=trickle)
        answering(peer)

    with blocking(play) as port:
        caller = setting.caller(port)
        for _ in range(3):
            assert (await caller.call())[0] == "ok/ok"
        caller.close()
    assert caller.wire.counts.opened == 1


async def test_what_comes_in_one_segment_with_the_end_of_the_handshake_is_read(tls12: Setting) -> None:
    """No poll tells of what OpenSSL has already been given."""

    def play(connection: socket.socket, number: int) -> None:
        peer = SealedPeer(connection, tls12.context)
        last = peer.shake(hold_last=True)
        connection.sendall(last + peer.seal(OK))
        peer.gone()

    with blocking(play) as port:
        caller = tls12.caller(port)
        outcome, service_ms, _, _ = await caller.call()
        caller.close()
    assert outcome == "ok/ok"
    assert service_ms < 1000


async def test_what_nobody_asked_for_closes_a_connection_that_was_opened_ahead(tls12: Setting) -> None:
    def play(connection: socket.socket, number: int) -> None:
        peer = SealedPeer(connection, tls12.context)
        last = peer.shake(hold_last=True)
        if number:
            connection.sendall(last)
            return answering(peer)
        connection.sendall(last + peer.seal(OK))
        peer.gone()
        return None

    with blocking(play) as port:
        caller = tls12.caller(port)
        await caller.invoker.open()
        assert (await caller.call())[0] == "ok/ok"
        caller.close()
    assert caller.wire.counts.opened == 2


@pytest.mark.parametrize("after_s", [0, 0.001, 0.02])
async def test_a_call_given_up_while_hands_are_shaken_leaves_no_socket(setting: Setting, after_s: float) -> None:
    with blocking(lambda connection, number: gone(connection)) as port:
        before = open_files()
        callers = [setting.caller(port) for _ in range(5)]
        for caller in callers:
            caller.invoker.invoke(b"x", monotonic_ns())
        await asyncio.sleep(after_s)
        for caller in callers:
            caller.close()
            assert not caller.told.done()
        await files_are_closed(before)


# large and odd ones


@pytest.mark.parametrize("size", [65_536, 3_000_000])
async def test_large_answers_come_whole_and_leave_the_connection_for_the_next(setting: Setting, size: int) -> None:
    body = random.Random(size).randbytes(size)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body
    with playing(setting, lambda peer, number: answering(peer, answer)) as port:
        caller = setting.caller(port)
        for _ in range(2):
            outcome, _, _, got = await caller.call()
            assert (outcome, got == body) == ("ok/ok", True)
        caller.close()
    assert caller.wire.counts.opened == 1


class Splitting(NamedTuple):
    """How an answer is made into records, and the records into what is sent at once."""

    size: int
    records: list[int]
    cuts: list[int]
    chunked: bool


splittings = st.builds(
    Splitting,
    st.one_of(st.integers(0, 300), st.integers(16_000, 70_000), st.just(300_000)),
    st.lists(st.one_of(st.integers(1, 40), st.integers(1, 16_384), st.integers(16_000, 50_000)), max_size=8),
    st.lists(st.integers(1, 400_000), max_size=6),
    st.booleans(),
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in (*pieces, data) if piece]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@settings(max_examples=15)
@given(st.lists(splittings, min_size=1, max_size=4))
def test_an_answer_reads_the_same_however_it_is_sealed_and_cut(
    certificate: tuple[Path, Path], version: str, splits: list[Splitting]
) -> None:
    setting = setting_of(certificate, version)
    bodies = [random.Random(split.size).randbytes(split.size) for split in splits]

    def play(peer: SealedPeer, number: int) -> None:
        for split, body in zip(splits, bodies, strict=True):
            peer.request()
            if split.chunked:
                text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                text += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in cut(body, [1, 1000, 9]))
                text += b"0\r\n\r\n"
            else:
                text = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            for piece in cut(peer.seal(*cut(text, split.records)), split.cuts):
                peer.connection.sendall(piece)
                time.sleep(0.0005)
        peer.gone()

    async def call_all() -> None:
        caller = setting.caller(port)
        for body in bodies:
            outcome, _, _, got = await caller.call()
            assert (outcome, got == body) == ("ok/ok", True)
        caller.close()
        assert caller.wire.counts.opened == 1

    with playing(setting, play) as port:
        asyncio.run(call_all())


async def test_in_a_storm_of_closing_connections_every_call_ends_once(setting: Setting) -> None:
    """Many connections on one wire, which read into one buffer."""
    draw = random.Random(2)
    fates = [draw.choice(["ok", "ok", "ok", "farewell", "close", "closing", "reset", "half"]) for _ in range(1000)]

    def play(peer: SealedPeer, number: int) -> None:
        for k in range(10):
            if not peer.request():
                return
            match fates[(number * 10 + k) % len(fates)]:
                case "ok":
                    peer.connection.sendall(peer.seal(OK[:17], OK[17:]))
                case "farewell":
                    peer.connection.sendall(peer.seal(OK) + peer.farewell())
                    peer.gone()
                    return
                case "close":
                    peer.connection.sendall(peer.seal(OK))
                    return
                case "closing":
                    peer.connection.sendall(peer.seal(CLOSING))
                    return
                case "reset":
                    reset(peer.connection)
                    return
                case _:
                    peer.connection.sendall(peer.seal(OK)[:-9])
                    return

    with playing(setting, play) as port:
        wire = setting.caller(port).wire
        callers = [Again(wire, 10) for _ in range(12)]
        for caller in callers:
            caller.begin()
        await asyncio.wait_for(asyncio.gather(*(caller.over for caller in callers)), 20)
        for caller in callers:
            caller.invoker.close()
        wire.close()
    ends = [end for caller in callers for end in caller.ends]
    assert len(ends) == 120
    allowed = {"ok/ok", "connection/closed", "connection/closed_early", "connection/reset", "connection/stale"}
    assert set(ends) <= allowed
    assert ends.count("ok/ok") > 40
