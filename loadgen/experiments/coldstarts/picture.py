"""What the experiment on cold starts found, as pictures and in large type."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from loadgen.experiments.coldstarts.findings import ColdStartsResult, GapProbe, KeepAlive, Population
from loadgen.invocation.start import COLD, WARM
from loadgen.measure.figure import Figure
from loadgen.measure.histogram import Histogram
from loadgen.measure.summary import Summary
from loadgen.report import units
from loadgen.report.charts import Times, beside
from loadgen.report.drawing import Axis, Band, Chart, Spot, range_axis
from loadgen.report.experiment import Tile
from loadgen.report.figures import DASH, Shown
from loadgen.report.starts import between
from loadgen.stats.proportion import proportion
from loadgen.text import foreign

_TIME = "service_time"
_APART = 40  # silences that differ by less than one of so many parts of the range stand together
_AT_MOST = 1.5  # of such parts


def tiles(result: ColdStartsResult, without: Collection[str], lives: str) -> tuple[Tile, ...]:
    """What is known of cold and warm calls, but for the labels ``without``, and how long instances live."""
    adds = None if without else result.penalty_ns
    found = [
        _median(name, population, hidden=name in without)
        for name, population in ((COLD, result.cold), (WARM, result.warm))
    ]
    if adds is not None:
        found.append(
            Tile(
                "a cold start adds",
                units.duration(round(adds.value)),
                between(adds),
                hint="the median service time of cold calls, less that of warm ones",
            )
        )
    if result.keep_alive is not None:
        value, _, interval = lives.partition(" (")
        found.append(
            Tile(
                "an idle instance lives", value, interval.removesuffix(")"), link="keep-alive-time-of-an-idle-instance"
            )
        )
    cost = None if without else result.penalty_cost
    if cost is not None and cost.low is not None and cost.low > 0:
        found.append(
            Tile(
                "a million cold starts",
                f"+{units.amount(cost.value)} {result.cost_unit}",
                _money(cost),
                hint="what they are billed more than as many warm ones",
            )
        )
    return tuple(found)


def pictures(summary: Summary, result: ColdStartsResult, without: Collection[str]) -> tuple[Chart | None, ...]:
    """Warm and cold calls on one axis, and below it the share of cold ones by silence."""
    return (None if without else _beside(summary, result), _by_silence(result.keep_alive))


def _together(probes: Sequence[GapProbe], apart: float) -> Iterator[list[GapProbe]]:
    """Probes in order, in groups of nearly the same silence."""
    group: list[GapProbe] = []
    for probe in probes:
        if group and (probe.gap_ns - group[-1].gap_ns > apart or probe.gap_ns - group[0].gap_ns > _AT_MOST * apart):
            yield group
            group = []
        group.append(probe)
    yield group


def _median(name: str, population: Population, *, hidden: bool) -> Tile:
    time = population.times[_TIME]
    calls = f"{units.count(population.count)} calls"
    hint = f"the median service time of {name} calls"
    if hidden or time.p50_ns is None:
        return Tile(f"{name}, median", DASH, calls, "muted", hint=hint)
    return Tile(f"{name}, median", units.duration(time.p50_ns.value), f"{between(time.p50_ns)}; {calls}", hint=hint)


def _money(cost: Figure) -> str:
    if cost.low is None or cost.high is None:
        return ""
    return units.between(units.amount(cost.low), units.amount(cost.high), units.amount(cost.value))


def _beside(summary: Summary, result: ColdStartsResult) -> Chart | None:
    both = []
    for name, population in ((WARM, result.warm), (COLD, result.cold)):
        found = summary.totals.by_start.get(name, {}).get(_TIME)
        time = population.times[_TIME]
        if found is None or found.count + found.disturbed != time.count:
            return None  # some are of other sizes or versions, which are not compared
        p50 = time.p50_ns
        median = (
            None
            if p50 is None or p50.low is None or p50.high is None
            else Shown(round(p50.value), found.unit, round(p50.low), round(p50.high))
        )
        both.append(Times(name, name, Histogram.decode(found.histogram), median))
    return beside(both)


def _by_silence(found: KeepAlive | None) -> Chart | None:
    """How often an instance was gone after a silence, with the time that it lives; None without silences."""
    if found is None or len({probe.gap_ns for probe in found.probes}) < 2:
        return None
    probes = sorted(found.probes, key=lambda probe: probe.gap_ns)
    low, high = probes[0].gap_ns, probes[-1].gap_ns
    spots = []
    for together in _together(probes, (high - low) / _APART):
        cold, n = sum(probe.cold for probe in together), len(together)
        at = sum(probe.gap_ns for probe in together) / n / 1e9
        interval = proportion(cold, n)
        between_ = f"{units.share(interval[0])} to {units.share(interval[1])}"
        tip = f"after {at:.3g} s of silence: {cold} of {n} cold ({between_})"
        name, style, shape = f"{cold} of {n}" if n > 1 else "", COLD if cold else WARM, "disc" if cold else "ring"
        spots.append(Spot(name, style, at, cold / n, None, interval, shape, tip))
    band: tuple[Band, ...] = ()
    said = ""
    if found.low_ns is not None and found.high_ns is not None:
        said = f"lives {units.duration(found.low_ns)} to {units.duration(found.high_ns)}"
        band = (Band(said, found.low_ns / 1e9, found.high_ns / 1e9, False, "within"),)
    shares = tuple((value, f"{100 * value:g}{foreign.GAP}%") for value in (0.0, 0.5, 1.0))
    return Chart(
        "Cold after silence",
        f"Of {len(probes)} calls after silences of {units.duration(low)} to {units.duration(high)}, how many were cold"
        f"{f'; an idle instance {said}' if said else ''}.",
        range_axis("seconds without a call", low / 1e9, high / 1e9),
        Axis("share cold", -0.08, 1.18, shares),
        (),
        band,
        tuple(spots),
        note="A bar is the 95 % interval of the share of cold ones among calls after about that silence.",
        height=190,
    )
