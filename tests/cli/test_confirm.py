"""A terminal is asked, whatever else is not: a real one, with a process behind it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, environment

SCENARIO = """
name: x
target: {endpoint: "https://functiongraph.example.invalid", project_id: p, function: hello}
phases: [{name: a, rate: 1000/s, duration: 1m}]
"""
ASK = "import asyncio; from loadgen.cli.confirm import confirm; print(asyncio.run(confirm('this is much')))"


def answered(command: list[str], answer: bytes, cwd: Path) -> tuple[int, str, str]:
    """The exit code of a command on a terminal, its stdout, and what it wrote to the terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, cwd=cwd, env=environment(), start_new_session=True
    ) as process:
        os.close(theirs)
        seen = b""
        while b"Go on?" not in seen:
            seen += os.read(ours, 1000)
        os.write(ours, answer)
        assert process.stdout is not None
        printed = process.stdout.read().decode()
        code = process.wait(30)
        try:
            while more := os.read(ours, 1000):
                seen += more
        except OSError:  # nobody has it open any more
            pass
    os.close(ours)
    return code, printed, seen.decode()


def test_a_no_before_the_run_ends_it_with_2_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SCENARIO)
    command = [sys.executable, "-m", "loadgen", "run", "s.yaml", "--out", "run"]
    code, _, seen = answered(command, b"n\n", tmp_path)
    assert code == 2
    assert "This run may make 60001 invocations, and confirm.invocations is 10000. Go on?" in seen
    assert "not confirmed, so nothing was run" in seen
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("answer", "agreed"), [(b"y\n", True), (b"Yes\n", True), (b"n\n", False), (b"\n", False)])
def test_a_question_in_the_middle_of_a_run_waits_for_its_answer(tmp_path: Path, answer: bytes, agreed: bool) -> None:
    code, printed, seen = answered([sys.executable, "-c", ASK], answer, ROOT)
    assert (code, printed.strip()) == (0, str(agreed))
    assert "This is much. Go on? [y/N]: " in seen


def test_without_a_terminal_the_question_is_declined_with_the_remedy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1
    assert "DeclinedError: this is much. There is no terminal to ask on: give --yes" in done.stderr
