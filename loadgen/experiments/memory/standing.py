"""Where a comparison of memory sizes stands: which size is taken by what is known, and which may be instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from loadgen.experiments.memory import rounds
from loadgen.experiments.memory.block import MemoryComparison
from loadgen.experiments.memory.calls import Call, Calls
from loadgen.experiments.memory.evidence import Evidence, agreed, evidence, inflation
from loadgen.invocation.bill import Rates
from loadgen.invocation.metric import Metric
from loadgen.measure import ranking
from loadgen.measure.rule import MetricRule, ShareRule
from loadgen.text.foreign import GAP

ALPHA = 0.05
"""Intervals and verdicts are wrong with at most this probability, those over sizes all together."""
SCREENING_ROUNDS = 3
"""After this round a comparison is looked at for the first time, and after each later one."""
PRECISE = 0.02
"""How narrow the interval of a cost ratio has to be: its half-width."""

_MARKED = 20  # fewer broken calls say too little about how they cluster
_LOOKS_GOOD = 0.5
_UNLIKELY = 0.02

Rule = MetricRule | ShareRule


class Standing(Struct, frozen=True):
    """Where a comparison stands.

    ``costs``, ``billed`` and ``durations`` are the fitted means, None with one size; ``found`` the Evidence of each
    compared size on each rule. ``recommended`` is the cheapest size that meets the rules, ``reference`` that or the one
    that is aimed for. ``tied`` are the sizes that do not break the rules and are not surely dearer than the reference;
    ``active`` those of them that are called next, as more calls may well change which is taken.
    ``decided`` says that all of these meet the rules, ``done`` that their costs are told apart, too, or known well
    enough; ``precision`` is the half-width of the widest interval of a cost ratio among the tied sizes, 0 where there
    is but one.
    """

    costs: rounds.Fitted | None
    billed: rounds.Fitted | None
    durations: rounds.Fitted | None
    found: Mapping[int, tuple[Evidence, ...]]
    recommended: int | None
    reference: int
    tied: tuple[int, ...]
    active: tuple[int, ...]
    decided: bool
    done: bool
    precision: float

    @property
    def words(self) -> str:
        """What is known of each size, and which one it would be, in a line."""
        ruled = [f"{size}{GAP}MB {_together(each)}" for size, each in sorted(self.found.items()) if each]
        if self.recommended is not None:
            ruled.append(f"the cheapest so far is {self.recommended}{GAP}MB")
        return ", ".join(ruled)


def standing(settings: MemoryComparison, rates: Rates, calls: Calls, left: Sequence[int]) -> Standing | None:
    """Where the comparison of the sizes that are ``left`` stands; None while there is too little to compare."""
    sizes = [size for size in left if any(call.billed_ns for call in calls.warm(size))]
    instances = {cell: n for size in sizes for cell, n in calls.by_round(size).items()}
    costs = rounds.fit(_cells(calls, sizes, lambda call: rates.cost(call.size_mb, call.billed_ns or 0)), instances)
    if calls.strayed() or not sizes or (costs is None and len(sizes) > 1):
        return None
    each_rule = [_evidence(calls, rule, sizes) for rule in settings.slo]
    found = {size: tuple(found[size] for found in each_rule) for size in sizes}
    verdicts = {size: _together(found[size]) for size in sizes}

    def ratio(a: int, b: int) -> rounds.Ratio:
        if costs is None or a == b:
            return rounds.Ratio(1.0, 1.0, 1.0)
        return costs.ratio(a, b, ALPHA / looks(settings))

    def likely(size: int) -> bool:
        """Whether the size may well be cheaper than what is aimed for, taken alone."""
        return costs is None or aim is None or costs.alone(size, aim, _UNLIKELY).low < 1

    def close(size: int) -> bool:
        """Whether its cost is known well enough to leave it at that: more rounds would change little."""
        if costs is None or aim is None or size == aim:
            return True
        each = costs.alone(size, aim, ALPHA / (len(sizes) - 1))
        return _half_width(each) < PRECISE

    cheapest = sorted(sizes, key=lambda size: ratio(size, sizes[0]).value)
    possible = [size for size in cheapest if verdicts[size] != "broken"]
    met = next((size for size in possible if verdicts[size] == "met"), None)
    aim = _likely(possible, found, verdicts)
    tied = [size for size in possible if aim is not None and ratio(size, aim).low <= 1 + settings.tie]
    near = tuple(size for size in tied if size == aim or likely(size))
    active = tuple(size for size in near if verdicts[size] == "open") or near
    decided = all(verdicts[size] == "met" for size in near)
    precision = max((_half_width(ratio(size, aim)) for size in tied if aim is not None), default=0.0)
    return Standing(
        costs=costs,
        billed=rounds.fit(_cells(calls, sizes, lambda call: call.billed_ns), instances),
        durations=rounds.fit(_cells(calls, sizes, lambda call: call.duration_ns), instances),
        found=found,
        recommended=met,
        reference=met if met is not None else cheapest[0] if aim is None else aim,
        tied=tuple(tied),
        active=active,
        decided=decided,
        done=decided and all(map(close, active)),
        precision=precision,
    )


def looks(settings: MemoryComparison) -> int:
    """How often the comparison may be looked at."""
    return max(1, settings.rounds - SCREENING_ROUNDS + 1)


def _half_width(ratio: rounds.Ratio) -> float:
    return math.sqrt(ratio.high / ratio.low) - 1


def _cells(
    calls: Calls, sizes: Sequence[int], value: Callable[[Call], float | None]
) -> dict[tuple[int, int], list[float]]:
    """The values of the warm calls, by size and round."""
    cells: dict[tuple[int, int], list[float]] = {}
    for size in sizes:
        for call in calls.warm(size):
            if found := value(call):
                cells.setdefault((size, call.round), []).append(found)
    return cells


def _evidence(calls: Calls, rule: Rule, sizes: Sequence[int]) -> dict[int, Evidence]:
    """What the calls of each size say about a rule."""
    judged = {size: list(calls.judged(size, times=isinstance(rule, MetricRule))) for size in sorted(sizes)}
    widened, limit = inflation(_groups(rule, each) for each in judged.values()), limit_of(rule)
    broken = [[call for call in each if _breaks(rule, call)] for each in judged.values()]
    ours = [sum(call.disturbed for call in each) for each in broken]
    counts = [(len(marked), len(each)) for marked, each in zip(broken, judged.values(), strict=True)]
    seen = evidence(counts, limit, ALPHA, widened)
    without = evidence([(k - own, n) for (k, n), own in zip(counts, ours, strict=True)], limit, ALPHA, widened)
    return dict(zip(judged, map(agreed, seen, without), strict=True))


def _groups(rule: Rule, judged: Sequence[Call]) -> list[tuple[int, int]]:
    """How many of a size's calls broke a rule on each of its instances, and how many there were.

    Where few broke it, the slowest tenth is taken for them: what makes calls of one instance alike shows there, too.
    """
    marks = [_breaks(rule, call) for call in judged]
    if sum(marks) < _MARKED and isinstance(rule, MetricRule):
        values = [_value_ns(rule.metric, call) if call.ok else None for call in judged]  # they rank above
        high = np.quantile([value for value in values if value is not None] or [0], 0.9)
        marks = [value is None or value > high for value in values]
    groups: dict[int, tuple[int, int]] = {}
    for mark, call in zip(marks, judged, strict=True):
        marked, count = groups.get(call.round, (0, 0))
        groups[call.round] = (marked + mark, count + 1)
    return list(groups.values())


def _breaks(rule: Rule, call: Call) -> bool:
    """Whether a call breaks a rule: a failed one breaks every rule."""
    if isinstance(rule, ShareRule):
        return not call.ok
    return ranking.breaks(call.ok, _value_ns(rule.metric, call), rule.limit_ns)


def _value_ns(metric: Metric, call: Call) -> int | None:
    """What a metric is for a call, None where it is not known."""
    match metric:
        case Metric.DURATION:
            return call.duration_ns
        case Metric.BILLED_DURATION:
            return call.billed_ns
        case Metric.OVERHEAD:
            return None if call.duration_ns is None else max(0, call.service_ns - call.duration_ns)
        case _:
            return call.service_ns


def _together(found: Sequence[Evidence]) -> str:
    verdicts = {each.verdict for each in found}
    return "broken" if "broken" in verdicts else "open" if "open" in verdicts else "met"


def _likely(
    possible: Sequence[int], found: Mapping[int, tuple[Evidence, ...]], verdicts: Mapping[int, str]
) -> int | None:
    """Of the sizes in order of cost, the first that meets the rules or looks so, else the one that comes nearest."""

    def strain(size: int) -> float:
        """The largest share of its limit that any rule's broken calls make up."""
        return max((each.broken / max(1, each.count) / each.limit for each in found[size]), default=0.0)

    first = (size for size in possible if verdicts[size] == "met" or strain(size) <= _LOOKS_GOOD)
    return next(first, min(possible, key=strain, default=None))


def limit_of(rule: Rule) -> float:
    """The share of calls that may break a rule."""
    if isinstance(rule, ShareRule):
        return rule.limit
    assert rule.percentile is not None
    return 1 - rule.percentile / 100
