from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from syrupy.assertion import SnapshotAssertion

from loadgen.cli.check import check

EXAMPLES = Path(__file__).parents[2] / "scenarios"
ENVIRONMENT = {"FG_PROJECT_ID": "0123456789abcdef", "FG_TOKEN": "s3cret"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_plan_of_each_example_goes_to_stdout(path: Path, snapshot: SnapshotAssertion) -> None:
    result = CliRunner().invoke(check, [str(path), "--offline"], env=ENVIRONMENT)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == snapshot


@pytest.mark.parametrize(
    ("example", "option", "what"),
    [
        ("cold-starts.yaml", "cold-starts.induce=[gap, config]", "LOADGEN_RUN in its environment"),
        ("memory.yaml", "memory.by=config", "its memory size"),
    ],
)
def test_that_settings_of_the_function_are_changed_is_said(example: str, option: str, what: str) -> None:
    result = CliRunner().invoke(check, [str(EXAMPLES / example), "--set", option])
    assert f"  changes the function's settings, {what}, and puts them back\n" in result.stdout
    assert "changes the function's" not in CliRunner().invoke(check, [str(EXAMPLES / example)]).stdout


def test_faults_go_to_stderr_with_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("name: x\ntarget: {endpoint: emulator, function: 'a:b:c:d:e'}\nphases: [{name: a, rate: 5}]\n")
    result = CliRunner().invoke(check, [str(path)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{path}:2:40: target.function:" in result.stderr
    assert f"{path}:3:26: phases[0].rate: got 5, expected a number per unit" in result.stderr


def test_set_changes_what_is_checked() -> None:
    result = CliRunner().invoke(check, [str(EXAMPLES / "http.yaml"), "--set", "phases.0.rate=7/s"])
    assert "steady: 7/s, 10 s, 70 invocations" in result.stdout
    result = CliRunner().invoke(check, [str(EXAMPLES / "http.yaml"), "--set", "phases.0.rate=7"])
    assert result.exit_code == 2
    assert "--set phases.0.rate: phases[0].rate: got 7" in result.stderr


def test_a_missing_file_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(check, [str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert result.stderr == f"{tmp_path / 'none.yaml'}: cannot read this file: No such file or directory\n"


def test_what_is_legal_and_will_not_go_as_hoped_is_noted() -> None:
    options = ["--set", "thresholds=[latency.p99.9 < 1s, latency.p99 < 1s]", "--set", "budget.invocations=2000"]
    result = CliRunner().invoke(check, [str(EXAMPLES / "http.yaml"), *options])
    notes = [line for line in result.stdout.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: latency.p99.9 < 1s needs 10000 invocations and about 2000 are planned: it cannot pass",
        "note: the budget of 2000 invocations ends the run before its phases do",
    ]
