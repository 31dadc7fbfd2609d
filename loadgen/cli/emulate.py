from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loadgen.targets.functiongraph.protocol.platform import Emulator

PROJECT_ID = "demo"


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; default: any free one.")
@click.option("--seed", type=click.IntRange(0), help="Seed of every random draw; default: that of FILE, or 1.")
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was decided for each call to this file, as NDJSON; an older file is replaced.",
)
def emulate(file: Path | None, port: int, seed: int | None, truth: Path | None) -> None:
    """Run the FunctionGraph emulator in the foreground.

    FILE holds an `emulator:` block. Without it one function is served, urn:fss:local:demo:function:default:hello.
    The project is always demo. The URL is printed once calls are answered; Ctrl-C stops the emulator.
    """
    from loadgen.targets.functiongraph.emulator import EmulatorError
    from loadgen.targets.functiongraph.emulator.process import Setup, run
    from loadgen.text.file import there

    if file is not None and truth is not None and there(truth) and truth.samefile(file):
        raise click.UsageError(f"--truth {truth} is the scenario itself, which would be replaced; name another file")
    settings = _settings(file, seed)
    try:
        run(Setup(settings, PROJECT_ID, None if truth is None else str(truth), port), _announce)
    except EmulatorError as error:
        raise click.ClickException(str(error)) from None


def _settings(file: Path | None, seed: int | None) -> Emulator:
    import msgspec

    from loadgen.scenario.load import load_emulator_file
    from loadgen.targets.functiongraph.protocol.platform import default_emulator
    from loadgen.text.fault import ScenarioError

    try:
        settings = default_emulator() if file is None else load_emulator_file(file, environment=os.environ)
    except ScenarioError as error:
        raise click.UsageError(str(error)) from None
    return settings if seed is None else msgspec.structs.replace(settings, seed=seed)


def _announce(url: str) -> None:
    click.echo("The emulator answers in place of FunctionGraph: every number it gives is synthetic.", err=True)
    click.echo(url)
