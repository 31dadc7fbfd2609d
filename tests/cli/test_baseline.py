"""``--baseline``: what is refused before a load, and a real run beside a stored one."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from loadgen.cli import main
from loadgen.measure.summary import encode
from tests.comparison.runs import scenario, slower
from tests.e2e.processes import finish, start
from tests.servers.scripted import OK, Peer, serving

LOAD = """
name: gate
target: {{url: "http://127.0.0.1:{port}/", preflight: false}}
phases:
  - {{name: steady, rate: 50/s, duration: 2s}}
{rules}
"""
RULES = "thresholds: ['latency.p50 < 200% of baseline', 'errors < 110% of baseline']"
PHASES = [{"name": "steady", "rate": "50/s", "duration": "2s"}]


def stored(directory: Path, **changes: object) -> Path:
    directory.mkdir(parents=True)
    (directory / "summary.json").write_bytes(encode(scenario(slower(1, 5_000), phases=PHASES, target={}, **changes)))
    return directory


def written(tmp_path: Path, rules: str = RULES, more: str = "") -> str:
    path = tmp_path / "s.yaml"
    path.write_text(LOAD.format(port=9, rules=rules) + more)
    return str(path)


async def ok(peer: Peer) -> None:
    while await peer.request() is not None:
        await peer.send(OK)


def invoked(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(main, list(arguments))


def test_run_refuses_a_rule_of_a_baseline_without_one_and_says_the_remedy(tmp_path: Path) -> None:
    result = invoked("run", written(tmp_path), "--out", str(tmp_path / "run"))
    assert result.exit_code == 2
    assert "latency.p50 < 200% of baseline; errors < 110% of baseline: there is no baseline" in result.stderr
    assert "--baseline RUN" in result.stderr
    assert not (tmp_path / "run").exists()


def test_check_says_that_a_baseline_is_needed_and_takes_one(tmp_path: Path) -> None:
    needed = invoked("check", written(tmp_path))
    assert needed.exit_code == 0
    assert "baseline: needed for latency.p50 < 200% of baseline" in needed.stdout
    given = invoked("check", written(tmp_path), "--baseline", str(stored(tmp_path / "base")))
    assert given.exit_code == 0
    assert f"baseline: {slower(1, 5_000).run.id}" in given.stdout


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": {"connections": "fresh"}}, "target.connections differs: fresh and reuse"),
        ({"phases": [{"name": "steady", "rate": "51/s", "duration": "2s"}]}, "rate of phase steady differs"),
    ],
)
def test_a_baseline_of_another_load_ends_before_the_load_with_what_differs(
    tmp_path: Path, command: str, change: dict[str, object], said: str
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    changed = {"phases": PHASES, "target": {}, **change}
    (base / "summary.json").write_bytes(encode(scenario(slower(1, 5_000), **changed)))
    options = ["--out", str(tmp_path / "run")] if command == "run" else []
    result = invoked(command, written(tmp_path), "--baseline", str(base), *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is neither the directory of a run nor a summary.json"),
        (b"{}", "is not a loadgen.summary/1 file"),
        (b'{"schema": "loadgen.summary/0"}', "is not a loadgen.summary/1 file"),
    ],
)
def test_a_baseline_that_cannot_be_read_is_said_before_the_load(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    base = tmp_path / "base"
    if content is not None:
        base.mkdir()
        (base / "summary.json").write_bytes(content)
    result = invoked("run", written(tmp_path), "--baseline", str(base), "--out", str(tmp_path / "run"))
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_figure_that_the_baseline_lacks_is_said_before_the_load(tmp_path: Path) -> None:
    rules = "thresholds: ['latency.p98 < 110% of baseline']"
    result = invoked("run", written(tmp_path, rules), "--baseline", str(stored(tmp_path / "base")))
    assert result.exit_code == 2
    assert "p98 of latency_all is not in this summary" in result.stderr


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("kind: capacity\ncapacity: {{slo: ['latency.p99 < 110% of baseline']}}", "no baseline had the same"),
        ("kind: memory\nmemory: {{sizes: [128MB, 256MB], slo: ['errors < 110% of baseline']}}", "no baseline had"),
    ],
)
def test_rules_of_an_experiment_cannot_be_of_a_baseline(tmp_path: Path, block: str, said: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: x\ntarget: {endpoint: emulator, project_id: demo, function: hello}\n" + block.format() + "\n"
    )
    result = invoked("check", str(path))
    assert result.exit_code == 2
    assert said in result.stderr


def test_several_measured_phases_are_named_in_a_rule_of_a_baseline(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        LOAD.format(port=9, rules="").replace("2s}", "2s}\n  - {name: more, rate: 9/s, duration: 1s}") + RULES
    )
    result = invoked("check", str(path))
    assert result.exit_code == 2
    assert "steady:latency.p50 < 200% of baseline" in result.stderr


async def test_a_run_is_judged_by_its_baseline(tmp_path: Path) -> None:
    base = stored(tmp_path / "base")
    async with serving(ok) as server:
        text = LOAD.format(port=server.port, rules=RULES)
        process = start(tmp_path, "--baseline", str(base), scenario=text)
        stdout, _, summary = await asyncio.to_thread(finish, process, tmp_path)
    latency, errors = summary["thresholds"]
    assert latency["against"]["run"] == errors["against"]["run"] == slower(1, 5_000).run.id
    assert latency["against"]["base"] == pytest.approx(21_000_000, rel=0.05)
    if process.returncode == 0:  # a busy machine may leave it undecided
        assert latency["passed"]
        assert stdout.startswith("PASSED")
    assert "BETTER" not in stdout  # the rules say it


async def test_without_such_a_rule_the_comparison_follows_the_result(tmp_path: Path) -> None:
    base = stored(tmp_path / "base")
    async with serving(ok) as server:
        text = LOAD.format(port=server.port, rules="")
        process = start(tmp_path, "--baseline", str(base), scenario=text)
        stdout, _, summary = await asyncio.to_thread(finish, process, tmp_path)
    assert summary["thresholds"] == []
    result, _, after = stdout.partition("compared with ")
    assert result.startswith(("MEASURED", "INVALID"))
    assert re.search(r"^(BETTER|UNCLEAR|WORSE|SAME): ", after, re.MULTILINE)


async def test_a_baseline_that_turns_out_to_be_damaged_takes_nothing_from_the_results(tmp_path: Path) -> None:
    base = stored(tmp_path / "base")
    data = json.loads((base / "summary.json").read_bytes())
    data["totals"]["metrics"]["latency"]["histogram"] = "none"  # of which a comparison makes a rate's interval
    data["phases"][0]["model"] = data["totals"]["model"] = "closed"
    (base / "summary.json").write_text(json.dumps(data))
    async with serving(ok) as server:
        text = LOAD.format(port=server.port, rules="thresholds: ['errors < 110% of baseline']")
        process = start(tmp_path, "--baseline", str(base), scenario=text)
        stdout, _, summary = await asyncio.to_thread(finish, process, tmp_path)
    assert process.returncode in (0, 96, 97)
    assert summary["thresholds"][0]["rule"] == "errors < 110% of baseline"
    assert stdout.splitlines()[0].startswith(("PASSED", "UNDECIDED"))
