"""Rules of a baseline where it is known how the function changed: how often they are met and broken.

The runs are those of ``tests.simulate.comparisons``, which know nothing of what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from loadgen.comparison.baseline import judged
from loadgen.measure.rule import parse
from loadgen.measure.threshold import evaluate
from tests.simulate.comparisons import BURSTY, INDEPENDENT, LEVELS, MANY, SEED, Law, run
from tests.simulate.parallel import all_of
from tests.simulate.table import Row

RULE = "latency.p95 < 110% of baseline"


class Case(Struct, frozen=True):
    """One gate: a law, how many times as long the new run's times are, and a seed."""

    law: Law
    times: float
    seed: int


def passed(case: Case) -> bool | None:
    """How the rule ends."""
    rng = np.random.default_rng((case.seed, *case.law.name.encode()))
    base, new = run(case.law, rng), run(case.law, rng, case.times)
    rule = parse(RULE)
    summary = new.summary
    summary = replace(summary, thresholds=evaluate([rule], summary.phases, summary.totals, summary.verdict))
    (result,) = judged(base, replace(new, summary=summary), [rule]).thresholds
    return result.passed


def rows(*, quick: bool, seed: int = SEED) -> Iterator[Row]:
    """The lines of the table."""
    for law, times, ended, bar in (
        (INDEPENDENT, 1.0, False, "≤ 2.5%"),
        (MANY, 1.0, False, "≤ 2.5%"),
        (INDEPENDENT, 1.1, True, "≤ 5%"),
        (BURSTY, 1.1, True, "≤ 5%"),
        (INDEPENDENT, 1.1, False, "≤ 2.5%"),
        (BURSTY, 1.1, False, "≤ 2.5%"),
        (LEVELS, 1.1, False, "≤ 2.5%"),
        (MANY, 1.1, False, "≤ 2.5%"),
        (MANY, 1.1, True, ""),
        (INDEPENDENT, 1.0, True, "≥ 90%"),
        (INDEPENDENT, 1.3, False, "≥ 90%"),
    ):
        number = 20 if quick else 60 if law is MANY else 100
        found = all_of(passed, [Case(law, times, seed + n) for n in range(number)], f"gates, {law.name}")
        share = sum(each is ended for each in found) / number
        open_ = sum(each is None for each in found) / number
        limit = float(bar.strip("≤≥ %") or 0) / 100
        met = None if not bar else share <= limit if bar.startswith("≤") else share >= limit
        truth = "the same function" if times == 1 else f"all times {times - 1:.0%} longer"
        yield Row(
            "gates",
            f"{RULE}, {truth}, {law.name}: it is {'met' if ended else 'broken'}",
            bar,
            f"{share:.1%}; undecided in {open_:.0%}",
            met,
            f"{number} pairs of runs of {law.rate * law.seconds} calls each",
        )
