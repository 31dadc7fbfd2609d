"""The platform model: what FunctionGraph does with a call, decided the moment the call arrives.

Theory of operation. The model is event-driven and knows no clock: `Platform.arrive` is told the instant of each
arrival, in order, and answers with everything that will happen to that call, up to the instant its answer leaves. A
server applies it to real sockets, a simulation to a heap of events; both get the same decisions.

- A call takes a free slot of an instance of its version and memory size (``pool``); without one, a new instance is
  started for it, a cold start. An instance serves ``concurrency`` calls at a time, one by default; a call that joins an
  instance which is still starting waits for it, and is cold, too.
- A function has at most ``max_instances`` live ones over all versions and sizes, and so have all functions together.
  Beyond that a call is rejected, at once or after it waited in vain for a slot to become free.
- An on-demand instance ends when no call came for the keep-alive time (Source: FunctionGraph FAQ, "Why Is My First
  Request Slow": one minute, reset by each request). A reserved one is always there.
- CPU share: 0.2 + MB/1280 cores (Source: FunctionGraph API reference, Modifying the Metadata Information of a
  Function: memory/128·100 + 200 millicores), divided by the calls that the instance has when the call begins. A handler
  uses one core, so duration = work / min(share, 1).
- Instances may differ in how fast they are, and a share of them be slow (``instances``); each is what it is to its end.
- A new instance runs the function's initializer before its first call; when that fails, up to two other instances are
  tried (Source: FunctionGraph user guide, Configuring Initialization). Neither the start nor the initializer is part of
  the duration, nor is the overhead: what front end and bus add to every call. It delays the answer and does not occupy
  the instance; log-normal, median 3 ms (the order published in EuroSys 2025).
- A handler that takes longer than the function's timeout is ended; one that needs more memory than there is dies. Both
  cost the instance. The gateway stops waiting after 90 s, whatever the function does (Source: FunctionGraph FAQ).
- Billing: the duration rounded up to whole milliseconds, at least one (Source: FunctionGraph price details).
- Settings and code may change while calls are served: instances of the old ones take no more calls.

Randomness. One stream per purpose and function, seeded from SHA-256 of (seed, purpose, function), and a call takes one
draw from each stream it needs. So the same seed and the same arrivals give the same decisions, on any machine, and
changing one function's settings does not shift another's draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from random import Random
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from loadgen.targets.functiongraph.emulator.pool import Instance, Pool
from loadgen.targets.functiongraph.emulator.profiles import cold_start_law, standard_normal
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, InitBilling, Injected, Throttle
from loadgen.targets.functiongraph.protocol.platform_codes import CLOSE, PROXY_STATUSES, STATUS

LATEST: Final = "latest"
"""The version whose settings can be changed."""

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
_BYTES_PER_MB: Final = 1_048_576

_SLOWER: Final = (1.5, 3.0)

_NS_PER_MS: Final = 1_000_000

RAISED: Final = 4002
TIMED_OUT: Final = 4010
OUT_OF_MEMORY: Final = 4205
INIT_TIMED_OUT: Final = 4211
_USER_SIDE: Final = range(4000, 10_000)
_OF_A_START: Final = frozenset({4011, 4012, 4201, INIT_TIMED_OUT})
_FATAL: Final = frozenset({TIMED_OUT, 4204, OUT_OF_MEMORY, 4209})
_START_ATTEMPTS: Final = 3

THROTTLED: Final = "FSS.0429"


class ColdStart(Struct, frozen=True, gc=False):
    """How long the parts of a cold start took, in ns."""

    allocation_ns: int
    code_ns: int
    dependencies_ns: int
    scheduling_ns: int

    @property
    def total_ns(self) -> int:
        """The time from the arrival to the start of the initializer, or of the handler where there is none."""
        return self.allocation_ns + self.code_ns + self.dependencies_ns + self.scheduling_ns

    def __add__(self, other: ColdStart) -> ColdStart:
        return ColdStart(
            self.allocation_ns + other.allocation_ns,
            self.code_ns + other.code_ns,
            self.dependencies_ns + other.dependencies_ns,
            self.scheduling_ns + other.scheduling_ns,
        )


class Admitted(Struct, frozen=True):
    """A call that an instance serves; all of it decided on arrival.

    Instants are on the caller's clock. ``instance`` is the name of the instance, unique in the run, ``ordinal`` counts
    the calls it served (1 is the first), ``cold`` says that the call waited for it to start; ``cold_start`` has the
    parts of a start for this call, None for every other. ``cpu_share`` is in cores, ``work_ns`` CPU time on one core.
    ``duration_ns`` is a whole number of µs, as the platform reports it. The answer leaves at ``ends_at_ns`` with
    ``status``. ``code`` is the engine's: 0, or why the function failed. ``starts`` counts the instances started for the
    call, ``init_ns`` is what their initializers took (None without one), ``queue_wait_ns`` the wait for a slot, or for
    an instance that another call had started. ``slow`` says that the instance is one of the slow ones.
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
    ends_at_ns: int
    version: str = LATEST
    status: int = 200
    code: int = 0
    reason: str | None = None
    starts: int = 0
    init_ns: int | None = None
    queue_wait_ns: int = 0
    slow: bool = False


