from __future__ import annotations

from msgspec.structs import replace

from loadgen.experiments.capacity.findings import CapacityProbe, CapacityResult
from loadgen.experiments.capacity.section import section

PROBE = CapacityProbe(
    phase="probe-01",
    rate_per_s=20,
    approach="next",
    verdict="fail",
    why="errors < 1% is not met",
    invocations=2000,
    broken=[1500],
    throttled=1500,
    failed=1500,
    colds=0,
    inflation=1.0,
    measured_ns=100_000_000_000,
    settling_ns=0,
    settling_colds=0,
    p50_ns=None,
    p95_ns=None,
    p99_ns=None,
)
RESULT = CapacityResult(
    1, ["errors < 1%"], None, 0, False, None, None, None, "", None, None, None, None, None, None, {}, None, None, 0,
    [], [],
)  # fmt: skip


def latencies(probe: CapacityProbe) -> list[str]:
    (row,) = section(replace(RESULT, probes=[probe])).tables[1].rows
    return [cell.text for cell in row[7:10]]


def test_a_percentile_among_calls_that_failed_says_so_and_one_of_too_few_is_a_dash() -> None:
    assert latencies(PROBE) == ["failed"] * 3
    assert latencies(replace(PROBE, failed=60, p50_ns=9_000_000)) == ["9.00\N{NO-BREAK SPACE}ms", "—", "failed"]
    assert latencies(replace(PROBE, failed=900, invocations=900)) == ["failed", "failed", "—"]


def test_the_table_says_which_calls_its_latencies_are_over() -> None:
    note = section(replace(RESULT, probes=[PROBE])).tables[1].notes[0]
    assert "over all invocations of the settled part, and what is not ok ranks above every ok one" in note
