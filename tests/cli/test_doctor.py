from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from loadgen.cli.doctor import doctor
from loadgen.run.calibration import SECONDS, store, stored
from tests.measure.test_floor import FLOOR


def examined(home: Path, *options: str) -> Result:
    """``loadgen doctor`` with this directory for the user's state."""
    return CliRunner().invoke(doctor, options, env={"XDG_STATE_HOME": str(home)})


def test_every_limit_is_shown_with_what_it_allows(tmp_path: Path) -> None:
    result = examined(tmp_path)
    assert result.exit_code == 0
    for what in ("build", "event loop", "TLS", "cores", "container", "open files", "clock", "timer", "overhead floor"):
        assert what in result.stdout
    marks = sum(line.startswith(("ok ", "!! ")) for line in result.stdout.splitlines())
    assert result.stdout.count("allows ") >= marks >= 9


def test_without_a_calibration_it_says_how_to_get_one(tmp_path: Path) -> None:
    said = examined(tmp_path).stdout
    assert "!!  overhead floor  not measured" in said
    assert "loadgen doctor --calibrate measures it" in said


def test_a_calibration_of_this_machine_and_build_is_shown(tmp_path: Path) -> None:
    (tmp_path / "loadgen").mkdir()
    store(FLOOR, tmp_path / "loadgen")
    said = examined(tmp_path).stdout.replace("\N{NO-BREAK SPACE}", " ")
    assert "service_time p50 150 µs, p99 300 µs, p99.9 800 µs at 1,000/s (2026-11-22T03:15:00Z)" in said
    assert "ok  overhead floor" in said


def test_a_calibration_of_another_build_is_not_used_and_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "loadgen").mkdir()
    other = msgspec.structs.replace(FLOOR.environment, version="0.0.1")
    store(msgspec.structs.replace(FLOOR, environment=other), tmp_path / "loadgen")
    said = examined(tmp_path).stdout
    assert f"not used: version was 0.0.1, is {FLOOR.environment.version}" in said
    assert "!!  overhead floor" in said


def test_a_place_that_cannot_be_written_is_found_before_the_calibration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = examined(tmp_path / "file", "--calibrate")
    assert result.exit_code == 1
    assert "cannot write to" in result.stderr
    assert "XDG_STATE_HOME names another place" in result.stderr
    assert "calibrating" not in result.stderr


IN_SO_MANY_SECONDS = """
import sys
from functools import partial
from loadgen.__main__ import main
from loadgen.run import calibration
calibration.against_stub = partial(calibration.against_stub, seconds=int(sys.argv.pop(1)))
main()
"""


@pytest.mark.parametrize("seconds", [1, pytest.param(10, marks=pytest.mark.soak)])
@pytest.mark.timeout(120)
def test_a_calibration_is_kept_and_shown_or_says_what_was_in_its_way(tmp_path: Path, seconds: int) -> None:
    """Which of the two is for the machine to decide that runs the tests."""
    done = subprocess.run(
        [sys.executable, "-c", IN_SO_MANY_SECONDS, str(seconds), "doctor", "--calibrate"],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    floor = stored(tmp_path / "loadgen")
    if floor is None:
        assert done.returncode == 1
        assert "nothing is kept of this calibration; try again. " in done.stderr
        return
    assert done.returncode == 0
    assert floor.measured_at in done.stdout
    assert floor.latency.count == 1_000 * seconds
    kept = floor.service_time
    assert kept.p50_ns is not None
    assert kept.p99_ns is not None
    assert (kept.p999_ns is None) == (seconds < SECONDS)
    assert 1_000 < kept.p50_ns <= kept.p99_ns <= (kept.p999_ns or kept.p99_ns)
