"""What a report says, as tables of text and plain sentences; the renderers only lay them out.

Text from outside (names, bodies, request ids) is in them as it came. Each renderer applies the function of
``text.foreign`` that is meant for its medium, to every text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from loadgen.experiments.registry import is_experiment
from loadgen.invocation.metric import REPORTED, SIZES
from loadgen.invocation.outcome import OK, missed_starts
from loadgen.invocation.start import COLD, WARM
from loadgen.measure.ends import of_share
from loadgen.measure.ranking import percentile_fails
from loadgen.measure.summary import KERNEL, AgainstBaseline, PhaseSummary, Preflight, Reason, Summary, ThresholdResult
from loadgen.measure.threshold import BOUNDS, VALUE
from loadgen.measure.trust.generator import LOST
from loadgen.measure.trust.rule import RANGE
from loadgen.measure.verdict import bounds_rate
from loadgen.report import units
from loadgen.report.figures import (
    DASH,
    FAILED,
    GENERATOR,
    TOO_FEW,
    Shown,
    View,
    Withheld,
    calls,
    phases,
    shown,
    totals,
)
from loadgen.text import foreign

HEADLINE = (50.0, 90.0, 95.0, 99.0, 99.9)
_OF_CALLS = (50.0, 95.0, 99.0)

_ALL_PLANNED = "latency_all is over all of them, and what is not ok ranks above every ok one"
CLOSED = "latency = service time; a slow server slows the load"
_JUDGED = (
    "Percentiles and the maximum of latency are judged over every planned invocation, and what is not ok ranks above "
    "every ok one; other times over the ok invocations, shares over the planned ones."
)
SYNTHETIC = "Synthetic: the embedded emulator answered. These numbers say nothing about a real platform."


class Cell(Struct, frozen=True):
    """A text, a smaller text below it, and a tone: ``good``, ``bad``, ``warn``, ``muted`` or none."""

    text: str
    detail: str = ""
    tone: str = ""


class Column(Struct, frozen=True):
    """A column; numbers stand to the right. Where it is narrow, those are left out whose ``spare`` is least, not 0."""

    title: str
    numeric: bool = True
    spare: int = 0


class Table(Struct, frozen=True):
    """A table; every row has one cell for each column. ``notes`` are sentences that belong below it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def written(table: Table, write: Callable[[str], str]) -> Table:
    """The table with ``write`` applied to every text in it."""
    return Table(
        write(table.title),
        tuple(Column(write(column.title), column.numeric, column.spare) for column in table.columns),
        tuple(tuple(Cell(write(cell.text), write(cell.detail), cell.tone) for cell in row) for row in table.rows),
        tuple(map(write, table.notes)),
    )


def preflight(summary: Summary) -> str:
    """What was not ok before the load, in one line; empty where nothing was."""
    of_mix = bool(summary.preflights)
    return " ".join(
        _not_ok(each, f" of {each.call}" if of_mix else "") for each in _made(summary) if each.outcome != OK
    )


def _made(summary: Summary) -> list[Preflight]:
    """The pre-flight of each call of a mix, else the only one, if any."""
    return summary.preflights or ([] if summary.preflight is None else [summary.preflight])


def _not_ok(one: Preflight, of: str) -> str:
    parts = (one.outcome, None if one.status is None else f"status {one.status}", one.reason)
    seen = ", ".join(part for part in parts if part)
    return f"The pre-flight{of} was not ok ({seen})" + (f": {one.remedy}" if one.remedy else ".")


def standing(summary: Summary) -> str:
    """The Verdict in one sentence."""
    status = summary.verdict.status
    if status == "invalid":
        return "invalid: these numbers cannot be trusted, and the figures they would have given are withheld"
    if status == "degraded":
        ranges = [reason for reason in summary.verdict.reasons if reason.severity == RANGE]
        if any(reason.rule == LOST.slug for reason in ranges):
            return "degraded: not all of the load was made; figures are of what was"
        if ranges:
            return "degraded: the load generator itself leaves some figures open; those are shown as ranges"
        withheld = any(reason.withholds for reason in summary.verdict.reasons)
        return "degraded: " + ("some figures are withheld" if withheld else "read the numbers with these warnings")
    if status == "valid":
        return "valid: no rule about the measurement itself was broken"
    return f"{status.replace(':', ' ')}: not a verdict this version knows"


