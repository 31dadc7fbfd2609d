"""Whether shares of calls that break a rule are below a limit, at sizes where none is above that of a smaller one.

Theory of operation. A rule such as p99 < 250 ms says that the share of calls that break it is below v = 1 %. For a
candidate share q, each call that breaks it multiplies a bet by q/v, each other one by (1-q)/(1-v). If the true share
is v, the bet's expectation stays 1; if q < v and the true share is larger, it shrinks. So by Ville's inequality it ever
reaches 1/α with probability at most α, however often one looks and whenever one stops. A mean of such bets over several
q is one, too: with all q below v it speaks for the rule (``met``), with all above v against it (``broken``).
Source: J. Ville, Étude critique de la notion de collectif, 1939; as a test: G. Shafer, Testing by betting, J. R.
Statist. Soc. A 184 (2021), and of binomials with mixtures: H. Robbins, Ann. Math. Statist. 41 (1970).

More memory comes with more of a core, so a rule that is broken at a size is broken at all smaller ones. If the share of
a size were v, that of each smaller one would be at least v, and the product of their bets for the rule would still be a
bet: so a size is ``met`` by what it and those below it show together, and ``broken`` by what it and those above it do.
How far that goes is mixed as well: half of the stake is on a size's own calls. Where a size breaks a rule clearly more
often than a smaller one, this is not such a function, and each size speaks for itself alone.

Calls on one instance are alike, so there is less evidence in them than in as many independent ones: their counts are
divided by ``inflation``, the variance of the share between instances over what independent calls would have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

_BELOW = (0.15, 0.45)
_ABOVE = (1.7, 3.0)
_MOST = 0.98
_OWN = 0.75
_RISES = 0.01
"""So improbable is it that shares which do not rise look as if one did."""

Count = tuple[int, int]
"""Broken calls, and calls."""


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


def evidence(counts: Sequence[Count], limit: float, alpha: float, inflation: float = 1.0) -> list[Evidence]:
    """The Evidence on each of several shares, of which none is above the one before.

    Each is called below, or above, ``limit`` (0 < limit < 1) though it is not with a probability of ``alpha`` at most.
    """
    for_it = [limit * factor for factor in _BELOW]
    against = [share for factor in _ABOVE if (share := limit * factor) < _MOST] or [(1 + limit) / 2]
    met = [_log_bet(k, n, limit, for_it, inflation) for k, n in counts]
    not_met = [_log_bet(k, n, limit, against, inflation) for k, n in counts]
    if not rises(counts, inflation):
        met, not_met = _together(met), _together(not_met[::-1])[::-1]
    enough = math.log(1 / alpha)
    found = []
    for (broken, count), speaks, denies in zip(counts, met, not_met, strict=True):
        verdict = "open"
        if max(speaks, denies) >= enough:
            verdict = "met" if speaks > denies else "broken"
        more = None if verdict != "open" else _more(broken, count, limit, (*for_it, *against), enough, inflation)
        found.append(Evidence(verdict, broken, count, limit, inflation, more))
    return found


def fewest(limit: float, alpha: float) -> int:
    """How many calls, none of them broken and all independent, show that the share of one size is below ``limit``."""
    low, high = 1, 2
    while evidence([(0, high)], limit, alpha)[0].verdict == "open":
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if evidence([(0, middle)], limit, alpha)[0].verdict == "open" else (low, middle)
    return high


def agreed(seen: Evidence, without: Evidence) -> Evidence:
    """What calls say with and ``without`` those broken ones that the load generator may have made so; else ``open``."""
    if seen.verdict == without.verdict:
        return seen
    return Evidence("open", seen.broken, seen.count, seen.limit, seen.inflation, seen.more or without.more)


def inflation(samples: Iterable[Sequence[Count]]) -> float:
    """By how much the share varies more between groups than if calls were independent; at least 1.

    ``samples`` have each a share of its own; their groups are (calls with the mark, calls), one for each instance. One
    sample has few instances, so what all show is taken together: Pearson's statistic over its degrees of freedom.
    """
    chi2, freedom = 0.0, 0
    for sample in samples:
        groups = [(marked, count) for marked, count in sample if count]
        total = sum(count for _, count in groups)
        marked = sum(marked for marked, _ in groups)
        if len(groups) < 2 or marked in (0, total):
            continue
        share = marked / total
        chi2 += sum(count * (own / count - share) ** 2 for own, count in groups) / (share * (1 - share))
        freedom += len(groups) - 1
    return max(1.0, chi2 / freedom) if freedom else 1.0


def rises(counts: Sequence[Count], inflation: float = 1.0) -> bool:
    """Whether some share is clearly above the one before."""
    pairs = [(one, other) for one, other in pairwise(counts) if one[1] and other[1]]
    for (k, n), (more_k, more_n) in pairs:
        share = (k + more_k + 0.5) / (n + more_n + 1)
        error = math.sqrt(inflation * share * (1 - share) * (1 / n + 1 / more_n))
        if math.erfc((more_k / more_n - k / n) / error / math.sqrt(2)) / 2 < _RISES / len(pairs):
            return True
    return False


def _together(logs: Sequence[float]) -> list[float]:
    """The logarithm of each bet when it is mixed with its products with the one before, the two before, and so on."""
    mixed = []
    for at, own in enumerate(logs):
        products, product = [], own
        for other in reversed(logs[:at]):
            product += other
            products.append(product)
        mixed.append(_mean([own, _mean(products)], (_OWN, 1 - _OWN)) if products else own)
    return mixed


def _mean(logs: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """The logarithm of a mean, from the logarithms of what it is of."""
    top = max(logs)
    each = weights or [1 / len(logs)] * len(logs)
    return top + math.log(sum(weight * math.exp(log - top) for weight, log in zip(each, logs, strict=True)))


def _log_bet(broken: int, count: int, limit: float, shares: Sequence[float], inflation: float) -> float:
    good = count - broken
    return _mean([(broken * math.log(q / limit) + good * math.log((1 - q) / (1 - limit))) / inflation for q in shares])


def _more(
    broken: int, count: int, limit: float, shares: Sequence[float], enough: float, inflation: float
) -> int | None:
    """About how many more calls decide, by what they say each if they go on alike."""
    share = (broken + 0.5) / (count + 1)
    growth = max(_growth(share, limit, q) for q in shares)
    if growth <= 0:
        return None
    return max(1, math.ceil(inflation * (enough + math.log(len(_BELOW) / _OWN)) / growth) - count)


def _growth(share: float, limit: float, q: float) -> float:
    """By how much the logarithm of the bet on ``q`` grows with a call, if this is the true share."""
    return share * math.log(q / limit) + (1 - share) * math.log((1 - q) / (1 - limit))
