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
from collections.abc import Generator, Sequence

import numpy as np

from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.calls import UNSURE, Calls
from loadgen.experiments.memory.findings import MemoryResult
from loadgen.experiments.memory.reasons import LEAST_INSTANCES
from loadgen.experiments.memory.result import result
from loadgen.experiments.memory.standing import SCREENING_ROUNDS, Standing, standing
from loadgen.invocation.bill import Rates
from loadgen.invocation.start import AMBIGUOUS
from loadgen.load.bursts import Bursts
from loadgen.load.phase import Phase
from loadgen.measure.relabel import relabel
from loadgen.text.foreign import GAP

LANES = 3
"""How many calls of a size go out at once after those rounds, so that each round has as many instances of it."""

_CHECKED_AT_ONCE = 4
_SCREENING_SHARE = 4
_BUSY_SIZES = 3  # later rounds have as many calls as this many sizes would
_PATIENCE = 3  # instances surely live for a third of the silence that surely ends them
_VAIN = 10  # how many more calls it takes is a rough estimate


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


def blocks_of_round(settings: MemoryComparison, number: int, sizes: int) -> int:
    """How many warm calls of each of so many sizes a round has."""
    if number > SCREENING_ROUNDS:
        return max(2, -(-settings.blocks * _BUSY_SIZES // sizes))
    return max(2, -(-settings.blocks // _SCREENING_SHARE)) if sizes > _BUSY_SIZES else settings.blocks


def calls_of_round(settings: MemoryComparison, number: int, sizes: int) -> int:
    """How many calls a round of so many sizes has, the cold ones included."""
    lanes = 1 if number <= SCREENING_ROUNDS else LANES
    checked = number == 1 and settings.by is MemoryBy.HEADER
    return (-(-blocks_of_round(settings, number, sizes) // lanes) + (not checked)) * lanes * sizes


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
        self._found = ""

    def decide(self) -> Decision[MemoryResult]:
        """See ``compare``."""
        stands = None
        number = 0
        if self._settings.by is MemoryBy.HEADER:
            yield from self._check()
        while number < self._settings.rounds and not self._stopped and self._sizes:
            number += 1
            self._found = "" if stands is None else stands.words
            yield from self._round(number, stands.active if stands and stands.active else self._sizes)
            self._leave_out()
            if self._calls.strayed() or not self._sizes:
                break
            if number >= min(SCREENING_ROUNDS, self._settings.rounds):
                stands = self._standing
                if stands is not None and self._met(stands) and (stands.done or self._vain(stands, number)):
                    break
        return result(self._settings, self._rates, self._calls, self._standing, self._left_out, self._notes, self._rng)

    @property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(size for size in self._settings.sizes_mb if size not in self._left_out)

    @property
    def _standing(self) -> Standing | None:
        return standing(self._settings, self._rates, self._calls, self._sizes)

    def _met(self, stands: Standing) -> bool:
        """Whether there were instances enough to say something about others: rules are about rare calls."""
        return not self._settings.slo or all(self._calls.instances(size) >= LEAST_INSTANCES for size in stands.active)

    def _vain(self, stands: Standing, number: int) -> bool:
        """Whether what is open takes far more calls than the rounds that are left would make: they answer nothing."""
        left = (self._settings.rounds - number) * blocks_of_round(self._settings, number + 1, len(stands.active))
        needs = [each.more for size in stands.active for each in stands.found[size] if each.verdict == "open"]
        return bool(needs) and all(more is None or more > _VAIN * left for more in needs)

    def _check(self) -> Generator[Ask, Seen, None]:
        """One call of every size, which also starts the instances of the first round."""
        order = self._permutation(self._sizes)
        yield from self._run("sizes", order, 1, _CHECKED_AT_ONCE, "one call at each size", fresh=False, idle=False)
        self._leave_out()
        slowest_ns = max((call.service_ns for calls in self._calls.of.values() for call in calls), default=0)
        self._patient_ns = min(self._timeout_ns, max(10**9, _PATIENCE * slowest_ns))
        busy_ns = sum(call.service_ns for calls in self._calls.of.values() for call in calls)
        self._lanes = max(1, min(len(self._sizes), math.ceil(busy_ns * _PATIENCE / self._settings.gap_ns)))

    def _round(self, number: int, sizes: Sequence[int]) -> Generator[Ask, Seen, None]:
        lanes = 1 if number <= SCREENING_ROUNDS else LANES
        checked = number == 1 and self._settings.by is MemoryBy.HEADER
        passes = -(-blocks_of_round(self._settings, number, len(sizes)) // lanes) + (not checked)
        if self._settings.by is MemoryBy.HEADER:
            drawn = [size for _ in range(passes) for size in self._permutation(sizes)]
            order = tuple(size for size in drawn for _ in range(lanes))
            what = f"{len(order)} calls at {', '.join(map(str, sorted(sizes)))}{GAP}MB in turns, round {number}"
            yield from self._run(f"round-{number}", order, number, lanes, what, fresh=not checked, idle=not checked)
            return
        order = self._counterbalanced(number, sizes)
        self._order = order
        for size in order:
            calls = (size,) * passes * lanes
            what = f"{len(calls)} calls at {size}{GAP}MB, round {number}"
            yield from self._run(f"round-{number}-{size}MB", calls, number, lanes, what, fresh=True, idle=False)
            if self._stopped:
                return

    def _counterbalanced(self, number: int, sizes: Sequence[int]) -> tuple[int, ...]:
        """Every second round goes through the sizes backwards, so that a steady change favours none."""
        if number % 2:
            return self._permutation(sizes)
        return tuple(size for size in reversed(self._order) if size in sizes)

    def _permutation(self, sizes: Sequence[int]) -> tuple[int, ...]:
        return tuple(int(size) for size in self._rng.permutation(sizes))

    def _run(
        self, name: str, order: tuple[int, ...], number: int, lanes: int, purpose: str, *, fresh: bool, idle: bool
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
            purpose=purpose,
            found=self._found,
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
