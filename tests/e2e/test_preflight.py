"""What load cannot make better ends a run before the load, with its remedy; what may get better goes on and is told."""

from __future__ import annotations

import asyncio

from tests.e2e.conftest import Command, Loadgen
from tests.servers.scripted import OK, Peer, Play, serving

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
        assert begun < 700
        for words in said:
            assert words in text[begun : begun + 500]


def answer(status: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"


def test_a_function_that_is_disabled_ends_the_run(loadgen: Loadgen) -> None:
    run = loadgen(EMULATED, "--set", "emulator.functions.hello.max_instances=0")
    ended(run, "the function is disabled. Enable it")


def test_an_experiment_ends_as_a_load_does(loadgen: Loadgen) -> None:
    kind = "kind: memory\nmemory: {sizes: [128MB, 512MB], by: header, blocks: 20, rounds: 3}"
    scenario = EMULATED.replace("phases: [{name: steady, rate: 20/s, duration: 500ms}]", kind)
    ended(loadgen(scenario, "--set", "emulator.functions.hello.max_instances=0"), "the function is disabled")


def test_a_forced_run_goes_on_and_tells_it_first(loadgen: Loadgen) -> None:
    run = loadgen(EMULATED, "--force", "--set", "emulator.functions.hello.max_instances=0")
    told(run, "(disabled, status 429, FSS.0429)", "Enable it: set its maximum of instances")
    assert run.summary["preflight"]["outcome"] == "disabled"
    assert run.summary["totals"]["outcomes"] == {"disabled": 10}


async def test_what_may_be_gone_with_the_next_call_goes_on_and_is_told_first(loadgen: Loadgen) -> None:
    async with serving(answers(answer(b"503 Service Unavailable"), OK)) as server:
        run = await asyncio.to_thread(loadgen, PLAIN.format(port=server.port))
    told(run, "gateway", "status 503", "Try again")
    assert run.summary["totals"]["outcomes"] == {"ok": 10}


def test_after_a_preflight_that_was_ok_nothing_is_told(whole: Command) -> None:
    assert whole.summary["preflight"]["remedy"] is None
    files = [(whole.out / name).read_text() for name in ("report.md", "report.html")]
    for report in (whole.stdout, whole.stderr, *files):
        assert "The pre-flight was not ok" not in report
        assert "warning: pre-flight" not in report
