"""A run whose agent is stopped now and then beside the same run without stops: the figures, the ranges, the blame.

The truth of a run that is stopped is what the same scenario, with the same seed, shows when nothing stops it. A figure
that is shown as one has to be within 5 % of that (or 50 µs), a range has to contain it, both with the sampling error of
the two runs allowed for: a percentile that is not near is right only where the two 95 % intervals overlap. A maximum is
one call, which no two runs have in common: it is not compared.

Nothing that the stops did may be put on the target: no timeout, no start that ``waited``, no drop that is not said to
be the generator's, no warning about the target that the run without stops does not have.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.delaying_server import DelayingServer
from benchmarks.document import NONE, table
from benchmarks.ours import AGENT, run_scenario
from benchmarks.tool import Freeze, ToolError
from loadgen.invocation.outcome import OK, Outcome, missed_starts
from loadgen.measure.ends import of_share
from loadgen.measure.summary import PhaseSummary, Summary
from loadgen.report.figures import Shown, shown, totals
from loadgen.report.units import duration, percentile

NEAR, NEAR_NS = 0.05, 50_000
PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
ANOTHER_LOAD_MS = 300
"""Stops of an open phase that last so long each second make it another load, which is to be said."""
FIRST_S = 1.2
"""When the first stop is, after the agent was started, which takes it some 0.5 s."""
HEADER = ("", "stops", "verdict", "disturbed", "figures", "furthest off", "ranges", "wrong", "put on the target")


class Stop(NamedTuple):
    """The agent is stopped for so long, each second or ``once``; 0 is not at all."""

    ms: int
    once: bool = False

    def __str__(self) -> str:
        """As tables call it."""
        return "none" if not self.ms else f"{self.ms} ms, once" if self.once else f"{self.ms} ms"


STOPS = (Stop(20), Stop(90), Stop(ANOTHER_LOAD_MS), Stop(90, once=True))


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario but for the endpoint and the seconds of its phase, which stand as ENDPOINT and SECONDS.

    ``metrics`` are those whose figures are compared.
    """

    title: str
    text: str
    metrics: tuple[str, ...]
    closed: bool = False
    emulated: bool = False


_TARGET = 'target: {endpoint: "ENDPOINT", project_id: demo, function: hello, timeout: {total: 400ms}}\n'
CASES = (
    Case(
        "open, 200/s, 5 ms",
        f"name: stops\n{_TARGET}phases: [{{name: steady, rate: 200/s, duration: SECONDSs, max_in_flight: 40}}]\n",
        ("latency", "service_time"),
    ),
    Case(
        "closed, 8 workers, 5 ms",
        f"name: stops\n{_TARGET}phases: [{{name: steady, workers: 8, duration: SECONDSs}}]\n",
        ("service_time",),
        closed=True,
    ),
    Case(
        "open, 325/s, emulator at 80 %",
        "name: stops\ntarget: {endpoint: emulator, function: hello}\n"
        "phases:\n  - {name: warm-up, workers: 8, duration: 1s, warmup: true}\n"
        "  - {name: steady, rate: 325/s, duration: SECONDSs}\n"
        "emulator:\n  max_instances: 10\n"
        "  functions:\n"
        "    hello: {memory: 1024MB, work: {median: 20ms, sigma: 0.3}, cold_start: none, max_instances: 10}\n",
        ("latency", "service_time", "duration"),
        emulated=True,
    ),
)


class Compared(NamedTuple):
    """A figure of a run with stops. ``off`` is how far it is from the other run's, as a share; None for a range."""

    name: str
    shown: str
    other: str
    off: float | None
    right: bool


def parts(seconds: int, cases: Sequence[Case], stops: Sequence[Stop]) -> list[str]:
    """Measure, and tell in Markdown."""
    rows, wrong = [], []
    for case in cases:
        for stop, cells, lines in _case(case, seconds, stops):
            rows.append([case.title, f"{stop}", *cells])
            wrong += [f"- {case.title}, stopped for {stop}: {line}" for line in lines]
    parts = ["### Stopped", table(HEADER, rows, left=(0, 2, 8))]
    return [*parts, "Wrong:\n\n" + "\n".join(wrong)] if wrong else parts


def _case(case: Case, seconds: int, stops: Sequence[Stop]) -> Iterator[tuple[Stop, list[str], list[str]]]:
    none = Stop(0)
    try:
        plain = run(case, seconds, none)
        yield none, _cells(plain, None, []), []
        for stop in stops:
            seen = run(case, seconds, stop)
            found = [] if seen.verdict.status == "invalid" else list(compared(seen, plain, case.metrics))
            wrong = [f"{each.name} {each.shown}, without stops {each.other}" for each in found if not each.right]
            if stop.ms >= ANOTHER_LOAD_MS and not case.closed and seen.verdict.status != "invalid":
                wrong.append(f"the run is {seen.verdict.status}")
            if case.closed:
                wrong += [f"{each.name} is a range" for each in found if each.off is None]
            yield stop, _cells(seen, plain, found), wrong
    except ToolError as error:
        yield none, [f"{error}", *[""] * (len(HEADER) - 3)], []


