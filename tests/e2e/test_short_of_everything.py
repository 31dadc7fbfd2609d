"""Limits of this machine or process, met before and while a run begins: one sentence, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import environment
from tests.e2e.processes import EMULATED


def limited(
    limit: str, tmp_path: Path, command: str = "run scenario.yaml --out run"
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "scenario.yaml").write_text(EMULATED)
    done = subprocess.run(
        ["sh", "-c", f'ulimit {limit} && exec "{sys.executable}" -m loadgen {command}'],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("kilobytes", [24_000, 32_000, 40_000, 48_000])
def test_too_little_memory_is_a_sentence(tmp_path: Path, kilobytes: int) -> None:
    done = limited(f"-v {kilobytes}", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "ulimit -v" in done.stderr or "did not start" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("files", [12, 24])
def test_a_limit_of_files_below_what_an_agent_itself_needs_is_said_as_that(tmp_path: Path, files: int) -> None:
    done = limited(f"-n {files}", tmp_path)
    assert done.returncode == 2
    assert (
        f"this machine allows {files} (hard limit), which is enough for none. Raise it (as root: ulimit" in done.stderr
    )
    assert "at most 0" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_doctor_under_such_a_limit_says_that_no_connection_is_possible(tmp_path: Path) -> None:
    done = limited("-n 20", tmp_path, "doctor")
    assert "allows no connection at all: an agent needs more than that for itself" in done.stdout


@pytest.mark.parametrize("out", ["run", "run/deeper", "there"])
def test_a_disk_that_takes_nothing_is_said_before_the_run_and_nothing_is_left(tmp_path: Path, out: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    done = limited("-f 0", tmp_path, f"run scenario.yaml --out {out}")
    assert done.returncode == 2
    assert f"cannot write a run to {out}: File too large; give --out a directory that can be written" in done.stderr
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left - {"run"} == {"scenario.yaml", "there", "there/mine"}
