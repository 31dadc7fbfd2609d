"""Kind ``capacity``: its decision for a block of a scenario."""

from __future__ import annotations

from collections.abc import Callable

from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.capacity.decision import Criterion, Plan, capacity
from loadgen.experiments.decision import Decision
from loadgen.invocation.outcome import OK
from loadgen.invocation.sample import Sample
from loadgen.load.phase import Phase
from loadgen.load.workers import Workers
from loadgen.measure.experiment import CapacityResult
from loadgen.measure.ranking import breaks
from loadgen.measure.rule import COUNTED, MetricRule, ShareRule


def decision(block: Capacity, timeout_ns: int) -> Decision[CapacityResult]:
    """The decision of a scenario of this kind; ``timeout_ns`` is how long a call is waited for."""
    return capacity(
        Plan(
            criteria=tuple(criterion(rule) for rule in block.slo),
            from_per_s=block.from_rate.per_s,
            to_per_s=block.to_rate.per_s,
            confirm_ns=block.confirm_ns,
            precision=block.precision,
            keep_alive_ns=block.keep_alive_ns,
            limit=block.limit,
            max_in_flight=block.max_in_flight,
            grace_ns=timeout_ns,
        )
    )


def widest(block: Capacity) -> Phase:
    """A phase with as many invocations in flight as any that it asks for."""
    n = block.max_in_flight
    return Phase("probe", Workers(n, n), 0)


def criterion(rule: MetricRule | ShareRule) -> Criterion:
    """The share that a rule limits: of invocations slower than a percentile's limit, or that failed, or as it says.

    A percentile is over every planned invocation, so one that failed breaks its rule, too.
    """
    if isinstance(rule, MetricRule):
        assert rule.percentile is not None
        return Criterion(rule.text, 1 - rule.percentile / 100, _slower(rule.limit_ns), rule.limit_ns)
    return Criterion(rule.text, rule.limit, _ended_as(rule.what))


def _slower(limit_ns: int) -> Callable[[Sample], bool]:
    return lambda sample: breaks(sample.outcome == OK, sample.latency_ns, limit_ns)


def _ended_as(what: str) -> Callable[[Sample], bool]:
    if what == "errors":
        return lambda sample: sample.outcome != OK
    wanted = COUNTED[what].value
    return lambda sample: sample.outcome == wanted
