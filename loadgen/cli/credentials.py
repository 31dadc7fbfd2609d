"""Credentials from the environment, for every command that needs them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.cli import output

if TYPE_CHECKING:
    from loadgen.scenario.model import Scenario


def with_credentials(scenario: Scenario, environment: Mapping[str, str], *, quiet: bool) -> Scenario:
    """The scenario with the credentials that ``target.auth: environment`` stands for; says where they come from.

    Says, too, what is unsafe about credentials, whatever they are. Exits with 2 when there are none, or when what is
    there cannot be used.
    """
    from loadgen.targets.secret import doubts

    found = _with_found(scenario, environment, quiet=quiet)
    for doubt in () if quiet else doubts(found.target):
        output.say(f"warning: {doubt}")
    return found


def _with_found(scenario: Scenario, environment: Mapping[str, str], *, quiet: bool) -> Scenario:
    from msgspec.structs import replace

    from loadgen.targets.port import Surroundings, TargetError
    from loadgen.targets.settings import settings_of

    try:
        found = settings_of(scenario.target).credentials(
            scenario.target, lambda: Surroundings(environment, Path.home(), Path.cwd())
        )
    except (TargetError, RuntimeError) as error:  # of Path.home, where there is none
        output.say(f"error: {error}")
        sys.exit(2)
    if found is None:
        return scenario
    if not quiet:
        output.say(f"credentials: {found.source}")
        for warning in found.warnings:
            output.say(f"warning: {warning}")
    return replace(scenario, target=found.target)
