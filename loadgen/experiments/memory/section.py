"""What a memory comparison found, in a report."""

from __future__ import annotations

from collections.abc import Callable

from loadgen.experiments.memory.findings import MemoryResult, MemoryRule, MemorySize
from loadgen.experiments.memory.picture import picture, tiles
from loadgen.measure.figure import Figure
from loadgen.measure.percentile import needed, supported
from loadgen.report import units
from loadgen.report.experiment import Answer, Section, next_line
from loadgen.report.figures import DASH, TOO_FEW
from loadgen.report.tables import Cell, Column, Table
from loadgen.text import foreign

_PERCENTILES = (50.0, 95.0, 99.0)
_SPARE = {"unsure": 1, "cold": 2, "billed mean": 3, "cheapest": 4, "p99": 5, "p50": 6}
_RULE_TONES = {"met": "good", "broken": "bad", "open": "warn"}


def section(result: MemoryResult) -> Section:
    """The sizes side by side, the rules, the cold calls, where to see them, and cost against time."""
    tables = (_answer(result), _rules(result), _colds(result), _link(result))
    return Section(tables, (picture(result),), tiles(result), mixed=True)


def answer(result: MemoryResult) -> Answer:
    """Which size to take, what it costs, and which are not ruled out."""
    taken = next((each for each in result.sizes if each.memory_mb == result.recommended_mb), None)
    if taken is None:
        why = result.why.rstrip(".")
        return Answer(f"{why[:1].lower()}{why[1:]}", False)
    rules = f" that meets {' and '.join(result.rules)}" if result.rules else ""
    cost = ""
    if taken.cost is not None:
        interval = _range(taken.cost, units.amount)
        cost = (
            f": {units.amount(taken.cost.value)} {result.cost_unit} per million{f' ({interval})' if interval else ''}"
        )
    others = [f"{size} MB" for size in result.tied_mb if size != taken.memory_mb]
    tied = f"; {' and '.join((', '.join(others[:-1]), others[-1])[len(others) < 2 :])} not ruled out" if others else ""
    return Answer(f"{taken.memory_mb} MB is the cheapest size{rules}{cost}{tied}")


def _answer(result: MemoryResult) -> Table:
    """The sizes side by side, and which to take."""
    titles = ("cost", "cost ratio", "billed mean", "p50", "p95", "p99", "cheapest", "warm calls", "cold", "unsure")
    return Table(
        "Memory size",
        (Column("size", False), *(Column(title, spare=_SPARE.get(title, 0)) for title in titles)),
        tuple(_row(result, each) for each in result.sizes),
        (*next_line(result.next), *_notes(result)),
    )


def _rules(result: MemoryResult) -> Table:
    """How each size fares with each rule; no rows without rules."""
    return Table(
        "Rules by memory size",
        (Column("size", False), *(Column(rule, False) for rule in result.rules)),
        tuple((Cell(_name(each)), *(_rule(rule) for rule in each.rules)) for each in result.sizes if each.rules),
        (
            "Broken of the warm calls; one that is not ok ranks above every ok one, and breaks every rule. Each "
            "verdict is wrong with a probability of at most 5 %, whenever the comparison ended.",
        )
        if result.rules
        else (),
    )


def _colds(result: MemoryResult) -> Table:
    """The cold calls, which are in no other figure; no rows where there were none."""
    return Table(
        "Cold calls by memory size",
        (Column("size", False), *(Column(title) for title in ("cold", "service time p50", "billed mean", "cost"))),
        tuple(
            (
                Cell(_name(each)),
                Cell(units.count(each.cold)),
                _plain(each.cold_service_time_p50_ns),
                _plain(each.cold_billed_duration_mean_ns),
                Cell(DASH, tone="muted") if each.cold_cost is None else Cell(units.amount(each.cold_cost)),
            )
            for each in result.sizes
            if each.cold
        ),
    )


def _link(result: MemoryResult) -> Table:
    """Where the sizes can be seen side by side; no rows where there is nothing to see."""
    rows = () if result.share_url is None else ((Cell(result.share_url),),)
    unit = "" if result.cost_unit in ("CNY", "USD") else f"; what it shows as money is {result.cost_unit}"
    return Table(
        "Viewer of AWS Lambda Power Tuning",
        (Column("link", False),),
        rows,
        (f"Nothing has been sent; a browser keeps what follows # to itself{unit}.",) if rows else (),
    )


