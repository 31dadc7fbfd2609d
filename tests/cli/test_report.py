from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from loadgen.cli.report import report
from loadgen.history.journal import beginning, framed
from loadgen.history.rundir import JOURNAL
from loadgen.measure.summary import encode
from loadgen.report.screen import screen
from loadgen.report.timeline import timeline
from loadgen.run.journal import encode as encode_record
from tests.examples import fewer
from tests.journals import KEY, cut_short
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
    over_time = timeline(intervals(valid()))
    assert result.stdout == screen(valid(), over_time, width=80)
    assert "over time; peak" in result.stdout
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


STRANGE: tuple[Any, ...] = (
    2**63, -1, 0, 1e308, float("nan"), "", "\x1b]0;x\x07<script>", None, [], {}, b"\x00\x01", ["x"] * 3, {"x": {}},
)  # fmt: skip


def leaves(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a record."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in leaves(each, (*path, key)))]


def doctored(value: Any, path: tuple[Any, ...], by: object) -> Any:
    if not path:
        return by
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = doctored(copy[path[0]], path[1:], by)
    return copy


RECORDS = [msgspec.msgpack.decode(encode_record(each)) for each in cut_short()]


@fewer(5)
@given(st.integers(0, len(RECORDS) - 1), st.data())
def test_a_journal_that_somebody_made_up_is_rendered_or_an_error_of_one_line(at: int, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(leaves(RECORDS[at])))
    records = [*RECORDS[:at], doctored(RECORDS[at], path, data.draw(st.sampled_from(STRANGE))), *RECORDS[at + 1 :]]
    with TemporaryDirectory() as directory:
        (Path(directory) / JOURNAL).write_bytes(
            beginning(KEY) + b"".join(framed(KEY, msgspec.msgpack.encode(each)) for each in records)
        )
        result = CliRunner().invoke(report, [directory])
        page = Path(directory) / "report.html"
        shown = page.read_text() if page.exists() else ""
    assert result.exit_code in (0, 2), result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "\x1b]" not in result.output + shown
    assert shown.count("<script>") == (1 if shown else 0)  # the page's own


@pytest.mark.parametrize("price", ["per_million_requests", "per_gb_second"])
@pytest.mark.parametrize("by", [math.nan, math.inf])
def test_a_journal_whose_prices_are_no_numbers_is_damaged(tmp_path: Path, price: str, by: float) -> None:
    records = [doctored(RECORDS[0], ("terms", "prices", price), by), *RECORDS[1:]]
    bodies = (framed(KEY, msgspec.msgpack.encode(each)) for each in records)
    (tmp_path / JOURNAL).write_bytes(beginning(KEY) + b"".join(bodies))
    result = CliRunner().invoke(report, [str(tmp_path)])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "the record of what ran is damaged" in result.output


@pytest.mark.parametrize("depth", [60, 900, 20_000])
def test_a_journal_that_is_nested_without_end_is_none(tmp_path: Path, depth: int) -> None:
    nested = b"\x81\xa1a" * depth + b"\xc0"
    opening = msgspec.msgpack.encode({**RECORDS[0], "terms": {**RECORDS[0]["terms"], "document": {"PLACE": 1}}})
    body = opening.replace(b"\xa5PLACE\x01", b"\xa5PLACE" + nested)
    (tmp_path / JOURNAL).write_bytes(beginning(KEY) + framed(KEY, body))
    result = CliRunner().invoke(report, [str(tmp_path)])
    assert result.exit_code in (0, 2), result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit)
