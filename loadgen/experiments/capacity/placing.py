"""Where the rules stop being met, from all probes together, and so which rate to hold next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.experiments.capacity.crossing import Ceiling, Crossing, Evidence
from loadgen.experiments.capacity.plan import Plan
from loadgen.experiments.capacity.probe import Durations, Probe
from loadgen.experiments.capacity.sequential import FAIL

MOST_EVIDENCE, ENOUGH_PROBES = 150, 8
"""The search ends after so many probes, and as many invocations per unit of 1/v, the largest share that is allowed."""
MODEL_ERROR = 0.10
"""What the reported interval adds, in ln λ and in quadrature, to what sampling explains: found by simulation.

Within probes of seconds a backlog may not begin that would in minutes, and the curve is an approximation. Sampling
alone gives intervals that hold the true capacity far less often than they say.
"""
LEAST_TOLD = 100
"""Calls that have to tell their durations for these to say which rates are too high."""
NEIGHBOURS = 0.1
"""How near two rates are, in ln λ, that share the inflation of their violations."""
SAFE_PART = 0.5
"""A rate is confirmed where the expected share of violations is this part of its limit: Wald's v₀."""


@dataclass(frozen=True, slots=True)
class Placing:
    """All probes so far, in the order in which they ran."""

    plan: Plan
    probes: Sequence[Probe]

    @property
    def counted(self) -> list[Probe]:
        """Those that may be used as evidence."""
        return [probe for probe in self.probes if probe.counts]

    @property
    def met(self) -> list[Probe]:
        """Those of them that met the rules."""
        return [probe for probe in self.counted if not self._is_over(probe)]

    @property
    def over(self) -> list[Probe]:
        """Those of them that did not."""
        return [probe for probe in self.counted if self._is_over(probe)]

    @property
    def both_sides(self) -> bool:
        """Whether there are rates that meet the rules, and such that do not."""
        return bool(self.met and self.over)

    def next(self) -> float:
        """The rate of the next probe; there has to be one that counts."""
        met, over, within = self.met, self.over, self.plan.within
        if not over:
            return within(max(probe.rate for probe in met) * 1.3 ** len(met))
        if not met:
            lowest = min(over, key=lambda probe: probe.rate)
            return within(min(lowest.rate / 1.3 ** len(over), max(0.9 * lowest.ok_per_s, lowest.rate / 10)))
        crossing = self.crossing()
        low, high = crossing.interval
        # both sides of the estimate in turn, so that the steepness of the curve becomes known, too
        aside = min(0.03, 0.25 * math.log(high / low)) * (1 if len(self.probes) % 2 else -1)
        return within(crossing.estimate * math.exp(aside))

    def known(self) -> bool:
        """Whether it is known closely enough."""
        if not self.both_sides:
            return False
        counted = self.counted
        low, high = self.crossing().interval
        largest = max(criterion.limit for criterion in self.plan.criteria)
        within = math.sqrt(high / low) - 1
        enough = sum(probe.n for probe in counted) >= MOST_EVIDENCE / largest
        return within <= self.plan.precision or (enough and len(counted) >= ENOUGH_PROBES)

    def crossing(self) -> Crossing:
        """Where the rules stop being met; there have to be probes on both of its sides."""
        counted = self._consistent()
        limits = [criterion.limit for criterion in self.plan.criteria]
        plain = Crossing(self._evidence(counted, math.inf), limits)
        ceiling = self._ceiling(counted, plain.estimate, min(limits))
        if ceiling is None:
            return plain
        return Crossing(self._evidence(counted, ceiling.rate * (1 + 2 * ceiling.error)), limits, ceiling)

    def _is_over(self, probe: Probe) -> bool:
        return probe.unstable or any(
            k > criterion.limit * probe.n for k, criterion in zip(probe.k, self.plan.criteria, strict=True)
        )

    def _evidence(self, counted: Sequence[Probe], beyond: float) -> list[list[Evidence]]:
        """What the probes say about each rule; of rates from ``beyond`` on no more than that they are too high."""
        return [
            [
                Evidence(
                    probe.rate,
                    probe.n,
                    probe.k[i],
                    self._inflation(probe, i, counted),
                    probe.unstable or probe.rate >= beyond,
                )
                for probe in counted
            ]
            for i in range(len(self.plan.criteria))
        ]

    def _ceiling(self, counted: Sequence[Probe], near: float, least: float) -> Ceiling | None:
        """The rate beyond which more calls would have to run at once than may (Little's law).

        Of the rate, what the strictest rule allows may be refused. Durations are those at the rates near by, as calls
        that share an instance slow each other down. None where the limit is unknown, or was seen to be exceeded: then
        it is another one.
        """
        limit = self.plan.limit
        if limit is None or self._exceeds(limit):
            return None
        beside = [probe for probe in counted if abs(math.log(probe.rate / near)) <= NEIGHBOURS] or counted
        durations = sum((probe.durations for probe in beside), Durations(0, 0.0, 0.0))
        if durations.n < LEAST_TOLD or not durations.total_s:
            return None
        return Ceiling(limit / durations.mean_s / (1 - least), durations.error)

    def _exceeds(self, limit: int) -> bool:
        """Whether more calls ran at once, on average over a probe, than the limit says there may."""
        return any(
            probe.served_per_s * probe.durations.mean_s > (1.02 + 4 * probe.durations.error) * limit
            for probe in self.counted
            if probe.durations.n >= LEAST_TOLD
        )

    def _consistent(self) -> list[Probe]:
        """The probes that count, but for those that met the rules at a rate at which, or below, a longer one did not.

        Near its limit a backlog takes its time to begin: a short probe may not see it, and the lower rate stands.
        """
        counted = self.counted
        failed = [probe for probe in counted if probe.verdict == FAIL]
        return [
            probe
            for probe in counted
            if self._is_over(probe)
            or not any(
                other.rate <= probe.rate
                and probe.report.measured_ns < (2 if other.unstable else 0.5) * other.report.measured_ns
                for other in failed
            )
        ]

    def _inflation(self, probe: Probe, rule: int, counted: Sequence[Probe]) -> float:
        """The largest inflation seen near a rate: one probe alone may have missed what comes in bursts."""
        near = (other for other in counted if abs(math.log(other.rate / probe.rate)) <= NEIGHBOURS)
        return max(other.inflation[rule] for other in near)

    def safe(self) -> float:
        """The largest rate that may well be confirmed: few violations are expected, and the limit is not near."""
        if not self.over:
            return self.plan.to_per_s
        crossing = self.crossing()
        return min(crossing.below(SAFE_PART), interval(crossing)[0])


def interval(crossing: Crossing) -> tuple[float, float]:
    """The interval of the estimate, with what the model gets wrong."""
    low, high = (
        crossing.estimate * math.exp(math.copysign(math.hypot(distance, MODEL_ERROR), distance))
        for distance in (math.log(end / crossing.estimate) for end in crossing.interval)
    )
    return low, high
