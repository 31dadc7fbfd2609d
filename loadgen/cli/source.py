"""Where the scenario of a command comes from: a file, stdin, or the command line itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli import output

if TYPE_CHECKING:
    from loadgen.scenario.load import Loaded
    from loadgen.scenario.oneline import Asked

STDIN = "-"

ENV_FILE = click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="Take environment variables from this file, of NAME=value lines, where the environment has none of the name.",
)


def environment(env_file: Path | None, *, quiet: bool = False) -> Mapping[str, str]:
    """The environment, and what it lacks of the variables of a file; says which of these it has otherwise.

    Exits with 2 where the file cannot be read.
    """
    if env_file is None:
        return os.environ
    from loadgen.scenario.document import read_text
    from loadgen.text.env_file import parse
    from loadgen.text.fault import ScenarioError

    try:
        found = parse(read_text(env_file), str(env_file))
    except ScenarioError as error:
        output.say(str(error))
        sys.exit(2)
    unused = [name for name, value in found.items() if os.environ.get(name, value) != value]
    if unused and not quiet:
        output.say(f"note: the environment has other values for {', '.join(unused)}, and {env_file} is not asked")
    return {**found, **os.environ}


def loaded(invoked: str, environment: Mapping[str, str], overrides: Sequence[str]) -> Loaded:
    """The scenario of a file, or of stdin (``-``). Exits with 2, saying everything that is wrong with it."""
    from loadgen.scenario.document import text_of
    from loadgen.scenario.load import load, load_file
    from loadgen.targets.settings import check
    from loadgen.text.fault import ScenarioError

    try:
        if invoked != STDIN:
            return load_file(Path(invoked), environment=environment, overrides=overrides, checks=[check])
        if sys.stdin is None:
            raise click.UsageError("there is no stdin to read a scenario from; name a file")
        text = text_of(sys.stdin.buffer, "stdin")
        return load(
            text, source="stdin", directory=Path(), environment=environment, overrides=overrides, checks=[check]
        )
    except ScenarioError as error:
        output.say(str(error))
        sys.exit(2)


def without_file(asked: Asked, environment: Mapping[str, str], overrides: Sequence[str], save: Path | None) -> Loaded:
    """The scenario that the command line says, see ``loadgen.scenario.oneline``. Exits with 2, as ``loaded``.

    Files that it names are relative to the directory in which it is to be saved, so that it finds them there.
    """
    from loadgen.scenario.load import load
    from loadgen.scenario.oneline import settings
    from loadgen.targets.settings import check
    from loadgen.text.fault import ScenarioError

    try:
        return load(
            "{}",
            source="",
            directory=Path() if save is None else save.parent,
            environment=environment,
            overrides=[*settings(asked), *overrides],
            checks=[check],
        )
    except ScenarioError as error:
        output.say(str(error))
        sys.exit(2)


def refuse_options(invoked: str, options: Mapping[str, object]) -> None:
    """Raise a UsageError for options of a scenario without a file, beside one that has a file."""
    given = [option for option, said in options.items() if said not in (None, ())]
    if given:
        them = "them" if len(given) > 1 else "it"
        raise click.UsageError(
            f"{', '.join(given)}: for a URL or URN; {invoked} says it itself. Leave {them} out, or write --set"
        )


def saved(path: Path, text: str) -> None:
    """Write the text of a scenario to a new file. Exits with 2 where that cannot be done."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        output.say(f"{path} exists and is left as it is; give --save another name")
        sys.exit(2)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is no path"
        output.say(f"cannot write {path}: {reason}; give --save another name")
        sys.exit(2)
    output.say(f"saved as {path}")
