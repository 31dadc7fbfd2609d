"""A stretch of time is what slow calls have in common where most of them ended in it, and by chance never."""

from __future__ import annotations

import random

from msgspec.structs import replace

from loadgen.measure import hlog
from loadgen.measure.summary import Summary, ThresholdResult
from loadgen.report.stretch import stretch
from loadgen.report.timeline import Course, Timeline
from loadgen.report.why import why
from tests.report.builders import histogram, metric, metrics, phase, valid

S = 1_000_000_000


def course(seconds: list[list[int]], failed: dict[int, int] | None = None, warmup: int = 0) -> Timeline:
    """A run of so many seconds with the latencies (µs) of each, of which the first ones are a warm-up."""
    made = Course()
    for at, latencies in enumerate(seconds):
        name = "warm" if at < warmup else "steady"
        every = [*latencies, *[9_000_000] * (failed or {}).get(at, 0)]
        made.add(hlog.Line(f"{name}.latency", at * S, S, histogram(latencies)))
        made.add(hlog.Line(f"{name}.latency_all", at * S, S, histogram(every)))
    return made.timeline()


def run(seconds: list[list[int]], failed: int = 0, rules: tuple[ThresholdResult, ...] = (), warmup: int = 0) -> Summary:
    """The Summary of such a run."""
    calls = [each for second in seconds[warmup:] for each in second]
    ended = {"ok": len(calls), **({"gateway": failed} if failed else {})}
    whole = phase("steady", 60, ended, measured={**metrics(10), "latency": metric("latency", calls)})
    phases = [replace(whole, name="warm", warmup=True), whole] if warmup else [whole]
    return replace(valid(), phases=phases, totals=whole, thresholds=list(rules))


def told(summary: Summary, over_time: Timeline) -> str:
    return why(replace(summary, stretch=stretch(summary, over_time))).replace("\N{NO-BREAK SPACE}", " ")


def fast(rng: random.Random) -> list[int]:
    return [round(20_000 * rng.lognormvariate(0, 0.2)) for _ in range(100)]


def slow(rng: random.Random, n: int) -> list[int]:
    return [round(600_000 * rng.lognormvariate(0, 0.2)) for _ in range(n)]


def test_a_tail_that_ended_in_three_seconds_of_sixty_is_said_to_be_that_with_what_is_left_without_them() -> None:
    rng = random.Random(1)
    seconds = [fast(rng) for _ in range(60)]
    for at in (20, 21, 22):
        seconds[at][:40] = slow(rng, 40)
    said = told(run(seconds), course(seconds))
    assert said.startswith("the p99 is calls that ended from 20.0 s to 23.0 s of the run, ")
    assert float(said.rsplit("it is ", 1)[1].split(" ms")[0]) < 60


def test_calls_that_failed_in_one_stretch_break_a_rule_because_of_it() -> None:
    rng = random.Random(2)
    broken = ThresholdResult("latency_all.p99 < 100ms", None, False, "not below the limit", "value")
    seconds = [fast(rng) for _ in range(60)]
    for at in (50, 51):
        seconds[at][:40] = slow(rng, 40)  # as many slow as failed: that they failed is not what they have in common
    found = told(run(seconds, 120, (broken,)), course(seconds, {50: 60, 51: 60}))
    assert found.startswith("what breaks latency_all.p99 < 100ms is calls that ended from 50.0 s to 52.0 s of the run")
    assert "200 of the 200 calls above it" in found


def test_slow_calls_of_a_warm_up_are_no_stretch_of_the_figures() -> None:
    rng = random.Random(3)
    seconds = [fast(rng) for _ in range(60)]
    seconds[1] = slow(rng, 100)
    assert told(run(seconds, warmup=5), course(seconds, warmup=5)) == ""


def test_a_stretch_is_on_one_side_of_a_warm_up_and_told_in_minutes_where_it_is_late() -> None:
    rng = random.Random(6)
    seconds = [fast(rng)[:20] for _ in range(900)]
    for at in range(702, 712):
        seconds[at] = slow(rng, 60)
    over_time = course(seconds)
    said = told(run(seconds), over_time)
    assert said.startswith("the p99 is calls that ended from 11 min 42 s to 11 min 52 s of the run")
    warm = "steady", "warm", "later"
    for point in over_time.points:  # a warm-up in the middle of what was slow
        at_s = point.start_ns / S
        point.phase = warm[(at_s >= 706) + (at_s >= 708)]
    whole = run(seconds)
    phases = [replace(whole.totals, name=name, warmup=name == "warm") for name in warm]
    assert stretch(replace(whole, phases=phases), over_time) is None


def test_slow_calls_that_are_spread_out_or_come_in_bursts_everywhere_are_no_stretch() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        seconds = [fast(rng) for _ in range(60)]
        for at in rng.sample(range(60), 12):
            seconds[at][:8] = slow(rng, 8)
        assert stretch(run(seconds), course(seconds)) is None


def test_a_third_of_the_run_is_no_stretch_of_it() -> None:
    rng = random.Random(4)
    seconds = [fast(rng) for _ in range(60)]
    for at in range(20, 40):
        seconds[at][:8] = slow(rng, 8)
    assert stretch(run(seconds), course(seconds)) is None


def test_too_few_slow_calls_are_no_stretch() -> None:
    rng = random.Random(5)
    seconds = [fast(rng)[:20] for _ in range(60)]
    seconds[7][:9] = slow(rng, 9)
    assert stretch(run(seconds), course(seconds)) is None
    assert stretch(run(seconds), course([])) is None
