"""How often rules of trust fire on real runs: on ones that nothing is wrong with, and on ones with one thing wrong.

Simulated records (``tests/simulate/rules.py``) show what a rule makes of a record. Whether a healthy machine makes such
records is shown here alone: short runs of ordinary loads on the emulator, warmed up and without cold starts, with
nothing else running, and beside a process that keeps half a core busy. Every rule that fires is a false alarm. With
none in n runs its chance is below 3/n, at 95 % confidence.

A rule that never fires would pass as well. So each that a scenario or a stopped agent can break is broken, again and
again.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks import process
from benchmarks.document import NONE, table
from benchmarks.ours import AGENT, run_scenario
from benchmarks.tool import Freeze, ToolError
from loadgen.measure.summary import Summary

HALF = 0.5
STOPPED = Freeze(after_s=1.2, for_s=0.3, every_s=1, only=AGENT)
CLEAN_HEADER = ("", "runs", "valid", "rules that fired", "share of runs")
BROKEN_HEADER = ("rule", "what is wrong", "runs", "fired")
_LIMIT_S = 60

_EMULATED = (
    "name: alarms\ntarget: {{endpoint: emulator, function: hello}}\n"
    "phases:\n  - {{name: warm-up, workers: 16, duration: 1s, warmup: true}}\n  - {{name: steady, {load}}}\n"
    "emulator:\n  functions:\n"
    "    hello: {{memory: 512MB, work: {{median: {work}, sigma: 0.3}}, cold_start: none, {function}}}\n"
)


def _emulated(load: str, work: str = "5ms", function: str = "max_instances: 100") -> str:
    return _EMULATED.format(load=load, work=work, function=function)


CLEAN = (
    _emulated("rate: 500/s, duration: 3s, max_in_flight: 200"),
    _emulated("rate: 500/s, duration: 3s, arrivals: poisson, max_in_flight: 200"),
    _emulated("workers: 8, duration: 3s"),
    _emulated("rate: {from: 200/s, to: 800/s}, duration: 3s, max_in_flight: 200"),
)
"""Ordinary loads of some 1,500 calls, enough for a p99. Each run takes the next one."""


class Broken(NamedTuple):
    """A run in which a rule has to fire; so many loops keep each core busy."""

    rule: str
    wrong: str
    text: str
    freeze: Freeze | None = None
    loops: int = 0


BROKEN = (
    Broken("late_starts", "the agent is stopped for 300 ms each second", CLEAN[0], STOPPED),
    Broken(
        "generator_bound", "two busy loops on each core", _emulated("workers: 16, duration: 3s", work="500us"), loops=2
    ),
    Broken(
        "pool_saturated", "one in flight at most", _emulated("rate: 100/s, duration: 3s, max_in_flight: 1", work="20ms")
    ),
    Broken(
        "failures",
        "one instance, most are refused",
        _emulated("rate: 200/s, duration: 3s", work="20ms", function="max_instances: 1"),
    ),
    Broken("failures", "a tenth fails", _emulated("rate: 200/s, duration: 3s", function="errors: 10%")),
)


class Ran(NamedTuple):
    """How a run ended, and the rules that fired."""

    status: str
    rules: frozenset[str]


def section(clean: int, broken: int, how: str) -> str:
    """Measure, and tell in Markdown: so many runs that nothing is wrong with, and so many of each broken kind."""
    return "\n\n".join(
        [
            f"`{how}`",
            table(CLEAN_HEADER, _clean(clean), left=(0, 3)),
            table(BROKEN_HEADER, (_broken(each, broken) for each in BROKEN), left=(0, 1)),
        ]
    )


def _clean(runs: int) -> Iterator[list[str]]:
    for title, duty in (("nothing else runs", 0.0), ("half a core is busy", HALF)):
        try:
            yield from clean_rows(title, [_run(CLEAN[i % len(CLEAN)], duty=duty) for i in range(runs)])
        except ToolError as error:
            yield [title, f"{error}".splitlines()[0], *[""] * (len(CLEAN_HEADER) - 2)]


def clean_rows(title: str, runs: Sequence[Ran]) -> Iterator[list[str]]:
    """A row for each rule that fired in any of these runs; one row where none did."""
    fired = Counter(rule for ran in runs for rule in ran.rules)
    valid = sum(ran.status == "valid" for ran in runs)
    first = [title, f"{len(runs)}", f"{valid}"]
    for rule, n in fired.most_common() or [(NONE, 0)]:
        yield [*first, rule, f"{n / len(runs):.1%}"]
        first = ["", "", ""]


def _broken(broken: Broken, runs: int) -> list[str]:
    try:
        ran = [_run(broken.text, loops=broken.loops, freeze=broken.freeze) for _ in range(runs)]
    except ToolError as error:
        return [broken.rule, broken.wrong, f"{error}".splitlines()[0], ""]
    return [broken.rule, broken.wrong, f"{runs}", f"{sum(broken.rule in each.rules for each in ran) / runs:.0%}"]


def _run(text: str, *, duty: float = 0, loops: int = 0, freeze: Freeze | None = None) -> Ran:
    """One run, beside a loop that is busy for a part of the time, and ``loops`` on each core that always are."""
    print(".", end="", flush=True, file=sys.stderr)
    with ExitStack() as stack:
        cores = sorted(os.sched_getaffinity(0))
        stack.enter_context(process.busy(int(duty > 0), cores[0], duty=duty))
        for core in cores:
            stack.enter_context(process.busy(loops, core))
        return ran(run_scenario(text, _LIMIT_S, freeze=freeze).summary)


def ran(summary: Summary) -> Ran:
    """What a run says about itself."""
    return Ran(summary.verdict.status, frozenset(reason.rule for reason in summary.verdict.reasons))
