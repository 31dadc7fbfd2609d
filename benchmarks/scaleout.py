"""``python -m benchmarks.scaleout``: what an invocation costs with 1, 2 and 4 agents, and what carrying frames costs.

A stub that does nothing answers an open load on loopback, on agents as processes of this machine and on a cluster of
it. Given are CPU times: of the agents per invocation, and per agent and second of the process that merges and, on the
cluster, of the scheduler and the workers. With more agents than cores they are in each other's way, which CPU time
does not show but for caches.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from loadgen.engine.clock import monotonic_ns
from loadgen.engine.messages import Plan
from loadgen.fleet import dask
from loadgen.fleet.crew import Crew
from loadgen.fleet.local import LocalFleet
from loadgen.fleet.port import Fleet
from loadgen.run.play import play
from loadgen.targets.settings import idle
from tests.scenarios import open_phase, scenario

AGENTS = (1, 2, 4)
RATE_PER_S, SECONDS = 2000, 5
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and say it."""
    print(f"{RATE_PER_S}/s for {SECONDS} s against a stub, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    for agents in AGENTS:
        asyncio.run(_measured(f"{agents} processes", LocalFleet(), agents))
    for agents in AGENTS:
        with dask.reached(f"local:{agents}") as reached:
            asyncio.run(_measured(f"local:{agents}", dask.DaskFleet(reached), agents))


async def _measured(name: str, fleet: Fleet, agents: int) -> None:
    async with idle() as target:
        load = scenario(target, open_phase(RATE_PER_S, SECONDS))
        plans = [Plan(load, "127.0.0.1", agent, monotonic_ns()) for agent in range(agents)]
        async with Crew(fleet, plans) as crew:
            carriers = _carriers()
            before, own = {pid: _cpu_s(pid) for pid in carriers}, time.process_time()
            played = await play(crew, 0, load.phases[0], seed=1, connections=8)
            own = time.process_time() - own
            used = {pid: (_cpu_s(pid) - before[pid]) / SECONDS / agents * 1000 for pid in carriers}
    assert played is not None
    total = played.total
    cpu_us = sum(frames.cpu_ns for frames in total.agents.values()) / total.tally.completed / 1000
    p50, p99 = (total.merged("service_time").value_at(p) for p in (50, 99))
    scheduler = used.get(carriers[0], 0.0) if carriers else 0.0  # the cluster's first process is the scheduler
    apart = max(frames.start_error_ns for frames in total.agents.values())
    print(
        f"{name}: {total.tally.completed} calls, {cpu_us:.1f} µs of CPU each, p50 {p50} µs, p99 {p99} µs; merging "
        f"{own / SECONDS / agents * 1000:.1f} ms, the scheduler {scheduler:.1f} ms and the worker "
        f"{sum(used.values()) - scheduler:.1f} ms of CPU per agent and second; agents begin within {apart / 1e6:.2f} ms"
    )


def _carriers() -> list[int]:
    """The processes of a cluster: all below the one that was started for it, but agents."""
    children: dict[int, list[int]] = {}
    words = {}
    for each in Path("/proc").glob("[0-9]*"):
        try:
            pid, parent = int(each.name), int((each / "stat").read_text().rpartition(")")[2].split()[1])
            words[pid] = (each / "cmdline").read_text()
        except OSError:
            continue
        children.setdefault(parent, []).append(pid)
    found, left = [], [pid for pid in children.get(os.getpid(), []) if "loadgen.fleet.dask" in words[pid]]
    while left:
        pid = left.pop()
        if "loadgen.engine.agent" not in words[pid]:
            found.append(pid)
        left += children.get(pid, [])
    return found


def _cpu_s(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) * _TICK_S


if __name__ == "__main__":
    main()
