"""Agents on a real Dask cluster over loopback: the same numbers as on one machine, whatever happens to them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from loadgen.engine.messages import Plan
from loadgen.fleet import dask
from loadgen.fleet.cluster import Reached
from loadgen.fleet.crew import Crew
from loadgen.fleet.port import FleetError
from loadgen.load.phase import Phase
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.verdict import judge
from loadgen.run.play import Played, play
from loadgen.scenario.model import FeederOrder, OnAgentLoss, Scenario
from tests.e2e.conftest import environment
from tests.scenarios import closed_phase, feeder, function, open_phase, scenario
from tests.servers.dask import Cluster, alive, cluster
from tests.servers.scripted import Peer, Server, serving

ANSWER = (
    b"HTTP/1.1 200 OK\r\nX-Cff-Request-Id: r\r\nX-Func-Err-Code: 0\r\nX-Is-Func-Err: false\r\n"
    b'X-Cff-Invoke-Summary: {"duration":%d.5,"billingDuration":%d,"memorySize":128,"memoryUsed":40}\r\n'
    b"Content-Length: 2\r\n\r\n{}"
)
ROWS = 2000


async def by_row(peer: Peer) -> None:
    """Every row has a duration of its own, which the answer tells."""
    while (request := await peer.request()) is not None:
        row = row_of(request)
        await peer.send(ANSWER % (row % 50 + 1, row % 50 + 2))


def row_of(request: bytes) -> int:
    found = re.search(rb'"n":(\d+)', request)
    assert found is not None
    return int(found[1])


def load(server: Server, tmp_path: Path, *phases: Phase, on_loss: OnAgentLoss = OnAgentLoss.DEGRADE) -> Scenario:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"n": {n}}}\n' for n in range(ROWS)))
    target = function(f"http://127.0.0.1:{server.port}")
    wanted = scenario(target, *phases, event='{"n":"{{n}}"}', on_agent_loss=on_loss)
    return replace(wanted, feeder=feeder(rows, FeederOrder.LOOP))


def crew(reached: Reached, wanted: Scenario, agents: int, notices: list[str] | None = None) -> Crew:
    plans = [Plan(wanted, "127.0.0.1", agent, time.monotonic_ns()) for agent in range(agents)]
    return Crew(dask.DaskFleet(reached), plans, (notices if notices is not None else []).append)


async def played(of: Crew, wanted: Scenario, number: int = 0) -> Played:
    found = await play(of, number, wanted.phases[number], seed=1, connections=4)
    assert found is not None
    return found


def counted(total: PhaseTotal) -> dict[str, object]:
    """All that is the same whoever sends it: counts, and the times that the platform told."""
    tally = total.tally
    return {
        "counts": (tally.planned, tally.started, tally.completed, tally.dropped, tally.unfinished),
        "outcomes": tally.outcomes,
        "duration": dict(total.merged("duration").counts),
        "billed": dict(total.merged("billed_duration").counts),
        "by memory": tally.billed_ns,
        "latencies": total.merged("latency").count,
    }


async def test_one_two_and_four_agents_of_a_cluster_make_the_same_load_and_the_same_numbers(tmp_path: Path) -> None:
    with cluster(tmp_path, 4) as of:
        reached = await dask.survey(of.address, None)
        assert sorted(worker.address for worker in reached.workers) == sorted(of.workers)
        found = []
        for agents in (1, 2, 4):
            async with serving(by_row) as server:
                wanted = load(server, tmp_path, open_phase(300, 1.2), closed_phase(4, 0.3))
                async with crew(reached, wanted, agents) as together:
                    steady, closed = await played(together, wanted), await played(together, wanted, 1)
                served = Counter(map(row_of, server.requests))
            assert list(steady.total.faults()) == list(closed.total.faults()) == []
            assert sum(served.values()) == steady.total.tally.started + closed.total.tally.started
            assert set(served) >= set(range(360))
            assert sorted(steady.total.agents) == list(range(agents))
            for frames in steady.total.agents.values():
                assert frames.planned == 360 // agents
                assert 0 < frames.clock_error_ns < 10**8  # loopback, a busy machine
            found.append(counted(steady.total))
        async with asyncio.timeout(5):
            while of.agents():
                await asyncio.sleep(0.05)
    for log in tmp_path.glob("worker-*.log"):  # what agents are told is in no log
        assert "urn:fss" not in log.read_text()
        assert '"n"' not in log.read_text()
    assert found[0]["counts"] == (360, 360, 360, 0, 0)
    assert found[0] == found[1] == found[2]


class Struck:
    """A phase in which something happens to an agent, and what became of it."""

    def __init__(self, played: Played, notices: list[str], served: Counter[int], noticed_s: float) -> None:
        self.total, self.plan = played.total, played.plan
        self.notices, self.served, self.noticed_s = notices, served, noticed_s


async def struck(of: Cluster, tmp_path: Path, pids: list[int], what: signal.Signals, seconds: float) -> Struck:
    """300 calls a second, of which each has a row of its own; a second after the beginning something happens."""
    reached = await dask.survey(of.address, None)
    noticed: list[float] = []
    notices: list[str] = []
    at = 0.0

    def notice(text: str) -> None:
        noticed.append(time.monotonic())
        notices.append(text)

    def strike() -> None:
        nonlocal at
        at = time.monotonic()
        for pid in pids or [of.agent(reached.workers[1].address)]:
            os.kill(pid, what)

    async with serving(by_row) as server:
        wanted = load(server, tmp_path, open_phase(300, seconds), on_loss=OnAgentLoss.REDISTRIBUTE)
        plans = [Plan(wanted, "127.0.0.1", agent, time.monotonic_ns()) for agent in range(len(reached.workers))]
        async with Crew(dask.DaskFleet(reached), plans, notice) as together:
            asyncio.get_running_loop().call_later(1.6, strike)
            found = await played(together, wanted)
        served = Counter(map(row_of, server.requests))
    return Struck(found, notices, served, noticed[0] - at)


def hold(found: Struck, seconds: float) -> None:
    """What is to be true however an agent was lost."""
    tally, planned = found.total.tally, round(300 * seconds)
    (loss,) = found.total.losses.values()
    assert loss.taken_over
    assert list(found.total.faults()) == []
    assert set(found.served.values()) == {1}  # nothing was made twice
    assert tally.planned == tally.started + tally.dropped
    assert tally.started == tally.completed + tally.unfinished == sum(tally.outcomes.values()) - tally.dropped
    assert tally.started <= len(found.served) <= planned
    assert {row for row in found.served if row >= 300 * (loss.at_ns / 1e9 + 0.1)} == set(
        range(round(300 * (loss.at_ns / 1e9 + 0.1) + 0.5), planned)
    )
    (reason,) = [each for each in judge([found.plan], [found.total]).reasons if each.rule == "agent_lost"]
    assert (reason.severity, reason.value) == ("range", (planned - tally.planned) / planned)
    assert len(found.notices) == 1


@pytest.mark.wallclock
@pytest.mark.timeout(120)
async def test_whatever_becomes_of_an_agent_is_noticed_within_3_s_and_no_load_is_left(tmp_path: Path) -> None:
    with cluster(tmp_path, 4) as of:
        killed = await struck(of, tmp_path, [], signal.SIGKILL, 2.5)
        hold(killed, 2.5)
        assert killed.noticed_s < 1
        assert "died" in killed.notices[0]

        address = next(iter(of.workers))
        stopped = await struck(of, tmp_path, [of.workers[address].pid], signal.SIGSTOP, 5)
        hold(stopped, 5)
        assert 2 < stopped.noticed_s < 3.2
        assert "has said nothing for 2.5 s" in stopped.notices[0]
        of.workers.pop(address).kill()

        await coordinator_is_killed(of, tmp_path)
        await scheduler_is_killed(of, tmp_path)


@pytest.mark.soak
@pytest.mark.wallclock
@pytest.mark.timeout(120)
async def test_a_worker_that_goes_in_good_order_and_an_agent_that_is_stopped_are_missed_alike(tmp_path: Path) -> None:
    with cluster(tmp_path, 4) as of:
        gone = next(iter(of.workers))
        left = await struck(of, tmp_path, [of.workers[gone].pid], signal.SIGTERM, 5)  # a worker that goes in good order
        hold(left, 5)
        assert left.noticed_s < 3.2
        of.workers.pop(gone)
        stopped = await struck(of, tmp_path, [], signal.SIGSTOP, 5)
        hold(stopped, 5)
        assert 2 < stopped.noticed_s < 3.2


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


@contextmanager
def elsewhere() -> Iterator[tuple[str, str, str]]:
    """A host of its own on two wires, one to the cluster and one to the target: its name, and both our addresses."""
    name = f"lg{os.getpid() % 10_000}"
    ip(f"netns add {name}")
    try:
        for wire, net in (("c", 213), ("t", 214)):
            ip(f"link add {name}{wire} type veth peer name w{wire} netns {name}")
            ip(f"addr add 10.{net}.77.1/30 dev {name}{wire}")
            ip(f"link set {name}{wire} up")
            ip(f"-n {name} addr add 10.{net}.77.2/30 dev w{wire}")
            ip(f"-n {name} link set w{wire} up")
        ip(f"-n {name} link set lo up")
        yield name, "10.213.77.1", "10.214.77.1"
    finally:
        for wire in "ct":
            subprocess.run(["ip", "link", "del", f"{name}{wire}"], check=False)
        ip(f"netns del {name}")


@pytest.mark.soak
@pytest.mark.wallclock
@pytest.mark.timeout(120)
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="a network of its own takes root and ip(8)")
async def test_an_agent_that_is_cut_off_but_reaches_its_target_makes_nothing_that_others_make(tmp_path: Path) -> None:
    """The wire to the cluster is cut, which tells nobody; the wire to the target is not."""
    with elsewhere() as (name, here, at):
        hosts = [here, here, here, "10.213.77.2"]
        before = [[], [], ["ip", "netns", "exec", name]]
        with cluster(tmp_path, 3, hosts=hosts, before=before) as of:
            reached = await dask.survey(of.address, None)
            other = next(worker for worker in of.workers if "10.213.77.2" in worker)
            agents: list[int] = []
            noticed: list[float] = []
            cut = 0.0

            def strike() -> None:
                nonlocal cut
                cut = time.monotonic()
                agents.append(of.agent(other))
                ip(f"link set {name}c down")

            async with serving(by_row, host=at) as server:
                wanted = load(server, tmp_path, open_phase(300, 6), on_loss=OnAgentLoss.REDISTRIBUTE)
                wanted = replace(wanted, target=function(f"http://{at}:{server.port}"))
                plans = [Plan(wanted, at, agent, time.monotonic_ns()) for agent in range(3)]
                fleet = dask.DaskFleet(reached)
                async with Crew(fleet, plans, lambda _: noticed.append(time.monotonic())) as together:
                    asyncio.get_running_loop().call_later(1.6, strike)
                    found = await played(together, wanted)
                served = Counter(map(row_of, server.requests))
            hold(Struck(found, ["lost"], served, noticed[0] - cut), 6)
            assert 2 < noticed[0] - cut < 3.2
            assert len(served) > found.total.tally.started  # it went on for as long as its lease lasted
            while any(map(alive, agents)):
                assert time.monotonic() - cut < 8
                await asyncio.sleep(0.1)


async def coordinator_is_killed(of: Cluster, tmp_path: Path) -> None:
    async with serving(by_row) as server:
        text = {
            "name": "lost",
            "target": {"endpoint": f"http://127.0.0.1:{server.port}", "project_id": "demo", "function": "hello"},
            "event": {"n": 7},
            "phases": [{"name": "steady", "rate": "100/s", "duration": "60s"}],
        }
        (tmp_path / "lost.yaml").write_text(json.dumps(text))
        run = subprocess.Popen(
            [sys.executable, "-m", "loadgen", "run", "lost.yaml", "--out", "lost", "--cluster", of.address],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        log = tmp_path / "lost" / "intervals.hlog"
        async with asyncio.timeout(30):
            while not (log.exists() and "Tag=steady." in log.read_text()):
                await asyncio.sleep(0.05)
        agents = of.agents()
        assert len(agents) == len(of.workers)
        run.kill()
        run.wait()
        async with asyncio.timeout(6.5):
            while any(map(alive, agents)):
                await asyncio.sleep(0.05)
        made = len(server.requests)
        await asyncio.sleep(0.3)
        assert len(server.requests) == made


async def scheduler_is_killed(of: Cluster, tmp_path: Path) -> None:
    reached = await dask.survey(of.address, None)
    total = PhaseTotal("steady")
    async with serving(by_row) as server:
        wanted = load(server, tmp_path, open_phase(100, 60))
        async with crew(reached, wanted, len(reached.workers)) as together:
            for frame in await together.prepare(0, 4):
                total.add(frame)
            agents = of.agents()
            asyncio.get_running_loop().call_later(1.3, of.scheduler.kill)
            running = together.run(time.monotonic_ns() + 10**8)
            with pytest.raises(FleetError, match=r"the scheduler tcp://\S+ is gone"):  # noqa: PT012
                async for frame in running:
                    total.add(frame)
            lost = time.monotonic()
        async with asyncio.timeout(6.5):
            while any(map(alive, agents)):
                await asyncio.sleep(0.05)
        assert time.monotonic() - lost < 6.5
    assert total.tally.started > 50
