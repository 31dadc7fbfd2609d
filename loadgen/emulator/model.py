"""The platform model: what FunctionGraph does with a call, decided the moment the call arrives.

Theory of operation. The model is event-driven and knows no clock: `Platform.arrive` is told the instant of each
arrival, in order, and answers with everything that will happen to that call, up to the instant its answer leaves. A
server applies it to real sockets, a simulation to a heap of events; both get the same decisions.

- An instance serves one request at a time. A call takes the most recently used idle instance of its function and
  memory size; without one, a new instance is started for it (a cold start), unless the function already has
  ``max_instances`` live ones over all memory sizes: then the call is rejected at once.
- An instance is busy from the arrival for its cold start and the duration, then idle, and ends when no call came for
  the keep-alive time (Source: FunctionGraph FAQ, "Why Is My First Request Slow": one minute, reset by each request).
- CPU share: 0.2 + MB/1280 cores (Source: FunctionGraph API reference, Modifying the Metadata Information of a
  Function: memory/128·100 + 200 millicores). A handler uses one core, so duration = work / min(share, 1).
- The cold start is not part of the duration, nor is the overhead: what front end and bus add to every call. It delays
  the answer and does not occupy the instance; log-normal, median 3 ms (the order published in EuroSys 2025).
- Billing: the duration rounded up to whole milliseconds, at least one (Source: FunctionGraph price details).

Randomness. One stream per purpose and function, seeded from SHA-256 of (seed, purpose, function), and a call takes one
draw from each stream it needs. So the same seed and the same arrivals give the same decisions, on any machine, and
changing one function's settings does not shift another's draws.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from hashlib import sha256
from itertools import count
from random import Random
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from loadgen.emulator.profiles import cold_start_law, standard_normal
from loadgen.scenario.model import EmulatedFunction, Emulator

WARM_OVERHEAD_MEDIAN_NS: Final = 3_000_000
WARM_OVERHEAD_SIGMA: Final = 0.5

# Shares of a cold start's parts, from the worked row of EuroSys 2025: 2.239 s = 0.027 allocation + 0.045 code +
# 0.454 dependencies + 1.713 scheduling. Scheduling is what remains, so that the parts always add up.
_ALLOCATION_SHARE: Final = 0.027 / 2.239
_CODE_SHARE: Final = 0.045 / 2.239
_DEPENDENCIES_SHARE: Final = 0.454 / 2.239

# A small interpreter's footprint, whatever the memory size: 30 to 40 MB, in whole pages.
_PAGE_BYTES: Final = 4096
_LEAST_PAGES: Final = 30 * 256
_MORE_PAGES: Final = 10 * 256

_NS_PER_MS: Final = 1_000_000


class ColdStart(Struct, frozen=True, gc=False):
    """How long the parts of a cold start took, in ns."""

    allocation_ns: int
    code_ns: int
    dependencies_ns: int
    scheduling_ns: int

    @property
    def total_ns(self) -> int:
        """The time from the arrival to the start of the handler."""
        return self.allocation_ns + self.code_ns + self.dependencies_ns + self.scheduling_ns


class Admitted(Struct, frozen=True):
    """A call that an instance serves; all of it decided on arrival.

    Instants are on the caller's clock. ``instance`` is the name of the instance, unique in the run, ``ordinal`` counts
    the calls it served (1 is the first), ``cold`` says that it was started for this call; ``cold_start`` has its parts,
    None for a warm call. ``cpu_share`` is in cores, ``work_ns`` CPU time on one core. ``duration_ns`` is a whole number
    of µs, as the platform reports it. The answer leaves at ``ends_at_ns``; ``failed``: with an error that the
    function's code raised.
    """

    request_id: str
    function: str
    received_ns: int
    memory_mb: int
    instance: str
    ordinal: int
    cold: bool
    cold_start: ColdStart | None
    cpu_share: float
    work_ns: int
    duration_ns: int
    billed_duration_ns: int
    overhead_ns: int
    memory_used_bytes: int
    failed: bool
    ends_at_ns: int


class Rejected(Struct, frozen=True):
    """A call that found no instance and may not start one; answered at once with status 429."""

    request_id: str
    function: str
    received_ns: int
    memory_mb: int
    reason: str = "max_instances"


class Platform:
    """The functions of one emulator and their instances."""

    def __init__(self, settings: Emulator) -> None:
        """A platform on which nothing runs yet. Raises KeyError for an unknown cold start profile."""
        self._functions = {
            function.name: _Function(function, settings.seed, settings.keep_alive_ns) for function in settings.functions
        }
        self._now_ns: int | None = None

    def __contains__(self, function: object) -> bool:
        """Whether there is a function of this name."""
        return function in self._functions

    def arrive(self, now_ns: int, function: str, memory_mb: int | None) -> Admitted | Rejected:
        """Decide a call that arrives now.

        ``memory_mb`` is the size asked for with the call, or None; a function without dynamic
        memory ignores it. Calls arrive in order of time: an earlier instant than the last raises ValueError. A function
        that does not exist raises KeyError.
        """
        if self._now_ns is not None and now_ns < self._now_ns:
            raise ValueError(f"arrival at {now_ns} ns after one at {self._now_ns} ns; arrivals come in order of time")
        self._now_ns = now_ns
        return self._functions[function].arrive(now_ns, memory_mb)


def cpu_share(memory_mb: int) -> float:
    """Cores that an instance of this size may use."""
    return (256 + memory_mb) / 1280  # 0.2 + memory_mb / 1280, without a rounding error at 128 MB


def billed_duration_ns(duration_ns: int) -> int:
    """The duration rounded up to whole milliseconds, at least one."""
    return max(1, -(-duration_ns // _NS_PER_MS)) * _NS_PER_MS


def truth_line(call: Admitted | Rejected) -> bytes:
    """One line of the truth log: a JSON object and a line feed; the same keys for every call, null where unknown.

    ``status`` is that of the answer. ``queue_wait_ns`` and ``slow`` are constant: in this model calls neither queue for
    an instance nor meet slow ones.
    """
    return _encode_truth(_truth(call)) + b"\n"


class Instance:
    """One copy of a function; serves one request at a time."""

    __slots__ = ("name", "served")

    def __init__(self, name: str) -> None:
        self.name = name
        self.served = 0


class Pool:
    """The instances of one function and memory size. Calls come in order of time; instants are in ns."""

    def __init__(self, keep_alive_ns: int) -> None:
        self._keep_alive_ns = keep_alive_ns
        self._busy: list[tuple[int, int, Instance]] = []  # a heap: (idle from, number of the call, instance)
        self._idle: deque[tuple[int, Instance]] = deque()  # (idle since, instance), in that order
        self._calls = count()

    @property
    def busy(self) -> int:
        """Instances that serve a call, as of the last `settle`."""
        return len(self._busy)

    @property
    def idle(self) -> int:
        """Instances that wait for a call, as of the last `settle`."""
        return len(self._idle)

    @property
    def live(self) -> int:
        """All instances, as of the last `settle`."""
        return len(self._busy) + len(self._idle)

    def settle(self, now_ns: int) -> None:
        """Let time pass until now: calls end, and instances idle for the keep-alive time go away."""
        while self._busy and self._busy[0][0] <= now_ns:
            idle_since, _, instance = heapq.heappop(self._busy)
            self._idle.append((idle_since, instance))
        while self._idle and self._idle[0][0] + self._keep_alive_ns <= now_ns:
            self._idle.popleft()

    def take_idle(self) -> Instance | None:
        """The most recently used idle instance, as of the last `settle`; the caller occupies it next."""
        return self._idle.pop()[1] if self._idle else None

    def occupy(self, instance: Instance, until_ns: int) -> None:
        """Keep an instance busy with its next call."""
        instance.served += 1
        heapq.heappush(self._busy, (until_ns, next(self._calls), instance))


class _Function:
    """One function: its random streams, and a pool for each memory size."""

    def __init__(self, settings: EmulatedFunction, seed: int, keep_alive_ns: int) -> None:
        self._settings = settings
        self._seed = seed
        self._keep_alive_ns = keep_alive_ns
        self._pools: dict[int, Pool] = {}
        self._calls = count(1)
        self._instances = count(1)
        self._cold_start_law = cold_start_law(settings.cold_start)

        def stream(purpose: str) -> Random:
            return Random(_stream_seed(seed, purpose, settings.name))

        self._cold_starts = stream("cold_start")
        self._work = stream("work")
        self._overhead = stream("overhead")
        self._memory_used = stream("memory_used")
        self._errors = stream("errors")

    def arrive(self, now_ns: int, asked_mb: int | None) -> Admitted | Rejected:
        settings = self._settings
        memory_mb = asked_mb if asked_mb is not None and settings.dynamic_memory else settings.memory_mb
        request_id = _request_id(self._seed, settings.name, next(self._calls))
        pool = self._pools.get(memory_mb)
        if pool is None:
            pool = self._pools[memory_mb] = Pool(self._keep_alive_ns)
        pool.settle(now_ns)
        instance = pool.take_idle()
        cold = instance is None
        if instance is None:
            if self._live(now_ns) >= settings.max_instances:
                return Rejected(request_id, settings.name, now_ns, memory_mb)
            instance = Instance(f"{settings.name}-{next(self._instances)}")
        cold_start = self._draw_cold_start() if cold else None
        share = cpu_share(memory_mb)
        work_ns = self._draw_work_ns()
        # Whole µs: what the platform reports has three decimals of a millisecond, and must not be more than was.
        duration_ns = round(work_ns / min(share, 1.0) / 1000) * 1000
        overhead_ns = _log_normal_ns(self._overhead, WARM_OVERHEAD_MEDIAN_NS, WARM_OVERHEAD_SIGMA)
        free_at_ns = now_ns + (cold_start.total_ns if cold_start else 0) + duration_ns
        pool.occupy(instance, free_at_ns)
        return Admitted(
            request_id=request_id,
            function=settings.name,
            received_ns=now_ns,
            memory_mb=memory_mb,
            instance=instance.name,
            ordinal=instance.served,
            cold=cold,
            cold_start=cold_start,
            cpu_share=share,
            work_ns=work_ns,
            duration_ns=duration_ns,
            billed_duration_ns=billed_duration_ns(duration_ns),
            overhead_ns=overhead_ns,
            memory_used_bytes=(_LEAST_PAGES + int(self._memory_used.random() * _MORE_PAGES)) * _PAGE_BYTES,
            failed=self._errors.random() < settings.errors,
            ends_at_ns=free_at_ns + overhead_ns,
        )

    def _live(self, now_ns: int) -> int:
        for pool in self._pools.values():
            pool.settle(now_ns)
        return sum(pool.live for pool in self._pools.values())

    def _draw_work_ns(self) -> int:
        return _log_normal_ns(self._work, self._settings.work.median_ns, self._settings.work.sigma)

    def _draw_cold_start(self) -> ColdStart:
        if self._cold_start_law is None:
            return ColdStart(0, 0, 0, 0)
        total_ns = round(self._cold_start_law.draw_s(self._cold_starts) * 1e9)
        allocation_ns = round(_ALLOCATION_SHARE * total_ns)
        code_ns = round(_CODE_SHARE * total_ns)
        dependencies_ns = round(_DEPENDENCIES_SHARE * total_ns)
        return ColdStart(allocation_ns, code_ns, dependencies_ns, total_ns - allocation_ns - code_ns - dependencies_ns)


class _Truth(Struct, frozen=True, gc=False):
    """A line of the truth log; the order of the fields is that of the file."""

    request_id: str
    function: str
    received_ns: int
    memory_mb: int
    status: int
    reason: str | None = None
    instance: str | None = None
    ordinal: int | None = None
    cold: bool | None = None
    cold_start: ColdStart | None = None
    queue_wait_ns: int = 0
    slow: bool = False
    cpu_share: float | None = None
    work_ns: int | None = None
    duration_ns: int | None = None
    billed_duration_ns: int | None = None
    overhead_ns: int | None = None
    memory_used_bytes: int | None = None
    failed: bool | None = None
    ends_at_ns: int | None = None


_encode_truth = msgspec.json.Encoder().encode


def _truth(call: Admitted | Rejected) -> _Truth:
    if isinstance(call, Rejected):
        return _Truth(call.request_id, call.function, call.received_ns, call.memory_mb, 429, call.reason)
    return _Truth(status=200, **{name: getattr(call, name) for name in Admitted.__struct_fields__})


def _stream_seed(seed: int, purpose: str, function: str) -> int:
    return int.from_bytes(sha256(repr((seed, purpose, function)).encode()).digest())


def _request_id(seed: int, function: str, number: int) -> str:
    """The id of a function's nth call; in the form of a random UUID, like the platform's."""
    digest = sha256(repr((seed, "request_id", function, number)).encode()).digest()
    return str(UUID(bytes=digest[:16], version=4))


def _log_normal_ns(random: Random, median_ns: int, sigma: float) -> int:
    return round(median_ns * math.exp(sigma * standard_normal(random)))
