"""What load cannot make better ends a run before the load, with its remedy; what may get better goes on and is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Loadgen
from tests.servers.ports import free_port
from tests.servers.scripted import OK, Peer, Play, answer_all, serving

PLAIN = """
name: short
target:
  {{endpoint: "http://127.0.0.1:{port}", project_id: demo, function: hello, auth: none,
    timeout: {{connect: 1s, total: 1s}}}}
phases: [{{name: steady, rate: 20/s, duration: 500ms, grace: 500ms}}]
"""
EMULATED = """
name: short
target: {endpoint: emulator, function: hello}
phases: [{name: steady, rate: 20/s, duration: 500ms}]
emulator: {functions: {hello: {memory: 1024MB, work: {median: 2ms}, cold_start: none}}}
"""
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


def answers(*answers: bytes) -> Play:
    """Each request of the run gets the next answer, the last one again and again."""
    left = list(answers)

    async def play(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(left.pop(0) if len(left) > 1 else left[0])

    return play


def ended(run: Command, *said: str) -> None:
    """The run ended before the load, and says why and how to go on."""
    assert run.code == 1, run.stderr
    for words in ("error: pre-flight: ", *said, "--force"):
        assert words in run.stderr
    assert not run.out.exists()


def told(run: Command, *said: str) -> None:
    """The load was sent, and every report begins with what the pre-flight was."""
    assert sum(run.summary["totals"]["outcomes"].values()) == 10
    assert "warning: pre-flight: " in run.stderr
    heads = (
        run.stdout,
        (run.out / "report.md").read_text(),
        (run.out / "report.html").read_text().partition("<h1>")[2],
    )
    for report in heads:
        text = " ".join(report.replace("\\", "").split())
        begun = text.index("The pre-flight was not ok")
        assert begun < 150
        for words in said:
            assert words in text[begun : begun + 500]


def answer(status: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("play", [http2_speaks_first, http2_listens_first])
async def test_a_server_that_speaks_http2_ends_the_run(loadgen: Loadgen, play: Play) -> None:
    async with serving(play) as server:
        run = await asyncio.to_thread(loadgen, PLAIN.format(port=server.port))
        ended(run, "protocol, not_http", "another protocol, HTTP/2 perhaps")
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (silence, "nothing came within target.timeout.total (1 s)"),
        (begins_and_stops, "nothing came within target.timeout.total (1 s)"),
        (answers(answer(b"413 Content Too Large")), "too_large"),
        (answers(answer(b"403 Forbidden")), "auth"),
    ],
)
async def test_what_no_later_call_would_make_better_ends_the_run(loadgen: Loadgen, play: Play, said: str) -> None:
    async with serving(play) as server:
        run = await asyncio.to_thread(loadgen, PLAIN.format(port=server.port))
        ended(run, said)
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("emulator.functions.hello.max_instances=0", "the function is disabled. Enable it"),
        ("emulator.functions.hello.errors=100%", "the function's handler raised. Read the error"),
    ],
)
def test_a_function_that_is_disabled_or_fails_every_time_ends_the_run(
    loadgen: Loadgen, setting: str, said: str
) -> None:
    ended(loadgen(EMULATED, "--set", setting), said)


def test_an_event_of_7_mb_ends_the_run(loadgen: Loadgen, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('{"x": "' + "y" * 7_000_000 + '"}')
    ended(loadgen(EMULATED + "event_file: event.json\n"), "the event is larger than 6 MB. Shorten it")


@pytest.mark.parametrize(
    "kind",
    [
        "kind: cold-starts\ncold-starts: {induce: [gap], cold: 30, warm: 300}",
        "kind: capacity\ncapacity: {slo: [latency.p99 < 250ms], from: 1/s, to: 50/s, confirm: 30s}",
        "kind: memory\nmemory: {sizes: [128MB, 512MB], by: header, blocks: 20, rounds: 3}",
    ],
)
def test_an_experiment_ends_as_a_load_does(loadgen: Loadgen, kind: str) -> None:
    scenario = EMULATED.replace("phases: [{name: steady, rate: 20/s, duration: 500ms}]", kind)
    ended(loadgen(scenario, "--set", "emulator.functions.hello.max_instances=0"), "the function is disabled")


def test_a_forced_run_goes_on_and_tells_it_first(loadgen: Loadgen) -> None:
    run = loadgen(EMULATED, "--force", "--set", "emulator.functions.hello.max_instances=0")
    told(run, "(disabled, status 429, FSS.0429)", "Enable it: set its maximum of instances")
    assert run.summary["preflight"]["outcome"] == "disabled"
    assert run.summary["totals"]["outcomes"] == {"disabled": 10}


def test_a_refused_connection_can_be_forced_too(loadgen: Loadgen) -> None:
    run = loadgen(PLAIN.format(port=free_port()), "--force")
    told(run, "(connection, refused)", "nothing listens at that address")
    assert run.summary["totals"]["reasons"] == {"connection/refused": 10}


@pytest.mark.parametrize(
    ("status", "outcome", "remedy"),
    [
        (b"429 Too Many Requests", "throttled", "Lower the rate"),
        (b"503 Service Unavailable", "gateway", "Try again"),
        (b"500 Internal Server Error", "platform_error", "Try again later"),
    ],
)
async def test_what_may_be_gone_with_the_next_call_goes_on_and_is_told_first(
    loadgen: Loadgen, status: bytes, outcome: str, remedy: str
) -> None:
    async with serving(answers(answer(status), OK)) as server:
        run = await asyncio.to_thread(loadgen, PLAIN.format(port=server.port))
    told(run, outcome, f"status {status[:3].decode()}", remedy)
    assert run.summary["totals"]["outcomes"] == {"ok": 10}


async def test_after_a_preflight_that_was_ok_nothing_is_told(loadgen: Loadgen) -> None:
    async with serving(answer_all) as server:
        run = await asyncio.to_thread(loadgen, PLAIN.format(port=server.port))
    assert run.summary["preflight"]["remedy"] is None
    for report in (run.stdout, run.stderr, (run.out / "report.md").read_text(), (run.out / "report.html").read_text()):
        assert "The pre-flight was not ok" not in report
        assert "warning: pre-flight" not in report
