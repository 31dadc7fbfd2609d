"""A platform that loadgen does not know, run by it: all that it knows of it is what the port says."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadgen.experiments.registry import sizes_mb
from loadgen.scenario.load import load
from loadgen.targets.registry import installed, tenant_of, tenant_written
from loadgen.targets.secret import sent
from loadgen.targets.settings import check
from loadgen.text.fault import ScenarioError
from loadgen.text.secret import Secrets
from tests.e2e.conftest import ROOT, environment
from tests.servers.scripted import Peer, serving

HERE = Path(__file__).parent / "thirdparty"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
RAN = HEAD + b"Nimbus-Ran: 1500\r\nNimbus-Billed: 2\r\nNimbus-Memory: 512\r\n\r\nhi"
FAILED = b"HTTP/1.1 299 Rain\r\nContent-Length: 0\r\nNimbus-Error: RAINED\r\n\r\n"
TEXT = """
name: third
target: {{gateway: "http://127.0.0.1:{port}", action: rain, pin: "${{NIMBUS_PIN}}", memory: 512MB, {more}}}
event: {{k: v}}
phases: [{{name: steady, rate: 50/s, duration: 2s}}]
prices: huawei-cny-2024-09
thresholds: [duration.p50 < 5ms]
samples: all
"""


@pytest.fixture
def nimbus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The distribution, as if it were installed."""
    monkeypatch.syspath_prepend(str(HERE))
    installed.cache_clear()
    yield
    installed.cache_clear()
    sys.modules.pop("nimbus", None)


async def alternating(peer: Peer) -> None:
    """Every tenth answer is a failure, never the first."""
    number = 0
    while await peer.request() is not None:
        number += 1
        await peer.send(FAILED if number % 10 == 0 else RAN)


