"""``python -m benchmarks.mix``: what a mix of four calls with one check each costs beside one call without any.

Closed model, both on one core and nginx on another, in turns: a ratio is that of two rounds that ran one after the
other, so that what else the machine does weighs on both. CPU time is that of the agent under load.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from benchmarks import process
from loadgen.engine.messages import Plan
from loadgen.fleet.crew import Crew
from loadgen.fleet.local import LocalFleet
from loadgen.scenario.model import Call, Scenario
from loadgen.targets.checks import parse
from loadgen.targets.target import Target
from tests.scenarios import closed_phase, function, http, scenario
from tests.servers.nginx import Nginx
from tests.servers.ports import free_port

CONNECTIONS = 64
CHECKS = ("status == 200", 'json.message == "hello world from FunctionStage"', 'body contains "hello"', "json exists")
_LEAD_NS = 100_000_000


def one(target: Target, seconds: float) -> Scenario:
    """One call without checks."""
    return scenario(target, closed_phase(CONNECTIONS, seconds), event='{"id": 5}')


def mix(target: Target, seconds: float, checks: tuple[str, ...]) -> Scenario:
    """Calls of different weights, each with one of the checks."""
    calls = tuple(
        Call(f"call-{number}", weight, target, f'{{"id": {number}}}', checks=(parse(check),))
        for number, (weight, check) in enumerate(zip((4, 3, 2, 1), checks, strict=True))
    )
    return replace(one(target, seconds), calls=calls)


async def made(planned: Scenario, core: int) -> tuple[float, float]:
    """Requests per second, and the agent's CPU µs for each."""
    (phase,) = planned.phases
    completed = cpu_ns = 0
    async with AsyncExitStack() as stack:
        with process.pinned(core):
            crew = await stack.enter_async_context(
                Crew(LocalFleet(), [Plan(planned, "127.0.0.1", 0, time.monotonic_ns())])
            )
        await crew.prepare(0, CONNECTIONS)
        async for frame in crew.run(time.monotonic_ns() + _LEAD_NS):
            assert frame.tally.completed == frame.tally.outcomes.get("ok", 0), frame.tally.outcomes
            completed += frame.tally.completed
            cpu_ns += frame.health.cpu_ns
    return completed / phase.duration_ns * 1e9, cpu_ns / completed / 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mix", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    client, server, *_ = sorted(os.sched_getaffinity(0))
    with TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o755)
        with Nginx(Path(temporary), free_port(), cpu=server) as nginx:
            for title, target, checks in (
                ("functions, checks of the status", function(nginx.url), CHECKS[:1] * 4),
                ("functions, checks of all kinds", function(nginx.url), CHECKS),
                ("plain HTTP, checks of the status", http(f"{nginx.url}/"), CHECKS[:1] * 4),
                ("plain HTTP, checks of all kinds", http(f"{nginx.url}/"), CHECKS),
            ):
                pairs = []
                for turn in range(options.rounds):
                    planned = [one(target, options.seconds), mix(target, options.seconds, checks)]
                    order = planned if turn % 2 else planned[::-1]
                    found = [asyncio.run(made(each, client)) for each in order]
                    pairs.append(found if turn % 2 else found[::-1])
                rates = [mixed[0] / single[0] for single, mixed in pairs]
                costs = [single[1] / mixed[1] for single, mixed in pairs]
                alone, together = [statistics.median(pair[at][0] for pair in pairs) for at in (0, 1)]
                cheap, dear = [statistics.median(pair[at][1] for pair in pairs) for at in (0, 1)]
                print(
                    f"{title}: {alone:,.0f}/s and {together:,.0f}/s, {cheap:.2f} and {dear:.2f} µs of CPU each; of a "
                    f"pair, throughput × {statistics.median(rates):.2f} ({min(rates):.2f} to {max(rates):.2f}), by CPU "
                    f"× {statistics.median(costs):.2f} ({min(costs):.2f} to {max(costs):.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
