"""Whether a scenario asks for more calls at once than the platform serves, as far as it says.

What is asked for beyond that is refused, or waits. In an open phase the calls in flight are rate × the time a call
takes (Little's law), so without that time nothing can be said of it. Each function has limits of its own: in a mix it
gets the share of the rate that its calls have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from loadgen.load.phase import Phase
from loadgen.scenario.model import Scenario
from loadgen.targets.registry import tenant_of
from loadgen.targets.settings import Quota, settings_of


async def limits_of(scenario: Scenario) -> list[Quota | None]:
    """The limits of what each call invokes, None where nobody is to be asked; each function is asked for once."""
    known: dict[str, Quota | None] = {}
    found = []
    for call in scenario.each_call:
        name = tenant_of(call.target).described(call.target)
        if name not in known:
            known[name] = await settings_of(call.target).limits(scenario, call.target)
        found.append(known[name])
    return found


def unreachable(
    scenario: Scenario, limits: Sequence[Quota | None], service_ns: Sequence[int | None] = ()
) -> Iterator[str]:
    """Why the scenario's concurrency cannot be reached, one text per phase; none when nothing speaks against it.

    ``limits`` are those of each call, and ``service_ns`` how long it takes, such as that of the pre-flight; one that
    was cold makes it look longer.
    """
    times = service_ns or [None] * len(limits)
    calls = list(zip(scenario.each_call, scenario.shares, limits, times, strict=True))
    for name in dict.fromkeys(tenant_of(call.target).described(call.target) for call, *_ in calls):
        own = [each for each in calls if tenant_of(each[0].target).described(each[0].target) == name]
        _, _, quota, _ = own[0]
        if quota is not None:
            asked = [(share, ns) for _, share, _, ns in own]
            yield from _beyond(scenario.phases, quota, asked, f"{own[0][0].name}: " if len(own) < len(calls) else "")


def _beyond(
    phases: Sequence[Phase], quota: Quota, asked: Sequence[tuple[float, int | None]], whose: str
) -> Iterator[str]:
    """Of one function, which calls of these shares invoke, each for so long."""
    lowest = quota.instances
    if lowest is None:
        return
    count, what = lowest
    if count == 0:
        yield f"{whose}the function is disabled: {what} is 0, so every call will be refused. Set it to other than 0"
        return
    most = count * quota.per_instance
    each = "" if quota.per_instance == 1 else f" × {quota.per_instance} calls each"
    for phase in phases:
        needed = _needed(phase, asked, part=bool(whose))
        if needed is not None and needed[0] > most:
            yield (
                f"{whose}phase {phase.name}: {needed[1]}, and the platform serves at most {most} at once ({what} is "
                f"{count}{each}): what is beyond that will be throttled or wait. Lower the load, or raise that limit"
            )


def _needed(phase: Phase, asked: Sequence[tuple[float, int | None]], *, part: bool) -> tuple[int, str] | None:
    """How many calls a phase needs in flight, and why; None when that depends on how long a call takes.

    Of a ``part`` of the calls it is known only where their number follows from the rate.
    """
    known = [(share, ns) for share, ns in asked if ns is not None]
    whole = sum(share for share, _ in asked)
    mean_ns = sum(share * ns for share, ns in known) / whole if len(known) == len(asked) else None
    if mean_ns is None and (part or not phase.shape.at_once()):
        return None
    if part and phase.closed:
        return None
    needed = phase.in_flight(mean_ns or 0)
    if not part:
        return needed, phase.shape.demand(needed, round(mean_ns or 0))
    needed = ceil(needed * whole)
    return needed, f"{whole:.1%} of its calls need {needed} in flight"
