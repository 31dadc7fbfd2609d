"""Paths that no file can have, wherever a user may write one: a fault in one line, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from loadgen.cli import main

SCENARIO = """
name: x
target: {endpoint: emulator, function: hello}
phases: [{name: s, workers: 1, duration: 200ms}]
"""
PATHS = {
    "a component": "a" * 256,
    "a path": "/".join(["a" * 200] * 30),
    "a loop": "loop/x",
    "below a file": "scenario.yaml/x",
    "not UTF-8": os.fsdecode(b"\xff\xfe"),
    "commands": "\x1b[2J\u202e",
}
every = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def fault(*arguments: str, codes: tuple[int, ...] = (2,)) -> Result:
    said = CliRunner().invoke(main, list(arguments))
    assert said.exit_code in codes, said.output
    assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
    assert "Traceback" not in said.stderr
    assert "\x1b" not in said.output
    assert "\u202e" not in said.output
    return said


@every
@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["run"],
        ["report"],
        ["emulate"],
        ["run", "scenario.yaml", "--set", "name=5 5", "--out"],
        ["check", "--offline", "scenario.yaml", "--set"],
    ],
    ids=" ".join,
)
def test_a_path_of_the_command_line(path: str, arguments: list[str]) -> None:
    fault(*arguments, path)


@every
def test_the_directory_of_a_run(path: str) -> None:
    if path in (PATHS["commands"],):
        pytest.skip("a directory may be called that")
    said = fault("run", "scenario.yaml", "--out", path)
    assert "cannot write a run to" in said.stderr


@every
def test_the_scenario_that_init_writes(path: str) -> None:
    fault("init", path, codes=(0, 2) if path == PATHS["commands"] else (2,))


@every
@pytest.mark.parametrize("key", ["feeder.file", "event_file", "prices", "phases", "target.tls.ca"], ids=lambda key: key)
def test_a_path_of_a_scenario(path: str, key: str) -> None:
    written = json.dumps(path)
    if key == "phases":
        written = f"[{{name: s, trace: {{file: {written}, format: azure-2021}}, duration: 1s}}]"
    said = fault("check", "--offline", "scenario.yaml", "--set", f"{key}={written}")
    assert said.stdout == ""


@every
@pytest.mark.parametrize(
    "arguments", [["restore"], ["restore", "x"], ["doctor"], ["check", "--offline", "scenario.yaml"]]
)
def test_the_directory_of_the_state(path: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(Path.cwd() / path))
    fault(*arguments, codes=(0, 1, 2))


@every
@pytest.mark.parametrize("variable", ["HOME", "OS_CLIENT_CONFIG_FILE", "HUAWEICLOUD_SDK_CREDENTIALS_FILE"])
def test_where_credentials_are_looked_for(path: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, path)
    real = "https://functiongraph.eu-de.otc.t-systems.com"
    target = f"target={{endpoint: '{real}', project_id: p, function: f, auth: environment}}"
    fault("check", "--offline", "scenario.yaml", "--set", target)


@every
def test_the_truth_of_the_emulator(path: str) -> None:
    if path == PATHS["commands"] or path == PATHS["not UTF-8"]:
        pytest.skip("a file may be called that")
    said = fault("emulate", "--truth", path, codes=(1, 2))
    assert "cannot write the truth log" in said.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="the limit is set by a shell")
def test_a_file_that_may_not_grow_is_a_fault_too() -> None:
    command = f'ulimit -f 0; trap "" XFSZ; "{sys.executable}" -m loadgen init new/s.yaml'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("cannot write")
    assert "Traceback" not in done.stderr