def run(case: Case, seconds: float, stop: Stop) -> Summary:
    """One run, its agent stopped. Raises ToolError."""
    print(".", end="", flush=True, file=sys.stderr)
    freeze = Freeze(FIRST_S, stop.ms / 1000, every_s=0 if stop.once else 1, only=AGENT) if stop.ms else None
    text = case.text.replace("SECONDS", f"{seconds:g}")
    if case.emulated:
        return run_scenario(text, seconds + 60, ("--agents", "1"), freeze=freeze).summary
    with DelayingServer(5_000_000) as server:
        text = text.replace("ENDPOINT", server.origin)
        return run_scenario(text, seconds + 60, ("--agents", "1"), freeze=freeze).summary


def _cells(seen: Summary, plain: Summary | None, found: Sequence[Compared]) -> list[str]:
    status, disturbed = seen.verdict.status, sum(seen.totals.disturbed.values())
    share = f"{disturbed / max(1, seen.totals.planned):.1%}"
    if plain is None:
        return [status, share, *[NONE] * 4, ""]
    singles = [each for each in found if each.off is not None]
    furthest = max(singles, key=lambda each: abs(each.off or 0), default=None)
    return [
        status,
        share,
        f"{len(singles)}",
        NONE if furthest is None else f"{furthest.name} {furthest.off:+.1%}",
        f"{len(found) - len(singles)}",
        f"{sum(not each.right for each in found)}",
        "; ".join(blamed(seen, plain)) or "nothing",
    ]


def compared(seen: Summary, plain: Summary, metrics: Sequence[str]) -> Iterator[Compared]:
    """Every figure of these metrics that both runs show, but for maxima and minima, and the share of errors."""
    for metric in metrics:
        for statistic in (*PERCENTILES, "mean"):
            one, other = (shown(totals(each), metric, statistic) for each in (seen, plain))
            if isinstance(one, Shown) and isinstance(other, Shown):
                name = statistic if isinstance(statistic, str) else percentile(statistic)
                yield _time(f"{name} of {metric}", one, other)
    yield _share("errors", seen.totals, plain.totals)


def _time(name: str, one: Shown, other: Shown) -> Compared:
    near = max(NEAR * other.value, NEAR_NS)
    low, high = _around(one)
    least, most = _around(other)
    overlap = low <= most and least <= high
    if one.ends is not None:
        return Compared(name, f"{one}", f"{other}", None, low <= most + near and least - near <= high)
    right = abs(one.value - other.value) <= near or overlap
    return Compared(name, duration(one.value), f"{other}", one.value / other.value - 1, right)


def _around(figure: Shown) -> tuple[float, float]:
    """What a figure may be: its range, else its 95 % interval, else itself."""
    if figure.ends is not None:
        return figure.ends.low, math.inf if figure.ends.high is None else figure.ends.high
    return figure.low or figure.value, figure.high or figure.value


def _share(name: str, seen: PhaseSummary, plain: PhaseSummary) -> Compared:
    """The share of planned calls that are not ok; two standard deviations of either run are allowed for."""
    ends = of_share(_not_ok(seen.outcomes), _not_ok(seen.disturbed), seen.planned)
    other = _not_ok(plain.outcomes) / plain.planned
    noise = 2 * math.sqrt(other * (1 - other) * (1 / seen.planned + 1 / plain.planned)) + 1 / seen.planned
    right = ends.low - noise - NEAR * other <= other <= ends.high + noise + NEAR * other
    text = f"{ends.low:.2%}–{ends.high:.2%}" if ends.is_range else f"{ends.high:.2%}"
    # a share that is shown as one differs from none by nothing that can be said as a part of it
    off = None if ends.is_range else (ends.high / other - 1 if other else 0.0)
    return Compared(name, text, f"{other:.2%}", off, right)


def _not_ok(outcomes: dict[str, int]) -> int:
    return sum(n for outcome, n in outcomes.items() if outcome != OK)


def blamed(seen: Summary, plain: Summary) -> Iterator[str]:
    """What the run with stops puts on the target, and the one without does not."""
    timeouts = seen.totals.outcomes.get(Outcome.TIMEOUT.value, 0)
    if timeouts and not plain.totals.outcomes.get(Outcome.TIMEOUT.value):
        yield f"{timeouts} timeouts"
    waited = [
        each.totals.metrics["waited"].max or 0 if "waited" in each.totals.metrics else 0 for each in (seen, plain)
    ]
    if waited[0] > max(NEAR_NS, waited[1]):
        yield f"waited {duration(waited[0])}"
    dropped = seen.totals.dropped - missed_starts(seen.totals.reasons)
    if dropped > 0:
        yield f"{dropped} dropped"
    theirs = [{reason.rule for reason in each.verdict.reasons if reason.whose == "target"} for each in (seen, plain)]
    yield from sorted(theirs[0] - theirs[1])
