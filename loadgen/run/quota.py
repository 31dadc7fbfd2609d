"""What the platform allows the function of a scenario, asked of the platform itself where that is permitted.

Reading is a service to the user and never a condition of a run: what may not be read, or not within a few seconds, is
left open. The embedded emulator's limits are those in the scenario. Nothing else on this machine is asked.
"""

from __future__ import annotations

import asyncio

from loadgen.engine.address import AddressError, tls_context
from loadgen.scenario.model import Scenario
from loadgen.targets.functiongraph.protocol.function import function_name
from loadgen.targets.functiongraph.protocol.platform import Emulator
from loadgen.targets.functiongraph.protocol.target import EnvironmentAuth, FunctionTarget, NoAuth
from loadgen.targets.functiongraph.protocol.urn import function_urn
from loadgen.targets.functiongraph.settings.fault import ControlError
from loadgen.targets.functiongraph.settings.limits import Limits, read_limits, readable
from loadgen.targets.target import Target

PATIENCE_S = 5.0
"""The most that asking may delay a run by."""


async def limits_of(scenario: Scenario, target: Target) -> Limits | None:
    """The limits of the scenario's function; None where nobody is to be asked, or there are no credentials to ask with.

    ``target`` is the scenario's, with the credentials that are in use.
    """
    if isinstance(target, FunctionTarget) and scenario.emulator is not None:
        return _emulated(target, scenario.emulator)
    if not isinstance(target, FunctionTarget) or not readable(target):
        return None
    if isinstance(target.auth, NoAuth | EnvironmentAuth):
        return None
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await read(target)
    except TimeoutError:
        return Limits(unread=(f"the management API did not answer within {PATIENCE_S:g} s",))
    except (ControlError, AddressError) as error:
        return Limits(unread=(str(error),))


async def read(target: FunctionTarget) -> Limits:
    """The limits as the management API of the target's endpoint says; raises ControlError and AddressError."""
    # aiohttp takes a third of a second to import, which other runs need not spend
    from loadgen.targets.functiongraph.settings.authorization import authorization
    from loadgen.targets.functiongraph.settings.client import Control

    tls = tls_context(target.tls)
    allowed = authorization(target.auth, target.project_id, tls)
    async with Control(
        target.endpoint, target.project_id, allowed, tls=tls, insecure_auth=target.insecure_auth
    ) as control:
        return await read_limits(control, function_urn(target))


def _emulated(target: FunctionTarget, emulator: Emulator) -> Limits | None:
    name = function_name(target.function)
    found = next((each for each in emulator.functions if each.name == name), None)
    if found is None:
        return None
    return Limits(
        max_instances=found.max_instances if found.max_instances >= 0 else None,
        per_instance=found.concurrency,
        account=emulator.max_instances,
        memory_mb=found.memory_mb,
    )
