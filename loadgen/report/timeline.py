"""A run over time, from its interval log.

Theory of operation. The log has a line a second for each phase and metric. Lines are merged into points: the
histograms of a point are added, never its percentiles averaged, and a point never spans two phases. When there would be
more points than fit a chart, or so few calls in a point that not even a median is known, neighbours are merged, all
alike, so that memory does not grow with the length of the run.

``latency`` counts the ok invocations of an interval, ``latency_all`` every planned one; the difference is what failed.
Those that the load generator disturbed have lines of their own. Each point is judged by its own calls: where those
leave a figure open, it is a range in that point, whatever it is of the phase.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from statistics import median

from msgspec import Struct, field

from loadgen.invocation.metric import Metric
from loadgen.measure import hlog
from loadgen.measure.ends import Moved, is_range, of_extremes
from loadgen.measure.histogram import Histogram
from loadgen.measure.percentile import needed, percentiles, supported
from loadgen.measure.summary import Ends
from loadgen.text.units import NS_PER_S, NS_PER_US

MOST_POINTS = 600
FEWEST_POINTS = 12
"""Points are not merged below this number for the sake of a median."""

_TOLD = (Metric.LATENCY.value, Metric.LATENCY_ALL.value)
_UPPER = (99.0, 95.0, 90.0)


class Point(Struct):
    """Some seconds of one phase. Instants are ns since the run began; ``planned`` counts ok and failed alike.

    Calls stand where they ended, but for ``started``, which is how many were; None where the log does not tell.

    ``latency`` is of ok invocations that the load generator did not disturb, ``disturbed`` of those that it did; of
    ``disturbed_planned`` it did so to some failed.
    """

    phase: str
    start_ns: int
    end_ns: int
    latency: Histogram
    planned: int
    disturbed: Histogram = field(default_factory=Histogram)
    disturbed_planned: int = 0
    started: int | None = None

    @property
    def ok(self) -> int:
        """Ok invocations, disturbed or not."""
        return self.latency.count + self.disturbed.count

    @property
    def ok_per_s(self) -> float | None:
        """Ok invocations per second, None for a point without length."""
        return self._per_s(self.ok)

    @property
    def failed_per_s(self) -> float | None:
        """Invocations per second that did not end ok, the dropped and unfinished included."""
        return self._per_s(max(0, self.planned - self.ok))

    @property
    def started_per_s(self) -> float | None:
        """Invocations that were started per second, None where the log does not tell."""
        return None if self.started is None else self._per_s(self.started)

    def figure_ns(self, statistic: float | str) -> int | Ends | None:
        """A percentile or the ``max`` of the latency of ok invocations, or its range; None where it is not known."""
        value, ends = self._max() if isinstance(statistic, str) else self._percentile(statistic)
        return ends if value is not None and is_range(ends, value) else value

    @property
    def _moved(self) -> Moved:
        """What the log does not tell is how disturbed invocations failed: whatever way it was, it leaves more open."""
        failed = max(0, self.disturbed_planned - self.disturbed.count)
        return Moved(ok=self.disturbed, astray=failed, open=bool(failed))

    def _percentile(self, p: float) -> tuple[int | None, Ends | None]:
        if not supported(self.latency.count, p):
            return None, None
        (found,) = percentiles(self.latency, (p,), NS_PER_US, moved=self._moved)
        return found.value, found.ends

    def _max(self) -> tuple[int | None, Ends | None]:
        highest = self.latency.ceiling_us or self.disturbed.ceiling_us
        if highest is None:
            return None, None
        moved = self._moved
        ends = of_extremes(self.latency, Histogram(), moved, NS_PER_US).get("max") if moved.any else None
        return highest * NS_PER_US, ends

    def add(self, other: Point) -> None:
        """Take in another stretch of the same phase."""
        self.start_ns = min(self.start_ns, other.start_ns)
        self.end_ns = max(self.end_ns, other.end_ns)
        self.latency.add(other.latency)
        self.disturbed.add(other.disturbed)
        self.planned += other.planned
        self.disturbed_planned += other.disturbed_planned
        if other.started is not None:
            self.started = (self.started or 0) + other.started

    def _per_s(self, n: int) -> float | None:
        length_ns = self.end_ns - self.start_ns
        return n * NS_PER_S / length_ns if length_ns else None


class Timeline(Struct, frozen=True):
    """Points in time order, each about ``width_s`` seconds long.

    ``upper`` is the highest of p99, p95 and p90 that at least half of the points support, None when none is.
    """

    points: tuple[Point, ...]
    width_s: int
    upper: float | None


class Course:
    """What becomes a Timeline of at most so many points, entry by entry of the log. What changes is what was added."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._points: _Points = {}
        self._began: dict[str, int] = {}
        self._width_s = 1

    def add(self, entry: hlog.Line | hlog.Started) -> None:
        """Add an entry; nothing where it is of another metric."""
        point = _point(entry)
        if point is None:
            return
        # An interval begins a little before or after its full second: the nearest one is meant.
        began_ns = self._began.setdefault(point.phase, point.start_ns)
        second = max(0, round((point.start_ns - began_ns) / NS_PER_S))
        _add(self._points, (point.phase, second // self._width_s), point)
        if len(self._points) > max(self._most, 2 * len(self._began)):
            self._points, self._width_s = _halved(self._points), 2 * self._width_s

    def timeline(self) -> Timeline:
        """The run so far; nothing may be added after it."""
        points, width_s = self._points, self._width_s
        while (
            len(points) >= max(2 * FEWEST_POINTS, len(self._began) + 1)  # points of different phases never become one
            and _typical(points.values()) < (needed(50.0) or 0)
        ):
            points, width_s = _halved(points), 2 * width_s
        if any(point.started is not None for point in points.values()):  # the log tells it, and nothing of none
            for point in points.values():
                point.started = point.started or 0
        ordered = tuple(_without_stubs(sorted(points.values(), key=lambda point: point.start_ns), width_s))
        return Timeline(ordered, width_s, _upper(ordered))


def timeline(lines: Iterable[str]) -> Timeline:
    """The run over time from the lines of intervals.hlog; no points when it has none.

    Raises ValueError, with the line number, when the log is not one.
    """
    course = Course()
    for entry in hlog.entries(_of_latency(lines)):
        course.add(entry)
    return course.timeline()


_Points = dict[tuple[str, int], Point]
"""Points by phase and number within it."""


def _of_latency(lines: Iterable[str]) -> Iterator[str]:
    """Blank out the lines of other metrics before their histograms are decoded; they are most of the log."""
    for line in lines:
        tag, comma, _ = line.partition(",")
        other = comma and tag.startswith("Tag=") and tag.rpartition(".")[2] not in _TOLD
        yield "#\n" if other else line


def _point(entry: hlog.Line | hlog.Started) -> Point | None:
    end_ns = entry.start_ns + entry.length_ns
    if isinstance(entry, hlog.Started):
        return Point(entry.phase, entry.start_ns, end_ns, Histogram(), 0, started=entry.n)
    of, _, metric = entry.tag.rpartition(".")
    if metric not in _TOLD:
        return None
    phase = of.removesuffix(f".{hlog.DISTURBED}")
    disturbed, counted = phase != of, entry.histogram
    point = Point(phase, entry.start_ns, end_ns, Histogram(), 0)
    match metric == Metric.LATENCY.value, disturbed:
        case True, False:
            point.latency = counted
        case True, True:
            point.disturbed = counted
        case _:
            point.planned = counted.count
            point.disturbed_planned = counted.count if disturbed else 0
    return point


def _add(points: _Points, key: tuple[str, int], point: Point) -> None:
    if key in points:
        points[key].add(point)
    else:
        points[key] = point


def _halved(points: _Points) -> _Points:
    merged: _Points = {}
    for (phase, number), point in points.items():
        _add(merged, (phase, number // 2), point)
    return merged


def _typical(points: Collection[Point]) -> float:
    """The ok invocations in a point, as a median over the points."""
    return median(point.latency.count for point in points)


def _without_stubs(points: Iterable[Point], width_s: int) -> Iterator[Point]:
    """Add what is left at the end of a phase, too short to have a rate of its own, to the point before."""
    last: Point | None = None
    for point in points:
        if last is not None and last.phase == point.phase and point.end_ns - point.start_ns < width_s * NS_PER_S / 2:
            last.add(point)
            continue
        if last is not None:
            yield last
        last = point
    if last is not None:
        yield last


def _upper(points: Collection[Point]) -> float | None:
    if not points:
        return None
    typical = int(_typical(points))
    return next((p for p in _UPPER if supported(typical, p)), None)
