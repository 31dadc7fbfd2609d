"""loadgen as one tool among others: an agent fed its plan directly, and the command as a user runs it."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from benchmarks import process
from benchmarks.tool import BODY, PATH, Closed, Endpoint, Freeze, Load, Measured, Open, Report, ToolError, Usage
from loadgen.engine.messages import Plan
from loadgen.fleet.crew import Crew
from loadgen.fleet.local import LocalFleet
from loadgen.fleet.port import FleetError
from loadgen.load.law import Arrivals
from loadgen.measure.summary import Summary, decode
from loadgen.report.figures import Shown, shown, totals
from loadgen.report.units import percentile
from loadgen.targets.port import Tls
from tests.scenarios import closed_phase, function, open_phase, scenario

PURE = {"LOADGEN_PURE": "1"}
AGENT = "engine.agent"
"""A part of the command line of the process that makes the load."""
CALL_LATER = {"PYTHONPATH": str(Path(__file__).with_name("call_later"))}
_BUILD = "import loadgen, loadgen.build; print(loadgen.__version__, loadgen.build.build())"
_LEAD_NS = 100_000_000
_PERCENTILES = (50.0, 90.0, 99.0, 99.9)


def build(variables: Mapping[str, str]) -> tuple[str, str]:
    """Version and build (``compiled`` or ``pure``) of the loadgen that runs under these environment variables."""
    done = subprocess.run(
        [sys.executable, "-c", _BUILD], capture_output=True, text=True, check=True, env={**os.environ, **variables}
    )
    version, built = done.stdout.split()
    return version, built


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent, everything recorded, without the parent that merges and reports. ``variables`` choose its build."""

    name: str
    version: str | None
    variables: Mapping[str, str] = field(default_factory=dict)
    arrivals: Arrivals = Arrivals.CONSTANT

    def command(self, load: Load, url: str) -> list[str]:
        """See Tool; what the load is, the agent is told on its stdin."""
        variables = [f"{name}={Path(value).name}" for name, value in self.variables.items()]
        return [*(["env", *variables] if variables else []), "python", "-m", "loadgen.engine.agent"]

    def run(self, load: Load, endpoint: Endpoint, *, core: int | None = None, freeze: Freeze | None = None) -> Measured:
        """See Tool. An agent is not frozen here."""
        assert freeze is None
        before = process.children_cpu_ns()
        try:
            report, rss_bytes, load_cpu_ns = asyncio.run(self._run(load, endpoint, core))
        except FleetError as error:
            raise ToolError(str(error)) from error
        return Measured(report, Usage(process.children_cpu_ns() - before, rss_bytes, load_cpu_ns))

    async def _run(self, load: Load, endpoint: Endpoint, core: int | None) -> tuple[Report, int, int]:
        if isinstance(load, Closed):
            phase, connections = closed_phase(load.connections, load.seconds), load.connections
        else:
            phase, connections = open_phase(load.rate, load.seconds), load.workers
        target = function(endpoint.origin, tls=Tls(verify=True, ca=endpoint.certificate))
        planned = scenario(target, replace(phase, arrivals=self.arrivals), event=BODY)
        completed = failed = rss_bytes = load_cpu_ns = 0
        plan = Plan(planned, "127.0.0.1", 0, time.monotonic_ns())
        async with AsyncExitStack() as stack:
            with process.environment(self.variables), process.pinned(core):
                crew = await stack.enter_async_context(Crew(LocalFleet(), [plan]))
            await crew.prepare(0, connections)
            begin_ns = time.monotonic_ns() + _LEAD_NS
            async for frame in crew.run(begin_ns):
                completed += frame.tally.completed
                failed += frame.tally.completed - frame.tally.outcomes.get("ok", 0)
                rss_bytes = max(rss_bytes, frame.health.rss_bytes)
                load_cpu_ns += frame.health.cpu_ns
        return Report(completed, failed, completed / load.seconds, begin_ns=begin_ns), rss_bytes, load_cpu_ns


