"""Rules over windows, and rules that end a run: judged each second, while the run goes on.

Theory of operation. Agents report once a second. A second of a phase is what ended in it at all agents; it is complete
once each of them has reported beyond it, so one that lags behind holds the others' seconds back, and no count is
judged in part. A planned invocation counts in the second in which it ended, or was dropped. The last whole second of a
phase takes what is left: a fraction of a second, and what ended after the load. So each invocation of a phase is in a
window, and the one window that is as long as its phase is the phase.

A window is so many consecutive seconds of one phase; it slides by a second and never crosses phases, between which
there is no load, so a phase that is shorter has none. Each is judged like a phase (``loadgen.measure.threshold``): by
its figure where its sample supports that, by all that the figure may be where that agrees, calls that the load
generator disturbed at both their ends. So a window ends in one of four ways, and the worst one is how the rule ends:

- it is broken;
- it is open: it has enough calls, and may have met the rule or not;
- it holds;
- it has too few calls to decide, and says nothing.

A rule with ``abort`` ends the load when a window breaks. Without a length it is judged each second over all that ended
since the first phase that it is about began; of a share only once a single bad call would no longer break it, as else
the first calls of a run would decide it. Where it did not end the load, it is judged over the whole, like any rule.

What is kept of a rule does not grow with the run: the seconds of one window, their sum, at most 64 batches of them from
which dependence is told (``loadgen.measure.dependence``), and the worst window so far.
Each second is added to the sum, and the one that leaves is taken away again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from loadgen.invocation.cell import Cell, chosen
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.invocation.tally import Tally
from loadgen.measure.dependence import INDEPENDENT, LEAST_BATCHES, Batches, Inflation, Largest, inflation_of, width_of
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhaseTotal, summarised
from loadgen.measure.rule import MetricRule, Rule, ShareRule
from loadgen.measure.summary import CallSummary, Examples, MetricSummary, ThresholdResult
from loadgen.measure.threshold import allows, judged
from loadgen.measure.trust.rule import words
from loadgen.text.units import NS_PER_S, NS_PER_US, seconds

WatchedRule = MetricRule | ShareRule

FEW, HOLDS, OPEN, BROKEN = range(4)
"""How a window ends, the worst last."""

_FRESH = 4  # of a window's length one part: for so long an inflation serves before it is estimated anew

K = TypeVar("K")


def _put(counts: dict[K, int], more: Mapping[K, int], sign: int = 1) -> None:
    """Add counts, or take them away; none stays that is 0."""
    for key, n in more.items():
        left = counts.get(key, 0) + sign * n
        if left:
            counts[key] = left
        else:
            counts.pop(key, None)


class Part:
    """What one rule is judged by, of a second or of several. Counts are of invocations that ended in it."""

    __slots__ = ("disturbed", "histograms", "least", "outcomes", "step_us", "stepped")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.disturbed: dict[str, int] = {}
        self.histograms: dict[Cell, Histogram] = {}
        self.least: dict[Cell, Histogram] = {}
        self.stepped = self.step_us = 0

    def take(self, frame: Frame, rule: WatchedRule) -> None:
        """Add what a frame tells of the calls that a rule is about.

        Raises ValueError for a histogram that is malformed.
        """
        tally = frame.tally if rule.call is None else frame.calls.get(rule.call, Tally())
        _put(self.outcomes, tally.outcomes)
        _put(self.disturbed, tally.disturbed)
        if frame.health.clock_step_ns:
            self.stepped += tally.completed
            self.step_us = max(self.step_us, -(-frame.health.clock_step_ns // NS_PER_US))
        if isinstance(rule, MetricRule):
            for own, told in ((self.histograms, frame.hist), (self.least, frame.least)):
                for cell, packed in told.items():
                    if _tells(cell, rule):
                        own.setdefault(cell, Histogram()).add_packed(packed)

    def add(self, other: Part) -> None:
        """Add what is in another one."""
        self._shift(other, 1)
        self.stepped += other.stepped
        self.step_us = max(self.step_us, other.step_us)

    def remove(self, other: Part) -> None:
        """Take away one that was added. How far clocks stepped is forgotten once no call is left that it concerns."""
        self._shift(other, -1)
        self.stepped -= other.stepped
        self.step_us = self.step_us if self.stepped else 0

    def _shift(self, other: Part, sign: int) -> None:
        _put(self.outcomes, other.outcomes, sign)
        _put(self.disturbed, other.disturbed, sign)
        for ours, theirs in ((self.histograms, other.histograms), (self.least, other.least)):
            for cell, histogram in theirs.items():
                own = ours.setdefault(cell, Histogram())
                _put(own.counts, histogram.counts, sign)
                if not own.counts:
                    del ours[cell]

    @property
    def count(self) -> int:
        """How many invocations ended."""
        return sum(self.outcomes.values())

    def latencies(self) -> Histogram:
        """The latencies from which dependence is told."""
        whole = Histogram()
        for cell in chosen(self.histograms, Metric.LATENCY.value, outcomes=(OK,), disturbed=False):
            whole.add(self.histograms[cell])
        return whole

    def results(self, rule: WatchedRule, inflation: Inflation) -> CallSummary:
        """What is told of it, as far as the rule asks."""
        metrics: dict[str, MetricSummary] = {}
        by_start: dict[str, dict[str, MetricSummary]] = {}
        if isinstance(rule, MetricRule):
            metric, ps = rule.judged.value, () if rule.percentile is None else (rule.percentile,)
            counted = self._total().figure(metric, OK, rule.start)
            found = summarised(metric, counted, ps, inflation, blobs=rule.statistic == "mean")
            if rule.start is None:
                metrics[metric] = found
            else:
                by_start[rule.start] = {metric: found}
        return CallSummary(
            planned=self.count,
            started=self.count,
            completed=self.count,
            dropped=0,
            unfinished=0,
            planned_rate=0.0,
            achieved_rate=0.0,
            outcomes=dict(self.outcomes),
            reasons={},
            examples=Examples([], []),
            metrics=metrics,
            by_outcome={},
            by_start=by_start,
            disturbed=dict(self.disturbed),
        )

    def _total(self) -> PhaseTotal:
        """It as a phase, whose figures have their ends."""
        total = PhaseTotal("window")
        total.tally = Tally(planned=self.count, outcomes=self.outcomes, disturbed=self.disturbed)
        total.histograms, total.least = self.histograms, self.least
        total.stepped, total.step_us = self.stepped, self.step_us
        return total


def _tells(cell: Cell, rule: MetricRule) -> bool:
    """Whether a rule is judged by a cell: those of its metric, and latencies, which say what was disturbed."""
    if rule.call not in (None, cell.call):
        return False
    return cell.metric == Metric.LATENCY.value or (cell.metric == rule.judged.value and cell.outcome == OK)


class Judged(NamedTuple):
    """How a window ended: in order of how bad that is; ``result`` says which window it was."""

    rank: int
    failed: bool
    figure: float
    result: ThresholdResult


def judge(rule: WatchedRule, results: CallSummary, when: str) -> Judged:
    """How a rule ends on what is told of a window; ``when`` says in words which one that is."""
    if not results.planned:
        nothing = ThresholdResult(rule.text, None, None, f"{when}: no invocation ended")
        return Judged(FEW, False, 0.0, nothing)
    result = judged(rule, results)
    failed, figure, few = _figure(rule, results)
    rank = {True: HOLDS, False: BROKEN, None: FEW if few else OPEN}[result.passed]
    said = _said(rule, results, result)
    return Judged(rank, failed, figure, replace(result, why=f"{when}, {said}: {result.why}"))


def _metric(rule: MetricRule, results: CallSummary) -> MetricSummary:
    of_start = results.metrics if rule.start is None else results.by_start[rule.start]
    return of_start[rule.judged.value]


def _figure(rule: WatchedRule, results: CallSummary) -> tuple[bool, float, bool]:
    """Whether the figure is that of a call that failed, how bad it is, and whether it has too few calls."""
    if isinstance(rule, ShareRule):
        counted = judged(rule, results)
        figure = counted.value if counted.value is not None else counted.high_end
        return False, figure or 0.0, False
    found = _metric(rule, results)
    if not (found.count or found.disturbed):
        return False, 0.0, True
    if rule.statistic == "p":
        (listed,) = found.percentiles
        return listed.failed, _failing(results) if listed.failed else listed.value, listed.low is None
    figures = {"min": found.min, "max": found.max, "mean": found.mean}
    failed = bool(found.failed) and (rule.statistic == "max" or found.failed == found.count)
    return failed, _failing(results) if failed else figures[rule.statistic] or 0, False


def _failing(results: CallSummary) -> float:
    """What part of the invocations is not ok: how bad a figure is that is that of one of them."""
    return 1 - results.outcomes.get(OK, 0) / results.planned


def _said(rule: WatchedRule, results: CallSummary, result: ThresholdResult) -> str:
    """The figure of a window in words, where it may be shown, and of how many calls it is."""
    if isinstance(rule, ShareRule):
        share = "" if result.value is None else f" {100 * result.value:.3g} %"
        return f"{rule.what}{share}"
    found = _metric(rule, results)
    name = f"p{rule.percentile:g}" if rule.percentile is not None else rule.statistic
    value = "" if result.value is None else f" {words(result.value / NS_PER_US)}"
    return f"{name}{value} of {found.count or found.disturbed} calls"


class Watched:
    """One rule, and the windows that it was judged on."""

    def __init__(self, rule: WatchedRule) -> None:
        self.rule = rule
        self._length = None if rule.over_ns is None else rule.over_ns // NS_PER_S
        self._sum = Part()
        self._seconds: deque[Part] = deque()
        self._width = width_of(self._length or 1)
        self._batches: deque[tuple[int, Histogram]] = deque()  # each with the second that it begins with
        self._worst: Judged | None = None
        self._ended = [0, 0, 0, 0]
        self._inflation = INDEPENDENT
        self._estimated: int | None = None
        self._phases: list[tuple[Batches, int]] = []

    def begin(self) -> None:
        """A phase begins that the rule is about."""
        self._estimated = None
        if self._length is None:
            self._phases.append((Batches(), 0))
        else:
            self._sum, self._seconds, self._batches = Part(), deque(), deque()

    def see(self, part: Part, phase: str, at: int, *, rest: bool) -> ThresholdResult | None:
        """Take in the second ``at`` of a phase, or the ``rest`` of it; what breaks the rule now, None for nothing."""
        self._add(part, at, rest=rest)
        if self._length is None:
            return self._so_far(phase, at)
        if len(self._seconds) < self._length:
            return None
        when = f"{at + 1 - self._length} s to {at + 1} s of {phase}"
        found = self._judge(when, at)
        self._ended[found.rank] += not rest
        if self._worst is None or found[:3] > self._worst[:3]:
            self._worst = found
        return found.result if found.rank == BROKEN else None

    def _add(self, part: Part, at: int, *, rest: bool) -> None:
        self._sum.add(part)
        if self._length is None:
            batches, _ = self._phases[-1]
            batches.add(at * NS_PER_S, (at + 1) * NS_PER_S, [part.latencies().pack()])
            self._phases[-1] = batches, at + 1
            return
        if rest and self._seconds:
            self._seconds[-1].add(part)
        elif not rest:
            self._seconds.append(part)
            if len(self._seconds) > self._length:
                self._sum.remove(self._seconds.popleft())
        if self._depends:
            self._batch(part, at, at + 1 - self._length, rest=rest)

    def _batch(self, part: Part, at: int, first: int, *, rest: bool) -> None:
        """Add to the batches of a window that begins with the second ``first``."""
        if at % self._width == 0 and not rest:
            self._batches.append((at, Histogram()))
        if self._batches:
            self._batches[-1][1].add(part.latencies())
        while self._batches and self._batches[0][0] < first:
            self._batches.popleft()

    def _so_far(self, phase: str, at: int) -> ThresholdResult | None:
        """What breaks a rule without a length, on all that there is so far."""
        rule, count = self.rule, self._sum.count
        if isinstance(rule, ShareRule) and rule.limit and not (count and allows(rule, 1 / count)):
            return None
        found = self._judge(f"up to {max(1, at + 1)} s of {phase}", at)
        return found.result if found.rank == BROKEN else None

    def _judge(self, when: str, at: int) -> Judged:
        """How the rule ends on the sum. What breaks it for the first time does so by how dependent calls are now."""
        found = judge(self.rule, self._sum.results(self.rule, self._lately(at)), when)
        known = self._worst is not None and self._worst.rank == BROKEN
        if found.rank < BROKEN or known or not self._depends or self._estimated == at:
            return found
        return judge(self.rule, self._sum.results(self.rule, self._estimate(at)), when)

    @property
    def _depends(self) -> bool:
        """Whether how the rule ends depends on how dependent calls are, and there may be enough of them to tell."""
        percentile = isinstance(self.rule, MetricRule) and self.rule.percentile is not None
        return percentile and (self._length is None or self._length >= LEAST_BATCHES)

    def _lately(self, at: int) -> Inflation:
        """By how much less calls say than as many independent ones, estimated not long ago."""
        if self._length is None or not self._depends:
            return INDEPENDENT
        if self._estimated is None or at - self._estimated > self._length // _FRESH:
            return self._estimate(at)
        return self._inflation

    def _estimate(self, at: int) -> Inflation:
        if self._length is None:
            return Largest(batches.inflation(n * NS_PER_S) for batches, n in self._phases)
        first, width = at + 1 - self._length, self._width
        whole = [batch for begun, batch in self._batches if first <= begun <= at + 1 - width]
        self._inflation, self._estimated = inflation_of(whole, width * NS_PER_S), at
        return self._inflation

    def result(self) -> ThresholdResult:
        """How a rule over windows ended."""
        assert self.rule.over_ns is not None
        over, worst, windows = seconds(self.rule.over_ns), self._worst, sum(self._ended)
        if worst is None:
            why = f"no window of {over} lies wholly within what was measured"
            return ThresholdResult(self.rule.text, None, None, why)
        if worst.rank == FEW:
            why = f"of {windows} windows of {over} none has enough calls to decide; the worst: {worst.result.why}"
            return replace(worst.result, why=why)
        few = f"; {self._ended[FEW]} of them have too few calls to decide" if self._ended[FEW] else ""
        return replace(worst.result, why=f"the worst of {windows} windows of {over}: {worst.result.why}{few}")


class Second(NamedTuple):
    """A second of a phase that is complete, or (``rest``) what is left of a load that ended in the one after it.

    ``parts`` are those of each rule.
    """

    at: int
    parts: list[Part]
    rest: bool


class Seconds:
    """The seconds of one phase, put together from the frames of its agents.

    What changes: ``_done`` is how many seconds each agent has told all of, ``_next`` the first that is not complete.
    """

    def __init__(self, duration_ns: int, agents: Iterable[int], rules: Sequence[WatchedRule]) -> None:
        self._rules = rules
        self._last = max(0, duration_ns // NS_PER_S - 1)
        self._whole = duration_ns // NS_PER_S
        self._done = dict.fromkeys(agents, 0)
        self._begin_ns: int | None = None
        self._load_ns = 0
        self._next = 0
        self._pending: dict[int, list[Part]] = {}

    @property
    def over(self) -> bool:
        """Whether all agents have sent their last frame."""
        return min(self._done.values()) > self._last

    def take(self, frame: Frame) -> Iterator[Second]:
        """Take in a frame of load; the seconds that are complete by it."""
        for rule, part in zip(self._rules, self._parts(self._place(frame)), strict=True):
            part.take(frame, rule)
        yield from self._completed()

    def lose(self, agent: int) -> Iterator[Second]:
        """An agent says nothing any more; the seconds that are complete without it."""
        if self._done.pop(agent, None) is not None and self._done:
            yield from self._completed()

    def _completed(self) -> Iterator[Second]:
        if self.over:
            yield from self._rest()
            return
        while self._next < min(self._done.values()):
            yield Second(self._next, self._parts(self._next), rest=False)
            del self._pending[self._next]
            self._next += 1

    def _place(self, frame: Frame) -> int:
        """The second that a frame belongs to: that of its middle, none that its agent had told all of."""
        if self._begin_ns is None:
            self._begin_ns = frame.from_ns
        done = self._done.get(frame.agent, 0)
        middle_ns = (frame.from_ns + frame.to_ns) // 2 - self._begin_ns
        at = min(max(middle_ns // NS_PER_S, done), self._last)
        reached = (frame.to_ns - self._begin_ns + NS_PER_S // 4) // NS_PER_S
        self._done[frame.agent] = self._last + 1 if frame.final else min(max(done, reached), self._last)
        self._load_ns = max(self._load_ns, frame.load_ns)
        return at

    def _parts(self, at: int) -> list[Part]:
        if at not in self._pending:
            self._pending[at] = [Part() for _ in self._rules]
        return self._pending[at]

    def _rest(self) -> Iterator[Second]:
        """What is left when the phase is over: the last whole second that had load takes all that came after it."""
        end = min(self._whole, (self._load_ns + NS_PER_S // 1000) // NS_PER_S) - 1
        left = [Part() for _ in self._rules]
        for at in [at for at in self._pending if at > end]:
            for whole, part in zip(left, self._pending.pop(at), strict=True):
                whole.add(part)
        for at in range(self._next, end + 1):
            parts = self._parts(at)
            if at == end:
                for own, part in zip(parts, left, strict=True):
                    own.add(part)
            yield Second(at, parts, rest=False)
        if end < self._next:
            yield Second(self._next - 1, left, rest=True)
        self._pending, self._next = {}, self._last + 1


class Broken(NamedTuple):
    """A rule with ``abort`` that is broken, and by what."""

    rule: WatchedRule
    result: ThresholdResult


class Watcher:
    """All rules of a run that are judged while it goes on."""

    def __init__(self, rules: Sequence[Rule], agents: int) -> None:
        """``agents`` is how many there are; each tells when it has ended a phase, whether it took part or not."""
        self._watched = [
            Watched(rule) for rule in dict.fromkeys(rules) if isinstance(rule, MetricRule | ShareRule) and rule.watched
        ]
        self._agents = set(range(agents))
        self._active: list[Watched] = []
        self._phase = ""
        self._seconds = Seconds(0, self._agents, ())

    @property
    def over(self) -> bool:
        """Whether the phase under way has ended at all agents."""
        return self._seconds.over

    def begin(self, phase: str, duration_ns: int, *, warmup: bool) -> None:
        """A phase begins."""
        self._phase = phase
        self._active = [each for each in self._watched if each.rule.phase in (None, phase) and not warmup]
        self._seconds = Seconds(duration_ns, self._agents, [each.rule for each in self._active])
        for each in self._active:
            each.begin()

    def take(self, frame: Frame) -> list[Broken]:
        """Take in a frame of load, each once; which rules with ``abort`` are broken by the seconds it completes."""
        return self._see(self._seconds.take(frame)) if self._active else []

    def lose(self, agent: int) -> list[Broken]:
        """An agent is lost; which rules with ``abort`` are broken by the seconds that are complete without it."""
        self._agents.discard(agent)
        return self._see(self._seconds.lose(agent))

    def _see(self, seconds: Iterator[Second]) -> list[Broken]:
        broken = []
        for at, parts, rest in seconds:
            for watched, part in zip(self._active, parts, strict=True):
                result = watched.see(part, self._phase, at, rest=rest)
                if result is not None and watched.rule.abort:
                    broken.append(Broken(watched.rule, result))
        return broken

    def results(self) -> dict[Rule, ThresholdResult]:
        """How each rule over windows ended."""
        return {each.rule: each.result() for each in self._watched if each.rule.over_ns is not None}
