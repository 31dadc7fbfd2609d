"""What a memory comparison found, as a picture and in large type."""

from __future__ import annotations

import math

from loadgen.experiments.memory.findings import MemoryResult, MemorySize
from loadgen.measure.figure import Figure
from loadgen.measure.percentile import needed, supported
from loadgen.measure.rule import MetricRule, parse
from loadgen.report import units
from loadgen.report.drawing import Axis, Band, Chart, Limit, Spot, range_axis, time_axis
from loadgen.report.experiment import Tile
from loadgen.text import foreign

_MEDIAN = 50.0


def tiles(result: MemoryResult) -> tuple[Tile, ...]:
    """The size to take, what it costs, how fast it is, and which others may be as cheap."""
    taken = next((each for each in result.sizes if each.memory_mb == result.recommended_mb), None)
    if taken is None:
        return ()
    found = [Tile("take", _name(taken), "the cheapest that meets the rules" if result.rules else "the cheapest",
                  "good", "memory-size")]  # fmt: skip
    if taken.cost is not None:
        found.append(
            Tile(
                f"{result.cost_unit} per million calls",
                units.amount(taken.cost.value),
                _limits_text(taken.cost, money=True),
                link="memory-size",
                hint="of warm calls, free tier and discounts left out",
            )
        )
    found += [
        Tile(f"{units.percentile(p)} at {_name(taken)}", units.duration(time.value), _limits_text(time))
        for p in (_MEDIAN, 95.0)
        if (time := _time(taken, p)) is not None
    ]
    others = [f"{size}{foreign.GAP}MB" for size in result.tied_mb if size != taken.memory_mb]
    if others:
        found.append(Tile("not ruled out", ", ".join(others), "may be as cheap", "warn", "memory-size"))
    broken = [_name(each) for each in result.sizes if _standing(each) == "broken"]
    if broken:
        found.append(Tile("break a rule", ", ".join(broken), "", "bad", "rules-by-memory-size"))
    return tuple(found)


def picture(result: MemoryResult) -> Chart | None:
    """Cost against time, one cross of intervals for each size; None where there are fewer than two.

    The time is that which the rule is about, as far as at least two sizes have calls enough for it, else the median.
    Sizes without one stand in a lane of their own, where only their cost is told.
    """
    sizes = [each for each in result.sizes if each.cost is not None]
    rule = _rule(result)
    wanted = _MEDIAN if rule is None or rule.percentile is None else rule.percentile
    p = wanted if sum(_time(each, wanted) is not None for each in sizes) >= 2 else _MEDIAN
    times = {each.memory_mb: time for each in sizes if (time := _time(each, p)) is not None}
    if len(times) < 2:
        return None
    ends = [end for time in times.values() for end in (time.low, time.high, time.value) if end is not None]
    limit = () if rule is None else (Limit(f"{rule.text}", float(rule.limit_ns)),)
    known = [*ends, *(each.value for each in limit)]
    y = time_axis(known, f"{units.percentile(p)} of service time")
    edge = y.high
    missing = len(times) < len(sizes)
    if missing:
        high = edge * (y.high / y.low) ** 0.25 if y.log else edge * 1.3
        y = Axis(y.title, y.low, high, y.ticks, y.log)
    spots = tuple(_spot(result, each, times.get(each.memory_mb), math.sqrt(edge * y.high), p) for each in sizes)
    costs = [
        end
        for each in sizes
        if each.cost
        for end in (each.cost.low, each.cost.high, each.cost.value)
        if end is not None
    ]
    tied = [each for each in sizes if each.tied and each.cost is not None]
    return Chart(
        "Cost and time",
        "; ".join(spot.tip for spot in spots) + ".",
        range_axis(f"{result.cost_unit} per million calls", min(costs), max(costs)),
        y,
        (),
        _outline(tied) if len(tied) > 1 else (),
        spots,
        limit,
        note=_note(rule, p, wanted),
        height=380,
        lane=(edge, f"too few calls for a {units.percentile(p)}: only the cost is shown") if missing else None,
    )


def _outline(tied: list[MemorySize]) -> tuple[Band, ...]:
    """What the costs of sizes that cannot be told apart span."""
    ends = [
        end for each in tied if each.cost for end in (each.cost.low, each.cost.high, each.cost.value) if end is not None
    ]
    return (Band("not told apart by cost", min(ends), max(ends), False, "within"),)


def _note(rule: MetricRule | None, p: float, wanted: float) -> str:
    parts = ["A cross is a size, its bars the 95 % intervals of cost and time."]
    if rule is not None and p != wanted:
        parts.append(
            f"Of {units.percentile(wanted)}, which the rule is about, the sizes have too few calls (it takes "
            f"{units.count(needed(wanted) or 0)}): the rule is judged by how many calls are slower than its limit."
        )
    parts.append("Filled disc: the size to take; square: not ruled out; diamond: dearer; hollow: breaks a rule.")
    return " ".join(parts)


def _rule(result: MemoryResult) -> MetricRule | None:
    """The first rule about a percentile of latency."""
    for text in result.rules:
        try:
            rule = parse(text)
        except ValueError:
            continue
        if isinstance(rule, MetricRule) and rule.percentile is not None:
            return rule
    return None


def _time(each: MemorySize, p: float) -> Figure | None:
    """A percentile that may be shown."""
    figure = each.service_time_ns.get(units.percentile(p))
    return None if figure is None or figure.low is None or not supported(each.warm, p) else figure


def _standing(each: MemorySize) -> str:
    verdicts = {rule.verdict for rule in each.rules}
    return next((verdict for verdict in ("broken", "open") if verdict in verdicts), "met")


def _spot(result: MemoryResult, each: MemorySize, time: Figure | None, lane: float, p: float) -> Spot:
    assert each.cost is not None
    taken = each.memory_mb == result.recommended_mb
    standing = _standing(each)
    broken = next((f"{units.count(rule.broken)} of {units.count(rule.invocations)} break {rule.rule}"
                   for rule in each.rules if rule.verdict == "broken"), "")  # fmt: skip
    style, shape = ("a", "disc") if taken else ("b", "square") if each.tied else ("open", "diamond")
    if standing == "broken":
        style, shape = "bad", "ring"
    said = broken or ("taken" if taken else "not ruled out" if each.tied else "dearer")
    name = _name(each) if not broken else f"{_name(each)}: {broken.partition(' break')[0]} break the rule"
    interval = _limits_text(each.cost, money=True)
    shown = f"{units.percentile(p)} not known" if time is None else (
        f"{units.percentile(p)} {units.duration(time.value)} ({_limits_text(time)})"
    )  # fmt: skip
    tip = (
        f"{_name(each)}, {said}: {units.amount(each.cost.value)} {result.cost_unit}"
        f"{f' ({interval})' if interval else ''}, {shown}"
    )
    y = lane if time is None else time.value
    return Spot(
        name, style, each.cost.value, y, _limits(each.cost), None if time is None else _limits(time), shape, tip, taken
    )


def _limits(figure: Figure) -> tuple[float, float] | None:
    return None if figure.low is None or figure.high is None else (figure.low, figure.high)


def _limits_text(figure: Figure, *, money: bool = False) -> str:
    if figure.low is None or figure.high is None:
        return ""
    write = units.amount if money else units.duration
    return units.between(write(figure.low), write(figure.high), write(figure.value))


def _name(each: MemorySize) -> str:
    return f"{each.memory_mb}{foreign.GAP}MB"