class Rejected(Struct, frozen=True):
    """A call that no instance serves; its answer leaves at ``ends_at_ns`` with ``status``, 0 for no answer at all.

    ``reason`` is ``max_instances``, ``tenant_instances``, ``disabled`` or the fault that was asked for; ``code`` is
    that of the answer.
    """

    request_id: str
    function: str
    received_ns: int
    memory_mb: int
    reason: str
    code: str
    status: int
    ends_at_ns: int
    version: str = LATEST


class Platform:
    """The functions of one emulator and their instances. Calls and changes come in order of time."""

    def __init__(self, settings: Emulator) -> None:
        """A platform on which only reserved instances are. Raises KeyError for an unknown cold start profile."""
        self.settings = settings
        self._functions = {each.name: _Function(each, settings, self._full) for each in settings.functions}
        self._now_ns: int | None = None

    def __contains__(self, function: object) -> bool:
        """Whether there is a function of this name."""
        return function in self._functions

    def __iter__(self) -> Iterator[str]:
        """The names of the functions."""
        return iter(self._functions)

    def arrive(
        self, now_ns: int, function: str, memory_mb: int | None = None, version: str = LATEST
    ) -> Admitted | Rejected:
        """Decide a call that arrives now.

        ``memory_mb`` is the size asked for with the call, or None; a function without dynamic memory ignores it. Calls
        arrive in order of time: an earlier instant than the last raises ValueError. A function or version that does not
        exist raises KeyError.
        """
        self._pass(now_ns)
        return self._functions[function].arrive(now_ns, memory_mb, version)

    def current(self, function: str) -> EmulatedFunction:
        """The settings of the latest version."""
        return self._functions[function].current

    def update(self, now_ns: int, function: str, settings: EmulatedFunction) -> None:
        """Change the settings of the latest version, whose instances then take no more calls."""
        self._pass(now_ns)
        self._functions[function].update(now_ns, settings)

    def limit(self, now_ns: int, function: str, max_instances: int) -> None:
        """Change how many instances a function may have; those that are too many go by themselves."""
        self._pass(now_ns)
        self._functions[function].limit(max_instances)

    def publish(self, function: str, version: str) -> None:
        """A version with the settings that the latest has now, and no instances."""
        self._functions[function].publish(version)

    def remove(self, now_ns: int, function: str, version: str) -> None:
        """Take a published version away; calls in flight end on its instances."""
        self._pass(now_ns)
        self._functions[function].remove(now_ns, version)

    def reserve(self, now_ns: int, function: str, version: str, number: int) -> None:
        """Change how many instances of a version are kept warm; new ones take their time to start."""
        self._pass(now_ns)
        self._functions[function].reserve(now_ns, version, number)

    def live(self, now_ns: int) -> int:
        """Instances of all functions."""
        return sum(function.live(now_ns) for function in self._functions.values())

    def stream(self, purpose: str, function: str) -> Random:
        """The random numbers for this purpose."""
        return _stream(self.settings.seed, purpose, function)

    def _full(self, now_ns: int) -> bool:
        return self.live(now_ns) >= self.settings.max_instances

    def _pass(self, now_ns: int) -> None:
        if self._now_ns is not None and now_ns < self._now_ns:
            raise ValueError(f"arrival at {now_ns} ns after one at {self._now_ns} ns; arrivals come in order of time")
        self._now_ns = now_ns


def cpu_share(memory_mb: int) -> float:
    """Cores that an instance of this size may use."""
    return (256 + memory_mb) / 1280  # 0.2 + memory_mb / 1280, without a rounding error at 128 MB


