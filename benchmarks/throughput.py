"""Invocations per second and CPU per invocation, beside wrk, on the same nginx, in the same run.

Closed model, keep-alive, client on core 0, nginx on core 1, the tools taking turns; a ratio of medians is worth more
than any single figure, since machines drift. loadgen keeps full accounting on: every header, the summary, the
outcome, all histograms, one frame a second. Run with ``make bench``; nginx and wrk must be installed.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loadgen.engine.messages import Plan
from loadgen.fleet.local import LocalFleet
from loadgen.scenario.model import FunctionTarget, Tls
from tests.scenarios import closed_phase, function, scenario
from tests.servers.certificate import make_certificate
from tests.servers.nginx import NGINX, Nginx
from tests.servers.ports import free_port

WRK = shutil.which("wrk")
WORKERS = 64
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))


async def loadgen(target: FunctionTarget) -> tuple[float, float]:
    """Invocations per second and CPU µs per invocation of one agent, full accounting on."""
    load = scenario(target, closed_phase(WORKERS, SECONDS))
    plan = Plan(load, "127.0.0.1", 0, 1, time.monotonic_ns(), None)
    completed = cpu_ns = failed = 0
    async with LocalFleet([plan]) as fleet:
        await fleet.prepare(0, WORKERS)
        async for frame in fleet.run(time.monotonic_ns() + 100_000_000):
            completed += frame.completed
            failed += frame.completed - frame.outcomes.get("ok", 0)
            cpu_ns += frame.health.cpu_ns
    if failed:
        sys.exit(f"{failed} invocations failed: the benchmark measures nothing")
    return completed / SECONDS, cpu_ns / completed / 1000


def wrk(url: str) -> tuple[float, float]:
    """The same of wrk, with one thread and a request of the same size."""
    script = Path(__file__).with_name("wrk.lua")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    path = "/v2/demo/fgs/functions/urn:fss:local:demo:function:default:hello:latest/invocations"
    done = subprocess.run(
        [str(WRK), "-t1", f"-c{WORKERS}", f"-d{SECONDS:g}s", "-s", str(script), url + path],
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    requests = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
    assert requests is not None
    assert rate is not None
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(rate[1]), cpu / int(requests[1]) * 1e6


def main() -> None:
    """Measure over HTTP and HTTPS and print a table."""
    if NGINX is None or WRK is None:
        sys.exit("make bench needs nginx and wrk: install both (Debian: apt-get install nginx-light wrk)")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("make bench needs two cores: one for the client, one for nginx")
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        directory.chmod(0o755)  # nginx's worker may run as another user
        certificate = make_certificate(directory)
        with Nginx(directory, free_port(), tls_port=free_port(), certificate=certificate, cpu=cores[1]) as nginx:
            os.sched_setaffinity(0, {cores[0]})  # inherited by wrk and the agent
            for name, url, tls in (
                ("HTTP", nginx.url, Tls(verify=True, ca=None)),
                ("HTTPS", nginx.tls_url, Tls(verify=True, ca=str(certificate[0]))),
            ):
                rounds = []
                for _ in range(ROUNDS):
                    rounds.append((asyncio.run(loadgen(function(url, tls=tls))), wrk(url)))
                    print(".", end="", flush=True, file=sys.stderr)
                print(file=sys.stderr)
                report(name, rounds)


def report(name: str, rounds: list[tuple[tuple[float, float], tuple[float, float]]]) -> None:
    """Print the medians of all rounds, and their ratio."""
    ours, theirs = ([side[i] for side in rounds] for i in (0, 1))
    print(f"\n{name}, {WORKERS} connections, median of {len(rounds)} rounds of {SECONDS:g} s (min to max)")
    for tool, results in (("loadgen", ours), ("wrk", theirs)):
        rates, costs = [r for r, _ in results], [c for _, c in results]
        print(
            f"  {tool:8} {statistics.median(rates):9,.0f}/s  ({min(rates):,.0f} to {max(rates):,.0f})"
            f"   {statistics.median(costs):6.2f} µs of CPU each"
        )
    ratio = statistics.median(r for r, _ in ours) / statistics.median(r for r, _ in theirs)
    print(f"  ratio    {ratio:9.2f} × wrk")


if __name__ == "__main__":
    main()
