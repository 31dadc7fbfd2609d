from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Command:
    """A finished ``loadgen`` command, run as a process."""

    def __init__(self, done: subprocess.CompletedProcess[str], out: Path) -> None:
        self.code = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr
        self.out = out

    @property
    def passed(self) -> bool:
        """Whether it exited with 0, or with 97 for no other reason than that the machine running the tests was busy.

        A generator that was late by more than 10 ms, stood still or was busy calls its own figures invalid, as it
        should; counts stand.
        """
        if self.code == 97:
            reasons = self.summary["verdict"]["reasons"]
            invalid = {reason["rule"] for reason in reasons if reason["severity"] == "invalid"}
            return invalid <= {"late_starts", "generator_stalled", "generator_cpu"}
        return self.code == 0

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.out / "summary.json").read_text())
        return summary


Loadgen = Callable[..., Command]


def environment() -> dict[str, str]:
    """Ours, without what would change the output, and without a home."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "XDG_STATE_HOME": "/nonexistent"}


@pytest.fixture
def loadgen(tmp_path: Path) -> Loadgen:
    """Runs a scenario text or file with ``loadgen run``, in a directory of its own."""

    def run(
        scenario: str | Path,
        *options: str,
        timeout: float = 50,
        env: dict[str, str] | None = None,
        out: Path = tmp_path / "run",
    ) -> Command:
        file = scenario
        if isinstance(scenario, str):
            file = tmp_path / "scenario.yaml"
            file.write_text(scenario)
        command = [sys.executable, "-m", "loadgen", "run", str(file), "--out", str(out), *options]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            check=False,
            env={**environment(), **(env or {})},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Command(done, out)

    return run
