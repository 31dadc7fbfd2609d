"""The calls of a memory comparison: which size, which round, and whether each was cold.

A call is cold if no instance of its size was free when it started: instances serve one call at a time, each size has
its own, and the silence before a round has ended those of the rounds before. Where the answers themselves say whether
they were cold, that counts instead. A call that started while an answer was on its way, or whose instance had been left
alone for long, may be either: ``unsure``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from loadgen.invocation.outcome import OK, Instance, Outcome, names
from loadgen.invocation.sample import Sample

COLD, WARM, UNSURE, REFUSED = "cold", "warm", "unsure", "refused"
"""How a call found its instance; ``refused`` is one that reached none."""

_SURE = ("probe", "log")
HOPELESS = names(lambda traits: traits.instance is Instance.ENDED) | {Outcome.TIMEOUT.value}
"""Outcomes that more calls of the same size would have, too."""


class Call(Struct, frozen=True, gc=False):
    """One call. ``service_ns`` is what its caller waited, ``size_mb`` the size that it asked for.

    ``disturbed`` by the load generator.
    """

    size_mb: int
    round: int
    start: str
    outcome: str
    reason: str
    service_ns: int
    duration_ns: int | None
    billed_ns: int | None
    reported_mb: int | None
    disturbed: bool = False

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.outcome == OK


class _Instance(Struct, frozen=True):
    """What may take a call: from ``from_ns`` on, as its answer may still be on its way, surely from ``ended_ns`` on.

    ``there`` is False for one that may be the same as another.
    """

    from_ns: int
    ended_ns: int
    there: bool


class Calls:
    """All calls so far."""

    def __init__(self, patience_ns: int) -> None:
        """``patience_ns`` is how long an instance that is left alone is surely there."""
        self._patience_ns = patience_ns
        self._known = False  # nobody knows which instances there were before the first round
        self._free: dict[int, list[_Instance]] = defaultdict(list)
        self._alone = False
        self.of: dict[int, list[Call]] = defaultdict(list)

    def add(
        self, samples: Sequence[Sample], order: Sequence[int], number: int, *, fresh: bool
    ) -> list[tuple[Sample, str]]:
        """Add the calls of a round that asked for the sizes of ``order``; ``fresh`` if all instances ended before it.

        Returns how each of them found its instance.

        Until that has been so once, there may be instances of others, or of a pre-flight. Samples that the load did not
        get to make do not count.
        """
        if fresh:
            self._known = True
            self._free.clear()
            self._alone = True
        made = [sample for sample in samples if sample.started_ns is not None]
        first = min((sample.index for sample in samples), default=0)
        found = []
        for sample in sorted(made, key=lambda sample: sample.started_ns or 0):
            size = order[(sample.index - first) % len(order)]
            call = self._call(sample, size, number)
            self.of[size].append(call)
            found.append((sample, call.start))
        return found

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self.of.values()))

    def warm(self, size: int) -> Iterator[Call]:
        """The successful calls of a size that were surely warm, the only ones whose times are compared."""
        return (call for call in self.of[size] if call.ok and call.start == WARM)

    def judged(self, size: int, *, times: bool) -> Iterator[Call]:
        """The calls of a size that rules are about, rules about ``times`` or about failures alone: all but cold ones.

        Of those that may have been cold, the successful ones have times that nobody can judge; one that failed stands
        above all that did not, and would whether it was cold or warm.
        """
        return (
            call
            for call in self.of[size]
            if call.start in (WARM, REFUSED) or (call.start == UNSURE and not (times and call.ok))
        )

    def instances(self, size: int) -> int:
        """How many instances of a size were started for successful calls."""
        return sum(call.ok and call.start == COLD for call in self.of[size])

    def by_round(self, size: int) -> Counter[tuple[int, int]]:
        """The same by (size, round)."""
        return Counter((size, call.round) for call in self.of[size] if call.ok and call.start == COLD)

    def hopeless(self, size: int) -> Call | None:
        """The first call of a size that shows that it cannot work, if none has succeeded."""
        if any(call.ok for call in self.of[size]):
            return None
        return next((call for call in self.of[size] if call.outcome in HOPELESS), None)

    def strayed(self) -> Counter[tuple[int, int]]:
        """How many successful calls ran at another size than they asked for, by (asked for, reported)."""
        calls = (call for calls in self.of.values() for call in calls if call.ok)
        return Counter(
            (call.size_mb, call.reported_mb)
            for call in calls
            if call.reported_mb is not None and call.reported_mb != call.size_mb
        )

    def _call(self, sample: Sample, size: int, number: int) -> Call:
        assert sample.started_ns is not None
        start = self._found(sample, size)
        if sample.start_source in _SURE:
            start = sample.start
        return Call(
            size_mb=size,
            round=number,
            start=start,
            outcome=sample.outcome,
            reason=sample.reason,
            service_ns=sample.ended_ns - sample.started_ns,
            duration_ns=sample.duration_ns,
            billed_ns=sample.billed_duration_ns,
            reported_mb=sample.memory_size_mb,
            disturbed=sample.disturbed,
        )

    def _found(self, sample: Sample, size: int) -> str:
        became = Outcome(sample.outcome).traits.instance
        if became is Instance.NONE:
            return REFUSED
        assert sample.started_ns is not None
        free, now_ns = self._free[size], sample.started_ns
        sure = [each for each in free if each.there and each.ended_ns <= now_ns]
        maybe = [each for each in free if each.from_ns <= now_ns]
        found = max(sure or maybe, default=None, key=lambda each: each.ended_ns)
        overlaps = found is not None and not sure and found.ended_ns > now_ns - self._patience_ns
        if found is not None:
            free.remove(found)
            if overlaps:  # it may have met that instance, which is then the same as its own, or a new one
                free.append(replace(found, there=False))
        if became is Instance.FREE:
            busy_ns = sample.ended_ns - now_ns if sample.duration_ns is None else sample.duration_ns
            free.append(_Instance(min(now_ns + busy_ns, sample.ended_ns), sample.ended_ns, True))
        elif became is Instance.UNCLEAR:
            free.append(_Instance(sample.ended_ns, sample.ended_ns, False))
        if found is None:
            return COLD if self._alone else UNSURE
        return WARM if sure and now_ns - found.ended_ns <= self._patience_ns else UNSURE
