"""What this machine allows, found out before a run instead of in the middle of one.

``Machine`` is what was read and measured; ``findings`` says what follows from it, as a function of plain values.
``allow_files`` makes room for a scenario's connections, or says that there is none.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
from collections.abc import Sequence

from msgspec import Struct

from loadgen.engine.clock import monotonic_ns
from loadgen.engine.environment import environment, local_ports, read
from loadgen.engine.loop import new_event_loop
from loadgen.engine.timer import ALARM
from loadgen.load.phase import Phase
from loadgen.measure.summary import Environment

_CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
_WAKE_UPS = 50
_CLOCK_READINGS = 20_000
_OTHER_FILES = 24  # pipes, the event loop, alarms: what an agent has open besides connections
_TIME_WAIT_S = 60  # how long Linux keeps the port of a closed connection. Source: net/tcp.h, TCP_TIMEWAIT_LEN

FEW_FILES = 4096
SLOW_CLOCK_NS = 500
LATE_WAKE_UP_US = 1000


class LimitError(Exception):
    """The machine does not allow what the scenario may need; the message says what to change."""


class Machine(Struct, frozen=True):
    """What was seen. ``files`` are the soft and hard limit; ``ports`` the first and last ephemeral port, if known.

    ``clock_ns`` is what reading the clock costs, ``wake_up_us`` how late an alarm rings: medians, measured just now.
    """

    environment: Environment
    files: tuple[int, int]
    ports: tuple[int, int] | None
    clock_source: str | None
    clock_ns: int
    wake_up_us: int


class Finding(Struct, frozen=True):
    """One thing that was looked at: what was seen, what it allows, and what to do about it (None: nothing)."""

    what: str
    seen: str
    allows: str
    remedy: str | None = None


def machine() -> Machine:
    """Look at this machine; takes about a tenth of a second."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        wake_up_us = runner.run(_wake_up_us())
    return Machine(
        environment=environment(agents=0, scenario_sha256="", synthetic=False),
        files=resource.getrlimit(resource.RLIMIT_NOFILE),
        ports=local_ports(),
        clock_source=read(_CLOCK).strip() or None,
        clock_ns=_clock_ns(),
        wake_up_us=wake_up_us,
    )


def findings(seen: Machine) -> list[Finding]:
    """What follows from the machine, one finding for each thing looked at."""
    return [
        _build(seen.environment),
        _loop(seen.environment),
        _tls(seen.environment),
        _cores(seen.environment),
        _container(seen.environment),
        _files(*seen.files),
        *_ports(seen),
        _clock(seen),
        _timer(seen),
    ]


def allow_files(phases: Sequence[Phase], agents: int) -> None:
    """Let this process, and the agents it starts, open a file for each invocation that may be in flight.

    Raises the soft limit to the hard one where that is needed, and LimitError where it is not enough. ``agents`` is the
    number of processes that share the phases.
    """
    phase = max(phases, key=lambda phase: phase.max_workers)
    needed = files_needed(phase, agents)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed <= soft or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise LimitError(no_files(phase, agents, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else hard, hard))


