"""What goes to stdout is what was asked for, and nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from loadgen.cli.report import report
from loadgen.measure.summary import Summary, decode, encode
from loadgen.report.markdown import markdown
from loadgen.report.screen import screen
from loadgen.report.terminal import terminal
from tests.report.builders import valid


@pytest.fixture
def run(tmp_path: Path) -> str:
    (tmp_path / "summary.json").write_bytes(encode(valid()))
    return str(tmp_path)


def printed(run: str, *options: str) -> str:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(report, [run, *options])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_one_screen_is_the_default_and_everything_is_asked_for(run: str) -> None:
    assert printed(run) == screen(valid(), width=80)
    assert printed(run, "--full") == terminal(valid(), width=80)


def test_json_is_the_summary_on_one_line(run: str) -> None:
    text = printed(run, "--format", "json")
    assert text.count("\n") == 1
    assert decode(text.encode()) == valid()
    assert isinstance(msgspec.json.decode(text, type=Summary), Summary)


def test_markdown_is_the_report_and_none_is_nothing(run: str) -> None:
    assert printed(run, "--format", "markdown") == markdown(valid())
    assert printed(run, "--format", "none") == ""
