"""A rule over windows ends as its worst window does, whatever the agents, and says which one that was."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.interval import Frame, Health
from loadgen.measure.merge import phase_summary, totals
from loadgen.measure.rule import MetricRule, Rule, ShareRule, parse
from loadgen.measure.summary import ThresholdResult, Verdict
from loadgen.measure.threshold import evaluate, named_percentiles
from loadgen.measure.window import Broken, Part, Watched, Watcher
from tests.frames import NS_PER_S, frame, plan, total

VALID = Verdict("valid", [])
Calls = Mapping[str, Sequence[int]]
"""Latencies, in µs, by outcome."""


def second(
    at: int,
    calls: Calls | None = None,
    *,
    disturbed: Calls | None = None,
    agent: int = 0,
    final: bool = False,
    load_s: float = 0,
    phase: str = "steady",
) -> Frame:
    """What an agent reports of a second: its last frame says for how long it sent load."""
    given, ours = ({outcome: each for outcome, each in (some or {}).items() if each} for some in (calls, disturbed))
    made = frame(given, disturbed=ours, agent=agent, seq=at, final=final, phase=phase)
    made.load_ns = round(load_s * NS_PER_S)
    return made


def watch(rules: Sequence[Rule], frames: Iterable[Frame], seconds: float, *, agents: int = 1) -> Watcher:
    watcher = Watcher(rules, agents)
    watcher.begin("steady", round(seconds * NS_PER_S), warmup=False)
    for each in frames:
        watcher.take(each)
    return watcher


def run(text: str, seconds: Sequence[Calls], *, disturbed: Sequence[Calls] | None = None) -> ThresholdResult:
    """How a rule ends on a phase of one agent, second by second."""
    rule, moved = parse(text), disturbed or [{}] * len(seconds)
    last = len(seconds) - 1
    frames = [
        second(at, calls, disturbed=ours, final=at == last, load_s=len(seconds) if at == last else 0)
        for at, (calls, ours) in enumerate(zip(seconds, moved, strict=True))
    ]
    return watch([rule], frames, len(seconds)).results()[rule]


def mixed(ok: int, failed: int) -> Calls:
    return {"ok": [1000] * ok, "timeout": [1000] * failed}


GOOD, BAD = mixed(50, 0), mixed(40, 10)


def test_a_rule_holds_where_every_window_does() -> None:
    result = run("errors < 10% over 3s", [GOOD] * 10)
    assert (result.passed, result.value, result.decided_by) == (True, 0.0, "value")
    assert result.why.startswith("the worst of 8 windows of 3 s: 0 s to 3 s of steady, errors 0 %: 0 of 150 ")


def test_one_window_breaks_it_and_the_worst_one_is_named() -> None:
    seconds = [GOOD, GOOD, GOOD, BAD, BAD, GOOD, GOOD, GOOD]
    result = run("errors < 10% over 2s", seconds)
    assert (result.passed, result.value) == (False, 0.2)
    assert result.why.startswith("the worst of 7 windows of 2 s: 3 s to 5 s of steady, errors 20 %: 20 of 100 ")
    assert run("errors < 10% over 8s", seconds).passed is True


def test_the_worst_window_of_a_time_says_its_figure_and_its_calls() -> None:
    slow = {"ok": [2_000_000] * 50}
    result = run("latency.p50 < 1s over 2s", [GOOD, GOOD, slow, slow, GOOD])
    assert (result.passed, result.value) == (False, 2_000_895_000)
    assert ": 2 s to 4 s of steady, p50 2.001 s of 100 calls: not below the limit" in result.why
    assert run("latency.max < 3s over 2s", [GOOD, slow, GOOD]).passed is True
    assert run("latency.mean < 1s over 2s", [slow, slow, GOOD]).passed is False


def test_calls_that_fail_are_longer_than_any_limit_in_a_window_too() -> None:
    result = run("latency.p90 < 1h over 2s", [GOOD, BAD, BAD, GOOD])
    assert (result.passed, result.value) == (False, None)
    assert "1 s to 3 s of steady, p90 of 100 calls: 20 % of the calls failed: 20 timeout" in result.why


def test_of_windows_whose_percentile_failed_the_worst_has_most_calls_that_failed() -> None:
    result = run("latency.p90 < 1h over 1s", [GOOD, BAD, mixed(10, 40), BAD])
    assert "2 s to 3 s of steady, p90 of 50 calls: " in result.why


def test_a_window_with_too_few_calls_decides_nothing() -> None:
    few = {"ok": [1000] * 5}
    result = run("latency.p95 < 1s over 2s", [few, few, *[{"ok": [1000] * 200}] * 4])
    assert result.passed is True
    assert result.why.endswith("; 1 of them have too few calls to decide")
    result = run("latency.p95 < 1s over 2s", [few] * 6)
    assert (result.passed, result.value) == (None, None)
    assert result.why.startswith("of 5 windows of 2 s none has enough calls to decide; the worst: ")
    assert "too few samples: p95 needs 200 samples and has 10" in result.why


def test_too_few_calls_break_it_where_all_that_the_figure_may_be_does() -> None:
    result = run("latency.p95 < 1s over 2s", [GOOD, {"ok": [5_000_000] * 30}, {"ok": [5_000_000] * 30}])
    assert (result.passed, result.decided_by) == (False, "bounds")


def test_a_window_without_any_call_decides_nothing() -> None:
    assert run("errors < 1% over 1s", [GOOD, {}, GOOD]).passed is True
    assert run("errors < 1% over 1s", [{}, {}]).passed is None


def test_what_the_generator_disturbed_breaks_nothing_by_itself_and_leaves_open_what_it_may_have_broken() -> None:
    ours: list[Calls] = [{}, {"timeout": [1000] * 10}, {}]
    result = run("errors < 10% over 1s", [GOOD, GOOD, GOOD], disturbed=ours)
    assert (result.passed, result.low_end, result.high_end) == (None, 0.0, 10 / 60)
    assert "1 s to 2 s of steady, errors: 10 of 60 " in result.why
    slow: list[Calls] = [{}, {"ok": [3_000_000] * 150}, {}]
    plenty = [{"ok": [1000] * 200}] * 3
    assert run("latency.p95 < 1s over 1s", plenty, disturbed=slow).passed is None
    assert run("latency.p95 < 4s over 1s", plenty, disturbed=slow).passed is True


def test_a_window_that_breaks_counts_whatever_others_leave_open() -> None:
    ours: list[Calls] = [{}, {"timeout": [1000] * 10}, {}]
    assert run("errors < 10% over 1s", [GOOD, GOOD, BAD], disturbed=ours).passed is False


def test_a_phase_that_is_shorter_than_a_window_has_none() -> None:
    assert run("errors < 10% over 4s", [BAD, BAD]) == ThresholdResult(
        "errors < 10% over 4s", None, None, "no window of 4 s lies wholly within what was measured"
    )


def test_windows_never_cross_phases_and_warm_up_is_in_none() -> None:
    rules = [parse("errors < 10% over 2s"), parse("steady:errors < 10% over 2s")]
    watcher = Watcher(rules, 1)
    for phase, warmup, seconds in (("warm-up", True, [BAD] * 3), ("a", False, [GOOD, BAD]), ("steady", False, [BAD])):
        watcher.begin(phase, len(seconds) * NS_PER_S, warmup=warmup)
        for at, calls in enumerate(seconds):
            last = at == len(seconds) - 1
            watcher.take(second(at, calls, phase=phase, final=last, load_s=len(seconds) if last else 0))
    every, one = (watcher.results()[rule] for rule in rules)
    assert (every.value, one.value) == (0.1, None)
    assert "0 s to 2 s of a" in every.why


def test_the_last_second_takes_what_ended_after_the_load() -> None:
    rule = parse("errors < 10% over 2s")
    frames = [second(0, GOOD), second(1, GOOD), second(2, {}), second(3, BAD, final=True, load_s=2.5)]
    result = watch([rule], frames, 2.5).results()[rule]
    assert (result.value, result.passed) == (10 / 150, True)
    assert result.why.startswith("the worst of 1 windows")


def test_of_a_load_that_ends_early_the_rest_is_in_the_last_window() -> None:
    rule = parse("errors < 10% over 2s")
    frames = [second(0, GOOD), second(1, GOOD), second(2, BAD, final=True, load_s=2.3)]
    watcher = watch([rule], frames, 60)
    result = watcher.results()[rule]
    assert watcher.over
    assert (result.value, result.passed) == (10 / 150, True)
    assert result.why.startswith("the worst of 1 windows of 2 s: 0 s to 2 s of steady")


def test_a_second_is_judged_once_all_agents_have_told_of_it() -> None:
    rule = parse("errors < 10% over 1s, abort")
    watcher = Watcher([rule], 2)
    watcher.begin("steady", 10 * NS_PER_S, warmup=False)
    assert watcher.take(second(0, BAD)) == []
    assert watcher.take(second(1, BAD)) == []
    assert watcher.take(second(0, mixed(200, 0), agent=1)) == []  # 10 of 250
    (broken,) = watcher.take(second(1, GOOD, agent=1))  # 10 of 100
    assert (broken.rule, broken.result.value) == (rule, 0.1)
    assert broken.result.why.startswith("1 s to 2 s of steady, errors 10 %: 10 of 100 ")
    assert watcher.take(second(2, agent=1, final=True, load_s=10)) == []
    assert not watcher.over


def test_a_second_does_not_wait_for_an_agent_that_is_lost() -> None:
    rule = parse("errors < 10% over 1s, abort")
    watcher = Watcher([rule], 2)
    watcher.begin("steady", 10 * NS_PER_S, warmup=False)
    assert watcher.take(second(0, BAD)) == []
    (broken,) = watcher.lose(1)
    assert broken.result.value == 0.2
    watcher.begin("next", 10 * NS_PER_S, warmup=False)
    assert watcher.take(second(0, GOOD)) == []
    assert len(watcher.take(second(1, BAD))) == 1


def test_a_late_tick_moves_no_call_to_another_second() -> None:
    rule = parse("errors < 50% over 1s")
    frames = [second(0, GOOD), second(1, BAD), second(2, GOOD), second(3, GOOD, final=True, load_s=4)]
    for made, span in zip(frames, ((0, 1.2), (1.2, 2.4), (2.4, 3), (3, 4.1)), strict=True):
        made.from_ns, made.to_ns = (round(at * NS_PER_S) for at in span)
    result = watch([rule], frames, 4).results()[rule]
    assert (result.value, "1 s to 2 s" in result.why) == (0.2, True)


def test_a_frame_of_several_seconds_is_counted_once() -> None:
    rule = parse("errors < 50% over 6s")
    frames = [second(0, GOOD), second(1, BAD), second(4, GOOD, final=True, load_s=6)]
    frames[1].to_ns, frames[2].from_ns, frames[2].to_ns = 5 * NS_PER_S, 5 * NS_PER_S, 6 * NS_PER_S
    for made, seq in zip(frames, range(3), strict=True):
        made.seq = seq
    assert watch([rule], frames, 6).results()[rule].value == 10 / 150


# abort


def broken(text: str, seconds: Sequence[Calls]) -> list[tuple[int, Broken]]:
    """After how many seconds a rule is broken, each time."""
    watcher = Watcher([parse(text)], 1)
    watcher.begin("steady", 100 * NS_PER_S, warmup=False)
    return [(at + 1, each) for at, calls in enumerate(seconds) for each in watcher.take(second(at, calls))]


def test_a_rule_that_aborts_is_broken_as_soon_as_a_window_is() -> None:
    assert [at for at, _ in broken("errors < 10% over 2s, abort", [GOOD, GOOD, BAD, BAD, GOOD, GOOD])] == [3, 4, 5]
    assert broken("errors < 10% over 2s", [GOOD, BAD, BAD]) == []


def test_without_a_length_it_is_judged_over_everything_so_far() -> None:
    ((at, found),) = broken("errors < 5%, abort", [GOOD, GOOD, GOOD, BAD])
    assert (at, found.result.value) == (4, 0.05)
    assert found.result.why.startswith("up to 4 s of steady, errors 5 %: 10 of 200 ")
    slow = {"ok": [2_000_000] * 50}
    assert [at for at, _ in broken("latency.p50 < 1s, abort", [GOOD, slow, slow, slow])] == [3, 4]
    assert [at for at, _ in broken("latency.max < 1s, abort", [GOOD, slow, GOOD])] == [2, 3]


def test_a_share_of_everything_so_far_is_judged_once_one_bad_call_alone_no_longer_breaks_it() -> None:
    assert broken("errors < 1%, abort", [mixed(49, 1), mixed(50, 0)]) == []
    assert [at for at, _ in broken("errors < 1%, abort", [mixed(45, 5), mixed(50, 0), mixed(50, 0)])] == [3]
    assert [at for at, _ in broken("errors == 0, abort", [mixed(9, 0), mixed(9, 1)])] == [2]


def test_everything_so_far_is_of_all_measured_phases_that_the_rule_is_about() -> None:
    rules = [parse("errors < 6%, abort"), parse("b:errors < 6%, abort")]
    watcher = Watcher(rules, 1)
    watcher.begin("a", NS_PER_S, warmup=False)
    assert watcher.take(second(0, {"ok": [1000] * 300}, phase="a", final=True, load_s=1)) == []
    watcher.begin("b", 5 * NS_PER_S, warmup=False)
    assert [each.rule for each in watcher.take(second(1, BAD, phase="b"))] == [rules[1]]
    assert watcher.results() == {}


def test_what_the_generator_disturbed_ends_no_run() -> None:
    watcher = Watcher([parse("errors < 1% over 1s, abort"), parse("errors < 1%, abort")], 1)
    watcher.begin("steady", 10 * NS_PER_S, warmup=False)
    assert watcher.take(second(0, {"ok": [1000] * 200}, disturbed={"timeout": [1000] * 100})) == []


# properties

TIMES = st.lists(st.integers(0, 5_000_000), max_size=12)
CALLS = st.fixed_dictionaries({"ok": TIMES}, optional={"timeout": TIMES, "throttled": TIMES, "dropped": TIMES})
PHASES = st.lists(st.tuples(CALLS, st.fixed_dictionaries({}, optional={"ok": TIMES, "timeout": TIMES})), min_size=1)
RULES = (
    "latency.p50 < 2s",
    "latency.p90 < 4s",
    "latency.max < 4900ms",
    "latency.mean < 2s",
    "latency.min < 10ms",
    "errors < 30%",
    "timeouts <= 5%",
    "throttled == 0",
)


def plain(rule: Rule, frames: Sequence[Frame], seconds: int) -> ThresholdResult:
    phase, ps, of = total(*frames), named_percentiles([rule]), plan(seconds=seconds)
    return evaluate([rule], [phase_summary(of, phase, ps)], totals([of], [phase], ps), VALID)[0]


def decided(result: ThresholdResult) -> tuple[object, ...]:
    return result.passed, result.value, result.decided_by, result.low_end, result.high_end


@given(PHASES.filter(lambda seconds: len(seconds) <= 6), st.sampled_from(RULES))
def test_over_one_window_as_long_as_the_phase_a_rule_ends_as_over_the_phase(
    seconds: list[tuple[Calls, Calls]], text: str
) -> None:
    last = len(seconds) - 1
    frames = [
        second(at, calls, disturbed=ours, final=at == last, load_s=len(seconds))
        for at, (calls, ours) in enumerate(seconds)
    ]
    rule = parse(f"{text} over {len(seconds)}s")
    result = watch([rule], frames, len(seconds)).results()[rule]
    assert decided(result) == decided(plain(parse(text), frames, len(seconds)))


@pytest.mark.parametrize("text", ["latency.p90 < 2500ms", "latency.p99 < 2500ms", "latency.p50 < 2500ms"])
@pytest.mark.parametrize("every", [1, 8])
@pytest.mark.parametrize("length", [40, 150])
def test_that_slow_calls_come_together_counts_in_a_long_window_as_in_a_phase(
    text: str, every: int, length: int
) -> None:
    chance = random.Random(every)
    slow = [chance.random() < 0.12 for _ in range(length // every + 1)]
    seconds = [{"ok": [3_000_000 if slow[at // every] else 1000] * 40} for at in range(length)]
    frames = [second(at, calls, final=at == length - 1, load_s=length) for at, calls in enumerate(seconds)]
    rule = parse(f"{text} over {length}s")
    result = watch([rule], frames, length).results()[rule]
    assert decided(result) == decided(plain(parse(text), frames, length))


@given(PHASES.filter(lambda seconds: len(seconds) <= 8), st.integers(2, 3), st.integers(0, 2**32), st.integers(1, 4))
def test_several_agents_are_judged_as_one_whatever_the_order_of_their_frames(
    seconds: list[tuple[Calls, Calls]], agents: int, seed: int, length: int
) -> None:
    last, rules = len(seconds) - 1, [parse(f"{text} over {length}s") for text in RULES]
    one = [
        second(at, calls, disturbed=ours, final=at == last, load_s=len(seconds))
        for at, (calls, ours) in enumerate(seconds)
    ]
    several = [
        [
            second(at, _part(calls, n, agents), disturbed=_part(ours, n, agents), agent=n, final=at == last)
            for at, (calls, ours) in enumerate(seconds)
        ]
        for n in range(agents)
    ]
    for frames in several:
        frames[-1].load_ns = len(seconds) * NS_PER_S
    chance, order = random.Random(seed), []
    while waiting := [frames for frames in several if frames]:
        order.append(chance.choice(waiting).pop(0))
    together = watch(rules, order, len(seconds), agents=agents)
    assert together.results() == watch(rules, one, len(seconds)).results()


def _part(calls: Calls, number: int, agents: int) -> Calls:
    return {outcome: values[number::agents] for outcome, values in calls.items() if values[number::agents]}


@given(PHASES, st.integers(1, 4))
def test_a_sum_that_slides_is_that_of_its_seconds(seconds: list[tuple[Calls, Calls]], length: int) -> None:
    rule = parse("latency.p90 < 1s over 1s")
    assert isinstance(rule, MetricRule)
    parts = []
    for at, (calls, ours) in enumerate(seconds):
        parts.append(Part())
        parts[-1].take(second(at, calls, disturbed=ours), rule)
    sliding = Part()
    for at, part in enumerate(parts):
        sliding.add(part)
        if at >= length:
            sliding.remove(parts[at - length])
        fresh = Part()
        for each in parts[max(0, at - length + 1) : at + 1]:
            fresh.add(each)
        assert (sliding.outcomes, sliding.disturbed) == (fresh.outcomes, fresh.disturbed)
        assert sliding.histograms == fresh.histograms


def test_what_is_kept_of_a_rule_does_not_grow_with_the_run() -> None:
    for length in (5, 150):
        rule = parse(f"latency.p90 < 1s over {length}s")
        assert isinstance(rule, MetricRule)
        watched = Watched(rule)
        watched.begin()
        for at in range(500):
            part = Part()
            part.take(second(at, {"ok": [at * 1000]}), rule)
            watched.see(part, "steady", at, rest=False)
        assert len(watched._seconds) == watched._sum.count == length
        assert len(watched._batches) <= 64


def test_a_clock_that_stepped_is_forgotten_when_its_calls_have_left() -> None:
    rule = parse("latency.p50 < 100ms over 2s")
    assert isinstance(rule, MetricRule)
    stepped, clean, both = Part(), Part(), Part()
    made = second(0, {"ok": [1000] * 100})
    made.health = Health(clock_step_ns=200_000_000)
    stepped.take(made, rule)
    clean.take(second(1, {"ok": [1000] * 100}), rule)
    both.add(stepped)
    both.add(clean)
    assert (both.stepped, both.step_us) == (100, 200_000)
    both.remove(stepped)
    assert (both.stepped, both.step_us) == (0, 0)


def test_a_rule_is_told_by_the_cells_of_its_metric_and_its_calls_alone() -> None:
    shares, times = parse("errors < 1% over 1s"), parse("service_time.p90 < 1s over 1s")
    assert isinstance(shares, ShareRule)
    assert isinstance(times, MetricRule)
    made = frame({"ok": [1000] * 5}, metrics={"ok/service_time": [900] * 5, "ok/lag": [1] * 5})
    share, time = Part(), Part()
    share.take(made, shares)
    time.take(made, times)
    assert not share.histograms
    assert {cell.metric for cell in time.histograms} == {"latency", "service_time"}
