"""How many requests per second one core can make, what each costs, and how much memory that takes.

Closed model, keep-alive, every tool on the same core, nginx on another, the same request and the same answer with all
headers of a function. The tools take turns, in an order that rotates from round to round; a ratio of medians is worth
more than any single figure, since machines drift. loadgen keeps full accounting on: every header, the summary, the
outcome, all histograms, one frame a second.

What an invocation costs is compared with wrk pair by pair: in each round the two run one after the other, and the ratio
is the median over the rounds. It lies between the smallest and the largest ratio but for a chance of 2 in 2ⁿ after n
rounds (the sign test; W. J. Conover, Practical Nonparametric Statistics, 3.2). The costs of starting are left out.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.document import NONE, absent, commands, provenance, table
from benchmarks.ours import PURE, Agent, build
from benchmarks.peers import peers
from benchmarks.tool import Closed, Endpoint, Measured, Tool, ToolError
from tests.servers.certificate import make_certificate
from tests.servers.nginx import NGINX, Nginx
from tests.servers.ports import free_port

CONNECTIONS = 64
REFERENCE = "wrk"
HEADER = ("", "requests/s", "(min to max)", "× wrk", "CPU µs each", "memory MB", "failed")

DUEL_HEADER = (
    "",
    "",
    "requests/s: loadgen",
    "wrk",
    "CPU µs each: loadgen",
    "wrk",
    "median ratio of a round",
    "(min to max)",
)

Results = Sequence[Measured | ToolError]


@dataclass(frozen=True, slots=True)
class Case:
    """So many connections, and answers with bodies of so many bytes, None for the usual ones."""

    title: str
    connections: int = CONNECTIONS
    body_bytes: int | None = None


CASES = (
    Case(f"{CONNECTIONS} connections"),
    Case("1 connection", connections=1),
    Case("512 connections", connections=512),
    Case("200 bytes", body_bytes=200),
    Case("64 KiB", body_bytes=64 * 1024),
)


def tools() -> list[Tool]:
    """Loadgen in both builds, and every peer with a closed model."""
    load = Closed(CONNECTIONS, 1)
    return [_ours("compiled", {}), _ours("pure", PURE), *(peer for peer in peers() if peer.makes(load))]


def _ours(name: str, variables: dict[str, str]) -> Agent:
    version, built = build(variables)
    return Agent(f"loadgen, {name}", version if built == name else None, variables)


def section(seconds: int, rounds: int, how: str) -> str:
    """Measure, and tell in Markdown. Without nginx it tells only that."""
    if NGINX is None:
        return "Not measured: nginx is not installed (Debian: nginx-light)."
    client, server, *_ = sorted(os.sched_getaffinity(0))
    load = Closed(CONNECTIONS, seconds)
    contestants = tools()
    parts = [provenance(contestants, how), f"{CONNECTIONS} connections. Rounds of {seconds} s: {rounds}."]
    with _serving(None, server) as endpoints:
        for scheme, endpoint in endpoints.items():
            results = measure(contestants, load, endpoint, rounds, client)
            parts += [f"### {scheme}", table(HEADER, rows(results))]
    duel = [tool for tool in contestants if tool.name in ("loadgen, compiled", REFERENCE)]
    parts += ["### CPU beside wrk", table(DUEL_HEADER, _duels(duel, seconds, rounds, client, server), left=(0, 1))]
    return "\n\n".join([*parts, commands((tool, load) for tool in contestants)])


@contextmanager
def _serving(body_bytes: int | None, core: int) -> Iterator[dict[str, Endpoint]]:
    """An nginx whose answers have bodies of this size, by scheme."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        directory.chmod(0o755)  # nginx's worker may run as another user
        cert, key = make_certificate(directory)
        with Nginx(
            directory, free_port(), tls_port=free_port(), certificate=(cert, key), cpu=core, body_bytes=body_bytes
        ) as nginx:
            yield {"HTTP": Endpoint(nginx.url), "HTTPS": Endpoint(nginx.tls_url, str(cert))}


def _duels(duel: Sequence[Tool], seconds: int, rounds: int, client: int, server: int) -> Iterator[list[str]]:
    """A row for each scheme, number of connections and size of the answer."""
    for case in CASES:
        with _serving(case.body_bytes, server) as endpoints:
            for scheme, endpoint in endpoints.items():
                results = measure(duel, Closed(case.connections, seconds), endpoint, rounds, client)
                yield [scheme, case.title, *_duel(results)]


def _duel(results: Sequence[tuple[Tool, Results]]) -> list[str]:
    """Medians of rate and cost of both, and the ratio of costs over the rounds."""
    failures = [each for _, results in results for each in results if isinstance(each, ToolError)]
    if failures or len(results) != 2:
        why = f"{failures[0]}" if failures else f"{REFERENCE} is not there"
        return [why, *[""] * (len(DUEL_HEADER) - 3)]
    ours, theirs = ([m for m in each if isinstance(m, Measured)] for _, each in results)
    costs = [[cost_us(m) for m in each] for each in (ours, theirs)]
    ratios = [one / other for one, other in zip(*costs, strict=True)]
    return [
        *(f"{statistics.median(m.report.rate for m in each):,.0f}" for each in (ours, theirs)),
        *(f"{statistics.median(each):.1f}" for each in costs),
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
    ]


def cost_us(measured: Measured) -> float:
    """CPU time of an invocation, without that of starting where the tool tells the two apart."""
    usage = measured.usage
    cpu_ns = usage.cpu_ns if usage.load_cpu_ns is None else usage.load_cpu_ns
    return cpu_ns / measured.report.requests / 1000


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
