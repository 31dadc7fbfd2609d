"""``loadgen run`` against servers that misbehave: each an outcome with a reason, and nothing hangs or leaks."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
import ssl
import statistics
from pathlib import Path
from typing import cast

import pytest

from tests.e2e.conftest import ROOT, Command, Loadgen, count
from tests.e2e.processes import agents_of, children_of, open_files, peak_memory_bytes
from tests.servers.certificate import make_certificate
from tests.servers.hostile import ANSWERS, hostile
from tests.servers.ports import free_port
from tests.servers.scripted import OK, Peer, Play, Server, answer_all, serving

# one invocation before and one after, both of the first answer, so that what is left over can be seen
ROUNDS = 3
HOSTILE = f"""
name: hostile
target:
  endpoint: "http://127.0.0.1:PORT"
  project_id: demo
  function: hello
  connections: fresh
  preflight: false
  timeout: {{connect: 2s, first_byte: 2s, total: 3s}}
event: {{answer: "{{{{answer}}}}"}}
feeder: {{file: answers.csv, order: loop}}
phases:
  - {{name: before, rate: 1/s, duration: 1s}}
  - {{name: hostile, rate: {ROUNDS * len(ANSWERS) - 1}/s, duration: 1s, grace: 20s}}
  - {{name: after, rate: 1/s, duration: 1s}}
samples: all
"""
MORE_MEMORY = 8 * 2**20
"""What the agent may grow by: each of the streams that do not end would fill more than this."""


async def watched(server: Server, run: asyncio.Task[Command]) -> list[tuple[int, int, int]]:
    """Until the run ends: connections the server has seen, files the agent has open, the most memory it held."""
    seen = []
    while not run.done():
        for agent in [agent for child in children_of(os.getpid()) for agent in agents_of(child)]:
            try:
                seen.append((len(server.peers), open_files(agent), peak_memory_bytes(agent)))
            except OSError:  # it has just ended
                continue
        await asyncio.sleep(0.02)
    return seen


async def test_every_bad_answer_has_its_outcome_and_the_agent_is_left_as_it_was(
    loadgen: Loadgen, tmp_path: Path
) -> None:
    (tmp_path / "answers.csv").write_text("answer\n" + "\n".join(f'"{answer.name}"' for answer in ANSWERS))
    async with serving(hostile) as server:
        scenario = HOSTILE.replace("PORT", str(server.port))
        running = asyncio.create_task(asyncio.to_thread(loadgen, scenario, "--agents", "1"))
        seen = await watched(server, running)
        run = await running
    assert run.passed, run.stderr
    summary = run.summary
    assert [phase["planned"] for phase in summary["phases"]] == [1, ROUNDS * len(ANSWERS) - 1, 1]
    assert summary["totals"]["unfinished"] == 0
    with gzip.open(run.out / "samples.ndjson.gz", "rt") as file:
        kept = [json.loads(line) for line in file]
    samples = [sample for sample in kept if sample["outcome"] != "dropped"]  # the last ones, on a busy machine
    found: dict[str, set[str]] = {answer.name: set() for answer in ANSWERS}
    for sample in samples:
        found[ANSWERS[sample["index"] % len(ANSWERS)].name].add(f"{sample['outcome']}/{sample['reason']}")
    assert found == {answer.name: {answer.expected} for answer in ANSWERS}
    assert len(server.peers) == len(samples)  # nothing was sent twice
    before = [state for state in seen if state[0] == 1]
    after = [state for state in seen if state[0] == len(samples)]
    assert statistics.median(files for _, files, _ in after) == statistics.median(files for _, files, _ in before)
    assert after[-1][2] - before[-1][2] < MORE_MEMORY


PLAIN = """
name: hostile
target:
  endpoint: "SCHEME://127.0.0.1:PORT"
  project_id: demo
  function: hello
  connections: fresh
  preflight: false
  tls: {verify: false}
  timeout: {connect: 1s, first_byte: 1500ms, total: 3s}