def reasons(summary: Summary) -> list[tuple[Reason, str]]:
    """The reasons of the Verdict, and each without its rule's name.

    An experiment has very many phases: of those with the same rule and severity the first one stands for all.
    """
    alike: dict[tuple[object, ...], list[Reason]] = {}
    for number, each in enumerate(summary.verdict.reasons):
        together = is_experiment(summary.run.kind) and each.phase is not None
        key = (each.rule, each.severity, each.withholds) if together else (number,)
        alike.setdefault(key, []).append(each)
    return [(first, _reason(first, len(more))) for first, *more in alike.values()]


def _reason(reason: Reason, more: int) -> str:
    others = f" and {more} more" if more else ""
    where = f"phase {reason.phase}{others}: " if reason.phase is not None else ""
    return where + reason.message


def facts(summary: Summary) -> list[tuple[str, str]]:
    """What ran, when and against what, as label and text."""
    run = summary.run
    total = summary.totals
    target = summary.scenario.get("target")
    listed = [
        ("run", run.id),
        ("started", run.started_at),
        ("ended", run.ended_at + (" (interrupted)" if run.interrupted else "")),
        (
            "measured",
            f"{units.span(total.duration_ns)} in {_plural(sum(not p.warmup for p in summary.phases), 'phase')}",
        ),
    ]
    if summary.thresholds:
        listed.append(("thresholds", _together(summary.thresholds)))
    if run.stopped is not None:
        listed.append(("ended early", run.stopped))
    if isinstance(target, dict):
        each_call = summary.scenario.get("calls")
        aim = target.get("function") or target.get("url")
        if not aim and isinstance(each_call, list):
            aim = ", ".join(
                str(call.get("function") or call.get("url")) for call in each_call if isinstance(call, dict)
            )
        endpoint = target.get("endpoint")
        listed.append(("target", " at ".join(str(part) for part in (aim, endpoint) if part)))
        if isinstance(tls := target.get("tls"), dict) and tls.get("verify") is False:
            listed.append(("certificate", "not checked (target.tls.verify: false)"))
    if summary.environment.address is not None:
        listed.append(("address", summary.environment.address))
    if each := [f"{f'{one.call} ' if summary.preflights else ''}{_ended(one)}" for one in _made(summary)]:
        listed.append(("pre-flight", f"{', '.join(each)}, in no count"))
    return listed


def _ended(one: Preflight) -> str:
    status = f" (status {one.status})" if one.status is not None else ""
    return f"{one.outcome}{status} after {units.duration(one.latency_ns)}"


def _together(thresholds: Sequence[ThresholdResult]) -> str:
    ended = {end: [each.rule for each in thresholds if each.passed is end] for end in (True, False, None)}
    if len(ended[True]) == len(thresholds):
        return f"all {len(thresholds)} met" if len(thresholds) > 1 else "met"
    parts = [f"{len(ended[True])} of {len(thresholds)} met"]
    parts += [f"{len(ended[False])} broken: {', '.join(ended[False])}"] if ended[False] else []
    parts += [f"{len(ended[None])} undecided: {', '.join(ended[None])}"] if ended[None] else []
    return "; ".join(parts)


