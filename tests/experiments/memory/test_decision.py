from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from loadgen.experiments.decision import Ask, Seen
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.decision import compare
from loadgen.experiments.memory.findings import MemoryResult
from loadgen.invocation.bill import GB_SECONDS, Rates
from loadgen.invocation.metric import Metric
from loadgen.invocation.sample import Sample
from loadgen.measure.rule import MetricRule, ShareRule
from loadgen.measure.summary import Reason, Verdict
from loadgen.text.units import NS_PER_S
from tests.simulate.memory import Function, FunctionWorld
from tests.simulate.world import play

STEADY = Function(0.1, 0.0, 1, 0.2, 60, 0.0, "affine", 0.0, 0.0, 0.0)
"""100 ms of work on one thread: 333 ms at 128 MB, 100 ms from 1024 MB on."""
SIZES = (128, 256, 512, 1024, 2048)


class Watched:
    """A world that keeps what it is asked for, and shows it changed."""

    def __init__(
        self,
        function: Function = STEADY,
        changed: Callable[[Sample], Sample] = lambda sample: sample,
        seen: Callable[[int, Seen], Seen] = lambda number, seen: seen,
    ) -> None:
        self.world = FunctionWorld(function, 1)
        self.asks: list[Ask] = []
        self._changed = changed
        self._seen = seen

    def run(self, ask: Ask) -> Seen:
        self.asks.append(ask)
        seen = self.world.run(ask)
        seen = msgspec.structs.replace(seen, samples=tuple(map(self._changed, seen.samples)))
        return self._seen(len(self.asks), seen)


def rule(percentile: float, limit_ms: int) -> MetricRule:
    text = f"latency.p{percentile:g} < {limit_ms}ms"
    return MetricRule(text, None, None, Metric.LATENCY, "p", percentile, limit_ms * 1_000_000)


def found(
    world: Watched,
    *slo: MetricRule | ShareRule,
    sizes: tuple[int, ...] = SIZES,
    rounds: int = 10,
    by: MemoryBy = MemoryBy.HEADER,
    rates: Rates = GB_SECONDS,
) -> MemoryResult:
    settings = MemoryComparison(sizes, by, 20, rounds, slo, 0.02, 90 * NS_PER_S)
    return play(compare(settings, rates, 1, 100 * NS_PER_S), world)


def test_without_rules_the_cheapest_size_is_taken() -> None:
    result = found(Watched())
    assert result.recommended_mb == 128
    assert result.tied_mb == [128]
    assert result.decided
    assert result.why == "128 MB is the cheapest size."


def test_with_a_rule_the_cheapest_size_that_meets_it_is_taken() -> None:
    result = found(Watched(), rule(95, 260))
    assert (result.recommended_mb, result.decided) == (512, True)
    by_size = {each.memory_mb: each.rules[0].verdict for each in result.sizes}
    assert by_size[128] == by_size[256] == "broken"
    assert by_size[512] == "met"


def test_the_precision_is_told_of_sizes_that_are_not_told_apart_and_of_one_alone_there_is_none() -> None:
    assert found(Watched()).precision is None
    alike = found(Watched(), sizes=(1792, 2048), rounds=3)
    assert (alike.tied_mb, alike.shortened) == ([1792, 2048], True)
    assert alike.precision is not None
    unlikely = found(Watched(), rule(95, 260))  # the other tied size is hardly called any more
    assert unlikely.tied_mb == [512, 1024]
    assert unlikely.precision is not None
    assert unlikely.precision > 0.01
    assert "±0.0%" not in unlikely.next


def test_a_rule_that_every_size_breaks_is_said_to_be_met_by_none() -> None:
    result = found(Watched(), rule(95, 50))
    assert (result.recommended_mb, result.tied_mb) == (None, [])
    assert result.why == "No size meets the rules (latency.p95 < 50ms)."


def test_too_few_calls_for_a_rule_leave_it_open_and_say_how_many_more_are_needed() -> None:
    result = found(Watched(), rule(99, 10_000), rounds=3)
    assert result.recommended_mb is None
    assert not result.decided
    assert result.more_invocations is not None
    assert "Undecided" in result.why
    assert f"about {result.more_invocations} more" in result.why


