from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loadgen.measure.floor import Floor, Quantiles
from loadgen.run.calibration import store
from tests.e2e.conftest import Loadgen
from tests.measure.test_floor import FLOOR

SCENARIO = """
name: floor
target: {endpoint: emulator, function: hello}
phases: [{name: steady, rate: 1100/s, duration: 1500ms}]
emulator: {functions: {hello: {memory: 1024MB, work: {median: 2ms, sigma: 0.1}, cold_start: none}}}
"""

S = 1_000_000_000
HIGH = msgspec.structs.replace(FLOOR, service_time=Quantiles(10_000, S, S, S))


@pytest.mark.parametrize(
    ("floor", "ns"),
    [
        (HIGH, S),
        (msgspec.structs.replace(HIGH, environment=msgspec.structs.replace(HIGH.environment, build="x")), None),
    ],
    ids=["of this machine", "of another"],
)
def test_a_run_is_held_against_the_floor_of_its_machine_and_against_no_other(
    loadgen: Loadgen, tmp_path: Path, floor: Floor, ns: int | None
) -> None:
    (tmp_path / "loadgen").mkdir()
    store(floor, tmp_path / "loadgen")
    run = loadgen(SCENARIO, env={"XDG_STATE_HOME": str(tmp_path)})
    assert run.passed, run.stderr
    assert run.summary["generator"]["overhead_floor_ns"] == ns
    reasons = {reason["rule"]: reason for reason in run.summary["verdict"]["reasons"]}
    if ns is not None and run.code != 97 and run.summary["environment"]["arrival_clock"] == "read":
        assert (reasons["overhead_floor"]["severity"], reasons["overhead_floor"]["limit"]) == ("warning", 10 * S)
    elif ns is None or run.code != 97:
        assert "overhead_floor" not in reasons
