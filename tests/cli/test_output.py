"""What a run does when its outputs are closed, full, or cannot show a character; and when it is interrupted."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadgen.cli import output
from loadgen.cli.progress import Progress
from loadgen.experiments.decision import Ask
from loadgen.measure.merge import PhaseTotal
from tests.cli.displays import S, frame, scenario
from tests.e2e.conftest import environment
from tests.frames import plan

SHORT = """
name: short
target: {endpoint: emulator, function: hello}
phases:
  - {name: steady, rate: 50/s, duration: 200ms}
emulator:
  functions: {hello: {work: {median: 1ms, sigma: 0}, cold_start: none}}
"""
WRITTEN = {"scenario.yaml", "environment.json", "summary.json", "intervals.hlog", "report.md", "report.html"}


def run(tmp_path: Path, redirection: str = "", **extra: str) -> subprocess.CompletedProcess[bytes]:
    (tmp_path / "s.yaml").write_text(SHORT)
    command = f'"{sys.executable}" -P -m loadgen run s.yaml --out run {redirection}'
    return subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={**environment(), **extra},
        capture_output=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", "2>/dev/full", "> >(exec true)", "2> >(exec true)"])
def test_a_run_whose_output_nobody_reads_is_written_all_the_same(tmp_path: Path, redirection: str) -> None:
    done = run(tmp_path, redirection)
    assert done.returncode in (0, 97), done.stderr  # 97: the machine is busy
    assert {path.name for path in (tmp_path / "run").iterdir()} >= WRITTEN
    assert b"Traceback" not in done.stderr


def test_results_that_cannot_be_printed_are_written_and_the_run_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, ">/dev/full")
    assert done.returncode == 1
    assert b"error: cannot print the results: No space left on device; they are in run" in done.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} >= WRITTEN


def test_an_output_in_latin_1_gets_plainer_characters_and_a_module_in_the_directory_is_not_the_emulators(
    tmp_path: Path,
) -> None:
    (tmp_path / "aiohttp.py").write_text("raise SystemExit('not the real one')")
    done = run(tmp_path, PYTHONIOENCODING="latin-1")
    assert done.returncode in (0, 97), done.stderr
    assert "\\u" not in done.stdout.decode("latin-1")


def test_an_output_that_is_full_is_one_line_of_error() -> None:
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m loadgen schema summary >/dev/full'],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


def test_characters_that_an_output_lacks_are_written_in_a_plainer_form(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    output.prepare()
    sys.stdout.write("p99 ≥ 1.5\xa0µs – 12\u202f345 ☃")
    sys.stdout.flush()
    assert raw.getvalue() == b"p99 >= 1.5 us - 12 345 \\u2603"


@pytest.mark.parametrize("interactive", [True, False])
def test_a_display_that_cannot_be_written_falls_silent(interactive: bool) -> None:
    with Path("/dev/full").open("w") as full:
        progress = Progress(scenario(), full, interactive=interactive)
        progress.note("lost")
        progress.asked(Ask((), purpose="lost"))
        progress.phase_started(plan(), PhaseTotal("steady"), S)
        progress.frame(frame(1))
        progress.close()
    Progress(scenario(), None, interactive=False).note("lost")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_left_out_where_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.colour()
    monkeypatch.setenv(name, value)
    assert not output.colour()


def test_a_terminal_that_hangs_up_interrupts_the_run_which_writes_its_results(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SHORT.replace("200ms", "60s"))
    with subprocess.Popen(
        [sys.executable, "-m", "loadgen", "run", "s.yaml", "--out", "run"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may be under nohup
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("phase steady"):
                break
        process.send_signal(signal.SIGHUP)
        process.stderr.read()
    assert process.returncode == 130
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["run"]["interrupted"]
