"""What the experiment on cold starts found, in a report."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from loadgen.experiments.coldstarts.findings import (
    ColdStartsResult,
    KeepAlive,
    Means,
    PoolCheck,
    Population,
    Spread,
)
from loadgen.experiments.coldstarts.picture import pictures, tiles
from loadgen.invocation.start import COLD, WARM
from loadgen.measure.figure import Figure
from loadgen.measure.summary import Summary, Verdict
from loadgen.report import units
from loadgen.report.experiment import Answer, Section, next_line
from loadgen.report.figures import DASH, TOO_FEW
from loadgen.report.starts import NOTHING, PERCENTILES, between, labelling, shown
from loadgen.report.tables import Cell, Column, Table

_SPARE = {"rounds": 1, "failed": 2, "unclear": 3, "p95": 4}
_INDUCED_BY = {
    "gap": "one call after silence",
    "burst": "calls at once after silence",
    "memory": "other memory sizes",
    "version": "other versions",
    "config": "a change of settings",
}
_BY = {
    "probe": "by what the function answered",
    "log": "by lines of a start in its log",
    "mixture": "by its overhead",
    "none": "not at all",
}


def section(summary: Summary, result: ColdStartsResult) -> Section:
    """Cold beside warm invocations, how they were brought about, and how long instances live."""
    without = _hidden(summary.verdict)
    tables = (_answer(result, without), _brought_about(result, without), _keep_alive(result))
    lives = DASH if result.keep_alive is None else _lives(result.keep_alive)
    return Section(tables, pictures(summary, result, without), tiles(result, without, lives), mixed=True)


def answer(summary: Summary, result: ColdStartsResult) -> Answer:
    """What a cold start adds, and how long idle instances live."""
    penalty = None if _hidden(summary.verdict) else result.penalty_ns
    parts = []
    if penalty is not None:
        parts.append(f"a cold start adds {_figure(penalty)}")
    lives = None if result.keep_alive is None or result.keep_alive.policy == "unknown" else _lives(result.keep_alive)
    if lives is not None and lives != DASH:
        parts.append(f"an idle instance lives {lives}")
    if parts:
        return Answer("; ".join(parts), penalty is not None)
    if _hidden(summary.verdict):
        why = "figures of cold or warm starts are withheld"
    elif result.labelling is not None and result.labelling.reason is not None:
        why = f"cold starts were not told from warm ones, {result.labelling.reason}"
    elif not result.cold.count:
        why = "no cold start was seen"
    else:
        why = "there were too few cold or warm calls to compare"
    return Answer(f"what a cold start adds is not known: {why}", False)


def _hidden(verdict: Verdict) -> frozenset[str]:
    """The start labels whose invocations' figures the Verdict withholds."""
    return frozenset({COLD, WARM} & {reason.withholds for reason in verdict.reasons})


def _answer(result: ColdStartsResult, without: Collection[str]) -> Table:
    """Cold beside warm invocations, and what a cold start costs; ``without`` figures of these labels."""
    rows = [
        (
            Cell(name, metric),
            Cell(units.count(population.count)),
            *([NOTHING] * 4 if name in without else _spread(population.times[metric])),
        )
        for metric in ("service_time", "overhead", "duration")
        for name, population in ((COLD, result.cold), (WARM, result.warm))
    ]
    return Table(
        "Cold and warm starts",
        (Column("", False), Column("count"), *(Column(units.percentile(p)) for p in PERCENTILES), Column("max")),
        tuple(rows),
        (*next_line(result.next), *_notes(result, without)),
    )


def _brought_about(result: ColdStartsResult, without: Collection[str]) -> Table:
    """What each way of bringing about cold starts gave; ``without`` figures of these labels."""
    titles = ("rounds", "invocations", "cold", "warm", "unclear", "failed", "share cold", "p50", "p95")
    return Table(
        "How cold starts were brought about",
        (Column("means", False), *(Column(title, spare=_SPARE.get(title, 0)) for title in titles)),
        tuple(_means(each, without) for each in result.means),
        ("p50 and p95 are of service_time of the cold ones, which were ok; the share is of those that were labelled.",),
    )


def _keep_alive(result: ColdStartsResult) -> Table:
    """How long an idle instance lives."""
    found = result.keep_alive
    rows: tuple[tuple[Cell, ...], ...] = ()
    if found is not None:
        rows = ((Cell(_lives(found)), Cell(found.policy), Cell(found.why)),)
        rows += tuple(
            (Cell(units.duration(ns)), Cell(f"p{percent}"), Cell("of the time that instances live", tone="muted"))
            for percent, ns in found.quantiles_ns.items()
        )
    titles = (Column("lives"), Column("policy", False), Column("", False))
    return Table("Keep-alive time of an idle instance", titles, rows)


