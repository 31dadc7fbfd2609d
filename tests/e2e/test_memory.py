"""Memory sizes compared on real sockets, against what the emulator knows."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from loadgen.targets.functiongraph.emulator.process import embedded
from loadgen.targets.functiongraph.protocol.platform import default_emulator
from loadgen.targets.functiongraph.protocol.urn import Urn, function_urn
from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.client import Control
from tests.e2e.conftest import ROOT, Command, Loadgen, environment
from tests.scenarios import function

EXAMPLE = ROOT / "scenarios" / "memory.yaml"
URN: Urn = function_urn(function("http://127.0.0.1:1"))
PREFLIGHT = 1

BY_CONFIG = """
name: by-config
kind: memory
target: {{endpoint: "{url}", project_id: demo, function: hello}}
memory: {{sizes: [256MB, 512MB, 1024MB], by: config, blocks: {blocks}, rounds: 2}}
"""


def experiment(run: Command) -> dict[str, Any]:
    """What was found; the test is skipped where the machine was so busy that measurements had to be left out."""
    assert run.passed, run.stdout + run.stderr
    found: dict[str, Any] = run.summary["experiment"]
    if any("as the load generator failed in it" in note for note in found["notes"]):
        pytest.skip("this machine is too busy to measure anything")
    return found


def truth(run: Command) -> dict[int, list[dict[str, Any]]]:
    """The calls by memory size, without the pre-flight."""
    calls = defaultdict(list)
    for line in (run.out / "truth.ndjson").read_text().splitlines()[PREFLIGHT:]:
        call = json.loads(line)
        calls[call["memory_mb"]].append(call)
    return calls


def accounted(run: Command, found: dict[str, Any]) -> None:
    """Each size has the calls and the bills that the emulator knows of, and the reports show what was found."""
    calls = truth(run)
    for size in found["sizes"]:
        known = calls[size["memory_mb"]]
        assert size["invocations"] == len(known)
        assert size["failed"] == 0
        assert size["cold"] <= sum(call["cold"] for call in known) <= size["cold"] + size["unsure"]
        billed = [call["billed_duration_ns"] for call in known]
        assert min(billed) <= size["billed_duration_ns"]["mean"]["value"] <= max(billed)
    for name in ("report.md", "report.html"):
        assert "Rules by memory size" in (run.out / name).read_text()
    assert found["recommended_mb"] not in {128, 256}, "too slow on any machine"


@pytest.mark.soak
@pytest.mark.wallclock
@pytest.mark.timeout(150)
def test_the_example_finds_the_cheapest_size_that_is_fast_enough_and_accounts_for_each_as_the_emulator_did(
    loadgen: Loadgen,
) -> None:
    run = loadgen(EXAMPLE, timeout=140)
    found = experiment(run)
    assert found["recommended_mb"] == 512
    assert 512 in found["tied_mb"]
    assert not {128, 256} & {*found["tied_mb"]}
    assert found["share_url"].startswith("https://lambda-power-tuning.show/?currency=CNY#")
    accounted(run, found)
    assert "Cost and time" in (run.out / "report.html").read_text()


@pytest.mark.timeout(150)
def test_the_example_in_a_hurry_takes_no_size_that_is_too_slow_and_accounts_for_each_as_the_emulator_did(
    loadgen: Loadgen,
) -> None:
    silence = ("emulator.keep_alive=400ms", "memory.gap=600ms")
    changes = (*silence, "memory.sizes=[128MB, 256MB, 512MB]", "memory.rounds=3", "memory.blocks=8")
    run = loadgen(EXAMPLE, *(option for each in changes for option in ("--set", each)), timeout=140)
    found = experiment(run)
    assert found["share_url"].startswith("https://lambda-power-tuning.show/?currency=CNY#")
    accounted(run, found)


def test_a_size_that_runs_out_of_memory_is_left_out_and_reported(loadgen: Loadgen) -> None:
    scenario = EXAMPLE.read_text().replace("resize: {", "resize: {memory_used: 200MB, ")
    run = loadgen(scenario, "--set", "memory.rounds=2")
    sizes = {size["memory_mb"]: size for size in experiment(run)["sizes"]}
    assert (sizes[128]["status"], sizes[256]["status"]) == ("failed", "compared")
    assert sizes[128]["why"].startswith("out_of_memory")
    assert "128\N{NO-BREAK SPACE}MB left the comparison: out_of_memory" in run.stdout


@pytest.fixture
async def platform() -> AsyncIterator[Control]:
    async with embedded(default_emulator(), "demo", None) as url, Control(url, "demo", Nobody()) as control:
        yield control


def start(platform: Control, tmp_path: Path, blocks: int, state: str = "state") -> subprocess.Popen[str]:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "scenario.yaml").write_text(BY_CONFIG.format(url=platform.endpoint, blocks=blocks))
    return subprocess.Popen(
        [sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--out", "run"],
        cwd=tmp_path,
        env={**environment(), "XDG_STATE_HOME": str(tmp_path / state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def settings(platform: Control) -> dict[str, Any]:
    return {key: value for key, value in (await platform.config(URN)).items() if key != "last_modified"}


async def test_a_size_that_was_set_is_put_back_in_the_end(platform: Control, tmp_path: Path) -> None:
    before = await settings(platform)
    process = start(platform, tmp_path, 3)
    _, said = process.communicate(timeout=50)
    assert process.returncode in (0, 97), said
    assert await settings(platform) == before
    found = json.loads((tmp_path / "run" / "summary.json").read_text())["experiment"]
    assert (found["by"], found["invocations"]) == ("config", 3 * 2 * 4)
    assert [*(tmp_path / "state" / "loadgen" / "journal").iterdir()] == []


async def two_at_once(platform: Control, tmp_path: Path, apart_s: float, *, machines: int) -> list[int]:
    """The exit codes of two runs, sorted; whoever is refused says why, and the function is as it was."""
    before = await settings(platform)
    tmp_path.mkdir()
    states = ("../state", "../state") if machines == 1 else ("state", "state")
    first = start(platform, tmp_path / "a", 3, states[0])
    await asyncio.sleep(apart_s)
    second = start(platform, tmp_path / "b", 3, states[1])
    said = [(await asyncio.to_thread(each.communicate, timeout=50))[1] for each in (first, second)]
    assert await settings(platform) == before
    codes = [first.returncode, second.returncode]
    for code, text in zip(codes, said, strict=True):
        assert (code == 1) == ("held by" in text or "holds it now" in text), text
    assert list(tmp_path.rglob("*.ndjson")) == list(tmp_path.rglob("*.lock")) == []
    return sorted(codes)


async def test_while_a_run_changes_a_function_others_are_refused_and_after_an_interrupt_it_is_put_back(
    platform: Control, tmp_path: Path
) -> None:
    before = await settings(platform)
    first = start(platform, tmp_path / "a", 2000, "../state")
    deadline = time.monotonic() + 20
    while (await settings(platform))["memory_size"] == before["memory_size"] and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    here, elsewhere = start(platform, tmp_path / "b", 3, "../state"), start(platform, tmp_path / "c", 3, "state")
    said = [(await asyncio.to_thread(each.communicate, timeout=30))[1] for each in (here, elsewhere)]
    assert (here.returncode, elsewhere.returncode) == (1, 1), said
    assert f"(process {first.pid} on this machine, since " in said[0]
    assert f'its LOADGEN_HELD_BY is "loadgen run by-config-{time.gmtime().tm_year}' in said[1]
    for run in ("b", "c"):  # before any load, so there is nothing to show
        assert not (tmp_path / run / "run").exists()
    first.send_signal(signal.SIGINT)
    await asyncio.to_thread(first.communicate, timeout=30)
    assert (first.returncode, await settings(platform)) == (130, before)
    assert list(tmp_path.rglob("*.ndjson")) == list(tmp_path.rglob("*.lock")) == []
    summary = json.loads((tmp_path / "a" / "run" / "summary.json").read_text())
    assert summary["run"]["interrupted"]
    assert 0 < summary["experiment"]["invocations"] < 3 * 4 * 2000, "what is known is reported"


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_of_two_runs_of_one_function_at_once_one_is_refused_twenty_times(
    platform: Control, tmp_path: Path
) -> None:
    tried = [
        await two_at_once(platform, tmp_path / str(number), 0.13 * number, machines=1 + number % 2)
        for number in range(20)
    ]
    assert [codes.count(1) for codes in tried] == [1] * 20, tried


async def test_putting_back_on_a_platform_that_died_is_said_and_ends_with_a_second_interrupt(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loadgen", "emulate", "--port", "0"]
    emulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert emulator.stdout is not None
        url = emulator.stdout.readline().strip()
        async with Control(url, "demo", Nobody()) as platform:
            before = await settings(platform)
            process = start(platform, tmp_path, 2000)
            deadline = time.monotonic() + 20
            while (await settings(platform))["memory_size"] == before["memory_size"] and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
    finally:
        emulator.kill()
        emulator.communicate()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    said = ""
    while "Putting back: not done yet" not in said:
        said = await asyncio.to_thread(process.stderr.readline)
        assert said, "it ended without a word"
    assert f"at {url}, tried for a minute; interrupt again to leave it to loadgen restore." in said
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = await asyncio.to_thread(process.communicate, timeout=30)
    assert time.monotonic() - began < 25, said
    assert process.returncode == 1
    assert "not everything could be put back" in said
    (journal,) = (tmp_path / "state").rglob("*.ndjson")
    assert f"Put it back with: loadgen restore {journal.stem}" in said
