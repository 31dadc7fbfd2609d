"""Threshold rules: one line of text to a Rule.

Grammar (blanks around the comparison are free)::

    [phase:][cold.|warm.]metric.(min|max|mean|pN) < duration
    [phase:](errors|throttled|timeouts|dropped) < N%
    [phase:]achieved_rate > N/s
    [phase:]cost < N CUR
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import TypeVar

from loadgen.scenario import units
from loadgen.scenario.model import CostRule, Metric, MetricRule, RateRule, Rule, ShareRule

T = TypeVar("T")

SHARES = ("errors", "throttled", "timeouts", "dropped")
TIMES = tuple(metric.value for metric in Metric if metric is not Metric.MEMORY_USED)

_FORM = re.compile(
    r"(?:(?P<phase>[A-Za-z0-9][A-Za-z0-9_-]*):)?(?P<subject>[a-z0-9_.]+)\s*(?P<sign>[<>]=?)\s*(?P<limit>.*\S)"
)
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,6})?)\Z")
_EXAMPLES = "a rule such as latency.p99 < 250ms, errors < 0.1% or achieved_rate > 100/s"


def parse(text: str) -> Rule:
    """The Rule that the text states.

    Raises ValueError with a text that completes "got …, expected …".
    """
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise ValueError(_EXAMPLES)
    phase, subject, sign, limit = found["phase"], found["subject"], found["sign"], found["limit"]
    text = text.strip()
    if subject == "achieved_rate":
        _expect_sign(subject, sign, ">")
        return RateRule(text, phase, _limit(units.rate, limit))
    if subject == "cost":
        _expect_sign(subject, sign, "<")
        return CostRule(text, phase, _limit(units.money, limit))
    if subject in SHARES:
        _expect_sign(subject, sign, "<")
        return ShareRule(text, phase, subject, _limit(units.share, limit))
    start, metric, statistic, percentile = _metric(subject)
    _expect_sign(subject, sign, "<")
    return MetricRule(text, phase, start, metric, statistic, percentile, _limit(units.positive_duration, limit))


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
    start, dot, rest = subject.partition(".")
    if start not in ("cold", "warm") or not dot:
        start, rest = "", subject
    name, _, statistic = rest.partition(".")
    if name == Metric.MEMORY_USED.value:
        raise ValueError("a metric that is a time: memory_used cannot be judged")
    if name not in TIMES:
        near = difflib.get_close_matches(name, (*TIMES, *SHARES, "achieved_rate", "cost"), 1)
        raise ValueError(f"a known metric, did you mean {near[0]}?" if near else f"one of {', '.join(TIMES + SHARES)}")
    if statistic in ("min", "max", "mean"):
        return start or None, Metric(name), statistic, None
    percentile = _PERCENTILE.match(statistic)
    if not percentile or float(percentile[1]) == 0:
        raise ValueError(f"{name}.min, .max, .mean or a percentile between p0 and p100 such as {name}.p99")
    return start or None, Metric(name), "p", float(percentile[1])
