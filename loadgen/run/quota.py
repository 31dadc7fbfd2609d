"""Whether a scenario asks for more calls at once than the platform serves, as far as it says.

What is asked for beyond that is refused, or waits. In an open phase the calls in flight are rate × the time a call
takes (Little's law), so without that time nothing can be said of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from loadgen.load.pacing import peak_rate
from loadgen.load.phase import Bursts, Phase
from loadgen.scenario.model import Scenario
from loadgen.targets.settings import Limits
from loadgen.text.units import NS_PER_S


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
    if phase.closed:
        return phase.max_workers, f"{phase.max_workers} workers call at once"
    if isinstance(phase.shape, Bursts):
        size = min(phase.shape.size, phase.max_in_flight)
        return size, f"a burst is {size} calls at once"
    if service_ns is None:
        return None
    rate = peak_rate(phase)
    needed = min(ceil(rate * service_ns / NS_PER_S), phase.max_in_flight)
    return needed, f"{rate:.6g} calls/s of {service_ns / NS_PER_S:.3g} s each are {needed} in flight"
