"""Whether a share is below its limit, decided as soon as there is enough evidence.

Theory of operation. Wald's sequential test tells a share of v₀ = v·(1-r) from one of v₁ = v·(1+r), r = 0.5: the
logarithm of the likelihood ratio is compared with two boundaries after every observation. Violations come in clusters
(a full pool rejects many calls in a row), so that n dependent observations are worth n / VIF independent ones; the
variance inflation factor VIF is estimated from batches of consecutive observations, and the ratio is divided by it.

A rate has settled when neither of its series rises or falls any more: the slope of the least-squares line through batch
means is tested against zero.

Sources: A. Wald, Sequential Tests of Statistical Hypotheses, 1945; the method of batch means in A. M. Law, Simulation
Modeling and Analysis, chapter 9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from loadgen.stats.student import quantile

RATIO = 0.5
"""How far from the limit, as a share of it, the two hypotheses are."""
FALSE_FAIL = 0.05
"""The probability of FAIL at v₀."""
FALSE_PASS = 0.01
"""The probability of PASS at v₁."""
MOST = 40
"""A test without a verdict after this many observations per unit of 1/v is undecided."""
GROUPS = 30
"""Into how many groups consecutive batches are gathered, to see how violations cluster."""
SIGNIFICANCE = 0.01
"""The level at which a slope counts as one."""

PASS, FAIL, UNDECIDED, INVALID = "pass", "fail", "undecided", "invalid"

_FAIL_FROM = math.log((1 - FALSE_PASS) / FALSE_FAIL)
_PASS_TO = math.log(FALSE_PASS / (1 - FALSE_FAIL))


def log_ratio(n: int, k: int, limit: float, inflation: float = 1.0) -> float:
    """The logarithm of the likelihood ratio of v₁ to v₀ after ``k`` violations in ``n`` observations."""
    low, high = limit * (1 - RATIO), min(limit * (1 + RATIO), 1 - 1e-9)
    return (k * math.log(high / low) + (n - k) * math.log((1 - high) / (1 - low))) / inflation


def verdict(n: int, k: int, limit: float, inflation: float = 1.0) -> str:
    """``pass``, ``fail`` or ``undecided``."""
    ratio = log_ratio(n, k, limit, inflation)
    return FAIL if ratio >= _FAIL_FROM else PASS if ratio <= _PASS_TO else UNDECIDED


def fewest(limit: float) -> int:
    """The fewest observations that can pass: none of them is a violation."""
    return math.ceil(_PASS_TO / log_ratio(1, 0, limit))


def inflation(sizes: Sequence[int], hits: Sequence[int]) -> float:
    """The variance inflation of a share: ``hits`` of ``sizes`` observations in consecutive batches; at least 1.

    1 where there are too few batches to tell, or no variance at all.
    """
    gathered = [pair for pair in zip(_gathered(sizes), _gathered(hits), strict=True) if pair[0]]
    n, k = sum(size for size, _ in gathered), sum(hit for _, hit in gathered)
    if len(gathered) < 2 or not 0 < k < n:
        return 1.0
    share = k / n
    spread = sum((hit - share * size) ** 2 for size, hit in gathered) / (len(gathered) - 1)
    return max(1.0, spread / (n / len(gathered) * share * (1 - share)))


def slope(values: Sequence[float]) -> int:
    """Whether a series rises (1), falls (-1) or does neither significantly (0)."""
    n = len(values)
    if n < 4:
        return 0
    middle, mean = (n - 1) / 2, sum(values) / n
    across = sum((x - middle) ** 2 for x in range(n))
    rise = sum((x - middle) * (y - mean) for x, y in enumerate(values)) / across
    left = sum((y - mean - rise * (x - middle)) ** 2 for x, y in enumerate(values))
    if left <= 1e-18 * mean * mean:
        return (rise > 0) - (rise < 0) if abs(rise) > 1e-9 * abs(mean) else 0
    t = rise / math.sqrt(left / (n - 2) / across)
    return (t > 0) - (t < 0) if abs(t) > _critical(n - 2) else 0


def _gathered(values: Sequence[int]) -> list[int]:
    """The values in groups of as many neighbours each, about ``GROUPS`` of them; the last may have fewer."""
    width = max(1, len(values) // GROUPS)
    return [sum(values[start : start + width]) for start in range(0, len(values), width)]


@lru_cache(maxsize=1024)
def _critical(freedom: int) -> float:
    """Student's t beyond which a slope is significant."""
    return quantile(1 - SIGNIFICANCE / 2, freedom)
