"""The embedded emulator is killed, suspended, or cannot write its truth: the run ends at once and says so."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import environment
from tests.e2e.processes import agents_of, children_of, finish, start

AT_ONCE_S = 15
"""Of loads, a pre-flight and a silence of 20 s and more; a busy machine takes its time."""
RUN = """
name: short
target: {endpoint: emulator, function: hello}
phases:
  - {name: first, rate: 50/s, duration: 30s, grace: 20s}
  - {name: second, rate: 50/s, duration: 30s, grace: 20s}
emulator:
  functions: {hello: {memory: 1024MB, work: {median: WORK, sigma: 0.1}, cold_start: none}}
"""


def emulator_of(pid: int) -> int:
    """The emulator of a run, once there is one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for child in children_of(pid):
            if b"emulator.process" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
        time.sleep(0.02)
    pytest.fail("no emulator was started")


def wait_for_agents(pid: int) -> list[int]:
    deadline = time.monotonic() + 20
    while not (agents := agents_of(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return agents


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def killed(process: subprocess.Popen[str], tmp_path: Path) -> tuple[str, str, dict[str, Any], float]:
    """Kill the emulator of a run; what the run printed, its Summary, and how many seconds it went on."""
    pids = [emulator_of(process.pid), *agents_of(process.pid)]
    os.kill(pids[0], signal.SIGKILL)
    began = time.monotonic()
    stdout, stderr, summary = finish(process, tmp_path)
    took_s = time.monotonic() - began
    assert process.returncode == 1
    assert stderr.count("error: the emulator ended on its own: exit code -9") == 1, stderr
    assert gone(pids)
    if summary["phases"]:
        assert summary["run"]["stopped"].startswith("the emulator ended on its own")
    assert {"summary.json", "report.html", "intervals.hlog"} <= {path.name for path in (tmp_path / "run").iterdir()}
    return stdout, stderr, summary, took_s


def test_an_emulator_that_dies_under_load_ends_the_run_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, scenario=RUN.replace("WORK", "2ms"))
    wait_for_agents(process.pid)
    time.sleep(1.5)
    _, _, summary, took_s = killed(process, tmp_path)
    assert took_s < AT_ONCE_S
    (phase,) = summary["phases"]
    assert phase["outcomes"]["ok"] > 10
    assert phase["started"] < 50 * 10  # not the 1,500 that were planned, most of which would have been refused


def test_an_emulator_that_dies_before_the_load_ends_the_run_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, scenario=RUN.replace("WORK", "20s"))
    time.sleep(0.3)  # in the pre-flight, which takes 20 s
    _, _, summary, took_s = killed(process, tmp_path)
    assert took_s < AT_ONCE_S
    assert summary["phases"] == []


PAUSE = """
name: pause
kind: cold-starts
target: {endpoint: emulator, function: hello}
cold-starts: {induce: [gap], gap: 60s, cold: 30, warm: 200}
emulator:
  functions: {hello: {memory: 1024MB, work: {median: 2ms, sigma: 0.1}, cold_start: r2-php}}
"""


def test_an_emulator_that_dies_in_a_pause_between_phases_ends_the_run_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, "--yes", scenario=PAUSE)
    deadline = time.monotonic() + 20
    truth = tmp_path / "run" / "truth.ndjson"
    while truth.read_bytes().count(b"\n") < 200 and time.monotonic() < deadline:  # then there is silence for a minute
        time.sleep(0.1)
    time.sleep(1.5)
    _, _, _, took_s = killed(process, tmp_path)
    assert took_s < AT_ONCE_S


def test_a_suspended_emulator_is_a_silent_target_and_is_ended_with_the_run(tmp_path: Path) -> None:
    scenario = RUN.replace("WORK", "2ms").replace("duration: 30s, grace: 20s", "duration: 500ms, grace: 500ms")
    process = start(tmp_path, "--set", "target.timeout.connect=500ms", scenario=scenario)
    emulator = emulator_of(process.pid)
    wait_for_agents(process.pid)
    os.kill(emulator, signal.SIGSTOP)
    _, _, summary = finish(process, tmp_path)
    assert gone([emulator])
    totals = summary["totals"]
    assert totals["unfinished"] + totals["outcomes"].get("timeout", 0) > 0
    assert len(summary["phases"]) == 2


def test_a_full_disk_of_the_emulator_alone_ends_it_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loadgen", "emulate", "--truth", "/dev/full"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        code = f"""
import urllib.request
for _ in range(5000):
    urllib.request.urlopen(urllib.request.Request({url!r} + "/v2/demo/fgs/functions/hello/invocations", b"{{}}"))
"""
        caller = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
        stdout, stderr = process.communicate(timeout=10)
    assert "Connection" in caller.stderr
    assert process.returncode == 1
    assert stderr.splitlines()[1:] == ["Error: cannot write the truth log /dev/full: No space left on device"]
    assert stdout == ""


def test_a_full_disk_of_the_embedded_emulator_ends_the_run(tmp_path: Path) -> None:
    """The limit of a file's size stands in for the disk."""
    process = start(tmp_path, scenario=RUN.replace("WORK", "2ms"))
    resource.prlimit(emulator_of(process.pid), resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    _, stderr, summary = finish(process, tmp_path)
    assert process.returncode == 1
    assert "exit code 1; cannot write the truth log run/truth.ndjson: File too large" in stderr
    assert summary["phases"][0]["outcomes"]["ok"] > 10
