"""A run that is expected to take much is asked about once the pre-flight has said what a call is billed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from loadgen.load.budget import Confirm as Limits
from loadgen.run.fault import DeclinedError
from loadgen.run.runner import Runner
from loadgen.scenario.model import Scenario
from tests.run.runs import run
from tests.scenarios import function, open_phase, scenario
from tests.servers.scripted import Peer, serving

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b'X-Cff-Invoke-Summary: {"duration":99.5,"billingDuration":100,"memorySize":1024,"memoryUsed":40}\r\n\r\nok'
)


async def _answers(peer: Peer) -> None:
    while await peer.request():
        await peer.send(ANSWER)


def costly(port: int, gb_seconds: int) -> Scenario:
    made = scenario(function(f"http://127.0.0.1:{port}"), open_phase(100, 1))  # 101 calls of 0.1 GB-s
    return msgspec.structs.replace(made, confirm=Limits(gb_seconds=gb_seconds))


@pytest.mark.parametrize(("gb_seconds", "asked"), [(10, True), (11, False)])
async def test_only_what_is_above_the_limit_is_asked_about(tmp_path: Path, gb_seconds: int, asked: bool) -> None:
    questions = []

    async def agree(question: str) -> bool:
        questions.append(question)
        return True

    async with serving(_answers) as server:
        finished = await run(costly(server.port, gb_seconds), tmp_path, confirm=agree)
    assert finished.summary.totals.outcomes == {"ok": 100}
    text = "this run is expected to take 10 GB-seconds, more than confirm.gb_seconds, which is 10"
    assert questions == ([text] if asked else [])


async def test_a_no_ends_the_run_after_one_call(tmp_path: Path) -> None:
    async def decline(question: str) -> bool:
        return False

    async with serving(_answers) as server:
        with pytest.raises(DeclinedError, match="nothing was run but the pre-flight"):
            await run(costly(server.port, 1), tmp_path, confirm=decline)


async def test_an_interrupt_takes_back_the_question(tmp_path: Path) -> None:
    async def ponder(question: str) -> bool:
        await asyncio.sleep(60)
        return True

    def interrupted(runner: Runner) -> None:
        asyncio.get_running_loop().call_later(0.5, runner.interrupt)

    async with serving(_answers) as server:
        finished = await run(costly(server.port, 1), tmp_path, confirm=ponder, begun=interrupted)
    assert finished.summary.run.interrupted
    assert finished.summary.phases == []
    assert finished.summary.cost is not None
    assert finished.summary.cost.requests == 1
