"""``loadgen report RUN``: write a run's reports again, from what it left."""

from __future__ import annotations

from pathlib import Path

import click

from loadgen.cli import output, result
from loadgen.history.rundir import RunDirectoryError, read_intervals, read_summary, replace
from loadgen.report.html import html
from loadgen.report.junit import junit
from loadgen.report.markdown import markdown
from loadgen.report.timeline import timeline
from loadgen.text import foreign


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@result.options
def report(run: Path, form: str, full: bool) -> None:
    """Write report.md, report.html and junit.xml of the run directory RUN again and print its summary.

    Reads summary.json and intervals.hlog. Exits with 2 when RUN is not the directory of a finished run, with 1 when the
    reports cannot be written.
    """
    try:
        summary = read_summary(run)
        page = html(summary, timeline(read_intervals(run)))
        text = markdown(summary)
        shown = result.text(summary, form, full=full)
        cases = junit(summary) if summary.thresholds else None
    except RunDirectoryError as error:
        raise click.UsageError(str(error)) from error
    except (ValueError, ArithmeticError, LookupError) as error:
        why = foreign.unquoted(str(error))
        raise click.UsageError(f"{run} holds a file with something that no loadgen writes: {why}") from error
    output.interruptible()
    try:
        replace(run / "report.md", text.encode())
        replace(run / "report.html", page.encode())
        if cases is not None:
            replace(run / "junit.xml", cases.encode())
    except OSError as error:
        raise click.ClickException(
            f"cannot write the reports to {run}: {error.strerror}; check the directory"
        ) from error
    unprinted = result.show(shown, form)
    output.say(f"written: {run / 'report.md'}, {run / 'report.html'}")
    if unprinted is not None:
        raise click.ClickException(f"cannot print the summary: {unprinted}")
