"""Signals at any instant of a start: no traceback, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import EMULATED, environment
from tests.e2e.processes import children_of

LAST_S = 0.8


def begun(command: tuple[str, ...], directory: Path) -> subprocess.Popen[str]:
    directory.mkdir()
    (directory / "scenario.yaml").write_text(EMULATED)
    return subprocess.Popen(
        [sys.executable, "-m", "loadgen", *command],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


RUN = ("run", "scenario.yaml", "--out", "out")
WHOLE = {"environment.json", "intervals.hlog", "report.html", "report.md", "scenario.yaml", "summary.json"}


def by_python_itself(stderr: str) -> bool:
    """Whether the interpreter was interrupted before it came to any line of ours, when it says what it likes."""
    return "loadgen/" not in stderr and ("Traceback" in stderr or "Fatal Python error" in stderr)


def check(process: subprocess.Popen[str], directory: Path, number: signal.Signals) -> None:
    pids = children_of(process.pid)
    _, stderr = process.communicate(timeout=30)
    if not by_python_itself(stderr):
        assert "Traceback" not in stderr, stderr
        assert "Exception ignored" not in stderr, stderr
        assert process.returncode in {130, -number}, (process.returncode, stderr)
    left = {path.name for path in (directory / "out").iterdir()} if (directory / "out").exists() else set()
    assert not left or left >= WHOLE, left
    assert not any(name.startswith(".") for name in left)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize(
    ("number", "times"),
    [
        (signal.SIGINT, 8),
        (signal.SIGTERM, 4),
        *(
            pytest.param(number, 20, marks=pytest.mark.soak)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        ),
    ],
)
def test_a_run_that_is_ended_while_it_starts_ends_clean(tmp_path: Path, number: signal.Signals, times: int) -> None:
    """Each at its own instant, two at a time; on a busy machine they are as good at other ones."""
    instants = [LAST_S * (n + 0.5) / times for n in range(times)]
    for pair in zip(instants[::2], instants[1::2], strict=False):
        processes = [begun(RUN, tmp_path / f"{at:.3f}") for at in pair]
        started = time.monotonic()
        for process, at in zip(processes, pair, strict=True):
            time.sleep(max(0.0, started + at - time.monotonic()))
            os.kill(process.pid, number)
        for process, at in zip(processes, pair, strict=True):
            check(process, tmp_path / f"{at:.3f}", number)


@pytest.mark.parametrize(
    "command", ["check scenario.yaml", "doctor", "restore", "report out", "emulate", "init x/y.yaml"]
)
def test_every_other_command_ends_clean(tmp_path: Path, command: str) -> None:
    for at in (0.1, 0.3):
        process = begun(tuple(command.split()), tmp_path / f"{at}")
        time.sleep(at)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        assert by_python_itself(stderr) or not ("Traceback" in stderr or "Exception ignored" in stderr), stderr
        assert not any(path.name.endswith(".tmp") for path in tmp_path.rglob("*"))


AT_THE_END = """
import os, signal, sys, time
import loadgen.__main__ as program
from loadgen.history.rundir import RunDirectory
number, write = signal.Signals(int(sys.argv.pop(1))), RunDirectory.{method}

def signalled(self, *given, **named):
    done = {before}
    os.kill(os.getpid(), number)
    time.sleep(0.1)
    return {after}

RunDirectory.{method} = {wrapped}
program.main()
"""
BEFORE_THE_SUMMARY = AT_THE_END.format(
    method="write_summary", before="None", after="write(self, *given, **named)", wrapped="signalled"
)
BEHIND_THE_FIRST_FILE = AT_THE_END.format(
    method="create", before="write.__func__(self, *given, **named)", after="done", wrapped="classmethod(signalled)"
)
KIND = EMULATED.replace("name: short", "name: short\nkind: capacity").partition("event:")[0] + (
    "capacity: {slo: [latency.p99 < 500ms], from: 5/s, to: 20/s, confirm: 1s}\nbudget: {duration: 2s}\n"
)


@pytest.mark.parametrize(
    ("number", "scenario"),
    [(signal.SIGTERM, EMULATED), (signal.SIGINT, KIND)],
    ids=["load", "with numpy's threads"],
)
def test_no_signal_keeps_what_was_measured_from_the_disk(tmp_path: Path, number: signal.Signals, scenario: str) -> None:
    """It may be delivered to any thread: those of numpy and of the loop's executor have to be deaf."""
    (tmp_path / "scenario.yaml").write_text(scenario)
    command = [sys.executable, "-c", BEFORE_THE_SUMMARY, str(int(number)), *RUN]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=50, check=False
    )
    assert (tmp_path / "out" / "summary.json").exists(), done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in {130, -number}


def test_a_signal_behind_the_first_file_waits_for_the_run_to_hear_it(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(EMULATED)
    command = [sys.executable, "-c", BEHIND_THE_FIRST_FILE, str(int(signal.SIGINT)), *RUN]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, {path.name for path in (tmp_path / "out").iterdir()} >= WHOLE) == (130, True), done.stderr
