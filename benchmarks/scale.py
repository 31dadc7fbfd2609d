"""What an invocation in flight costs one agent in memory, and whether many of them cost accuracy.

The server holds every answer for two seconds, so a rate of r keeps 2·r invocations in flight. Memory is the growth of
the agent's resident set over the phase, connections included, over the most that were in flight; the kernel's socket
buffers are not in it. Accuracy is how far the service times are from how long the server held each answer.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from msgspec.structs import replace

from benchmarks import process
from benchmarks.document import provenance, table
from benchmarks.ours import Agent, build
from benchmarks.recording_server import Recorded, RecordingServer
from benchmarks.tool import BODY
from loadgen.engine.messages import Plan
from loadgen.fleet.crew import Crew
from loadgen.fleet.local import LocalFleet
from loadgen.measure.histogram import Histogram, rank
from loadgen.measure.merge import PhaseTotal
from tests.scenarios import function, open_phase, scenario

RATES = (50, 5000)
_GRACE_S = 10
HEADER = (
    "rate",
    "most in flight",
    "KiB each",
    "service time: p50 ms",
    "p99 ms",
    "held by the server: p50 ms",
    "p99 ms",
    "late: p50 µs",
    "p99 µs",
)


@dataclass(frozen=True, slots=True)
class Crowd:
    """What an agent showed while many invocations were in flight."""

    most: int
    bytes_each: float
    total: PhaseTotal


def section(seconds: int, how: str) -> str:
    """Measure, and tell in Markdown."""
    client, server, *_ = sorted(os.sched_getaffinity(0))
    version, built = build({})
    rows = []
    for rate in RATES:
        with RecordingServer("slow", core=server) as recording:
            print(".", end="", flush=True, file=sys.stderr)
            crowd = asyncio.run(_crowd(recording.origin, rate, seconds, client))
        rows.append([f"{rate:,}/s", *_row(crowd, recording.records)])
    return "\n\n".join(
        [provenance([Agent(f"loadgen, {built}", version)], how), f"{seconds} s each.", table(HEADER, rows)]
    )


async def _crowd(origin: str, rate: int, seconds: int, core: int) -> Crowd:
    phase = replace(open_phase(rate, seconds, limit=20_000), grace_ns=_GRACE_S * 1_000_000_000)
    plan = Plan(scenario(function(origin), phase, event=BODY), "127.0.0.1", 0, time.monotonic_ns())
    total = PhaseTotal("steady")
    async with AsyncExitStack() as stack:
        with process.pinned(core):
            crew = await stack.enter_async_context(Crew(LocalFleet(), [plan]))
        (ready,) = await crew.prepare(0, 1)
        most = in_flight = 0
        largest = ready.health.rss_bytes
        async for frame in crew.run(time.monotonic_ns() + 100_000_000):
            total.add(frame)
            in_flight += frame.tally.started - frame.tally.completed
            most = max(most, in_flight)
            largest = max(largest, frame.health.rss_bytes)
    return Crowd(most, (largest - ready.health.rss_bytes) / most, total)


def _row(crowd: Crowd, records: Sequence[Recorded]) -> list[str]:
    service, late = (crowd.total.merged(metric) for metric in ("service_time", "late"))
    held = sorted(record.sent_ns - record.read_ns for record in records)
    return [
        f"{crowd.most:,}",
        f"{crowd.bytes_each / 1024:.1f}",
        *(f"{_at(service, p) / 1000:,.2f}" for p in (50, 99)),
        *(f"{held[rank(p, len(held)) - 1] / 1e6:,.2f}" for p in (50, 99)),
        *(f"{_at(late, p):,}" for p in (50, 99)),
    ]


def _at(histogram: Histogram, p: float) -> int:
    value = histogram.value_at(p)
    assert value is not None
    return value
