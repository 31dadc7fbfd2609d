"""What a comparison of two runs says: the published format, and how each row is decided.

Theory of operation. A row is ``same`` where the whole interval of its ratio is within the noise, which is as far below
1 as above it: from 1/(1 + noise) to 1 + noise. It is ``worse`` or ``better`` where the interval excludes 1, the ratio
is beyond the noise, and it is no level that wanders from run to run: see below. Else it is ``unclear``: nobody may
conclude from it. A share of failures is within the noise, too, where it differs by at most a thousandth of the calls.

One run of each says nothing about how much runs of the same thing differ from each other, other than what is seen while
they last (``loadgen.comparison.stretches``). So nothing is claimed that runs could show whose level has a standard
deviation of 2 % (``ASSUMED``): the ratio must be beyond 1 by more than 2.24 √2 · 2 %, added as a square to what
the calls leave open, which is 6.5 % where these are many. 2.24 is for 97.5 %, as the rows share the rest of the 5 %.
Where there are at least three runs of the new scenario, how much these differ stands in the place of that.

A figure that may not be shown, that the load generator may have moved, or that is no time as the call there failed, is
not decided; a note says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from msgspec import Struct

from loadgen.comparison.ratio import (
    Estimate,
    Ratio,
    Share,
    difference,
    of_estimates,
    of_shares,
    z_of,
)
from loadgen.measure.ends import NEGLIGIBLE_SHARE

SCHEMA = "loadgen.comparison/1"
SEVERAL = "loadgen.comparisons/1"
NOISE = 0.05
BETTER, WORSE, SAME, UNCLEAR = "better", "worse", "same", "unclear"
ASSUMED = 0.02
"""The standard deviation of the level of a run, in logarithms, that claims allow for where runs do not tell it."""

MAY_BE_THE_RUNS = "two runs of one function whose level varies by 2 % could differ as much"
_MORE_RUNS = "three or more NEW runs say how much they do."
_ASSUMED_WIDTH = NormalDist().inv_cdf(1 - 0.025 / 2) * math.sqrt(2) * ASSUMED


class Place(NamedTuple):
    """Which figure a row is of; ``call`` and ``start`` are None for all."""

    phase: str
    call: str | None
    start: str | None
    metric: str
    statistic: str

    def __str__(self) -> str:
        """In words: ``steady pay/cold latency.p95``; totals are not named."""
        where = "/".join(part for part in (self.call, self.start) if part)
        phase = "" if self.phase == TOTALS else self.phase
        return " ".join(part for part in (phase, where, f"{self.metric}.{self.statistic}") if part)


TOTALS = "totals"


class Row(Struct, frozen=True):
    """One figure of both runs. ``ratio`` is new over base; ``low`` and ``high`` are its limits.

    All limits of a comparison hold at once with 95 % confidence. Null is what is not known: a figure that may not be
    shown, the ratio of a share that is 0 in base, a limit that the sample does not give. Times are ns, shares from 0
    to 1, rates per second; ``verdict`` is ``better``, ``worse``, ``same`` or ``unclear``.
    """

    phase: str
    call: str | None
    start: str | None
    metric: str
    statistic: str
    base: float | None
    new: float | None
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str

    @property
    def place(self) -> Place:
        """Which figure it is."""
        return Place(self.phase, self.call, self.start, self.metric, self.statistic)


class Side(Struct, frozen=True):
    """One of the two runs. ``path`` is as it was given."""

    path: str
    id: str
    name: str
    started_at: str
    version: str


class Comparison(Struct, frozen=True):
    """Two runs, figure by figure.

    Where they are not ``comparable``, ``notes`` says what differs, and there are no rows. Else it says what else
    differs, and why rows were not decided.
    """

    schema: str
    base: Side
    new: Side
    comparable: bool
    notes: list[str]
    rows: list[Row]


class Several(Struct, frozen=True):
    """A base beside several new runs, in the order given."""

    schema: str
    comparisons: list[Comparison]


class Pair(Struct, frozen=True):
    """A figure of both runs before it is decided.

    ``figures`` is None where it cannot be, for which ``why`` is the reason. ``run`` is the 95 % half-width of how runs
    were seen to differ, in logarithms, and ``assumed`` says that what was not seen is to be allowed for.
    """

    place: Place
    base: float | None
    new: float | None
    figures: tuple[Estimate, Estimate] | tuple[Share, Share] | None
    why: str = ""
    run: float = 0.0
    assumed: bool = True
    more_is: str = WORSE


class Decided(NamedTuple):
    """The rows, in the order of their pairs, and notes on those that are not decided."""

    rows: list[Row]
    notes: list[str]


def decided(pairs: Sequence[Pair], noise: float) -> Decided:
    """Decide each row, all of them together at 95 %; ``noise`` is a share such as 0.05."""
    z = z_of(sum(pair.figures is not None for pair in pairs))
    rows = [_row(pair, z, noise) for pair in pairs]
    why: dict[str, list[Place]] = {}
    for pair, row in zip(pairs, rows, strict=True):
        if pair.figures is None:
            why.setdefault(pair.why, []).append(pair.place)
        elif row.verdict == UNCLEAR and pair.assumed and _verdict(ratio := _ratio(row), ratio, noise) != UNCLEAR:
            why.setdefault(f"{MAY_BE_THE_RUNS}; {_MORE_RUNS}", []).append(pair.place)
    return Decided(rows, [f"{_listed(places)}: {reason}" for reason, places in why.items()])


class Intervals(NamedTuple):
    """The ratio of a pair: with what was seen, and with what is to be allowed for besides."""

    seen: Ratio
    allowed: Ratio


def intervals(pair: Pair, z: float) -> Intervals:
    """The ratio of a pair that can be decided, at ``z`` standard deviations."""
    assert pair.figures is not None
    base, new = pair.figures
    if isinstance(base, Share):
        assert isinstance(new, Share)
        ratio = of_shares(base, new, z)
        return Intervals(ratio, ratio)
    assert isinstance(new, Estimate)
    ratio = of_estimates(base, new, z, pair.run)
    return Intervals(ratio, of_estimates(base, new, z, max(pair.run, _ASSUMED_WIDTH)) if pair.assumed else ratio)


def _row(pair: Pair, z: float, noise: float) -> Row:
    ratio, verdict = Ratio(None, 0.0, math.inf), UNCLEAR
    if pair.figures is not None:
        (ratio, allowed), (base, new) = intervals(pair, z), pair.figures
        if isinstance(base, Share) and isinstance(new, Share):
            verdict = _of_shares(base, new, ratio, z, noise)
        else:
            verdict = _verdict(ratio, allowed, noise)
        if pair.more_is == BETTER:
            verdict = {WORSE: BETTER, BETTER: WORSE}.get(verdict, verdict)
    known = pair.figures is not None
    return Row(
        *pair.place,
        base=pair.base,
        new=pair.new,
        ratio=ratio.value,
        low=ratio.low if known else None,
        high=None if math.isinf(ratio.high) else ratio.high,
        verdict=verdict,
    )


def _ratio(row: Row) -> Ratio:
    return Ratio(row.ratio, row.low or 0.0, math.inf if row.high is None else row.high)


def _verdict(ratio: Ratio, allowed: Ratio, noise: float) -> str:
    """Where more is worse; ``allowed`` is the interval with what is to be allowed for."""
    most = 1 + noise
    if 1 / most <= ratio.low and ratio.high <= most:
        return SAME
    value = math.inf if ratio.value is None else ratio.value
    if allowed.low > 1 and value > most:
        return WORSE
    if allowed.high < 1 and value < 1 / most:
        return BETTER
    return UNCLEAR


def _of_shares(base: Share, new: Share, ratio: Ratio, z: float, noise: float) -> str:
    low, high = difference(base, new, z)
    if low >= -NEGLIGIBLE_SHARE and high <= NEGLIGIBLE_SHARE:
        return SAME
    found = _verdict(ratio, ratio, noise)
    return UNCLEAR if found in (WORSE, BETTER) and abs(new.value - base.value) <= NEGLIGIBLE_SHARE else found


def applies(fail_on: str | None, comparisons: Iterable[Comparison]) -> bool:
    """Whether any row is what is not wanted: ``worse``, or ``unclear``, which includes worse."""
    unwanted = {None: (), WORSE: (WORSE,), UNCLEAR: (WORSE, UNCLEAR)}[fail_on]
    return any(row.verdict in unwanted for each in comparisons for row in each.rows)


def _listed(places: Sequence[Place], most: int = 8) -> str:
    """Names of rows, their statistics together: ``latency.p95/p99, steady duration.p50``."""
    by_metric: dict[str, list[str]] = {}
    for place in places:
        by_metric.setdefault(str(place).removesuffix(f".{place.statistic}"), []).append(place.statistic)
    said = [f"{metric}.{'/'.join(statistics)}" for metric, statistics in by_metric.items()]
    more = len(places) - sum(map(len, list(by_metric.values())[:most]))
    return ", ".join(said[:most]) + (f" and {more} more" if more else "")
