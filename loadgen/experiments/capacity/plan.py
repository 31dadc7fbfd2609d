"""What a search for the capacity is asked for: rules as shares of invocations, and the rates between which to look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
    """What is asked. Rates are per second; ``limit`` is how many calls may run at once, None when that is not known.

    Of a mix, ``shares`` says which part of the invocations each call is; rates are of all calls together.
    """

    criteria: tuple[Criterion, ...]
    from_per_s: float
    to_per_s: float
    confirm_ns: int
    precision: float
    keep_alive_ns: int
    limit: int | None
    max_in_flight: int
    grace_ns: int
    shares: Mapping[str, float] = field(default_factory=dict)

    def within(self, rate: float) -> float:
        """The rate with four digits, within what was asked for."""
        rate = min(max(rate, self.from_per_s), self.to_per_s)
        return float(f"{rate:.4g}")


def plan(block: Capacity, timeout_ns: int, shares: Mapping[str, float] = {}) -> Plan:
    """The Plan of a block; ``timeout_ns`` is how long a call is waited for, ``shares`` are those of a mix."""
    return Plan(
        criteria=tuple(criterion(rule, shares) for rule in block.slo),
        from_per_s=block.from_rate.per_s,
        to_per_s=block.to_rate.per_s,
        confirm_ns=block.confirm_ns,
        precision=block.precision,
        keep_alive_ns=block.keep_alive_ns,
        limit=block.limit,
        max_in_flight=block.max_in_flight,
        grace_ns=timeout_ns,
        shares=shares,
    )


def criterion(rule: MetricRule | ShareRule, shares: Mapping[str, float] = {}) -> Criterion:
    """The share that a rule limits: of invocations slower than a percentile's limit, or that failed, or as it says.

    A percentile is over every planned invocation, so one that failed breaks its rule, too. What a rule limits of one
    call of a mix is as much smaller a part of all invocations as that call is, as shares are exact.
    """
    part = 1.0 if rule.call is None else shares[rule.call]
    if isinstance(rule, MetricRule):
        assert rule.percentile is not None
        slower = _of_call(rule.call, _slower(rule.limit_ns))
        return Criterion(rule.text, part * (1 - rule.percentile / 100), slower, rule.limit_ns)
    return Criterion(rule.text, part * rule.limit, _of_call(rule.call, _ended_as(rule.what)))


def _of_call(call: str | None, broken: Callable[[Sample], bool]) -> Callable[[Sample], bool]:
    return broken if call is None else lambda sample: sample.call == call and broken(sample)


def _slower(limit_ns: int) -> Callable[[Sample], bool]:
    return lambda sample: breaks(sample.outcome == OK, sample.latency_ns, limit_ns)


def _ended_as(what: str) -> Callable[[Sample], bool]:
    if what == "errors":
        return lambda sample: sample.outcome != OK
    wanted = COUNTED[what].value
    return lambda sample: sample.outcome == wanted
