from __future__ import annotations

import msgspec
import pytest

from loadgen.invocation.start import Cuts
from loadgen.measure.experiment import (
    ColdStartsResult,
    Labelling,
    LoadResult,
    MemoryResult,
    MemorySize,
    PoolCheck,
    Population,
)
from loadgen.measure.findings import findings, mixture_of, unknown_starts
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.summary import Reason
from tests.frames import frame, total

S = 1_000_000_000
TOLD = Labelling("warm-up", 900, None, Cuts(60_000_000, 90_000_000), 6.0, 0.9999, 0.99999)


def phase(*, cold: int = 0, warm: int = 0, unknown: int = 0) -> PhaseTotal:
    """A phase with so many ok invocations of each label."""
    counts = [(start, n) for start, n in (("cold", cold), ("warm", warm), ("unknown", unknown)) if n]
    frames = [
        frame({"ok": [20_000] * n}, start=start, seq=seq, final=seq == len(counts) - 1)
        for seq, (start, n) in enumerate(counts)
    ]
    return total(*frames)


def of_load(total: PhaseTotal, sensitivity: float, specificity: float, asked: tuple[str, ...] = ()) -> list[Reason]:
    labelling = msgspec.structs.replace(TOLD, sensitivity=sensitivity, specificity=specificity)
    return list(findings(LoadResult(labelling), [total], asked))


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


def memory(instances: int, rules: tuple[str, ...] = ("latency.p99 < 1s",)) -> MemoryResult:
    size = MemorySize(
        memory_mb=512, status="compared", why="", invocations=100, warm=90, cold=instances, unsure=0, failed=0,
        rounds=4, service_time_ns={}, duration_ns={}, billed_duration_ns={}, cost=None, cost_ratio=None, cost_p=None,
        duration_ratio=None, duration_p=None, cold_service_time_p50_ns=None, cold_billed_duration_mean_ns=None,
        cold_cost=None, rules=[], cheapest_share=1.0, tied=True, pareto=True,
    )  # fmt: skip
    return MemoryResult(
        version=1, by="header", rules=[*rules], cost_unit="GB-s", reference_mb=512, recommended_mb=512, decided=True,
        tied_mb=[512], why="", more_invocations=None, rounds=4, invocations=100, instance_deviation=0.1, precision=None,
        shortened=instances < 10, share_url=None, sizes=[size], notes=[],
    )  # fmt: skip


# mixed_starts


def test_labels_that_hardly_err_mix_nothing() -> None:
    assert of_load(phase(cold=500, warm=9_500), 0.9999, 0.99999) == []


def test_cold_ones_among_the_warm_withhold_the_warm_figures() -> None:
    (reason,) = of_load(phase(cold=500, warm=9_500), 0.97, 0.99999)
    assert (reason.rule, reason.severity, reason.withholds, reason.phase) == (
        "mixed_starts",
        "withheld",
        "warm",
        "steady",
    )
    assert reason.value == pytest.approx(500 / 0.97 * 0.03 / 9_500, rel=0.01)
    assert reason.message.startswith(
        "Of 9500 invocations called warm by their overhead about 0.2% are cold, expected at most 0.1%"
    )


def test_where_cold_starts_are_rare_even_rare_slips_are_much_of_what_is_called_cold() -> None:
    """The same labels are good enough where a twentieth is cold."""
    assert of_load(phase(cold=1_000, warm=19_000), 1.0, 0.9999) == []
    (reason,) = of_load(phase(cold=20, warm=19_980), 1.0, 0.9999)
    assert reason.withholds == "cold"
    assert reason.value == pytest.approx(0.1, rel=0.02)


def test_of_so_few_that_nothing_is_shown_nothing_is_said_unless_a_threshold_asks() -> None:
    few = phase(cold=2, warm=19_998)
    assert of_load(few, 1.0, 0.9999) == []
    assert [reason.withholds for reason in of_load(few, 1.0, 0.9999, ("cold",))] == ["cold"]


def test_the_mixture_of_labels_follows_from_how_often_they_err() -> None:
    assert mixture_of(0, 0, 0.9, 0.9) == (0.0, 0.0)
    assert mixture_of(0, 100, 0.9, 0.99) == (0.0, 0.0)
    assert mixture_of(1, 9_999, 1.0, 0.99) == (0.0, 1.0)  # fewer than slips alone would give
    among_warm, among_cold = mixture_of(900 * 9 // 10 + 91, 9_100 - 91 + 90, 0.9, 0.99)  # 900 of 10,000 are cold
    assert among_warm == pytest.approx(90 / 9_099, rel=0.01)
    assert among_cold == pytest.approx(91 / 901, rel=0.01)


def test_figures_of_the_cold_starts_experiment_are_withheld_alike() -> None:
    mixed = msgspec.structs.replace(TOLD, sensitivity=0.97)
    (reason,) = findings(cold_starts(labelling=mixed), [])
    assert (reason.rule, reason.withholds, reason.phase) == ("mixed_starts", "warm", None)
    assert list(findings(cold_starts(), [])) == []


# starts_unknown and pool_mismatch


def test_an_experiment_whose_invocations_cannot_be_told_apart_says_so() -> None:
    abstained = Labelling("gap-1", 1100, "about 8 cold calls, at least 30 needed")
    (reason,) = findings(cold_starts(labelling=abstained, evidence={"none": 1100}), [])
    assert (reason.rule, reason.severity, reason.withholds, reason.value) == ("starts_unknown", "warning", None, 1.0)
    assert "(about 8 cold calls, at least 30 needed)" in reason.message


def test_a_few_invocations_without_evidence_beside_a_probe_are_no_matter() -> None:
    told_by_probe = cold_starts(evidence={"none": 5, "probe": 1095}, labelling=Labelling("gap-1", 5, "too few"))
    assert list(findings(told_by_probe, [])) == []


def test_starts_of_a_phase_are_unknown_when_more_than_a_hundredth_has_no_label() -> None:
    assert unknown_starts(phase(warm=990, unknown=10)) is None
    assert unknown_starts(phase(warm=989, unknown=11)) == (11, 1000)


@pytest.mark.parametrize(
    ("seen", "unclear", "says"),
    [(95, 0, None), (105, 0, None), (94, 1, None), (94, 0, "starts instances ahead"), (106, 0, "ends instances early")],
)
def test_a_number_of_cold_starts_that_this_traffic_cannot_have_is_mentioned(
    seen: int, unclear: int, says: str | None
) -> None:
    found = list(findings(cold_starts(pool=PoolCheck(95, 105, seen, unclear, 59 * S, 61 * S)), []))
    assert [reason.rule for reason in found] == ([] if says is None else ["pool_mismatch"])
    assert says is None or says in found[0].message


# few_instances


def test_a_size_recommended_on_few_instances_is_a_warning() -> None:
    (reason,) = findings(memory(9), [])
    assert (reason.rule, reason.severity, reason.value, reason.limit) == ("few_instances", "warning", 9, 10)
    assert list(findings(memory(10), [])) == []


def test_costs_have_intervals_that_allow_for_few_instances_so_they_alone_are_no_matter() -> None:
    assert list(findings(memory(4, rules=()), [])) == []


def test_a_comparison_in_which_nothing_can_be_compared_is_a_warning_with_its_reason() -> None:
    nothing = msgspec.structs.replace(memory(10), reference_mb=None, recommended_mb=None, why="Dynamic memory is off.")
    (reason,) = findings(nothing, [])
    assert (reason.rule, reason.severity, reason.message) == ("nothing_compared", "warning", "Dynamic memory is off.")
