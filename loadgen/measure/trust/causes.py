"""What may have kept the load generator from being on time: causes, said beside what they did.

Theory of operation. Nothing here makes a figure doubtful by itself. A core may be busy, a hypervisor may take time, and
no call feel it; whether one did is seen in the calls (``loadgen.measure.trust.generator``). Where they did, these say
what was going on in that phase. When an agent was busy itself, that explains a busy core.

The counters of a machine tick every 10 ms: what they say of less than a second is not looked at.

Sources: Lancet (USENIX ATC 2019), a generator that checks itself; Linux, Documentation/admin-guide/cgroup-v2
(throttling) and Documentation/filesystems/proc.rst (stolen time).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from loadgen.measure.merge import PhaseTotal, least, most
from loadgen.measure.trust.rule import words
from loadgen.text.units import NS_PER_S, NS_PER_US

STALL_NS = 1_000_000
"""A loop that stood still for longer was late for whatever fell due meanwhile."""
BUSY = 0.70
"""The share of a core from which an agent's own work is in its way."""
LEAST_CPU_NS = 200_000_000
"""Beginning and ending a phase takes milliseconds, most of the time of one with a short call."""
IDLE_SHARE = 0.05
"""What has to be left of the busiest core."""
STOLEN_SHARE = 0.01


class Cause(Struct, frozen=True):
    """What was in the way, by name and as a clause; ``remedy`` is what would end it."""

    name: str
    text: str
    remedy: str


OF_OTHERS = "leave the machine's cores to the run"
AWAKE = "do not suspend it"


def causes(total: PhaseTotal) -> list[Cause]:
    """What was in the generator's way in a phase."""
    busy = list(_busy(total))
    return [*_stood_still(total), *(busy or _cores_busy(total)), *_held_back(total), *_collected(total)]


def told(found: list[Cause]) -> str:
    """Causes and their remedies as sentences."""
    if not found:
        return f"What was in its way is not known; lower the rate, or {OF_OTHERS}."
    remedies = list(dict.fromkeys(cause.remedy for cause in found))
    remedy = "; ".join(remedies)
    return f"In its way: {', '.join(cause.text for cause in found)}. {remedy[0].upper()}{remedy[1:]}."


def _stood_still(total: PhaseTotal) -> Iterator[Cause]:
    frames = total.agents.values()
    if (late_ns := max((each.began_late_ns for each in frames), default=0)) > STALL_NS:
        yield Cause("began_late", f"an agent began {words(late_ns / NS_PER_US)} late", OF_OTHERS)
    if paused_ns := max((each.paused_ns for each in frames), default=0):
        yield Cause(
            "paused",
            f"the load stood still for {words(paused_ns / NS_PER_US)}, because loadgen was stopped (Ctrl-Z), or kept "
            "from watching over its agents",
            AWAKE,
        )
    if (lag_ns := max((each.loop_lag_ns for each in frames), default=0)) > STALL_NS:
        yield Cause("generator_stalled", f"it stood still for up to {words(lag_ns / NS_PER_US)}", OF_OTHERS)


def _busy(total: PhaseTotal) -> Iterator[Cause]:
    cpu = max((frames.cpu for frames in total.agents.values() if frames.covered_ns >= LEAST_CPU_NS), default=0.0)
    if cpu > BUSY:
        yield Cause(
            "generator_cpu",
            f"an agent used {cpu:.0%} of a core itself",
            "lower the load, or use more --agents on more cores",
        )


def _cores_busy(total: PhaseTotal) -> Iterator[Cause]:
    hosts = [frames.host for frames in total.agents.values() if frames.host.observed_ns >= NS_PER_S]
    idle = least(host.least_idle for host in hosts)
    if idle is not None and idle < IDLE_SHARE:
        yield Cause(
            "cores_busy",
            f"the busiest core of this machine was idle for {idle:.1%} of the time, with what else runs here, the "
            "target if it does",
            OF_OTHERS,
        )


def _held_back(total: PhaseTotal) -> Iterator[Cause]:
    hosts = [frames.host for frames in total.agents.values()]
    throttled = max(hosts, key=lambda host: host.throttled_ns, default=None)
    if throttled is not None and throttled.throttled_ns:
        yield Cause(
            "cpu_throttled",
            f"the CPU limit of its control group stopped it {throttled.throttled} times, for "
            f"{words(throttled.throttled_ns / NS_PER_US)} in all",
            "raise the container's CPU limit, or lower the load",
        )
    stolen = most(host.stolen for host in hosts if host.observed_ns >= NS_PER_S)
    if stolen is not None and stolen > STOLEN_SHARE:
        yield Cause(
            "cpu_stolen",
            f"the hypervisor gave {stolen:.1%} of the cores' time to other machines",
            "use a machine with cores of its own",
        )


def _collected(total: PhaseTotal) -> Iterator[Cause]:
    collections = sum(frames.gc_collections for frames in total.agents.values())
    if collections:
        longest_ns = max(frames.gc_pause_ns for frames in total.agents.values())
        yield Cause(
            "gc_paused",
            f"Python's garbage collector ran {collections} times while measuring, for up to "
            f"{words(longest_ns / NS_PER_US)}",
            "loadgen turns the collector off, so please report that",
        )
