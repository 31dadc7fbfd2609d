"""The stub answers every request at once with everything that FunctionGraph documents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.emulator import stub
from loadgen.targets.functiongraph.emulator.process import embedded
from loadgen.targets.functiongraph.emulator.stub import ANSWER
from loadgen.targets.functiongraph.protocol.response import HEADERS, classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion

REQUEST = b"POST /v2/p/fgs/functions/f/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}'


def test_its_answer_has_every_header_that_an_invocation_is_judged_by() -> None:
    head, _, body = ANSWER.partition(b"\r\n\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:])}
    facts = classify_function(200, headers, body, ResponseVersion.V0)
    assert (facts.outcome, facts.reason) == (Outcome.OK, "ok")
    assert (facts.duration_ns, facts.billed_duration_ns, facts.memory_size_mb) == (1_000, 1_000_000, 128)
    assert facts.memory_used_bytes is not None
    assert facts.request_id == "1cbe80f3-3c65-475e-ad88-76ac518d386a"
    assert int(headers[b"content-length"]) == len(body)
    # the log is there only for those who ask for it, the other id is a gateway's, and only a redirect leads elsewhere
    assert HEADERS - headers.keys() <= {b"x-cff-function-log", b"x-request-id", b"location"}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    origin: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.create_task(stub.serve(origin.set_result, stop))
    yield int((await origin).rpartition(":")[2])
    stop.set()
    await serving


async def ask(port: int, *pieces: bytes, requests: int = 1) -> bytes:
    """What comes back for the pieces, sent one after the other, until it is as long as the answers to all requests."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    answers = b""
    while len(answers) < requests * len(ANSWER):
        answers += await asyncio.wait_for(reader.read(1 << 16), 5)
    writer.close()
    await writer.wait_closed()
    return answers


@pytest.mark.parametrize(
    ("pieces", "requests"),
    [
        ([REQUEST], 1),
        ([REQUEST[:20], REQUEST[20:-3], REQUEST[-3:]], 1),
        ([REQUEST * 3], 3),
        ([b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], 1),
    ],
    ids=["whole", "split", "three at once", "no body"],
)
async def test_each_request_is_answered_once_however_it_arrives(port: int, pieces: list[bytes], requests: int) -> None:
    assert await ask(port, *pieces, requests=requests) == ANSWER * requests


async def test_a_request_that_is_not_complete_is_not_answered(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST[:-1])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    writer.close()


async def test_it_runs_in_a_process_of_its_own_like_the_emulator() -> None:
    async with embedded(None, "", None) as url:
        assert await ask(int(url.rpartition(":")[2]), REQUEST) == ANSWER
