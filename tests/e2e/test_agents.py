"""Results do not depend on how many agents share a load: real processes, real sockets, and the server's own counts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Loadgen
from tests.e2e.processes import agents_of, finish, start
from tests.servers.scripted import OK, Peer, serving

LOAD = """
name: agents
target: {{url: "http://127.0.0.1:{port}/", preflight: false}}
event: {{n: "{{{{n}}}}", ms: "{{{{ms}}}}"}}
feeder: {{file: rows.jsonl, order: {order}}}
phases:
{phases}
{more}
samples: all
"""


class Slow:
    """A server whose answers take as many ms as each request says; ``most`` were in flight at once."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.in_flight = self.most = 0

    async def play(self, peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            event = json.loads(request.partition(b"\r\n\r\n")[2])
            self.rows.append(event["n"])
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            await asyncio.sleep(event["ms"] / 1000)
            self.in_flight -= 1
            await peer.send(OK)


async def ran(
    loadgen: Loadgen,
    tmp_path: Path,
    agents: int | None,
    ms: Sequence[int],
    phases: str,
    *,
    order: str = "loop",
    more: str = "",
) -> tuple[Command, Slow]:
    """A run over rows whose calls take these times, and what the server saw of it."""
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"n": {n}, "ms": {each}}}\n' for n, each in enumerate(ms)))
    slow = Slow()
    async with serving(slow.play) as server:
        text = LOAD.format(port=server.port, phases=phases, order=order, more=more)
        file = tmp_path / "scenario.yaml"
        file.write_text(text)
        options = [] if agents is None else ["--agents", str(agents)]
        run = await asyncio.to_thread(loadgen, file, *options, out=tmp_path / "run")
    return run, slow


@pytest.mark.parametrize("agents", [7])
async def test_the_budget_of_invocations_is_spent_to_the_last_one_whatever_the_agents(
    loadgen: Loadgen, tmp_path: Path, agents: int
) -> None:
    phases = "  - {name: workers, workers: 7, duration: 20s}\n"
    run, slow = await ran(loadgen, tmp_path, agents, [5, 30, 1], phases, more="budget: {invocations: 300}")
    assert run.code == 98, run.stderr
    assert "all that are allowed were made" in run.summary["run"]["stopped"]
    assert run.summary["totals"]["started"] == len(slow.rows) == 300
    assert (run.summary["environment"]["agents"], run.summary["environment"]["agents_why"]) == (agents, "--agents")


@pytest.mark.parametrize("agents", [3])
async def test_a_budget_is_spent_over_phases_of_every_model(loadgen: Loadgen, tmp_path: Path, agents: int) -> None:
    phases = (
        "  - {name: workers, workers: 3, duration: 300ms}\n"
        "  - {name: open, rate: 100/s, duration: 500ms}\n"
        "  - {name: rest, workers: 3, duration: 20s}\n"
    )
    run, slow = await ran(loadgen, tmp_path, agents, [5, 30, 1], phases, more="budget: {invocations: 400}")
    assert run.code == 98, run.stderr
    by_name = {phase["name"]: phase["started"] for phase in run.summary["phases"]}
    assert by_name["open"] == 50
    assert by_name["workers"] > 0
    assert sum(by_name.values()) == len(slow.rows) == 400


@pytest.mark.parametrize("agents", [1, 7])
async def test_rows_that_are_read_once_are_all_sent_and_once_whatever_the_agents(
    loadgen: Loadgen, tmp_path: Path, agents: int
) -> None:
    """Workers of a first phase leave rows to an open phase and to workers of a third."""
    phases = (
        "  - {name: workers, workers: 7, duration: 200ms}\n"
        "  - {name: open, rate: 100/s, duration: 300ms}\n"
        "  - {name: rest, workers: 7, duration: 20s}\n"
    )
    run, slow = await ran(loadgen, tmp_path, agents, [40, 5, 15] * 100, phases, order="once")
    assert run.passed, run.stderr
    assert sorted(slow.rows) == list(range(300))
    assert run.summary["totals"]["started"] == 300
    assert [phase["name"] for phase in run.summary["phases"] if phase["notes"]] == ["rest"]


async def test_a_feeder_shorter_than_the_number_of_agents_is_sent_whole(loadgen: Loadgen, tmp_path: Path) -> None:
    run, slow = await ran(
        loadgen, tmp_path, 3, [5, 5], "  - {name: workers, workers: 3, duration: 20s}\n", order="once"
    )
    assert run.passed, run.stderr
    assert sorted(slow.rows) == [0, 1]


