"""How close to their schedule requests really arrive, as a server of ours saw them.

The schedule of a constant rate is a straight line: arrival n is due at t₀ + n/rate. The slope is given, t₀ is fitted
as the median of all arrivals' own t₀, so that a tool is judged only on its evenness and its rate; a request that was
never sent moves all later ones away from the line by one gap. loadgen tells when its schedule began, so that its
arrivals can also be held against the schedule itself, where even an equal delay of all shows.

Poisson arrivals have no line: their gaps are put to a Kolmogorov–Smirnov test against the exponential law with the
given rate. The schedule as it was drawn is tested beside it, since chance alone gives a small p now and then. The test
sees more the more gaps there are and the shorter they are: at 1,000/s one gap in ten is below 0.1 ms.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from msgspec.structs import replace
from scipy import stats

from benchmarks.document import NONE, absent, commands, provenance, table
from benchmarks.ours import CALL_LATER, Agent, build
from benchmarks.peers import peers
from benchmarks.recording_server import RecordingServer
from benchmarks.tool import Endpoint, Open, Tool, ToolError
from loadgen.load.law import Arrivals
from loadgen.measure.histogram import rank
from tests.scenarios import open_phase

RATES = (1000, 5000)
POISSON_RATES = (200, 1000)
SEED = 1  # of every scenario here
WORKERS = 50
_SKIPPED_S = 2
_S = 1_000_000_000
_PACKING_NS = 20_000_000  # packing and sending one takes some milliseconds, in slices between starts
PACKING_HEADER = ("", "stretches of 20 ms", "worst start of each: median µs", "max µs")
HEADER = ("", "achieved/s", "from its line: median µs", "p99 µs", "from its own schedule: median µs", "p99 µs")


@dataclass(frozen=True, slots=True)
class Deviation:
    """Absolute deviations of arrivals from where they were due, in ns."""

    median_ns: int
    p99_ns: int


def deviation(arrivals: Sequence[int], rate: int, begin_ns: int | None = None) -> Deviation:
    """How far arrivals (ns, in order) are from begin + n/rate; the begin is fitted where it is not given."""
    begins = [at - n * _S // rate for n, at in enumerate(arrivals)]
    begin = statistics.median_low(begins) if begin_ns is None else begin_ns
    absolute = sorted(abs(each - begin) for each in begins)
    return Deviation(*(absolute[rank(p, len(absolute)) - 1] for p in (50, 99)))


def tools() -> list[Tool]:
    """Loadgen with both its alarms, and every peer with a rate."""
    version, built = build({})
    ours = [Agent(f"loadgen, {built}", version), Agent(f"loadgen, {built}, call_later", version, CALL_LATER)]
    load = Open(RATES[0], 1, WORKERS)
    return [*ours, *(peer for peer in peers() if peer.makes(load))]


def section(seconds: int, how: str) -> str:
    """Measure, and tell in Markdown."""
    client, server, *_ = sorted(os.sched_getaffinity(0))
    contestants = tools()
    parts = [provenance(contestants, how), f"{seconds:g} s each, the first {_SKIPPED_S} left out."]
    for rate in RATES:
        load = Open(rate, seconds, WORKERS)
        parts += [f"### {rate:,}/s", table(HEADER, [_row(tool, load, client, server) for tool in contestants])]
    packing = table(PACKING_HEADER, _packing(contestants[0], Open(RATES[-1], seconds, WORKERS), client, server))
    parts += [f"### While an interval is packed, {RATES[-1]:,}/s", packing]
    parts += ["### Poisson", table(("", "rate", "gaps", "D", "p"), _poisson(contestants[:2], seconds, client, server))]
    return "\n\n".join([*parts, commands((tool, Open(RATES[0], seconds, WORKERS)) for tool in contestants)])


def _row(tool: Tool, load: Open, client: int, server: int) -> list[str]:
    try:
        arrivals, begin_ns = _arrivals(tool, load, client, server)
    except ToolError as error:
        return absent(tool, error, len(HEADER))
    from_ns = arrivals[0] + _SKIPPED_S * _S
    late = [at for at in arrivals if at >= from_ns]
    fitted = deviation(late, load.rate)
    achieved = (len(late) - 1) * _S / (late[-1] - late[0])
    own = [NONE, NONE]
    if begin_ns is not None and len(arrivals) == int(load.rate * load.seconds):  # so that the n-th is the n-th planned
        skipped = len(arrivals) - len(late)
        own = _us(deviation(late, load.rate, begin_ns + skipped * _S // load.rate))
    return [tool.name, f"{achieved:,.0f}", *_us(fitted), *own]


def _packing(tool: Tool, load: Open, client: int, server: int) -> Iterator[list[str]]:
    """Rows: how far stretches deviate in which a frame is packed, right after a second of the schedule, and others."""
    try:
        arrivals, begin_ns = _arrivals(tool, load, client, server)
    except ToolError as error:
        yield absent(tool, error, len(PACKING_HEADER))
        return
    if begin_ns is None or len(arrivals) != int(load.rate * load.seconds):
        yield absent(tool, ToolError("not every start arrived"), len(PACKING_HEADER))
        return
    worst: dict[int, int] = {}  # of each stretch of 20 ms
    for n, at in enumerate(arrivals):
        due_ns = n * _S // load.rate
        stretch = due_ns // _PACKING_NS
        worst[stretch] = max(worst.get(stretch, 0), abs(at - begin_ns - due_ns))
    per_second = _S // _PACKING_NS
    for name, packs in (("right after a second", True), ("all others", False)):
        found = [ns for at, ns in worst.items() if at >= _SKIPPED_S * per_second and (at % per_second == 0) is packs]
        yield [f"{tool.name}: {name}", f"{len(found):,}", *_us(Deviation(statistics.median_low(found), max(found)))]


def _us(of: Deviation) -> list[str]:
    return [f"{ns / 1000:,.0f}" for ns in (of.median_ns, of.p99_ns)]


def _arrivals(tool: Tool, load: Open, client: int, server: int) -> tuple[list[int], int | None]:
    """When the requests of a run arrived, in order, and when its schedule began."""
    if tool.version is None:
        raise ToolError("not installed")
    with RecordingServer("none", core=server) as recording:
        print(".", end="", flush=True, file=sys.stderr)
        report = tool.run(load, Endpoint(recording.origin), core=client).report
    arrivals = sorted(record.read_ns for record in recording.records)
    if len(arrivals) < 2 or arrivals[-1] - arrivals[0] < _SKIPPED_S * _S:
        raise ToolError("sent next to nothing")
    return arrivals, report.begin_ns


def _poisson(ours: Sequence[Tool], seconds: int, client: int, server: int) -> Iterator[list[str]]:
    """Rows of the schedule itself, and of how it arrived."""
    for rate in POISSON_RATES:
        phase = replace(open_phase(rate, seconds), arrivals=Arrivals.POISSON)
        yield ["the schedule as drawn", f"{rate:,}/s", *_law(list(phase.offsets(SEED)), rate)]
        for tool in ours:
            assert isinstance(tool, Agent)
            poisson = Agent(tool.name, tool.version, tool.variables, Arrivals.POISSON)
            try:
                arrivals, _ = _arrivals(poisson, Open(rate, seconds, WORKERS), client, server)
            except ToolError as error:
                yield absent(tool, error, 5)
            else:
                yield [tool.name, f"{rate:,}/s", *_law(arrivals, rate)]


def _law(arrivals: Sequence[int], rate: int) -> list[str]:
    """The number of gaps and how well they follow the exponential law: the largest distance, and its p value."""
    gaps = [after - before for before, after in pairwise(arrivals)]
    result = stats.kstest(gaps, "expon", args=(0, _S / rate))
    return [f"{len(gaps):,}", f"{result.statistic:.4f}", f"{result.pvalue:.2g}"]
