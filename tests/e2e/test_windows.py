"""A rule over windows, on a target that turns bad: it fails the run, and with ``abort`` ends it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import finish, start
from tests.servers.scripted import OK, Peer, Play, serving

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}"
LOAD = """
name: windows
target: {{url: "http://127.0.0.1:{port}/", preflight: false, timeout: {{total: 30s}}}}
phases:
  - {{name: steady, rate: 100/s, duration: {seconds}s}}
  - {{name: later, rate: 100/s, duration: 1s}}
thresholds:
  - {rule}
"""


def turning(bad_after_s: float, *, hangs_every: int = 0) -> Play:
    """Answers 200 for some time after its first request, then 500, and of every so many requests one never."""
    began: list[float] = []
    number = 0

    async def play(peer: Peer) -> None:
        nonlocal number
        while await peer.request() is not None:
            began.append(time.monotonic())
            number += 1
            bad = began[-1] - began[0] >= bad_after_s
            if bad and hangs_every and number % hangs_every == 0:
                await peer.gone()
                return
            await peer.send(FAILED if bad else OK)

    return play


async def played(
    tmp_path: Path, rule: str, *options: str, seconds: int, bad_after_s: float = 2
) -> tuple[int, str, dict[str, Any]]:
    """The exit code of a run, what it said and its Summary."""
    async with serving(turning(bad_after_s), remembers=False) as server:
        text = LOAD.format(port=server.port, seconds=seconds, rule=rule)
        process = start(tmp_path, *options, scenario=text)
        _, stderr, summary = await asyncio.to_thread(finish, process, tmp_path)
    return process.returncode, stderr, summary


def undoubted(code: int) -> bool:
    """Whether the machine was not too busy for a verdict."""
    return code != 97


@pytest.mark.parametrize("agents", ["1", "2"])
async def test_a_load_whose_target_turns_bad_is_ended_by_about_a_window_later(tmp_path: Path, agents: str) -> None:
    rule = "errors < 50% over 2s, abort"
    code, stderr, summary = await played(tmp_path, rule, "--agents", agents, seconds=25)
    (steady,) = summary["phases"]  # the later one never began
    assert 2.5e9 < steady["duration_ns"] < 12e9
    assert summary["run"]["stopped"].startswith(f"the threshold {rule} is broken: ")
    assert f"Stopping: the threshold {rule} is broken: " in stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"summary.json", "report.html", "report.md"}
    if undoubted(code):
        (threshold,) = summary["thresholds"]
        assert (code, threshold["passed"]) == (99, False)
        assert summary["verdict"]["status"] != "invalid"


async def test_without_abort_it_goes_on_and_the_worst_window_is_named(tmp_path: Path) -> None:
    code, _, summary = await played(tmp_path, "steady:errors < 50% over 2s", seconds=5)
    assert summary["run"]["stopped"] is None
    assert [phase["planned"] for phase in summary["phases"]] == [500, 100]
    if undoubted(code):
        (threshold,) = summary["thresholds"]
        assert (code, threshold["passed"]) == (99, False)
        assert threshold["why"].startswith("the worst of 4 windows of 2 s: ")
        assert " s of steady, errors 100 %: " in threshold["why"]


async def test_a_rule_that_every_window_meets_passes(tmp_path: Path) -> None:
    rule = "latency.p50 < 5s over 2s, abort"
    code, _, summary = await played(tmp_path, rule, "--agents", "2", seconds=4, bad_after_s=60)
    assert summary["run"]["stopped"] is None
    assert summary["totals"]["planned"] == 500
    if undoubted(code):
        assert (code, summary["thresholds"][0]["passed"]) == (0, True)


async def test_an_interrupt_while_a_rule_ends_the_load_waits_for_nothing_the_second_time(tmp_path: Path) -> None:
    """What is in flight would be waited for for 30 s."""
    rule = "errors < 50% over 1s, abort"
    async with serving(turning(1, hangs_every=5), remembers=False) as server:
        process = start(tmp_path, scenario=LOAD.format(port=server.port, seconds=25, rule=rule))
        said = await asyncio.to_thread(_until, process, "Stopping: the threshold ")
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, _, summary = await asyncio.to_thread(finish, process, tmp_path)
    assert process.returncode == 130
    assert summary["run"]["interrupted"] is True
    assert summary["run"]["stopped"] in said
    (steady,) = summary["phases"]
    assert steady["outcomes"]["unfinished"] > 0


def _until(process: subprocess.Popen[str], text: str) -> str:
    """The line that a run says on stderr with this text in it."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError("it was never said")
