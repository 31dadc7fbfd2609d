"""The kit that asks a real platform its open questions, with each answer of the emulator switched both ways."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from loadgen.scenario.load import load_file
from tests.e2e.conftest import ROOT, Loadgen

KIT = ROOT / "scenarios" / "platform"
FAST = "memory: 1024MB, work: {median: 1ms, sigma: 0}, cold_start: r2-php"
INIT = "initializer: {median: 5s, sigma: 0}"
BUSY = "memory: 1024MB, work: {median: 600ms, sigma: 0}, cold_start: none, max_instances: 2"
SIZED = "work: {median: 20ms, sigma: 0.05}, cold_start: none"
SILENCE = ("cold-starts.gap=1200ms", "cold-starts.keep_alive={from: 200ms, to: 800ms}")
SIZES = ("memory.gap=200ms", "memory.blocks=3", "memory.rounds=2")
QUESTIONS = [
    # (scenario, the platform, the function, other options, how the line goes on)
    ("log-tail", "log_lines: all", FAST, (), "the log of a cold call has the lines of the start "),
    ("log-tail", "log_lines: invoke", FAST, (), "the log of a cold call has no lines of the start "),
    ("log-tail", "log_lines: all", FAST, ("target.log=none",), "cannot be told: answers came without a log"),
    ("log-tail", "log_lines: all", f"{FAST}, reserved: 20", (), "cannot be told: .*started ahead"),
    ("log-tail", "log_lines: all", f"{FAST}, probe: false", (), "cannot be told: no call was cold"),
    ("init-billing", "init_billing: separate", f"{FAST}, {INIT}", (), "an initializer is in neither duration nor"),
    ("init-billing", "init_billing: none", f"{FAST}, {INIT}", (), "an initializer is in neither duration nor"),
    (
        "init-billing", "init_billing: same_call", f"{FAST}, {INIT}", (),
        "an initializer is in the billed duration of the call that waits for it, not in its duration",
    ),
    ("init-billing", "init_billing: separate", FAST, (), "cannot be told: a cold call took "),
    ("throttled", "throttle: immediate", BUSY, (), "8 of 10 calls were throttled, at once"),
    ("throttled", "throttle: queue, queue_timeout: 1s", BUSY, (), " calls were throttled, after a wait"),
    (
        "throttled", "throttle: immediate", f"{BUSY}, faults: {{APIG.0308: 100%}}", (),
        'code APIG.0308, body {"error_msg":"The throttling threshold has been reached","error_code":"APIG.0308",',
    ),
    ("throttled", "throttle: queue", BUSY.replace("600ms", "10ms"), (), "cannot be told: none of 10 calls was thrott"),
    ("cpu-share", "cpu: memory", SIZED, SIZES, "the share of a core is as documented, 0.2 "),
    ("cpu-share", "cpu: whole", SIZED, SIZES, "the share of a core is the same at every size"),
    ("cpu-share", "cpu: memory", f"{SIZED}, dynamic_memory: false", SIZES, "cannot be told: enough calls ran at 128"),
    ("keep-alive", "keep_alive: 400ms", FAST, SILENCE, r"instance lives [34]\d\d ms (to|in the median)"),
    ("keep-alive", "keep_alive: 1s", FAST, SILENCE, r"an idle instance lives longer than [89]\d\d ms"),
    ("keep-alive", "keep_alive: 50ms", FAST, SILENCE, r"an idle instance lives shorter than [23]\d\d ms"),
    ("keep-alive", "keep_alive: 400ms", f"{FAST}, reserved: 2", SILENCE, "cannot be told: .*always there"),
    ("keep-alive", "keep_alive: 1s", FAST, ("budget.duration=1s",), "cannot be told: "),
]  # fmt: skip


def answered(*runs: Path) -> str:
    """What the command says of runs."""
    command = [sys.executable, str(KIT / "findings.py"), *map(str, runs)]
    done: subprocess.CompletedProcess[str] = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("name", "platform", "function", "options", "said"), QUESTIONS)
def test_the_line_of_a_run_says_what_the_platform_does_or_that_it_cannot_be_told(
    loadgen: Loadgen, name: str, platform: str, function: str, options: tuple[str, ...], said: str
) -> None:
    probe = "" if "probe" in function else ", probe: true"
    emulator = f"emulator={{{platform}, functions: {{loadgen-probe: {{{function}{probe}}}}}}}"
    given = ("target.auth=none", emulator, *options)
    run = loadgen(
        KIT / f"{name}.yaml",
        *(option for each in given for option in ("--set", each)),
        env={"FG_ENDPOINT": "emulator", "FG_PROJECT_ID": "demo"},
        timeout=140,
    )
    line = answered(run.out)
    assert line.startswith(f"{name}: ")
    assert re.search(said, line), line + run.stderr
    assert " · emulator, " in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("path", sorted(KIT.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_scenario_of_the_kit_has_hard_limits_and_asks_the_question_that_the_readme_prices(path: Path) -> None:
    environment = {"FG_ENDPOINT": "https://functiongraph.eu-de.otc.t-systems.com", "FG_PROJECT_ID": "0123abcd"}
    budget = load_file(path, environment=environment).scenario.budget
    assert None not in (budget.invocations, budget.cost, budget.duration_ns)
    row = next(line for line in (KIT / "README.md").read_text().splitlines() if line.startswith(f"| `{path.stem}` |"))
    assert f"| {budget.invocations} | " in row
