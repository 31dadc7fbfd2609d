"""Agents that are stopped, killed, interrupted or short of workers, targets that refuse, and what a run says of it."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Loadgen, count
from tests.e2e.processes import agents_of, finish, start
from tests.servers.nginx import NGINX, Nginx
from tests.servers.ports import free_port
from tests.servers.scripted import Peer, Server, answer_all, serving

MS = 1_000_000
LOAD = """
name: broken
target: {{endpoint: "http://127.0.0.1:{port}", project_id: demo, function: hello, preflight: false}}
phases:
  - {{name: steady, {shape}, grace: 20s}}
samples: all
"""


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is so, for as long as a busy machine may need."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def measured(tmp_path: Path) -> bool:
    """Whether the first interval of the measured phase has been written down."""
    log = tmp_path / "run" / "intervals.hlog"
    return log.exists() and "Tag=steady." in log.read_text()


async def finished(process: subprocess.Popen[str], tmp_path: Path) -> tuple[str, str, dict[str, Any]]:
    """``finish`` while a server of this process goes on serving."""
    return await asyncio.to_thread(finish, process, tmp_path)


def reasons(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The reasons of the verdict, by rule."""
    return {reason["rule"]: reason for reason in summary["verdict"]["reasons"]}


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_an_agent_that_stood_still_for_most_of_a_second_makes_the_run_invalid(tmp_path: Path) -> None:
    async with serving(answer_all) as server:
        scenario = LOAD.format(port=server.port, shape="rate: 100/s, duration: 4s")
        process = start(tmp_path, "--set", "thresholds=[latency.p50 < 10s]", "--agents", "1", scenario=scenario)
        await eventually(lambda: measured(tmp_path))
        (agent,) = agents_of(process.pid)
        os.kill(agent, signal.SIGSTOP)
        await asyncio.sleep(0.6)  # which can be made up for
        os.kill(agent, signal.SIGCONT)
        stdout, _, summary = await finished(process, tmp_path)
    assert process.returncode == 97
    late = reasons(summary)["late_starts"]
    assert (late["severity"], late["withholds"]) == ("invalid", "all")
    assert late["value"] > 0.1 > late["limit"]
    assert "generator_stalled" in late["causes"]
    assert summary["totals"]["planned"] == summary["totals"]["completed"] == 400
    assert summary["thresholds"][0]["passed"] is None
    assert "it stood still for up to" in " ".join(stdout.split())


async def test_one_agent_of_two_that_is_killed_ends_the_load_where_the_scenario_says_so(tmp_path: Path) -> None:
    async with serving(answer_all) as server:
        scenario = LOAD.format(port=server.port, shape="rate: 100/s, duration: 60s")
        process = start(tmp_path, "--agents", "2", "--set", "on_agent_loss=stop", scenario=scenario)
        await eventually(lambda: measured(tmp_path))
        agents = agents_of(process.pid)
        os.kill(agents[1], signal.SIGKILL)
        stdout, stderr, summary = await finished(process, tmp_path)
    assert process.returncode == 1
    assert "error: agent 1 died with exit code -9: silently. The load was ended, as on_agent_loss is stop" in stderr
    assert "agent 1 died with exit code -9" in reasons(summary)["agent_lost"]["message"]
    assert "record_incomplete" not in reasons(summary)
    assert "agent_lost" in stdout
    assert 0 < summary["totals"]["started"] <= len(server.requests)
    assert (tmp_path / "run" / "report.html").exists()
    assert len(agents) == 2
    assert gone(agents)


async def test_one_agent_of_two_that_is_stopped_is_noticed_killed_and_missed_and_the_run_goes_on(
    tmp_path: Path,
) -> None:
    async with serving(answer_all) as server:
        scenario = LOAD.format(port=server.port, shape="rate: 100/s, duration: 5s")
        process = start(tmp_path, "--agents", "2", "--set", "thresholds=[achieved_rate > 95/s]", scenario=scenario)
        await eventually(lambda: measured(tmp_path))
        agents = agents_of(process.pid)
        os.kill(agents[1], signal.SIGSTOP)
        at = time.monotonic()
        await eventually(lambda: gone(agents[1:]))
        assert time.monotonic() - at < 8  # 3 s on a machine that does nothing else
        stdout, stderr, summary = await finished(process, tmp_path)
    lost = reasons(summary)["agent_lost"]
    assert lost["severity"] == "range"
    assert summary["verdict"]["status"] in ("degraded", "invalid")  # a busy machine may make it late besides
    assert "agent 1 has said nothing for 2.5 s, expected an answer twice a second. The run goes on" in stderr
    totals = summary["totals"]
    assert totals["planned"] == totals["started"] + totals["dropped"] < 500
    assert totals["started"] == totals["completed"] + totals["unfinished"] <= len(server.requests)
    if summary["verdict"]["status"] == "degraded":
        assert "not all of the load was made: Lost while it made load: agent 1 has said nothing" in " ".join(
            stdout.split()
        )
        assert "agent_lost: phase steady" in stdout
    assert summary["thresholds"][0]["passed"] is None  # that the rate was not reached is no fault of the target's
    assert [agent["lost"] is not None for agent in summary["generator"]["agents"]] == [False, True]


