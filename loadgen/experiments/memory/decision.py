"""Which memory size: the cheapest that is shown to meet the rules, and the sizes that cannot be told from it.

Theory of operation. Sizes are compared in rounds. In a round every size meets a new instance, first with one cold call,
which is kept apart, then in randomised complete blocks: one call per size, in random order, one after another. What
changes over time then hits all sizes alike, and what belongs to an instance is not taken for what belongs to a size.

After each round from the third on, the rules are judged (``evidence``) and the costs compared (``rounds``), with limits
that hold for all sizes at once. Calls then go to where something is open: to the cheapest size that looks as if it met
the rules, and to those that may be cheaper. A size that is surely dearer is left alone, and taken up again should the
cheaper ones break the rules. The search ends when the cheapest size that meets the rules is known, or costs that cannot
be told apart are known well enough; it never ends because a difference has become significant.

Times are of calls one after another on their way: latency is service_time here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence

import numpy as np

from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.experiments.memory import rounds
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.calls import UNSURE, Call, Calls
from loadgen.experiments.memory.evidence import Evidence, evidence, inflation
from loadgen.experiments.memory.findings import MemoryResult
from loadgen.experiments.memory.reasons import LEAST_INSTANCES
from loadgen.experiments.memory.result import ALPHA, Standing, result
from loadgen.invocation.bill import Rates
from loadgen.invocation.metric import Metric
from loadgen.invocation.start import AMBIGUOUS
from loadgen.load.bursts import Bursts
from loadgen.load.phase import Phase
from loadgen.measure import ranking
from loadgen.measure.relabel import relabel
from loadgen.measure.rule import MetricRule, ShareRule

PRECISE = 0.02
"""How narrow the interval of a cost ratio has to be: its half-width."""
SCREENING_ROUNDS = 3
LANES = 3
"""How many calls of a size go out at once after those rounds, so that each round has as many instances of it."""

_CHECKED_AT_ONCE = 4
_SCREENING_SHARE = 4
_BUSY_SIZES = 3  # later rounds have as many calls as this many sizes would
_PATIENCE = 3  # instances surely live for a third of the silence that surely ends them
_MARKED = 20  # fewer broken calls say too little about how they cluster
_LOOKS_GOOD = 0.5
_UNLIKELY = 0.02
_VAIN = 10  # how many more calls it takes is a rough estimate

Rule = MetricRule | ShareRule


def compare(settings: MemoryComparison, rates: Rates, seed: int, timeout_ns: int) -> Decision[MemoryResult]:
    """The decision: asks for rounds until the question of ``settings`` is answered, or they are used up."""
    return _Comparison(settings, rates, seed, timeout_ns).decide()


def phase(name: str, calls: int, lanes: int, patient_ns: int) -> Phase:
    """So many calls one after another on each lane; over when all are answered, or take ``patient_ns`` on average."""
    limit_ns = -(-calls // lanes) * patient_ns
    return Phase(
        name=name,
        shape=Bursts(calls, limit_ns, 1),
        duration_ns=limit_ns,
        max_in_flight=lanes,
        grace_ns=patient_ns,
    )


class _Comparison:
    def __init__(self, settings: MemoryComparison, rates: Rates, seed: int, timeout_ns: int) -> None:
        self._settings = settings
        self._rates = rates
        self._rng = np.random.default_rng((seed, 0x4D42))
        self._timeout_ns = self._patient_ns = timeout_ns
        self._calls = Calls(settings.gap_ns // _PATIENCE)
        self._left_out: dict[int, str] = {}
        self._notes: list[str] = []
        self._lanes = 1
        self._order: tuple[int, ...] = ()
        self._stopped = False

    def decide(self) -> Decision[MemoryResult]:
        """See ``compare``."""
        standing = None
        number = 0
        if self._settings.by is MemoryBy.HEADER:
            yield from self._check()
        while number < self._settings.rounds and not self._stopped and self._sizes:
            number += 1
            yield from self._round(number, standing.active if standing and standing.active else self._sizes)
            self._leave_out()
            if self._calls.strayed() or not self._sizes:
                break
            if number >= min(SCREENING_ROUNDS, self._settings.rounds):
                standing = self._standing()
                if standing is not None and self._met(standing) and (standing.done or self._vain(standing, number)):
                    break
        return result(
            self._settings, self._rates, self._calls, self._standing(), self._left_out, self._notes, self._rng
        )

    @property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(size for size in self._settings.sizes_mb if size not in self._left_out)

    def _met(self, standing: Standing) -> bool:
        """Whether there were instances enough to say something about others: rules are about rare calls."""
        return not self._settings.slo or all(self._calls.instances(size) >= LEAST_INSTANCES for size in standing.active)

    def _vain(self, standing: Standing, number: int) -> bool:
        """Whether what is open takes far more calls than the rounds that are left would make: they answer nothing."""
        left = (self._settings.rounds - number) * self._blocks(number + 1, len(standing.active))
        needs = [each.more for size in standing.active for each in standing.found[size] if each.verdict == "open"]
        return bool(needs) and all(more is None or more > _VAIN * left for more in needs)

    def _check(self) -> Generator[Ask, Seen, None]:
        """One call of every size, which also starts the instances of the first round."""
        order = self._permutation(self._sizes)
        yield from self._run("sizes", order, 1, _CHECKED_AT_ONCE, fresh=False, idle=False)
        self._leave_out()
        slowest_ns = max((call.service_ns for calls in self._calls.of.values() for call in calls), default=0)
        self._patient_ns = min(self._timeout_ns, max(10**9, _PATIENCE * slowest_ns))
        busy_ns = sum(call.service_ns for calls in self._calls.of.values() for call in calls)
        self._lanes = max(1, min(len(self._sizes), math.ceil(busy_ns * _PATIENCE / self._settings.gap_ns)))

    def _round(self, number: int, sizes: Sequence[int]) -> Generator[Ask, Seen, None]:
        lanes = 1 if number <= SCREENING_ROUNDS else LANES
        checked = number == 1 and self._settings.by is MemoryBy.HEADER
        passes = -(-self._blocks(number, len(sizes)) // lanes) + (not checked)
        if self._settings.by is MemoryBy.HEADER:
            drawn = [size for _ in range(passes) for size in self._permutation(sizes)]
            order = tuple(size for size in drawn for _ in range(lanes))
            yield from self._run(f"round-{number}", order, number, lanes, fresh=not checked, idle=not checked)
            return
        order = self._counterbalanced(number, sizes)
        self._order = order
        for size in order:
            calls = (size,) * passes * lanes
            yield from self._run(f"round-{number}-{size}MB", calls, number, lanes, fresh=True, idle=False)
            if self._stopped:
                return

    def _counterbalanced(self, number: int, sizes: Sequence[int]) -> tuple[int, ...]:
        """Every second round goes through the sizes backwards, so that a steady change favours none."""
        if number % 2:
            return self._permutation(sizes)
        return tuple(size for size in reversed(self._order) if size in sizes)

    def _blocks(self, number: int, sizes: int) -> int:
        most = self._settings.blocks
        if number > SCREENING_ROUNDS:
            return max(2, -(-most * _BUSY_SIZES // sizes))
        return max(2, -(-most // _SCREENING_SHARE)) if sizes > _BUSY_SIZES else most

    def _permutation(self, sizes: Sequence[int]) -> tuple[int, ...]:
        return tuple(int(size) for size in self._rng.permutation(sizes))

    def _run(
        self, name: str, order: tuple[int, ...], number: int, lanes: int, *, fresh: bool, idle: bool
    ) -> Generator[Ask, Seen, None]:
        """Call the sizes in this order, so many at a time; more where the instances would else be idle for long."""
        asked = phase(name, len(order), lanes * self._lanes, self._patient_ns)
        header = self._settings.by is MemoryBy.HEADER
        seen = yield Ask(
            (asked,),
            samples=1.0,
            idle_ns=self._settings.gap_ns if idle else 0,
            memory_mb=(order,) if header else (),
            resized_mb=None if header else order[0],
        )
        self._stopped = seen.stopped
        if seen.verdict.status == "invalid":
            if not seen.stopped or seen.samples:
                why = "; ".join(reason.message for reason in seen.verdict.reasons if reason.severity == "invalid")
                self._notes.append(f"{name} is left out, as the load generator failed in it: {why}")
            return
        found = self._calls.add(seen.samples, order, number, fresh=fresh)
        for total in seen.totals:  # so that the Summary, and the rules of the run, read these labels
            relabel(total, ((sample, AMBIGUOUS if start == UNSURE else start) for sample, start in found))

    def _leave_out(self) -> None:
        for size in self._sizes:
            calls = self._calls.of[size]
            if hopeless := self._calls.hopeless(size):
                self._left_out[size] = f"{hopeless.outcome}: {hopeless.reason}"
            elif len(calls) > self._settings.blocks and not any(call.ok for call in calls):
                self._left_out[size] = f"none of {len(calls)} calls succeeded: {calls[-1].outcome}"

    def _standing(self) -> Standing | None:
        """Where the comparison stands; None while there is too little to compare."""
        sizes = [size for size in self._sizes if any(call.billed_ns for call in self._calls.warm(size))]
        costs = rounds.fit(self._cells(sizes, lambda call: self._rates.cost(call.size_mb, call.billed_ns or 0)))
        if self._calls.strayed() or not sizes or (costs is None and len(sizes) > 1):
            return None
        found = {size: tuple(self._evidence(rule, size) for rule in self._settings.slo) for size in sizes}
        verdicts = {size: _together(found[size]) for size in sizes}

        def ratio(a: int, b: int) -> rounds.Ratio:
            if costs is None or a == b:
                return rounds.Ratio(1.0, 1.0, 1.0)
            return costs.ratio(a, b, ALPHA / (len(sizes) - 1))

        def likely(size: int) -> bool:
            """Whether the size may well be cheaper than what is aimed for, taken alone."""
            return costs is None or aim is None or costs.ratio(size, aim, _UNLIKELY).low < 1

        cheapest = sorted(sizes, key=lambda size: ratio(size, sizes[0]).value)
        possible = [size for size in cheapest if verdicts[size] != "broken"]
        met = next((size for size in possible if verdicts[size] == "met"), None)
        aim = met if met is not None else _likely(possible, found)
        tied = [size for size in possible if aim is not None and ratio(size, aim).low <= 1 + self._settings.tie]
        active = tuple(size for size in tied if size == aim or likely(size))
        decided = all(verdicts[size] == "met" for size in active)
        spans = [ratio(size, tied[0] if aim is None else aim) for size in active]
        precision = max((math.sqrt(each.high / each.low) - 1 for each in spans), default=0.0)
        return Standing(
            costs=costs,
            billed=rounds.fit(self._cells(sizes, lambda call: call.billed_ns)),
            durations=rounds.fit(self._cells(sizes, lambda call: call.duration_ns)),
            found=found,
            recommended=met,
            reference=cheapest[0] if aim is None else aim,
            tied=tuple(tied),
            active=active,
            decided=decided,
            done=decided and (len(active) < 2 or precision < PRECISE),
            precision=precision,
        )

    def _cells(self, sizes: Sequence[int], value: Callable[[Call], float | None]) -> dict[tuple[int, int], list[float]]:
        """The values of the warm calls, by size and round."""
        cells: dict[tuple[int, int], list[float]] = {}
        for size in sizes:
            for call in self._calls.warm(size):
                if found := value(call):
                    cells.setdefault((size, call.round), []).append(found)
        return cells

    def _evidence(self, rule: Rule, size: int) -> Evidence:
        calls = list(self._calls.judged(size, times=isinstance(rule, MetricRule)))
        marks = [breaks(rule, call) for call in calls]
        clusters = marks
        if sum(marks) < _MARKED and isinstance(rule, MetricRule):
            values = [value_ns(rule.metric, call) if call.ok else None for call in calls]  # they rank above
            high = np.quantile([value for value in values if value is not None] or [0], 0.9)
            clusters = [value is None or value > high for value in values]
        groups: dict[int, tuple[int, int]] = {}
        for mark, call in zip(clusters, calls, strict=True):
            marked, count = groups.get(call.round, (0, 0))
            groups[call.round] = (marked + mark, count + 1)
        return evidence(sum(marks), len(marks), _limit(rule), ALPHA, inflation(list(groups.values())))


def breaks(rule: Rule, call: Call) -> bool:
    """Whether a call breaks a rule: a failed one breaks every rule."""
    if isinstance(rule, ShareRule):
        return not call.ok
    return ranking.breaks(call.ok, value_ns(rule.metric, call), rule.limit_ns)


def value_ns(metric: Metric, call: Call) -> int | None:
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


def _likely(possible: Sequence[int], found: Mapping[int, tuple[Evidence, ...]]) -> int | None:
    """Of the sizes in order of cost, the first that looks as if it met the rules, else the one that comes nearest."""

    def strain(size: int) -> float:
        """The largest share of its limit that any rule's broken calls make up."""
        return max((each.broken / max(1, each.count) / each.limit for each in found[size]), default=0.0)

    return next((size for size in possible if strain(size) <= _LOOKS_GOOD), min(possible, key=strain, default=None))


def _limit(rule: Rule) -> float:
    if isinstance(rule, ShareRule):
        return rule.limit
    assert rule.percentile is not None
    return 1 - rule.percentile / 100