def _notes(result: ColdStartsResult, without: Collection[str]) -> Iterator[str]:
    yield "Times are of the invocations that were ok."
    if not result.complete:
        yield "The run ended early: this is what was known by then."
    if without:
        kinds = " and ".join(sorted(without))
        yield f"Figures of {kinds} starts, and what compares them, are withheld: see the verdict."
    else:
        yield from _penalties(result)
    sources = ", ".join(f"{units.count(n)} {_BY.get(source, source)}" for source, n in result.evidence.items())
    if sources:
        yield f"Told apart: {sources}."
    if result.labelling is not None:
        yield labelling(result.labelling)
    if result.pool is not None:
        yield _pool(result.pool)
    if any(_lacking(population) for population in (result.cold, result.warm)):
        yield f"{TOO_FEW}N: too few invocations, the percentile needs about N."
    yield from result.notes


def _penalties(result: ColdStartsResult) -> Iterator[str]:
    if (penalty := result.penalty_ns) is not None:
        yield f"A cold start costs {_figure(penalty)} of service time, comparing medians."
    if (billed := result.billed_penalty_ns) is not None:
        yield f"It is billed {_signed(billed)} compared with a warm one, comparing means."
    if (cost := result.penalty_cost) is not None and not _may_be_zero(cost):
        low, high = (None if end is None else units.amount(end) for end in (cost.low, cost.high))
        value = units.amount(cost.value)
        between = "" if low is None or high is None else f" ({units.between(low, high, value)})"
        yield f"So a million cold starts cost {value} {result.cost_unit}{between} more than warm ones."


def _pool(pool: PoolCheck) -> str:
    unclear = f", and {units.count(pool.unclear)} unclear" if pool.unclear else ""
    return (
        f"{units.count(pool.seen)} cold starts were seen{unclear}; with this keep-alive time this traffic alone has "
        f"{units.count(pool.fewest)} to {units.count(pool.most)}."
    )


def _means(each: Means, without: Collection[str]) -> tuple[Cell, ...]:
    time = each.population.times["service_time"]
    share = each.cold_share
    interval = "" if share is None or share.low is None or share.high is None else _between_shares(share)
    unclear = each.ambiguous + each.unknown
    return (
        Cell(each.name, _INDUCED_BY.get(each.name, "")),
        Cell(units.count(each.rounds)),
        Cell(units.count(each.invocations)),
        Cell(units.count(each.cold)),
        Cell(units.count(each.warm), tone="warn" if each.warm else ""),
        Cell(units.count(unclear), tone="warn" if unclear else ""),
        Cell(units.count(each.failed), tone="bad" if each.failed else ""),
        Cell(DASH, tone="muted") if share is None else Cell(units.share(share.value), interval),
        *([NOTHING] * 2 if COLD in without else _spread(time)[:2]),
    )


def _between_shares(share: Figure) -> str:
    return f"{units.share(share.low or 0.0)} to {units.share(share.high or 0.0)}"


def _spread(spread: Spread) -> tuple[Cell, ...]:
    figures = (spread.p50_ns, spread.p95_ns, spread.p99_ns)
    cells = [shown(figure, p, spread.count) for figure, p in zip(figures, PERCENTILES, strict=True)]
    return (*cells, Cell(DASH, tone="muted") if spread.max_ns is None else Cell(units.duration(spread.max_ns)))


def _lacking(population: Population) -> bool:
    time = population.times["service_time"]
    return bool(time.count) and None in (time.p50_ns, time.p95_ns, time.p99_ns)


def _figure(figure: Figure) -> str:
    interval = between(figure)
    return units.duration(round(figure.value)) + (f" ({interval})" if interval else "")


def _may_be_zero(figure: Figure) -> bool:
    return figure.low is not None and figure.high is not None and figure.low <= 0 <= figure.high


def _signed(figure: Figure) -> str:
    """A difference that may be negative, with its interval."""
    low, high = figure.low, figure.high
    if low is not None and high is not None and _may_be_zero(figure):
        return f"no differently ({low / 1e6:+.1f} to {high / 1e6:+.1f} ms)"
    between = "" if low is None or high is None else f" ({low / 1e6:+.1f} to {high / 1e6:+.1f} ms)"
    return f"{figure.value / 1e6:+.1f} ms{between}"


def _lives(found: KeepAlive) -> str:
    if found.estimate_ns is None:
        if found.policy == "longer" and found.low_ns is not None:
            return f"> {units.duration(found.low_ns)}"
        return f"≤ {units.duration(found.high_ns)}" if found.policy == "shorter" and found.high_ns is not None else DASH
    value = units.duration(found.estimate_ns)
    if found.low_ns is None:
        return value
    low = units.duration(found.low_ns)
    return (
        f"{value} (at least {low})" if found.high_ns is None else f"{value} ({low} – {units.duration(found.high_ns)})"
    )
