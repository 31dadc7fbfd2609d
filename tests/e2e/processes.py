"""Runs in the background, and what a test can see of a running process from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.conftest import EMULATED, environment


def start(tmp_path: Path, *options: str, scenario: str = EMULATED) -> subprocess.Popen[str]:
    """A run in a session of its own; returns once the emulator, if that is the target, has been called."""
    (tmp_path / "scenario.yaml").write_text(scenario)
    process = subprocess.Popen(
        [sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--out", "run", *options],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    truth = tmp_path / "run" / "truth.ndjson"
    if "emulator" in scenario:
        wait_for(lambda: truth.exists() and truth.stat().st_size > 0)
    return process


def wait_for(condition: Callable[[], bool], within_s: float = 20) -> None:
    """Until the condition holds, which it has to in that time, on however busy a machine."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def limited(directory: Path, limit: str, arguments: str) -> subprocess.CompletedProcess[str]:
    """``loadgen`` with these arguments, under a limit of the shell's ``ulimit``."""
    done = subprocess.run(
        ["sh", "-c", f'ulimit {limit} && exec "{sys.executable}" -m loadgen {arguments}'],
        cwd=directory,
        # CPython does not see that it wrote half a .pyc, and fails on it from then on
        env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def finish(process: subprocess.Popen[str], tmp_path: Path) -> tuple[str, str, dict[str, Any]]:
    """What the run printed on stdout and stderr, and its Summary."""
    stdout, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr, stderr
    assert (tmp_path / "run" / "summary.json").exists(), stderr
    return stdout, stderr, json.loads((tmp_path / "run" / "summary.json").read_text())


def children_of(pid: int) -> list[int]:
    """Processes whose parent is pid."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def agents_of(pid: int) -> list[int]:
    """The agents of a run, in the order in which they were started."""
    return sorted(child for child in children_of(pid) if b"engine.agent" in _command_line(child))


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def open_files(pid: int) -> int:
    """How many file descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def peak_memory_bytes(pid: int) -> int:
    """The most memory that a process ever held. Source: proc_pid_status(5), VmHWM."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
