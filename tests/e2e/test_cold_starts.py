"""Cold and warm told apart on real sockets, against what the emulator knows."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from loadgen.targets.functiongraph.emulator.process import embedded
from loadgen.targets.functiongraph.protocol.platform import CredentialCheck, EmulatedFunction, Emulator, Work
from loadgen.targets.functiongraph.protocol.target import KeyAuth
from loadgen.targets.functiongraph.protocol.urn import Urn, function_urn
from loadgen.targets.functiongraph.settings.authorization import authorization
from loadgen.targets.functiongraph.settings.client import Control
from tests.e2e.conftest import ROOT, Command, Loadgen, count, environment
from tests.scenarios import S, function

EXAMPLE = ROOT / "scenarios" / "cold-starts.yaml"
# Every invocation, a cold one too, is within the emulator's truth; the pre-flight is in it, but in none of the counts.
PREFLIGHT = 1


def truth(run: Command) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.out / "truth.ndjson").read_text().splitlines()]


def experiment(run: Command) -> dict[str, Any]:
    found: dict[str, Any] = run.summary["experiment"]
    return found


def colds(run: Command) -> int:
    return sum(call["cold"] for call in truth(run)[PREFLIGHT:])


def options(*changes: str) -> list[str]:
    return [option for change in changes for option in ("--set", change)]


RULES = "thresholds=[cold.service_time.p50 < 100ms, warm.service_time.p50 < 100ms]"
"""Cold starts take some 400 ms and warm calls 10 ms; nothing in an answer says which is which."""


def example(loadgen: Loadgen, *changes: str) -> tuple[Command, dict[str, Any]]:
    """A run of the example, or one that is like it, and what it found: the cold starts that the emulator knows of."""
    run = loadgen(EXAMPLE, *options(*changes), timeout=140)
    found = experiment(run)
    assert found["complete"]
    assert found["evidence"] == {"mixture": len(truth(run)) - PREFLIGHT}
    assert abs(found["cold"]["count"] - colds(run)) <= 0.01 * len(truth(run))
    return run, found


def rules_read_the_labels(run: Command, found: dict[str, Any]) -> None:
    for name in ("report.md", "report.html"):
        assert "Cold and warm starts" in (run.out / name).read_text()
    starts = run.summary["totals"]["by_start"]
    for start in ("cold", "warm"):
        assert count(starts[start]["service_time"]) == found[start]["count"] > 20
    if any(reason["withholds"] or reason["figures"] for reason in run.summary["verdict"]["reasons"]):
        return  # the machine was busy in some phase, and every rule that is over all of them is undecided
    cold, warm = run.summary["thresholds"]
    assert run.code == 99, run.stderr
    assert (cold["passed"], warm["passed"]) == (False, True)
    assert cold["value"] == pytest.approx(found["cold"]["times"]["service_time"]["p50_ns"]["value"], rel=0.002)


@pytest.mark.soak
@pytest.mark.wallclock
@pytest.mark.timeout(150)
def test_the_example_passes_as_it_is(loadgen: Loadgen) -> None:
    run, found = example(loadgen)
    assert run.passed, run.stdout + run.stderr
    assert found["keep_alive"]["policy"] == "fixed"
    assert found["keep_alive"]["estimate_ns"] == pytest.approx(2e9, abs=50e6)


@pytest.mark.soak
@pytest.mark.wallclock
@pytest.mark.timeout(150)
def test_the_example_in_a_hurry_finds_the_keep_alive_time_too(loadgen: Loadgen) -> None:
    times = ("emulator.keep_alive=700ms", "cold-starts.gap=1s", "cold-starts.keep_alive={from: 500ms, to: 1500ms}")
    run, found = example(loadgen, RULES, *times)
    assert found["keep_alive"]["policy"] == "fixed"
    assert found["keep_alive"]["estimate_ns"] == pytest.approx(0.7e9, abs=50e6)
    assert "Keep-alive time of an idle instance" in run.stdout
    rules_read_the_labels(run, found)


@pytest.mark.wallclock  # where other tests run, warm calls wait until they are as slow as cold starts
@pytest.mark.timeout(150)
def test_the_example_without_its_silences_finds_cold_starts_and_rules_read_its_labels(loadgen: Loadgen) -> None:
    times = ("emulator.keep_alive=400ms", "cold-starts.gap=600ms", "emulator.functions.hello.work.median=3ms")
    run, found = example(loadgen, RULES, *times, "cold-starts.keep_alive=skip")
    assert found["keep_alive"] is None
    rules_read_the_labels(run, found)


@pytest.mark.timeout(150)
def test_a_probe_function_tells_the_truth_about_every_call_and_no_silence_lasts_too_long_to_end_an_instance(
    loadgen: Loadgen,
) -> None:
    """Where every silence is longer than instances live, a busy machine only makes it still longer."""
    scenario = EXAMPLE.read_text().replace("hello: {", "hello: {probe: true, ").replace("  gap:", "  probe: {}\n  gap:")
    scenario = scenario.replace("cold_start: r2-php", "cold_start: none").replace("warm: 300", "warm: 100")
    times = ("emulator.keep_alive=100ms", "cold-starts.gap=150ms", "cold-starts.keep_alive={from: 150ms, to: 200ms}")
    run = loadgen(scenario, *options("samples=all", *times), timeout=140)
    assert run.passed, run.stdout + run.stderr
    found = experiment(run)
    assert found["evidence"] == {"probe": len(truth(run)) - PREFLIGHT}
    assert found["cold"]["count"] == colds(run)
    assert found["keep_alive"]["policy"] == "shorter"
    assert found["keep_alive"]["estimate_ns"] is None
    assert found["keep_alive"]["high_ns"] > 100e6
    assert "Keep-alive time of an idle instance" in run.stdout


LOAD = """
name: split
target: {endpoint: emulator, function: hello}
phases:
  - {name: warm-up, burst: {size: 40, gap: 1500ms}, warmup: true}
  - {name: more-warm-up, workers: 4, duration: 2s, warmup: true}
  - {name: measured, burst: {size: 80, gap: 1s}}
