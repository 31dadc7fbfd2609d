"""Limits of this machine or process, met before and while a run begins: one sentence, nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import EMULATED
from tests.e2e.processes import limited


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "scenario.yaml").write_text(EMULATED)
    return tmp_path


RUN = "run scenario.yaml --out run"


@pytest.mark.parametrize("kilobytes", [24_000, 40_000])
def test_too_little_memory_is_a_sentence(here: Path, kilobytes: int) -> None:
    done = limited(here, f"-v {kilobytes}", RUN)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "ulimit -v" in done.stderr or "did not start" in done.stderr
    assert not (here / "run").exists()


@pytest.mark.parametrize("files", [12, 24])
def test_a_limit_of_files_below_what_an_agent_itself_needs_is_said_as_that(here: Path, files: int) -> None:
    done = limited(here, f"-n {files}", RUN)
    assert done.returncode == 2
    assert (
        f"this machine allows {files} (hard limit), which is enough for none. Raise it (as root: ulimit" in done.stderr
    )
    assert "at most 0" not in done.stderr
    assert not (here / "run").exists()


def test_a_doctor_under_such_a_limit_says_that_no_connection_is_possible(here: Path) -> None:
    done = limited(here, "-n 20", "doctor")
    assert "allows no connection at all: an agent needs more than that for itself" in done.stdout


@pytest.mark.parametrize("out", ["run", "run/deeper", "there"])
def test_a_disk_that_takes_nothing_is_said_before_the_run_and_nothing_is_left(here: Path, out: str) -> None:
    (here / "there").mkdir()
    (here / "there" / "mine").touch()
    done = limited(here, "-f 0", f"run scenario.yaml --out {out}")
    assert done.returncode == 2
    assert f"cannot write a run to {out}: File too large; give --out a directory that can be written" in done.stderr
    left = {path.relative_to(here).as_posix() for path in here.rglob("*")}
    assert left - {"run"} == {"scenario.yaml", "there", "there/mine"}