phases: [{name: hostile, rate: 10/s, duration: 400ms, grace: 20s}]
"""
LARGE = 5 * 2**20


async def stays_silent(peer: Peer) -> None:
    await peer.gone()


async def resets(peer: Peer) -> None:
    peer.reset()


async def closes(peer: Peer) -> None:
    pass


async def speaks_http(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    await peer.gone()


async def sends_an_alert(peer: Peer) -> None:
    """A TLS record: fatal, handshake_failure (RFC 8446 §6)."""
    await peer.send(b"\x15\x03\x03\x00\x02\x02\x28")
    await peer.gone()


async def refuses_unread(peer: Peer) -> None:
    """Answer before the body of the request is read, then throw it away, as RFC 9112 §9.6 advises."""
    await peer.begun()
    await peer.send(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    await peer.gone()


async def stops_reading(peer: Peer) -> None:
    """Leave what has come in the kernel's buffers; the rest of the request has no place to go."""
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    cast(asyncio.Transport, peer.writer.transport).pause_reading()
    await asyncio.sleep(60)


async def cuts(peer: Peer, answer: bytes) -> None:
    """Answer and close the connection without close_notify, the goodbye of TLS."""
    await peer.request()
    await peer.send(answer)
    peer.writer.transport.abort()


async def cuts_after_the_answer(peer: Peer) -> None:
    await cuts(peer, OK)


async def cuts_within_the_answer(peer: Peer) -> None:
    await cuts(peer, OK[:-1])


CONNECTIONS: list[tuple[bool, str, dict[Play, set[str]]]] = [
    # whether the server speaks TLS, our scheme, and how what it does with a connection may end
    (
        False,
        "http",
        {
            stays_silent: {"timeout/first_byte"},
            resets: {"connection/reset", "connection/closed"},  # known before or after we wrote to it
            refuses_unread: {"too_large/status_413"},
            stops_reading: {"timeout/first_byte"},
        },
    ),
    (True, "http", {answer_all: {"connection/closed"}}),  # what a TLS port makes of plain HTTP
    (
        False,
        "https",
        {
            stays_silent: {"timeout/connect"},
            resets: {"connection/reset"},
            closes: {"connection/reset"},  # in the handshake one is as good as the other
            speaks_http: {"connection/tls"},
            sends_an_alert: {"connection/tls"},
        },
    ),
    (True, "https", {cuts_after_the_answer: {"ok/ok"}, cuts_within_the_answer: {"connection/closed_early"}}),
]


def in_turn(*plays: Play) -> Play:
    """Each connection gets the next of them."""

    async def play(peer: Peer) -> None:
        await plays[peer.number % len(plays)](peer)

    return play


def outcomes(run: Command) -> dict[str, int]:
    """How often each ``outcome/reason`` was, over all phases."""
    assert run.passed, run.stderr
    totals = run.summary["totals"]
    ok = totals["outcomes"].get("ok", 0)
    return {**totals["reasons"], **({"ok/ok": ok} if ok else {})}


@pytest.mark.parametrize(("tls", "scheme", "plays"), CONNECTIONS)
async def test_every_bad_connection_has_its_outcome(
    loadgen: Loadgen, tmp_path: Path, tls: bool, scheme: str, plays: dict[Play, set[str]]
) -> None:
    (tmp_path / "event.json").write_text(json.dumps({"k": "x" * (LARGE if stops_reading in plays else 0)}))
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*make_certificate(tmp_path))
    async with serving(in_turn(*plays), tls=context) as server:
        scenario = PLAIN.replace("PORT", str(server.port)).replace("SCHEME", scheme)
        phase = f"phases.0.rate={10 * len(plays)}/s"
        run = await asyncio.to_thread(loadgen, scenario, "--set", "event_file=event.json", "--set", phase)
    found = outcomes(run)
    expected = [tuple(sorted(ends)) for ends in plays.values()]
    for ends in set(expected):
        assert sum(found.pop(end, 0) for end in ends) == 4 * expected.count(ends), ends
    assert found == {}


SUMMARY = b'{"duration":1,"billingDuration":1,"memorySize":128,"memoryUsed":41}'
TOLD = (b"X-Cff-Request-Id: r", b"X-Cff-Invoke-Summary: " + SUMMARY, b"X-Func-Err-Code: 0", b"X-Is-Func-Err: false")


