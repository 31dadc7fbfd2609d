"""Whether a scenario asks for more calls at once than the platform serves, as far as it says.

What is asked for beyond that is refused, or waits. In an open phase the calls in flight are rate × the time a call
takes (Little's law), so without that time nothing can be said of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.load.phase import Phase
from loadgen.scenario.model import Scenario
from loadgen.targets.settings import Quota


def unreachable(scenario: Scenario, limits: Quota, service_ns: int | None = None) -> Iterator[str]:
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
