"""Service times as tools print them beside those that another process captured, of the very same calls.

Where the two differ, the tool books on the target for how long answers lay unread in its own machine: because it was
busy with others (a saturated client), because it did not have its core, or because it was stopped.

What the server does is in both, so that no more is asked of it than to be fast enough not to hide the tool: it has a
core of its own, and the share of it that it used stands beside each row.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks import process
from benchmarks.capture import Capture
from benchmarks.delaying_server import DelayingServer
from benchmarks.document import NONE, absent, ms, printed, table
from benchmarks.ours import AGENT, Command, build
from benchmarks.peers import peers
from benchmarks.tool import Closed, Endpoint, Freeze, Report, Tool, ToolError
from tests.servers.nginx import NGINX, Nginx
from tests.servers.ports import free_port

PERCENTILES = (50.0, 90.0, 99.0)
NEAR, NEAR_MS = 0.05, 0.05
"""A figure is true where it is within this share of what was captured, or within these ms."""
TOOLS = ("wrk", "hey", "k6")
HEADER = ("", *(f"p{p:g} ms: {of}" for p in PERCENTILES for of in ("captured", "printed")), "calls", "server", "true")
_STOP = Freeze(1.5, 0.09, every_s=1)
_FEW = 16


@dataclass(frozen=True, slots=True)
class Case:
    """A load and what is in the tool's way: busy loops on its core, or stops. The server holds answers for a time."""

    title: str
    connections: int
    delay_ms: int
    loops: int = 0
    freeze: Freeze | None = None


CASES = (
    Case("Saturated: 64 connections, a server that answers at once", 64, 0),
    Case("Saturated: 64 connections, a server of 1 ms", 64, 1),
    Case(f"Its core shared with one busy loop: {_FEW} connections, 5 ms", _FEW, 5, loops=1),
    Case(f"Its core shared with two busy loops: {_FEW} connections, 5 ms", _FEW, 5, loops=2),
    Case(f"Stopped for 90 ms every second: {_FEW} connections, 5 ms", _FEW, 5, freeze=_STOP),
)


def tools() -> list[Tool]:
    """Loadgen as a user runs it, and the peers that print percentiles of a closed loop."""
    version, _ = build({})
    ours = Command("loadgen", version, ("--set", "target.preflight=false", "--agents", "1"), metric="service_time")
    return [ours, *(peer for peer in peers() if peer.name in TOOLS)]


def parts(seconds: int, cases: Sequence[Case]) -> list[str]:
    """Measure, and tell in Markdown."""
    client, server, *_ = sorted(os.sched_getaffinity(0))
    told = []
    for case in cases:
        rows = []
        for tool in tools():
            rows.append(_row(tool, case, seconds, client, server))
            print(".", end="", flush=True, file=sys.stderr)
        told += [f"### {case.title}", table(HEADER, rows)]
    return told


def _row(tool: Tool, case: Case, seconds: int, client: int, server: int) -> list[str]:
    if tool.version is None:
        return absent(tool, ToolError("not installed"), len(HEADER))
    freeze = case.freeze
    if freeze is not None and isinstance(tool, Command):
        freeze = replace(freeze, only=AGENT)
    try:
        with _serving(case.delay_ms, server) as (origin, pid):
            port = urlsplit(origin).port
            assert port is not None
            with Capture(port, core=server) as capture:
                before, begun = process.cpu_ns(pid), time.monotonic_ns()
                with process.busy(case.loops, client):
                    report = tool.run(
                        Closed(case.connections, seconds), Endpoint(origin), core=client, freeze=freeze
                    ).report
                share = (process.cpu_ns(pid) - before) / (time.monotonic_ns() - begun)
    except ToolError as error:
        return absent(tool, error, len(HEADER))
    service_ms = np.sort(capture.service_ns) / 1e6
    # what is in flight at the end, a tool may count or not
    if abs(len(service_ms) - report.requests) > case.connections or not len(service_ms):
        differs = f"{len(service_ms):,} calls were captured, it tells of {report.requests:,}"
        return absent(tool, ToolError(differs), len(HEADER))
    true = {p: float(np.percentile(service_ms, p, method="inverted_cdf")) for p in PERCENTILES}
    figures = [cell for p in PERCENTILES for cell in (ms(true[p]), printed(report, p))]
    return [tool.name, *figures, f"{len(service_ms):,}", f"{share:.0%}", verdict(report, true)]


def verdict(report: Report, true: dict[float, float]) -> str:
    """Whether the figures that a tool prints are those that were captured; else which is furthest off, and how far."""
    off = {
        p: printed / true[p] - 1
        for p, printed in report.percentiles_ms.items()
        if p in true and abs(printed - true[p]) > max(NEAR * true[p], NEAR_MS)
    }
    if off:
        worst = max(off, key=lambda p: abs(off[p]))
        return f"p{worst:g} {off[worst]:+,.0%}"
    return "yes" if any(p in true for p in report.percentiles_ms) else NONE


@contextmanager
def _serving(delay_ms: int, core: int) -> Iterator[tuple[str, int]]:
    """A server of this delay: its origin, and the process whose CPU time is its own."""
    if delay_ms:
        with DelayingServer(delay_ms * 1_000_000, core=core) as delaying:
            yield delaying.origin, delaying.pid
        return
    if NGINX is None:
        raise ToolError("nginx is not installed (Debian: nginx-light)")
    with tempfile.TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o755)  # nginx's worker may run as another user
        with Nginx(Path(temporary), free_port(), cpu=core) as nginx:
            yield nginx.url, nginx.pid