@pytest.mark.parametrize("agents", [2])
async def test_slow_calls_of_one_agent_do_not_use_up_what_may_be_in_flight_of_all(
    loadgen: Loadgen, tmp_path: Path, agents: int
) -> None:
    """Every call of the first agent is slow: 10 to 12 are in flight, of 18, and 6 to 9 would be its share."""
    ms = [round(1000 * agents / 6)] + [2] * (agents - 1)
    phases = "  - {name: steady, rate: 66/s, duration: 3s, max_in_flight: 18}\n"
    run, slow = await ran(loadgen, tmp_path, agents, ms, phases, more="budget: {in_flight: 18}")
    totals = run.summary["totals"]
    assert run.passed, run.stderr
    assert totals["planned"] == totals["started"] == len(slow.rows) == 198
    assert 18 // agents < slow.most <= 18
    assert totals["metrics"]["waited"]["max"] == 0
    assert "pool_saturated" not in {reason["rule"] for reason in run.summary["verdict"]["reasons"]}


async def test_what_may_be_in_flight_is_said_to_be_so_once_it_is_and_never_exceeded(
    loadgen: Loadgen, tmp_path: Path
) -> None:
    phases = "  - {name: steady, rate: 100/s, duration: 10s, max_in_flight: 20}\n"
    run, slow = await ran(loadgen, tmp_path, 3, [2500], phases, more="budget: {in_flight: 20}")
    assert run.code == 98
    assert "all 20 invocations that may be in flight at once were" in run.summary["run"]["stopped"]
    assert slow.most == 20


@pytest.mark.wallclock
async def test_a_target_that_is_too_slow_takes_the_same_rate_from_one_agent_as_from_three(
    loadgen: Loadgen, tmp_path: Path
) -> None:
    """Calls take 100 ms on average, 6 at a time: 60/s of the 200/s planned, whoever starts them."""
    phases = "  - {name: steady, rate: 200/s, duration: 2s, max_in_flight: 6}\n"
    started = []
    for agents in (1, 3):
        directory = tmp_path / str(agents)
        directory.mkdir()
        run, slow = await ran(loadgen, directory, agents, [190, 10], phases)
        assert run.code in (0, 97), run.stderr
        assert slow.most == 6
        totals = run.summary["totals"]
        assert totals["reasons"]["dropped/phase_end"] >= 0.9 * totals["dropped"]
        started.append(totals["started"])
    assert started[1] == pytest.approx(started[0], rel=0.1)


async def test_an_agent_that_dies_while_budgets_are_dealt_keeps_its_part_and_nothing_is_counted_twice(
    tmp_path: Path,
) -> None:
    """The first agent is fast and soon asks for what the others have left; the one that is asked is dead."""
    (tmp_path / "rows.jsonl").write_text('{"n": 0, "ms": 5}\n')
    slow = Slow()
    async with serving(slow.play) as server:
        text = LOAD.format(
            port=server.port,
            phases="  - {name: workers, workers: 3, duration: 60s}\n",
            order="loop",
            more="budget: {invocations: 300}",
        )
        process = start(tmp_path, "--agents", "3", scenario=text)
        await eventually(lambda: len(slow.rows) > 120)
        victim = agents_of(process.pid)[-1]
        os.kill(victim, signal.SIGSTOP)
        await asyncio.sleep(1.5)
        assert len(slow.rows) <= 300
        os.kill(victim, signal.SIGKILL)
        _, stderr, summary = await asyncio.to_thread(finish, process, tmp_path)
    assert process.returncode == 98, stderr
    assert "died with exit code -9" in stderr
    assert "agent_lost" in {reason["rule"] for reason in summary["verdict"]["reasons"]}
    assert 120 < summary["totals"]["started"] <= len(slow.rows) <= 300


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def test_one_agent_drives_what_one_can_whatever_the_cores(loadgen: Loadgen, tmp_path: Path) -> None:
    phases = "  - {name: closed, workers: 9, duration: 200ms}\n  - {name: open, rate: 50/s, duration: 200ms}\n"
    run, _ = await ran(loadgen, tmp_path, None, [1], phases)
    environment = run.summary["environment"]
    assert environment["agents"] == 1
    assert environment["agents_why"].endswith("and the planned peak is 50/s")
    assert f"1 ({environment['agents_why']})" in (run.out / "report.md").read_text().replace("\\", "")
