from __future__ import annotations

import pytest

from loadgen.load.budget import Budget
from loadgen.load.phase import Phase
from loadgen.measure.guard import FEWEST, Guard
from loadgen.measure.interval import Frame
from tests.frames import frame
from tests.scenarios import closed_phase, open_phase

STEADY = open_phase(100, 60)


def second(n: int, ok: int = 0, *, throttled: int = 0, timeout: int = 0, in_flight: int = 0) -> Frame:
    """What happened in second ``n``."""
    outcomes = {"ok": ok, "throttled": throttled, "timeout": timeout}
    made = frame({name: [1] * count for name, count in outcomes.items() if count}, seq=n)
    made.tally.started += in_flight
    return made


def ended_at(watch: Guard, *frames: Frame, phase: Phase = STEADY) -> tuple[int, str] | None:
    for n, each in enumerate(frames):
        if (why := watch.reached(phase, each)) is not None:
            return n, why
    return None


NONE = Budget(None, None)


def test_a_run_without_a_budget_goes_on() -> None:
    assert ended_at(Guard(NONE), second(0, timeout=1000), second(1, throttled=1000)) is None


@pytest.mark.parametrize("name", ["errors", "throttled"])
def test_a_share_above_its_limit_ends_the_run_once_there_are_enough(name: str) -> None:
    budget = Budget(None, None, **{name: 0.5})  # type: ignore[arg-type]
    half, fewer = FEWEST // 2, FEWEST - 1
    assert ended_at(Guard(budget), second(0, throttled=fewer)) is None
    assert ended_at(Guard(budget), second(0, half, throttled=half)) is None
    found = ended_at(Guard(budget), second(0, throttled=fewer), second(1, throttled=1))
    assert found is not None
    what = "were throttled" if name == "throttled" else "were not ok"
    assert found == (1, f"budget.{name}: 50 of the last 50 invocations {what}, more than 50 %")


def test_failures_that_are_not_throttling_do_not_count_as_throttled() -> None:
    assert ended_at(Guard(Budget(None, None, throttled=0.5)), second(0, timeout=1000)) is None


def test_a_good_hour_does_not_hide_an_outage_and_one_bad_second_is_none() -> None:
    budget = Budget(None, None, errors=0.5)
    good = [second(n, 100) for n in range(3600)]
    assert (
        ended_at(Guard(budget), *good, second(3600, throttled=100), *(second(n, 100) for n in range(3601, 3620)))
        is None
    )
    found = ended_at(Guard(budget), *good, *(second(n, throttled=100) for n in range(3600, 3620)))
    assert found is not None
    assert found[0] in (3602, 3603)


def test_a_start_that_finds_all_allowed_invocations_in_flight_ends_the_run() -> None:
    short = second(0, 5, in_flight=10)
    short.short_of_workers = True
    budget = Budget(None, None, in_flight=10)
    found = ended_at(Guard(budget), short, phase=open_phase(100, 1, limit=10))
    assert found is not None
    assert found[1].startswith("budget.in_flight: all 10 invocations")
    assert ended_at(Guard(budget), short, phase=open_phase(100, 1, limit=5)) is None  # the phase's own limit
    assert ended_at(Guard(budget), short, phase=closed_phase(10, 1)) is None
    assert ended_at(Guard(budget), second(0, 5, in_flight=10), phase=open_phase(100, 1, limit=10)) is None
