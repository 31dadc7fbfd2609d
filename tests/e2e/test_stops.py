"""What a stop of the load generator does to a run is not blamed on the target."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import count
from tests.e2e.processes import agents_of, finish, start
from tests.servers.scripted import answer_all, serving

MS = 1_000_000
LOAD = """
name: stops
target: {{url: "http://127.0.0.1:{port}/"}}
phases:
  - {{name: warm-up, workers: 2, duration: 300ms, warmup: true}}
  - {{name: steady, rate: 60/s, duration: 4s}}
thresholds: [latency.max < 80ms, latency.p50 < 80ms]
"""


@pytest.mark.wallclock
async def test_a_stop_of_the_agent_breaks_no_rule_that_the_target_keeps(tmp_path: Path) -> None:
    """Of 240 starts some eight fall due while the agent stands still for 130 ms: too few for another load."""
    log = tmp_path / "run" / "intervals.hlog"
    async with serving(answer_all) as server:
        process = start(tmp_path, "--agents", "1", scenario=LOAD.format(port=server.port))
        async with asyncio.timeout(30):
            while not (log.exists() and "Tag=steady." in log.read_text()):
                await asyncio.sleep(0.02)
        (agent,) = agents_of(process.pid)
        os.kill(agent, signal.SIGSTOP)
        await asyncio.sleep(0.13)
        os.kill(agent, signal.SIGCONT)
        stdout, _, summary = await asyncio.to_thread(finish, process, tmp_path)
    steady = summary["phases"][1]
    assert count(steady["metrics"]["latency"]) == 240
    assert sum(steady["disturbed"].values()) >= 5
    if process.returncode == 97:  # a busy machine has stopped it some more
        return
    most, median = summary["thresholds"]
    assert (most["passed"], most["decided_by"]) == (None, None)
    assert most["high_end"] > 100 * MS
    assert median["passed"] is True
    (late,) = [each for each in summary["verdict"]["reasons"] if each["rule"] == "late_starts"]
    assert "latency.max" in late["figures"]
    assert "generator_stalled" in late["causes"]
    assert summary["verdict"]["status"] == "degraded"
    assert process.returncode == 96
    assert "generator" in stdout