def test_a_round_is_made_of_complete_blocks_after_silence_but_for_the_first() -> None:
    world = Watched()
    found(world, rounds=3)
    check, first, second, third = world.asks
    assert (check.idle_ns, first.idle_ns, second.idle_ns, third.idle_ns) == (0, 0, 90 * NS_PER_S, 90 * NS_PER_S)
    for ask, passes in ((check, 1), (first, 5), (second, 6)):
        (turns,) = ask.memory_mb
        assert isinstance(turns, tuple)
        blocks = [turns[start : start + len(SIZES)] for start in range(0, len(turns), len(SIZES))]
        assert len(blocks) == passes
        assert all(sorted(block) == list(SIZES) for block in blocks)


def test_each_ask_says_what_it_is_for_and_how_sizes_stood_by_then() -> None:
    world = Watched()
    found(world, rule(95, 260))
    purposes, known = (
        [getattr(ask, name).replace("\u00a0", " ") for ask in world.asks] for name in ("purpose", "found")
    )
    assert purposes[0] == "one call at each size"
    assert purposes[2] == "30 calls at 128, 256, 512, 1024, 2048 MB in turns, round 2"
    assert known[0] == ""
    assert "128 MB broken" in known[-1]
    switching = Watched()
    found(switching, by=MemoryBy.CONFIG, rounds=3)
    assert "calls at " in switching.asks[0].purpose
    assert switching.asks[0].purpose.endswith(", round 1")


def test_calls_go_to_the_sizes_that_may_still_be_the_answer() -> None:
    world = Watched()
    found(world, rule(95, 260))
    turns = [turns for ask in world.asks[4:] for turns in ask.memory_mb if isinstance(turns, tuple)]
    late = Counter(size for each in turns for size in each)
    assert late[512] > 100
    assert late[2048] == 0


def test_cold_calls_are_kept_apart() -> None:
    result = found(Watched(), rounds=3)
    for each in result.sizes:
        assert (each.cold, each.unsure) == (2, 1)  # nothing is known of the instances before the first call
        assert each.warm == each.invocations - 3
        assert each.cold_service_time_p50_ns is not None
        assert each.cold_service_time_p50_ns > 1.3 * each.service_time_ns["p50"].value


def test_a_size_that_runs_out_of_memory_is_left_out_and_reported() -> None:
    result = found(Watched(msgspec.structs.replace(STEADY, needs_mb=200)))
    assert result.recommended_mb == 256
    left_out = result.sizes[0]
    assert (left_out.memory_mb, left_out.status, left_out.invocations) == (128, "failed", 1)
    assert left_out.why == "out_of_memory: 4205"


def test_dynamic_memory_that_is_off_ends_the_comparison() -> None:
    world = Watched(changed=lambda sample: msgspec.structs.replace(sample, memory_size_mb=512))
    result = found(world)
    assert result.recommended_mb is None
    assert len(world.asks) == 2
    assert "ran with 512 MB" in result.why
    assert "Dynamic memory is off" in result.why


def test_a_function_that_always_fails_gives_no_answer() -> None:
    def failed(sample: Sample) -> Sample:
        return msgspec.structs.replace(sample, outcome="function_error", reason="4002")

    result = found(Watched(changed=failed))
    assert result.why == "Nothing can be compared: no call succeeded."
    assert all(each.status == "failed" for each in result.sizes)


def test_answers_without_a_bill_give_no_answer() -> None:
    def silent(sample: Sample) -> Sample:
        return msgspec.structs.replace(sample, duration_ns=None, billed_duration_ns=None, memory_size_mb=None)

    assert "no answer says what was billed" in found(Watched(changed=silent)).why


def test_failed_calls_break_rules_and_are_in_no_time() -> None:
    numbers = iter(range(10**6))

    def some_fail(sample: Sample) -> Sample:
        fails = next(numbers) % 4 == 0
        return msgspec.structs.replace(sample, outcome="function_error", reason="4002") if fails else sample

    result = found(Watched(changed=some_fail), ShareRule("errors < 5%", None, "errors", 0.05))
    assert result.why == "No size meets the rules (errors < 5%)."
    assert all(each.failed + each.warm + each.cold <= each.invocations for each in result.sizes)


