"""What an agent says about itself each second."""

from __future__ import annotations

import sys
import time

import pytest

from loadgen.engine.health import open_files
from loadgen.engine.limits import files_needed
from loadgen.fleet.crew import Crew
from loadgen.fleet.local import LocalFleet
from loadgen.measure.interval import Frame
from tests.fleet.test_local import answer, plan
from tests.scenarios import closed_phase, function, scenario
from tests.servers.scripted import serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
WORKERS = 20


async def second_of_load() -> tuple[Frame, list[Frame]]:
    """The frame of an agent that is ready, and those of somewhat more than a second."""
    async with serving(answer) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), closed_phase(WORKERS, 1.2))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            (ready,) = await crew.prepare(0, WORKERS)
            return ready, [frame async for frame in crew.run(time.monotonic_ns())]


async def test_an_agent_reports_its_own_state_and_that_of_its_machine_each_second() -> None:
    ready, frames = await second_of_load()
    assert ready.health.host is None  # nothing is measured yet
    assert ready.health.recent_connections == ready.tally.connections.opened == WORKERS
    assert len(frames) >= 2
    for frame in frames:
        own = frame.health
        assert own.cpu_ns > 0
        assert own.rss_bytes > 10_000_000
        assert (own.gc_collections, own.gc_pause_ns) == (0, 0)
        assert own.recent_connections >= WORKERS
        if open_files() is not None:
            assert own.open_files is not None
            assert WORKERS < own.open_files <= files_needed(closed_phase(WORKERS, 1), 1)
    first = frames[0].health
    assert first.host is not None
    assert first.host.cores >= 1
    assert first.host.observed_ns >= 900_000_000
    assert 0 <= first.host.least_idle_ns <= first.host.observed_ns
    assert first.timer_error_ns is not None
    assert 0 <= first.timer_error_ns <= first.loop_lag_ns
