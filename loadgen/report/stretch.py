"""The stretch of time that most of the slow calls of a run ended in, where there is one.

Theory of operation. Of all stretches of the run that hold at most ``SHORT`` of its calls the one is taken in which slow
calls are most surprisingly dense: that of the largest likelihood ratio, s ln(s/e) + (S−s) ln((S−s)/(S−e)), for s of all
S slow calls where e are expected. It is told where ``MOST`` of the slow calls are in it, which by chance they are in no
fifth of a run.

Source: M. Kulldorff, A spatial scan statistic, Communications in Statistics 26 (6), 1997.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate

from loadgen.measure.ends import together
from loadgen.measure.histogram import Histogram
from loadgen.measure.summary import Stretch, Summary
from loadgen.report.timeline import Point, Timeline
from loadgen.report.why import LEAST, MOST, above, slow_in

SHORT = 0.2


def stretch(summary: Summary, timeline: Timeline) -> Stretch | None:
    """The stretch; None where there is none, or too few calls are slow to tell."""
    slow = slow_in(summary)
    if slow is None:
        return None
    warmups = {phase.name for phase in summary.phases if phase.warmup}
    points = [point for point in timeline.points if point.phase not in warmups]
    following = {point.start_ns: n for n, point in enumerate(timeline.points)}
    whole = [following[point.start_ns] - n for n, point in enumerate(points)]  # changes behind a warm-up
    failed = [_failed(point) if slow.limit else 0 for point in points]
    calls = [point.ok + n for point, n in zip(points, failed, strict=True)]
    late = [above(together(each.latency, each.disturbed), slow.above_us) for each in points]
    found = _densest(calls, [n + more for n, more in zip(late, failed, strict=True)], whole)
    if found is None:
        return None
    start, end = found
    latency = Histogram()
    for point in points[start:end]:
        latency.add(point.latency)
        latency.add(point.disturbed)
    return Stretch(
        points[start].start_ns,
        max(point.end_ns for point in points[start:end]),
        sum(_failed(point) for point in points[start:end]),
        latency.encode(),
    )


def _failed(point: Point) -> int:
    return max(0, point.planned - point.ok)


def _densest(calls: list[int], slow: list[int], parts: list[int]) -> tuple[int, int] | None:
    """From where to where the slow ones are densest, and most of them, within one part; None where that is nowhere."""
    of_calls, of_slow = [0, *accumulate(calls)], [0, *accumulate(slow)]
    total, all_slow = of_calls[-1], of_slow[-1]
    if all_slow < LEAST:
        return None

    def stretches() -> Iterator[tuple[float, int, int]]:
        for start in range(len(calls)):
            for end in range(start + 1, len(calls) + 1):
                n, s = of_calls[end] - of_calls[start], of_slow[end] - of_slow[start]
                if n > SHORT * total or parts[end - 1] != parts[start]:
                    break
                if s >= MOST * all_slow:
                    yield _surprise(s, all_slow, all_slow * n / total), start, end

    best = max(stretches(), default=None)
    return best and best[1:]


def _surprise(s: int, of: int, expected: float) -> float:
    """The logarithm of the likelihood ratio of so many, and as many as expected."""
    rest = (of - s) * math.log((of - s) / (of - expected)) if s < of else 0.0
    return s * math.log(s / expected) + rest
