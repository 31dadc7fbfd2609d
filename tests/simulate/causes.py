"""The sentence of why, where it is known what made calls slow: how often a cause is named, and whether it is the one.

Calls are drawn here one by one, over a minute: a log-normal time in the function and another on the way, and labels
(cold, one of two calls, one of two phases, failed) by lot. A truth says which calls something made slow, and by how
much. Nothing of ``loadgen.report.why`` is used in it. By far not all that is slow has a cause: the tail of the
log-normal times stays.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from loadgen.measure import hlog
from loadgen.measure.merge import metric_summary
from loadgen.measure.percentile import LISTED
from loadgen.measure.summary import CallSummary, MetricSummary, PhaseSummary, Summary, ThresholdResult, Verdict
from loadgen.report.stretch import stretch
from loadgen.report.timeline import Course
from loadgen.report.why import why
from loadgen.text.units import NS_PER_S
from tests.report import builders
from tests.simulate.comparisons import histogram
from tests.simulate.parallel import all_of
from tests.simulate.table import Row

SEED = 20261130
FUNCTION_US, WAY_US = 12_000.0, 8_000.0
LIMIT_US = 120_000
COLD, FAILED, CALL, PHASE, WHEN, FUNCTION, WAY = "cold", "failed", "call", "phase", "when", "function", "way"
SECONDS, LONG = 60, 4  # of a run, and of the stretch in which calls are slow
NAMES = {
    COLD: "cold starts",
    FAILED: "calls that failed",
    CALL: "call pay",
    PHASE: "phase later",
    WHEN: "calls that ended from",
    FUNCTION: "time in the function",
    WAY: "time on the way",
}
_SLOW = {FUNCTION: "function", WAY: "way"}

Mask = NDArray[np.bool_]


class Truth(Struct, frozen=True):
    """What makes calls slow: of each kind named, this share of all calls.

    ``sigma`` is that of both log-normal times. ``cold``, ``pay``, ``later`` and ``failed`` are the shares of calls with
    a label that has no effect of its own. With ``correlated`` cold starts are of the call ``pay``, but for a tenth;
    with ``bursts`` slow calls come in twenty of them. ``added_us`` is what a slow call takes longer, in the median.
    """

    name: str
    slow: dict[str, float] = {}
    calls: int = 5_000
    sigma: float = 0.4
    cold: float = 0.03
    pay: float = 0.2
    later: float = 0.3
    failed: float = 0.0
    correlated: bool = False
    bursts: bool = False
    added_us: float = 250_000.0
    rule: bool = False


def summary(truth: Truth, rng: np.random.Generator) -> Summary:
    """What a run leaves in which this is so."""
    n = truth.calls
    function = FUNCTION_US * np.exp(truth.sigma * rng.standard_normal(n))
    way = WAY_US * np.exp(truth.sigma * rng.standard_normal(n))
    pay = rng.random(n) < truth.pay
    later = np.arange(n) >= n * (1 - truth.later)
    second = SECONDS * np.arange(n) / n
    begins = rng.uniform(0, SECONDS - LONG)
    then = (begins <= second) & (second < begins + LONG)
    cold = rng.random(n) < truth.cold
    if truth.bursts:  # everywhere in the run, and each short
        starts = rng.uniform(0, SECONDS, 20)
        function = function * (1 + 10 * (abs(second[:, None] - starts) < 0.3).any(axis=1) * (rng.random(n) < 0.2))
    if truth.correlated:
        cold = np.where(rng.random(n) < 0.9, pay & (rng.random(n) < truth.cold / truth.pay), cold)
    failed = rng.random(n) < truth.failed
    for kind, share in truth.slow.items():
        slow = rng.random(n) < share
        if kind == FAILED:
            failed |= slow
            continue
        # a label's calls are slow because of it, whichever part takes the time
        within = {COLD: cold, CALL: pay, PHASE: later, WHEN: then}.get(kind)
        if within is not None:
            slow = within & (rng.random(n) < share / max(1e-9, float(np.mean(within))))
        added = truth.added_us * np.exp(0.4 * rng.standard_normal(n))
        in_function = {FUNCTION: 1.0, WAY: 0.0}.get(kind, 0.5)
        function = function + np.where(slow, in_function * added, 0.0)
        way = way + np.where(slow, (1 - in_function) * added, 0.0)
    made = _left(truth, function, way, {"cold": cold, "pay": pay, "later": later}, failed)
    course = Course()
    for at in range(SECONDS):
        within = (at <= second) & (second < at + 1)
        name = "later" if at >= SECONDS * (1 - truth.later) else "first"
        for metric, of in (("latency", within & ~failed), ("latency_all", within)):
            counted = histogram((function + way)[of])
            course.add(hlog.Line(f"{name}.{metric}", at * NS_PER_S, NS_PER_S, counted))
    return replace(made, stretch=stretch(made, course.timeline()))


def _left(
    truth: Truth, function: NDArray[np.float64], way: NDArray[np.float64], labels: dict[str, Mask], failed: Mask
) -> Summary:
    times = {"duration": function, "overhead": way, "latency": function + way}

    def metrics(of: Mask, *names: str) -> dict[str, MetricSummary]:
        return {name: metric_summary(name, histogram(times[name][of & ~failed]), LISTED) for name in names}

    def phase(name: str, of: Mask, *more: str) -> PhaseSummary:
        ended = {"ok": int((of & ~failed).sum()), "gateway": int((of & failed).sum())}
        return builders.phase(name, 50, ended, measured=metrics(of, "latency", *more))

    def call(of: Mask) -> CallSummary:
        made = phase("call", of)
        return CallSummary(**{field: getattr(made, field) for field in CallSummary.__struct_fields__})

    whole = np.ones(truth.calls, dtype=bool)
    by_call = {"pay": call(labels["pay"]), "look": call(~labels["pay"])}
    by_start = {"cold": metrics(labels["cold"], "latency"), "warm": metrics(~labels["cold"], "latency")}
    total = replace(phase("totals", whole, "duration", "overhead"), by_call=by_call, by_start=by_start)
    phases = [phase("first", ~labels["later"]), phase("later", labels["later"])]
    made = builders.summary(phases, total, Verdict("valid", []))
    if truth.rule:
        broken = ThresholdResult(f"latency.p99 < {LIMIT_US // 1000}ms", None, False, "not below the limit", "value")
        return replace(made, thresholds=[broken])
    return made


class Case(Struct, frozen=True):
    """A truth and a seed."""

    truth: Truth
    seed: int


def named(case: Case) -> str:
    """The kind that is named; empty where nothing is said."""
    rng = np.random.default_rng((case.seed, *case.truth.name.encode()))
    said = why(summary(case.truth, rng))
    return next((kind for kind, name in NAMES.items() if f" is {name}" in said), said)


MEANINGLESS = (
    Truth("labels without meaning"),
    Truth("labels without meaning, long tails", sigma=1.0),
    Truth("labels without meaning, a broken rule", sigma=1.0, rule=True),
    Truth("labels without meaning, half of the calls of each", cold=0.45, pay=0.5, later=0.5, sigma=0.8),
    Truth("labels without meaning, 0.4 % fail, a broken rule", sigma=1.0, failed=0.004, rule=True),
    Truth("labels without meaning, bursts everywhere", bursts=True),
    Truth("labels without meaning, few calls", calls=2_000, sigma=1.0),
)
ONE = (
    *(Truth(f"one cause: {kind}", {kind: 0.015}) for kind in (COLD, CALL, PHASE, WHEN, FUNCTION, WAY)),
    *(Truth(f"one cause of a broken rule: {kind}", {kind: 0.02}, rule=True) for kind in NAMES),
    Truth("one cause, 2,000 calls: cold", {COLD: 0.02}, calls=2_000),
    Truth("one cause beside a long tail: call", {CALL: 0.02}, sigma=0.8),
)
SEVERAL = (
    Truth("two causes of equal weight: cold and call", {COLD: 0.01, CALL: 0.01}),
    Truth("two causes of equal weight: function and way", {FUNCTION: 0.01, WAY: 0.01}),
    Truth("two causes of equal weight, a broken rule: failed and call", {FAILED: 0.01, CALL: 0.01}, rule=True),
)
CORRELATED = (
    Truth("cold starts are of one call, and cold is the cause", {COLD: 0.015}, cold=0.03, correlated=True),
    Truth("cold starts are of one call, and the call is the cause", {CALL: 0.02}, cold=0.06, correlated=True),
)
WEAK = tuple(
    Truth(f"one cause: cold, {share:.1%} of the calls {added // 1000} ms slower", {COLD: share}, added_us=added)
    for share in (0.008, 0.015)
    for added in (20_000, 40_000, 80_000)
)
"""Of which nobody could ask that they are always named: what is slow without a cause is as slow (p99 some 35 ms)."""


def of_truth(truth: Truth, number: int, seed: int = SEED) -> list[str]:
    """What is named in so many runs, on all cores."""
    return all_of(named, [Case(truth, seed + n) for n in range(number)], f"causes, {truth.name}")


def rows(*, quick: bool, seed: int = SEED) -> Iterator[Row]:
    """The lines of the table."""
    for truth in (*MEANINGLESS, *ONE, *SEVERAL, *CORRELATED, *WEAK):
        number = 20 if quick else 60 if truth in (*ONE, *WEAK) else 100
        found = of_truth(truth, number, seed)
        true = set(truth.slow)
        if truth in MEANINGLESS or truth in SEVERAL:
            share, bar, what = sum(map(bool, found)) / number, 0.05, "something is named"
            met = share <= bar
        else:
            share, bar, what = sum(each in true for each in found) / number, 0.90, "it is named"
            met = share >= bar
        barred = truth not in WEAK
        others = sum(bool(each) and each not in true for each in found) / number
        told = f"{share:.1%}" + (f"; another one in {others:.1%}" if true and others else "")
        sign = "≤" if bar < 0.5 else "≥"
        over = f"{number} runs of {truth.calls} calls each"
        yield Row(
            "causes",
            f"{truth.name}: {what}",
            f"{sign} {bar:.0%}" if barred else "",
            told,
            met if barred else None,
            over,
        )
