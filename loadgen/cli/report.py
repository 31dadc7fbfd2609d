"""``loadgen report RUN``: write a run's reports again, from what it left."""

from __future__ import annotations

from pathlib import Path

import click

from loadgen.cli import output
from loadgen.history.rundir import RunDirectoryError, read_intervals, read_summary, replace
from loadgen.report.html import html
from loadgen.report.markdown import markdown
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write report.md and report.html of the run directory RUN again and print its summary.

    Reads summary.json and intervals.hlog. Exits with 2 when RUN is not the directory of a finished run, with 1 when the
    reports cannot be written.
    """
    try:
        summary = read_summary(run)
        page = html(summary, timeline(read_intervals(run)))
    except RunDirectoryError as error:
        raise click.UsageError(str(error)) from error
    except ValueError as error:
        raise click.UsageError(f"{run} holds a file that cannot be read: {error}") from error
    output.interruptible()
    try:
        replace(run / "report.md", markdown(summary).encode())
        replace(run / "report.html", page.encode())
    except OSError as error:
        raise click.ClickException(
            f"cannot write the reports to {run}: {error.strerror}; check the directory"
        ) from error
    unprinted = output.show(terminal(summary, width=output.width(), colour=output.colour()))
    output.say(f"written: {run / 'report.md'}, {run / 'report.html'}")
    if unprinted is not None:
        raise click.ClickException(f"cannot print the summary: {unprinted}")
