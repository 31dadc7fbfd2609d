"""What the tools report of a server whose latencies are known, and of a pause that was their own.

The question put to every tool is the same: what would callers see who arrive at a constant rate, whatever the server
does? ``benchmarks.delays`` has the true answer. Tools with an open model are told the rate; those without one are run
with as many connections as a user might choose, and say what they say. Clients are not pinned, the server is.

In the second part the server answers at once, and every process of the tool is stopped for a second. The truth is
that callers would have noticed nothing: a tool that reports slow answers blames the server for a pause of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from benchmarks.delays import DELAYS, true_latencies_ns
from benchmarks.document import NONE, commands, ms, printed, provenance, table
from benchmarks.ours import Command, build
from benchmarks.peers import peers
from benchmarks.recording_server import Recorded, RecordingServer
from benchmarks.tool import Closed, Endpoint, Freeze, Load, Open, Tool, ToolError
from loadgen.measure.histogram import rank

RATE = 200
FREEZE_RATE = 500
FEW, MANY = 10, 500
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
HEADER = ("", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "requests", "what it says")
TITLES = {
    "fixed": "Every answer after 20 ms",
    "bimodal": "95 % of the answers after 10 ms, 5 % after 200 ms",
    "stall": "Answers at once, but for 2 s in which all wait",
}

Contest = Sequence[tuple[str, Tool, Load]]
"""What a row is called, the tool, and its load."""


def contest(rate: int, seconds: int) -> Contest:
    """Every tool with the load that comes closest to the rate."""
    version, _ = build({})
    rows: list[tuple[str, Tool, Load]] = [("loadgen", Command("loadgen", version), Open(rate, seconds, MANY))]
    for peer in peers():
        if not peer.makes(Open(rate, seconds, FEW)):
            rows.append((f"{peer.name}, {FEW} connections", peer, Closed(FEW, seconds)))
            continue
        unit = {"k6": "VUs", "locust": "users"}.get(peer.name, "connections")
        sizes = (FEW, MANY) if peer.name == "k6" else (FEW,)
        rows.extend((f"{peer.name}, {size} {unit}", peer, Open(rate, seconds, size)) for size in sizes)
    return rows


def section(seconds: int, delays: Sequence[str], how: str) -> str:
    """Measure with each of these delays, and tell in Markdown."""
    core = sorted(os.sched_getaffinity(0))[-1]
    rows = contest(RATE, seconds)
    parts = [provenance((tool for _, tool, _ in rows), how), f"{RATE}/s for {seconds:g} s."]
    for delay in delays:
        true = [ns / 1e6 for ns in true_latencies_ns(DELAYS[delay], RATE, seconds)]
        parts += _part(TITLES[delay], delay, true, rows, core, None)
    frozen = contest(FREEZE_RATE, seconds)
    true = [0.0] * int(FREEZE_RATE * seconds)
    freeze = Freeze(seconds / 2, 1)
    parts += _part(
        f"Answers at once; the tool is stopped for 1 s at {FREEZE_RATE}/s", "none", true, frozen, core, freeze
    )
    return "\n\n".join([*parts, commands((tool, load) for _, tool, load in [*rows, *frozen])])


def _part(
    title: str, delay: str, true_ms: Sequence[float], rows: Contest, core: int, freeze: Freeze | None
) -> list[str]:
    """The truth and what every tool says of it, and how punctual the server was."""
    truth = ["truth", *(ms(true_ms[rank(p, len(true_ms)) - 1]) for p in PERCENTILES), f"{len(true_ms):,}", ""]
    records: list[Recorded] = []
    lines = [truth]
    for name, tool, load in rows:
        print(".", end="", flush=True, file=sys.stderr)
        lines.append([name, *_cells(tool, load, delay, core, freeze, records)])
    late = sorted(record.sent_ns - record.due_ns for record in records if record.sent_ns)
    punctual = ", ".join(f"p{p:g} {late[rank(p, len(late)) - 1] / 1000:,.0f} µs" for p in (50, 99)) if late else NONE
    return [
        f"### {title}",
        table(HEADER, lines, left=(0, len(HEADER) - 1)),
        f"The server's answers left late by {punctual}.",
    ]


def _cells(tool: Tool, load: Load, delay: str, core: int, freeze: Freeze | None, records: list[Recorded]) -> list[str]:
    if tool.version is None:
        return _silent("not installed")
    try:
        with RecordingServer(delay, core=core) as recording:
            report = tool.run(load, Endpoint(recording.origin), freeze=freeze).report
    except ToolError as error:
        return _silent(f"{error}")
    records += recording.records
    return [*(printed(report, p) for p in PERCENTILES), f"{report.requests:,}", report.remark or "nothing"]


def _silent(why: str) -> list[str]:
    return [*[NONE] * (len(HEADER) - 2), why]