@pytest.mark.parametrize("metric", [Metric.LATENCY, Metric.SERVICE_TIME, Metric.DURATION])
@pytest.mark.parametrize("outcome", ["throttled", "gateway", "function_error"])
def test_calls_that_fail_at_once_are_above_every_limit(metric: Metric, outcome: str) -> None:
    """Four of five are over within a millisecond, and the limit is a minute: no size has a median below it."""
    numbers = iter(range(10**6))

    def refused(sample: Sample) -> Sample:
        if next(numbers) * 37 % 100 >= 80 or sample.started_ns is None:
            return sample
        ended_ns, duration_ns = sample.started_ns + 1_000_000, 500_000
        return msgspec.structs.replace(sample, outcome=outcome, ended_ns=ended_ns, duration_ns=duration_ns)

    wanted = MetricRule(f"{metric.value}.p50 < 1m", None, None, metric, "p", 50, 60 * NS_PER_S)
    result = found(Watched(changed=refused), wanted)
    assert result.recommended_mb is None
    assert {rule.verdict for each in result.sizes for rule in each.rules} == {"broken"}


def test_a_run_cut_short_says_what_is_known() -> None:
    def stopped(number: int, seen: Seen) -> Seen:
        return msgspec.structs.replace(seen, stopped=True) if number == 4 else seen

    world = Watched(seen=stopped)
    result = found(world, rule(95, 260))
    assert len(world.asks) == 4
    assert result.rounds == 3
    assert result.shortened
    assert all(each.warm for each in result.sizes)


def test_a_run_that_ends_before_anything_was_seen_has_a_result() -> None:
    world = Watched(seen=lambda number, seen: Seen((), (), Verdict("invalid", []), stopped=True))
    assert found(world).why == "Nothing can be compared: no call succeeded."


def test_a_round_in_which_the_load_generator_failed_is_left_out() -> None:
    stalled = Verdict("invalid", [Reason("generator_stalled", "invalid", "it stood still", 1.0, 0.1)])

    def invalid(number: int, seen: Seen) -> Seen:
        return msgspec.structs.replace(seen, verdict=stalled) if number == 3 else seen

    result = found(Watched(seen=invalid), rounds=4)
    assert result.notes[0] == "round-2 is left out, as the load generator failed in it: it stood still"
    assert result.recommended_mb == 128


def test_a_change_of_settings_goes_through_the_sizes_there_and_back() -> None:
    world = Watched()
    result = found(world, by=MemoryBy.CONFIG, rounds=3)
    order = [ask.resized_mb for ask in world.asks]
    assert not any(ask.memory_mb for ask in world.asks)
    assert sorted(map(str, order[:5])) == sorted(map(str, SIZES))
    assert order[5:10] == order[:5][::-1]
    assert result.recommended_mb == 128


@pytest.mark.parametrize(("fee", "best"), [(0.0, 128), (1e-3, 128)])
def test_the_fee_for_each_call_is_part_of_its_cost(fee: float, best: int) -> None:
    result = found(Watched(), rates=Rates("CNY", 1e-4, fee), rounds=3)
    cheapest = next(each for each in result.sizes if each.memory_mb == best)
    assert cheapest.cost is not None
    billed_s = cheapest.billed_duration_ns["mean"].value / 1e9
    assert cheapest.cost.value == pytest.approx(1e6 * (fee + 1e-4 * best / 1024 * billed_s))


def test_figures_are_those_of_the_function() -> None:
    result = found(Watched(), rule(95, 260))
    taken = next(each for each in result.sizes if each.memory_mb == 512)
    mean = taken.duration_ns["mean"]
    assert mean.low is not None
    assert mean.high is not None
    assert mean.low <= 0.1 / 0.6 * 1.0202 * 1e9 <= mean.high
    assert taken.service_time_ns["p50"].low is not None
    assert taken.service_time_ns["p99"].low is None
    assert taken.cheapest_share is not None
    assert taken.cheapest_share > 0.95
