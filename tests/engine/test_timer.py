from __future__ import annotations

import asyncio
import platform
import struct
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.clock import monotonic_ns
from loadgen.engine.timer import ALARM, Budget, LoopAlarm, TimerfdAlarm

MS = 1_000_000


@pytest.fixture(params=[pytest.param(LoopAlarm, id="call_later"), pytest.param(ALARM, id="best")])
def kind(request: pytest.FixtureRequest) -> type[TimerfdAlarm | LoopAlarm]:
    chosen: type[TimerfdAlarm | LoopAlarm] = request.param
    return chosen


async def ring(kind: type[TimerfdAlarm | LoopAlarm], at_ns: Callable[[int], int]) -> int:
    """How long after its setting an alarm rings, in ns."""
    rang = asyncio.Event()
    alarm = kind(asyncio.get_running_loop(), rang.set)
    begun = monotonic_ns()
    alarm.set(at_ns(begun))
    await asyncio.wait_for(rang.wait(), 5)
    alarm.close()
    return monotonic_ns() - begun


async def test_an_alarm_rings_at_its_instant(kind: type[TimerfdAlarm | LoopAlarm]) -> None:
    # early by its own resolution is allowed, and late only by what a busy machine takes
    assert 19 * MS <= await ring(kind, lambda now: now + 20 * MS) < 1000 * MS


@pytest.mark.parametrize("at_ns", [0, 1])
async def test_an_instant_that_has_passed_rings_at_once(kind: type[TimerfdAlarm | LoopAlarm], at_ns: int) -> None:
    assert await ring(kind, lambda now: at_ns) < 1000 * MS


async def test_setting_an_alarm_again_replaces_its_instant(kind: type[TimerfdAlarm | LoopAlarm]) -> None:
    rings: list[int] = []
    alarm = kind(asyncio.get_running_loop(), lambda: rings.append(monotonic_ns()))
    begun = monotonic_ns()
    alarm.set(begun + 10 * MS)
    alarm.set(begun + 60 * MS)
    await asyncio.sleep(0.1)
    assert len(rings) == 1
    assert rings[0] - begun >= 59 * MS
    alarm.close()


async def test_a_closed_alarm_never_rings(kind: type[TimerfdAlarm | LoopAlarm]) -> None:
    rings: list[int] = []
    alarm = kind(asyncio.get_running_loop(), lambda: rings.append(1))
    alarm.set(monotonic_ns() + 10 * MS)
    alarm.close()
    await asyncio.sleep(0.03)
    assert rings == []


sleeps = st.lists(st.tuples(st.integers(-MS, 10 * MS), st.integers(-100_000, 5 * MS)))


@given(sleeps)
def test_at_most_a_fifth_of_what_would_be_slept_is_spent_waiting_awake(sleeps: list[tuple[int, int]]) -> None:
    """Each sleep has a length, and ends so much after its end, or before it because another one replaces it."""
    budget, now, slept, awake = Budget(0), 0, 0, 0
    for length, after in sleeps:
        early = budget.draw(now, now + length)
        assert 0 <= early <= max(0, length)
        end = max(now, now + length + after)
        slept += max(0, min(end, now + length) - now)
        if end >= now + length - early:
            awake += early
        now = end
    assert awake <= slept / 5


def test_some_sleep_pays_for_waking_up_early() -> None:
    budget = Budget(0)
    assert budget.draw(0, MS) == 0
    assert budget.draw(MS, 2 * MS) == 60_000


_SLICE = """
import asyncio, ctypes
from loadgen.engine.timer import ALARM
async def main():
    ALARM(asyncio.get_running_loop(), print).close()
    attr = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(315, 0, attr, 48, 0) == 0
    print(attr.raw.hex())
asyncio.run(main())
"""


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="asks for the slice by its number on Linux x86-64"
)
def test_who_waits_for_alarms_has_short_slices_where_linux_grants_them_and_is_else_as_before() -> None:
    said = subprocess.run(["nice", "-n", "3", sys.executable, "-c", _SLICE], capture_output=True, text=True, check=True)
    size, policy, flags, nice, priority, slice_ns, _, _ = struct.unpack("=IIQiIQQQ", bytes.fromhex(said.stdout))
    assert (size, policy, flags, nice, priority) == (48, 0, 0, 3, 0)
    if slice_ns == 0:
        pytest.skip("this kernel is older than Linux 6.12, which is the first that grants slices")
    assert slice_ns == 100_000