@dataclass(frozen=True, slots=True)
class Command:
    """``loadgen run`` as a user runs it: what counts is what it shows, and what it says about itself.

    ``options`` are more words of the command line, ``metric`` is whose percentiles count.
    """

    name: str
    version: str | None
    options: tuple[str, ...] = ()
    metric: str = "latency"

    def command(self, load: Load, url: str) -> list[str]:
        """See Tool."""
        return ["loadgen", "run", "scenario.yaml", "--quiet", *self.options]

    def run(self, load: Load, endpoint: Endpoint, *, core: int | None = None, freeze: Freeze | None = None) -> Measured:
        """See Tool."""
        text = scenario_text(load, endpoint)
        ran = run_scenario(text, load.seconds + 60, self.options, core=core, freeze=freeze)
        return Measured(read_summary(ran.summary, self.metric), ran.usage)


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of the command. ``truth`` and ``samples`` are the lines of these files, none where they are not there."""

    summary: Summary
    usage: Usage
    truth: Sequence[bytes] = ()
    samples: Sequence[bytes] = ()


def run_scenario(
    text: str, limit_s: float, options: Sequence[str] = (), *, core: int | None = None, freeze: Freeze | None = None
) -> Ran:
    """Run a scenario with ``loadgen run``; raises ToolError where that leaves no summary."""
    with tempfile.TemporaryDirectory() as temporary:
        file, out = Path(temporary, "scenario.yaml"), Path(temporary, "run")
        file.write_text(text)
        command = [sys.executable, "-m", "loadgen", "run", str(file), "--quiet", "--out", str(out), *options]
        done = process.run(command, limit_s=limit_s, core=core, freeze=freeze)
        summary, truth, samples = out / "summary.json", out / "truth.ndjson", out / "samples.ndjson.gz"
        if not summary.exists():
            raise ToolError(f"exit code {done.code}: {done.err.strip()[-200:]}")
        return Ran(
            decode(summary.read_bytes()),
            done.usage,
            truth.read_bytes().splitlines() if truth.exists() else (),
            gzip.decompress(samples.read_bytes()).splitlines() if samples.exists() else (),
        )


def scenario_text(load: Load, endpoint: Endpoint) -> str:
    """The scenario of a load."""
    function_urn = PATH.rpartition("/functions/")[2].removesuffix("/invocations")
    shape = f"rate: {load.rate}/s" if isinstance(load, Open) else f"workers: {load.connections}"
    return (
        "name: benchmark\n"
        f'target: {{endpoint: "{endpoint.origin}", project_id: demo, function: "{function_urn}"}}\n'
        f"event: {BODY}\n"
        f"phases: [{{name: steady, {shape}, duration: {load.seconds:g}s}}]\n"
    )


def read_summary(summary: Summary, metric: str = "latency") -> Report:
    """What the reports of a run show: a figure that is withheld or a range is absent, and the remark says why."""
    view = totals(summary)
    figures = {p: shown(view, metric, p) for p in _PERCENTILES}
    remarks = [summary.verdict.status]
    rules = dict.fromkeys(reason.rule for reason in summary.verdict.reasons)
    if rules:
        remarks[0] += f" ({', '.join(rules)})"
    if summary.verdict.status != "invalid":
        remarks += [
            f"{percentile(p)} withheld ({figure.brief})"
            for p, figure in figures.items()
            if not isinstance(figure, Shown)
        ]
        ranges = {p: figure for p, figure in figures.items() if isinstance(figure, Shown) and figure.ends is not None}
        remarks += [f"{percentile(p)} {figure} ({figure.interval})" for p, figure in ranges.items()]
    return Report(
        requests=summary.totals.completed,
        failed=summary.totals.completed - summary.totals.outcomes.get("ok", 0),
        rate=summary.totals.achieved_rate,
        percentiles_ms={
            p: figure.value / 1e6 for p, figure in figures.items() if isinstance(figure, Shown) and figure.ends is None
        },
        ranges={p: f"{figure}" for p, figure in figures.items() if isinstance(figure, Shown) and figure.ends},
        remark="; ".join(remarks),
    )
