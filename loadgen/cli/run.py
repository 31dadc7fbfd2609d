"""``loadgen run FILE``: results to stdout, progress and messages to stderr, the exit code for scripts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loadgen.cli.progress import Progress
    from loadgen.experiments.load import Finished
    from loadgen.history.rundir import RunDirectory
    from loadgen.measure.summary import Summary
    from loadgen.scenario.load import Loaded

FAILED = 1
INVALID = 97
BUDGET = 98
THRESHOLD = 99
INTERRUPTED = 130

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@click.command(
    epilog="Exit codes: 0 passed, 1 the run failed, 2 usage or scenario error, 97 the verdict is invalid, "
    "98 the budget was reached, 99 a threshold broke, 130 interrupted."
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory for the results; default: reports/<name>-<UTC time>. One that holds a run is refused.",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Override a value of the scenario; repeatable."
)
@click.option("--agents", type=click.IntRange(1), default=1, show_default=True, help="Processes that make the load.")
@click.option("--cluster", metavar="ADDRESS", help="Run the agents on a cluster.")
@click.option("--quiet", is_flag=True, help="Show neither progress nor messages.")
@click.option("--yes", is_flag=True, help="Do not ask before an expensive run.")
def run(
    file: Path,
    out: Path | None,
    overrides: tuple[str, ...],
    agents: int,
    cluster: str | None,
    quiet: bool,
    yes: bool,
) -> None:
    """Run the scenario in FILE and write its results."""
    from loadgen.history.rundir import RunDirectory, RunDirectoryError, default_path

    if agents > 1:
        raise click.UsageError("--agents: more than one agent is not built yet; leave it at 1")
    if cluster is not None:
        raise click.UsageError("--cluster: running on a cluster is not built yet; leave it out")
    loaded = _load(file, overrides)
    try:
        directory = RunDirectory.create(out or default_path(loaded.scenario.name, datetime.now(UTC)))
    except RunDirectoryError as error:
        raise click.UsageError(str(error)) from error
    if not quiet:
        for name in sorted({name.lower() for name in _PROXIES if os.environ.get(name)}):
            click.echo(f"warning: {name} is set and ignored: a proxy would be part of what is measured", err=True)
    try:
        finished = _run(loaded, directory, quiet)
        _write(finished.summary, directory)
    finally:
        directory.close()
    if finished.failed is not None:
        click.echo(f"error: {finished.failed}", err=True)
    sys.exit(exit_code(finished))


def exit_code(finished: Finished) -> int:
    """What the shell is told: of everything that applies, what comes first."""
    if finished.failed is not None:
        return FAILED
    if finished.summary.run.interrupted:
        return INTERRUPTED
    if finished.budget_reached:
        return BUDGET
    if finished.summary.verdict.status == "invalid":
        return INVALID
    if any(not threshold.passed for threshold in finished.summary.thresholds):
        return THRESHOLD
    return 0


def _load(file: Path, overrides: tuple[str, ...]) -> Loaded:
    from loadgen.functiongraph.urn import check_target
    from loadgen.scenario.fault import ScenarioError
    from loadgen.scenario.load import load_file

    try:
        return load_file(file, environment=os.environ, overrides=overrides, checks=[check_target])
    except ScenarioError as error:
        click.echo(str(error), err=True)
        sys.exit(2)


def _run(loaded: Loaded, directory: RunDirectory, quiet: bool) -> Finished:
    from loadgen.cli.progress import Progress
    from loadgen.experiments.load import RunFailedError
    from loadgen.history.rundir import RunDirectoryError

    interactive = sys.stderr.isatty() and not os.environ.get("CI")
    progress = Progress(loaded.scenario, sys.stderr, interactive, quiet=quiet)
    try:
        return asyncio.run(_drive(loaded, directory, progress))
    except (RunFailedError, RunDirectoryError) as error:
        progress.close()
        click.echo(f"error: {error}", err=True)
        sys.exit(FAILED)
    finally:
        progress.close()


async def _drive(loaded: Loaded, directory: RunDirectory, progress: Progress) -> Finished:
    from loadgen.experiments.load import LoadRun

    load = LoadRun(loaded, directory, progress)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, load.interrupt)
    return await load.run()


def _write(summary: Summary, directory: RunDirectory) -> None:
    """Print the results, then write them down: a full disk loses files, not the figures on the screen."""
    from loadgen.history.rundir import RunDirectoryError, read_intervals
    from loadgen.measure.summary import encode
    from loadgen.report.html import html
    from loadgen.report.markdown import markdown
    from loadgen.report.terminal import terminal
    from loadgen.report.timeline import timeline

    # click takes the colours out again where the output is no terminal
    click.echo(terminal(summary, width=shutil.get_terminal_size((100, 24)).columns, colour=True), nl=False)
    try:
        directory.write_summary(encode(summary))
        directory.write_report("report.md", markdown(summary))
        directory.write_report("report.html", html(summary, timeline(read_intervals(directory.path))))
    except RunDirectoryError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(FAILED)
    click.echo(f"\nreport: {directory.path / 'report.html'}")
