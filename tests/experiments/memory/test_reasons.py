from __future__ import annotations

import msgspec

from loadgen.experiments.memory.findings import MemoryResult, MemoryRule, MemorySize
from loadgen.experiments.memory.reasons import found
from loadgen.measure.summary import Reason


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


def reasons(result: MemoryResult) -> list[Reason]:
    return list(found(result).reasons([], ()))


def test_a_size_recommended_on_few_instances_is_a_warning() -> None:
    (reason,) = reasons(memory(9))
    assert (reason.rule, reason.severity, reason.value, reason.limit) == ("few_instances", "warning", 9, 10)
    assert reasons(memory(10)) == []


def test_smaller_sizes_that_do_not_break_a_rule_speak_for_a_larger_one_and_others_do_not() -> None:
    of = memory(6)
    (own,) = of.sizes
    for memory_mb, verdict, warns in ((256, "open", False), (256, "broken", True), (1024, "met", True)):
        rule = MemoryRule("latency.p99 < 1s", verdict, 0, 90, None)
        other = msgspec.structs.replace(own, memory_mb=memory_mb, rules=[rule], cold=24)
        assert bool(reasons(msgspec.structs.replace(of, sizes=[own, other]))) is warns


def test_costs_have_intervals_that_allow_for_few_instances_so_they_alone_are_no_matter() -> None:
    assert reasons(memory(4, rules=())) == []


def test_a_comparison_in_which_nothing_can_be_compared_is_a_warning_with_its_reason() -> None:
    nothing = msgspec.structs.replace(memory(10), reference_mb=None, recommended_mb=None, why="Dynamic memory is off.")
    (reason,) = reasons(nothing)
    assert (reason.rule, reason.severity, reason.message) == ("nothing_compared", "warning", "Dynamic memory is off.")