def headline(summary: Summary) -> Table:
    """The times of all measured phases together."""
    view = totals(summary)
    names = [name for name in REPORTED if name in {"latency", "service_time", "lag"} or _reported(view.phase, name)]
    failing = view.phase.planned - _ok(view.phase)
    left_out = {"waited", "late", "unread", "connect", *SIZES} | (set() if failing else {"latency_all"})
    names = [name for name in names if name not in left_out]
    columns = [p for p in HEADLINE if p < 99.9 or any(isinstance(shown(view, name, p), Shown) for name in names)]
    every = [_metric_row(view, name, columns) for name in names]
    rows = [row for row in every if any(cell.text != DASH for cell in row[1:])]
    notes = [
        "No times can be shown."
        if not rows
        else f"Times of the {_plural(_ok(view.phase), 'ok invocation')} of {units.count(view.phase.planned)} planned"
        + (f"; {_ALL_PLANNED}." if failing else ".")
        + f" Ranges are 95{foreign.GAP}% confidence intervals."
    ]
    return Table(
        "Times",
        (Column("", False), *(Column(units.percentile(p)) for p in columns), Column("max")),
        tuple(rows),
        (
            *notes,
            *_successful_only(view, columns),
            *_closed(p for p in summary.phases if not p.warmup),
            *_whys(view, names, columns),
            *_ranges(rows),
        ),
    )


def metrics(view: View) -> Table:
    """Every metric of a stretch of load with every percentile that it lists."""
    names = [name for name in REPORTED if _reported(view.phase, name)]
    names += sorted(name for name in view.phase.metrics if name not in REPORTED and _reported(view.phase, name))
    listed = sorted({item.p for name in names for item in view.phase.metrics[name].percentiles})
    statistics: tuple[float | str, ...] = ("min", "mean", *listed, "max")
    rows = []
    for name in names:
        cells = [figure(view, name, statistic) for statistic in statistics]
        metric = view.phase.metrics[name]
        disturbed = f"{units.count(metric.disturbed)} disturbed" if metric.disturbed else ""
        rows.append((Cell(name), Cell(units.count(metric.count + metric.disturbed), disturbed), *cells))
    return Table(
        "Metrics",
        tuple(
            [Column("metric", False), Column("count"), Column("min"), Column("mean")]
            + [Column(units.percentile(p)) for p in listed]
            + [Column("max")]
        ),
        tuple(rows),
        (*_over(view), *_whys(view, names, listed), *_ranges(rows)) if rows else (),
    )


def counts(summary: Summary) -> Table:
    """What became of the planned invocations."""
    total = summary.totals
    rows = [
        (Cell("planned"), Cell(units.count(total.planned)), Cell(""), Cell(units.rate(total.planned_rate))),
        _count("started", total.started, total.planned, achieved(totals(summary)).text),
        _count("completed", total.completed, total.planned),
        _count("dropped", total.dropped, total.planned, tone="bad" if total.dropped else ""),
        *(_count(f"– {cause}", n, total.planned) for cause, n in why_dropped(total)),
        _count("unfinished", total.unfinished, total.planned, tone="bad" if total.unfinished else ""),
    ]
    if disturbed := sum(total.disturbed.values()):
        rows.append(_count("disturbed by the generator", disturbed, total.planned, tone="warn"))
    return Table(
        "Invocations",
        (Column("", False), Column("count"), Column("share of planned"), Column("rate")),
        tuple(rows),
        tuple(f"{phase.name}: {note}" for phase in summary.phases for note in phase.notes),
    )


def outcomes(phase: PhaseSummary) -> Table:
    """How the invocations ended, most frequent first."""
    rows = []
    for name, n in sorted(phase.outcomes.items(), key=lambda item: (-item[1], item[0])):
        if n:
            tone = "good" if name == OK else "bad"
            rows.append((Cell(name, tone=tone), Cell(units.count(n)), _share(phase, name, n)))
    why = ", ".join(
        f"{slug} {units.count(n)}"
        for slug, n in sorted(phase.reasons.items(), key=lambda item: (-item[1], item[0]))
        if n and not slug.startswith("ok")
    )
    return Table(
        "Outcomes",
        (Column("outcome", False), Column("count"), Column("share of planned")),
        tuple(rows),
        (f"Reasons: {why}.",) if why else (),
    )


