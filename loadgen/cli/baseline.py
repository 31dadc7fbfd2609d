"""``--baseline RUN``: the run that a new one is set beside, found fit before any load, and what is said of both."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli import output
from loadgen.text import foreign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.comparison.pairs import Run
    from loadgen.measure.rule import Rule
    from loadgen.measure.summary import Summary
    from loadgen.scenario.load import Loaded

OPTION = click.option(
    "--baseline",
    "beside",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="What rules such as `latency.p99 < 110% of baseline` are about: the directory of a run, or its summary.json.",
)

_NOTES = 3
NOT_OURS = (ValueError, ArithmeticError, LookupError, RecursionError)
"""What reading a file raises that was written by hand."""


def read(path: Path) -> Run:
    """A run to compare with. Raises UsageError where it is none."""
    from loadgen.comparison.compare import read as read_run
    from loadgen.history.rundir import RunDirectoryError

    try:
        return read_run(path)
    except RunDirectoryError as error:
        raise click.UsageError(str(error)) from error
    except NOT_OURS as error:
        why = foreign.unquoted(str(error))
        raise click.UsageError(f"{path} holds a file with something that no loadgen writes: {why}") from error


def needing(loaded: Loaded) -> str:
    """The rules of a scenario that need a baseline, in one line; empty where none does."""
    from loadgen.measure.rule import of_baseline

    return "; ".join(rule.text for rule in of_baseline(loaded.scenario.thresholds))


def needed(path: Path | None, loaded: Loaded, *, quiet: bool) -> Run | None:
    """The baseline of a run, None where it has and needs none. Exits with 2 where there is no telling by it."""
    if path is not None:
        return fit(path, loaded, quiet=quiet)
    if rules := needing(loaded):
        raise click.UsageError(
            f"{rules}: there is no baseline; give --baseline RUN, a run of the same load, or remove the rule"
        )
    return None


def fit(path: Path, loaded: Loaded, *, quiet: bool) -> Run:
    """A baseline of this scenario. Exits with 2, saying all that stands against it, where it is none."""
    from loadgen.comparison.alike import Load
    from loadgen.comparison.baseline import faults, remarks

    scenario = loaded.scenario
    if scenario.kind != "load":
        raise click.UsageError(
            f"--baseline is of kind: load, and this is {scenario.kind}, whose load follows from what it sees; compare "
            "the answers of two such runs, those of cold-starts with `loadgen compare`"
        )
    base = read(path)
    load = Load(scenario.kind, loaded.document, dict.fromkeys(phase.name for phase in scenario.phases))
    try:
        found = faults(base.summary, load, scenario.thresholds)
    except NOT_OURS as error:
        why = foreign.unquoted(str(error))
        raise click.UsageError(f"{path} holds a file with something that no loadgen writes: {why}") from error
    for fault in found:
        output.say(f"error: --baseline {foreign.quote(str(path))}: {fault}")
    if found:
        output.say("Give a run of the same load that has these figures, such as one of this scenario.")
        sys.exit(2)
    for remark in () if quiet else remarks(base.summary):
        output.say(f"warning: --baseline {foreign.quote(str(path))}: {foreign.line(remark)}")
    return base


def judged(base: Run, summary: Summary, directory: Path, rules: Sequence[Rule], *, quiet: bool) -> Run:
    """A new run with its rules of the baseline decided; where that cannot be done it is said, and they stay open."""
    from msgspec.structs import replace

    from loadgen.comparison.alike import noted
    from loadgen.comparison.baseline import judged as judged_rules
    from loadgen.comparison.compare import run_of
    from loadgen.history.rundir import RunDirectoryError, read_intervals
    from loadgen.measure.rule import of_baseline

    try:
        new = run_of(str(directory), summary, read_intervals(directory))
    except (RunDirectoryError, ValueError) as error:  # its figures are in the Summary all the same
        output.say(f"warning: what the run differs by while it lasts is not known: {foreign.unquoted(str(error))}")
        new = run_of(str(directory), summary, ())
    try:
        differs = noted(base.summary, summary) if of_baseline(rules) else []
        decided = replace(new, summary=judged_rules(base, new, rules))
    except NOT_OURS as error:  # it was fit before the load, and what was measured since is not lost to it
        output.say(f"warning: the run was not compared with its baseline: {foreign.unquoted(str(error))}")
        return new
    for note in () if quiet else differs[:_NOTES]:
        output.say(f"note: beside the baseline: {foreign.quote(note)}")
    return decided


def said(base: Run, new: Run) -> str:
    """The comparison in a few lines."""
    from loadgen.comparison.compare import compare
    from loadgen.comparison.comparison import NOISE
    from loadgen.comparison.text import brief

    try:
        (compared,) = compare(base, [new], NOISE)
    except NOT_OURS as error:
        return f"\nnot compared with the baseline: {foreign.unquoted(str(error))}\n"
    lines = brief(compared, NOISE, width=min(100, output.width()), colour=output.colour())
    notes = [foreign.quote(note, 200) for note in compared.notes if compared.comparable][:_NOTES]
    return "\n" + lines + "".join(f"  {note}\n" for note in notes)
