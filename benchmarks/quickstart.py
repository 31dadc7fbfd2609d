"""The quickstart scenario, again and again, with its cores to itself and beside a busy loop, held against the emulator.

The emulator writes down when each call was received and when its answer was due, and how long it ran: the truth of
service time and of duration, and that of latency as calls on time would see it. The way through the loopback device,
and what the emulator adds by being late itself, are in what a client sees and not in this truth: they use up some of
the 5 %. How much that is stands beside the rest: the p90 of what undisturbed calls took longer than was meant.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import process
from benchmarks.document import table
from benchmarks.ours import Ran, run_scenario
from benchmarks.tool import ToolError
from loadgen.measure.histogram import rank
from loadgen.report.figures import Shown, shown, totals
from loadgen.report.units import percentile

SCENARIO = Path(__file__).parents[1] / "scenarios" / "quickstart.yaml"
NEAR = 0.05
PERCENTILES = (50.0, 90.0, 95.0, 99.0)
SINGLE = (50.0, 90.0)
"""Percentiles that have to be single figures, whatever else runs on one of two cores."""
METRICS = ("latency", "service_time", "duration")
HEADER = (
    "",
    "runs",
    "valid",
    "degraded",
    "invalid",
    "p50 and p90 single",
    "figures",
    "furthest off",
    "ranges",
    "wrong",
    "not in the truth: p90 ms",
)
_LIMIT_S = 90


class Held(NamedTuple):
    """A figure beside the truth. ``off`` is how far it is from it, as a share; None for a range."""

    name: str
    p: float
    shown: str
    true_ns: int
    off: float | None
    right: bool


def parts(runs: int) -> list[str]:
    """Measure, and tell in Markdown."""
    core = sorted(os.sched_getaffinity(0))[0]
    rows, wrong = [], []
    for title, loops in (("idle", 0), ("a busy loop on one core", 1)):
        try:
            ran = [_run(loops, core) for _ in range(runs)]
        except ToolError as error:
            rows.append([title, f"{error}", *[""] * (len(HEADER) - 2)])
            continue
        found = [list(held(each)) for each in ran]
        rows.append([title, *_cells(ran, found)])
        wrong += [
            f"- {title}: {each.name} {each.shown}, truth {each.true_ns / 1e6:.2f} ms"
            for run in found
            for each in run
            if not each.right
        ]
    told = ["### The quickstart", table(HEADER, rows)]
    return [*told, "Wrong:\n\n" + "\n".join(wrong)] if wrong else told


def _run(loops: int, core: int) -> Ran:
    print(".", end="", flush=True, file=sys.stderr)
    with process.busy(loops, core):
        return run_scenario(SCENARIO.read_text(), _LIMIT_S, ("--set", "samples=all"))


def _cells(ran: list[Ran], found: list[list[Held]]) -> list[str]:
    statuses = [each.summary.verdict.status for each in ran]
    figures = [each for run in found for each in run]
    singles = [each for each in figures if each.off is not None]
    furthest = max(singles, key=lambda each: abs(each.off or 0), default=None)
    whole = sum(
        len(run) > 0 and all(each.off is not None for each in run if each.p in SINGLE and each.name.endswith("latency"))
        for run in found
    )
    return [
        f"{len(ran)}",
        *(f"{statuses.count(status)}" for status in ("valid", "degraded", "invalid")),
        f"{whole}",
        f"{len(singles)}",
        "" if furthest is None else f"{furthest.name} {furthest.off:+.1%}",
        f"{len(figures) - len(singles)}",
        f"{sum(not each.right for each in figures)}",
        f"{max(_beyond_ns(each) for each in ran) / 1e6:.2f}",
    ]


def _beyond_ns(ran: Ran) -> int:
    """The p90 of what undisturbed calls took longer than the emulator meant them to."""
    meant = {call["request_id"]: _took_ns(call) for call in map(json.loads, ran.truth)}
    beyond = sorted(
        each["arrived_ns"] - each["started_ns"] - meant[each["request_id"]]
        for each in map(json.loads, ran.samples)
        if each["outcome"] == "ok" and not each["disturbed"]
    )
    return beyond[rank(90, len(beyond)) - 1] if beyond else 0


def _took_ns(call: dict[str, Any]) -> int:
    taken: int = call["ends_at_ns"] - call["received_ns"]
    return taken


def held(ran: Ran) -> Iterator[Held]:
    """Every percentile that a run shows of its measured phase, beside what the emulator wrote down of these calls."""
    measured = {phase.name for phase in ran.summary.phases if not phase.warmup}
    samples = map(json.loads, ran.samples)
    ids = {each["request_id"] for each in samples if each["phase"] in measured and each["outcome"] == "ok"}
    calls = [call for call in map(json.loads, ran.truth) if call["request_id"] in ids]
    took = sorted(map(_took_ns, calls))
    ran_for = sorted(call["duration_ns"] for call in calls)
    view = totals(ran.summary)
    for metric in METRICS:
        true = ran_for if metric == "duration" else took
        for p in PERCENTILES:
            figure = shown(view, metric, p)
            if isinstance(figure, Shown):
                yield _held(f"{percentile(p)} of {metric}", p, figure, true[rank(p, len(true)) - 1])


def _held(name: str, p: float, figure: Shown, true_ns: int) -> Held:
    near = NEAR * true_ns
    if figure.ends is None:
        off = figure.value - true_ns
        return Held(name, p, f"{figure}", true_ns, off / true_ns, abs(off) <= near)
    high = math.inf if figure.ends.high is None else figure.ends.high
    return Held(name, p, f"{figure}", true_ns, None, figure.ends.low - near <= true_ns <= high + near)
