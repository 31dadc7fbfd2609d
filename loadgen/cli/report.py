"""``loadgen report RUN``: write a run's reports again, from what it left."""

from __future__ import annotations

from pathlib import Path

import click

from loadgen.cli import output, result
from loadgen.history.rundir import (
    JOURNAL,
    SUMMARY,
    RunDirectoryError,
    read_intervals,
    read_journal,
    read_summary,
    replace,
)
from loadgen.measure.summary import Summary, encode
from loadgen.report.html import html
from loadgen.report.junit import junit
from loadgen.report.markdown import markdown
from loadgen.report.timeline import Timeline, timeline
from loadgen.run.journal import JournalError, rebuilt
from loadgen.text import file, foreign


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@result.options
def report(run: Path, form: str, full: bool) -> None:
    """Write report.md, report.html and junit.xml of the run directory RUN again and print its summary.

    Reads summary.json and intervals.hlog. Of a run that was cut short, or is not over, summary.json is made from
    frames.journal, and is partial. Exits with 2 when RUN is not the directory of a run, with 1 when the reports cannot
    be written.
    """
    try:
        summary, remade = _summary(run)
        over_time = _timeline(run, partial=summary.run.partial)
        page = html(summary, over_time)
        text = markdown(summary)
        shown = result.text(summary, form, full=full, over_time=over_time)
        cases = junit(summary) if summary.thresholds else None
    except RunDirectoryError as error:
        raise click.UsageError(str(error)) from error
    except (ValueError, ArithmeticError, LookupError, RecursionError) as error:
        why = foreign.unquoted(str(error))
        raise click.UsageError(f"{run} holds a file with something that no loadgen writes: {why}") from error
    output.interruptible()
    try:
        if remade:
            replace(run / SUMMARY, encode(summary))
        replace(run / "report.md", text.encode())
        replace(run / "report.html", page.encode())
        if cases is not None:
            replace(run / "junit.xml", cases.encode())
    except OSError as error:
        if remade:
            result.show(shown, form)  # the only place where it is, as the disk of a run that it filled takes nothing
        raise click.ClickException(
            f"cannot write the reports to {run}: {error.strerror}; check the directory"
        ) from error
    unprinted = result.show(shown, form)
    output.say(f"written: {run / 'report.md'}, {run / 'report.html'}")
    if unprinted is not None:
        raise click.ClickException(f"cannot print the summary: {unprinted}")


def _summary(run: Path) -> tuple[Summary, bool]:
    """The Summary of a run, and whether it was made of what a run left that has none, or a partial one."""
    fault = None
    try:
        summary = read_summary(run)
        if not summary.run.partial:
            return summary, False
    except RunDirectoryError as error:
        fault = error
    held = None if fault is not None and file.there(run / SUMMARY) else read_journal(run)
    if held is None:
        if fault is not None:
            raise fault
        return summary, False
    try:
        found = rebuilt(held)
    except JournalError as error:
        raise RunDirectoryError(f"nothing can be made of {run / JOURNAL}: {error}") from error
    for each in found.lost:
        output.say(f"warning: {each}")
    return found.summary, True


def _timeline(run: Path, *, partial: bool) -> Timeline:
    """What is drawn over time; nothing of a partial run whose intervals are torn."""
    try:
        return timeline(read_intervals(run))
    except (RunDirectoryError, ValueError):
        if not partial:
            raise
        return timeline(())
