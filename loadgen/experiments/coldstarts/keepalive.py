"""How long an idle instance lives, by calls after silences of different lengths.

Theory of operation. A call after a silence of g is warm if the instance lived longer than g, and cold if not: each
probe says on which side of g the time lies, and no more (current-status data). ``next_gap`` first bisects between the
largest warm and the smallest cold silence. Once they are close it asks five times at each, and at a quarter less and
more, so that a time that varies shows: then the answers do not agree with any one time. In that case the silences are
spread evenly instead, and the distribution of the time is estimated: F(g) is the isotonic regression of the cold
answers on g, the maximum of the likelihood, and quantiles get intervals by bootstrap over the probes.

Sources: M. Ayer et al., An Empirical Distribution Function for Sampling with Incomplete Information, 1955 (the
isotonic estimator, to which Turnbull's of 1976 reduces here, and the pooling of adjacent violators).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from loadgen.experiments.coldstarts.findings import GapProbe, KeepAlive

REPEATS = 5
"""Probes at one silence, once the bracket is close."""
SPREAD = 40
"""Probes over all silences, once the time is seen to vary."""
MOST = 100
"""Probes in all."""
_CLOSE = 22  # the bracket is close at this part of the range: 5 s of 10 s to 120 s
_FINE = 60  # and fine at this one: below 2 s
_RESAMPLES = 999
_LISTED = (5, 25, 50, 75, 95)
_TOLERATED = 0.05  # the share of probes that may contradict a fixed time: labels are sure to 99 %


def next_gap(probes: Sequence[GapProbe], low_ns: int, high_ns: int) -> int | None:
    """The silence to try next, between two times; None when enough is known. ``probes`` have the silences asked for."""
    if len(probes) >= MOST:
        return None
    if not _fixed(probes):
        spread = sum(1 for probe in probes if probe.gap_ns in set(_grid(low_ns, high_ns)))
        return _grid(low_ns, high_ns)[spread] if spread < SPREAD else None
    warm, cold = _bracket(probes)
    lower, upper = low_ns if warm is None else warm, high_ns if cold is None else cold
    close = upper - lower <= (high_ns - low_ns) // _CLOSE
    if close:
        for end in (warm, cold):
            if end is not None and _tried(probes, end) < REPEATS and _tried(probes, end) > 1:
                return end
    if upper - lower > (high_ns - low_ns) // _FINE:
        return (lower + upper) // 2
    apart = [gap for gap in (lower * 3 // 4, upper * 5 // 4) if low_ns <= gap <= high_ns]
    return next((gap for gap in (lower, upper, *apart) if _tried(probes, gap) < REPEATS), None)


def estimate(probes: Sequence[GapProbe], low_ns: int, high_ns: int, seed: int, slack_ns: int = 0) -> KeepAlive:
    """What the probes show, with the silences that really were; they were looked for between the two times.

    A silence is counted from the answer to the next start. At the instance it is longer, by what both calls spent on
    the way: up to ``slack_ns``, which the upper bound of a fixed time allows for.
    """
    listed = sorted(probes, key=lambda probe: probe.gap_ns)

    def result(
        policy: str, why: str, value: int | None = None, low: int | None = None, high: int | None = None
    ) -> KeepAlive:
        return KeepAlive(policy, why, value, low, high, {}, listed)

    if not listed:
        return result("unknown", "no invocation after a silence could be told to be cold or warm")
    warm, cold = _bracket(listed)
    if _fixed(listed):
        if cold is None:
            return result("longer", "no silence that was tried ended the instance", low=warm)
        if warm is None:
            return result("shorter", "every silence that was tried ended the instance", high=cold)
        why = f"{len(listed)} invocations after silences agree with one time"
        return result("fixed", why, (warm + cold + slack_ns) // 2, warm, cold + slack_ns)
    if len(listed) < SPREAD:
        return result("unknown", f"{len(listed)} invocations after silences contradict one time, and are too few")
    rng = random.Random(seed)
    draws = [_quantile(rng.choices(listed, k=len(listed)), 50) for _ in range(_RESAMPLES)]
    # a median beyond every silence tried has no value: it is then bounded on one side only
    known = sorted(high_ns + 1 if draw is None else draw for draw in draws)
    low, high = known[round(0.025 * (_RESAMPLES - 1))], known[round(0.975 * (_RESAMPLES - 1))]
    return KeepAlive(
        "random",
        "no one time agrees with the invocations after silences",
        _quantile(listed, 50),
        None if low > high_ns else low,
        None if high > high_ns else high,
        {str(q): value for q in _LISTED if (value := _quantile(listed, q)) is not None},
        listed,
    )


def isotonic(cold: Sequence[float]) -> list[float]:
    """The non-decreasing sequence nearest to this one, by pooling adjacent violators."""
    pools: list[tuple[float, int]] = []
    for value in cold:
        total, size = value, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / size:
            before = pools.pop()
            total, size = total + before[0], size + before[1]
        pools.append((total, size))
    return [total / size for total, size in pools for _ in range(size)]


def _quantile(probes: Sequence[GapProbe], q: int) -> int | None:
    listed = sorted(probes, key=lambda probe: probe.gap_ns)
    reached = isotonic([float(probe.cold) for probe in listed])
    return next((probe.gap_ns for probe, share in zip(listed, reached, strict=True) if share >= q / 100), None)


def _bracket(probes: Sequence[GapProbe]) -> tuple[int | None, int | None]:
    """The largest warm and the smallest cold silence, once what contradicts the best dividing time is left out."""
    dividing = _dividing(probes)
    warm = [probe.gap_ns for probe in probes if not probe.cold and probe.gap_ns <= dividing]
    cold = [probe.gap_ns for probe in probes if probe.cold and probe.gap_ns > dividing]
    return max(warm, default=None), min(cold, default=None)


def _dividing(probes: Sequence[GapProbe]) -> int:
    """The silence, possibly 0, up to which calling all warm and beyond it all cold contradicts the fewest probes."""
    ends = [0, *sorted({probe.gap_ns for probe in probes})]
    return min(ends, key=lambda end: (_contradicting(probes, end), _cold_at(probes, end), -end))


def _contradicting(probes: Sequence[GapProbe], dividing: int) -> int:
    """Warm probes beyond a silence and cold ones before it.

    At the silence itself a fixed time may give either answer, but a single one against three is more likely wrong.
    """
    against = sum(probe.gap_ns < dividing if probe.cold else probe.gap_ns > dividing for probe in probes)
    colds = [probe.cold for probe in probes if probe.gap_ns == dividing]
    alone = len(colds) >= REPEATS - 1 and sum(colds) in (1, len(colds) - 1)
    return against + alone


def _cold_at(probes: Sequence[GapProbe], gap_ns: int) -> int:
    return sum(probe.cold and probe.gap_ns == gap_ns for probe in probes)


def _fixed(probes: Sequence[GapProbe]) -> bool:
    return _contradicting(probes, _dividing(probes)) <= max(1, int(_TOLERATED * len(probes)))


def _tried(probes: Sequence[GapProbe], gap_ns: int) -> int:
    return sum(probe.gap_ns == gap_ns for probe in probes)


def _grid(low_ns: int, high_ns: int) -> list[int]:
    """Evenly spread silences, each the middle of a part of the range, the coarse ones first."""
    ordered = sorted(range(SPREAD), key=lambda part: int(f"{part:06b}"[::-1], 2))
    return [low_ns + (2 * part + 1) * (high_ns - low_ns) // (2 * SPREAD) for part in ordered]