def by_phase(summary: Summary) -> Table:
    """One row for each phase."""
    statistics: tuple[float | str, ...] = (50.0, 99.0, "max")
    rows = []
    for view in phases(summary):
        phase = view.phase
        failing = phase.planned - _ok(phase)
        dropped = f"{units.count(phase.dropped)} dropped" if phase.dropped else ""
        rows.append(
            (
                Cell(phase.name, "not counted" if phase.warmup else "", "muted" if phase.warmup else ""),
                Cell(phase.model, "warm-up" if phase.warmup else ""),
                Cell(units.span(phase.duration_ns)),
                Cell(units.count(phase.planned)),
                achieved(view),
                Cell(units.count(failing), dropped, "bad" if failing else ""),
                *(_without_interval(figure(view, "latency", statistic)) for statistic in statistics),
            )
        )
    titles = ("planned", "achieved rate", "not ok", "p50", "p99", "max")
    return Table(
        "Phases",
        (
            Column("phase", False),
            Column("model", False, 1),
            Column("duration", spare=2),
            *(Column(title) for title in titles),
        ),
        tuple(rows),
        (
            "p50, p99 and max are of latency, over the ok invocations of each phase.",
            *_closed(summary.phases),
            *_ranges(rows),
        ),
    )


def by_call(view: View) -> Table:
    """One row for each call of a mix, in a stretch of load; empty without a mix."""
    found = calls(view)
    told = any({COLD, WARM} & each.phase.by_start.keys() for _, each in found)
    rows = tuple(_call(name, each, view, told=told) for name, each in found)
    titles = ["planned", "not ok", *(units.percentile(p) for p in _OF_CALLS), "max"]
    titles += [f"{start} {units.percentile(50.0)}" for start in (COLD, WARM)] if told else []
    return Table(
        "Calls",
        (Column("call", False), *(Column(title) for title in titles)),
        rows,
        (
            "Each call of the mix by itself: times are of latency, over its ok invocations; shares are of what was "
            "planned.",
            *_whys_of(found),
            *_ranges(rows),
        )
        if rows
        else (),
    )


def _call(name: str, of_call: View, view: View, *, told: bool) -> tuple[Cell, ...]:
    phase = of_call.phase
    failing = phase.planned - _ok(phase)
    ended = ", ".join(f"{outcome} {units.count(n)}" for outcome, n in phase.outcomes.items() if n and outcome != OK)
    cells = [
        Cell(name),
        Cell(units.count(phase.planned), units.share(phase.planned, view.phase.planned) if view.phase.planned else ""),
        Cell(units.count(failing), ended, "bad" if failing else ""),
        *(figure(of_call, "latency", statistic) for statistic in (*_OF_CALLS, "max")),
    ]
    for start in (COLD, WARM) if told else ():
        metric = phase.by_start.get(start, {}).get("latency")
        n = 0 if metric is None else metric.count + metric.disturbed
        cells.append(Cell(figure(of_call, "latency", 50.0, start).text, f"of {units.count(n)}"))
    return tuple(cells)


def _whys_of(found: Sequence[tuple[str, View]]) -> tuple[str, ...]:
    whys = (why for _, view in found for why in _whys(view, ["latency"], _OF_CALLS))
    return tuple(dict.fromkeys(whys))


def thresholds(summary: Summary) -> Table:
    """Every threshold and whether it holds."""
    return Table(
        "Thresholds",
        (Column("", False), Column("rule", False), Column("measured"), Column("why", False)),
        tuple(_threshold(result) for result in summary.thresholds),
        (_JUDGED,) if summary.thresholds else (),
    )


def failures(summary: Summary) -> Table:
    """The first failures of every kind, by phase."""
    rows = [
        (
            Cell(phase.name, failure.call if phase.by_call else ""),
            Cell(failure.outcome, tone="bad"),
            Cell(failure.reason),
            Cell(DASH if failure.status is None else str(failure.status)),
            Cell(failure.error_code or DASH),
            Cell(failure.request_id or DASH),
            Cell(failure.body or DASH),
        )
        for phase in summary.phases
        for failure in phase.examples.failures
    ]
    return Table(
        "Failure examples",
        (
            Column("phase", False, 2),
            Column("outcome", False),
            Column("reason", False),
            Column("status"),
            Column("code", False),
            Column("request id", False),
            Column("body", False, 1),
        ),
        tuple(rows),
        ("The first three of each failing outcome in each phase.",) if rows else (),
    )