emulator: {keep_alive: 60s, functions: {hello: {memory: 1024MB, work: {median: 5ms}, cold_start: r2-php}}}
"""


@pytest.mark.wallclock  # overheads are told apart where nothing else makes them longer
@pytest.mark.timeout(120)
def test_after_a_warm_up_a_load_labels_every_call_by_its_overhead(loadgen: Loadgen) -> None:
    run = loadgen(LOAD, timeout=110)
    assert run.passed, run.stdout + run.stderr
    found = experiment(run)
    assert found["labelling"]["reason"] is None, found
    starts = run.summary["totals"]["by_start"]
    cold = count(starts["cold"]["latency"]) if "cold" in starts else 0
    measured = truth(run)[-80:]
    assert sum(count(start["latency"]) for start in starts.values()) == 80
    assert abs(cold - sum(call["cold"] for call in measured)) <= 4
    assert "ambiguous between" in (run.out / "report.md").read_text()


URN: Urn = function_urn(function("http://127.0.0.1:1"))
PROBE = EmulatedFunction("hello", 1024, Work(1_000_000, 0.1), "r2-php", 100, True, 0.0, probe=True)
KEY = KeyAuth("AKDEMO", "SKDEMO")
MEANS = """
name: means
kind: cold-starts
target:
  {{endpoint: "{url}", project_id: demo, function: hello, auth: {{access_key: AKDEMO, secret_key: SKDEMO}}}}
