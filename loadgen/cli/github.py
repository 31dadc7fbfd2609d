"""In a job of GitHub Actions: the report as its step summary, and what is broken as annotations.

Source: GitHub's documents, Workflow commands for GitHub Actions: the file that GITHUB_STEP_SUMMARY names is Markdown,
at most 1 MiB a step; in messages of commands %, carriage return and line feed are escaped, in properties : and , too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.cli import output

if TYPE_CHECKING:
    from loadgen.measure.summary import Summary

_MOST = 1 << 20
_COMMANDS = {False: "error", None: "warning"}


def tell(summary: Summary, report: str) -> None:
    """Say what became of a run where GitHub Actions runs it; elsewhere nothing."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for command in commands(summary):
        output.say(command)
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    if not named:
        return
    try:
        with Path(named).open("a", encoding="utf-8") as step:
            step.write(
                report if len(report.encode()) < _MOST else f"{report.encode()[: _MOST // 2].decode(errors='ignore')}\n"
            )
    except OSError as error:
        output.say(
            f"warning: GITHUB_STEP_SUMMARY cannot be written: {error.strerror}; the report is in the run's directory"
        )


def commands(summary: Summary) -> Iterator[str]:
    """A command for each rule that is broken or undecided."""
    from loadgen.report.answer import head

    for each in head(summary).judged:
        if each.passed is not True:
            said = f"{each.rule}: {', '.join(filter(None, (each.measured, each.why)))}"
            title = f"loadgen {summary.run.name}"
            yield f"::{_COMMANDS[each.passed]} title={_escaped(title, ':,')}::{_escaped(said)}"


def _escaped(text: str, more: str = "") -> str:
    for each in ("%", "\r", "\n", *more):
        text = text.replace(each, f"%{ord(each):02X}")
    return text
