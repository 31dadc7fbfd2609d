"""What reads runs, on runs as they may be found: empty, cut, edited, of another version, written twice at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from loadgen.cli import main
from loadgen.history.rundir import RunDirectory, default_path
from loadgen.measure.merge import metric_summary
from loadgen.measure.percentile import LISTED
from loadgen.measure.summary import Summary, encode
from tests.e2e.conftest import environment
from tests.report.builders import histogram, intervals, phase, valid

COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "report": lambda odd, _: ["report", str(odd)],
    "history": lambda odd, _: ["history", "--dir", str(odd.parent)],
    "compare": lambda odd, good: ["compare", str(good), str(odd)],
    "compare html": lambda odd, good: ["compare", str(odd), str(good), "--format", "html"],
    "check --baseline": lambda odd, good: ["check", str(good / "gate.yaml"), "--baseline", str(odd)],
}
GATE = """
name: gate
target: {url: "http://127.0.0.1:9/", preflight: false}
phases: [{name: steady, rate: 200/s, duration: 30s}]
thresholds: [latency.p99 < 110% of baseline, errors < 110% of baseline, achieved_rate > 90% of baseline]
"""


def of(latencies_us: list[int], failed: int = 0) -> Summary:
    """A load of these ok calls and so many others."""
    ok = histogram(latencies_us)
    measured = {name: metric_summary(name, ok, LISTED) for name in ("latency", "service_time") if latencies_us}
    if latencies_us or failed:
        measured["latency_all"] = metric_summary("latency_all", ok, LISTED, failed=histogram([9_000] * failed))
    outcomes = {"ok": len(latencies_us), "gateway": failed}
    made = [phase(name, 30, outcomes, measured=measured) for name in ("steady", "totals")]
    return replace(valid(), phases=made[:1], totals=made[1])


def edited(**changes: Any) -> bytes:
    """A summary that somebody changed by hand; None takes a key away."""
    data = {**json.loads(encode(valid())), **changes}
    return json.dumps({key: value for key, value in data.items() if value is not None}).encode()


def without_histograms() -> bytes:
    data = json.loads(encode(valid()))
    for each in (*data["phases"], data["totals"]):
        for metric in each["metrics"].values():
            metric["histogram"] = "not a histogram"
    return json.dumps(data).encode()


ODD: dict[str, bytes | None] = {
    "no ok call": encode(of([], 5)),
    "no call": encode(of([])),
    "one call": encode(of([20_000])),
    "one ok of two": encode(of([20_000], 1)),
    "a name of ten thousand characters": encode(replace(valid(), run=replace(valid().run, name="n" * 10_000))),
    "newer": edited(schema="loadgen.summary/2"),
    "newer with keys of its own": edited(tomorrow={"a": [1]}),
    "older": edited(outcome=None, answer=None, next=None, preflights=None),
    "no schema": edited(schema=None),
    "no phases": edited(phases=[]),
    "negative": encode(replace(of([20_000]), totals=replace(of([20_000]).totals, duration_ns=-1, achieved_rate=-1.0))),
    "no time": encode(replace(of([20_000]), totals=replace(of([20_000]).totals, duration_ns=0))),
    "histograms that are none": without_histograms(),
    "an instant that is none": encode(replace(valid(), run=replace(valid().run, started_at="yesterday"))),
    "cut": encode(valid())[:2_000],
    "empty": b"",
    "unfinished": None,
}


def written(directory: Path, content: bytes | None) -> Path:
    directory.mkdir(parents=True)
    if content is not None:
        (directory / "summary.json").write_bytes(content)
    (directory / "intervals.hlog").write_text("".join(intervals(valid())))
    return directory


def invoked(arguments: list[str]) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(main, arguments)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("odd", ODD)
def test_every_run_is_shown_or_said_to_be_none_in_few_words(tmp_path: Path, command: str, odd: str) -> None:
    good = written(tmp_path / "good", encode(valid()))
    (good / "gate.yaml").write_text(GATE)
    run = written(tmp_path / "with blanks and ünïcödé \N{SNOWMAN}", ODD[odd])
    result = invoked(COMMANDS[command](run, good))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 2)
    assert "Traceback" not in result.stderr
    assert len(result.stderr) < 2_000
    assert result.exit_code == 0 or result.stderr


def test_a_name_of_ten_thousand_characters_makes_a_directory_that_can_be(tmp_path: Path) -> None:
    path = tmp_path / default_path("n" * 10_000, datetime.now(UTC)).name
    RunDirectory.create(path).close()
    assert path.is_dir()


def processes(*commands: list[str], cwd: Path) -> list[tuple[int, str]]:
    """Exit codes and messages of commands that run at the same time."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "loadgen", *command],
            cwd=cwd,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    done = [(process.communicate(timeout=60)[1], process) for process in running]
    return [(process.returncode, stderr) for stderr, process in done]


def test_reports_that_are_written_at_once_are_both_whole(tmp_path: Path) -> None:
    run = written(tmp_path / "a b", encode(valid()))
    ended = processes(*[["report", str(run)]] * 4, cwd=tmp_path)
    assert [code for code, _ in ended] == [0] * 4, ended
    assert (run / "report.html").read_text().endswith("</html>\n")
    assert not [path.name for path in run.iterdir() if path.name.endswith(".tmp")]


def test_two_runs_into_one_directory_are_one_run_and_one_refusal(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        'name: x\ntarget: {url: "http://127.0.0.1:9/", preflight: false}\n'
        "phases: [{name: steady, rate: 20/s, duration: 1s}]\n"
    )
    ended = processes(*[["run", "s.yaml", "--out", "run"]] * 2, cwd=tmp_path)
    refused = [stderr for code, stderr in ended if code == 2]
    assert len(refused) == 1
    assert "already holds a run" in refused[0] or "File exists" in refused[0]
    assert json.loads((tmp_path / "run" / "summary.json").read_bytes())["schema"] == "loadgen.summary/1"
