"""Rules about the load generator's own state, and that of the machine under it.

Theory of operation. Each rule is a function that yields the Reasons it finds in one measured phase, see
``loadgen.measure.verdict``. A generator that stood still or was busy has put its own time into every figure, and no
other evidence is needed: ``invalid``. What is only known to have been in its way (a neighbour on the cores, a
hypervisor, a CPU limit) is a warning, and so is the floor below which a figure is as much the generator's as the
target's. When an agent was busy itself, that explains a busy core and a high floor, so those are not said as well.

The counters of a machine tick every 10 ms: what they say of less than a second is not judged.

Sources: Lancet (USENIX ATC 2019), a generator that checks itself; Linux, Documentation/admin-guide/cgroup-v2
(throttling) and Documentation/filesystems/proc.rst (stolen time).
"""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.invocation.outcome import LOCAL_LIMIT, OK
from loadgen.measure.merge import PhasePlan, PhaseTotal, least, most
from loadgen.measure.percentile import supported
from loadgen.measure.summary import Reason
from loadgen.text.units import NS_PER_S, NS_PER_US

STALL_NS = 100_000_000
"""A loop that stood still for longer makes the run invalid."""
PAUSED_SHARE = 0.01
"""Rule paused: the share of a closed phase that its rates cannot feel."""
BUSY, SATURATED = 0.70, 0.85
"""Shares of a core from which an agent's own work is a warning, and makes the run invalid."""
LEAST_CPU_NS = 200_000_000
"""Rule generator_cpu: beginning and ending a phase takes milliseconds, most of the time of one with a short call."""
IDLE_SHARE = 0.05
"""Rule cores_busy: what has to be left of the busiest core."""
STOLEN_SHARE = 0.01
"""Rule cpu_stolen: from here on the p99 of what is measured can feel it."""
FLOOR_FACTOR = 10
"""Rule overhead_floor: how far above it a p99 has to be."""


def generator_faults(plan: PhasePlan, total: PhaseTotal, overhead_floor_ns: int | None) -> Iterator[Reason]:
    """What the generator and its machine have done to one phase."""
    yield from list(_stalled(total)) or _paused(plan, total)
    busy = list(_busy(total))
    yield from busy or _explained_by_a_busy_agent(total, overhead_floor_ns)
    yield from _held_back(total)
    yield from _collected(total)


def _stalled(total: PhaseTotal) -> Iterator[Reason]:
    lag_ns = max((frames.loop_lag_ns for frames in total.agents.values()), default=0)
    if lag_ns > STALL_NS:
        yield Reason(
            rule="generator_stalled",
            severity="invalid",
            message=f"The load generator stood still for {words(lag_ns / NS_PER_US)}, expected at most "
            f"{words(STALL_NS / NS_PER_US)}: leave the machine's cores to the run, and do not suspend it.",
            value=lag_ns,
            limit=STALL_NS,
            phase=total.name,
            withholds="all",
        )


def _paused(plan: PhasePlan, total: PhaseTotal) -> Iterator[Reason]:
    """Starts of an open phase that were missed meanwhile are counted; a closed one has just made fewer."""
    paused_ns = max((frames.paused_ns for frames in total.agents.values()), default=0)
    if not paused_ns:
        return
    limit = PAUSED_SHARE * plan.duration_ns
    too_long = plan.closed and paused_ns > limit
    yield Reason(
        rule="paused",
        severity="invalid" if too_long else "warning",
        message=f"The load stood still for {words(paused_ns / NS_PER_US)}, because loadgen was stopped (Ctrl-Z), or "
        "kept from watching over its agents: leave the machine's cores to the run, and do not suspend it.",
        value=paused_ns,
        limit=limit,
        phase=total.name,
        withholds="all" if too_long else None,
    )


def _busy(total: PhaseTotal) -> Iterator[Reason]:
    cpu = max((frames.cpu for frames in total.agents.values() if frames.covered_ns >= LEAST_CPU_NS), default=0.0)
    if cpu > BUSY:
        saturated = cpu > SATURATED
        limit = SATURATED if saturated else BUSY
        yield Reason(
            rule="generator_cpu",
            severity="invalid" if saturated else "warning",
            message=f"An agent used {cpu:.0%} of a core, expected at most {limit:.0%}: its own work is part of the "
            "times. Lower the load, or use more --agents on more cores.",
            value=cpu,
            limit=limit,
            phase=total.name,
            withholds="all" if saturated else None,
        )


