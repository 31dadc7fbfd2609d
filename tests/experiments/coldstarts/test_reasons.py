from __future__ import annotations

import msgspec
import pytest

from loadgen.experiments.coldstarts.findings import ColdStartsResult, PoolCheck, Population
from loadgen.experiments.coldstarts.reasons import found
from loadgen.invocation.start import Cuts
from loadgen.measure.labelling import Labelling
from loadgen.measure.summary import Reason

S = 1_000_000_000
TOLD = Labelling("warm-up", 900, None, Cuts(60_000_000, 90_000_000), 6.0, 0.9999, 0.99999)


def cold_starts(**changes: object) -> ColdStartsResult:
    result = ColdStartsResult(
        version=1,
        complete=True,
        evidence={"mixture": 1100},
        labelling=TOLD,
        means=[],
        cold=Population(100, {}),
        warm=Population(1000, {}),
        penalty_ns=None,
        billed_penalty_ns=None,
        penalty_cost=None,
        cost_unit="GB-s",
        keep_alive=None,
        pool=PoolCheck(95, 105, 100, 0, 59 * S, 61 * S),
        notes=[],
    )
    return msgspec.structs.replace(result, **changes)


def reasons(result: ColdStartsResult) -> list[Reason]:
    return list(found(result).reasons([], ()))


def test_figures_of_the_cold_starts_experiment_are_withheld_alike() -> None:
    mixed = msgspec.structs.replace(TOLD, sensitivity=0.97)
    (reason,) = reasons(cold_starts(labelling=mixed))
    assert (reason.rule, reason.withholds, reason.phase) == ("mixed_starts", "warm", None)
    assert reasons(cold_starts()) == []


def test_an_experiment_whose_invocations_cannot_be_told_apart_says_so() -> None:
    abstained = Labelling("gap-1", 1100, "about 8 cold calls, at least 30 needed")
    (reason,) = reasons(cold_starts(labelling=abstained, evidence={"none": 1100}))
    assert (reason.rule, reason.severity, reason.withholds, reason.value) == ("starts_unknown", "warning", None, 1.0)
    assert "(about 8 cold calls, at least 30 needed)" in reason.message


def test_a_few_invocations_without_evidence_beside_a_probe_are_no_matter() -> None:
    told_by_probe = cold_starts(evidence={"none": 5, "probe": 1095}, labelling=Labelling("gap-1", 5, "too few"))
    assert reasons(told_by_probe) == []


@pytest.mark.parametrize(
    ("seen", "unclear", "says"),
    [(95, 0, None), (105, 0, None), (94, 1, None), (94, 0, "starts instances ahead"), (106, 0, "ends instances early")],
)
def test_a_number_of_cold_starts_that_this_traffic_cannot_have_is_mentioned(
    seen: int, unclear: int, says: str | None
) -> None:
    found = reasons(cold_starts(pool=PoolCheck(95, 105, seen, unclear, 59 * S, 61 * S)))
    assert [reason.rule for reason in found] == ([] if says is None else ["pool_mismatch"])
    assert says is None or says in found[0].message
