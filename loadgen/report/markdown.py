"""The Summary as GitHub-flavoured Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.experiments.registry import is_experiment
from loadgen.measure.summary import Summary
from loadgen.report import billing, tables
from loadgen.report.answer import head
from loadgen.report.experiment import in_order, section
from loadgen.report.figures import calls, phases, totals
from loadgen.report.tables import Cell, Table
from loadgen.text import foreign

_MARKS = {True: "✓", False: "✗", None: "?"}


def markdown(summary: Summary) -> str:
    """The whole report; what is wrong comes first."""
    write = foreign.markdown
    lines = [f"# {write(summary.run.name)}", "", *_head(summary), ""]
    if first := tables.preflight(summary):
        lines += [f"**{write(first)}**", ""]
    lines += [*_verdict(summary), ""]
    if summary.environment.synthetic:
        lines += [f"> {write(tables.SYNTHETIC)}", ""]
    lines += [f"- {label}: {write(text)}" for label, text in tables.facts(summary)]
    found = section(summary)
    sections = [
        *in_order(summary, found),
        tables.by_call(totals(summary)),
        tables.counts(summary),
        tables.outcomes(summary.totals),
        billing.cost(summary),
        billing.audit(summary),
        tables.thresholds(summary),
        tables.by_phase(summary),
        tables.metrics(totals(summary)),
        tables.failures(summary),
        tables.slowest(summary),
        tables.generator(summary),
        tables.environment(summary),
    ]
    for table in sections:
        if table.rows or table.notes:
            lines += ["", f"## {write(table.title)}", "", *_table(table)]
    if len(summary.phases) > 1 and not is_experiment(summary.run.kind):  # an experiment's are many, and in summary.json
        for view in phases(summary):
            table = tables.metrics(view)
            if table.rows:
                lines += ["", f"## Metrics of phase {write(view.phase.name)}", "", *_table(table)]
            if (table := tables.by_call(view)).rows:
                lines += ["", f"## Calls of phase {write(view.phase.name)}", "", *_table(table)]
    for name, of_call in calls(totals(summary)):
        if (table := tables.metrics(of_call)).rows:
            lines += ["", f"## Metrics of call {write(name)}", "", *_table(table)]
    return "\n".join(lines) + "\n"


def _head(summary: Summary) -> Iterator[str]:
    """The answer, the rules, what would make it better, and how well was measured."""
    found, write = head(summary), foreign.markdown
    yield f"**{found.word}**: {write(found.answer)}"
    yield ""
    for each in found.judged if len(found.judged) > 1 else ():
        parts = (each.measured, each.why)
        yield f"- {_MARKS[each.passed]} {write(each.rule)}: {write(', '.join(part for part in parts if part))}"
    if found.why:
        yield f"- {write(found.why[:1].upper() + found.why[1:])}"
    if found.next:
        yield f"- Next: {write(found.next)}"
    yield f"- {write(found.quality[:1].upper() + found.quality[1:])}"


def _verdict(summary: Summary) -> Iterator[str]:
    status, _, rest = tables.standing(summary).partition(":")
    yield f"**Verdict {foreign.markdown(status)}**:{foreign.markdown(rest)}."
    if summary.verdict.reasons:
        yield ""
    for reason, text in tables.reasons(summary):
        rule, severity, why = map(foreign.markdown, (reason.rule, reason.severity, text))
        yield f"- **{rule}** ({severity}): {why}"


def _table(raw: Table) -> Iterator[str]:
    table = tables.written(raw, foreign.markdown)
    if table.rows:
        yield from _grid(table)
    if table.rows and table.notes:
        yield ""
    for note in table.notes:
        yield f"- {note}"


def _grid(table: Table) -> Iterator[str]:
    yield _line(column.title for column in table.columns)
    yield _line("---:" if column.numeric else "---" for column in table.columns)
    for row in table.rows:
        yield _line(_cell(cell) for cell in row)


def _cell(cell: Cell) -> str:
    return f"{cell.text} ({cell.detail})" if cell.detail else cell.text


def _line(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"