def _explained_by_a_busy_agent(total: PhaseTotal, overhead_floor_ns: int | None) -> Iterator[Reason]:
    hosts = [frames.host for frames in total.agents.values() if frames.host.observed_ns >= NS_PER_S]
    idle = least(host.least_idle for host in hosts)
    if idle is not None and idle < IDLE_SHARE:
        yield Reason(
            rule="cores_busy",
            severity="warning",
            message=f"The busiest core of this machine was idle for {idle:.1%} of the time, expected at least "
            f"{IDLE_SHARE:.0%}, and no agent was that busy: what else runs here, the target if it does, competes with "
            "the load. Leave the machine's cores to the run.",
            value=idle,
            limit=IDLE_SHARE,
            phase=total.name,
        )
    latency = total.merged("latency", outcomes=(OK,))
    p99 = latency.value_at(99)
    if overhead_floor_ns is None or p99 is None or not supported(latency.count, 99):
        return
    if p99 * NS_PER_US < FLOOR_FACTOR * overhead_floor_ns:
        yield Reason(
            rule="overhead_floor",
            severity="warning",
            message=f"p99 of latency is {words(p99)}, expected at least {FLOOR_FACTOR} times the "
            f"{words(overhead_floor_ns / NS_PER_US)} that loadgen takes here against a target that does nothing: a "
            "good part of it is the generator's own. Take it as an upper limit, and compare it on this machine only.",
            value=p99 * NS_PER_US,
            limit=FLOOR_FACTOR * overhead_floor_ns,
            phase=total.name,
        )


def _held_back(total: PhaseTotal) -> Iterator[Reason]:
    hosts = [frames.host for frames in total.agents.values()]
    throttled = max(hosts, key=lambda host: host.throttled_ns, default=None)
    if throttled is not None and throttled.throttled_ns:
        yield Reason(
            rule="cpu_throttled",
            severity="warning",
            message=f"The CPU limit of its control group stopped the load generator {throttled.throttled} times, for "
            f"{words(throttled.throttled_ns / NS_PER_US)} in all, expected never: raise the container's CPU limit, or "
            "lower the load.",
            value=throttled.throttled_ns,
            limit=0,
            phase=total.name,
        )
    stolen = most(host.stolen for host in hosts if host.observed_ns >= NS_PER_S)
    if stolen is not None and stolen > STOLEN_SHARE:
        yield Reason(
            rule="cpu_stolen",
            severity="warning",
            message=f"The hypervisor gave {stolen:.1%} of the cores' time to other machines, expected at most "
            f"{STOLEN_SHARE:.0%}: the load generator waited for it. Use a machine with cores of its own.",
            value=stolen,
            limit=STOLEN_SHARE,
            phase=total.name,
        )


def _collected(total: PhaseTotal) -> Iterator[Reason]:
    collections = sum(frames.gc_collections for frames in total.agents.values())
    if collections:
        longest_ns = max(frames.gc_pause_ns for frames in total.agents.values())
        yield Reason(
            rule="gc_paused",
            severity="warning",
            message=f"Python's garbage collector ran {collections} times while measuring, for up to "
            f"{words(longest_ns / NS_PER_US)}, expected never: loadgen turns it off, so this is a fault of loadgen's. "
            "Please report it.",
            value=longest_ns,
            limit=0,
            phase=total.name,
        )


def local_limits(total: PhaseTotal, issued_share: float) -> Iterator[Reason]:
    """Invocations that this machine had no connection for; ``issued_share`` of all have to get as far as that."""
    tally = total.tally
    refused = tally.reasons.get(LOCAL_LIMIT, 0)
    if refused:
        many = refused / tally.planned > 1 - issued_share
        yield Reason(
            rule="generator_limits",
            severity="invalid" if many else "warning",
            message=f"{refused} of {tally.planned} invocations found no open file, local port or memory left on this "
            "machine for a connection, expected none: see what loadgen doctor says it allows. Raise the limit, or "
            "lower max_in_flight or the rate.",
            value=refused,
            limit=0,
            phase=total.name,
            withholds="all" if many else None,
        )


def words(us: float) -> str:
    """A time in words, four significant digits."""
    if us < 1_000:
        return f"{us:.4g} µs"
    return f"{us / 1_000:.4g} ms" if us < 1_000_000 else f"{us / 1_000_000:.4g} s"