def _row(result: MemoryResult, each: MemorySize) -> tuple[Cell, ...]:
    if each.status != "compared":
        left_out = Cell(DASH, tone="muted")
        return (
            Cell(_name(each), "left out", "muted"),
            *[left_out] * 7,
            Cell(units.count(each.invocations)),
            *[left_out] * 2,
        )
    ratio = each.cost_ratio
    return (
        _standing(result, each),
        Cell(DASH, tone="muted")
        if each.cost is None
        else Cell(units.amount(each.cost.value), _range(each.cost, units.amount)),
        Cell(DASH, tone="muted") if ratio is None else Cell(f"{ratio.value:.3f}", _range(ratio, lambda x: f"{x:.3f}")),
        _time(each.billed_duration_ns.get("mean")),
        *(_percentile(each, p) for p in _PERCENTILES),
        Cell(DASH, tone="muted") if each.cheapest_share is None else Cell(units.share(each.cheapest_share)),
        Cell(units.count(each.warm), f"{units.count(each.failed)} failed" if each.failed else ""),
        Cell(units.count(each.cold)),
        Cell(units.count(each.unsure), tone="muted"),
    )


def _standing(result: MemoryResult, each: MemorySize) -> Cell:
    if each.memory_mb == result.recommended_mb:
        return Cell(_name(each), "recommended", "good")
    if any(rule.verdict == "broken" for rule in each.rules):
        return Cell(_name(each), "breaks a rule", "bad")
    return Cell(_name(each), "not ruled out" if each.tied else "dearer", "warn" if each.tied else "")


def _notes(result: MemoryResult) -> list[str]:
    lines = [result.why]
    lines += [f"{_name(each)} left the comparison: {each.why}." for each in result.sizes if each.status != "compared"]
    if any(each.cost is not None for each in result.sizes):
        ratio = ""
        if result.reference_mb is not None:
            ratio = f"their ratio is to {result.reference_mb} MB, with intervals that hold for all sizes at once. "
        lines.append(
            f"Costs are {result.cost_unit} for a million warm calls, none of these left out; {ratio}Other ranges are "
            "95 % intervals of one figure. Times are of service_time, over the warm calls that were ok. Cold calls met "
            "an instance that had just started, unsure ones may have: neither is in a figure of warm ones."
        )
    if result.instance_deviation is not None:
        lines.append(f"Instances of one size differ by {units.share(result.instance_deviation)} (standard deviation).")
    if any("p99" in each.service_time_ns and each.service_time_ns["p99"].low is None for each in result.sizes):
        lines.append(f"{TOO_FEW}N: too few calls, the percentile needs about N, more where instances differ.")
    lines += result.notes
    return lines


def _rule(rule: MemoryRule) -> Cell:
    detail = f"{units.count(rule.broken)} of {units.count(rule.invocations)}"
    if rule.more is not None:
        detail += f", about {units.count(rule.more)} more needed"
    return Cell(rule.verdict, detail, _RULE_TONES.get(rule.verdict, ""))


def _percentile(each: MemorySize, p: float) -> Cell:
    figure = each.service_time_ns.get(units.percentile(p))
    if figure is None or not supported(each.warm, p):
        return Cell(DASH, f"{TOO_FEW}{units.count(needed(p) or 0)}", "muted")
    return Cell(DASH, "instances differ", "muted") if figure.low is None else _time(figure)


def _time(figure: Figure | None) -> Cell:
    return (
        Cell(DASH, tone="muted")
        if figure is None
        else Cell(units.duration(figure.value), _range(figure, units.duration))
    )


def _plain(ns: float | None) -> Cell:
    return Cell(DASH, tone="muted") if ns is None else Cell(units.duration(ns))


def _range(figure: Figure, written: Callable[[float], str]) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return units.between(written(figure.low), written(figure.high), written(figure.value))


def _name(each: MemorySize) -> str:
    return f"{each.memory_mb}{foreign.GAP}MB"
