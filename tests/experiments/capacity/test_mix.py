"""The capacity of a mix: rules about one call, and the call that binds."""

from __future__ import annotations

import pytest

from loadgen.experiments.capacity.held import _slowing
from loadgen.experiments.capacity.plan import criterion
from loadgen.invocation.sample import Sample
from loadgen.measure.rule import MetricRule, ShareRule, parse
from tests import frames

MS = 1_000_000
SHARES = {"browse": 0.75, "pay": 0.25}


def sample(call: str, *, ms: int = 10, outcome: str = "ok") -> Sample:
    return frames.sample(call=call, ended_ns=ms * MS, outcome=outcome)


@pytest.mark.parametrize(
    ("text", "limit", "broken"),
    [
        ("errors < 4%", 0.04, {"browse", "pay"}),
        ("pay/errors < 4%", 0.01, {"pay"}),
        ("browse/errors < 4%", 0.03, {"browse"}),
        ("pay/latency.p90 < 5ms", 0.025, {"pay"}),
    ],
)
def test_a_rule_about_a_call_limits_that_much_less_of_all_invocations(
    text: str, limit: float, broken: set[str]
) -> None:
    rule = parse(text)
    assert isinstance(rule, MetricRule | ShareRule)
    found = criterion(rule, SHARES)
    assert found.limit == pytest.approx(limit)
    failing = [sample(call, outcome="throttled") for call in SHARES]
    assert {each.call for each in failing if found.broken(each)} == broken


def test_the_call_whose_latency_grows_makes_the_backlog_grow() -> None:
    first = [sample("browse"), sample("pay", ms=20)] * 10
    then = [sample("browse", ms=9), sample("pay", ms=200)] * 10
    assert _slowing(first + then) == {"pay": 1.0}
    assert _slowing([]) == _slowing(first + first) == {}