async def command(tmp_path: Path, *words: str, installed: bool = True, port: int = 1) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr of a command about the scenario."""
    (tmp_path / "s.yaml").write_text(TEXT.format(port=port, more=""))
    path = os.pathsep.join(map(str, (ROOT, *([HERE] if installed else []))))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadgen", words[0], "s.yaml", *words[1:]),
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": path, "NIMBUS_PIN": "PLANTED-pin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate()
    assert b"Traceback" not in said
    return process.returncode, out.decode(), said.decode()


async def test_a_platform_of_another_distribution_is_called_read_and_billed_by_several_agents(tmp_path: Path) -> None:
    async with serving(alternating) as server:
        code, _, said = await command(tmp_path, "run", "--out", "run", "--agents", "2", "--yes", port=server.port)
    assert code in (0, 96, 97), said  # a busy machine may be late
    summary: dict[str, Any] = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["preflight"]["outcome"] == "ok"
    assert all(request.startswith(b"POST /run/rain HTTP/1.1\r\n") for request in server.requests)
    assert all(b"Nimbus-Pin: PLANTED-pin\r\nNimbus-Memory: 512\r\n" in request for request in server.requests)
    totals = summary["totals"]
    outcomes = {name: count for name, count in totals["outcomes"].items() if count}
    assert set(outcomes) == {"ok", "function_error"}
    assert sum(outcomes.values()) == 100
    assert totals["reasons"]["function_error/nimbus_error"] == outcomes["function_error"]
    told = totals["metrics"]["duration"]
    assert (told["min"], told["count"] + told["disturbed"]) == (1_500_000, outcomes["ok"])
    cost = summary["cost"]
    assert (cost["requests"], cost["unmetered"]) == (101, outcomes["function_error"])
    assert cost["gb_seconds"] == pytest.approx(0.001 * (outcomes["ok"] + 1))  # the pre-flight is billed, too
    assert "PLANTED" not in said
    for path in (tmp_path / "run").iterdir():
        raw = path.read_bytes()
        assert b"PLANTED" not in (gzip.decompress(raw) if path.suffix == ".gz" else raw), path


async def test_a_scenario_of_it_is_checked_and_described(tmp_path: Path) -> None:
    code, out, said = await command(tmp_path, "check")
    assert (code, said) == (0, "")
    assert "third: rain of Nimbus at http://127.0.0.1:1" in out
    assert "for every 100 ms billed with 512 MB" in out


async def test_where_it_is_not_installed_its_scenario_is_refused(tmp_path: Path) -> None:
    code, _, said = await command(tmp_path, "check", installed=False)
    assert code == 2
    assert "unknown key" in said
    assert "endpoint or url is missing" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("function: f", "target.function: unknown key, did you mean action?"),
        ("timeout: {total: soon}", 'target.timeout.total: got "soon"'),
    ],
)
def test_what_is_wrong_with_its_block_is_said_as_of_any_other(nimbus: None, more: str, said: str) -> None:
    with pytest.raises(ScenarioError) as error:
        load(TEXT.format(port=1, more=more), source="s.yaml", directory=Path(), environment={"NIMBUS_PIN": "p-i-n"})
    assert said in str(error.value)


def test_settings_that_nobody_can_change_are_asked_for_in_vain(nimbus: None) -> None:
    text = TEXT.format(port=1, more="").partition("phases:")[0].replace("memory: 512MB, ", "")
    with pytest.raises(ScenarioError, match="of this target none can be"):
        load(
            text + "kind: memory\nmemory: {by: config}\n",
            source="s.yaml",
            directory=Path(),
            environment={"NIMBUS_PIN": "p-i-n"},
            checks=[check],
        )


PINNED = TEXT.replace("${{NIMBUS_PIN}}", "PLANTED-pin")


def test_what_its_form_says_is_secret_is_written_nowhere_whatever_its_name(nimbus: None) -> None:
    text = PINNED.format(port=1, more="")
    made = load(text, source="s.yaml", directory=Path(), environment={})
    assert "PLANTED" not in f"{made.document} {made.as_run}"
    assert made.document["target"]["pin"] == "***"
    assert Secrets(sent(made.scenario.target)).hide("it was PLANTED-pin") == "it was ***"


@pytest.mark.parametrize(
    "more",
    [
        "acton: x",  # beside it on its line
        "acton: x, pin: PLANTED-again",
        "timeout: {total: PLANTED-pin}",  # quoted as what was got
        "token: {of: {mine: PLANTED-too}}",  # an unknown key has no form to ask
        "timeout: [{pass: 5, password: PLANTED-too}]",  # neither has what is no mapping
    ],
)
def test_no_fault_shows_it(nimbus: None, more: str) -> None:
    with pytest.raises(ScenarioError) as error:
        load(PINNED.format(port=1, more=more), source="s.yaml", directory=Path(), environment={})
    assert "PLANTED" not in str(error.value)


def test_where_answers_tell_durations_but_no_bills_nothing_is_held_to_money(
    nimbus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_written({"gateway"}), "memory_sizes_mb", ())
    text = PINNED.format(port=1, more="").replace("prices: huawei-cny-2024-09\n", "")
    assert load(text, source="s.yaml", directory=Path(), environment={}).scenario.prices is None
    with pytest.raises(ScenarioError) as error:
        load(text + "budget: {cost: 1 CNY}", source="s.yaml", directory=Path(), environment={})
    assert [fault.message for fault in error.value.faults] == [
        "an action tells no bills, so money is not known; write budget.invocations"
    ]


def test_what_no_answer_tells_is_not_said_of_another_platform(nimbus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_written({"gateway"}), "told", False)
    with pytest.raises(ScenarioError, match="duration is told by no answer; an action has latency and service_time"):
        load(PINNED.format(port=1, more=""), source="s.yaml", directory=Path(), environment={})


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            "kind: cold-starts\ncold-starts: {induce: [gap, version], versions: [a]}",
            "induce[1]: got version, but no call",
        ),
        ("kind: cold-starts\ncold-starts: {induce: [memory], sizes: [512MB]}", "induce[0]: got memory, but no call"),
        (
            "kind: memory\nmemory: {sizes: [64MB, 512MB]}",
            "memory.by: got header, but no call of an action can ask for",
        ),
    ],
)
def test_what_no_call_can_ask_for_is_not_varied(
    nimbus: None, monkeypatch: pytest.MonkeyPatch, block: str, said: str
) -> None:
    text = PINNED.format(port=1, more="").partition("phases:")[0].replace(", memory: 512MB", "") + block
    found = tenant_written({"gateway"})
    for asks in ("asks_memory", "asks_version"):
        monkeypatch.setattr(found, asks, True)
    load(text, source="s.yaml", directory=Path(), environment={})
    for asks in ("asks_memory", "asks_version"):
        monkeypatch.setattr(found, asks, False)
    with pytest.raises(ScenarioError) as error:
        load(text, source="s.yaml", directory=Path(), environment={})
    assert said in str(error.value)


MEMORY = PINNED.format(port=1, more="").partition("phases:")[0].replace(", memory: 512MB", "")


@pytest.mark.parametrize(
    ("block", "sizes"),
    [
        ("kind: memory", (64, 512)),
        ("kind: memory\nmemory: {sizes: [512MB, 64MB]}", (64, 512)),
        ("kind: cold-starts\ncold-starts: {induce: [memory]}", (512,)),
    ],
)
def test_its_memory_sizes_are_those_that_are_compared(nimbus: None, block: str, sizes: tuple[int, ...]) -> None:
    made = load(MEMORY + block, source="s.yaml", directory=Path(), environment={}).scenario
    assert sizes_mb(made) == sizes


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("kind: memory\nmemory: {sizes: [64MB, 128MB]}", 'memory.sizes[1]: got "128MB", expected one of 64MB, 512MB\n'),
        (
            "kind: cold-starts\ncold-starts: {induce: [memory], sizes: [4096MB]}",
            'cold-starts.sizes[0]: got "4096MB", expected one of 64MB, 512MB\n',
        ),
    ],
)
def test_a_memory_size_of_another_platform_is_refused(nimbus: None, block: str, said: str) -> None:
    with pytest.raises(ScenarioError) as error:
        load(MEMORY + block, source="s.yaml", directory=Path(), environment={})
    assert said in f"{error.value}\n"


def test_two_runs_are_the_same_whatever_the_pin(nimbus: None) -> None:
    made = [
        load(TEXT.format(port=1, more=""), source="s.yaml", directory=Path(), environment={"NIMBUS_PIN": pin}).scenario
        for pin in ("one-pin", "two-pin")
    ]
    assert made[0].target != made[1].target
    assert made[0].sha256 == made[1].sha256
    assert tenant_of(made[0].target).name == "nimbus"
