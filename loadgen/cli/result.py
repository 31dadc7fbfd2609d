"""What a run's result is on stdout: one screen, everything, or for another program to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from loadgen.cli import output

if TYPE_CHECKING:
    from loadgen.measure.summary import Summary
    from loadgen.report.timeline import Timeline

TERMINAL, JSON, MARKDOWN, NONE = "terminal", "json", "markdown", "none"


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what it prints: ``form`` and ``full``."""
    form = click.option(
        "--format",
        "form",
        type=click.Choice([TERMINAL, JSON, MARKDOWN, NONE]),
        default=TERMINAL,
        help="What goes to stdout: one screen, summary.json on one line, report.md, or nothing.",
    )
    full = click.option("--full", is_flag=True, help="Every table on stdout, not only what fits one screen.")
    return form(full(command))


def text(summary: Summary, form: str, *, full: bool, over_time: Timeline | None = None) -> str:
    """What is printed of a result; ``over_time`` is its course, where that is known."""
    from loadgen.measure.summary import encode_line
    from loadgen.report.markdown import markdown
    from loadgen.report.screen import screen
    from loadgen.report.terminal import terminal

    match form:
        case "terminal":
            if full:
                return terminal(summary, width=output.width(), colour=output.colour())
            return screen(summary, over_time, width=output.width(), colour=output.colour())
        case "json":
            return encode_line(summary).decode() + "\n"
        case "markdown":
            return markdown(summary)
        case _:
            return ""


def show(printed: str, form: str) -> str | None:
    """Print it; why that failed, None when it did not or when nobody reads it any more."""
    return output.show(printed, painted=form == TERMINAL)
