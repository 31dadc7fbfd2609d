from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadgen.cli.compare import compare
from loadgen.comparison.comparison import Comparison, Several
from loadgen.measure.summary import Summary, encode
from tests.comparison.runs import scenario, slower
from tests.examples import fewer
from tests.report.builders import degraded, intervals, valid


def written(directory: Path, summary: Summary, log: bool = False) -> str:
    directory.mkdir()
    (directory / "summary.json").write_bytes(encode(summary))
    if log:
        (directory / "intervals.hlog").write_text("".join(intervals(summary)))
    return str(directory)


def invoked(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(compare, list(arguments))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("runs") / "base", slower(1))


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("runs") / "worse", slower(1.12))


def test_the_answer_comes_first_in_80_columns(base: str, worse: str) -> None:
    result = invoked(base, worse)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    answer = next(n for n, line in enumerate(lines) if line.startswith("WORSE: "))
    assert not any(" latency." in line for line in lines[:answer])
    assert max(map(len, lines)) <= 80


def test_json_is_one_comparison_with_the_promised_fields(base: str, worse: str) -> None:
    found = json.loads(invoked(base, worse, "--format", "json").stdout)
    jsonschema.validate(found, msgspec.json.schema(Comparison))
    assert list(found) == ["schema", "base", "new", "comparable", "notes", "rows"]
    assert found["schema"] == "loadgen.comparison/1"
    assert list(found["rows"][0]) == [
        "phase", "call", "start", "metric", "statistic", "base", "new", "ratio", "low", "high", "verdict",
    ]  # fmt: skip
    p95 = next(row for row in found["rows"] if (row["metric"], row["statistic"]) == ("latency", "p95"))
    assert p95["verdict"] == "worse"
    assert p95["low"] < 1.12 < p95["high"]


def test_json_of_several_new_runs_is_a_list_in_their_order(base: str, worse: str) -> None:
    found = json.loads(invoked(base, worse, base, "--format", "json").stdout)
    jsonschema.validate(found, msgspec.json.schema(Several))
    assert found["schema"] == "loadgen.comparisons/1"
    assert [each["new"]["path"] for each in found["comparisons"]] == [worse, base]


def test_markdown_is_a_table(base: str, worse: str) -> None:
    shown = invoked(base, worse, "--format", "markdown").stdout
    assert "**WORSE**: " in shown
    assert "|---|---:|---:|---|---|" in shown


@pytest.mark.parametrize(
    ("fail_on", "against_itself", "against_worse"), [(None, 0, 0), ("worse", 0, 99), ("unclear", 0, 99)]
)
def test_what_is_not_wanted_ends_with_99(
    base: str, worse: str, fail_on: str | None, against_itself: int, against_worse: int
) -> None:
    options = [] if fail_on is None else ["--fail-on", fail_on]
    assert invoked(base, base, *options).exit_code == against_itself
    assert invoked(base, worse, *options).exit_code == against_worse


def test_unclear_rows_end_with_99_where_asked_for(base: str, tmp_path: Path) -> None:
    few = written(tmp_path / "few", slower(1, 300))
    assert invoked(few, few, "--fail-on", "unclear").exit_code == 99
    assert invoked(few, few, "--fail-on", "worse").exit_code == 0


def test_runs_that_cannot_be_compared_exit_with_2_and_say_what_differs(tmp_path: Path) -> None:
    one = slower(1, 1000)
    runs = [
        written(tmp_path / rate, scenario(one, phases=[{"name": "steady", "rate": f"{rate}/s"}]))
        for rate in ("10", "20")
    ]
    result = invoked(*runs, "--fail-on", "worse")
    assert result.exit_code == 2
    assert "rate of phase steady differs: 10/s and 20/s" in " ".join(result.stdout.split())
    assert json.loads(invoked(*runs, "--format", "json").stdout)["comparable"] is False


def test_a_larger_noise_makes_a_difference_the_same(base: str, worse: str) -> None:
    assert invoked(base, worse, "--noise", "20%", "--fail-on", "unclear").exit_code == 0


