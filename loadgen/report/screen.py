"""The Summary as one screen of a terminal: the answer, one table, and what explains it. ``terminal`` has the rest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from msgspec import structs

from loadgen.experiments.registry import is_experiment
from loadgen.invocation.outcome import OK
from loadgen.invocation.start import COLD, WARM
from loadgen.measure.summary import Summary
from loadgen.measure.trust.generator import LOST
from loadgen.measure.trust.rule import INVALID, RANGE
from loadgen.report import billing, tables, units
from loadgen.report.experiment import NEXT, section
from loadgen.report.figures import DASH, View, totals
from loadgen.report.sparkline import sparkline
from loadgen.report.tables import Cell, Column, Table
from loadgen.report.terminal import INDENT, Paint, fits, grid, heading, painter, wrapped
from loadgen.report.timeline import Timeline
from loadgen.text import foreign

_COLUMNS: tuple[float | str, ...] = (50.0, 90.0, 95.0, 99.0, "max")
_NOTHING = ("", DASH, "0", f"0{foreign.GAP}%")
_SLOWEST, _FAILURES, _REMARKS, _NOTES = 3, 3, 4, 3
_SHORT = 160
"""Characters of what is shown of a long sentence."""
_LINES, _LINES_OF_EXPERIMENT = 38, 58
"""Of a screen of 40 and of 60 lines, as the path of the report follows."""
_NAME = 16
"""Characters of a name, an id or a code where a table is too wide."""


def screen(summary: Summary, timeline: Timeline | None = None, *, width: int = 100, colour: bool = False) -> str:
    """The result of a run as lines of at most ``width`` columns where its names allow.

    A ``timeline`` shows when a load was slow, where something stands out and there is room for a line. Of a table that
    is too wide, columns are left out in the order that they say, and of too many tables the last ones.
    ``colour`` adds ANSI sequences.
    """
    paint = painter(colour=colour)
    first = [*heading(summary, width, paint), *(paint(line, "muted") for line in _where(summary, width))]
    parts = [["", *_titled(table, width, paint)] for table in _tables(summary) if table.rows]
    last = ["", *_remarks(summary, width)]
    most = (_LINES_OF_EXPERIMENT if is_experiment(summary.run.kind) else _LINES) - len(first) - len(last)
    over_time = "" if timeline is None or is_experiment(summary.run.kind) else sparkline(summary, timeline, width)
    if over_time and parts and sum(map(len, parts)) + 1 <= most:
        parts[0].append(f"{INDENT}{over_time}")
    while len(parts) > 1 and sum(map(len, parts)) > most:
        parts.pop()  # the last table says the least
    return "\n".join(line.rstrip() for line in (*first, *chain.from_iterable(parts), *last)) + "\n"


def _where(summary: Summary, width: int) -> Iterator[str]:
    """What was called, when, and for how long."""
    known = dict(tables.facts(summary))
    started = f"{summary.run.started_at.partition('.')[0].rstrip('Z')}Z"
    yield from wrapped(foreign.line(", ".join(filter(None, (known.get("target"), started, known["measured"])))), width)
    early = known.get("ended early") or ("interrupted" if summary.run.interrupted else "")
    if early:
        yield from wrapped(foreign.line(f"ended early: {early}"), width)
    if "certificate" in known:
        yield from wrapped(f"certificate: {known['certificate']}", width)
    if summary.environment.synthetic:
        yield from wrapped("Synthetic: the embedded emulator answered.", width)


def _tables(summary: Summary) -> Iterator[Table]:
    found = section(summary)
    view = totals(summary)
    if not is_experiment(summary.run.kind):
        yield _times(view)
        yield structs.replace(tables.by_call(view), notes=())
        if sum(not phase.warmup for phase in summary.phases) > 1:
            yield _phases(summary)
    else:
        for table in found.tables:
            if len(table.columns) > 1:  # a link is no table
                yield _told(table)
    yield from _examples(summary)


def _told(table: Table) -> Table:
    """The rows of a table that say something, and the first of its notes; what helps stands at the top already."""
    rows = tuple(row for row in table.rows if any(cell.text not in _NOTHING for cell in row[1:]))
    notes = tuple(note for note in table.notes if not note.startswith(NEXT))[:_NOTES]
    return structs.replace(table, rows=rows, notes=notes)


def _phases(summary: Summary) -> Table:
    """One row for each phase, without the rate that was planned."""
    table = tables.by_phase(summary)
    rows = (
        tuple(Cell(cell.text, "" if cell.detail.startswith("of ") else cell.detail, cell.tone) for cell in row)
        for row in table.rows
    )
    return structs.replace(table, rows=tuple(rows), notes=())


def _times(view: View) -> Table:
    """Latency, cold and warm, and what the function itself took; no interval but that of latency."""
    rows: list[tuple[str, str, str | None, bool]] = [("latency", "latency", None, True)]
    rows += [(f"{INDENT}{start}", "latency", start, False) for start in (WARM, COLD) if start in view.phase.by_start]
    rows += [("service time", "service_time", None, False), ("function", "duration", None, False)]
    if view.phase.planned > view.phase.outcomes.get(OK, 0):
        rows.append(("all planned", "latency_all", None, False))
    shown = []
    for name, metric, start, interval in rows:
        metrics = view.phase.metrics if start is None else view.phase.by_start.get(start, {})
        known = metrics.get(metric)
        if known is None or not known.count + known.disturbed:
            continue
        cells = [tables.figure(view, metric, statistic, start) for statistic in _COLUMNS]
        if not interval:
            cells = [Cell(cell.text, "", cell.tone) for cell in cells]
        if all(cell.text == DASH for cell in cells):
            continue
        shown.append((Cell(name), *cells, Cell(units.count(known.count + known.disturbed))))
    titles = [units.percentile(each) if isinstance(each, float) else each for each in _COLUMNS]
    spare = {"max": 1, "p90": 2, "calls": 3}
    columns = (Column("", False), *(Column(title, spare=spare.get(title, 0)) for title in (*titles, "calls")))
    return Table("", columns, tuple(shown))


def _examples(summary: Summary) -> Iterator[Table]:
    """The slowest calls and the first failures, by their ids."""
    failures, slowest = tables.failures(summary), tables.slowest(summary)
    if failures.rows:
        few: dict[str, tuple[Cell, ...]] = {}
        for row in failures.rows:
            few.setdefault(row[1].text, row)
        yield structs.replace(failures, rows=tuple(few.values())[:_FAILURES], notes=())
    if slowest.rows and not is_experiment(summary.run.kind):
        yield structs.replace(slowest, rows=slowest.rows[: 1 if failures.rows else _SLOWEST], notes=())


def _titled(raw: Table, width: int, paint: Paint) -> Iterator[str]:
    table = _fitting(tables.written(raw, foreign.line), width)
    if table.title:
        yield paint(table.title, "heading")
    yield from grid(table, width, paint)
    for note in table.notes:
        yield from wrapped(_shortened(note), width)


def _fitting(table: Table, width: int) -> Table:
    """The table without the columns that do not fit, those first that are marked so."""
    while not fits(table, width) and (spare := [column.spare for column in table.columns if column.spare]):
        at = next(n for n, column in enumerate(table.columns) if column.spare == min(spare))
        table = structs.replace(
            table,
            columns=(*table.columns[:at], *table.columns[at + 1 :]),
            rows=tuple((*row[:at], *row[at + 1 :]) for row in table.rows),
        )
    if fits(table, width):
        return table
    long = [not column.numeric for column in table.columns]
    rows = (
        tuple(
            structs.replace(cell, text=_shortened(cell.text, _NAME)) if each else cell
            for cell, each in zip(row, long, strict=True)
        )
        for row in table.rows
    )
    return structs.replace(table, rows=tuple(rows))


def _remarks(summary: Summary, width: int) -> Iterator[str]:
    """How calls ended, what they cost, and what else was noticed."""
    total = summary.totals
    ended = sorted(total.outcomes.items(), key=lambda item: (item[0] != OK, -item[1], item[0]))
    parts = [f"{units.count(n)} {name}" for name, n in ended if n]
    achieved = f"; {units.rate(total.achieved_rate)} of {units.rate(total.planned_rate)} planned"
    of_load = "" if is_experiment(summary.run.kind) else achieved
    yield from wrapped(f"{' · '.join(parts) or 'no call ended'}{of_load}", width)
    if cost := billing.line(summary):
        yield from wrapped(cost, width)
    if billing.audit(summary).rows:
        yield from wrapped("Bill audit: not all bills follow from the durations told with them, see report.md", width)
    others = [
        (reason, text)
        for reason, text in tables.reasons(summary)
        if reason.severity not in (INVALID, RANGE) or (reason.rule, reason.severity) == (LOST.slug, RANGE)
    ]
    for reason, text in others[:_REMARKS]:
        yield from wrapped(f"{reason.rule}: {_shortened(foreign.line(text))}", width)
    if len(others) > _REMARKS:
        yield from wrapped(f"{len(others) - _REMARKS} more remarks: loadgen report --full", width)


def _shortened(text: str, most: int = _SHORT) -> str:
    """The text, or its first sentences, or as much of the first as there is room for."""
    if len(text) <= most:
        return text
    whole = text[:most].rfind(". ")
    return text[: whole + 1] if whole > 0 else f"{text[: most - 1].rsplit(' ', 1)[0]}…"