async def test_agents_whose_parent_is_killed_end_though_their_target_is_silent(tmp_path: Path) -> None:
    async def silent(peer: Peer) -> None:
        await peer.gone()

    async with serving(silent) as server:
        scenario = LOAD.format(port=server.port, shape="workers: 4, duration: 60s")
        process = start(tmp_path, "--agents", "2", scenario=scenario)
        await eventually(lambda: len(server.peers) >= 4)
        agents = agents_of(process.pid)
        process.kill()
        await asyncio.to_thread(process.communicate)
        assert len(agents) == 2
        await eventually(lambda: gone(agents))


async def interrupted(tmp_path: Path, server: Server, times: int) -> tuple[int, dict[str, Any]]:
    """Interrupt a run in the grace of its phase; its exit code and Summary."""
    scenario = LOAD.format(port=server.port, shape="rate: 10/s, duration: 1s")
    process = start(tmp_path, scenario=scenario)
    await eventually(lambda: len(server.requests) == 10)
    await asyncio.sleep(0.5)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        await asyncio.sleep(0.3)
    _, _, summary = await finished(process, tmp_path)
    return process.returncode, summary


async def test_an_interrupt_in_the_grace_still_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    async with serving(slow(3)) as server:
        code, summary = await interrupted(tmp_path, server, 1)
    assert code == 130
    assert summary["totals"]["outcomes"] == {"ok": 10}


async def test_a_second_interrupt_in_the_grace_waits_for_nothing(tmp_path: Path) -> None:
    async with serving(slow(60)) as server:
        begun = time.monotonic()
        code, summary = await interrupted(tmp_path, server, 2)
    assert code == 130
    assert summary["totals"]["outcomes"] == {"unfinished": 10}
    assert time.monotonic() - begun < 20  # the grace


def slow(seconds: float) -> Callable[[Peer], Any]:
    """Answer every request after a while."""

    async def play(peer: Peer) -> None:
        while await peer.request() is not None:
            await asyncio.sleep(seconds)
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    return play


async def test_when_no_worker_is_free_latency_holds_the_wait_and_the_run_says_so(loadgen: Loadgen) -> None:
    """Two workers and a server that takes 200 ms serve ten a second of the twenty that arrive."""
    sent_ns: list[int] = []

    async def play(peer: Peer) -> None:
        while await peer.request() is not None:
            await asyncio.sleep(0.2)
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Cff-Request-Id: %d\r\n\r\n{}" % len(sent_ns))
            sent_ns.append(time.monotonic_ns())

    async with serving(play) as server:
        scenario = LOAD.format(port=server.port, shape="rate: 20/s, duration: 2s, max_in_flight: 2")
        run = await asyncio.to_thread(loadgen, scenario)
    assert run.passed, run.stderr
    totals = run.summary["totals"]
    saturated = reasons(run.summary)["pool_saturated"]
    assert (saturated["severity"], saturated["withholds"]) == ("warning", None)
    assert totals["planned"] == count(totals["metrics"]["latency_all"]) == 40
    assert totals["dropped"] == totals["reasons"]["dropped/phase_end"]
    with gzip.open(run.out / "samples.ndjson.gz", "rt") as file:
        answered = [sample for sample in map(json.loads, file) if sample["outcome"] == "ok"]
    for sample in answered:
        index = sample["index"]
        started_ms = index // 2 * 200 + index % 2 * 50  # a worker of two becomes free every 100 ms, in pairs
        latency_ns = sample["ended_ns"] - sample["intended_ns"]
        assert latency_ns >= (started_ms + 200 - index * 50 - 1) * MS
    first = answered[0]
    apart = [
        (sample["ended_ns"] - first["ended_ns"])
        - (sent_ns[int(sample["request_id"])] - sent_ns[int(first["request_id"])])
        for sample in answered
    ]
    assert abs(statistics.median(apart)) < 50 * MS


async def test_a_target_that_throttles_does_not_make_the_run_invalid(loadgen: Loadgen) -> None:
    async def play(peer: Peer) -> None:
        await answer_all(peer, b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n")

    async with serving(play) as server:
        scenario = LOAD.format(port=server.port, shape="rate: 50/s, duration: 1s")
        run = await asyncio.to_thread(loadgen, scenario, "--set", "target.preflight=true")
    assert run.passed, run.stderr
    assert run.summary["totals"]["reasons"] == {"throttled/status_429": 50}
    assert reasons(run.summary)["failures"]["severity"] == "warning"


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx-light)")
def test_three_agents_send_what_nginx_counts_in_phases_of_every_model(loadgen: Loadgen, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    phases = (
        "phases=[{name: open, rate: 100/s, duration: 2s}, {name: closed, workers: 7, duration: 1s}, "
        "{name: bursts, burst: {size: 20, gap: 500ms, repeat: 3}}]"
    )
    with Nginx(tmp_path / "nginx", free_port(), log=True) as nginx:
        scenario = LOAD.format(port=nginx.url.rpartition(":")[2], shape="rate: 1/s, duration: 1s")
        run = loadgen(scenario, "--set", phases, "--agents", "3")
    assert run.passed, run.stderr
    by_name = {phase["name"]: phase for phase in run.summary["phases"]}
    assert (by_name["open"]["started"], by_name["bursts"]["started"]) == (200, 60)
    with gzip.open(run.out / "samples.ndjson.gz", "rt") as file:
        samples = [json.loads(line) for line in file]
    assert {sample["agent"] for sample in samples} == {0, 1, 2}
    assert nginx.logged() == run.summary["totals"]["started"] == len(samples)
    assert len({sample["index"] for sample in samples}) == len(samples)
