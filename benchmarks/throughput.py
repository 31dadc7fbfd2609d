"""How many requests per second one core can make, what each costs, and how much memory that takes.

Closed model, keep-alive, every tool on the same core, nginx on another, the same request and the same answer with all
headers of a function. The tools take turns, in an order that rotates from round to round; a ratio of medians is worth
more than any single figure, since machines drift. loadgen keeps full accounting on: every header, the summary, the
outcome, all histograms, one frame a second.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.document import NONE, absent, commands, provenance, table
from benchmarks.ours import PLAIN_TLS, PURE, Agent, build
from benchmarks.peers import peers
from benchmarks.tool import Closed, Endpoint, Measured, Tool, ToolError
from tests.servers.certificate import make_certificate
from tests.servers.nginx import NGINX, Nginx
from tests.servers.ports import free_port

CONNECTIONS = 64
REFERENCE = "wrk"
HEADER = ("", "requests/s", "(min to max)", "× wrk", "CPU µs each", "memory MB", "failed")

Results = Sequence[Measured | ToolError]


def tools() -> list[Tool]:
    """Loadgen in both builds, with its speed extra where that is installed, and every peer with a closed model."""
    load = Closed(CONNECTIONS, 1)
    ours = [_ours("compiled", PLAIN_TLS), _ours("pure", {**PLAIN_TLS, **PURE})]
    if find_spec("aiofastnet") is not None:
        ours.insert(1, _ours("compiled", {}, extra=" with the speed extra"))
    return [*ours, *(peer for peer in peers() if peer.makes(load))]


def _ours(name: str, variables: dict[str, str], extra: str = "") -> Agent:
    version, built = build(variables)
    return Agent(f"loadgen, {name}{extra}", version if built == name else None, variables)


def section(seconds: int, rounds: int, how: str) -> str:
    """Measure, and tell in Markdown. Without nginx it tells only that."""
    if NGINX is None:
        return "Not measured: nginx is not installed (Debian: nginx-light)."
    client, server, *_ = sorted(os.sched_getaffinity(0))
    load = Closed(CONNECTIONS, seconds)
    contestants = tools()
    parts = [provenance(contestants, how), f"{CONNECTIONS} connections. Rounds of {seconds} s: {rounds}."]
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        directory.chmod(0o755)  # nginx's worker may run as another user
        certificate = make_certificate(directory)
        with Nginx(directory, free_port(), tls_port=free_port(), certificate=certificate, cpu=server) as nginx:
            for scheme, endpoint in (
                ("HTTP", Endpoint(nginx.url)),
                ("HTTPS", Endpoint(nginx.tls_url, str(certificate[0]))),
            ):
                results = measure(contestants, load, endpoint, rounds, client)
                parts += [f"### {scheme}", table(HEADER, rows(results))]
    return "\n\n".join([*parts, commands((tool, load) for tool in contestants)])


def measure(
    contestants: Sequence[Tool], load: Closed, endpoint: Endpoint, rounds: int, core: int
) -> list[tuple[Tool, Results]]:
    """Every tool in every round, each time another one first."""
    results: dict[str, list[Measured | ToolError]] = {tool.name: [] for tool in contestants}
    for turn in range(rounds):
        first = turn % len(contestants)
        for tool in [*contestants[first:], *contestants[:first]]:
            results[tool.name].append(_once(tool, load, endpoint, core))
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return [(tool, results[tool.name]) for tool in contestants]


def _once(tool: Tool, load: Closed, endpoint: Endpoint, core: int) -> Measured | ToolError:
    if tool.version is None:
        return ToolError("not installed")
    try:
        measured = tool.run(load, endpoint, core=core)
    except ToolError as error:
        return error
    return measured if measured.report.requests else ToolError("got no answer")


def rows(results: Sequence[tuple[Tool, Results]]) -> list[list[str]]:
    """A row for each tool: medians over the rounds."""
    rates = {tool.name: [m.report.rate for m in each if isinstance(m, Measured)] for tool, each in results}
    reference = rates.get(REFERENCE)
    return [_row(tool, each, statistics.median(reference) if reference else None) for tool, each in results]


def _row(tool: Tool, results: Results, reference: float | None) -> list[str]:
    failures = [each for each in results if isinstance(each, ToolError)]
    if failures:
        return absent(tool, failures[0], len(HEADER))
    measured = [each for each in results if isinstance(each, Measured)]
    rates = [each.report.rate for each in measured]
    rate = statistics.median(rates)
    return [
        tool.name,
        f"{rate:,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        f"{rate / reference:.2f}" if reference else NONE,
        f"{statistics.median(each.usage.cpu_ns / each.report.requests for each in measured) / 1000:.1f}",
        f"{max(each.usage.rss_bytes for each in measured) / 1e6:.0f}",
        f"{sum(each.report.failed for each in measured)}",
    ]
