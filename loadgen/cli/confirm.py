"""Asking before a run that takes much, which only a terminal can answer."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from loadgen.cli import INTERRUPTED, output

if TYPE_CHECKING:
    from loadgen.scenario.model import Scenario
    from loadgen.targets.target import Target


def never_asks(target: Target) -> bool:
    """Whether what is called is on this machine, so that it costs nobody anything."""
    from loadgen.targets.endpoint import loopback
    from loadgen.targets.registry import tenant_of

    return loopback(tenant_of(target).urls(target)[0])


def confirm_invocations(scenario: Scenario) -> None:
    """Ask where the run may make more invocations than its confirm block says.

    Exits with 2 when the answer is no, or when there is no terminal to ask on.
    """
    from loadgen.run.forecast import forecast

    planned, limit = forecast(scenario), scenario.confirm.invocations
    if planned.at_most is not None and planned.at_most <= limit:
        return
    much = f"this run may make {planned}, and confirm.invocations is {limit}"
    if planned.at_most is None:
        much += "; budget.invocations would say how many at most"
    if not _terminal():
        output.say(f"error: {much}. {_REMEDY}")
        sys.exit(2)
    try:
        agreed = click.confirm(output.clean(f"{_capital(much)}. Go on?"), err=True)
    except click.Abort:
        output.say("\ninterrupted")
        sys.exit(INTERRUPTED)
    if not agreed:
        output.say("not confirmed, so nothing was run")
        sys.exit(2)


async def confirm(much: str) -> bool:
    """Whether to go on with a run of which ``much`` says what it takes; it can be cancelled while it waits.

    Raises DeclinedError when there is no terminal to ask on.
    """
    from loadgen.run.fault import DeclinedError

    if not _terminal():
        raise DeclinedError(f"{much}. {_REMEDY}")
    loop = asyncio.get_running_loop()
    answered = asyncio.Event()
    click.echo(output.clean(f"{_capital(much)}. Go on? [y/N]: "), nl=False, err=True)
    loop.add_reader(sys.stdin, answered.set)
    try:
        await answered.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


_REMEDY = "There is no terminal to ask on: give --yes to go on, or raise the limit"


def _terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
