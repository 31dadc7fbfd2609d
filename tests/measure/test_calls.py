"""Of a mix each call has figures of its own, which add up to those of all; a rule may be about one of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.cell import CALL, Cell
from loadgen.invocation.sample import Failure, Slow
from loadgen.invocation.tally import Tally
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame, decode, encode
from loadgen.measure.merge import PhaseTotal, phase_summary, totals
from loadgen.measure.rule import parse
from loadgen.measure.starts import Found
from loadgen.measure.summary import PhaseSummary, Reason, ThresholdResult, Verdict
from loadgen.measure.threshold import evaluate, named_percentiles
from loadgen.measure.verdict import judge
from loadgen.report.figures import View, Withheld, calls, shown
from tests.frames import blank, counted, histogram, plan, total

Mixed = Mapping[str, Mapping[str, Sequence[int]]]
MIXED = st.fixed_dictionaries(
    {
        name: st.dictionaries(
            st.sampled_from(["ok", "timeout", "dropped"]), st.lists(st.integers(1, 10**6)), max_size=3
        )
        for name in ("browse", "pay")
    }
)


def mixed(made: Mixed, *, phase: str = "steady", seq: int = 0, final: bool = True) -> Frame:
    """A frame with the latencies (µs) of each call by outcome."""
    tallies = {name: counted({outcome: len(us) for outcome, us in ended.items() if us}) for name, ended in made.items()}
    whole = Tally()
    for tally in tallies.values():
        whole.add(tally)
    hist = {
        Cell(phase, name, "unknown", outcome, "latency"): histogram(us).pack()
        for name, ended in made.items()
        for outcome, us in ended.items()
        if us
    }
    failures = [
        Failure(outcome, f"of {name}", None, None, None, "", name)
        for name, ended in made.items()
        for outcome, us in ended.items()
        if outcome == "timeout" and us
    ]
    slowest = [
        Slow(max(us) * 1000, 1, outcome, None, call=name)
        for name, ended in made.items()
        for outcome, us in ended.items()
        if us
    ]
    return decode(
        encode(
            blank(whole, hist, phase=phase, seq=seq, calls=tallies, failures=failures, slowest=slowest, final=final)
        )[4:]
    )


def summed(made: Mixed) -> PhaseSummary:
    return phase_summary(plan(), total(mixed(made)), named_percentiles([]))


@given(st.lists(MIXED, min_size=1, max_size=4))
def test_the_calls_of_a_phase_add_up_to_it_and_its_record_holds(parts: list[Mixed]) -> None:
    whole = total(*(mixed(each, seq=seq, final=seq == len(parts) - 1) for seq, each in enumerate(parts)))
    assert list(whole.faults()) == []
    together = Histogram()
    for name, part in whole.calls.items():
        values = [us for each in parts for ended in each[name].values() for us in ended]
        assert part.latency_all() == histogram(values)
        assert part.tally.planned == len(values)
        assert {slow.call for slow in part.slowest} <= {name}
        together.add(part.latency_all())
    assert together == whole.latency_all()


@given(st.lists(MIXED, min_size=1, max_size=4))
def test_the_totals_of_a_call_are_the_sum_of_its_phases(parts: list[Mixed]) -> None:
    names = [f"p{number}" for number in range(len(parts))]
    phases = [total(mixed(each, phase=name)) for name, each in zip(names, parts, strict=True)]
    whole = totals([plan(name) for name in names], phases)
    for name in ("browse", "pay"):
        of_call = whole.by_call[name]
        assert of_call.planned == sum(len(us) for each in parts for us in each[name].values())
        assert of_call.metrics["latency_all"].count == of_call.planned
        assert of_call.metrics["latency"].count == of_call.outcomes.get("ok", 0)


def test_a_phase_without_a_mix_has_no_calls() -> None:
    frame = blank(counted({"ok": 1}), {Cell("steady", CALL, "unknown", "ok", "latency"): histogram([5]).pack()})
    assert phase_summary(plan(), total(frame)).by_call == {}


def test_a_call_of_which_a_histogram_is_missing_is_a_fault_of_its_own() -> None:
    frame = mixed({"browse": {"ok": [1, 2]}, "pay": {"ok": [3]}}, final=True)
    del frame.hist[Cell("steady", "pay", "unknown", "ok", "latency")]
    assert "of call pay 1 ended as ok, but 0 of those have a latency" in list(total(frame).faults())


def test_calls_that_are_not_all_that_was_counted_are_a_fault() -> None:
    frame = mixed({"browse": {"ok": [1, 2]}, "pay": {"ok": [3]}})
    frame.tally.add(counted({"ok": 1}))
    assert "4 planned, but 3 of them are of a call of the mix" in list(total(frame).faults())


def test_a_histogram_of_a_call_that_is_none_of_the_mix_is_refused() -> None:
    frame = mixed({"browse": {"ok": [1]}})
    frame.hist[Cell("steady", "other", "unknown", "ok", "latency")] = histogram([1]).pack()
    with pytest.raises(ValueError, match="expected one of browse"):
        PhaseTotal("steady").add(frame)


def test_failures_and_the_slowest_are_those_of_their_call() -> None:
    found = summed({"browse": {"ok": [10, 900]}, "pay": {"timeout": [5000]}})
    browse, pay = found.by_call["browse"], found.by_call["pay"]
    assert [each.reason for each in pay.examples.failures] == ["of pay"]
    assert (browse.examples.failures, [slow.latency_ns for slow in browse.examples.slowest]) == ([], [900_000])
    assert [slow.call for slow in found.examples.slowest] == ["pay", "browse"]


def ended(text: str, made: Mixed) -> ThresholdResult:
    """How a rule ends over a phase with these latencies."""
    rules = [parse(text)]
    phase = total(mixed(made))
    verdict = judge([plan()], [phase], rules)
    assert verdict.status == "valid"
    summary = phase_summary(plan(), phase, named_percentiles(rules))
    (result,) = evaluate(rules, [summary], summary, Verdict("valid", []))
    return result


SLOW_PAY: Mixed = {"browse": {"ok": [1000] * 1000}, "pay": {"ok": [90_000] * 990, "timeout": [100_000] * 10}}


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        ("browse/latency.p95 < 10ms", True),
        ("pay/latency.p95 < 10ms", False),
        ("latency.p95 < 10ms", False),
        ("steady:browse/latency.max < 10ms", True),
        ("pay/errors < 2%", True),
        ("pay/errors < 0.9%", False),  # ten of a thousand
        ("errors < 0.9%", True),  # of two thousand
        ("browse/errors == 0", True),
        ("browse/achieved_rate > 99/s", True),
        ("browse/achieved_rate > 101/s", False),
        ("achieved_rate > 199/s", True),
        ("pay/latency.mean < 91ms", True),
    ],
)
def test_a_rule_with_a_call_is_over_the_invocations_of_that_call(rule: str, passed: bool) -> None:
    assert ended(rule, SLOW_PAY).passed is passed


def test_a_rule_about_a_call_that_was_not_made_is_undecided() -> None:
    result = ended("pay/latency.p50 < 1s", {"browse": {"ok": [5]}, "pay": {}})
    assert (result.passed, result.why) == (None, "no invocation was planned")


def test_too_few_samples_of_a_call_are_said_of_the_rule_about_it() -> None:
    phase = total(mixed({"browse": {"ok": [10] * 5000}, "pay": {"ok": [10] * 30}}))
    rules = [parse("pay/latency.p99 < 1s"), parse("browse/latency.p99 < 1s")]
    messages = [reason.message for reason in judge([plan()], [phase], rules).reasons]
    assert [message.split(" needs")[0] for message in messages] == ["The threshold pay/latency.p99 < 1s"]


def test_a_figure_of_one_call_alone_that_is_a_range_is_said_with_its_name() -> None:
    """Of 60,000 calls 300 were disturbed, all of them among the thousand of one call."""
    frame = mixed({"browse": {"ok": [1000] * 59_000}, "pay": {"ok": [10_000] * 700}})
    moved = histogram([90_000] * 300)
    frame.hist[Cell("steady", "pay", "unknown", "ok", "latency", True)] = moved.pack()
    for tally in (frame.tally, frame.calls["pay"]):
        tally.add(counted({"ok": 300}, disturbed={"ok": 300}))
    phase = total(frame)
    assert list(phase.faults()) == []
    verdict = judge([plan()], [phase])
    (reason,) = [each for each in verdict.reasons if each.rule == "late_starts" and "pay/latency.p90" in each.figures]
    assert "disturbed 300 of 1000 invocations of pay (30.00%)" in reason.message
    assert verdict.status == "degraded"
    of_call = phase_summary(plan(), phase).by_call["pay"].metrics["latency"]
    assert (of_call.count, of_call.disturbed) == (700, 300)


def test_labels_that_do_not_tell_starts_of_one_call_withhold_those_of_that_call_alone() -> None:
    def doubted(measured: Sequence[PhaseTotal], asked: Collection[str | None]) -> Iterator[Reason]:
        for each in measured:
            cold, planned = each.merged("latency", start="cold").count, each.tally.planned
            if cold < 0.02 * planned:
                yield Reason("mixed_starts", "withheld", f"{cold} of {planned}", None, None, each.name, "cold")

    tallies = {"browse": counted({"ok": 1000}), "pay": counted({"ok": 1000})}
    whole = Tally()
    for tally in tallies.values():
        whole.add(tally)
    hist = {
        Cell("steady", call, start, "ok", "latency"): histogram([us] * n).pack()
        for call, start, us, n in (
            ("browse", "warm", 1000, 900),
            ("browse", "cold", 90_000, 100),
            ("pay", "warm", 1000, 990),
            ("pay", "cold", 5000, 10),
        )
    }
    phase = total(blank(whole, hist, calls=tallies, final=True))
    rules = [parse("browse/cold.latency.p50 < 1s"), parse("pay/cold.latency.min < 1s"), parse("cold.latency.p50 < 1s")]
    verdict = judge([plan()], [phase], rules, found=Found(doubted))
    (reason,) = [each for each in verdict.reasons if each.rule == "mixed_starts"]
    assert (reason.withholds, reason.message) == ("pay/cold", "Call pay: 10 of 1000")
    summary = phase_summary(plan(), phase, named_percentiles(rules))
    results = evaluate(rules, [summary], summary, verdict)
    assert [each.passed for each in results] == [True, None, True]
    view = View(summary, "steady", verdict)
    assert [isinstance(shown(of_call, "latency", "min", "cold"), Withheld) for _, of_call in calls(view)] == [
        False,
        True,
    ]
    assert not isinstance(shown(view, "latency", 50.0, "cold"), Withheld)
