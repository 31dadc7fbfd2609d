"""A job of GitHub Actions is told what broke, and has the report as its summary; nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from loadgen.cli.github import commands, tell
from loadgen.measure.summary import ThresholdResult
from tests.report.builders import degraded, valid


def test_broken_rules_are_errors_and_open_ones_warnings() -> None:
    said = list(commands(degraded()))
    assert [each.split(" ")[0] for each in said] == ["::error", "::error", "::warning"]
    assert list(commands(valid())) == []


def test_no_text_ends_its_command_or_begins_another() -> None:
    result = ThresholdResult("errors < 1%", None, None, "100%\n::error::planted")
    named = replace(valid(), thresholds=[result], run=replace(valid().run, name="a:b,c"))
    (said,) = commands(named)
    assert "\n" not in said
    assert said.startswith("::warning title=loadgen a%3Ab%2Cc::errors < 1%25")


def test_the_report_is_added_to_the_summary_of_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = tmp_path / "step.md"
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    tell(valid(), "# report\n")
    assert step.read_text() == "before\n"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    tell(valid(), "# report\n")
    assert step.read_text() == "before\n# report\n"


def test_a_summary_that_cannot_be_written_is_said_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "step.md"))
    tell(valid(), "# report\n")
    assert "GITHUB_STEP_SUMMARY cannot be written" in capsys.readouterr().err
