"""How many calls the platform serves at once, as far as it says, and whether a scenario asks for more.

A function runs at most ``max_instances`` instances, each serving ``per_instance`` calls at a time; an account has a
limit over all its functions. What is asked for beyond that is answered 429, or waits. In an open phase the calls in
flight are rate × the time a call takes (Little's law), so without that time nothing can be said of it.

Sources: FunctionGraph API reference, Querying the Metadata of a Function (strategy_config), Querying Tenant Quotas;
FunctionGraph user guide, Notes and Constraints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct

from loadgen.load.phase import Phase
from loadgen.scenario.model import Scenario
from loadgen.targets.endpoint import loopback
from loadgen.targets.functiongraph.protocol.target import FunctionTarget
from loadgen.targets.functiongraph.protocol.urn import Urn
from loadgen.targets.functiongraph.settings.edit import at
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.target import Target

if TYPE_CHECKING:
    from loadgen.targets.functiongraph.settings.client import Control

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


def readable(target: Target) -> bool:
    """Whether the limits of a target may be asked for: those of a function, and on this machine only the emulator's."""
    return isinstance(target, FunctionTarget) and (target.emulated or not loopback(target.endpoint))


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


def unreachable(scenario: Scenario, limits: Limits, service_ns: int | None = None) -> Iterator[str]:
    """Why the scenario's concurrency cannot be reached, one text per phase; none when nothing speaks against it.

    ``service_ns`` is how long a call takes, such as that of the pre-flight; one that was cold makes it look longer.
    """
    lowest = limits.instances
    if lowest is None:
        return
    count, what = lowest
    if count == 0:
        yield f"the function is disabled: {what} is 0, so every call will be refused. Set it to other than 0"
        return
    most = count * limits.per_instance
    each = "" if limits.per_instance == 1 else f" × {limits.per_instance} calls each"
    for phase in scenario.phases:
        needed = _needed(phase, service_ns)
        if needed is not None and needed[0] > most:
            yield (
                f"phase {phase.name}: {needed[1]}, and the platform serves at most {most} at once ({what} is "
                f"{count}{each}): what is beyond that will be throttled or wait. Lower the load, or raise that limit"
            )


def _needed(phase: Phase, service_ns: int | None) -> tuple[int, str] | None:
    """How many calls a phase needs in flight, and why; None when that depends on how long a call takes."""
    if service_ns is None and not phase.shape.at_once():
        return None
    needed = phase.in_flight(service_ns or 0)
    return needed, phase.shape.demand(needed, service_ns or 0)


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
