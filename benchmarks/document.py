"""Tables in Markdown, and the document that holds them.

A section of the document is generated when it stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; the prose
around it is written by hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from benchmarks.tool import Load, Report, Tool, ToolError
from loadgen.engine.environment import environment

NONE = "—"
EXAMPLE = "http://127.0.0.1:8080/PATH"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: Collection[int] = (0,)) -> str:
    """A table that lines up as plain text, too. ``left`` are the columns of words; the others hold numbers."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    rule = ["-" * width if i in left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [cells[0], rule, *cells[1:]]

    def padded(line: Sequence[str]) -> Iterable[str]:
        sized = enumerate(zip(line, widths, strict=True))
        return (cell.ljust(width) if i in left else cell.rjust(width) for i, (cell, width) in sized)

    return "\n".join(f"| {' | '.join(padded(line))} |" for line in lines)


def absent(tool: Tool, error: ToolError, columns: int) -> list[str]:
    """The row of a tool that could not run."""
    return [tool.name, f"{error}".replace("\n", " ").replace("|", "/"), *[""] * (columns - 2)]


def ms(value: float | None) -> str:
    """Milliseconds with as many digits as matter, a dash for none."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def printed(report: Report, p: float) -> str:
    """A percentile as the tool prints it: in ms, as a range, or a dash for none."""
    return report.ranges.get(p) or ms(report.percentiles_ms.get(p))


def commands(runs: Iterable[tuple[Tool, Load]]) -> str:
    """How each tool was started, without the paths of this machine."""
    lines = []
    for tool, load in runs:
        command = tool.command(load, EXAMPLE)
        if command is not None:
            words = (os.path.basename(word) if word.startswith("/") else word for word in command)  # noqa: PTH119
            lines.append(" ".join(word if re.fullmatch(r"[\w$=.,:/+-]+", word) else f"'{word}'" for word in words))
    return "```\n" + "\n".join(dict.fromkeys(lines)) + "\n```"


def provenance(tools: Iterable[Tool], how: str) -> str:
    """When and on what the tables after it were measured."""
    machine = environment(agents=1, scenario_sha256="", synthetic=False)
    versions = dict.fromkeys(f"{tool.name} {tool.version or '(not installed)'}" for tool in tools)
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{how}`: {machine.usable_cores} cores of {machine.cpu_model}, "
        f"{machine.kernel}, {machine.python}, {machine.tls_library}. Tools: {'; '.join(versions)}."
    )


def replaced(text: str, name: str, section: str) -> str:
    """The document with a generated section replaced. Raises ValueError when it has no such section."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the document has no section between {begin} and {end}")
    return f"{before}{begin}\n\n{section}\n\n{end}{after}"
