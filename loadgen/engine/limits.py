"""What this machine allows, found out before a run instead of in the middle of one.

``Machine`` is what was read and measured; ``findings`` says what follows from it, as a function of plain values.
"""

from __future__ import annotations

import asyncio
import resource
import statistics

from msgspec import Struct

from loadgen.engine.clock import monotonic_ns
from loadgen.engine.environment import read, usable_cores
from loadgen.engine.loop import new_event_loop, uvloop_version
from loadgen.engine.timer import ALARM

_PORTS = "/proc/sys/net/ipv4/ip_local_port_range"
_CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
_WAKE_UPS = 50
_CLOCK_READINGS = 20_000
_OTHER_FILES = 64  # pipes, the event loop, libraries: what an agent has open besides connections
_TIME_WAIT_S = 60  # how long Linux keeps the port of a closed connection. Source: net/tcp.h, TCP_TIMEWAIT_LEN

FEW_FILES = 4096
SLOW_CLOCK_NS = 500
LATE_WAKE_UP_US = 1000


class Machine(Struct, frozen=True):
    """What was seen. ``files`` are the soft and hard limit; ``ports`` the first and last ephemeral port, if known.

    ``clock_ns`` is what reading the clock costs, ``wake_up_us`` how late an alarm rings: medians, measured just now.
    """

    cores: int
    files: tuple[int, int]
    ports: tuple[int, int] | None
    clock_source: str | None
    clock_ns: int
    uvloop: str | None
    timer: str
    wake_up_us: int


class Finding(Struct, frozen=True):
    """One thing that was looked at: what was seen, what it allows, and what to do about it (None: nothing)."""

    what: str
    seen: str
    allows: str
    remedy: str | None = None


def machine() -> Machine:
    """Look at this machine; takes about a tenth of a second."""
    ports = read(_PORTS).split()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        wake_up_us = runner.run(_wake_up_us())
    return Machine(
        cores=usable_cores(),
        files=resource.getrlimit(resource.RLIMIT_NOFILE),
        ports=(int(ports[0]), int(ports[1])) if len(ports) == 2 else None,
        clock_source=read(_CLOCK).strip() or None,
        clock_ns=_clock_ns(),
        uvloop=uvloop_version(),
        timer=ALARM.kind,
        wake_up_us=wake_up_us,
    )


def findings(seen: Machine) -> list[Finding]:
    """What follows from the machine, one finding for each thing looked at."""
    return [_cores(seen), _files(seen), *_ports(seen), _clock(seen), _loop(seen), _timer(seen)]


def _cores(seen: Machine) -> Finding:
    if seen.cores == 1:
        return Finding(
            "cores", "1", "one agent, which shares its core with everything else", "run on two cores or more"
        )
    agents = "one agent" if seen.cores == 2 else f"{seen.cores - 1} agents"
    return Finding("cores", str(seen.cores), f"{agents} by default, and one core for the rest")


def _files(seen: Machine) -> Finding:
    soft, hard = seen.files
    allows = f"{max(0, soft - _OTHER_FILES):,} connections for each agent"
    unlimited = hard == resource.RLIM_INFINITY
    remedy = None
    if soft < FEW_FILES:
        raised = f"ulimit -n {65_536 if unlimited else hard}" if unlimited or hard > soft else "raise the hard limit"
        remedy = f"for more in flight than that: {raised}"
    return Finding("open files", f"{soft:,} (hard limit {'none' if unlimited else f'{hard:,}'})", allows, remedy)


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


def _loop(seen: Machine) -> Finding:
    if seen.uvloop is None:
        return Finding("event loop", "asyncio", "about half of what uvloop allows", "install uvloop")
    return Finding("event loop", f"uvloop {seen.uvloop}", "as many invocations per second as loadgen can make")


def _timer(seen: Machine) -> Finding:
    late = seen.wake_up_us > LATE_WAKE_UP_US
    return Finding(
        "timer",
        f"{seen.timer}, {seen.wake_up_us:,} µs late (median of {_WAKE_UPS})",
        "starts about that late, which is reported as late",
        "percentiles from p95 up will be withheld: leave the machine's cores to the run" if late else None,
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
