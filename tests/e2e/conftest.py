from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadgen.invocation.outcome import missed_starts

ROOT = Path(__file__).parents[2]
EMULATED = """
name: short
target: {endpoint: emulator, function: hello}
event: {user: ada}
phases:
  - {name: warm-up, workers: 4, duration: 500ms, warmup: true}
  - {name: steady, rate: 100/s, duration: 1500ms}
samples: all
tags: {team: a}
emulator:
  functions: {hello: {memory: 1024MB, work: {median: 2ms, sigma: 0.1}, cold_start: none}}
"""


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

        A generator that was late for one start in a hundred by more than 10 ms, or missed so many, calls its own
        figures invalid, as it should; counts stand.
        """
        if self.code == 97:
            reasons = self.summary["verdict"]["reasons"]
            invalid = {reason["rule"] for reason in reasons if reason["severity"] == "invalid"}
            return invalid <= ({"late_starts", "rate_missed"} if self.dropped_by_us_alone else {"late_starts"})
        return self.code == 0

    @property
    def dropped_by_us_alone(self) -> bool:
        """Whether some start was dropped, and every one for reasons of the generator."""
        dropped = self.summary["totals"]["dropped"]
        missed = sum(missed_starts(phase["reasons"]) for phase in self.summary["phases"])
        return bool(0 < dropped == missed)

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.out / "summary.json").read_text())
        return summary


def count(metric: dict[str, Any]) -> int:
    """The calls of a metric, also those that the generator disturbed on a busy machine."""
    return int(metric["count"]) + int(metric.get("disturbed", 0))


Loadgen = Callable[..., Command]


def environment() -> dict[str, str]:
    """Ours, without what would change the output, and without a home."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "XDG_STATE_HOME": "/nonexistent"}


def running_in(directory: Path) -> Loadgen:
    """Runs a scenario text or file, a URL or a URN with ``loadgen run`` in that directory."""

    def run(
        scenario: str | Path,
        *options: str,
        timeout: float = 50,
        env: dict[str, str] | None = None,
        out: Path = directory / "run",
        stdin: str | None = None,
    ) -> Command:
        file = scenario
        if isinstance(scenario, str) and not re.match(r"http|urn:|-\Z", scenario):
            file = directory / "scenario.yaml"
            file.write_text(scenario)
        command = [sys.executable, "-m", "loadgen", "run", str(file), "--out", str(out), *options]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=directory,
            check=False,
            input=stdin,
            env={**environment(), **(env or {})},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Command(done, out)

    return run


@pytest.fixture
def loadgen(tmp_path: Path) -> Loadgen:
    """Runs scenarios in a directory of its own."""
    return running_in(tmp_path)


PRICED = ("--set", "prices=huawei-cny-2024-09")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A run in which all goes well, with prices, limits that are far away and a proxy that is none of its business.

    Tests look at it from all sides, and leave it as it is.
    """
    limits = ("cost=5 CNY", "in_flight=900", "errors=50%", "throttled=50%", "duration=1m")
    options = [option for limit in limits for option in ("--set", f"budget.{limit}")]
    rule = ("--set", "thresholds=[cost < 1 CNY]")
    loadgen = running_in(tmp_path_factory.mktemp("whole"))
    return loadgen(EMULATED, *PRICED, *options, *rule, env={"http_proxy": "http://127.0.0.1:1"})


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A run told otherwise wherever it can be: silent, without prices, the older answers, log tails, 100 ms billed."""
    options = ("target.response=v1", "target.log=tail", "target.memory=512MB", "emulator.billing=100ms")
    loadgen = running_in(tmp_path_factory.mktemp("other"))
    return loadgen(EMULATED, "--quiet", *(option for each in options for option in ("--set", each)))