def files_needed(phase: Phase, agents: int) -> int:
    """The most files that one of the agents has open in this phase: in an open one it may get the others' workers."""
    return (-(-phase.max_workers // agents) if phase.closed else phase.max_workers) + _OTHER_FILES


def no_files(phase: Phase, agents: int, hard: int) -> str:
    """That the hard limit of open files is too low for a phase, and what to do."""
    needed = files_needed(phase, agents)
    if hard <= _OTHER_FILES:
        return (
            f"an agent needs {_OTHER_FILES} open files for itself and one for each invocation in flight, but this "
            f"machine allows {hard:,} (hard limit), which is enough for none. Raise it ({_raise_hard(needed)})"
        )
    key = "workers" if phase.closed else "max_in_flight"
    return (
        f"phase {phase.name} may have {phase.max_workers:,} invocations in flight ({key}), for which "
        f"{'the agent' if agents == 1 else f'each of {agents} agents'} needs {needed:,} open files, but this machine "
        f"allows {hard:,} (hard limit). Raise it ({_raise_hard(needed)}), or set {key} to at most "
        f"{(hard - _OTHER_FILES) * (agents if phase.closed else 1):,}"
    )


def _raise_hard(needed: int) -> str:
    """How to raise the hard limit of open files, which takes root."""
    return f"as root: ulimit -n {needed}; in a container: --ulimit nofile={needed}; in a service: LimitNOFILE={needed}"


def _build(env: Environment) -> Finding:
    if env.build == "pure":
        return Finding(
            "build",
            "pure Python",
            "the same figures as the compiled one, at fewer invocations per second",
            "for more, install it where there is a C compiler, and leave LOADGEN_PURE unset",
        )
    return Finding("build", env.build, "as many invocations per second as loadgen can make")


def _loop(env: Environment) -> Finding:
    if env.uvloop is None:
        return Finding("event loop", "asyncio", "about half of what uvloop allows", "install uvloop")
    return Finding("event loop", f"uvloop {env.uvloop}", "what the build allows")


def _tls(env: Environment) -> Finding:
    return Finding("TLS", env.tls_library, "https:// targets")


def _cores(env: Environment) -> Finding:
    if env.usable_cores == 1:
        return Finding(
            "cores", "1", "one agent, which shares its core with everything else", "run on two cores or more"
        )
    return Finding("cores", str(env.usable_cores), "one for the agent, or more where a load needs more of them")


def _container(env: Environment) -> Finding:
    cpu, memory = env.cgroup_cpu_limit, env.cgroup_memory_limit_bytes
    seen = f"{'no CPU limit' if cpu is None else f'{cpu:g} CPUs'}, " + (
        "no memory limit" if memory is None else f"{memory >> 20:,} MiB of memory"
    )
    if cpu is None or cpu >= env.usable_cores:
        return Finding("container", seen, "all of the cores")
    return Finding(
        "container",
        seen,
        f"{cpu:g} of the {env.usable_cores} cores; what would use more is stopped for up to 100 ms at a time",
        f"raise the container's CPU limit to {env.usable_cores}",
    )


def _files(soft: int, hard: int) -> Finding:
    unlimited = hard == resource.RLIM_INFINITY
    return Finding(
        "open files",
        f"{soft:,} (hard limit {'none' if unlimited else f'{hard:,}'})",
        "as many connections as there is memory for; a run raises its limit itself"
        if unlimited
        else "no connection at all: an agent needs more than that for itself"
        if hard <= _OTHER_FILES
        else f"{hard - _OTHER_FILES:,} connections for each agent; a run raises its limit itself",
        f"for more in flight than that, raise the hard limit ({_raise_hard(65_536)})"
        if not unlimited and hard < FEW_FILES
        else None,
    )


def _ports(seen: Machine) -> list[Finding]:
    if seen.ports is None:
        return []
    first, last = seen.ports
    number = last - first + 1
    return [
        Finding(
            "local ports",
            f"{first} to {last}",
            f"{number:,} connections to one address at a time, {number // _TIME_WAIT_S:,}/s with connections: fresh",
        )
    ]


def _clock(seen: Machine) -> Finding:
    slow = seen.clock_ns > SLOW_CLOCK_NS
    return Finding(
        "clock",
        f"{seen.clock_source or 'unknown source'}, {seen.clock_ns} ns a reading",
        "three readings per invocation",
        "a clock this slow costs throughput: use a machine whose clock source is tsc or kvm-clock" if slow else None,
    )


def _timer(seen: Machine) -> Finding:
    late = seen.wake_up_us > LATE_WAKE_UP_US
    return Finding(
        "timer",
        f"{seen.environment.timer}, {seen.wake_up_us:,} µs late (median of {_WAKE_UPS})",
        "starts about that late, which is reported as late",
        "many calls will be disturbed, and figures be ranges: leave the machine's cores to the run" if late else None,
    )


async def _wake_up_us() -> int:
    loop = asyncio.get_running_loop()
    rang: asyncio.Future[int] = loop.create_future()

    def ring() -> None:
        if not rang.done():
            rang.set_result(monotonic_ns())

    alarm = ALARM(loop, ring)
    late = []
    for _ in range(_WAKE_UPS):
        due = monotonic_ns() + 2_000_000
        rang = loop.create_future()
        alarm.set(due)
        late.append(max(0, await rang - due))
    alarm.close()
    return round(statistics.median(late) / 1000)


def _clock_ns() -> int:
    begun = monotonic_ns()
    for _ in range(_CLOCK_READINGS):
        monotonic_ns()
    return (monotonic_ns() - begun) // _CLOCK_READINGS
