"""Threshold rules: one line of text to a Rule.

Grammar (blanks around the comparison are free)::

    [phase:][call/][cold.|warm.]metric.(min|max|mean|pN) < duration
    [phase:][call/](errors|throttled|timeouts|dropped) < N%      (or <=)
    [phase:][call/](errors|throttled|timeouts|dropped) == 0      (a count)
    [phase:][call/]achieved_rate > N/s
    [phase:][call/]cost < N CUR

Without a call a rule is over all calls of a mix. A rule that nothing can meet, or that everything meets, is refused.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import TypeVar

from msgspec import Meta, Struct

from loadgen.invocation.metric import SIZES, Metric
from loadgen.invocation.outcome import Outcome
from loadgen.text import units
from loadgen.text.units import Money, Rate

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


def parse(text: str) -> Rule:
    """The Rule that the text states.

    Raises ValueError with a text that completes "got …, expected …".
    """
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise ValueError(_EXAMPLES)
    phase, call, subject, sign, limit = found.group("phase", "call", "subject", "sign", "limit")
    text = text.strip()
    if subject == "achieved_rate":
        _expect_sign(subject, sign, ">")
        return RateRule(text, phase, _limit(units.rate, limit), call)
    if subject == "cost":
        _expect_sign(subject, sign, "<")
        return CostRule(text, phase, _limit(_positive_money, limit), call)
    if subject in SHARES:
        return ShareRule(text, phase, subject, _share(subject, sign, limit), sign, call)
    start, metric, statistic, percentile = _metric(subject)
    _expect_sign(subject, sign, "<")
    return MetricRule(text, phase, start, metric, statistic, percentile, _limit(_measurable, limit), call)


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
    """``[phase:][call/][cold.|warm.]metric.(min|max|mean|pN) < limit``; ``percentile``, in percent, only with p."""

    text: str
    phase: str | None
    start: str | None
    metric: Metric
    statistic: str  # "min", "max", "mean" or "p"
    percentile: float | None
    limit_ns: int
    call: str | None = None

    @property
    def judged(self) -> Metric:
        """The metric whose figure decides it.

        Of ``latency``, percentiles and the maximum are over every planned invocation. Only ok ones have a start label.
        """
        if self.start is not None:
            return Metric.LATENCY if self.metric is Metric.LATENCY_ALL else self.metric
        ranked = self.metric is Metric.LATENCY and self.statistic in ("p", "max")
        return Metric.LATENCY_ALL if ranked else self.metric


class ShareRule(Struct, frozen=True, tag="share"):
    """``[phase:][call/](errors|throttled|timeouts|dropped) < limit`` as a share of the planned invocations.

    ``sign`` is ``<``, ``<=``, or ``==``, of which the limit is 0.
    """

    text: str
    phase: str | None
    what: str
    limit: float
    sign: str = "<"
    call: str | None = None


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


Rule = MetricRule | ShareRule | RateRule | CostRule

WRITTEN = Meta(extra_json_schema={"type": "string", "pattern": "[<>=]"}, extra={"read": parse})
"""How a rule is written; the pattern is what every one has, the rest is said by the function that reads it."""
