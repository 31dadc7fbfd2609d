from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from loadgen.engine.messages import Plan, Renew
from loadgen.fleet.crew import Crew
from loadgen.load.budget import Budget
from loadgen.measure.cost import Spent
from loadgen.run.contact import Contact
from loadgen.run.ending import Ending
from loadgen.run.fault import RunFailedError
from loadgen.run.runner import Runner
from loadgen.scenario.prices import load_price_book
from loadgen.targets.functiongraph.protocol.target import Auth, FunctionTarget, IamAuth, TokenAuth
from loadgen.targets.port import Probe, Timeout
from loadgen.targets.secret import sent
from loadgen.targets.target import Target
from loadgen.text.secret import Secrets
from loadgen.text.units import money
from tests.fleet.fake import FakeFleet
from tests.frames import frame
from tests.run.runs import Notes, run
from tests.scenarios import S, function, http, open_phase, scenario
from tests.servers.iam import platform
from tests.servers.ports import free_port
from tests.servers.scripted import Peer, Play, answer_all, serving

PHASE = open_phase(10, 1)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b'X-Cff-Invoke-Summary: {"duration":99.5,"billingDuration":100,"memorySize":1024,"memoryUsed":40}\r\n\r\nok'
)


def contact(target: Target, notes: Notes, *, force: bool = False) -> Contact:
    return Contact(scenario(target, PHASE), Ending(notes.note), notes, Secrets(sent(target)), force=force)


def auth_of(target: Target) -> Auth:
    assert isinstance(target, FunctionTarget)
    return target.auth


async def _answers(peer: Peer) -> None:
    await answer_all(peer, ANSWER)