@pytest.mark.parametrize("noise", ["5", "-5%", "60%", "x%"])
def test_a_noise_that_is_none_is_a_usage_error(base: str, noise: str) -> None:
    result = invoked(base, base, "--noise", noise)
    assert result.exit_code == 2
    assert "expected" in result.stderr


def test_a_summary_alone_and_one_of_another_name_are_runs_too(base: str, tmp_path: Path) -> None:
    saved = tmp_path / "baseline.json"
    saved.write_bytes(Path(base, "summary.json").read_bytes())
    assert invoked(str(saved), f"{base}/summary.json", "--fail-on", "unclear").exit_code == 0


def test_a_log_of_intervals_is_read_where_there_is_one(tmp_path: Path) -> None:
    run = written(tmp_path / "run", valid(), log=True)
    assert invoked(run, run).exit_code == 0


def test_an_older_summary_without_later_fields_stays_readable(tmp_path: Path) -> None:
    def older(node: Any) -> Any:
        later = {
            "by_call", "disturbed", "unstamped", "workers", "in_flight_mean", "preflights", "whose",
            "figures", "causes", "decided_by", "failed", "billing", "stopped", "address", "local_ports", "agents_why",
            "arrival_clock",
        }  # fmt: skip
        if isinstance(node, dict):
            return {key: older(value) for key, value in node.items() if key not in later}
        return [older(each) for each in node] if isinstance(node, list) else node

    now = written(tmp_path / "now", valid())
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "summary.json").write_text(json.dumps(older(json.loads(encode(valid())))))
    assert invoked(str(tmp_path / "old"), now).exit_code == 0
    assert invoked(now, str(tmp_path / "old")).exit_code == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", None, "not the directory of a finished run"),
        ("summary.json", b"{", "summary.json is not"),
        ("summary.json", encode(valid()).replace(b"loadgen.summary/1", b"loadgen.summary/9"), "another schema"),
        ("intervals.hlog", b"nonsense\n\n", "line 1 of the histogram log"),
        ("intervals.hlog", b"\xff\n", "not a histogram log"),
    ],
)
def test_what_is_not_a_run_exits_with_2_and_one_sentence(
    base: str, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    run = tmp_path / "run"
    written(run, valid(), log=True)
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content)
    for pair in ((base, str(run)), (str(run), base)):
        result = invoked(*pair)
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stdout == ""
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("path", ["none", "x" * 10_000, "/proc/self/status"])
def test_a_path_that_is_no_run_exits_with_2(base: str, path: str) -> None:
    result = invoked(base, path)
    assert result.exit_code == 2
    assert len(result.stderr) < 1_000


def test_names_of_ten_thousand_characters_are_cut(tmp_path: Path) -> None:
    one = slower(1, 1000)
    long = replace(one, run=replace(one.run, name="n\x1b" * 5_000))
    run = written(tmp_path / "run", scenario(long, tags={"k" * 10_000: "v" * 10_000}))
    other = written(tmp_path / "other", long)
    result = invoked(run, other)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "\x1b" not in result.stdout


SUMMARY = encode(degraded())
LOG = "".join(intervals(degraded())).encode()


@fewer(2)
@given(st.sampled_from(["summary.json", "intervals.hlog"]), st.data())
def test_a_damaged_run_is_either_compared_or_an_error_of_one_sentence(name: str, data: st.DataObject) -> None:
    content = bytearray(SUMMARY if name == "summary.json" else LOG)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from(b'019-"{}[],.eE \n\xff'))
    with TemporaryDirectory() as directory:
        good, bad = Path(directory, "good"), Path(directory, "bad")
        for run in (good, bad):
            run.mkdir()
            (run / "summary.json").write_bytes(SUMMARY)
            (run / "intervals.hlog").write_bytes(LOG)
        (bad / name).write_bytes(content)
        result = invoked(str(good), str(bad), "--format", data.draw(st.sampled_from(["terminal", "json", "markdown"])))
    assert result.exit_code in (0, 2)
    assert result.exception is None or isinstance(result.exception, SystemExit)