def tells(*lines: bytes, status: bytes = b"200 OK") -> Play:
    """Answer every request with these headers."""
    head = b"".join(line + b"\r\n" for line in (b"HTTP/1.1 " + status, *lines, b"Content-Length: 2"))

    async def play(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(head + b"\r\n" + (b"" if status.startswith(b"304") else b"{}"))

    return play


async def test_an_answer_whose_headers_contradict_each_other_is_never_ok(loadgen: Loadgen) -> None:
    answers = [
        (*TOLD, b"X-Request-Id: a", b"X-Request-Id: b", b"x-func-err-code: 0"),  # no contradiction
        (b"X-Func-Err-Code: 4002", *TOLD),
        (*TOLD, b"x-is-FUNC-err: TRUE"),
        (*TOLD, b"X-Cff-Invoke-Summary: " + SUMMARY.replace(b"1", b"2")),
        (*TOLD, b"X-CFF-Billing-Duration: 1", b"X-CFF-Billing-Duration: 2"),
    ]
    async with serving(in_turn(*(tells(*lines) for lines in answers))) as server:
        scenario = PLAIN.replace("PORT", str(server.port)).replace("SCHEME", "http")
        run = await asyncio.to_thread(loadgen, scenario, "--set", "phases.0.duration=500ms")
    assert outcomes(run) == {"ok/ok": 1, "protocol/contradicting_headers": 4}


async def test_a_duration_that_cannot_be_withholds_itself_and_not_the_run(loadgen: Loadgen) -> None:
    odd = b"X-Cff-Invoke-Summary: " + SUMMARY.replace(b'"duration":1,', b'"duration":4e6,')
    async with serving(tells(TOLD[0], odd, *TOLD[2:])) as server:
        scenario = PLAIN.replace("PORT", str(server.port)).replace("SCHEME", "http")
        run = await asyncio.to_thread(loadgen, scenario)
    assert outcomes(run) == {"ok/ok": 4}
    reasons = run.summary["verdict"]["reasons"]
    assert {reason["severity"] for reason in reasons} <= {"warning", "withheld", "range"}
    assert {reason["withholds"] for reason in reasons if reason["rule"] == "unbelievable"} == {"duration", "overhead"}
    assert not {"clipped", "summary_missing", "negative_overhead"} & {reason["rule"] for reason in reasons}
    metrics = run.summary["totals"]["metrics"]
    assert (count(metrics["latency"]), count(metrics["billed_duration"]), "duration" in metrics) == (4, 4, False)


async def test_a_3xx_is_said_to_be_what_it_is(loadgen: Loadgen) -> None:
    """A redirect is one only if it says where to."""
    redirect = tells(b"Location: /there", status=b"302 Found")
    empty = (tells(status=b"304 Not Modified"), tells(status=b"302 Found"))
    async with serving(in_turn(*empty, *empty, redirect)) as server:
        function = 'endpoint: "SCHEME://127.0.0.1:PORT"\n  project_id: demo\n  function: hello'
        url = PLAIN.replace(function, f"url: http://127.0.0.1:{server.port}/")
        run = await asyncio.to_thread(loadgen, url, "--set", "phases.0.duration=500ms")
    assert run.passed, run.stderr
    found = {reason["rule"]: reason["value"] for reason in run.summary["verdict"]["reasons"]}
    assert (found["without_content"], found["redirects"]) == (4, 1)


async def test_a_server_that_goes_away_and_comes_back_is_used_again(loadgen: Loadgen) -> None:
    port = free_port()
    phases = "phases=[{name: steady, rate: 50/s, duration: 4s}]"
    scenario = PLAIN.replace("PORT", str(port)).replace("SCHEME", "http")
    options = ("--set", phases, "--set", "target.connections=reuse", "--set", "samples=all")
    async with serving(answer_all, port=port) as first:
        running = asyncio.create_task(asyncio.to_thread(loadgen, scenario, *options))
        while len(first.requests) < 25:
            await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    async with serving(answer_all, port=port) as second:
        run = await running
    with gzip.open(run.out / "samples.ndjson.gz", "rt") as file:
        fates = [f"{line['outcome']}/{line['reason']}" for line in map(json.loads, file)]
    gone = {"connection/refused", "connection/stale", "connection/closed", "connection/reset"}
    assert gone >= set(fates) - {"ok/ok"}
    assert "connection/refused" in fates
    assert fates[0] == fates[-1] == "ok/ok"
    assert fates.count("ok/ok") == len(first.requests) + len(second.requests)


def test_every_reason_is_documented() -> None:
    reasons = {answer.expected for answer in ANSWERS}.union(
        *(ends for *_, plays in CONNECTIONS for ends in plays.values())
    )
    table = (ROOT / "docs" / "results.md").read_text()
    of_the_platform = {"ok/ok", "too_large/status_413"}
    assert {reason for reason in reasons - of_the_platform if f"`{reason}`" not in table} == set()
