from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from syrupy.assertion import SnapshotAssertion

from loadgen.cli.check import check
from tests.servers.certificate import make_certificate

EXAMPLES = Path(__file__).parents[2] / "scenarios"
ENVIRONMENT = {"FG_PROJECT_ID": "0123456789abcdef", "OS_TOKEN": "s3cret-token"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the example with certificates takes from the environment: the texts of a server's and a client's."""
    certificate, key = (path.read_text() for path in make_certificate(tmp_path_factory.mktemp("certificates")))
    return {"SERVER_CA": certificate, "CLIENT_CERT": certificate, "CLIENT_KEY": key}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_plan_of_each_example_goes_to_stdout(
    path: Path, snapshot: SnapshotAssertion, certificates: dict[str, str]
) -> None:
    result = CliRunner().invoke(check, [str(path), "--offline"], env={**ENVIRONMENT, **certificates})
    found = "credentials: a token from OS_TOKEN\n" if path.stem == "functiongraph" else ""
    assert (result.exit_code, result.stderr) == (0, found)
    assert re.sub(r"one drives [\d\s]+/s", "one drives N/s", result.stdout) == snapshot  # the build decides that


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
    assert "  marks the function with LOADGEN_HELD_BY in its environment, so that no other run " in result.stdout
    assert "the load begins" not in result.stdout  # at once, as no other machine can have marked it
    assert "changes the function's" not in CliRunner().invoke(check, [str(EXAMPLES / example)]).stdout


def test_that_the_load_begins_later_on_a_cloud_is_said(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: x\nkind: memory\nmemory: {sizes: [128MB, 256MB], by: config}\ntarget:\n  {endpoint: "
        "'https://functiongraph.eu-de.example.invalid', project_id: demo, function: hello, auth: {token: t0ken}}\n"
    )
    result = CliRunner().invoke(check, [str(path), "--offline"], env=ENVIRONMENT)
    assert "  the load begins 36 s after that, " in result.stdout, result.output


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


FED = """
name: fed
target: {url: "http://127.0.0.1:1/{{id}}"}
feeder: {file: u.csv, order: ORDER}
phases: PHASES
"""


def said(tmp_path: Path, phases: str, order: str = "once", rows: int = 2, rest: str = "") -> list[str]:
    (tmp_path / "u.csv").write_text("id\n" + "7\n" * rows)
    (tmp_path / "s.yaml").write_text(FED.replace("ORDER", order).replace("PHASES", phases) + rest)
    result = CliRunner().invoke(check, [str(tmp_path / "s.yaml"), "--offline"])
    assert result.exit_code == 0, result.stderr
    return [
        line for line in result.stdout.splitlines() if not line.startswith(("fed", "budget", "thresholds", "agents"))
    ]


def test_invocations_are_counted_with_the_rows_of_a_feeder_that_is_read_once(tmp_path: Path) -> None:
    phases = "[{name: a, rate: 1/s, duration: 1s}, {name: b, rate: 1/s, duration: 59s, arrivals: poisson}]"
    assert said(tmp_path, phases) == [
        "  a: 1/s, 1 s, 1 invocations, at most 1000 in flight",
        "  b: 1/s, at most 59 s, 1 invocations, at most 1000 in flight",
        "total: 2 invocations + 1 pre-flight, in at most 60 s",
        "note: the feeder has 2 rows and is read once: 58 of 60 starts have no row",
    ]
    assert said(tmp_path, phases, "loop")[2:] == ["total: 60 invocations + 1 pre-flight, in 60 s"]
    assert said(tmp_path, phases, rows=60)[2:] == ["total: 60 invocations + 1 pre-flight, in 60 s"]


def test_what_phases_of_workers_leave_of_the_rows_is_not_known(tmp_path: Path) -> None:
    phases = "[{name: a, workers: 2, duration: 1s}, {name: b, rate: 1/s, duration: 5s}]"
    assert said(tmp_path, phases, rows=9) == [
        "  a: 2 workers, 1 s, as many as they make, at most 2 in flight",
        "  b: 1/s, 5 s, at most 5 invocations, at most 1000 in flight",
        "total: at most 9 invocations + 1 pre-flight, in 6 s",
        "note: the feeder has 9 rows and is read once: phases of workers end with the last one",
    ]


def test_an_experiment_that_has_rows_for_so_many_calls_only_is_told_so(tmp_path: Path) -> None:
    lines = said(tmp_path, "[]", rest="kind: capacity\ncapacity: {slo: [errors < 1%]}\n")
    assert "note: the feeder has 2 rows and is read once: after them nothing can be sent" in lines


@pytest.mark.parametrize(
    ("phase", "rule", "noted"),
    [
        ("rate: 20/s", "achieved_rate > 20/s", True),
        ("rate: 20/s", "achieved_rate > 19/s", False),
        ("rate: {from: 0/s, to: 40/s}", "achieved_rate > 25/s", True),
        ("rate: 20/s, arrivals: poisson", "achieved_rate > 25/s", False),
        ("workers: 2", "achieved_rate > 25/s", False),
        ("rate: 20/s", "'a:achieved_rate > 25/s'", True),
    ],
)
def test_a_rate_that_is_not_planned_cannot_be_achieved(tmp_path: Path, phase: str, rule: str, noted: bool) -> None:
    rest = f"thresholds: [{rule}]\n"
    lines = said(tmp_path, f"[{{name: a, {phase}, duration: 10s}}]", "loop", rest=rest)
    assert [line for line in lines if "it cannot pass" in line] == [
        f"note: {rule.strip(chr(39))}, and 20/s is planned: it cannot pass"
    ] * noted


@pytest.mark.parametrize(
    ("target", "noted"),
    [
        ("url: 'http://127.0.0.1:1/', tls: {verify: false}", True),
        ("url: 'HTTP://127.0.0.1:1/', tls: {}", True),
        ("endpoint: 'http://127.0.0.1:1', project_id: p, function: f, tls: {verify: true}", True),
        ("endpoint: emulator, tls: {verify: false}", True),
        ("url: 'https://127.0.0.1:1/', tls: {verify: false}", False),
        ("endpoint: 'https://127.0.0.1:1', project_id: p, function: f, tls: {verify: false}", False),
        ("url: 'http://127.0.0.1:1/'", False),
        (
            "endpoint: 'http://127.0.0.1:1', project_id: p, function: f, tls: {verify: false}, "
            "auth: {iam: {url: 'https://127.0.0.1:1', username: u, password: p, domain: d}}",
            False,
        ),
    ],
)
def test_tls_without_https_is_accepted_and_said_to_be_unused(tmp_path: Path, target: str, noted: bool) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"name: x\ntarget: {{{target}}}\nphases: [{{name: a, rate: 1/s, duration: 1s}}]\n")
    result = CliRunner().invoke(check, [str(path), "--offline"])
    assert result.exit_code == 0, result.stderr
    assert ("note: target.tls is unused: without https:// there is no certificate to check\n" in result.stdout) is noted


def test_what_is_legal_and_will_not_go_as_hoped_is_noted() -> None:
    options = ["--set", "thresholds=[latency.p99.9 < 1s, latency.p99 < 1s]", "--set", "budget.invocations=2000"]
    result = CliRunner().invoke(check, [str(EXAMPLES / "http.yaml"), *options])
    notes = [line for line in result.stdout.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: latency.p99.9 < 1s needs 10000 invocations and about 2000 are planned: it cannot pass",
        "note: the budget of 2000 invocations ends the run before its phases do",
    ]


def test_the_plan_of_a_search_over_a_mix_is_of_all_its_calls(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: x\nkind: capacity\ntarget: {endpoint: emulator}\n"
        "calls: [{name: a, weight: 3, function: f}, {name: b, function: g}]\n"
        "capacity: {slo: [latency.p95 < 500ms, b/errors < 5%], to: 100/s}\n"
        "emulator: {functions: {f: {}, g: {}}}\n"
    )
    done = CliRunner().invoke(check, [str(path)])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("x: a mix of 2 calls\n  a: 75.00% of the invocations, f at ")
    assert "  rules: latency.p95 < 500ms, b/errors < 5%\n" in done.stdout
    path.write_text(path.read_text().replace("b/errors", "c/errors"))
    assert 'there is no call "c"; calls: a, b' in CliRunner().invoke(check, [str(path)]).output


@pytest.mark.parametrize(
    ("phase", "rule", "line"),
    [
        (
            "rate: 50/s",
            "latency.p99 < 1s over 1s",
            "note: RULE: each window of 1 s of a has at least about 50 calls, and p99 needs 1000: such a "
            "window can break it and not meet it",
        ),
        (
            "rate: 50/s",
            "latency.p99 < 1s over 9s",
            "note: RULE: each window of 9 s of a has at least about 450 calls, and p99 needs 1000: only limits "
            "can decide such a window",
        ),
        (
            "rate: {from: 20/s, to: 100/s}",
            "latency.p95 < 1s over 4s",
            "note: RULE: each window of 4 s of a has at least about 145 calls, and p95 needs 200: only limits "
            "can decide such a window",
        ),
        (
            "rate: 200/s",
            "latency.p95 < 1s over 5s",
            "windows: RULE: each window of 5 s of a has at least about 1000 calls, and p95 needs 200",
        ),
        (
            "workers: 3",
            "latency.p95 < 1s over 5s",
            "windows: RULE: each window of 5 s of a has as many calls as its workers make, and p95 needs 200",
        ),
        ("rate: 9/s", "latency.max < 1s over 5s", "windows: RULE: each window of 5 s of a has at least about 45 calls"),
        ("rate: 50/s", "errors < 1% over 5s", "windows: RULE: each window of 5 s of a has at least about 250 calls"),
        (
            "rate: 50/s",
            "errors < 1% over 2s",
            "note: RULE: each window of 2 s of a has at least about 100 calls: a single bad one can break it",
        ),
        ("rate: 50/s", "errors == 0 over 2s", "windows: RULE: each window of 2 s of a has at least about 100 calls"),
    ],
)
def test_what_a_window_will_hold_is_told_beside_what_it_needs(tmp_path: Path, phase: str, rule: str, line: str) -> None:
    lines = said(tmp_path, f"[{{name: a, {phase}, duration: 10s}}]", "loop", rest=f"thresholds: [{rule}]\n")
    assert lines[-1] == line.replace("RULE", rule)


def test_a_phase_that_is_shorter_than_a_window_is_said_not_to_be_judged(tmp_path: Path) -> None:
    phases = "[{name: a, rate: 9/s, duration: 10s}, {name: b, rate: 9/s, duration: 4s}]"
    lines = said(tmp_path, phases, "loop", rest="thresholds: [errors < 30% over 5s]\n")
    assert lines[-1] == "note: errors < 30% over 5s: b is shorter than a window and is not judged by it"
