"""``loadgen run``: results to stdout, progress and messages to stderr, the exit code for scripts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loadgen.cli import INTERRUPTED, baseline, github, output, result, signals, source, streams
from loadgen.cli.aside import Aside
from loadgen.cli.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.cli.placing import Placed
    from loadgen.cli.progress import Progress
    from loadgen.history.rundir import RunDirectory
    from loadgen.measure.summary import Summary
    from loadgen.report.timeline import Timeline
    from loadgen.run.agents import Agents
    from loadgen.run.runner import Finished, Runner
    from loadgen.scenario.load import Loaded
    from loadgen.scenario.oneline import Asked
    from loadgen.text.secret import Secrets

FAILED = 1
INVALID = 97
BUDGET = 98
THRESHOLD = 99
UNDECIDED = 96

_STUCK_S = 1.0  # for how long the results wait for messages that nobody reads
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@click.command(
    epilog="Exit codes: 0 passed, 1 the run failed, 2 usage or scenario error, 96 a threshold could not be decided, "
    "97 the verdict is invalid, 98 the budget was reached, 99 a threshold broke, 130 interrupted."
)
@click.argument("invoked", metavar="FILE|-|URL|URN")
@click.option("--rate", metavar="N/s", help="Of a URL or URN: calls start at this rate, whatever it does.")
@click.option("--workers", metavar="N", help="Of a URL or URN: so many call back to back; default: 10.")
@click.option("--duration", metavar="TIME", help="Of a URL or URN: for how long, such as 30s or 1m30s; default: 10s.")
@click.option("--event", metavar="JSON", help="Of a URL or URN: what is sent, as JSON.")
@click.option("--method", metavar="NAME", help="Of a URL: HTTP method; default: GET, POST with --event.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Of a URL; repeatable.")
@click.option("--endpoint", metavar="ORIGIN", help="Of a URN: emulator, or the origin of the platform's API.")
@click.option(
    "--save", type=click.Path(path_type=Path), help="Of a URL or URN: write the scenario that it is to a file."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory for the results; default: reports/<name>-<UTC time>. One that holds a run is refused.",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Override a value of the scenario; repeatable."
)
@source.ENV_FILE
@click.option(
    "--agents",
    type=click.IntRange(1),
    help="Processes that share the load; default: as many as it needs, which is one but for very high rates.",
)
@baseline.OPTION
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Run the agents on a Dask cluster, one for each worker: tcp://HOST:PORT or tls://HOST:PORT of its scheduler, "
    "or local:N.",
)
@click.option(
    "--insecure-cluster",
    is_flag=True,
    help="Send secrets of the scenario to a cluster without TLS that is not on this machine.",
)
@result.options
@streams.options
@click.option("--quiet", is_flag=True, help="Show neither progress nor messages.")
@click.option("--force", is_flag=True, help="Go on after a pre-flight that would end the run.")
@click.option("--yes", is_flag=True, help="Do not ask before a run that takes more than the scenario's confirm block.")
def run(
    invoked: str,
    rate: str | None,
    workers: str | None,
    duration: str | None,
    event: str | None,
    method: str | None,
    headers: tuple[str, ...],
    endpoint: str | None,
    save: Path | None,
    out: Path | None,
    overrides: tuple[str, ...],
    env_file: Path | None,
    agents: int | None,
    beside: Path | None,
    cluster: str | None,
    insecure_cluster: bool,
    form: str,
    full: bool,
    quiet: bool,
    force: bool,
    yes: bool,
    **streamed: Any,
) -> None:
    """Run a scenario and write its results.

    It is that of a FILE, or of stdin (-). A URL or the URN of a function is run without any file: by default 10
    workers call it back to back for 10 s.
    """
    from msgspec.structs import replace

    from loadgen.cli.confirm import confirm_invocations, never_asks
    from loadgen.cli.credentials import with_credentials
    from loadgen.cli.placing import placing
    from loadgen.cli.restore import say_what_is_left
    from loadgen.history.rundir import RunDirectory, RunDirectoryError, default_path
    from loadgen.measure.summary import texts
    from loadgen.run import runner  # noqa: F401 - half a second, in which an interrupt need not wait
    from loadgen.scenario.oneline import Asked
    from loadgen.targets.secret import hidden_in_yaml, sent
    from loadgen.text.secret import Secrets

    environment = source.environment(env_file, quiet=quiet)
    asked = Asked(invoked, rate, workers, duration, event, method, headers, endpoint)
    loaded = _load(asked, environment, overrides, save)
    signals.put_off()  # the threads that numpy starts, which some kinds import here, inherit that
    crew = _agents(loaded, agents) if cluster is None else None
    base = baseline.needed(beside, loaded, quiet=quiet)
    signals.heed()
    if not quiet:
        say_what_is_left()
    loaded = replace(loaded, scenario=with_credentials(loaded.scenario, environment, quiet=quiet))
    asks = not yes and not never_asks(loaded.scenario.target)
    if asks:
        confirm_invocations(loaded.scenario)
    secrets = Secrets(chain.from_iterable(map(sent, loaded.scenario.targets)), loaded.fed_secrets)
    output.hide(secrets.hide)
    if save is not None:
        source.saved(save, hidden_in_yaml(loaded.as_run, secrets))
    told = Streams.opened(streamed, loaded.scenario, secrets.hide)
    placed = click.get_current_context().with_resource(
        placing(loaded, cluster, agents, crew, insecure=insecure_cluster, quiet=quiet)
    )
    # from the first file on a signal waits until the run can hear it, and end in good order
    signals.put_off()
    try:
        path = out or default_path(secrets.hide(loaded.scenario.name), datetime.now(UTC))
        secrets.spare(str(path))
        directory = RunDirectory.create(path, secrets.hide)
    except RunDirectoryError as error:
        told.close()
        signals.heed()
        raise click.UsageError(str(error)) from error
    if not quiet:
        for name in sorted({name.lower() for name in _PROXIES if os.environ.get(name)}):
            output.say(f"warning: {name} is set and ignored: a proxy would be part of what is measured")
    aside = None if sys.stderr is None else Aside(sys.stderr)
    try:
        finished = _run(
            _file(invoked, save), loaded, directory, secrets, placed, aside, told, quiet=quiet, asks=asks, force=force
        )
        shown = texts(finished.summary, secrets.hide)
        shown = replace(shown, scenario=secrets.hide_in(shown.scenario))
        compared = ""
        if base is not None:
            new = baseline.judged(base, shown, directory.path, loaded.scenario.thresholds, quiet=quiet)
            shown, finished = new.summary, replace(finished, summary=new.summary)
            compared = "" if baseline.needing(loaded) else baseline.said(base, new)
        written = _write(shown, directory, aside, form, full=full, compared=compared)
        told.close(shown)
    finally:
        told.close()
        directory.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left that an interrupt could end sooner
        signals.heed()
    if finished.failed is not None:
        output.say(f"error: {finished.failed}")
    sys.exit(exit_code(finished) if written else FAILED)


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
    ended = {threshold.passed for threshold in finished.summary.thresholds}
    if False in ended:
        return THRESHOLD
    return UNDECIDED if None in ended else 0


def _load(asked: Asked, environment: Mapping[str, str], overrides: tuple[str, ...], save: Path | None) -> Loaded:
    from loadgen.scenario.oneline import says_url, says_urn

    if says_url(asked.invoked):
        return source.without_file(asked, environment, overrides, save)
    if says_urn(asked.invoked):
        if asked.endpoint is None:
            raise click.UsageError(
                f"{asked.invoked} needs --endpoint: the origin of the platform's API, such as "
                "https://functiongraph.eu-de.otc.t-systems.com, or emulator"
            )
        return source.without_file(asked, environment, overrides, save)
    source.refuse_options(
        asked.invoked,
        {
            "--rate": asked.rate,
            "--workers": asked.workers,
            "--duration": asked.duration,
            "--event": asked.event,
            "--method": asked.method,
            "-H": asked.headers,
            "--endpoint": asked.endpoint,
            "--save": save,
        },
    )
    return source.loaded(asked.invoked, environment, overrides)


def _file(invoked: str, save: Path | None) -> Path | None:
    """The file of the scenario, None where it has none."""
    from loadgen.scenario.oneline import says_url, says_urn

    if says_url(invoked) or says_urn(invoked):
        return save
    return None if invoked == source.STDIN else Path(invoked)


def _agents(loaded: Loaded, asked: int | None) -> Agents:
    """The agents to use, once this machine is known to allow them the files that they may need."""
    from loadgen.engine.cgroup import usable_cores
    from loadgen.engine.limits import LimitError, allow_files
    from loadgen.experiments.registry import widest
    from loadgen.run.agents import agents_of

    agents = agents_of(loaded.scenario, asked, usable_cores())
    try:
        allow_files(widest(loaded.scenario), agents.number)
    except LimitError as error:
        output.say(f"error: {error}")
        sys.exit(2)
    return agents


def _run(
    file: Path | None,
    loaded: Loaded,
    directory: RunDirectory,
    secrets: Secrets,
    placed: Placed,
    aside: Aside | None,
    told: Streams,
    *,
    quiet: bool,
    asks: bool,
    force: bool,
) -> Finished:
    from loadgen.cli.progress import Progress
    from loadgen.cli.state import state_directory
    from loadgen.engine.cores import apart
    from loadgen.experiments.registry import decision
    from loadgen.history.rundir import RunDirectoryError
    from loadgen.run.calibration import stored
    from loadgen.run.fault import DeclinedError, RunFailedError
    from loadgen.run.runner import Runner
    from loadgen.targets.settings import settings_of

    interactive = sys.stderr is not None and sys.stderr.isatty() and not os.environ.get("CI")
    progress = Progress(loaded.scenario, aside, interactive, quiet=quiet)
    try:
        target, state = loaded.scenario.target, state_directory()
        runner = Runner(
            loaded,
            decision(loaded.scenario),
            directory,
            told.with_(progress),
            fleet=placed.fleet,
            agents=placed.agents,
            hosts=placed.hosts,
            cluster=placed.cluster,
            floor=stored(state),
            secrets=secrets,
            confirm=partial(_ask, aside) if asks else None,
            journal=lambda run: settings_of(target).journal(state, run, file, emulated=target.emulated),
            force=force,
        )
        with apart(placed.own):
            return asyncio.run(_drive(runner, progress, told, quiet=quiet))
    except (RunFailedError, DeclinedError, RunDirectoryError) as error:
        progress.close()
        directory.discard()
        signals.heed()
        _drain(aside)
        output.say(f"error: {error}")
        sys.exit(2 if isinstance(error, DeclinedError) else FAILED)
    finally:
        progress.close()


async def _drive(runner: Runner, progress: Progress, told: Streams, *, quiet: bool) -> Finished:
    """Run it, which signals end in good order from here on."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(initializer=signals.put_off))
    for number in signals.ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, runner.interrupt)
    told.start(progress, quiet=quiet)
    signals.heed()
    keeping = asyncio.create_task(progress.keep())
    try:
        return await runner.run()
    finally:
        # From here on the loop hears no signal: one that comes now must wait until what was measured is safe.
        signals.put_off()
        keeping.cancel()


