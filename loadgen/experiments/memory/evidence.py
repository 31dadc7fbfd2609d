"""Whether a share is below a limit: evidence that may be looked at after every call.

Theory of operation. A rule such as p99 < 250 ms says that the share of calls that break it is below v = 1 %. For a
candidate share q, each call that breaks it multiplies a bet by q/v, each other one by (1-q)/(1-v). If the true share
is v, the bet's expectation stays 1; if q < v and the true share is larger, it shrinks. So by Ville's inequality it ever
reaches 1/α with probability at most α, however often one looks and whenever one stops. A mean of such bets over several
q is one, too: with all q below v it speaks for the rule (``met``), with all above v against it (``broken``).
Source: J. Ville, Étude critique de la notion de collectif, 1939; as a test: G. Shafer, Testing by betting, J. R.
Statist. Soc. A 184 (2021), and of binomials with mixtures: H. Robbins, Ann. Math. Statist. 41 (1970).

Calls on one instance are alike, so there is less evidence in them than in as many independent ones: their counts are
divided by ``inflation``, the variance of the share between instances over what independent calls would have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

_BELOW = (0.05, 0.2, 0.4, 0.6)
_ABOVE = (1.5, 2.0, 4.0, 8.0)
_MOST = 0.98


class Evidence(Struct, frozen=True):
    """What the calls so far say about a rule: ``met``, ``broken`` or ``open``.

    ``broken`` of ``count`` calls broke it, where a share of ``limit`` is the limit. ``more`` is about how many more it
    takes while the rule is open, None where the share is too close to the limit to say.
    """

    verdict: str
    broken: int
    count: int
    limit: float
    inflation: float
    more: int | None


def evidence(broken: int, count: int, limit: float, alpha: float, inflation: float = 1.0) -> Evidence:
    """The Evidence on whether the share of broken calls is below ``limit`` (0 < limit < 1), wrong at most ``alpha``."""
    for_it = [limit * factor for factor in _BELOW]
    against = [share for factor in _ABOVE if (share := limit * factor) < _MOST] or [(1 + limit) / 2]
    enough = math.log(1 / alpha)
    verdict = "open"
    if _log_bet(broken, count, limit, for_it, inflation) >= enough:
        verdict = "met"
    elif _log_bet(broken, count, limit, against, inflation) >= enough:
        verdict = "broken"
    if verdict != "open":
        return Evidence(verdict, broken, count, limit, inflation, None)
    share = (broken + 0.5) / (count + 1)
    growth = max(_growth(share, limit, q) for q in (*for_it, *against))
    if growth <= 0:
        return Evidence(verdict, broken, count, limit, inflation, None)
    more = math.ceil(inflation * (enough + math.log(len(for_it))) / growth) - count
    return Evidence(verdict, broken, count, limit, inflation, max(1, more))


def fewest(limit: float, alpha: float) -> int:
    """How many calls, none of them broken and all independent, show that the share is below ``limit``."""
    low, high = 1, 2
    while evidence(0, high, limit, alpha).verdict == "open":
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if evidence(0, middle, limit, alpha).verdict == "open" else (low, middle)
    return high


def agreed(seen: Evidence, without: Evidence) -> Evidence:
    """What calls say with and ``without`` those broken ones that the load generator may have made so; else ``open``."""
    if seen.verdict == without.verdict:
        return seen
    return Evidence("open", seen.broken, seen.count, seen.limit, seen.inflation, seen.more or without.more)


def inflation(groups: Sequence[tuple[int, int]]) -> float:
    """By how much the share varies more between groups than if calls were independent; at least 1.

    ``groups`` are (calls with the mark, calls), one pair for each instance.
    """
    groups = [(marked, count) for marked, count in groups if count]
    total = sum(count for _, count in groups)
    marked = sum(marked for marked, _ in groups)
    if len(groups) < 2 or marked in (0, total):
        return 1.0
    share = marked / total
    chi2 = sum(count * (own / count - share) ** 2 for own, count in groups) / (share * (1 - share))
    return max(1.0, chi2 / (len(groups) - 1))


def _log_bet(broken: int, count: int, limit: float, shares: Sequence[float], inflation: float) -> float:
    logs = [
        (broken * math.log(q / limit) + (count - broken) * math.log((1 - q) / (1 - limit))) / inflation for q in shares
    ]
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs) / len(logs))


def _growth(share: float, limit: float, q: float) -> float:
    """By how much the logarithm of the bet on ``q`` grows with a call, if this is the true share."""
    return share * math.log(q / limit) + (1 - share) * math.log((1 - q) / (1 - limit))
