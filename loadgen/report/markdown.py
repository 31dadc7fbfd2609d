"""The Summary as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loadgen.measure.summary import Summary
from loadgen.report import billing, tables, units
from loadgen.report.experiment import in_order, section
from loadgen.report.figures import phases, totals
from loadgen.report.tables import Cell, Table

_SPECIAL = re.compile(
    r"[\\`*\[\]#|~&$@]"
    r"|<(?! )|^>"  # a rule's limit stays readable, a tag does not come about
    r"|:(?=//)|(?<=www)\."  # GitHub makes links of bare addresses
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])",  # within a word it is not emphasis
    re.IGNORECASE,
)


def markdown(summary: Summary) -> str:
    """The whole report; what is wrong comes first."""
    lines = [f"# {_escaped(units.printable(summary.run.name))}", ""]
    if first := tables.preflight(summary):
        lines += [f"**{_escaped(first)}**", ""]
    lines += [*_verdict(summary), ""]
    if summary.environment.synthetic:
        lines += [f"> {_escaped(tables.SYNTHETIC)}", ""]
    lines += [f"- {label}: {_escaped(text)}" for label, text in tables.facts(summary)]
    found = section(summary)
    sections = [
        *in_order(summary, found),
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
            lines += ["", f"## {table.title}", "", *_table(table)]
    if len(summary.phases) > 1 and summary.run.kind == "load":  # an experiment's are many, and in summary.json
        for view in phases(summary):
            table = tables.metrics(view)
            if table.rows:
                lines += ["", f"## Metrics of phase {_escaped(units.printable(view.phase.name))}", "", *_table(table)]
    return "\n".join(lines) + "\n"


def _verdict(summary: Summary) -> Iterator[str]:
    status, _, rest = tables.standing(summary).partition(":")
    yield f"**Verdict {status}**:{_escaped(rest)}."
    if summary.verdict.reasons:
        yield ""
    for reason, text in tables.reasons(summary):
        yield f"- **{_escaped(reason.rule)}** ({_escaped(reason.severity)}): {_escaped(text)}"


def _table(table: Table) -> Iterator[str]:
    if table.rows:
        yield from _grid(table)
    if table.rows and table.notes:
        yield ""
    for note in table.notes:
        yield f"- {_escaped(note)}"


def _grid(table: Table) -> Iterator[str]:
    yield _line(column.title for column in table.columns)
    yield _line("---:" if column.numeric else "---" for column in table.columns)
    for row in table.rows:
        yield _line(_cell(cell) for cell in row)


def _cell(cell: Cell) -> str:
    text = _escaped(cell.text)
    return f"{text} ({_escaped(cell.detail)})" if cell.detail else text


def _line(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text that Markdown neither formats nor takes for HTML, a link, a mention or a cell border.

    Source: GitHub Flavored Markdown, sections 2.4 (backslash escapes) and 6.9 (autolinks).
    """
    return _SPECIAL.sub(r"\\\g<0>", text)