def billed_duration_ns(duration_ns: int, granularity_ns: int = _NS_PER_MS) -> int:
    """The duration rounded up to whole milliseconds (or what else the granularity is), at least one."""
    return max(1, -(-duration_ns // granularity_ns)) * granularity_ns


class _Version:
    """One version of a function: its settings and its instances, by memory size."""

    def __init__(self, name: str, settings: EmulatedFunction) -> None:
        self.name = name
        self.pools: dict[int, Pool] = {}
        self.reserved = 0
        self.set(settings)

    def set(self, settings: EmulatedFunction) -> None:
        """Change the settings, and nothing else."""
        self.settings = settings
        self.call_faults = tuple(fault for fault in settings.faults if _engine_code(fault.code) not in _OF_A_START)
        self.start_faults = tuple(fault for fault in settings.faults if _engine_code(fault.code) in _OF_A_START)


class _Start(Struct, frozen=True):
    """A new instance, what its start took (together with those that failed before it), and the code if it failed."""

    instance: Instance
    cold_start: ColdStart
    init_ns: int | None
    starts: int
    failure: int


class _Slot(Struct, frozen=True):
    """Where a call runs: from ``begins_ns`` on this instance, with the start if it was started for the call."""

    pool: Pool
    instance: Instance
    begins_ns: int
    start: _Start | None


class _Function:
    """One function: its random streams, its versions, and what is left of the instances of older settings."""

    def __init__(self, settings: EmulatedFunction, platform: Emulator, tenant_full: Callable[[int], bool]) -> None:
        self._name = settings.name
        self._platform = platform
        self._tenant_full = tenant_full
        self._max_instances = settings.max_instances
        self._latest = _Version(LATEST, settings)
        self._versions = {LATEST: self._latest}
        self._retired: list[Pool] = []
        self._calls = count(1)
        self._instances = count(1)
        self._cold_start_law = cold_start_law(settings.cold_start)

        def stream(purpose: str) -> Random:
            return _stream(platform.seed, purpose, settings.name)

        self._cold_starts = stream("cold_start")
        self._initializers = stream("initializer")
        self._work = stream("work")
        self._overhead = stream("overhead")
        self._memory_used = stream("memory_used")
        self._errors = stream("errors")
        self._faults = stream("faults")
        self._start_faults = stream("start_faults")
        self._routing = stream("routing")
        self._slownesses = stream("slowness")
        for _ in range(settings.reserved):
            self._pool(self._latest, settings.memory_mb).keep(self._new_instance())
        self._latest.reserved = settings.reserved

    @property
    def current(self) -> EmulatedFunction:
        return msgspec.structs.replace(self._latest.settings, max_instances=self._max_instances)

    def update(self, now_ns: int, settings: EmulatedFunction) -> None:
        latest = self._latest
        reserved = latest.reserved
        self._retire(now_ns, latest)
        latest.pools = {}
        latest.reserved = 0
        latest.set(settings)
        self._max_instances = settings.max_instances
        self.reserve(now_ns, LATEST, reserved)

    def limit(self, max_instances: int) -> None:
        self._max_instances = max_instances

    def publish(self, version: str) -> None:
        self._versions[version] = _Version(version, self._latest.settings)

    def remove(self, now_ns: int, version: str) -> None:
        self._retire(now_ns, self._versions.pop(version))

    def _retire(self, now_ns: int, version: _Version) -> None:
        for pool in version.pools.values():
            pool.settle(now_ns)
            pool.retire()
            self._retired.append(pool)

    def reserve(self, now_ns: int, name: str, number: int) -> None:
        version = self._versions[name]
        pool = self._pool(version, version.settings.memory_mb)
        pool.settle(now_ns)
        for _ in range(number - version.reserved):
            start = self._start(version, now_ns)
            if not start.failure:
                pool.keep(start.instance)
        pool.let_go(version.reserved - number, now_ns)
        version.reserved = number

    def live(self, now_ns: int) -> int:
        pools = [pool for version in self._versions.values() for pool in version.pools.values()]
        for pool in (*pools, *self._retired):
            pool.settle(now_ns)
        self._retired = [pool for pool in self._retired if pool.live]
        return sum(pool.live for pool in (*pools, *self._retired))

    def arrive(self, now_ns: int, asked_mb: int | None, version_name: str) -> Admitted | Rejected:
        version = self._versions[version_name]
        settings = version.settings
        memory_mb = asked_mb if asked_mb is not None and settings.dynamic_memory else settings.memory_mb
        request_id = _request_id(self._platform.seed, self._name, next(self._calls))

        def rejected(reason: str, code: str, status: int, waited_ns: int = 0) -> Rejected:
            ends_at_ns = now_ns + waited_ns
            return Rejected(request_id, self._name, now_ns, memory_mb, reason, code, status, ends_at_ns, version.name)

        fault = drawn(version.call_faults, self._faults) if version.call_faults else None
        code = _engine_code(fault)
        if fault is not None and code not in _USER_SIDE:
            return rejected(fault, fault, fault_status(fault))
        if self._max_instances == 0:
            return rejected("disabled", THROTTLED, 429)
        waits_ns = self._platform.queue_timeout_ns if self._platform.throttle is Throttle.QUEUE else 0
        slot = self._slot(version, memory_mb, now_ns, now_ns + waits_ns)
        if isinstance(slot, str):
            return rejected(slot, THROTTLED, 429, waits_ns)
        return self._admitted(request_id, now_ns, version, memory_mb, slot, code)

    def _slot(self, version: _Version, memory_mb: int, now_ns: int, latest_ns: int) -> _Slot | str:
        """Where a call runs; or the limit that keeps it from doing so, also later than now, up to the latest."""
        pool = self._pool(version, memory_mb)
        pool.settle(now_ns)
        begins_ns = now_ns
        instance = pool.take()
        if instance is None and (limit := self._limit_reached(now_ns)):
            found = pool.take_first_free(latest_ns) if latest_ns > now_ns else None
            if found is None:
                return limit
            begins_ns, instance = found
        if instance is not None:
            return _Slot(pool, instance, begins_ns, None)
        start = self._start(version, begins_ns)
        return _Slot(pool, start.instance, begins_ns, start)

    def _admitted(
        self, request_id: str, now_ns: int, version: _Version, memory_mb: int, slot: _Slot, code: int
    ) -> Admitted:
        """What becomes of a call in its slot; ``code`` is that of a fault it was told to have."""
        settings, platform, instance, start = version.settings, self._platform, slot.instance, slot.start
        ready_ns = max(slot.begins_ns, instance.ready_ns)
        share = (cpu_share(memory_mb) if platform.cpu_by_memory else 1.0) / (instance.busy + 1)
        work_ns = duration_ns = 0
        used_bytes = self._draw_memory_used(settings.memory_used_mb)
        raised = self._errors.random() < settings.errors
        if start is not None and start.failure:
            code = start.failure
        else:
            work_ns = _log_normal_ns(self._work, settings.work.median_ns, settings.work.sigma)
            # Whole µs: what the platform reports has three decimals of a millisecond, and must not be more than was.
            duration_ns = round(work_ns * instance.slowness / min(share, 1.0) / 1000) * 1000
            if used_bytes > memory_mb * _BYTES_PER_MB:
                code = OUT_OF_MEMORY
            elif duration_ns > settings.timeout_ns or code == TIMED_OUT:
                code, duration_ns = TIMED_OUT, settings.timeout_ns // 1000 * 1000
            elif raised and not code:
                code = RAISED
        init_ns = None if start is None else start.init_ns
        billed_init_ns = init_ns if init_ns is not None and platform.init_billing is InitBilling.SAME_CALL else 0
        overhead_ns = _log_normal_ns(self._overhead, WARM_OVERHEAD_MEDIAN_NS, WARM_OVERHEAD_SIGMA)
        free_at_ns = ready_ns + duration_ns
        cut = free_at_ns + overhead_ns - now_ns > platform.gateway_timeout_ns
        slot.pool.occupy(instance, free_at_ns, doomed=code in _FATAL or code in _OF_A_START)
        return Admitted(
            request_id=request_id,
            function=self._name,
            version=version.name,
            received_ns=now_ns,
            memory_mb=memory_mb,
            status=504 if cut else platform.error_status if code else 200,
            code=code,
            reason="gateway_timeout" if cut else None,
            instance=instance.name,
            ordinal=instance.served,
            cold=start is not None or ready_ns > slot.begins_ns,
            cold_start=None if start is None else start.cold_start,
            starts=0 if start is None else start.starts,
            init_ns=init_ns,
            queue_wait_ns=(slot.begins_ns if start is not None else ready_ns) - now_ns,
            slow=instance.slow,
            cpu_share=share,
            work_ns=work_ns,
            duration_ns=duration_ns,
            billed_duration_ns=billed_duration_ns(duration_ns + billed_init_ns, platform.billing_ns),
            overhead_ns=overhead_ns,
            memory_used_bytes=min(used_bytes, memory_mb * _BYTES_PER_MB),
            ends_at_ns=now_ns + platform.gateway_timeout_ns if cut else free_at_ns + overhead_ns,
        )

    def _pool(self, version: _Version, memory_mb: int) -> Pool:
        pool = version.pools.get(memory_mb)
        if pool is None:
            pool = version.pools[memory_mb] = Pool(
                self._platform.keep_alive_ns,
                concurrency=version.settings.concurrency,
                routing=self._platform.routing,
                random=self._routing,
            )
        return pool

    def _limit_reached(self, now_ns: int) -> str | None:
        """The limit that keeps another instance from being started, if there is one."""
        if self._max_instances >= 0 and self.live(now_ns) >= self._max_instances:
            return "max_instances"
        return "tenant_instances" if self._tenant_full(now_ns) else None

    def _start(self, version: _Version, now_ns: int) -> _Start:
        """Start an instance, and others in place of those that fail, until one is ready or all attempts are used up."""
        cold_start, (init_ns, failure), starts = self._draw_cold_start(), self._initialize(version), 1
        while failure and starts < _START_ATTEMPTS:
            cold_start += self._draw_cold_start()
            took_ns, failure = self._initialize(version)
            init_ns += took_ns
            starts += 1
        instance = self._new_instance(now_ns + cold_start.total_ns + init_ns)
        return _Start(instance, cold_start, init_ns if version.settings.initializer else None, starts, failure)

    def _initialize(self, version: _Version) -> tuple[int, int]:
        """What the initializer of a new instance takes, in ns, and its code if the start fails."""
        fault = _engine_code(drawn(version.start_faults, self._start_faults)) if version.start_faults else 0
        law = version.settings.initializer
        if law is None:
            return 0, fault
        took_ns = round(_log_normal_ns(self._initializers, law.median_ns, law.sigma) / 1000) * 1000
        if took_ns > law.timeout_ns:
            return law.timeout_ns, fault or INIT_TIMED_OUT
        return took_ns, fault

    def _new_instance(self, ready_ns: int = 0) -> Instance:
        number, law, random = next(self._instances), self._latest.settings.instances, self._slownesses
        slowness = math.exp(law.sigma * standard_normal(random)) if law.sigma else 1.0
        slow = bool(law.slow) and random.random() < law.slow
        if slow:
            slowness *= random.uniform(*_SLOWER)
        return Instance(f"{self._name}-{number}", number, ready_ns, slowness, slow=slow)

    def _draw_memory_used(self, fixed_mb: int | None) -> int:
        if fixed_mb is not None:
            return fixed_mb * _BYTES_PER_MB
        return (_LEAST_PAGES + int(self._memory_used.random() * _MORE_PAGES)) * _PAGE_BYTES

    def _draw_cold_start(self) -> ColdStart:
        if self._cold_start_law is None:
            return ColdStart(0, 0, 0, 0)
        total_ns = round(self._cold_start_law.draw_s(self._cold_starts) * 1e9)
        allocation_ns = round(_ALLOCATION_SHARE * total_ns)
        code_ns = round(_CODE_SHARE * total_ns)
        dependencies_ns = round(_DEPENDENCIES_SHARE * total_ns)
        return ColdStart(allocation_ns, code_ns, dependencies_ns, total_ns - allocation_ns - code_ns - dependencies_ns)


def drawn(faults: tuple[Injected, ...], random: Random) -> str | None:
    """The fault that happens to a call, one at most."""
    left = random.random()
    for fault in faults:
        left -= fault.share
        if left < 0:
            return fault.code
    return None


def fault_status(code: str) -> int:
    """The HTTP status that a fault is answered with, 0 when it is not answered."""
    if code == CLOSE:
        return 0
    return int(code) if code in PROXY_STATUSES else STATUS.get(code, 500)


def _engine_code(fault: str | None) -> int:
    """The engine's number in a fault; 0 when there is none."""
    return int(fault) if fault is not None and fault.isdecimal() and fault not in PROXY_STATUSES else 0


def _stream(seed: int, purpose: str, function: str) -> Random:
    return Random(int.from_bytes(sha256(repr((seed, purpose, function)).encode()).digest()))


def _request_id(seed: int, function: str, number: int) -> str:
    """The id of a function's nth call; in the form of a random UUID, like the platform's."""
    digest = sha256(repr((seed, "request_id", function, number)).encode()).digest()
    return str(UUID(bytes=digest[:16], version=4))


def _log_normal_ns(random: Random, median_ns: int, sigma: float) -> int:
    return round(median_ns * math.exp(sigma * standard_normal(random)))
