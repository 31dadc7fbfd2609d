"""Rules of a baseline: whether a run of it could decide them, and how they ended once the new run is over.

Theory of operation. A rule is about the ratio new / base of one figure, whose interval is the one of ``compare``: that
which the calls of both runs leave open, and what runs are seen to differ by while they last; of several such rules all
hold at once (Bonferroni). A rule is met where the whole interval is on the right side of its limit, as a row is
``same`` where the whole interval is within the noise. It is broken where the whole interval is on the wrong side, and
with it what two runs cannot know (``ASSUMED``), as a row is ``worse`` only then. Else it is undecided. Of
shares of failures what differs by at most a thousandth of the calls is no more than before.

A figure of the new run that is that of a call which is not ok is longer than any of the baseline.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from loadgen.comparison.alike import Load, apart, differences, load_of
from loadgen.comparison.comparison import MAY_BE_THE_RUNS, Pair, intervals
from loadgen.comparison.pairs import Run, fails, missing, of_rule
from loadgen.comparison.ratio import Ratio, Share, difference, z_of
from loadgen.measure.ends import NEGLIGIBLE_SHARE
from loadgen.measure.rule import BaselineRule, Rule, of_baseline
from loadgen.measure.summary import AgainstBaseline, Summary, ThresholdResult
from loadgen.measure.threshold import BOUNDS, VALUE
from loadgen.report import units
from loadgen.report.answer import answer, next_step, outcome
from loadgen.text.foreign import GAP


def faults(base: Summary, load: Load, rules: Sequence[Rule]) -> list[str]:
    """Why a run cannot be the baseline of a load with these rules, in sentences without their full stop; none: it can.

    What differs comes first; then the rules for which it has no figure.
    """
    if found := apart(load_of(base), load):
        return found
    return [
        f"{rule.text}: the baseline cannot decide it, as {why.rstrip('.')}"
        for rule in of_baseline(rules)
        if (why := missing(base, rule))
    ]


def remarks(base: Summary) -> Iterator[str]:
    """What a reader should know of a baseline: that it ended early, or was not measured well."""
    if base.run.partial:
        yield "it is partial: the run was cut short"
    if base.run.interrupted:
        yield "it was interrupted"
    if base.run.stopped is not None:
        yield f"it ended early: {base.run.stopped}"
    if base.verdict.status == "invalid":
        yield "its verdict is invalid"


def judged(base: Run, new: Run, rules: Sequence[Rule]) -> Summary:
    """The Summary of the new run with its rules of a baseline decided, and with the answer that follows."""
    about = {rule.text: rule for rule in of_baseline(rules)}
    if not about:
        return new.summary
    differs = "; ".join(differences(base.summary, new.summary))
    pairs = {} if differs else {text: of_rule(base, new, rule) for text, rule in about.items()}
    z = z_of(sum(pair is not None and pair.figures is not None for pair in pairs.values()))
    results = []
    for result in new.summary.thresholds:
        rule = about.get(result.rule)
        if rule is None:
            results.append(result)
        elif differs:
            results.append(replace(result, why=f"the runs cannot be compared: {differs}"))
        else:
            pair = pairs[rule.text]
            results.append(result if pair is None else _result(rule, pair, z, base, new))
    found = replace(new.summary, thresholds=results)
    return replace(found, outcome=outcome(found), answer=answer(found), next=next_step(found))


def _result(rule: BaselineRule, pair: Pair, z: float, base: Run, new: Run) -> ThresholdResult:
    known = AgainstBaseline(base.summary.run.id, pair.base, pair.new, None, None)
    if pair.figures is None:
        if pair.base is not None and fails(new.summary, rule):
            why = f"that of a call that is not ok beside {_figure(rule, pair.base)} of the baseline"
            return ThresholdResult(rule.text, None, False, why, VALUE, against=known)
        return ThresholdResult(rule.text, None, None, pair.why.rstrip("."), against=known)
    seen, allowed = intervals(pair, z)
    known = replace(known, low=seen.low, high=None if math.isinf(seen.high) else seen.high)
    passed = _passed(rule, pair, z, seen, allowed)
    both = f"{_figure(rule, pair.new)} beside {_figure(rule, pair.base)} of the baseline"
    why = f"{both}: {_because(rule, passed, seen)}"
    return ThresholdResult(rule.text, seen.value, passed, why, None if passed is None else BOUNDS, against=known)


def _passed(rule: BaselineRule, pair: Pair, z: float, seen: Ratio, allowed: Ratio) -> bool | None:
    """Whether a rule is met; None where the limit is within what the ratio may be."""
    assert pair.figures is not None
    base, new = pair.figures
    if rule.what == "achieved_rate":
        return True if seen.low > rule.share else False if allowed.high <= rule.share else None
    met, broken = seen.high < rule.share, allowed.low >= rule.share
    if isinstance(base, Share) and isinstance(new, Share):
        met = met or (rule.share >= 1 and difference(base, new, z)[1] <= NEGLIGIBLE_SHARE)
        broken = broken and new.value - rule.share * base.value > NEGLIGIBLE_SHARE
    return True if met else False if broken else None


def _because(rule: BaselineRule, passed: bool | None, seen: Ratio) -> str:
    more = rule.what == "achieved_rate"
    side = "above" if more else "below"
    if passed and rule.what == "errors" and not seen.high < rule.share:
        return "within a thousandth of the calls, which is no difference"
    if passed is not None:
        return f"all that the ratio may be is {side} the limit" if passed else f"the ratio is not {side} the limit"
    if rule.what != "errors" and (seen.high <= rule.share if more else seen.low >= rule.share):
        return f"the ratio is not {side} the limit, but {MAY_BE_THE_RUNS}"
    return "the limit is within what the ratio may be; more calls would narrow that"


def _figure(rule: BaselineRule, value: float | None) -> str:
    """A figure of a rule in its unit."""
    if value is None:
        return "no figure"
    match rule.what:
        case "errors":
            return units.share(value)
        case "achieved_rate":
            return units.rate(value)
        case "cost":
            return f"{units.amount(value)}{GAP}per million calls"
        case _:
            return units.duration(value)
