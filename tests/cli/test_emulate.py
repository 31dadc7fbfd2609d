"""`loadgen emulate` as its user sees it: a real process, its streams, its exit code."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli.emulate import emulate

COMMAND = [sys.executable, "-c", "from loadgen.cli.emulate import emulate; emulate()"]
BLOCK = """\
emulator:
  seed: 3
  functions:
    resize: {memory: 256MB, work: {median: 1ms, sigma: 0.1}, cold_start: none}
"""


@contextmanager
def emulating(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate(timeout=10)


def invoke(url: str, function: str) -> dict[str, object]:
    """The summary of a call, which must succeed."""
    request = urllib.request.Request(f"{url}/v2/demo/fgs/functions/{function}/invocations", data=b"{}")
    with urllib.request.urlopen(request, timeout=30) as response:
        summary: dict[str, object] = json.loads(response.headers["X-Cff-Invoke-Summary"])
        return summary


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_url_says_that_numbers_are_synthetic_and_stops_cleanly(number: signal.Signals) -> None:
    with emulating() as (url, process):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=10)
        assert process.returncode == 0
        assert stdout == ""
        assert stderr == "The emulator answers in place of FunctionGraph: every number it gives is synthetic.\n"


def test_without_a_file_it_serves_hello_and_writes_the_truth(tmp_path: Path) -> None:
    truth = tmp_path / "truth.ndjson"
    with emulating("--truth", str(truth), "--seed", "5") as (url, process):
        summary = invoke(url, "urn:fss:local:demo:function:default:hello:latest")
        process.terminate()
        process.wait(timeout=10)
    assert summary["memorySize"] == 128
    (record,) = [json.loads(line) for line in truth.read_text().splitlines()]
    assert (record["function"], record["cold"], record["status"]) == ("hello", True, 200)
    assert record["duration_ns"] == round(float(str(summary["duration"])) * 1_000_000)


def test_a_file_names_the_functions_and_the_port_is_the_one_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "emulator.yaml"
    file.write_text(BLOCK)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with emulating(str(file), "--port", str(port)) as (url, _):
        assert url == f"http://127.0.0.1:{port}"
        assert invoke(url, "resize")["memorySize"] == 256


def test_a_port_in_use_is_one_line_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"Error: port {port} of 127.0.0.1 is in use: choose another one, or leave it out to take any free port\n"
    )


def test_a_file_with_faults_is_exit_code_2_and_names_them(tmp_path: Path) -> None:
    file = tmp_path / "emulator.yaml"
    file.write_text(BLOCK.replace("256MB", "256"))
    result = CliRunner().invoke(emulate, [str(file)])
    assert result.exit_code == 2
    assert "emulator.yaml:4" in result.stderr
    assert result.stdout == ""


def test_the_help_is_the_one_on_record(snapshot: object) -> None:
    assert CliRunner().invoke(emulate, ["--help"], prog_name="loadgen emulate").output == snapshot


def test_a_truth_log_never_replaces_the_scenario(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(BLOCK)
    result = CliRunner().invoke(emulate, [str(file), "--truth", str(file)])
    assert result.exit_code == 2
    assert "is the scenario itself" in result.stderr
    assert file.read_text() == BLOCK
