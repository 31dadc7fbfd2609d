from __future__ import annotations

from loadgen.experiments.capacity import forecast as capacity
from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.coldstarts import forecast as coldstarts
from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.memory import forecast as memory
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.evidence import evidence, fewest
from loadgen.load.budget import Budget
from loadgen.measure.rule import MetricRule, parse
from tests.simulate.adversaries.sizes import LAWS, comparison

S = 1_000_000_000


def rule(text: str) -> MetricRule:
    found = parse(text)
    assert isinstance(found, MetricRule)
    return found


def sizes(slo: tuple[MetricRule, ...] = (), blocks: int = 20) -> MemoryComparison:
    return MemoryComparison((256, 512, 1024), MemoryBy.HEADER, blocks, 10, slo, 0.02, 90 * S)


def test_a_comparison_takes_as_many_calls_as_was_said() -> None:
    told = memory.forecast(sizes())
    made = comparison(1, LAWS[0], sizes=(256, 512, 1024)).invocations
    assert told.least <= made <= told.most
    assert (told.least_ns, told.most_ns) == (2 * 90 * S, 9 * 90 * S)


def test_a_rule_that_the_rounds_cannot_decide_is_said_beforehand() -> None:
    (doubt,) = memory.forecast(sizes((rule("latency.p99 < 1s"),), blocks=2)).doubts
    assert doubt.startswith("latency.p99 < 1s takes at least ")
    assert memory.forecast(sizes((rule("latency.p95 < 1s"),))).doubts == ()


def test_the_fewest_calls_are_the_first_that_show_it() -> None:
    for limit in (0.01, 0.05):
        least = fewest(limit, 0.05)
        assert [evidence([(0, n)], limit, 0.05)[0].verdict for n in (least - 1, least)] == ["open", "met"]


def test_a_silence_that_ends_no_instance_is_said_beforehand() -> None:
    for gap_s, doubted in ((5, True), (90, False)):
        block = ColdStarts((Induce.GAP,), gap_s * S, 20, 100, 1000, (10 * S, 120 * S))
        assert bool(coldstarts.forecast(block).doubts) == doubted


def test_what_the_budget_does_not_allow_is_a_warning() -> None:
    told = capacity.forecast(Capacity((rule("latency.p99 < 1s"),)))
    assert not [line for line in told.lines(Budget()) if line.startswith("warning")]
    short = list(told.lines(Budget(invocations=10, duration_ns=S)))
    assert [line.split(" is ")[0] for line in short[1:]] == ["warning: budget.invocations", "warning: budget.duration"]
