"""Calls of a mix share connections, and each answer is read as those of its call are."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from loadgen.engine.address import Address
from loadgen.engine.clock import monotonic_ns
from loadgen.engine.connection import HttpInvoker
from loadgen.engine.invoker import Caller
from loadgen.engine.requests import mixed
from loadgen.engine.wire import wire_to
from loadgen.invocation.facts import Facts
from loadgen.scenario.model import Call, Scenario
from loadgen.targets.checks import parse
from tests.scenarios import http, open_phase, scenario
from tests.servers.scripted import Peer, serving

HEAD, JSON, PLAIN = range(3)
LONG = b"x" * 200_000


class Once(Caller):
    def __init__(self, told: asyncio.Future[tuple[Facts, bytes]]) -> None:
        self.told = told

    def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        self.told.set_result((facts, body))


async def answer(peer: Peer) -> None:
    while (request := await peer.request()) is not None:
        if request.startswith(b"HEAD"):
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
        elif b"/json" in request:
            body = b'{"ok": true, "of": "' + LONG + b'"}'
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LONG), LONG))


def mix(port: int) -> Scenario:
    origin = f"http://127.0.0.1:{port}"
    calls = (
        Call("head", 1, http(f"{origin}/", method="HEAD"), ""),
        Call("json", 2, http(f"{origin}/json", method="GET"), "", checks=(parse("json.ok == true"),)),
        Call("plain", 1, http(f"{origin}/plain", method="GET"), "", checks=(parse("status == 201"),)),
    )
    return replace(scenario(calls[0].target, open_phase(1, 1)), calls=calls)


@pytest.mark.parametrize("reconnects", [False, True])
async def test_each_answer_is_read_as_those_of_its_call_are(reconnects: bool) -> None:
    async with serving(answer) as server:
        made = mix(server.port)
        address = Address("127.0.0.1", server.port, None, None)
        wire = wire_to(made.each_call, [address], asyncio.get_running_loop())
        once = Once(asyncio.get_running_loop().create_future())
        invoker, requests = HttpInvoker(wire, once), mixed(made, 0)
        seen = []
        for index in range(12):
            once.told = asyncio.get_running_loop().create_future()
            request = requests.of(index)
            assert request is not None
            invoker.call = requests.call
            assert requests.call == requests.call_of(index)
            invoker.invoke(request, monotonic_ns())
            facts, body = await once.told
            seen.append((requests.call, facts.outcome.value, facts.reason, len(body)))
            if reconnects:
                invoker.abandon()
        invoker.close()
        wire.close()
    assert set(seen) == {
        (HEAD, "ok", "ok", 0),
        (JSON, "ok", "ok", len(LONG) + 22),
        (PLAIN, "check_failed", "status == 201", 64 * 1024),
    }
    assert len(server.peers) == (12 if reconnects else 1)
