"""What is read off a socket is what the response reader makes of the same bytes, for answers made at random."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given

from loadgen.engine.address import Address, tls_context
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.connection import Connection, HttpInvoker
from loadgen.engine.invoker import Caller
from loadgen.engine.loop import new_event_loop
from loadgen.engine.tls import TlsConnection
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.protocol.quick import Quick
from loadgen.targets.functiongraph.protocol.response import classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from loadgen.targets.port import Answer, Tls
from loadgen.targets.quick import QuickReader
from tests.engine.test_bad_peers import wire_to
from tests.engine.test_connection import REQUEST, server_context
from tests.fuzz.laws import KEEP, WANTED, cut, read
from tests.fuzz.seeds import SEEDS
from tests.fuzz.test_laws import cuts, texts
from tests.servers.blocking import blocking, request
from tests.servers.certificate import make_certificate
from tests.servers.sealed import SealedPeer


def classify(answer: Answer) -> Facts:
    return classify_function(answer.status, answer.headers, answer.body, ResponseVersion.V0)


def said_of(pieces: list[bytes]) -> Facts:
    """What the reader and the classifier say of pieces, and of the end behind them."""
    found = read(pieces)
    if found.response is not None:
        return classify(found.response)
    if found.reason is None:
        return Facts(Outcome.CONNECTION, "closed", 0)
    return Facts(Outcome.CONNECTION if found.reason == "closed_early" else Outcome.PROTOCOL, found.reason, 0)


class Script:
    """A server that sends whatever is next, and closes."""

    def __init__(self, certificate: tuple[Path, Path] | None) -> None:
        self.pieces: list[bytes] = []
        self.certificate = certificate
        self.context = None if certificate is None else server_context(certificate)
        self.connection = Connection if certificate is None else TlsConnection

    def play(self, connection: socket.socket, number: int) -> None:
        if self.context is None:
            request(connection)
            for piece in self.pieces:
                connection.sendall(piece)
                time.sleep(0.0003)
        else:
            peer = SealedPeer(connection, self.context)
            peer.shake()
            peer.request()
            for piece in self.pieces:
                connection.sendall(peer.seal(piece))
            connection.sendall(peer.farewell())

    async def called(self, port: int, quick: type[QuickReader] | None) -> Facts:
        """How a call ends."""
        wire = wire_to(port, wanted=WANTED, keep=KEEP, classify=classify, quick=quick, connection=self.connection)
        if self.certificate is not None:
            context = tls_context(Tls(True, str(self.certificate[0])))
            wire.addresses = cycle([Address("127.0.0.1", port, context, "localhost")])
        once = Once()
        invoker = HttpInvoker(wire, once)
        invoker.invoke(REQUEST, monotonic_ns())
        await once.over.wait()
        invoker.close()
        wire.close()
        (facts,) = once.told
        return facts


class Once(Caller):
    """Notes how a call ended."""

    def __init__(self) -> None:
        self.told: list[Facts] = []
        self.over = asyncio.Event()

    def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        self.told.append(facts)
        self.over.set()


@pytest.fixture(scope="module", params=["plain", "tls"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Script, int]]:
    certificate = None if request.param == "plain" else make_certificate(tmp_path_factory.mktemp("certificate"))
    script = Script(certificate)
    with blocking(script.play) as port:
        yield script, port


def check(served: tuple[Script, int], text: bytes, at: list[int]) -> None:
    script, port = served
    script.pieces = cut(text, at)
    possible = [said_of([text] if text else []), said_of(script.pieces)]  # pieces may arrive together
    for quick in (None, Quick):
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            assert runner.run(script.called(port, quick)) in possible, (text, at)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_seed_is_read_off_a_socket_as_it_is_read(served: tuple[Script, int], seed: bytes) -> None:
    check(served, seed, [])
    check(served, seed, [len(seed) // 3, len(seed) // 2])


@given(texts, cuts)
def test_what_is_read_off_a_socket_is_what_the_reader_says(
    served: tuple[Script, int], text: bytes, at: list[int]
) -> None:
    check(served, text, at)