def slowest(summary: Summary) -> Table:
    """The slowest answered invocations of the measured phases; empty where the maximum is withheld."""
    measured = [view for view in phases(summary) if not view.phase.warmup and view.phase.examples.slowest]
    hidden = [view.phase.name for view in measured if withheld_max(view)]
    rows = [
        (
            Cell(view.phase.name, slow.call if view.phase.by_call else ""),
            Cell(units.duration(slow.latency_ns)),
            Cell(units.duration(slow.service_time_ns)),
            Cell(slow.outcome, "disturbed by the generator" if slow.disturbed else ""),
            Cell(slow.request_id or DASH),
        )
        for view in measured
        if not withheld_max(view)
        for slow in view.phase.examples.slowest
    ]
    return Table(
        "Slowest invocations",
        (
            Column("phase", False),
            Column("latency"),
            Column("service time"),
            Column("outcome", False),
            Column("request id", False),
        ),
        tuple(rows),
        (
            *(["Of every invocation that was answered, ok or not."] if rows else []),
            *([f"Not shown where the maximum is withheld: {', '.join(hidden)}."] if hidden else []),
        ),
    )


def withheld_max(view: View) -> bool:
    """Whether the largest latency may not be shown although there is one."""
    figure = shown(view, "latency_all", "max")
    return isinstance(figure, Withheld) and figure.brief != "none"


def generator(summary: Summary) -> Table:
    """How the load generator and the machine under it fared, one row for each agent."""
    rows = [
        (
            Cell(str(agent.agent)),
            Cell(units.share(agent.cpu)),
            Cell(units.size(agent.rss_bytes)),
            Cell(units.duration(agent.loop_lag_ns)),
            Cell(DASH if agent.timer_error_ns is None else units.duration(agent.timer_error_ns)),
            Cell(DASH if agent.open_files is None else units.count(agent.open_files)),
            Cell(units.count(agent.recent_connections)),
            Cell(DASH if agent.least_idle is None else units.share(agent.least_idle)),
            Cell(DASH if agent.stolen is None else units.share(agent.stolen)),
            Cell(units.duration(agent.throttled_ns)),
        )
        for agent in summary.generator.agents
    ]
    floor_ns = summary.generator.overhead_floor_ns
    notes = [
        "CPU is the agent's share of one core, the stall the longest of its event loop. The busiest core, stolen time "
        "and throttling are of the machine that it ran on.",
        "How long loadgen itself takes on this machine is not known; loadgen doctor --calibrate measures it."
        if floor_ns is None
        else f"Against a target that does nothing, p99 of service_time is {units.duration(floor_ns)} on this machine.",
    ]
    if unstamped := summary.totals.unstamped:
        notes.append(f"Of {_plural(unstamped, 'answer')} the system did not say when they arrived: they count as read.")
    titles = ("CPU", "memory", "stall", "timer error", "open files", "connections in 60 s", "busiest core idle")
    return Table(
        "Load generator",
        (Column("agent", False), *(Column(title) for title in (*titles, "stolen", "throttled"))),
        tuple(rows),
        tuple(notes) if rows else (),
    )


def environment(summary: Summary) -> Table:
    """Where it ran."""
    env = summary.environment
    limits = [
        "no CPU limit" if env.cgroup_cpu_limit is None else f"{env.cgroup_cpu_limit:g} CPUs",
        "no memory limit" if env.cgroup_memory_limit_bytes is None else units.size(env.cgroup_memory_limit_bytes),
    ]
    listed = [
        ("loadgen", f"{env.version} ({env.build})"),
        ("Python", env.python),
        ("event loop", "asyncio" if env.uvloop is None else f"uvloop {env.uvloop}"),
        ("timer", env.timer),
        ("arrival clock", "the kernel's" if env.arrival_clock == KERNEL else "when an answer was read"),
        ("TLS", env.tls_library),
        ("kernel", env.kernel),
        ("CPU", f"{env.cpu_model}, {_plural(env.usable_cores, 'usable core')}"),
        ("container limits", ", ".join(limits)),
        ("open files", units.count(env.nofile)),
        ("local ports", DASH if env.local_ports is None else units.count(env.local_ports)),
        ("target address", env.address or DASH),
        ("agents", f"{env.agents} ({env.agents_why})" if env.agents_why else str(env.agents)),
        ("scenario", env.scenario_sha256),
    ]
    return Table(
        "Environment",
        (Column("", False), Column("", False)),
        tuple((Cell(name), Cell(text)) for name, text in listed),
    )


