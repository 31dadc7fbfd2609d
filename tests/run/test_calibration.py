"""The overhead floor, measured by a real agent against the real stub, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from loadgen.engine.environment import environment
from loadgen.measure.floor import Quantiles
from loadgen.measure.interval import Frame
from loadgen.run.calibration import CalibrationError, Measured, against_stub, floor_of, store, stored
from loadgen.run.play import Played
from loadgen.targets.functiongraph.emulator.stub import ANSWER
from tests.frames import frame, plan, total

HERE = environment(agents=1, scenario_sha256="", synthetic=True)
AT = datetime(2026, 11, 22, 3, 15, tzinfo=UTC)


async def test_an_agent_sends_its_load_to_the_stub_and_every_answer_is_a_functions() -> None:
    measured = await against_stub(seconds=1)
    assert [(each.plan.name, each.plan.warmup, each.plan.closed) for each in measured] == [
        ("warm-up", True, True),
        ("open", False, False),
        ("closed", False, True),
    ]
    for phase in (each.total for each in measured):
        assert list(phase.faults()) == []
        assert phase.tally.outcomes == {"ok": phase.tally.planned}
        assert phase.merged("duration").count == phase.merged("memory_used").count == phase.tally.planned > 0
    phase = measured[1].total
    assert phase.tally.planned == 1000
    assert b'"duration":0.001' in ANSWER
    assert phase.merged("duration").counts == {1: 1000}


def phases(outcomes: Mapping[str, int], *, cpu: float = 0.3, disturbed: int = 0, service_us: int = 150) -> Measured:
    """A calibration in which the open and the closed phase went like this."""

    def one(name: str) -> Frame:
        n = outcomes.get("ok", 0)
        metrics = {"ok/service_time": [service_us] * n, "ok/late": [5 if name == "open" else 50] * n}
        latencies = {outcome: [service_us + 5] * count for outcome, count in outcomes.items()}
        moved = {"ok": [2_000] * disturbed} if disturbed and name == "open" else {}
        made = frame(latencies, disturbed=moved, phase=name, metrics=metrics)
        busy = cpu if name == "closed" else 0.3
        made.health = msgspec.structs.replace(made.health, cpu_ns=int(busy * 1e9))
        return made

    return [
        Played(plan("warm-up", closed=True, warmup=True), total(frame({"ok": [1]}, phase="warm-up"))),
        Played(plan("open", drawn=sum(outcomes.values()) + disturbed), total(one("open"))),
        Played(plan("closed", closed=True), total(one("closed"))),
    ]


def test_the_floor_is_what_was_measured_where_and_when() -> None:
    floor = floor_of(phases({"ok": 10_000}), HERE, AT)
    assert (floor.measured_at, floor.environment, floor.rate_per_s) == ("2026-11-22T03:15:00Z", HERE, 1000)
    assert floor.latency == Quantiles(10_000, 155_000, 155_000, 155_000)
    assert floor.service_time == floor.closed == Quantiles(10_000, 150_000, 150_000, 150_000)


def test_a_worker_that_does_nothing_but_invoke_may_keep_its_agent_busy() -> None:
    assert floor_of(phases({"ok": 1000}, cpu=0.99), HERE, AT).closed.p99_ns == 150_000


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (phases({"ok": 1000}, disturbed=300), "The load generator itself disturbed 300 of 1300 invocations"),
        (phases({"ok": 999, "connection": 1}), "The stub did not answer 2 invocations: connection"),
    ],
    ids=["late", "failed"],
)
def test_a_busy_machine_or_a_failed_call_leaves_no_floor_and_says_why(measured: Measured, why: str) -> None:
    with pytest.raises(CalibrationError, match=f"nothing is kept of this calibration; try again. {why}"):
        floor_of(measured, HERE, AT)


def test_the_last_floor_is_kept_and_what_is_no_floor_is_none(tmp_path: Path) -> None:
    assert stored(tmp_path) is None
    first, second = (floor_of(phases({"ok": 1000}, service_us=us), HERE, AT) for us in (100, 200))
    store(first, tmp_path)
    store(second, tmp_path)
    assert stored(tmp_path) == second
    assert [path.name for path in tmp_path.iterdir()] == ["floor.json"]
    (tmp_path / "floor.json").write_text("{}")
    assert stored(tmp_path) is None
