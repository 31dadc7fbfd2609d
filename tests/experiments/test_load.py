from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from loadgen.engine.numbers import ENDLESS
from loadgen.experiments.load.decision import load
from loadgen.history.rundir import RunDirectory
from loadgen.invocation.tally import Tally
from loadgen.measure import hlog
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.summary import Preflight
from loadgen.run.agents import Agents
from loadgen.run.runner import Runner, _to_come, interval_lines
from loadgen.scenario.load import Loaded
from tests.frames import blank, packed
from tests.scenarios import http, open_phase, scenario
from tests.servers.scripted import Peer, serving


def frame(hist: dict[str, Histogram]) -> Frame:
    return blank(Tally(5, 5, 5), packed(hist), seq=1)


def test_a_frame_becomes_a_line_per_metric_of_its_ok_calls_and_one_of_every_latency() -> None:
    lines = interval_lines(
        frame(
            {
                "ok/latency": Histogram({10: 3}),
                "ok/duration": Histogram({5: 3}),
                "throttled/latency": Histogram({2: 1}),
                "throttled/late": Histogram({0: 1}),
                "dropped/latency": Histogram({90: 1}),
            }
        )
    )
    read = {line.tag: line for line in hlog.read(f"{line}\n" for line in [*hlog.header(0), *lines])}
    assert {tag: line.histogram.counts for tag, line in read.items()} == {
        "steady.duration": {5: 3},
        "steady.latency": {10: 3},
        "steady.latency_all": {2: 1, 10: 3, 90: 1},
    }
    assert {(line.start_ns, line.length_ns) for line in read.values()} == {(1_000_000_000, 1_000_000_000)}


def test_an_empty_frame_becomes_no_line() -> None:
    assert list(interval_lines(frame({}))) == []


@pytest.mark.parametrize(
    ("planned", "agents", "numbered"),
    [
        ([7], 1, 7),
        ([4, 3], 2, 7),  # 0 2 4 6 and 1 3 5
        ([2, 4], 2, 8),  # closed workers are not equally fast: 0 2 and 1 3 5 7, so 4 and 6 stay unused
        ([0, 0], 2, 0),
        ([3, 0, 1], 3, 7),
    ],
)
def test_the_next_phase_numbers_its_arrivals_from_where_the_furthest_agent_stopped(
    planned: list[int], agents: int, numbered: int
) -> None:
    total = PhaseTotal("steady")
    for agent, n in enumerate(planned):
        reported = frame({})
        reported.agent, reported.seq, reported.tally.planned = agent, 0, n
        total.add(reported)
    assert _to_come(ENDLESS, total, agents, None, ()) == ((numbered, ENDLESS[0][1]),)


def test_numbers_that_a_closed_phase_left_unused_come_before_those_that_it_never_had() -> None:
    holes = ((3, 5), (9, 10))
    assert _to_come(((0, 20),), PhaseTotal("closed"), 2, ((0, 10),), holes) == ((3, 5), (9, 20))


def test_an_agent_that_took_no_part_in_a_phase_does_not_use_up_its_numbers() -> None:
    total = PhaseTotal("steady")
    for agent, n in enumerate([4, 0, 0]):
        reported = frame({})
        reported.agent, reported.seq, reported.tally.planned = agent, 0, n
        total.add(reported)
    assert _to_come(ENDLESS, total, 1, None, ()) == ((4, ENDLESS[0][1]),)


class Quiet:
    """An Observer that looks away."""

    def preflight(self, result: Preflight) -> None: ...

    def phase_started(self, name: str, duration_ns: int, planned: int | None) -> None: ...

    def frame(self, frame: Frame) -> None: ...

    def note(self, text: str) -> None: ...


async def _silent(peer: Peer) -> None:
    await peer.request()
    await asyncio.sleep(60)


@pytest.mark.parametrize("after_s", [0.0, 0.3])
async def test_an_interrupt_before_or_during_the_preflight_ends_the_run_at_once(tmp_path: Path, after_s: float) -> None:
    async with serving(_silent) as server:
        loaded = Loaded(scenario(http(f"http://127.0.0.1:{server.port}/"), open_phase(10, 1)), {}, "")
        directory = RunDirectory.create(tmp_path / "run")
        run = Runner(loaded, load(loaded.scenario.phases, told=True), directory, Quiet(), agents=Agents(1, "asked"))
        if after_s:
            asyncio.get_running_loop().call_later(after_s, run.interrupt)
        else:
            run.interrupt()
        begun = time.monotonic()
        try:
            finished = await run.run()
        finally:
            directory.close()
    assert time.monotonic() - begun < 4
    assert finished.summary.run.interrupted
    assert finished.summary.phases == []
    assert finished.failed is None