def _metric_row(view: View, name: str, columns: Iterable[float]) -> tuple[Cell, ...]:
    return (Cell(name), *(figure(view, name, p) for p in columns), figure(view, name, "max"))


def figure(view: View, metric: str, statistic: float | str, start: str | None = None) -> Cell:
    """A statistic of a metric, see ``figures.shown``, or a dash with the reason in brief."""
    found = shown(view, metric, statistic, start)
    if isinstance(found, Withheld):
        return Cell(DASH, "" if found.brief == "none" else found.brief, "muted")
    if found.failed:
        return Cell(str(found), found.interval, "bad")
    return Cell(str(found), found.interval, "warn" if found.at_least or found.ends is not None else "")


def _without_interval(cell: Cell) -> Cell:
    """A figure whose interval stands elsewhere; why one is withheld, or a range, stays."""
    return cell if cell.text == DASH or cell.detail == GENERATOR else Cell(cell.text, "", cell.tone)


def _ranges(rows: Iterable[Sequence[Cell]]) -> tuple[str, ...]:
    """What a range in the place of a figure is, where there is one."""
    if not any(cell.detail == GENERATOR for row in rows for cell in row):
        return ()
    return (
        f"A range in the place of a figure ({GENERATOR}) is how far the load generator itself may have moved it: see "
        "the verdict.",
    )


def achieved(view: View) -> Cell:
    """The achieved rate of a stretch of load, of the planned one; a lower bound where it is the generator's."""
    phase = view.phase
    bounded = bounds_rate(view.verdict, view.name) is not None
    text = units.rate(phase.achieved_rate)
    return Cell(f"≥ {text}" if bounded else text, f"of {units.rate(phase.planned_rate)}", "warn" if bounded else "")


def _share(phase: PhaseSummary, outcome: str, n: int) -> Cell:
    """The share of an outcome; a range where the load generator itself leaves it open."""
    ends = of_share(n, phase.disturbed.get(outcome, 0), phase.planned)
    if outcome == OK or not ends.is_range:
        return Cell(units.share(n, phase.planned))
    return Cell(units.spread(units.share(ends.low), units.share(ends.high)), GENERATOR, "warn")


def why_dropped(phase: PhaseSummary) -> list[tuple[str, int]]:
    """What the dropped starts of a phase are due to, and how many are; empty where there are none."""
    missed = missed_starts(phase.reasons)
    causes = (("missed by the generator", missed), ("lacked a free worker", phase.dropped - missed))
    return [(cause, n) for cause, n in causes if n]


def _count(name: str, n: int, planned: int, rate: str = "", tone: str = "") -> tuple[Cell, ...]:
    return Cell(name), Cell(units.count(n), tone=tone), Cell(units.share(n, planned)), Cell(rate)


def _threshold(result: ThresholdResult) -> tuple[Cell, ...]:
    mark = {True: Cell("pass", tone="good"), False: Cell("FAIL", tone="bad"), None: Cell("undecided", tone="warn")}
    return mark[result.passed], Cell(result.rule), measured(result), Cell(result.why)


def measured(result: ThresholdResult) -> Cell:
    """What was measured of a threshold, in the unit of its limit."""
    text, detail = DASH if result.value is None else _measured(result.rule, result.value), ""
    if result.value is None and (result.low_end is not None or result.high_end is not None):
        low, high = (
            None if end is None else _measured(result.rule, end) for end in (result.low_end or None, result.high_end)
        )
        text, detail = units.spread(low, high), GENERATOR
    if result.against is not None:
        return Cell(text, _against(result, result.against))
    of_money = re.match(r"(?:[^:]*:)?(?:[\w-]+/)?cost\b", result.rule) is not None
    if of_money and result.value is not None and (result.passed is None or result.decided_by == BOUNDS):
        text = f">{foreign.GAP}{text}"  # not every call told its bill
    if text == DASH and result.decided_by == VALUE:  # the figure is that of a call that is not ok
        text = FAILED
    return Cell(text, detail)


