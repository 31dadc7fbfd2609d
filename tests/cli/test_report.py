from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from loadgen.cli.report import report
from loadgen.measure.summary import encode
from loadgen.report.screen import screen
from tests.examples import fewer
from tests.report.builders import degraded, intervals, valid


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The directory of a finished run."""
    (tmp_path / "summary.json").write_bytes(encode(valid()))
    (tmp_path / "intervals.hlog").write_text("".join(intervals(valid())))
    return tmp_path


def test_the_reports_are_written_again_and_the_summary_goes_to_stdout(run: Path) -> None:
    (run / "report.md").write_text("old")
    result = CliRunner(env={"COLUMNS": "80"}).invoke(report, [str(run)])
    assert result.exit_code == 0
    assert result.stdout == screen(valid(), width=80)
    assert "report.html" in result.stderr
    assert (run / "report.md").read_text().startswith("# warm")
    assert "Latency over time" in (run / "report.html").read_text()


def test_a_run_without_intervals_still_has_a_report(run: Path) -> None:
    (run / "intervals.hlog").unlink()
    assert CliRunner().invoke(report, [str(run)]).exit_code == 0
    assert "No charts over time" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", None, "not the directory of a finished run"),
        ("summary.json", b"{", "summary.json is not"),
        ("intervals.hlog", b"nonsense\n\n", "line 1 of the histogram log"),
        ("intervals.hlog", b"\xff\n", "not a histogram log"),
    ],
)
def test_what_is_not_a_run_exits_with_2_and_one_line(run: Path, name: str, content: bytes | None, message: str) -> None:
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content)
    result = CliRunner().invoke(report, [str(run)])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error")]) == 1
    assert result.stdout == ""


SUMMARY = encode(degraded())
LOG = "".join(intervals(degraded())).encode()


@fewer(2)
@given(st.sampled_from(["summary.json", "intervals.hlog"]), st.data())
def test_a_damaged_run_is_either_rendered_or_an_error_of_one_line(name: str, data: st.DataObject) -> None:
    content = bytearray(SUMMARY if name == "summary.json" else LOG)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from(b'019-"{}[],.eE \n\xff'))
    with TemporaryDirectory() as directory:
        run = Path(directory)
        (run / "summary.json").write_bytes(SUMMARY)
        (run / "intervals.hlog").write_bytes(LOG)
        (run / name).write_bytes(content)
        result = CliRunner().invoke(report, [directory])
    assert result.exit_code in (0, 2)
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_path_that_is_not_there_exits_with_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(report, [str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "is not a directory; expected one that `loadgen run` wrote" in result.stderr


def test_reports_that_cannot_be_written_exit_with_1(run: Path) -> None:
    (run / "report.html").mkdir()
    result = CliRunner().invoke(report, [str(run)])
    assert result.exit_code == 1
    assert "cannot write the reports" in result.stderr
