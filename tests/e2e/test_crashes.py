"""A run that is killed, or whose disk is full, at any moment: ``loadgen report`` tells what it left, and says so.

What there is to be told is in frames.journal, read here as the report does, and in what the emulator wrote down of
every call that it answered: nothing may count twice, and nothing that was never sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from loadgen.history.rundir import JOURNAL
from loadgen.run.journal import Told
from tests.e2e.conftest import environment
from tests.e2e.processes import agents_of, children_of, limited, start, wait_for
from tests.servers import disk
from tests.servers.scripted import answer_all, serving

KILLED = """
name: killed
target: {endpoint: emulator, function: hello, preflight: false}
phases:
  - {name: warm-up, workers: 4, duration: 500ms, warmup: true}
  - {name: steady, rate: 100/s, duration: 2s}
  - {name: closed, workers: 3, duration: 20s}
thresholds: [errors < 1%, "steady:errors < 1%"]
emulator:
  functions: {hello: {memory: 1024MB, work: {median: 2ms, sigma: 0.1}, cold_start: none}}
"""
SERVED = """
name: short
target: {{endpoint: "http://127.0.0.1:{port}", project_id: demo, function: hello}}
phases: [{{name: steady, rate: {rate}/s, duration: {seconds}s}}]
"""


def reported(directory: Path, *, partial: bool = True) -> dict[str, Any]:
    """What ``loadgen report`` makes of a run, which has to exit with 0, and to say whether it is partial."""
    run = directory / "run"
    done = CliRunner().invoke(main, ["report", str(run)], prog_name="loadgen")
    assert done.exit_code == 0, done.output
    assert ("Partial result" in " ".join(done.stdout.split("\n")[:5])) is partial, done.stdout
    assert ("Partial result" in (run / "report.md").read_text()) is partial
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return summary


def check_counts(summary: dict[str, Any]) -> None:
    """The identities of the counts, in every phase and in all together."""
    for phase in (*summary["phases"], summary["totals"]):
        assert phase["planned"] == phase["started"] + phase["dropped"]
        assert phase["started"] == phase["completed"] + phase["unfinished"]
        assert phase["planned"] == sum(phase["outcomes"].values())
    rules = [reason["rule"] for reason in summary["verdict"]["reasons"]]
    assert "record_incomplete" not in rules, summary["verdict"]


def killed_after(seconds: float, directory: Path) -> None:
    """Kill the parent so long after its journal was begun; the report has every frame that was written, once."""
    run = directory / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--out", "run", "--quiet"],
        cwd=directory, env=environment(), start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: (run / JOURNAL).exists() and (run / JOURNAL).stat().st_size > 100, 40)
        time.sleep(seconds)
        children = children_of(process.pid)
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    told = Told((run / JOURNAL).read_bytes())
    summary = reported(directory)
    assert summary["run"]["partial"] is True
    check_counts(summary)
    assert [phase["name"] for phase in summary["phases"]] == [phase.plan.name for phase in told.phases]
    assert [phase["planned"] for phase in summary["phases"]] == [phase.total.tally.planned for phase in told.phases]
    sent = [json.loads(line) for line in (run / "truth.ndjson").read_text().splitlines()[:-1] if line]
    assert summary["totals"]["completed"] <= len(sent) + 1


def moments(n: int) -> list[float]:
    """Seeded, from before the load to the last phase."""
    rng = random.Random(17)
    return [round(rng.uniform(0, 6), 2) for _ in range(n)]


@pytest.mark.parametrize("seconds", moments(10))
def test_a_parent_that_is_killed_at_any_moment_leaves_what_was_measured(tmp_path: Path, seconds: float) -> None:
    (tmp_path / "scenario.yaml").write_text(KILLED)
    killed_after(seconds, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seconds", moments(100)[10:])
def test_a_parent_that_is_killed_at_a_hundred_moments_leaves_what_was_measured(tmp_path: Path, seconds: float) -> None:
    (tmp_path / "scenario.yaml").write_text(KILLED)
    killed_after(seconds, tmp_path)


@pytest.mark.parametrize("which", ["agent", "emulator"])
def test_a_child_that_is_killed_leaves_a_summary_and_no_journal(tmp_path: Path, which: str) -> None:
    process = start(tmp_path, "--quiet", scenario=KILLED)
    wait_for(lambda: "Tag=" in (tmp_path / "run" / "intervals.hlog").read_text())
    agents = agents_of(process.pid)
    others = [pid for pid in children_of(process.pid) if pid not in agents]
    os.kill((agents if which == "agent" else others)[0], signal.SIGKILL)
    process.communicate(timeout=40)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["run"]["partial"] is False
    assert summary["totals"]["planned"] > 0 or summary["phases"][0]["planned"] > 0
    assert not (tmp_path / "run" / JOURNAL).exists()


def test_parent_and_agents_that_are_killed_together_leave_what_was_measured(tmp_path: Path) -> None:
    process = start(tmp_path, "--agents", "2", "--quiet", scenario=KILLED)
    wait_for(lambda: "Tag=steady" in (tmp_path / "run" / "intervals.hlog").read_text())
    while_it_ran = reported(tmp_path)  # which does not disturb it
    for pid in [*agents_of(process.pid), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    summary = reported(tmp_path)
    check_counts(summary)
    assert summary["totals"]["planned"] >= while_it_ran["totals"]["planned"]
    assert summary["totals"]["planned"] > 0
    assert reported(tmp_path) == summary  # what it made before is no obstacle


@pytest.mark.parametrize("blocks", [8, 24, 40])
async def test_a_disk_that_is_full_at_any_moment_leaves_what_fitted_on_it(tmp_path: Path, blocks: int) -> None:
    """A limit on the size of files stands for a full disk: the same error path, without one."""
    async with serving(answer_all) as server:
        (tmp_path / "scenario.yaml").write_text(SERVED.format(port=server.port, rate=100, seconds=5))
        done = await asyncio.to_thread(limited, tmp_path, f"-f {blocks}", "run scenario.yaml --out run")
    assert done.returncode == 1, done.stderr
    assert "cannot write" in done.stderr
    run = tmp_path / "run"
    if (run / "summary.json").exists():  # it was not the longest file
        assert json.loads((run / "summary.json").read_text())["run"]["partial"] is False
        return
    whole = (run / JOURNAL).read_bytes()
    told = Told(whole)
    assert told.damage == []
    summary = reported(tmp_path, partial=told.over is None)  # or only summary.json found no room
    check_counts(summary)
    assert summary["totals"]["planned"] == sum(phase.total.tally.planned for phase in told.phases)


@pytest.mark.skipif(not disk.possible(), reason="this machine lets its user mount nothing")
async def test_a_small_disk_that_fills_up_leaves_what_fitted_on_it(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    async with serving(answer_all) as server:
        (tmp_path / "scenario.yaml").write_text(SERVED.format(port=server.port, rate=400, seconds=8) + "samples: all\n")
        command = (sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--quiet", "--out", "disk/run")
        process = await asyncio.create_subprocess_exec(
            *disk.within(disk.SMALL, tmp_path / "disk", *command), cwd=tmp_path, env=environment(), stderr=PIPE,
            stdout=PIPE,
        )  # fmt: skip
        stdout, stderr = await process.communicate()
    assert process.returncode == 1, stderr
    assert b"No space left on device; free space on that disk" in stderr
    assert b"latency" in stdout  # the figures are on the screen
    (tmp_path / "run").symlink_to(tmp_path / "disk.kept" / "run")
    told = Told((tmp_path / "run" / JOURNAL).read_bytes())
    assert told.damage == []
    summary = reported(tmp_path, partial=told.over is None)  # or only summary.json found no room
    check_counts(summary)
    assert summary["totals"]["planned"] == sum(phase.total.tally.planned for phase in told.phases) > 0


@pytest.mark.skipif(not disk.possible(), reason="this machine lets its user mount nothing")
def test_what_a_full_disk_left_is_printed_though_it_cannot_be_written(tmp_path: Path) -> None:
    process = start(tmp_path, "--quiet", scenario=KILLED)
    wait_for(lambda: "Tag=steady" in (tmp_path / "run" / "intervals.hlog").read_text())
    process.kill()
    process.communicate()
    command = disk.within(disk.FULL, tmp_path / "run", sys.executable, "-m", "loadgen", "report", "run")
    (tmp_path / "run" / "truth.ndjson").unlink()
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 1
    assert "Partial result" in done.stdout, done.stderr
    assert "cannot write the reports to run: No space left on device" in done.stderr