def _against(result: ThresholdResult, figures: AgainstBaseline) -> str:
    """The interval of a share of a baseline; empty where nothing is known of it."""
    low, high = (None if end is None else _measured(result.rule, end) for end in (figures.low or None, figures.high))
    return "" if low == high else units.spread(low, high)


def _measured(rule: str, value: float) -> str:
    """A threshold's value in the unit that its rule's limit has."""
    limit = re.split(r"\s+over\s|,", re.split(r"[<>=]+", rule)[-1])[0].strip()
    if limit.endswith("% of baseline"):
        return f"{100 * value:.3g}{foreign.GAP}%"
    if limit.endswith("%") or not limit.strip("0"):
        return units.share(value)
    if "/" in limit:
        return units.rate(value)
    if re.fullmatch(r"[\d.]+\s*(ns|us|µs|ms|s|m|min|h)", limit):
        return units.duration(value)
    if money := re.fullmatch(r"[\d.]+ ([A-Z]{3})", limit):
        return f"{units.amount(Decimal(value))}{foreign.GAP}{money[1]}"
    return f"{value:g}"


def _reported(phase: PhaseSummary, name: str) -> bool:
    return name in phase.metrics and phase.metrics[name].count + phase.metrics[name].disturbed > 0


def _ok(phase: PhaseSummary) -> int:
    return phase.outcomes.get(OK, 0)


def _successful_only(view: View, columns: Iterable[float]) -> tuple[str, ...]:
    """Percentiles that would be among the failures, if failures were in the distribution, say that they are not."""
    phase = view.phase
    failing = phase.planned - _ok(phase)
    hidden = [units.percentile(p) for p in columns if failing and percentile_fails(p, _ok(phase), phase.planned)]
    if not hidden or not _ok(phase):
        return ()
    return (
        f"{units.share(failing, phase.planned)} of the planned invocations were not ok: {', '.join(hidden)} "
        "of every metric but latency_all leave them out.",
    )


def _over(view: View) -> tuple[str, ...]:
    """Which invocations the figures are of."""
    failing = view.phase.planned - _ok(view.phase)
    ok, planned = _plural(_ok(view.phase), "ok invocation"), units.count(view.phase.planned)
    if failing:
        return (f"Over the {ok} of {planned} planned; {_ALL_PLANNED}.",)
    return (f"Over all {planned} planned invocations, every one of them ok.",)


def _closed(listed: Iterable[PhaseSummary]) -> tuple[str, ...]:
    closed = [phase for phase in listed if phase.model == "closed"]
    if not closed:
        return ()
    names = ", ".join(phase.name for phase in closed)
    busy = [
        f"{phase.name} had {phase.in_flight_mean:.3g} calls in flight on average, of {phase.workers:g} workers"
        for phase in closed
        if phase.in_flight_mean is not None and phase.workers is not None
    ]
    return (f"Closed ({names}): {CLOSED}." + (f" {'; '.join(busy)}." if busy else ""),)


def _whys(view: View, names: Iterable[str], columns: Iterable[float]) -> tuple[str, ...]:
    """Why figures are withheld, each reason once."""
    statistics: tuple[float | str, ...] = (*columns, "max")
    figures = [shown(view, name, statistic) for name in names for statistic in statistics]
    withheld = [figure for figure in figures if isinstance(figure, Withheld) and figure.brief != "none"]
    few = [figure for figure in withheld if figure.brief.startswith(TOO_FEW)]
    whys = dict.fromkeys(figure.why for figure in withheld if figure not in few)
    return (*whys, *([f"{TOO_FEW}N: too few invocations, the percentile needs about N."] if few else []))


def _plural(n: int, noun: str) -> str:
    return f"{units.count(n)} {noun}" + ("" if n == 1 else "s")
