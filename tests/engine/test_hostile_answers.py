"""The engine, in this process, against every bad answer there is; the command is in tests/e2e."""

from __future__ import annotations

import asyncio
import json

import pytest

from loadgen.targets.functiongraph.protocol.response import HEADERS
from loadgen.targets.functiongraph.protocol.tenant import MOST
from loadgen.targets.port import Timeout
from tests.engine.test_connection import MS, Caller
from tests.servers.hostile import ANSWERS, hostile
from tests.servers.scripted import serving

TIMEOUT = Timeout(2000 * MS, 2000 * MS, 3000 * MS)


def request(name: str) -> bytes:
    event = json.dumps({"answer": name}).encode()
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(event) + event


@pytest.mark.wallclock
async def test_every_bad_answer_ends_as_it_should_and_leaves_neither_task_nor_connection() -> None:
    async with serving(hostile) as server:
        callers = [Caller(server.port, timeout=TIMEOUT, fresh=True, wanted=HEADERS, most=MOST) for _ in ANSWERS]
        before = asyncio.all_tasks()
        results = await asyncio.gather(
            *(caller.call(request(answer.name)) for caller, answer in zip(callers, ANSWERS, strict=True))
        )
        async with asyncio.timeout(10):
            while asyncio.all_tasks() - before:  # the server has a task for each connection that is open
                await asyncio.sleep(0.01)
        for caller in callers:
            caller.close()
    outcomes = {answer.name: outcome for answer, (outcome, *_) in zip(ANSWERS, results, strict=True)}
    assert outcomes == {answer.name: answer.expected for answer in ANSWERS}
