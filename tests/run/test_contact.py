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
from loadgen.targets.secret import sent
from loadgen.targets.target import Target
from loadgen.text.secret import Secrets
from loadgen.text.units import money
from tests.fleet.fake import FakeFleet
from tests.frames import frame
from tests.run.runs import Notes, run
from tests.scenarios import function, http, open_phase, scenario
from tests.servers.iam import platform
from tests.servers.scripted import Peer, answer_all, serving

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
        result, address = await of.reach(stack)
        assert len(server.requests) == 1
    assert result is not None
    assert (result.outcome, result.remedy, address) == ("ok", None, "127.0.0.1")
    assert of.service_ns > 0
    assert of.first == Spent({1024: 100_000_000}, requests=1, metered=1)


async def test_without_a_preflight_the_name_is_resolved_and_nothing_is_used() -> None:
    async with AsyncExitStack() as stack:
        of = contact(function("http://127.0.0.1:9", preflight=False), Notes())
        assert await of.reach(stack) == (None, "127.0.0.1")
    assert (of.first, of.service_ns) == (Spent(), 0)


async def test_a_preflight_that_load_cannot_make_better_is_the_end_unless_it_is_forced() -> None:
    notes = Notes()
    async with serving(_forbids) as server, AsyncExitStack() as stack:
        target = function(f"http://127.0.0.1:{server.port}")
        with pytest.raises(RunFailedError, match=r"^pre-flight: .*No load was sent.*--force sends it\.$"):
            await contact(target, notes).reach(stack)
        result, address = await contact(target, notes, force=True).reach(stack)
    assert result is not None
    assert (result.outcome, address) == ("auth", "127.0.0.1")
    assert notes.said[-1].startswith("warning: pre-flight: ")
    assert notes.said[-1].endswith("The run goes on.")


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
    assert time.monotonic() - begun < 4
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
        assert await of.reach(stack) == (None, None)
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
    assert (of.bills, of.asked_mb) == (bills, asked_mb)
