"""What a search for the capacity is asked for: rules as shares of invocations, and the rates between which to look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadgen.experiments.capacity.block import Capacity
from loadgen.invocation.outcome import OK
from loadgen.invocation.sample import Sample
from loadgen.measure.ranking import breaks
from loadgen.measure.rule import COUNTED, MetricRule, ShareRule


@dataclass(frozen=True, slots=True)
class Criterion:
    """A rule of the SLO: the share of invocations that ``broken`` holds of must stay below ``limit``."""

    text: str
    limit: float
    broken: Callable[[Sample], bool]
    latency_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked. Rates are per second; ``limit`` is how many calls may run at once, None when that is not known."""

    criteria: tuple[Criterion, ...]
    from_per_s: float
    to_per_s: float
    confirm_ns: int
    precision: float
    keep_alive_ns: int
    limit: int | None
    max_in_flight: int
    grace_ns: int

    def within(self, rate: float) -> float:
        """The rate with four digits, within what was asked for."""
        rate = min(max(rate, self.from_per_s), self.to_per_s)
        return float(f"{rate:.4g}")


def plan(block: Capacity, timeout_ns: int) -> Plan:
    """The Plan of a block; ``timeout_ns`` is how long a call is waited for."""
    return Plan(
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
