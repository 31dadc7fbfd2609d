"""How much two runs differ from one another from time to time, beyond what few calls explain.

Theory of operation. Each phase is cut into stretches of equal length, and the same stretch of both runs makes a pair:
what a phase does by itself (a ramp, cold starts at its beginning) is in both. The logarithms of the ratios of a
percentile, one of each pair, vary by chance; how much is known from the interval of the percentile of the whole run,
which contains how calls come together: a stretch with a part f of the calls has 1/f times its variance. What they vary
beyond that is a level that wanders while a run lasts. Two runs are further apart in time than two stretches, and a
level that wanders does so no less over longer times (flicker: the same at every scale), so all of that variance
counts for the two runs, with Student's t for so few stretches. As in ``loadgen.measure.dependence`` it counts by
how far it is from chance: not at all at what sampling explains, wholly where chance reaches it once in a thousand
times.

A level that differs from run to run and stands still in each cannot be seen in two runs. Where there are
at least three runs of the same scenario, how much they differ says it: the difference of one more run from one of them
has the standard deviation s √2, of which t s √2 is the half-width (t of 97.5 %). Else claims allow for runs whose
level wanders by ``ASSUMED`` (see ``loadgen.comparison.comparison``).

Failures come together as well: their share counts as one of fewer calls, by the inflation of
``loadgen.measure.dependence`` over the stretches.

Sources: of variances at every scale, D. W. Allan, Statistics of Atomic Frequency Standards, 1966 (the flicker floor);
Student's law of a difference of two means with a variance from few.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import variance

from loadgen.measure import hlog
from loadgen.measure.dependence import Inflation
from loadgen.measure.histogram import Histogram
from loadgen.measure.percentile import supported
from loadgen.stats import student

PARTS = 24
"""Into how many stretches a phase is cut."""

_METRICS = ("latency", "latency_all", "service_time", "duration")
_LAWS = {12: (2.84, 2.20), 6: (4.10, 2.57), 4: (5.42, 3.18)}
"""By number of stretches: what a χ² exceeds once in a thousand times over its degrees of freedom, and Student's t."""

Stretches = Mapping[tuple[str, str], Sequence[Histogram]]
"""By phase and metric its ``PARTS`` stretches."""


def read(lines: Iterable[str], durations_ns: Mapping[str, int]) -> Stretches:
    """The stretches of the phases of these lengths, from the lines of intervals.hlog; none where it has none.

    Calls that the load generator disturbed are left out. Raises ValueError,
    with the line number, when the log is not one.
    """
    found: dict[tuple[str, str], list[Histogram]] = {}
    began: dict[str, int] = {}
    for line in hlog.read(_wanted(lines)):
        phase, _, metric = line.tag.rpartition(".")
        length = durations_ns.get(phase, 0)
        if length <= 0:
            continue
        at = max(0, line.start_ns - began.setdefault(phase, line.start_ns)) * PARTS // length
        parts = found.setdefault((phase, metric), [Histogram() for _ in range(PARTS)])
        parts[min(at, PARTS - 1)].add(line.histogram)
    return found


def _wanted(lines: Iterable[str]) -> Iterable[str]:
    """Blank out the lines of other metrics before their histograms are decoded."""
    ends = tuple(f".{metric}" for metric in _METRICS)
    for line in lines:
        tag, comma, _ = line.partition(",")
        yield "#\n" if comma and tag.startswith("Tag=") and not tag.endswith(ends) else line


class Together:
    """The stretches of one metric of a phase in two runs."""

    def __init__(self, base: Sequence[Histogram], new: Sequence[Histogram]) -> None:
        """Each run has ``PARTS`` of them, or none."""
        self._runs = (base, new)
        self._cut: dict[int, list[tuple[Histogram, Histogram]]] = {}

    def wander(self, p: float, base_var: float, new_var: float) -> float:
        """The 95 % half-width of how the runs differ at the percentile ``p`` (in percent), in logarithms; 0: not seen.

        ``base_var`` and ``new_var`` are the variances of the logarithms of the percentile of each run.
        """
        parts = next((into for into in _LAWS if self._supports(p, into)), None)
        if parts is None:
            return 0.0
        (chance, t), pairs = _LAWS[parts], self._pairs(parts)
        ratios = [math.log(max(0.5, b.value_at(p) or 0) / max(0.5, a.value_at(p) or 0)) for a, b in pairs]
        whole_a, whole_b = sum(a.count for a, _ in pairs), sum(b.count for _, b in pairs)
        explained = sum(base_var * whole_a / a.count + new_var * whole_b / b.count for a, b in pairs) / parts
        seen = variance(ratios)
        if seen <= explained:
            return 0.0
        weight = 1.0 if not explained else min(1.0, (seen / explained - 1) / (chance - 1))
        return t * math.sqrt(weight * (seen - explained))

    def _supports(self, p: float, parts: int) -> bool:
        return all(self._runs) and all(supported(each.count, p) for pair in self._pairs(parts) for each in pair)

    def _pairs(self, parts: int) -> list[tuple[Histogram, Histogram]]:
        """So many stretches of both, of neighbours."""
        if parts not in self._cut:
            base, new = (_joined(each, parts) for each in self._runs)
            self._cut[parts] = list(zip(base, new, strict=True))
        return self._cut[parts]


def between_runs(values: Sequence[float]) -> float:
    """The half-width of how one more run differs from these, at least two, all above 0, in logarithms.

    It is that of 97.5 %: each row has its own, from few runs, so that not all of them are wrong together.
    """
    logs = [math.log(value) for value in values]
    return student.quantile(1 - 0.025 / 2, len(logs) - 1) * math.sqrt(2 * variance(logs))


def inflation_of_failures(stretches: Stretches, phase: str) -> float:
    """By how much less the failures of a phase say than as many independent ones, at least 1."""
    every = stretches.get((phase, "latency_all"), ())
    ok = stretches.get((phase, "latency"), ()) or [Histogram() for _ in every]
    batches = []
    for whole, fine in zip(every, ok, strict=False):
        total, good = whole.count, fine.count
        counted = {0: min(good, total), 1: max(0, total - good)}
        batches.append(Histogram({at: n for at, n in counted.items() if n}))
    return Inflation(batches).at(50.0)


def _joined(parts: Sequence[Histogram], into: int) -> list[Histogram]:
    together = PARTS // into
    joined = []
    for at in range(0, len(parts), together):
        whole = Histogram()
        for each in parts[at : at + together]:
            whole.add(each)
        joined.append(whole)
    return joined