cold-starts: {{{block}, gap: 1500ms, warm: 20, keep_alive: skip, probe: {{}}}}
"""
BY_CONFIG = "induce: [config], cold: 5000"


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Control]:
    """A platform that checks every signature, with a function that has versions v1 and v2, and an alias of v2."""
    settings = Emulator(1, S, (PROBE,), auth=CredentialCheck.STRICT)
    async with (
        embedded(settings, "demo", tmp_path / "truth.ndjson") as url,
        Control(url, "demo", authorization(KEY, "demo", None)) as control,
    ):
        for version in ("v1", "v2"):
            await control.set_config(URN, {**await control.config(URN), "description": f"as of {version}"})
            await made(control, "versions", {"version": version})
        await made(control, "aliases", {"name": "prod", "version": "v2"})
        yield control


async def made(platform: Control, kind: str, what: dict[str, str]) -> None:
    """Make a version or an alias, which loadgen itself never does."""
    await platform._exchange("POST", f"functions/{URN.path_segment}/{kind}", what)


async def settings(platform: Control) -> dict[str, Any]:
    return {key: value for key, value in (await platform.config(URN)).items() if key != "last_modified"}


def command(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "loadgen", *arguments],
        cwd=tmp_path,
        env={**environment(), "XDG_STATE_HOME": str(tmp_path / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start(platform: Control, tmp_path: Path, block: str) -> subprocess.Popen[str]:
    (tmp_path / "scenario.yaml").write_text(MEANS.format(url=platform.endpoint, block=block))
    return command(tmp_path, "run", "scenario.yaml", "--out", "run")


def journals(tmp_path: Path) -> list[Path]:
    return [*(tmp_path / "state" / "loadgen" / "journal").glob("*.ndjson")]


async def known(tmp_path: Path, calls: int) -> list[dict[str, Any]]:
    """What the emulator knows of so many calls, without the pre-flight."""
    file, deadline = tmp_path / "truth.ndjson", time.monotonic() + 5
    while len(lines := file.read_text().splitlines()) < calls + PREFLIGHT and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return [json.loads(line) for line in lines[PREFLIGHT:]]


async def changed(platform: Control, before: dict[str, Any], times: int) -> None:
    """Wait until the variable had so many values, beside the mark."""
    seen, deadline = {before["user_data"]}, time.monotonic() + 20
    while len(seen) <= times + 1 and time.monotonic() < deadline:
        seen.add((await settings(platform))["user_data"])
        await asyncio.sleep(0.01)
    assert len(seen) > times + 1


async def test_changed_settings_and_other_versions_give_the_cold_starts_that_the_emulator_knows_of(
    platform: Control, tmp_path: Path
) -> None:
    await platform.set_config(URN, {**await platform.config(URN), "user_data": '{"HOST":"db","MODE":"a b"}'})
    before = await settings(platform)
    process = start(platform, tmp_path, 'induce: [config, version], versions: [v1, "!prod"], cold: 9')
    stdout, said = await asyncio.to_thread(process.communicate, timeout=40)
    assert process.returncode in (0, 97), said
    assert await settings(platform) == before
    assert journals(tmp_path) == []
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    calls = await known(tmp_path, summary["totals"]["started"])
    found = summary["experiment"]
    means = {each["name"]: each for each in found["means"]}
    cold = {version: [call["cold"] for call in calls if call["version"] == version] for version in ("v1", "v2")}
    assert means["version"]["cold"] == sum(map(sum, cold.values())) == means["version"]["invocations"]
    assert len(cold["v1"]) == len(cold["v2"]) == means["version"]["rounds"] == 3
    assert means["config"]["cold"] == means["config"]["invocations"] == means["config"]["rounds"] == 3
    assert found["cold"]["count"] == sum(call["cold"] for call in calls if call["version"] == "latest")
    assert found["evidence"] == {"probe": len(calls)}
    assert "a change of settings" in stdout
    assert "other versions" in stdout


async def test_the_variable_is_put_back_after_an_interrupt_and_what_is_known_is_reported(
    platform: Control, tmp_path: Path
) -> None:
    before = await settings(platform)
    process = start(platform, tmp_path, BY_CONFIG)
    await changed(platform, before, 3)
    process.send_signal(signal.SIGINT)
    _, said = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == 130, said
    assert await settings(platform) == before
    assert journals(tmp_path) == []
    found = json.loads((tmp_path / "run" / "summary.json").read_text())["experiment"]
    assert not found["complete"]
    assert found["means"][0]["cold"] == found["means"][0]["invocations"] > 1


async def test_after_a_kill_restore_puts_the_variable_back(platform: Control, tmp_path: Path) -> None:
    before = await settings(platform)
    process = start(platform, tmp_path, BY_CONFIG)
    await changed(platform, before, 3)
    process.kill()
    await asyncio.to_thread(process.communicate, timeout=20)
    assert await settings(platform) != before
    restored = command(tmp_path, "restore")
    _, said = await asyncio.to_thread(restored.communicate, timeout=50)  # half a minute if killed while a request left
    assert restored.returncode == 0, said
    assert await settings(platform) == before
    assert journals(tmp_path) == []
