"""How many calls the platform serves at once, as far as it says.

A function runs at most ``max_instances`` instances, each serving ``per_instance`` calls at a time; an account has a
limit over all its functions. The embedded emulator's limits are those in the scenario. Nothing else on this machine is
asked.

Sources: FunctionGraph API reference, Querying the Metadata of a Function (strategy_config), Querying Tenant Quotas;
FunctionGraph user guide, Notes and Constraints.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct

from loadgen.scenario.model import Scenario
from loadgen.targets.endpoint import loopback
from loadgen.targets.functiongraph.protocol.platform import Emulator, emulated_function
from loadgen.targets.functiongraph.protocol.target import EnvironmentAuth, FunctionTarget, NoAuth
from loadgen.targets.functiongraph.protocol.urn import Urn, function_urn
from loadgen.targets.functiongraph.settings.edit import at
from loadgen.targets.functiongraph.settings.failure import ControlError

if TYPE_CHECKING:
    from loadgen.targets.functiongraph.settings.client import Control

PATIENCE_S = 5.0
"""The most that asking may delay a run by."""
_ACCOUNT = "fgs_func_qos_limit"
_PER_FUNCTION = "fgs_on_demand_instance_limit"
_FIRST_GENERATION = "fgs_func_occurs"
"""The account's limit of instances for functions of type v1; for v2 it is that of reserved ones."""


class Limits(Struct, frozen=True):
    """What the platform allows a function; None where it does not say, or has no limit.

    ``max_instances`` is 0 for a function that is disabled; ``memory_mb`` is its configured memory. ``unread`` holds why
    something could not be read.
    """

    max_instances: int | None = None
    per_instance: int = 1
    per_function: int | None = None
    account: int | None = None
    unread: tuple[str, ...] = ()
    memory_mb: int | None = None

    @property
    def instances(self) -> tuple[int, str] | None:
        """The lowest limit of instances and what sets it; None when none is known."""
        named = (
            (self.max_instances, "the function's maximum of instances"),
            (self.per_function, "the account's quota of instances per function"),
            (self.account, "the account's quota of instances"),
        )
        return min(((count, what) for count, what in named if count is not None), default=None)


async def limits_of(scenario: Scenario, target: FunctionTarget) -> Limits | None:
    """The limits of the scenario's function; None where nobody is to be asked, or there are no credentials to ask with.

    ``target`` is the scenario's, with the credentials that are in use. What may not be read, or not within a few
    seconds, is left open: reading is a service to the user and never a condition of a run.
    """
    if scenario.emulator is not None:
        return _emulated(target, scenario.emulator)
    if not readable(target) or isinstance(target.auth, NoAuth | EnvironmentAuth):
        return None
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await read(target)
    except TimeoutError:
        return Limits(unread=(f"the management API did not answer within {PATIENCE_S:g} s",))
    except ControlError as error:
        return Limits(unread=(str(error),))


def readable(target: FunctionTarget) -> bool:
    """Whether the limits may be asked for: on this machine only the emulator's."""
    return target.emulated or not loopback(target.endpoint)


async def read(target: FunctionTarget) -> Limits:
    """The limits as the management API of the target's endpoint says; raises ControlError."""
    # aiohttp takes a third of a second to import, which other runs need not spend
    from loadgen.targets.functiongraph.settings.client import control_of

    async with control_of(target) as control:
        return await read_limits(control, function_urn(target))


async def read_limits(control: Control, function: Urn) -> Limits:
    """What the platform says about a function's limits. What may not be read, or cannot be, is left open."""
    unread: list[str] = []
    config: dict[str, object] = {}
    quotas: dict[str, int] = {}
    try:
        config = await control.config(function)
    except ControlError as error:
        unread.append(str(error))
    try:
        quotas = await control.quotas()
    except ControlError as error:
        unread.append(str(error))
    first_generation = config.get("type") == "v1"
    per_instance = at(config, ("strategy_config", "concurrent_num"))
    own = _max_instances(config)
    return Limits(
        max_instances=own if own is not None and own >= 0 else None,
        per_instance=per_instance if isinstance(per_instance, int) and per_instance > 0 else 1,
        per_function=None if first_generation else _limit(quotas, _PER_FUNCTION),
        account=_limit(quotas, _FIRST_GENERATION if first_generation else _ACCOUNT),
        unread=tuple(unread),
        memory_mb=memory_mb if isinstance(memory_mb := config.get("memory_size"), int) else None,
    )


def _max_instances(config: Mapping[str, Any]) -> int | None:
    """How many instances a config allows: -1 for no limit of its own, 0 when disabled; None when it does not say."""
    inner = at(config, ("strategy_config", "concurrency"))
    found = config.get("max_instance_num") if inner in (UNSET, None) else inner
    try:
        return None if found is None else int(found)
    except (TypeError, ValueError):
        return None


def _limit(quotas: dict[str, int], name: str) -> int | None:
    found = quotas.get(name)
    return found if found is not None and found > 0 else None


def _emulated(target: FunctionTarget, emulator: Emulator) -> Limits | None:
    found = emulated_function(target, emulator)
    if found is None:
        return None
    return Limits(
        max_instances=found.max_instances if found.max_instances >= 0 else None,
        per_instance=found.concurrency,
        account=emulator.max_instances,
        memory_mb=found.memory_mb,
    )
