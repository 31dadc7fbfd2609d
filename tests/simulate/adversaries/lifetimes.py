"""Idle instances that live for times of several laws: when that is called one fixed time, and what its bounds hold.

The search looks between 10 s and 120 s. One label in five hundred is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from msgspec import Struct

from loadgen.experiments.coldstarts.findings import GapProbe, KeepAlive
from loadgen.experiments.coldstarts.keepalive import estimate, next_gap
from tests.simulate.table import Row

S = 1_000_000_000
RANGE = (10 * S, 120 * S)
WRONG = 0.002

Draw = Callable[[np.random.Generator, float, int], float]
"""A lifetime in s: of a law placed at some time, at the n-th probe."""


class Law(Struct, frozen=True):
    """A law of lifetimes; ``median`` is that of the time at which it is placed, times that time."""

    name: str
    draw: Draw
    median: Callable[[float], float]
    fixed: bool = False


def _weibull(shape: float) -> Law:
    return Law(
        f"Weibull, shape {shape:g}",
        lambda rng, at, n: at * float(rng.weibull(shape)),
        lambda at: at * math.log(2) ** (1 / shape),
    )


def _swept(every: float) -> Law:
    return Law(
        f"ended by a sweep every {every:g} s",
        lambda rng, at, n: at + every * float(rng.random()),
        lambda at: at + every / 2,
    )


def _two(share: float, early: float) -> Law:
    """Some live for a part of the time of the others."""
    return Law(
        f"{share:.0%} live for {early:.0%} of the time",
        lambda rng, at, n: at * (early if rng.random() < share else 1.0),
        lambda at: at,
    )


def _drawn(sigma: float) -> Law:
    return Law(
        f"log-normal, σ {sigma:g}",
        lambda rng, at, n: at * math.exp(sigma * float(rng.standard_normal())),
        lambda at: at,
    )


LAWS = (
    Law("fixed", lambda rng, at, n: at, lambda at: at, fixed=True),
    Law(
        "fixed to a tenth of a second",
        lambda rng, at, n: at + 0.1 * float(rng.random()),
        lambda at: at + 0.05,
        fixed=True,
    ),
    _swept(5.0),
    _swept(10.0),
    _swept(30.0),
    _weibull(2.0),
    _weibull(4.0),
    _weibull(10.0),
    _drawn(0.05),
    _drawn(0.3),
    _two(0.25, 0.5),
    Law("exponential", lambda rng, at, n: at * float(rng.exponential(1.0)), lambda at: at * math.log(2)),
    Law("one of ten, evenly", lambda rng, at, n: at * (0.5 + 0.1 * int(rng.integers(10))), lambda at: 0.95 * at),
)


def looked_for(law: Law, seed: int) -> tuple[KeepAlive, float]:
    """What the search says of one function, and the true median in s."""
    rng = np.random.default_rng((seed, 0x11FE))
    at = float(rng.uniform(25, 85))
    probes: list[GapProbe] = []
    while (gap_ns := next_gap(probes, *RANGE)) is not None:
        cold = gap_ns >= law.draw(rng, at, len(probes)) * S
        probes.append(GapProbe(gap_ns, cold != (rng.random() < WRONG)))
    return estimate(probes, *RANGE), law.median(at)


def held(found: KeepAlive, median_s: float) -> bool:
    """Whether the truth is within the bounds; one that is not given bounds nothing."""
    return (found.low_ns or 0) <= median_s * S <= (found.high_ns or math.inf)


def rows(*, quick: bool) -> Iterator[Row]:
    """The lines of the table."""
    runs = 60 if quick else 200
    for law in LAWS:
        found = [looked_for(law, seed) for seed in range(runs)]
        fixed = sum(each.policy == "fixed" for each, _ in found) / runs
        told = [(each, median) for each, median in found if each.policy in ("fixed", "random")]
        right = sum(held(each, median) for each, median in told) / max(1, len(told))
        width = (
            np.median([((each.high_ns or RANGE[1]) - (each.low_ns or 0)) / S for each, _ in told]) if told else math.nan
        )
        probes = np.mean([len(each.probes) for each, _ in found])
        yield Row(
            "adversaries.lifetimes",
            f"keep-alive; {law.name}: called fixed, and the bounds hold the median",
            ("≥ 90 %" if law.fixed else "≤ 5 %") + ", ≥ 93 %",
            f"{fixed:.1%}, {right:.1%}; bounds {width:.1f} s apart, {probes:.0f} probes",
            (fixed >= 0.9 if law.fixed else fixed <= 0.05) and right >= 0.93,
            f"{runs} functions",
        )
