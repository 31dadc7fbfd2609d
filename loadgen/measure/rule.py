"""Threshold rules: one line of text to a Rule.

Grammar (blanks around the comparison are free)::

    [phase:][call/][cold.|warm.]metric.(min|max|mean|pN) < duration
    [phase:][call/](errors|throttled|timeouts|dropped) < N%      (or <=)
    [phase:][call/](errors|throttled|timeouts|dropped) == 0      (a count)
    [phase:][call/]achieved_rate > N/s
    [phase:][call/]cost < N CUR

The first two forms may go on::

    … over DURATION          each window of so many whole seconds is judged (``loadgen.measure.window``)
    … [over DURATION], abort it ends the load when it breaks

These are of two runs, the new figure as a share of that of a baseline, which ``loadgen.comparison.baseline`` decides::

    [phase:][call/][cold.|warm.]metric.pN < N% of baseline
    [phase:][call/](errors|cost) < N% of baseline
    [phase:][call/]achieved_rate > N% of baseline

Without a call a rule is over all calls of a mix. A rule that nothing can meet, or that everything meets, is refused.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from msgspec import Meta, Struct

from loadgen.invocation.metric import SIZES, Metric
from loadgen.invocation.outcome import Outcome
from loadgen.text import units
from loadgen.text.units import NS_PER_S, Money, Rate

T = TypeVar("T")

COUNTED = {"throttled": Outcome.THROTTLED, "timeouts": Outcome.TIMEOUT, "dropped": Outcome.DROPPED}
"""What rules about one outcome call it; ``errors`` are all that are not ok."""
SHARES = ("errors", *COUNTED)
TIMES = tuple(metric.value for metric in Metric if metric.kind.ruled)

_FORM = re.compile(
    r"(?:(?P<phase>[A-Za-z0-9][A-Za-z0-9_-]*):)?(?:(?P<call>[A-Za-z0-9][A-Za-z0-9_-]*)/)?"
    r"(?P<subject>[a-z0-9_.]+)\s*(?P<sign>[<>]=?|==?)\s*(?P<limit>.*\S)"
)
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,6})?)\Z")
_RESOLUTION_NS = 1_000
_EXAMPLES = "a rule such as latency.p99 < 250ms, errors < 0.1% or achieved_rate > 100/s"

_IN_QUOTES = (
    "a rule; between brackets one with a comma stands in quotes, as in thresholds: ['errors < 1% over 10s, abort']"
)
_OF_BASELINE = re.compile(r"(.*\S)\s+of\s+baseline")
_MOST_OF_BASELINE = 100.0
_MISPLACED = re.compile(r",|\bover\b|\babort\b")
_WHOLE = {
    "achieved_rate": "achieved_rate without over and abort: it is judged over the whole, as how many starts fall into "
    "a second is the load generator's doing, too; errors, dropped and times may have them",
    "cost": "cost without over and abort: it only grows; budget.cost ends a run that costs too much",
}
_OURS = frozenset({Metric.LAG, Metric.LATE, Metric.UNREAD})
"""What the load generator has a part in by itself, so that no run ends for it."""


def parse(text: str) -> Rule:
    """The Rule that the text states.

    Raises ValueError with a text that completes "got …, expected …".
    """
    text = text.strip()
    rule, over, abort = _parted(text)
    found = _FORM.fullmatch(rule)
    if not found:
        raise ValueError(_IN_QUOTES if text == "abort" else _EXAMPLES)
    phase, call, subject, sign, limit = found.group("phase", "call", "subject", "sign", "limit")
    if _MISPLACED.search(limit):
        raise ValueError("over and abort behind the limit, as in errors < 1% over 10s, abort")
    if (share := _OF_BASELINE.fullmatch(limit)) is not None:
        if abort or over is not None:
            raise ValueError(f"{subject} without over and abort: the whole of both runs decides a rule of a baseline")
        return _of_baseline(text, phase, call, subject, sign, share[1])
    over_ns = None if over is None else _window(over)
    if subject in _WHOLE and (abort or over is not None):
        raise ValueError(_WHOLE[subject])
    if subject == "achieved_rate":
        _expect_sign(subject, sign, ">")
        return RateRule(text, phase, _limit(units.rate, limit), call)
    if subject == "cost":
        _expect_sign(subject, sign, "<")
        return CostRule(text, phase, _limit(_positive_money, limit), call)
    if subject in SHARES:
        return ShareRule(text, phase, subject, _share(subject, sign, limit), sign, call, over_ns, abort)
    start, metric, statistic, percentile = _metric(subject)
    _expect_sign(subject, sign, "<")
    if abort:
        _expect_abortable(subject, metric, statistic, over_ns)
    limit_ns = _limit(_measurable, limit)
    return MetricRule(text, phase, start, metric, statistic, percentile, limit_ns, call, over_ns, abort)


def _of_baseline(text: str, phase: str | None, call: str | None, subject: str, sign: str, limit: str) -> BaselineRule:
    """A rule whose limit is a share of what a baseline has."""
    share = _limit(_share_of_baseline, limit)
    if subject in COUNTED:
        raise ValueError(f"errors, which are all that is not ok: two runs are not compared by {subject} alone")
    if subject in ("errors", "cost", "achieved_rate"):
        _expect_sign(subject, sign, ">" if subject == "achieved_rate" else "<")
        return BaselineRule(text, phase, None, subject, None, share, call)
    start, metric, _, percentile = _metric(subject)
    if percentile is None:
        raise ValueError(f"a percentile such as {metric.value}.p99: two runs are compared by figures with an interval")
    _expect_sign(subject, sign, "<")
    return BaselineRule(text, phase, start, _judged(metric, "p", start).value, percentile, share, call)


def _share_of_baseline(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%", text)
    share = float(found[1]) / 100 if found else 0.0
    if not 0 < share <= _MOST_OF_BASELINE:
        raise ValueError("a share of a baseline above 0% and at most 10000%, such as 110% of baseline,")
    return share


def _parted(text: str) -> tuple[str, str | None, bool]:
    """A rule without what follows its limit, how long its windows are, and whether it ends the load."""
    head, comma, last = text.rpartition(",")
    abort = bool(comma) and last.strip() == "abort"
    words = (head if abort else text).rsplit(None, 2)
    if len(words) == 3 and words[1] == "over":
        return words[0], words[2], abort
    return (head if abort else text).rstrip(), None, abort


def _window(text: str) -> int:
    """The length of a window, in whole seconds."""
    try:
        ns = units.positive_duration(text)
    except ValueError as error:
        raise ValueError(f"{error} after over") from error
    if ns % NS_PER_S:
        raise ValueError("a whole number of seconds such as 10s after over, as agents report once a second")
    return ns


def _expect_abortable(subject: str, metric: Metric, statistic: str, over_ns: int | None) -> None:
    if metric in _OURS:
        raise ValueError(f"{subject} without abort: what the load generator itself has a part in ends no run")
    if statistic in ("min", "mean") and over_ns is None:
        raise ValueError(
            f"{subject} with over before abort, such as over 10s, abort: what comes later may still bring it down"
        )


def _share(subject: str, sign: str, limit: str) -> float:
    """The limit of a share, as a part of 1."""
    if sign == "==":
        if not re.fullmatch(r"0+", limit):
            raise ValueError(f"a count of zero, {subject} == 0, or a share such as {subject} <= 1%")
        return 0.0
    if sign not in ("<", "<="):
        raise ValueError(f"{subject} compared with <, <= or ==")
    share = _limit(units.share, limit)
    if share == 0 and sign == "<":
        raise ValueError(f"a limit that can be met: nothing is below 0%; as a threshold, write {subject} <= 0%")
    if share == 1 and sign == "<=":
        raise ValueError(f"a limit below 100%: {subject} <= 100% always holds")
    return share


def _positive_money(text: str) -> Money:
    money = units.money(text)
    if not money.amount:
        raise ValueError("an amount above zero, as nothing costs less")
    return money


def _measurable(text: str) -> int:
    ns = units.positive_duration(text)
    if ns < _RESOLUTION_NS:
        raise ValueError("a time of at least 1us, in which times are counted,")
    return ns


def _limit(read: Callable[[str], T], limit: str) -> T:
    try:
        return read(limit)
    except ValueError as error:
        raise ValueError(f"{error} after the comparison") from error


def _expect_sign(subject: str, sign: str, expected: str) -> None:
    if sign != expected:
        raise ValueError(f"{subject} compared with {expected}")


def _metric(subject: str) -> tuple[str | None, Metric, str, float | None]:
    """Start label, metric, statistic and percentile of ``cold.latency.p99``."""
    start, _, rest = subject.partition(".")
    if start not in ("cold", "warm"):
        start, rest = "", subject
    name, _, statistic = rest.partition(".")
    if name in SIZES:
        raise ValueError(f"a metric that is a time: {name} cannot be judged")
    if name not in TIMES:
        near = difflib.get_close_matches(name, (*TIMES, *SHARES, "achieved_rate", "cost"), 1)
        raise ValueError(f"a known metric, did you mean {near[0]}?" if near else f"one of {', '.join(TIMES + SHARES)}")
    if statistic in ("min", "max", "mean"):
        return start or None, Metric(name), statistic, None
    percentile = _PERCENTILE.match(statistic)
    if not percentile or float(percentile[1]) == 0:
        raise ValueError(f"{name}.min, .max, .mean or a percentile between p0 and p100 such as {name}.p99")
    return start or None, Metric(name), "p", float(percentile[1])


class MetricRule(Struct, frozen=True, tag="metric"):
    """``[phase:][call/][cold.|warm.]metric.(min|max|mean|pN) < limit``; ``percentile``, in percent, only with p.

    ``over_ns`` is the length of the windows that it is about, None for the whole; ``abort``: it ends the load.
    """

    text: str
    phase: str | None
    start: str | None
    metric: Metric
    statistic: str  # "min", "max", "mean" or "p"
    percentile: float | None
    limit_ns: int
    call: str | None = None
    over_ns: int | None = None
    abort: bool = False

    @property
    def judged(self) -> Metric:
        """The metric whose figure decides it.

        Of ``latency``, percentiles and the maximum are over every planned invocation. Only ok ones have a start label.
        """
        return _judged(self.metric, self.statistic, self.start)

    @property
    def figure(self) -> str:
        """The figure that decides it, as a Verdict names figures: ``cold.latency.max``, ``latency_all.p99``."""
        statistic = self.statistic if self.percentile is None else f"p{self.percentile:g}"
        return ".".join(filter(None, (self.start, self.judged.value, statistic)))

    @property
    def watched(self) -> bool:
        """Whether it is judged while the run goes on: over windows, or to end the run."""
        return self.over_ns is not None or self.abort


class ShareRule(Struct, frozen=True, tag="share"):
    """``[phase:][call/](errors|throttled|timeouts|dropped) < limit`` as a share of the planned invocations.

    ``sign`` is ``<``, ``<=``, or ``==``, of which the limit is 0. ``over_ns`` and ``abort`` are as in MetricRule.
    """

    text: str
    phase: str | None
    what: str
    limit: float
    sign: str = "<"
    call: str | None = None
    over_ns: int | None = None
    abort: bool = False

    @property
    def watched(self) -> bool:
        """Whether it is judged while the run goes on: over windows, or to end the run."""
        return self.over_ns is not None or self.abort


class RateRule(Struct, frozen=True, tag="rate"):
    """``[phase:][call/]achieved_rate > limit``."""

    text: str
    phase: str | None
    limit: Rate
    call: str | None = None


class CostRule(Struct, frozen=True, tag="cost"):
    """``[phase:][call/]cost < limit``."""

    text: str
    phase: str | None
    limit: Money
    call: str | None = None


class BaselineRule(Struct, frozen=True, tag="baseline"):
    """``[phase:][call/]what < share of baseline``, of ``achieved_rate`` ``>``; ``share`` 1.1 is 110%.

    ``what`` is the metric whose ``percentile``, in percent, decides it (as ``MetricRule.judged``), or ``errors``,
    ``cost`` (that of a million calls) or ``achieved_rate``, of which ``percentile`` and ``start`` are None.
    """

    text: str
    phase: str | None
    start: str | None
    what: str
    percentile: float | None
    share: float
    call: str | None = None


Rule = MetricRule | ShareRule | RateRule | CostRule | BaselineRule


def _judged(metric: Metric, statistic: str, start: str | None) -> Metric:
    if start is not None:
        return Metric.LATENCY if metric is Metric.LATENCY_ALL else metric
    ranked = metric is Metric.LATENCY and statistic in ("p", "max")
    return Metric.LATENCY_ALL if ranked else metric


def of_baseline(rules: Iterable[Rule]) -> list[BaselineRule]:
    """Those that a baseline decides."""
    return [rule for rule in rules if isinstance(rule, BaselineRule)]


def unwatched(rule: Rule) -> str | None:
    """Why an experiment cannot have a rule of a baseline, or one that is judged while a load goes on; None else."""
    if isinstance(rule, BaselineRule):
        return (
            "an experiment chooses its load by what it sees, so that no baseline had the same; write a limit, or "
            "compare the answers of two runs"
        )
    if not isinstance(rule, MetricRule | ShareRule) or not rule.watched:
        return None
    parts = [] if rule.over_ns is None else [f"over {units.duration_text(rule.over_ns)}"]
    parts += ["abort"] if rule.abort else []
    return (
        "an experiment decides by itself how long it needs, and when to stop, and judges all that it has seen; remove "
        f"{' and '.join(parts)}"
    )


WRITTEN = Meta(extra_json_schema={"type": "string", "pattern": "[<>=]"}, extra={"read": parse})
"""How a rule is written; the pattern is what every one has, the rest is said by the function that reads it."""