async def _ask(aside: Aside | None, much: str) -> bool:
    """Whether to go on, asked below all that was said before."""
    from loadgen.cli.confirm import confirm

    if aside is not None:
        await asyncio.to_thread(aside.settle)
    return await confirm(much)


def _drain(aside: Aside | None, at_most_s: float | None = None) -> None:
    """Have everything written that was shown aside, before anything else is."""
    if aside is None:
        return
    aside.close()
    try:
        aside.drain(at_most_s)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)  # nobody reads stderr, so there is nothing more to say there


def _write(
    summary: Summary, directory: RunDirectory, aside: Aside | None, form: str, *, full: bool, compared: str
) -> bool:
    """Write the results down and print them, as far as either is possible; whether both were.

    On a terminal ``compared`` follows the result.

    summary.json comes first, and no signal ends the program before it is there: the reports can be written again.
    """
    from loadgen.history.rundir import RunDirectoryError, read_intervals
    from loadgen.measure.summary import encode
    from loadgen.report.html import html
    from loadgen.report.junit import junit
    from loadgen.report.markdown import markdown
    from loadgen.report.timeline import timeline

    faults = []
    try:
        directory.write_summary(encode(summary))
    except RunDirectoryError as error:
        faults.append(str(error))
    signals.heed()
    unprinted = None
    try:
        # a terminal that is held keeps nobody from what is on the disk by now, nor does a stderr that nobody reads keep
        # the results from stdout
        _drain(aside, None if sys.stdout is not None and sys.stdout.isatty() else _STUCK_S)
        after = compared if form == result.TERMINAL else ""
        over_time = _over_time(directory)
        unprinted = result.show(result.text(summary, form, full=full, over_time=over_time) + after, form)
        if not faults:
            report = markdown(summary)
            directory.write_report("report.md", report)
            if summary.thresholds:
                directory.write_report("junit.xml", junit(summary))
            course = timeline(read_intervals(directory.path)) if over_time is None else over_time
            directory.write_report("report.html", html(summary, course))
            if form == result.TERMINAL:
                output.show(f"\nreport: {directory.path / 'report.html'}\n")
            github.tell(summary, report)
        _drain(aside)
    except (RunDirectoryError, ValueError) as error:
        faults.append(f"{error}; the results are in {directory.path / 'summary.json'}")
    except KeyboardInterrupt:
        output.say(f"interrupted; write the reports with: loadgen report {directory.path}")
        sys.exit(INTERRUPTED)
    if unprinted is not None:
        faults.append(f"cannot print the results: {unprinted}; they are in {directory.path}")
    for fault in faults:
        output.say(f"error: {fault}")
    return not faults


def _over_time(directory: RunDirectory) -> Timeline | None:
    """The course of a run; None where its log cannot be read, which keeps nothing from being printed."""
    from loadgen.history.rundir import RunDirectoryError, read_intervals
    from loadgen.report.timeline import timeline

    try:
        return timeline(read_intervals(directory.path))
    except (RunDirectoryError, ValueError):
        return None
