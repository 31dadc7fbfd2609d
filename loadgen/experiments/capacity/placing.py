"""Where the rules stop being met, from all probes together, and so which rate to hold next.

Less load is not always easier: a low rate keeps too few instances alive, and its calls wait for new ones. Rates that
fail for that are no evidence of where the limit is; what is looked for lies above them.

Nor does a handler always take the same time. Where its speed is seen to change, the rate to be confirmed leaves room
for a slow spell: a confirmation of minutes may meet none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadgen.experiments.capacity.attribution import COLD
from loadgen.experiments.capacity.crossing import Ceiling, Crossing, Evidence
from loadgen.experiments.capacity.held import GROWING, Durations, Probe
from loadgen.experiments.capacity.plan import Plan
from loadgen.experiments.capacity.sequential import FAIL, PASS
from loadgen.stats import student

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
APART = 1.15
"""By how much a rate has to be higher to show that a lower one keeps too few instances."""
FAR_MORE = 1.5
"""How many times as many violations by cold starts a rate has that is too low, beside one that meets the rules."""
UPWARDS = 1.6
"""The step to higher rates from those that are too low."""
SURELY = 3.0
"""Standard errors between two shares of violations that are surely not the same."""
SLOW_SPELL = 0.975
"""The quantile of the speed of which a slow spell is, in which the calls have to run, too."""
LEAST_SPELLS = 8
"""Stretches of time that it takes to see the speed change."""
SAFE_PART = 0.5
"""A rate is confirmed where the expected share of violations is this part of its limit: Wald's v₀."""


@dataclass(frozen=True, slots=True)
class Placing:
    """All probes so far, in the order in which they ran."""

    plan: Plan
    probes: Sequence[Probe]

    @property
    def counted(self) -> list[Probe]:
        """Those that may be used as evidence of where the rules stop being met, coming from below."""
        too_low = self.too_low
        return [probe for probe in self._usable if probe not in too_low]

    @property
    def too_low(self) -> list[Probe]:
        """Those whose rate keeps too few instances alive: cold starts broke the rules, and fewer at a higher rate.

        A higher rate that met the rules shows it, or two rates that did not, of which the lower one had more.
        """
        cold = [probe for probe in self._usable if self._starves(probe)]
        return [probe for probe in cold if any(self._fewer_colds(probe, other) for other in self._usable)]

    @property
    def starved(self) -> bool:
        """Whether what is looked for seems to lie above the rates that cold starts break the rules at.

        So it does where a lower rate had no fewer of them, or is the lowest there is.
        """
        cold = sorted((probe for probe in self._usable if self._starves(probe)), key=lambda probe: probe.rate)
        if not cold:
            return False
        lowest = cold[0].rate <= self.plan.from_per_s * 1.01
        return lowest or (len(cold) > 2 and _cold(cold[0]) > _cold(cold[-1]))

    @property
    def _usable(self) -> list[Probe]:
        return [probe for probe in self.probes if probe.counts]

    def _starves(self, probe: Probe) -> bool:
        """Whether more than half of what broke the rules waited for an instance, and no backlog grew."""
        grew = probe.report.why == GROWING
        return self._is_over(probe) and not grew and 2 * _cold(probe) > sum(probe.shares.values())

    def _fewer_colds(self, probe: Probe, other: Probe) -> bool:
        """Whether cold starts break the rules far less often at another, higher rate."""
        if other.rate < APART * probe.rate or other.unstable:
            return False
        if other.verdict == PASS:
            return _cold(probe) > FAR_MORE * _cold(other)
        own, others = _cold(probe) * probe.n, _cold(other) * other.n
        error = math.sqrt((own + 1) / probe.n**2 + (others + 1) / other.n**2)
        return _cold(probe) - _cold(other) > SURELY * error

    @property
    def met(self) -> list[Probe]:
        """Those of them that met the rules."""
        return [probe for probe in self.counted if not self._is_over(probe)]

    @property
    def over(self) -> list[Probe]:
        """Those of them that did not."""
        return [probe for probe in self.counted if self._is_over(probe)]

    @property
    def words(self) -> str:
        """Between which rates the limit is, by what was held so far; empty while there is nothing."""
        met, over = self.met, self.over
        known = [f"met at {max(each.rate for each in met):g}/s"] if met else []
        known += [f"not met at {min(each.rate for each in over):g}/s"] if over else []
        return f"the rules are {', '.join(known)}" if known else ""

    @property
    def both_sides(self) -> bool:
        """Whether there are rates that meet the rules, and such that do not."""
        return bool(self.met and self.over)

    def next(self) -> float:
        """The rate of the next probe; there has to be one that counts."""
        met, over, within = self.met, self.over, self.plan.within
        if not met and self.starved:
            starving = [probe.rate for probe in self._usable if self._starves(probe)]
            above = [probe.rate for probe in over if not self._starves(probe) and probe.rate > max(starving)]
            return within(math.sqrt(max(starving) * min(above)) if above else max(starving) * UPWARDS)
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
        safe = min(crossing.below(SAFE_PART), interval(crossing)[0])
        ceiling = self._ceiling(self._consistent(), crossing.estimate, min(each.limit for each in self.plan.criteria))
        return safe if ceiling is None else min(safe, ceiling.rate * math.exp(-self.slower()))

    def slower(self) -> float:
        """By how much slower handlers may become with time, in the logarithm of their mean; 0 where none are seen to.

        The means of stretches of time vary by more than their calls explain, once what goes with the rate is taken out.
        Neighbours are alike, so that there are fewer of them than it seems, and the next one is predicted by Student's
        law.
        """
        told = [(probe.rate, each) for probe in self.counted for each in probe.spells if each.error]
        if len(told) < LEAST_SPELLS:
            return 0.0
        y = np.log([each.mean_s for _, each in told])
        x = np.log([rate for rate, _ in told])
        away, off = x - x.mean(), y - y.mean()
        off = off - away * float((away * off).sum() / max(float((away * away).sum()), 1e-12))
        expected = float(np.mean([each.error**2 for _, each in told]))
        spread = float((off * off).sum()) / (len(off) - 2)
        by_chance = 1 + SURELY * math.sqrt(2 / (len(off) - 2))
        if spread <= by_chance * expected:
            return 0.0
        alike = min(0.95, max(0.0, float((off[1:] * off[:-1]).sum() / (off * off).sum())))
        freedom = max(2.0, len(off) * (1 - alike) / (1 + alike) - 1)
        return student.quantile(SLOW_SPELL, freedom) * math.sqrt(spread - expected)


def _cold(probe: Probe) -> float:
    """The share of its invocations that broke a rule as they waited for an instance."""
    return probe.shares.get(COLD, 0.0)


def interval(crossing: Crossing) -> tuple[float, float]:
    """The interval of the estimate, with what the model gets wrong."""
    low, high = (
        crossing.estimate * math.exp(math.copysign(math.hypot(distance, MODEL_ERROR), distance))
        for distance in (math.log(end / crossing.estimate) for end in crossing.interval)
    )
    return low, high