async def _forbids(peer: Peer) -> None:
    await answer_all(peer, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


async def _silent(peer: Peer) -> None:
    await peer.request()
    await asyncio.sleep(60)


async def test_the_preflight_tells_the_address_what_it_took_and_what_it_used() -> None:
    async with serving(_answers) as server, AsyncExitStack() as stack:
        of = contact(function(f"http://127.0.0.1:{server.port}"), Notes())
        (result,), addresses = await of.reach(stack)
        assert len(server.requests) == 1
    assert (result.outcome, result.remedy, addresses) == ("ok", None, ("127.0.0.1",))
    assert of.service_ns > 0
    assert of.first == Spent({1024: 100_000_000}, requests=1, metered=1)


async def test_without_a_preflight_the_name_is_resolved_and_nothing_is_used() -> None:
    async with AsyncExitStack() as stack:
        of = contact(function("http://127.0.0.1:9", preflight=False), Notes())
        assert await of.reach(stack) == ((), ("127.0.0.1",))
    assert (of.first, of.service_ns) == (Spent(), 0)


async def test_without_a_preflight_a_token_is_obtained_all_the_same() -> None:
    async with platform(3600) as served, AsyncExitStack() as stack:
        auth = IamAuth(served.url, "u", "pass-word", "ACCOUNT", "demo")
        of = contact(msgspec.structs.replace(function(served.url, preflight=False), auth=auth), Notes())
        assert await of.reach(stack) == ((), ("127.0.0.1",))
        assert auth_of(of.scenario.target) == TokenAuth("tok-0")


async def test_a_preflight_that_load_cannot_make_better_is_the_end_unless_it_is_forced() -> None:
    notes = Notes()
    async with serving(_forbids) as server, AsyncExitStack() as stack:
        target = function(f"http://127.0.0.1:{server.port}")
        with pytest.raises(RunFailedError, match=r"^pre-flight: .*No load was sent.*--force sends it\.$"):
            await contact(target, notes).reach(stack)
        (result,), addresses = await contact(target, notes, force=True).reach(stack)
    assert (result.outcome, addresses) == ("auth", ("127.0.0.1",))
    assert notes.said[-1].startswith("warning: pre-flight: ")
    assert notes.said[-1].endswith("The run goes on.")


SETTINGS = b"\0\0\0\4\0\0\0\0\0"
GOAWAY = b"\0\0\x08\7\0\0\0\0\0" + b"\0\0\0\0" + b"\0\0\0\1"


async def http2_speaks_first(peer: Peer) -> None:
    """Send the server's preface as soon as somebody connects, and go away for the bad one that is sent."""
    await peer.send(SETTINGS)
    await peer.request()
    await peer.send(GOAWAY)


async def http2_listens_first(peer: Peer) -> None:
    """Say what is spoken here only after the first bytes."""
    await peer.begun()
    await peer.send(SETTINGS + GOAWAY)


async def silence(peer: Peer) -> None:
    while await peer.request() is not None:
        pass


async def begins_and_stops(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
    await peer.gone()


def answer(status: bytes) -> Play:
    async def play(peer: Peer) -> None:
        await answer_all(peer, b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    return play


SHORT = Timeout(connect_ns=S, first_byte_ns=S, total_ns=S)


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (http2_speaks_first, "protocol, not_http"),
        (http2_speaks_first, "another protocol, HTTP/2 perhaps"),
        (http2_listens_first, "another protocol, HTTP/2 perhaps"),
        (silence, "nothing came within target.timeout.total (1 s)"),
        (begins_and_stops, "nothing came within target.timeout.total (1 s)"),
        (answer(b"413 Content Too Large"), "too_large"),
        (answer(b"403 Forbidden"), "auth"),
        (answer(b"404 Not Found"), "404"),
    ],
)
async def test_what_no_later_call_would_make_better_is_the_end(play: Play, said: str) -> None:
    async with serving(play) as server, AsyncExitStack() as stack:
        with pytest.raises(RunFailedError, match="--force") as raised:
            await contact(function(f"http://127.0.0.1:{server.port}", timeout=SHORT), Notes()).reach(stack)
        assert len(server.peers) == 1
    assert said in str(raised.value)


async def test_a_connection_that_is_refused_is_the_end_unless_it_is_forced() -> None:
    target = function(f"http://127.0.0.1:{free_port()}", timeout=SHORT)
    async with AsyncExitStack() as stack:
        with pytest.raises(RunFailedError, match=r"pre-flight: .*refused"):
            await contact(target, Notes()).reach(stack)
        (result,), _ = await contact(target, Notes(), force=True).reach(stack)
    assert (result.outcome, result.reason) == ("connection", "refused")
    assert "nothing listens at that address" in (result.remedy or "")


@pytest.mark.parametrize(
    ("probe", "body", "silent"),
    [
        (Probe(), b'{"cold": true}', False),
        (Probe(), b'{"n": 3}', False),
        (Probe(cold="body.first"), b'{"cold": true}', True),
        (Probe(), b"ok", True),
        (None, b"ok", False),
    ],
)
async def test_an_answer_without_the_fields_of_the_probe_is_said_before_the_load(
    probe: Probe | None, body: bytes, silent: bool
) -> None:
    async def answers(peer: Peer) -> None:
        await answer_all(peer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    notes = Notes()
    async with serving(answers) as server, AsyncExitStack() as stack:
        target = msgspec.structs.replace(function(f"http://127.0.0.1:{server.port}"), probe=probe)
        await contact(target, notes).reach(stack)
    assert any("does not say whether its call was cold" in said for said in notes.said) == silent


@pytest.mark.parametrize(
    ("status", "outcome", "remedy"),
    [
        (b"429 Too Many Requests", "throttled", "Lower the rate"),
        (b"503 Service Unavailable", "gateway", "Try again"),
        (b"500 Internal Server Error", "platform_error", "Try again later"),
    ],
)
async def test_what_may_be_gone_with_the_next_call_goes_on_and_is_said(
    status: bytes, outcome: str, remedy: str
) -> None:
    notes = Notes()
    async with serving(answer(status)) as server, AsyncExitStack() as stack:
        (result,), _ = await contact(function(f"http://127.0.0.1:{server.port}"), notes).reach(stack)
    assert (result.outcome, remedy in (result.remedy or "")) == (outcome, True)
    assert notes.said[-1].startswith("warning: pre-flight: ")


@pytest.mark.parametrize("after_s", [0.0, 0.3])
async def test_an_interrupt_before_or_during_the_preflight_ends_the_run_at_once(tmp_path: Path, after_s: float) -> None:
    async with serving(_silent) as server:
        load = scenario(http(f"http://127.0.0.1:{server.port}/"), open_phase(10, 1))

        def interrupted(runner: Runner) -> None:
            if after_s:
                asyncio.get_running_loop().call_later(after_s, runner.interrupt)
            else:
                runner.interrupt()

        begun = time.monotonic()
        finished = await run(load, tmp_path, begun=interrupted)
    assert time.monotonic() - begun < 8
    assert finished.summary.run.interrupted
    assert finished.summary.phases == []
    assert finished.failed is None


async def test_a_preflight_whose_answer_nobody_saw_may_have_been_charged() -> None:
    async with serving(_silent) as server, AsyncExitStack() as stack:
        notes = Notes()
        target = function(f"http://127.0.0.1:{server.port}")
        ending = Ending(notes.note)
        of = Contact(scenario(target, PHASE), ending, notes, Secrets(sent(target)))
        asyncio.get_running_loop().call_later(0.3, ending.interrupt)
        assert await of.reach(stack) == ((), ())
    assert of.first == Spent(requests=1)


async def test_a_token_that_was_renewed_while_the_agents_were_started_is_told_them() -> None:
    async with platform(3600) as served, AsyncExitStack() as stack:
        auth = IamAuth(served.url, "u", "pass-word", "ACCOUNT", "demo")
        of = contact(msgspec.structs.replace(function(served.url), auth=auth), Notes())
        await of.reach(stack)
        assert auth_of(of.scenario.target) == TokenAuth("tok-0")
        fleet = FakeFleet()
        plans = [Plan(of.scenario, "127.0.0.1", agent, 0) for agent in range(2)]
        planned = of.scenario.target
        of.heard(frame({}, reasons={"auth/APIG.0307": 1}))  # the token must be updated
        async with asyncio.timeout(5), Crew(fleet, plans) as crew:
            while of.scenario.target is planned:
                await asyncio.sleep(0.01)
            of.join(crew, planned)
    renewed = [(agent, auth_of(message.target)) for agent, message in fleet.told if isinstance(message, Renew)]
    assert renewed == [(0, TokenAuth("tok-1")), (1, TokenAuth("tok-1"))]


def test_a_token_that_cannot_be_renewed_is_said_to_have_expired_once() -> None:
    notes = Notes()
    of = contact(msgspec.structs.replace(function("http://127.0.0.1:9"), auth=TokenAuth("t")), notes)
    of.heard(frame({}, reasons={"auth/other": 1}))
    assert notes.said == []
    for _ in range(2):
        of.heard(frame({}, reasons={"auth/APIG.0307": 1}))
    (said,) = notes.said
    assert "has expired or must be updated" in said


def test_only_where_money_is_limited_is_there_a_tariff_which_knows_what_the_preflight_told() -> None:
    of = contact(function("http://127.0.0.1:9"), Notes())
    assert of.tariff() == (None, None, 0)
    limited = Budget(None, None, cost=money("1 CNY"))
    of.scenario = msgspec.structs.replace(of.scenario, budget=limited, prices=load_price_book("huawei-cny-2024-09"))
    of.first = Spent({1024: 10**9}, requests=1, metered=1)
    tariff, size_mb, dearest = of.tariff()
    assert tariff is not None
    assert (size_mb, dearest) == (1024, tariff.dearest)
    assert dearest > 10**6


@pytest.mark.parametrize(
    ("target", "kind", "bills", "asked_mb"),
    [
        (http("http://127.0.0.1:9/"), "load", False, None),
        (function("http://127.0.0.1:9"), "load", True, None),
        (msgspec.structs.replace(function("http://127.0.0.1:9"), memory_mb=256), "load", True, 256),
        (msgspec.structs.replace(function("http://127.0.0.1:9"), memory_mb=256), "memory", True, None),
    ],
)
def test_what_is_charged_and_which_memory_each_call_asks_for_follow_from_the_target(
    target: Target, kind: str, bills: bool, asked_mb: int | None
) -> None:
    of = contact(target, Notes())
    of.scenario = msgspec.structs.replace(of.scenario, kind=kind)
    assert (of.bills, of.asked_mb) == (bills, {"call": asked_mb})
