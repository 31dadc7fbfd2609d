"""The platform model where calls fail, wait, share instances, or meet a function that changes; in virtual time."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadgen.targets.functiongraph.emulator.model import Admitted, Platform, Rejected
from loadgen.targets.functiongraph.emulator.truth import truth_line
from loadgen.targets.functiongraph.protocol.platform import (
    EmulatedFunction,
    Emulator,
    InitBilling,
    Initializer,
    Injected,
    Throttle,
    Work,
)
from loadgen.targets.functiongraph.protocol.platform_codes import ENGINE, STATUS

S = 1_000_000_000
MS = 1_000_000
HELLO = EmulatedFunction("hello", 1024, Work(20 * MS, 0.0), "none", 1000, True, 0.0)
PLATFORM = Emulator(1, 60 * S, ())
QUEUE = replace(PLATFORM, throttle=Throttle.QUEUE, queue_timeout_ns=S)


def platform(*functions: EmulatedFunction, settings: Emulator = PLATFORM) -> Platform:
    return Platform(replace(settings, functions=functions or (HELLO,)))


def admitted(call: Admitted | Rejected) -> Admitted:
    assert isinstance(call, Admitted)
    return call


def rejected(call: Admitted | Rejected) -> Rejected:
    assert isinstance(call, Rejected)
    return call


def with_fault(code: str, share: float = 1.0) -> EmulatedFunction:
    return replace(HELLO, faults=(Injected(code, share),))


# Failures


def test_a_call_that_takes_longer_than_the_timeout_is_ended_then_and_costs_the_instance() -> None:
    model = platform(replace(HELLO, work=Work(5 * S, 0.0), timeout_ns=3 * S))
    call = admitted(model.arrive(0, "hello"))
    assert (call.code, call.status, call.duration_ns, call.billed_duration_ns) == (4010, 200, 3 * S, 3 * S)
    assert admitted(model.arrive(4 * S, "hello")).instance != call.instance


def test_a_call_that_needs_more_memory_than_there_is_dies_with_its_instance() -> None:
    model = platform(replace(HELLO, memory_mb=128, memory_used_mb=200))
    call = admitted(model.arrive(0, "hello", 128))
    assert (call.code, call.memory_used_bytes) == (4205, 128 << 20)
    enough = admitted(model.arrive(S, "hello", 256))
    assert (enough.code, enough.memory_used_bytes) == (0, 200 << 20)
    assert admitted(model.arrive(2 * S, "hello", 128)).cold


def test_an_instance_survives_code_that_raises() -> None:
    model = platform(replace(HELLO, errors=1.0))
    first = admitted(model.arrive(0, "hello"))
    second = admitted(model.arrive(S, "hello"))
    assert (first.code, second.code, second.instance) == (4002, 4002, first.instance)


def test_a_failure_of_the_function_is_a_500_where_the_switch_says_so() -> None:
    model = platform(replace(HELLO, errors=1.0), settings=replace(PLATFORM, error_status=500))
    assert admitted(model.arrive(0, "hello")).status == 500


def test_the_gateway_stops_waiting_and_the_function_does_not() -> None:
    model = platform(replace(HELLO, work=Work(100 * S, 0.0), max_instances=1))
    call = admitted(model.arrive(7, "hello"))
    assert (call.status, call.reason, call.ends_at_ns) == (504, "gateway_timeout", 7 + 90 * S)
    assert (call.duration_ns, call.code) == (100 * S, 0)
    rejected(model.arrive(99 * S, "hello"))
    assert not admitted(model.arrive(101 * S, "hello")).cold


@pytest.mark.parametrize("code", sorted(STATUS))
def test_every_documented_code_can_be_made_up_and_no_instance_runs(code: str) -> None:
    call = rejected(platform(with_fault(code)).arrive(5, "hello"))
    assert (call.code, call.reason, call.status, call.ends_at_ns) == (code, code, STATUS[code], 5)


@pytest.mark.parametrize("code", sorted(ENGINE))
def test_every_engine_code_can_be_made_up_on_an_instance_where_it_is_the_functions_own(code: int) -> None:
    call = platform(with_fault(str(code))).arrive(0, "hello")
    if code < 10_000:
        assert admitted(call).code == code
        assert json.loads(truth_line(call))["failed"] is True
    else:
        assert (rejected(call).code, rejected(call).status) == (str(code), 500)


@pytest.mark.parametrize(("code", "status"), [("502", 502), ("503", 503), ("504", 504), ("close", 0)])
def test_a_proxy_or_a_closed_connection_can_be_made_up(code: str, status: int) -> None:
    assert rejected(platform(with_fault(code)).arrive(0, "hello")).status == status


def test_faults_have_their_shares_and_shift_no_other_draw() -> None:
    faults = (Injected("FSS.0500", 0.1), Injected("4205", 0.2), Injected("APIG.0308", 0.05))
    plain, faulty = platform(), platform(replace(HELLO, faults=faults))
    codes = [json.loads(truth_line(faulty.arrive(n * S, "hello")))["code"] for n in range(4000)]
    for fault in faults:
        assert codes.count(fault.code) / 4000 == pytest.approx(fault.share, abs=0.02)
    assert platform(replace(HELLO, faults=(Injected("4002", 1e-12),))).arrive(0, "hello") == plain.arrive(0, "hello")


def test_a_disabled_function_rejects_every_call_even_with_an_instance_at_hand() -> None:
    model = platform()
    model.arrive(0, "hello")
    model.limit(S, "hello", 0)
    call = rejected(model.arrive(2 * S, "hello"))
    assert (call.reason, call.code, call.status) == ("disabled", "FSS.0429", 429)


# Starts


def test_an_initializer_delays_the_first_call_of_an_instance_and_is_in_no_duration() -> None:
    model = platform(replace(HELLO, initializer=Initializer(300 * MS, 0.0, S)))
    first, second = (admitted(model.arrive(now_ns, "hello")) for now_ns in (0, S))
    assert (first.init_ns, first.duration_ns, first.billed_duration_ns) == (300 * MS, 20 * MS, 20 * MS)
    assert first.ends_at_ns == 320 * MS + first.overhead_ns
    assert (second.init_ns, second.ends_at_ns) == (None, S + 20 * MS + second.overhead_ns)


@pytest.mark.parametrize(
    ("billing", "billed_ms"), [(InitBilling.SEPARATE, 20), (InitBilling.NONE, 20), (InitBilling.SAME_CALL, 320)]
)
def test_an_initializer_is_billed_where_the_switch_says(billing: InitBilling, billed_ms: int) -> None:
    function = replace(HELLO, initializer=Initializer(300 * MS, 0.0, S))
    model = platform(function, settings=replace(PLATFORM, init_billing=billing))
    assert admitted(model.arrive(0, "hello")).billed_duration_ns == billed_ms * MS


@pytest.mark.parametrize(("granularity_ns", "billed_ms"), [(MS, 20), (100 * MS, 100), (S, 1000)])
def test_durations_are_rounded_up_to_what_is_billed(granularity_ns: int, billed_ms: int) -> None:
    model = platform(settings=replace(PLATFORM, billing_ns=granularity_ns))
    assert admitted(model.arrive(0, "hello")).billed_duration_ns == billed_ms * MS


def test_an_initializer_that_takes_too_long_is_tried_on_three_instances_and_fails_the_call() -> None:
    model = platform(replace(HELLO, initializer=Initializer(2 * S, 0.0, S)))
    call = admitted(model.arrive(0, "hello"))
    assert (call.code, call.starts, call.init_ns, call.duration_ns) == (4211, 3, 3 * S, 0)
    assert admitted(model.arrive(10 * S, "hello")).cold


def test_a_start_fails_by_its_share_and_is_tried_on_another_instance() -> None:
    model = platform(replace(with_fault("4201", 0.5), cold_start="r3"), settings=replace(PLATFORM, keep_alive_ns=0))
    calls = [admitted(model.arrive(n * 100 * S, "hello")) for n in range(2000)]
    assert sum(call.code == 4201 for call in calls) / 2000 == pytest.approx(0.125, abs=0.03)
    assert sum(call.starts == 1 for call in calls) / 2000 == pytest.approx(0.5, abs=0.04)
    assert {call.code for call in calls if call.starts < 3} == {0}


# One instance, several calls


@pytest.mark.parametrize(("concurrency", "calls", "instances"), [(1, 50, 50), (4, 50, 13), (10, 100, 10)])
def test_a_burst_starts_an_instance_for_as_many_calls_as_one_serves_and_all_are_cold(
    concurrency: int, calls: int, instances: int
) -> None:
    model = platform(replace(HELLO, concurrency=concurrency, cold_start="r2-go"))
    burst = [admitted(model.arrive(0, "hello")) for _ in range(calls)]
    assert len({call.instance for call in burst}) == instances == math.ceil(calls / concurrency)
    assert all(call.cold for call in burst)
    assert sum(call.starts for call in burst) == instances


def test_a_call_that_joins_a_starting_instance_waits_for_it_and_no_longer() -> None:
    model = platform(replace(HELLO, concurrency=2, initializer=Initializer(500 * MS, 0.0, S)))
    model.arrive(0, "hello")
    joined = admitted(model.arrive(200 * MS, "hello"))
    assert (joined.cold, joined.cold_start, joined.queue_wait_ns) == (True, None, 300 * MS)


def test_calls_of_one_instance_share_its_cores() -> None:
    model = platform(replace(HELLO, concurrency=4, memory_mb=2304))
    shares = [admitted(model.arrive(0, "hello")).cpu_share for _ in range(4)]
    assert shares == [2.0, 1.0, 2 / 3, 0.5]


# Waiting


def test_a_call_beyond_the_maximum_waits_for_the_instance_that_is_free_first() -> None:
    model = platform(replace(HELLO, max_instances=1), settings=QUEUE)
    calls = [admitted(model.arrive(0, "hello")) for _ in range(3)]
    assert [call.queue_wait_ns for call in calls] == [0, 20 * MS, 40 * MS]
    assert [call.cold for call in calls] == [True, False, False]
    assert {call.duration_ns for call in calls} == {20 * MS}


def test_a_call_that_would_wait_too_long_is_rejected_after_its_wait() -> None:
    model = platform(replace(HELLO, max_instances=1, work=Work(2 * S, 0.0)), settings=QUEUE)
    model.arrive(0, "hello")
    call = rejected(model.arrive(MS, "hello"))
    assert (call.status, call.reason, call.ends_at_ns) == (429, "max_instances", MS + S)


def test_a_waiting_call_gets_a_new_instance_when_the_one_before_it_dies() -> None:
    function = replace(HELLO, max_instances=1, work=Work(900 * MS, 0.0), timeout_ns=500 * MS)
    first, second = map(admitted, two(platform(function, settings=QUEUE)))
    assert (second.queue_wait_ns, second.cold, second.starts) == (500 * MS, True, 1)
    assert first.instance != second.instance


def two(model: Platform) -> tuple[Admitted | Rejected, Admitted | Rejected]:
    return model.arrive(0, "hello"), model.arrive(0, "hello")


@given(
    gaps=st.lists(st.integers(0, 60 * MS), min_size=1, max_size=60),
    servers=st.integers(1, 4),
    seed=st.integers(0, 100),
)
def test_waiting_calls_are_served_in_order_by_as_many_instances_as_there_may_be(
    gaps: list[int], servers: int, seed: int
) -> None:
    """A queue with ``servers`` servers, by its textbook recursion: begin = max(arrival, least of the free times)."""
    function = replace(HELLO, max_instances=servers, work=Work(30 * MS, 1.0))
    settings = replace(QUEUE, seed=seed, queue_timeout_ns=3600 * S)
    model = platform(function, settings=settings)
    free = [0] * servers
    now_ns = 0
    for gap_ns in gaps:
        now_ns += gap_ns
        call = admitted(model.arrive(now_ns, "hello"))
        begins_ns = max(now_ns, heapq.heappop(free))
        assert now_ns + call.queue_wait_ns == begins_ns
        heapq.heappush(free, begins_ns + call.duration_ns)


def test_all_functions_together_have_a_limit_too() -> None:
    model = platform(HELLO, replace(HELLO, name="other"), settings=replace(PLATFORM, max_instances=2))
    admitted(model.arrive(0, "hello"))
    admitted(model.arrive(0, "other"))
    assert rejected(model.arrive(0, "hello")).reason == "tenant_instances"
    assert model.live(0) == 2
    assert model.live(70 * S) == 0


# Functions that change


def test_changed_settings_take_new_instances_and_leave_calls_in_flight_alone() -> None:
    model = platform()
    warm = admitted(model.arrive(0, "hello"))
    long = admitted(model.arrive(0, "hello"))
    model.update(10 * MS, "hello", replace(HELLO, memory_mb=512))
    call = admitted(model.arrive(S, "hello"))
    assert (call.cold, call.memory_mb) == (True, 512)
    assert call.instance not in (warm.instance, long.instance)
    assert not admitted(model.arrive(2 * S, "hello")).cold


def test_instances_of_old_settings_count_until_their_calls_end() -> None:
    function = replace(HELLO, max_instances=1)
    model = platform(function)
    model.arrive(0, "hello")
    model.update(10 * MS, "hello", replace(function, memory_mb=512))
    assert rejected(model.arrive(10 * MS, "hello")).reason == "max_instances"
    assert admitted(model.arrive(20 * MS, "hello")).cold


def test_a_version_keeps_its_settings_and_has_instances_of_its_own() -> None:
    model = platform()
    model.arrive(0, "hello")
    model.publish("hello", "v1")
    model.update(S, "hello", replace(HELLO, memory_mb=512))
    old = admitted(model.arrive(2 * S, "hello", None, "v1"))
    assert (old.cold, old.memory_mb, old.version) == (True, 1024, "v1")
    with pytest.raises(KeyError):
        model.arrive(3 * S, "hello", None, "v2")


def test_reserved_instances_are_warm_from_the_beginning_and_never_end() -> None:
    model = platform(replace(HELLO, reserved=2, cold_start="r2-go"))
    later = 3600 * S
    calls = [admitted(model.arrive(later, "hello")) for _ in range(3)]
    assert [call.cold for call in calls] == [False, False, True]
    assert [admitted(model.arrive(2 * later, "hello")).cold for _ in range(3)] == [False, False, True]


def test_instances_reserved_later_take_calls_when_they_have_started() -> None:
    model = platform(replace(HELLO, initializer=Initializer(S, 0.0, 2 * S)))
    model.reserve(0, "hello", "latest", 1)
    assert admitted(model.arrive(S // 2, "hello")).cold
    call = admitted(model.arrive(2 * S, "hello"))
    assert not call.cold
    assert call.instance == "hello-1"


def test_instances_that_are_no_longer_reserved_end_like_all_others() -> None:
    model = platform(replace(HELLO, reserved=2))
    model.reserve(0, "hello", "latest", 0)
    assert model.live(59 * S) == 2
    assert model.live(60 * S) == 0


def test_reserved_instances_are_replaced_when_the_settings_change() -> None:
    model = platform(replace(HELLO, reserved=1))
    model.update(S, "hello", replace(HELLO, memory_mb=512))
    call = admitted(model.arrive(100 * S, "hello"))
    assert (call.cold, call.memory_mb) == (False, 512)


# Laws of a whole trace


def busy_periods(seed: int) -> Iterator[tuple[int, int]]:
    """Arrivals in bursts, with gaps on both sides of the keep-alive time."""
    random = Random(seed)
    now_ns = 0
    for _ in range(300):
        now_ns += int(random.choice((0.001, 0.05, 2.0)) * random.expovariate(1.0) * S)
        yield now_ns, random.randrange(3)


@pytest.mark.parametrize("seed", range(20))
def test_the_cold_starts_of_a_trace_lie_between_those_of_the_kindest_and_the_unkindest_routing(seed: int) -> None:
    """With one call per instance: routing to the idle instance closest to its end is the kindest."""
    model = platform(replace(HELLO, work=Work(100 * MS, 0.8)), settings=replace(PLATFORM, keep_alive_ns=S, seed=seed))
    calls = [admitted(model.arrive(now_ns, "hello")) for now_ns, _ in busy_periods(seed)]
    trace = [(call.received_ns, call.received_ns + call.duration_ns) for call in calls]
    fewest, most = (_colds(trace, S, recent=recent) for recent in (False, True))
    assert fewest <= sum(call.cold for call in calls) <= most
    assert fewest < len(trace)


def _colds(trace: list[tuple[int, int]], keep_alive_ns: int, *, recent: bool) -> int:
    free_at: list[int] = []
    colds = 0
    for start_ns, end_ns in trace:
        idle = [free for free in free_at if free <= start_ns < free + keep_alive_ns]
        if idle:
            free_at.remove(max(idle) if recent else min(idle))
        else:
            colds += 1
        free_at.append(end_ns)
    return colds


def test_everything_at_once_gives_a_byte_identical_truth_log() -> None:
    assert _eventful(1) == _eventful(1)
    assert _eventful(1) != _eventful(2)


def _eventful(seed: int) -> bytes:
    function = replace(
        HELLO,
        work=Work(50 * MS, 1.0),
        cold_start="r3",
        max_instances=6,
        concurrency=2,
        reserved=1,
        initializer=Initializer(50 * MS, 1.0, 200 * MS),
        timeout_ns=300 * MS,
        errors=0.05,
        faults=(Injected("FSS.0500", 0.02), Injected("4204", 0.05), Injected("4201", 0.3)),
    )
    model = platform(function, settings=replace(QUEUE, seed=seed, keep_alive_ns=S, queue_timeout_ns=100 * MS))
    log = []
    for number, (now_ns, what) in enumerate(busy_periods(7)):
        if number == 100:
            model.publish("hello", "v1")
            model.update(now_ns, "hello", replace(function, memory_mb=512))
        if number == 200:
            model.reserve(now_ns, "hello", "latest", 3)
        version = "v1" if number > 100 and what == 2 else "latest"
        log.append(truth_line(model.arrive(now_ns, "hello", 256 if what == 1 else None, version)))
    return b"".join(log)
