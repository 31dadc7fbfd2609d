"""The invocations of a probe by when they were intended, and whether its rate has settled.

A rate has settled where neither the invocations in flight nor latency have a slope, cold starts do not become fewer,
and violations are not far more frequent at first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from loadgen.experiments.capacity import sequential
from loadgen.invocation.sample import Sample
from loadgen.text.units import NS_PER_S

WINDOW = 20
"""Batches over which a settled rate shows no slope."""
FAR = 4.0
"""Standard deviations between two parts of a window that have not the same share of violations."""


@dataclass(slots=True)
class Batches:
    """Invocations by when they were intended: batches of equal length from the first one on, the ramp first.

    Of those that were ``broken``, the load generator disturbed the ``moved`` ones: without it they might not have been.
    """

    batch_ns: int
    ramp: int
    broken: list[list[int]]
    origin_ns: int = 0
    slowest_ns: int = 0
    n: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    colds: list[int] = field(default_factory=list)
    latency_ns: list[int] = field(default_factory=list)
    moved: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.moved = [[] for _ in self.broken]

    def add(self, sample: Sample, broken: Sequence[bool], cold: bool) -> None:
        """Add one invocation."""
        at = max(0, sample.intended_ns - self.origin_ns) // self.batch_ns
        end = max(0, sample.ended_ns - self.origin_ns) // self.batch_ns
        while len(self.n) <= at:
            for counts in (self.n, self.colds, self.latency_ns, *self.broken, *self.moved):
                counts.append(0)
        while len(self.ends) <= end:
            self.ends.append(0)
        self.slowest_ns = max(self.slowest_ns, sample.latency_ns)
        self.n[at] += 1
        self.ends[end] += 1
        self.colds[at] += cold
        self.latency_ns[at] += sample.latency_ns
        for counts, moved, is_broken in zip(self.broken, self.moved, broken, strict=True):
            counts[at] += is_broken
            moved[at] += is_broken and sample.disturbed

    def verdict(self, rule: int, limit: float, start: int, upto: int | None = None) -> str:
        """The verdict on a rule, by its number, from a batch on.

        It is what it is with and without the violations that the load generator may have caused, else ``undecided``.
        """
        n, counts, moved = sum(self.n[start:upto]), self.broken[rule], sum(self.moved[rule][start:upto])
        inflation, k = self.inflation(start, counts, upto), sum(counts[start:upto])
        found = {sequential.verdict(n, each, limit, inflation) for each in (k, k - moved)}
        return found.pop() if len(found) == 1 else sequential.UNDECIDED

    def settled_from(self, upto: int) -> int | None:
        """The first batch of the first window in which nothing has a slope; None when there is none before ``upto``."""
        flight, latency = self._in_flight(upto), self._latency(upto)
        for start in range(self.ramp, upto - WINDOW + 1):
            window = slice(start, start + WINDOW)
            if (
                not sequential.slope(flight[window])
                and not sequential.slope(latency[window])
                and sequential.slope(self.colds[window]) >= 0
                and not any(self._fewer(counts, start) for counts in self.broken)
            ):
                return start
        return None

    def _fewer(self, counts: Sequence[int], start: int) -> bool:
        """Whether violations are far more frequent in the first quarter of a window than in the rest of it."""
        cut, end = start + WINDOW // 4, start + WINDOW
        first, rest = sum(self.n[start:cut]), sum(self.n[cut:end])
        k = sum(counts[start:end])
        if not first or not rest or not k:
            return False
        share = k / (first + rest)
        deviation = math.sqrt(share * (1 - share) * (1 / first + 1 / rest))
        return sum(counts[start:cut]) / first - sum(counts[cut:end]) / rest > FAR * deviation

    def rising(self, start: int, upto: int | None = None) -> bool:
        """Whether latency rises from a batch on, and the invocations in flight in both halves of that time.

        After a change of the rate both rise for a while, but ever more slowly; a backlog grows on and on.
        """
        upto = len(self.n) if upto is None else upto
        if upto - start < WINDOW:
            return False
        flight, half = self._in_flight(upto), (start + upto) // 2
        return (
            sequential.slope(_means(self._latency(upto)[start:])) > 0
            and sequential.slope(_means(flight[start:half])) > 0
            and sequential.slope(_means(flight[half:])) > 0
        )

    def draining(self, upto: int) -> bool:
        """Whether the invocations in flight have become fewer lately, or since the rate is held."""
        flight = self._in_flight(upto)
        return any(sequential.slope(flight[start:]) < 0 for start in (-WINDOW // 2, -WINDOW, self.ramp))

    def inflation(self, start: int, counts: Sequence[int], upto: int | None = None) -> float:
        """The variance inflation of a count from a batch on."""
        return sequential.inflation(self.n[start:upto], counts[start:upto])

    def ended_per_s(self, start: int) -> float:
        """How many invocations ended per second from a batch on, while load was sent."""
        ended = self.ends[start : len(self.n)]
        return sum(ended) / (max(1, len(ended)) * self.batch_ns / NS_PER_S)

    def _in_flight(self, upto: int) -> list[float]:
        ends = [*self.ends, *[0] * upto][:upto]
        return [float(x) for x in accumulate(n - e for n, e in zip(self.n[:upto], ends, strict=True))]

    def _latency(self, upto: int) -> list[float]:
        return [total / n if n else 0.0 for total, n in zip(self.latency_ns[:upto], self.n[:upto], strict=True)]


def _means(values: Sequence[float]) -> list[float]:
    """At most thirty means of neighbours."""
    width = max(1, len(values) // sequential.GROUPS)
    return [sum(values[i : i + width]) / len(values[i : i + width]) for i in range(0, len(values), width)]
