"""The limit of open files is found too low before any load is sent, or is raised without a word."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.processes import limited

SCENARIO = """
name: many
target: {{endpoint: emulator, function: hello}}
phases:
  - {{name: few, workers: 1, duration: 100ms}}
  - {{name: many, {load}, duration: 100ms}}
"""


def run(tmp_path: Path, limit: str, load: str) -> subprocess.CompletedProcess[str]:
    """``loadgen run`` under a limit set by the shell."""
    (tmp_path / "scenario.yaml").write_text(SCENARIO.format(load=load))
    return limited(tmp_path, limit, "run scenario.yaml --agents 2 --out run")


@pytest.mark.parametrize(
    ("load", "key", "files", "most"),
    [
        # room moves between agents, so that each may come to have all of it in flight
        ("rate: 10/s, max_in_flight: 5000", "max_in_flight", "5,024", 488),
        ("workers: 5000", "workers", "2,524", 976),
    ],
)
def test_a_limit_that_is_too_low_for_the_scenario_is_said_before_the_run_begins(
    tmp_path: Path, load: str, key: str, files: str, most: int
) -> None:
    done = run(tmp_path, "-n 512", load)
    assert (done.returncode, done.stdout) == (2, "")
    assert "phase many may have 5,000 invocations in flight" in done.stderr
    assert f"each of 2 agents needs {files} open files, but this machine allows 512 (hard limit)" in done.stderr
    assert f"set {key} to at most {most}" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_soft_limit_that_is_too_low_is_raised_for_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, "-Sn 128", "rate: 10/s, max_in_flight: 1000")
    assert done.returncode in (0, 97), done.stderr  # 97: a machine too busy to be punctual
    machine = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert machine["nofile"] >= 1024
