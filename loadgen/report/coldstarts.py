"""What is known about cold and warm starts, for every renderer."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from loadgen.invocation.start import COLD, WARM
from loadgen.measure.experiment import (
    ColdStartsResult,
    Figure,
    KeepAlive,
    Labelling,
    LoadResult,
    Means,
    PoolCheck,
    Population,
    Spread,
)
from loadgen.measure.percentile import needed
from loadgen.measure.summary import MetricSummary, Summary, Verdict
from loadgen.measure.verdict import withheld
from loadgen.report import units
from loadgen.report.figures import BURSTS, DASH, TOO_FEW
from loadgen.report.tables import Cell, Column, Table

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
_PERCENTILES = (50.0, 95.0, 99.0)
_NOTHING = (Cell(DASH, tone="muted"),)


def hidden(verdict: Verdict) -> frozenset[str]:
    """The start labels whose invocations' figures the Verdict withholds."""
    return frozenset({COLD, WARM} & {reason.withholds for reason in verdict.reasons})


def answer(result: ColdStartsResult, without: Collection[str] = ()) -> Table:
    """Cold beside warm invocations, and what a cold start costs; ``without`` figures of these labels."""
    rows = [
        (
            Cell(name, metric),
            Cell(units.count(population.count)),
            *(_NOTHING * 4 if name in without else _spread(population.times[metric])),
        )
        for metric in ("service_time", "overhead", "duration")
        for name, population in ((COLD, result.cold), (WARM, result.warm))
    ]
    return Table(
        "Cold and warm starts",
        (Column("", False), Column("count"), *(Column(units.percentile(p)) for p in _PERCENTILES), Column("max")),
        tuple(rows),
        tuple(_notes(result, without)),
    )


def means(result: ColdStartsResult, without: Collection[str] = ()) -> Table:
    """What each way of bringing about cold starts gave; ``without`` figures of these labels."""
    titles = ("rounds", "invocations", "cold", "warm", "unclear", "failed", "share cold", "p50", "p95")
    return Table(
        "How cold starts were brought about",
        (Column("means", False), *(Column(title) for title in titles)),
        tuple(_means(each, without) for each in result.means),
        ("p50 and p95 are of service_time of the cold ones, which were ok; the share is of those that were labelled.",),
    )


def keep_alive(result: ColdStartsResult) -> Table:
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


def labelled(summary: Summary, result: LoadResult) -> Table:
    """The invocations of a load by start; no rows where nothing could be told."""
    found = result.labelling
    starts = summary.totals.by_start
    rows = tuple(
        (
            Cell(start),
            *_recorded(metrics.get("latency"), _held_back(summary, start, "latency")),
            _recorded(metrics.get("overhead"), _held_back(summary, start, "overhead"))[1],
        )
        for start, metrics in sorted(starts.items())
        if found.cuts is not None
    )
    return Table(
        "Cold and warm starts",
        (
            Column("start", False),
            Column("count"),
            *(Column(units.percentile(p)) for p in _PERCENTILES),
            Column("overhead p50"),
        ),
        rows,
        (
            *(["p50 to p99 are of latency, ok invocations of the measured phases."] if rows else []),
            _labelling(found),
        ),
    )


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
        yield _labelling(result.labelling)
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


def _labelling(found: Labelling) -> str:
    if found.cuts is None:
        outliers = ""
        if found.outliers is not None and found.outlier_limit_ns is not None:
            limit = units.duration(found.outlier_limit_ns)
            outliers = (
                f" {units.count(found.outliers)} had an overhead above {limit}, more than a warm one plausibly has."
            )
        return (
            f"Cold and warm starts could not be told apart by overhead, of {units.count(found.fitted)} invocations: "
            f"{found.reason}.{outliers}"
        )
    modes = " and ".join(units.duration(ns) for ns in found.cold_modes_ns)
    return (
        f"By the overheads of {units.count(found.fitted)} invocations a start is warm below "
        f"{units.duration(found.cuts.warm_below_ns)} and cold from {units.duration(found.cuts.cold_from_ns)} on, "
        f"ambiguous between; the cold ones are around {modes} (separation D = {found.separation:.1f})."
    )


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
        *(_NOTHING * 2 if COLD in without else _spread(time)[:2]),
    )


def _between_shares(share: Figure) -> str:
    return f"{units.share(share.low or 0.0)} to {units.share(share.high or 0.0)}"


def _spread(spread: Spread) -> tuple[Cell, ...]:
    figures = (spread.p50_ns, spread.p95_ns, spread.p99_ns)
    cells = [_cell(figure, p, spread.count) for figure, p in zip(figures, _PERCENTILES, strict=True)]
    return (*cells, Cell(DASH, tone="muted") if spread.max_ns is None else Cell(units.duration(spread.max_ns)))


def _cell(figure: Figure | None, p: float, count: int) -> Cell:
    if figure is None:
        fewest = needed(p) or 0
        why = f"{TOO_FEW}{units.count(fewest)}" if count < fewest else BURSTS
        return Cell(DASH, why if count else "", "muted")
    return Cell(units.duration(round(figure.value)), _interval(figure))


def _recorded(metric: MetricSummary | None, held_back: Collection[float]) -> tuple[Cell, ...]:
    """The count and the percentiles of a metric of the Summary, but for those that are held back."""
    if metric is None:
        return (Cell("0"), *_NOTHING * len(_PERCENTILES))
    at = {each.p: each for each in metric.percentiles if each.low is not None}
    figures = [Figure(at[p].value, at[p].low, at[p].high) if p in at else None for p in _PERCENTILES]
    return (
        Cell(units.count(metric.count)),
        *(
            _NOTHING[0] if p in held_back else _cell(figure, p, metric.count)
            for figure, p in zip(figures, _PERCENTILES, strict=True)
        ),
    )


def _held_back(summary: Summary, start: str, metric: str) -> list[float]:
    """The percentiles of a metric of invocations with this label that the Verdict withholds."""
    return [p for p in _PERCENTILES if withheld(summary.verdict, None, metric, p, start) is not None]


def _lacking(population: Population) -> bool:
    time = population.times["service_time"]
    return bool(time.count) and None in (time.p50_ns, time.p95_ns, time.p99_ns)


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{units.duration(round(figure.low))} – {units.duration(round(figure.high))}"


def _figure(figure: Figure) -> str:
    between = _interval(figure)
    return units.duration(round(figure.value)) + (f" ({between})" if between else "")


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
