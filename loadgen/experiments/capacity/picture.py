"""What a capacity search found, as a picture and in large type."""

from __future__ import annotations

from loadgen.experiments.capacity.findings import CapacityProbe, CapacityResult
from loadgen.measure.rule import MetricRule, ShareRule, parse
from loadgen.report import units
from loadgen.report.drawing import Axis, Band, Chart, Limit, Spot, range_axis
from loadgen.report.experiment import Tile
from loadgen.report.figures import DASH
from loadgen.stats.proportion import proportion
from loadgen.text import foreign

_SHARES = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_SHAPES = {"pass": ("a", "disc"), "fail": ("bad", "ring"), "undecided": ("open", "diamond")}


def tiles(result: CapacityResult, bound: str) -> tuple[Tile, ...]:
    """What is sustained, where the limit is, and what binds it."""
    confirmed, low, high = result.confirmed_per_s, result.estimate_low_per_s, result.estimate_high_per_s
    held = f"held for {units.duration(result.confirmed_ns)}" if confirmed is not None else "not confirmed"
    found = [Tile("sustained", _rate(confirmed), held, "" if confirmed else "warn", "probes")]
    if low is not None and high is not None:
        found.append(
            Tile("the rules stop being met", f"{low:.4g}–{high:.4g}/s", "95 % interval of the limit", link="capacity")
        )
    found.append(Tile("bound by", bound or DASH, "", "" if bound else "muted", "capacity"))
    if result.predicted_per_s is not None:
        found.append(
            Tile(
                "predicted",
                _rate(result.predicted_per_s),
                f"{units.count(result.limit or 0)} at once, {units.duration(result.busy_ns or 0)} each",
                link="capacity",
                hint="expected before any load, from how long a call keeps an instance busy",
            )
        )
    if result.debt_ns is not None:
        found.append(
            Tile(
                "until it had settled",
                units.duration(result.debt_ns),
                f"{units.count(result.debt_colds or 0)} cold starts",
            )
        )
    return tuple(found)


def picture(result: CapacityResult) -> Chart | None:
    """The share of calls that break the rule that binds, by rate; None where no probe says anything.

    It is that share which is judged, of latency, too: a p95 below 500 ms means that less than 5 % are slower.
    """
    probes = [probe for probe in result.probes if probe.verdict in _SHAPES and probe.invocations]
    at = _binding(result, probes)
    if at is None:
        return None
    allowed = _allowed(result.rules[at])
    measured = [(probe, *_share(probe, at)) for probe in probes]
    ends = [end for _, _, (low, high) in measured for end in (low, high) if end > 0] + [allowed or 1.0]
    floor = max((each for each in _SHARES if each < min(ends)), default=_SHARES[0])
    top = min((each for each in _SHARES if each >= max(ends)), default=1.0)
    ticks = tuple((each, f"{100 * each:g}{foreign.GAP}%") for each in _SHARES if floor < each <= top)
    rates = [probe.rate_per_s for probe in probes]
    low_s, high_s, confirmed = result.estimate_low_per_s, result.estimate_high_per_s, result.confirmed_per_s
    inside = [*rates, *(each for each in (low_s, high_s) if each is not None)]
    beside = (max(inside) - min(inside)) / 20
    bands: tuple[Band, ...] = ()
    if low_s is not None and high_s is not None:
        bands = (Band(f"limit, {low_s:.4g} to {high_s:.4g}/s", low_s, high_s, False, "within"),)
    best = max((probe for probe in probes if probe.verdict == "pass" and probe.rate_per_s == confirmed),
               key=lambda probe: probe.approach == "cold", default=None)  # fmt: skip
    spots = tuple(_spot(probe, share, ends, floor, probe is best) for probe, share, ends in measured)
    rule = result.rules[at]
    return Chart(
        "Rate and rule",
        f"How many calls break {rule} at each rate: "
        + "; ".join(f"{_rate(probe.rate_per_s)} {units.share(share)}, {probe.verdict}" for probe, share, _ in measured)
        + ".",
        range_axis("calls per second", max(0.0, min(inside) - beside), max(inside) + beside),
        Axis("calls that break the rule", floor, top, ((floor, units.share(0)), *ticks), log=True),
        (),
        bands,
        spots,
        () if allowed is None else (Limit(_line(rule, allowed), allowed),),
        note=f"Each mark is a rate that was held: how many of its calls break {rule}, with a 95 % interval. Filled: "
        "the rules were met; hollow: they were not; diamond: undecided. The lowest line of the scale is none.",
        height=360,
    )


def _binding(result: CapacityResult, probes: list[CapacityProbe]) -> int | None:
    """The rule that the probes come nearest to, or break most; None where none of them can be drawn."""
    limits = {at: allowed for at, rule in enumerate(result.rules) if (allowed := _allowed(rule))}
    whole = [(at, probe) for at in limits for probe in probes if at < len(probe.broken)]
    if not whole:
        return None
    return max(whole, key=lambda each: (each[1].broken[each[0]] / each[1].invocations / limits[each[0]], -each[0]))[0]


def _allowed(text: str) -> float | None:
    """The share of calls that may break a rule; None of one that is about one call of a mix, or cannot be read."""
    try:
        rule = parse(text)
    except ValueError:
        return None
    if isinstance(rule, MetricRule) and rule.call is None and rule.percentile is not None:
        return 1 - rule.percentile / 100
    return rule.limit if isinstance(rule, ShareRule) and rule.call is None and rule.limit else None


def _line(rule: str, allowed: float) -> str:
    """What is written on the line of a rule: of a percentile, how many calls may be slower."""
    if isinstance(parse(rule), ShareRule):
        return rule
    return f"{rule}: at most {100 * allowed:.3g}{foreign.GAP}% slower"


def _share(probe: CapacityProbe, at: int) -> tuple[float, tuple[float, float]]:
    """The share that breaks a rule, with the interval of so many calls as say as much as these."""
    inflation, broken = max(1.0, probe.inflation), min(probe.broken[at], probe.invocations)
    return broken / probe.invocations, proportion(broken / inflation, probe.invocations / inflation)


def _spot(probe: CapacityProbe, share: float, ends: tuple[float, float], floor: float, sustained: bool) -> Spot:
    style, shape = _SHAPES[probe.verdict]
    interval = (max(ends[0], floor), max(ends[1], floor))
    came = {"cold": ", from a cold pool", "warm": ", coming from a higher rate"}.get(probe.approach, "")
    tip = (
        f"{_rate(probe.rate_per_s)}{came}: {probe.verdict}; {units.share(share)} of {units.count(probe.invocations)} "
        f"calls break the rule ({units.share(ends[0])} to {units.share(ends[1])})"
    )
    p95 = "" if probe.p95_ns is None else f", p95 {units.duration(probe.p95_ns)}"
    name = f"{_rate(probe.rate_per_s)} sustained" if sustained else f"{_rate(probe.rate_per_s)} {probe.verdict}"
    if probe.approach == "warm":
        name = "from above"
    return Spot(name, style, probe.rate_per_s, max(share, floor), None, interval, shape, tip + p95, sustained)


def _rate(per_s: float | None) -> str:
    return DASH if per_s is None else f"{per_s:.4g}/s"
