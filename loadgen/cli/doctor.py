"""``loadgen doctor``: what this machine allows, before a run."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli import output

if TYPE_CHECKING:
    from loadgen.engine.limits import Finding
    from loadgen.measure.floor import Floor
    from loadgen.measure.summary import Environment


@click.command()
@click.option(
    "--calibrate",
    is_flag=True,
    help="Measure for 15 s what loadgen itself takes here, and keep it: later runs warn when a figure is that small.",
)
def doctor(calibrate: bool) -> None:
    """Say what this machine allows: build, event loop, cores, open files, ports, clock and timer.

    Measures the clock and the timer for a tenth of a second. Exits with 0 whatever it finds, but for a calibration that
    fails, which exits with 1.
    """
    from loadgen import __version__
    from loadgen.cli.state import state_directory
    from loadgen.engine.limits import findings, machine

    directory = state_directory()
    if calibrate:
        _calibrate(directory)
    seen = machine()
    found = [*findings(seen), _floor(directory, seen.environment)]
    click.echo(f"loadgen {__version__}, {seen.environment.python}")
    width = max(len(finding.what) for finding in found)
    for finding in found:
        click.echo(f"{'!!' if finding.remedy else 'ok'}  {finding.what:{width}}  {finding.seen}")
        click.echo(f"    {'':{width}}  allows {finding.allows}")
        if finding.remedy:
            click.echo(f"    {'':{width}}  {finding.remedy}")


def _calibrate(directory: Path) -> None:
    from loadgen.run.calibration import CalibrationError, calibrate, store

    try:
        directory.mkdir(parents=True, exist_ok=True)
        output.say("calibrating: 1,000 invocations a second of a target that does nothing, then one worker; 15 s")
        output.interruptible()
        store(asyncio.run(calibrate()), directory)
    except CalibrationError as error:
        output.say(f"error: {error}")
        sys.exit(1)
    except OSError as error:
        output.say(f"error: cannot write to {directory}: {error.strerror}; XDG_STATE_HOME names another place")
        sys.exit(1)


def _floor(directory: Path, environment: Environment) -> Finding:
    from loadgen.engine.limits import Finding
    from loadgen.measure.floor import differences
    from loadgen.run.calibration import stored

    what, remedy = "overhead floor", "loadgen doctor --calibrate measures it"
    floor = stored(directory)
    if floor is None:
        return Finding(what, "not measured", "no warning about times that are mostly loadgen's own", remedy)
    differing = list(differences(floor, environment))
    if differing:
        return Finding(
            what, f"of {floor.measured_at}, not used: {', '.join(differing)}", "no such warning as it stands", remedy
        )
    return Finding(what, _shown(floor), "a warning when a p99 of latency is within 10 times of it")


def _shown(floor: Floor) -> str:
    from loadgen.report.units import duration

    values = (floor.service_time.p50_ns, floor.service_time.p99_ns, floor.service_time.p999_ns)
    p50, p99, p999 = ("unknown" if ns is None else duration(ns) for ns in values)
    return f"service_time p50 {p50}, p99 {p99}, p99.9 {p999} at {floor.rate_per_s:,}/s ({floor.measured_at})"
