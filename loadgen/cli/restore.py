"""``loadgen restore``: put back what runs changed on the platform and could not put back themselves."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli import output, source

if TYPE_CHECKING:
    from loadgen.targets.functiongraph.protocol.target import FunctionTarget
    from loadgen.targets.functiongraph.settings.edit import Edit
    from loadgen.targets.functiongraph.settings.journal import Begun, Journal
    from loadgen.targets.functiongraph.settings.journalfile import JournalFile
    from loadgen.targets.functiongraph.settings.outstanding import Step
    from loadgen.targets.functiongraph.settings.undo import Undoing

    Taken = tuple[JournalFile, Journal]
    TargetOf = Callable[[Begun | None], FunctionTarget | None]

FAILED = 1
USAGE = 2


_ALONE = (
    "still going on, or being restored; left alone: it puts back itself what it changes, and until then not "
    "everything is as it was"
)


@click.command(epilog="Exit codes: 0 everything is as it was, 1 something is not, 2 usage error, 130 interrupted.")
@click.argument("run", required=False)
@click.option(
    "--scenario", type=click.Path(path_type=Path), help="Take target.auth of this scenario file, not of the run's."
)
@source.ENV_FILE
@click.option("--force", is_flag=True, help="Put back old values even where somebody else has set new ones since.")
@click.option("--keep", is_flag=True, help="Keep for good what somebody else has set since, and put back the rest.")
@click.option("--yes", is_flag=True, help="Do not ask before changing anything on another machine.")
def restore(run: str | None, scenario: Path | None, env_file: Path | None, force: bool, keep: bool, yes: bool) -> None:
    """Put back what RUN, or every run that ended too early, changed on the platform.

    It first shows what it will put back. Runs that are still going on are left alone, with exit code 1, as they put it
    back later; and so is what somebody else has changed since, unless --keep or --force says what to do with it.
    Doing it twice does no harm.
    """
    from loadgen.cli.state import state_directory
    from loadgen.targets.functiongraph.settings.journalfile import DIRECTORY, JournalError

    if force and keep:
        raise click.UsageError("--keep keeps what somebody else has set, --force overwrites it: give one of them")
    target_of = partial(_target, named=scenario, environment=source.environment(env_file))
    with ExitStack() as held:
        try:
            taken, code = _take(state_directory() / DIRECTORY, run, held)
            for journal, said in taken:
                _show(journal, said)
            if not _allowed(taken, yes):
                sys.exit(FAILED)
            for journal, said in taken:
                code = max(code, _restore(journal, said, target_of, force, keep))
        except JournalError as error:
            output.say(f"error: {error}")
            sys.exit(FAILED)
    sys.exit(code)


def say_what_is_left() -> None:
    """One line on stderr where an earlier run ended without putting back what it changed; for the start of a run."""
    from loadgen.cli.state import state_directory
    from loadgen.targets.functiongraph.settings.journalfile import DIRECTORY, abandoned

    if left := abandoned(state_directory() / DIRECTORY):
        runs = "an earlier run" if len(left) == 1 else f"{len(left)} earlier runs"
        output.say(
            f"note: {runs} ended without putting back what was changed on the platform; do it with: loadgen restore"
        )


def _take(directory: Path, run: str | None, held: ExitStack) -> tuple[list[Taken], int]:
    """The journals to work on, the newest first, and the exit code so far."""
    from loadgen.targets.functiongraph.settings.journalfile import JournalError, JournalFile, journals

    paths = journals(directory)
    if run is not None:
        open_runs = [path.stem for path in paths]
        paths = [path for path in paths if path.stem == run]
        if not paths:
            known = (
                f"runs with something to put back: {', '.join(open_runs)}" if open_runs else "nothing is to be put back"
            )
            raise click.UsageError(f"there is no journal of a run {run} in {directory}; {known}")
    taken: list[Taken] = []
    code = 0
    for path in paths:
        try:
            each = JournalFile.take(path)
        except JournalError as error:
            output.say(f"error: {error}")
            code = FAILED
            continue
        if each is not None and each[1].unclear is not None:
            each[0].__exit__(None, None, None)
            output.say(f"error: {path}: {each[1].unclear}")
            code = FAILED
        elif each is not None:
            held.enter_context(each[0])
            taken.append(each)
        elif path.exists():
            output.say(f"{path.stem}: {_ALONE}")
            code = FAILED
    if not paths:
        output.show("nothing to put back\n")
    return sorted(taken, key=lambda each: _started(each[1]), reverse=True), code


def _started(said: Journal) -> str:
    return said.begun.started_at if said.begun is not None else ""


def _show(journal: JournalFile, said: Journal) -> None:
    from loadgen.targets.functiongraph.settings.edit import Edit
    from loadgen.targets.functiongraph.settings.outstanding import outstanding

    begun = f", begun {_started(said)}" if said.begun is not None else ""
    output.show(f"{journal.path.stem}{begun}\n")
    for damage in said.damage:
        where = f"{journal.path}:{damage.line}" if damage.line else str(journal.path)
        output.say(f"error: {where}: {damage.message}")
    steps = outstanding(said.entries)
    values = ((step, Edit(value.path, value.ours[0], value.before)) for step in steps for value in step.values)
    for where, back in _by_resource(values).items():
        output.show(f"  {where}: {back}\n")


def _by_resource(edits: Iterable[tuple[Step, Edit]]) -> dict[str, str]:
    """What becomes of each resource, for people to read: one text for each value, however often it changes."""
    from loadgen.targets.functiongraph.settings.edit import Edit, describe, parts

    resources: dict[str, dict[tuple[str, ...], Edit]] = {}
    for step, whole in edits:
        values = resources.setdefault(step.resource.text, {})
        for edit in parts(whole):
            first = values.get(edit.path, edit)
            values[edit.path] = Edit(edit.path, first.before, edit.after)
    return {where: "; ".join(map(describe, values.values())) for where, values in resources.items()}


def _allowed(taken: list[Taken], yes: bool) -> bool:
    """Whether to go on; asks where something on another machine is to be changed."""
    from loadgen.targets.endpoint import loopback
    from loadgen.targets.functiongraph.settings.outstanding import outstanding

    steps = [step for _, said in taken for step in outstanding(said.entries)]
    if yes or all(loopback(step.resource.endpoint) for step in steps):
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(
            "this changes a function on another machine, and nobody can be asked; allow it with --yes"
        )
    return click.confirm("Put this back?", err=True)


def _restore(journal: JournalFile, said: Journal, target_of: TargetOf, force: bool, keep: bool) -> int:
    """Put back what one journal says; the exit code. Nothing about it keeps other journals from being worked on."""
    from loadgen.targets.functiongraph.settings.journalfile import JournalError
    from loadgen.targets.functiongraph.settings.outstanding import outstanding

    try:
        if outstanding(journal.entries) and (code := _put_back(journal, said.begun, target_of, force, keep)):
            return code
        kept = journal.finish(damaged=bool(said.damage))
    except JournalError as error:
        output.say(f"error: {error}")
        return FAILED
    if kept is not None:
        output.say(f"note: the journal is kept as {kept}")
    return FAILED if said.damage else 0


def _put_back(journal: JournalFile, begun: Begun | None, target_of: TargetOf, force: bool, keep: bool) -> int:
    from loadgen.targets.functiongraph.settings.restore import put_back
    from loadgen.targets.functiongraph.settings.undo import CHOICE

    try:
        target = target_of(begun)
    except SystemExit:  # it was said why; other journals may be of other scenarios
        return USAGE
    output.interruptible()
    undone = asyncio.run(put_back(journal, begun, target, force=force, keep=keep, note=_note))
    _tell(undone)
    if all(each.fault is None for each in undone):
        return 0
    choice = f". {CHOICE}" if any(each.theirs for each in undone) else ""
    output.say(f"The journal stays at {journal.path}; try again with: loadgen restore {journal.path.stem}{choice}")
    return FAILED


def _tell(undone: list[Undoing]) -> None:
    back = _by_resource((each.step, edit) for each in undone for edit in each.back)
    for where, text in back.items():
        output.show(f"put back: {where}: {text}\n")
    same = dict.fromkeys(each.step.resource.text for each in undone if each.fault is None and not each.theirs)
    for where in same:
        if where not in back:
            output.show(f"as it was: {where}\n")
    for each in undone:
        for note in each.notes:
            _note(note)
        if each.fault is not None:
            output.say(f"error: {each.fault}")


def _note(text: str) -> None:
    output.say(f"note: {text}")


def _target(begun: Begun | None, *, named: Path | None, environment: Mapping[str, str]) -> FunctionTarget | None:
    """The target of the scenario, for its credentials and certificates; None where the run had no scenario file."""
    from loadgen.cli.credentials import with_credentials
    from loadgen.scenario.load import load_file
    from loadgen.targets.functiongraph.protocol.target import FunctionTarget
    from loadgen.targets.secret import sent
    from loadgen.text.fault import ScenarioError
    from loadgen.text.secret import Secrets

    file = named
    if file is None and begun is not None and begun.scenario is not None:
        file = Path(begun.scenario)
    if file is None:
        return None
    try:
        scenario = load_file(file, environment=environment).scenario
    except ScenarioError as error:
        output.say(str(error))
        output.say(
            "The credentials for putting this back are those of the run's scenario; --scenario FILE names another"
        )
        sys.exit(USAGE)
    target = with_credentials(scenario, environment, quiet=False).target
    output.hide(Secrets(sent(target)).hide)
    return target if isinstance(target, FunctionTarget) else None
