"""A load generator that stops now and then: its figures beside those of the same schedule without stops.

The targets are written down here, call by call, and know nothing of what is judged: a first-come-first-served queue
with c servers, c cores that all calls share alike, and instances of which each takes one call, a new one starts cold,
and none is left for a call that is then refused. Each is played twice with the same arrivals and the same work, once as
planned and once with stops. A call is disturbed that was made from the first late start of a stop until no more than
half as many calls are in flight as before it, which is what the pool of an agent does; it was chosen on other seeds
than those of the table. Stops last from 20 to 300 ms, or are hiccups: 0.2 to 5 ms, up to ten a second, as a machine has
that others use, too.

The bars: a figure that is shown as one is within 5 % of the truth, or 50 µs, or the truth within its own interval; a
range contains the truth to within 1 % of it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.invocation.tally import Connections
from loadgen.measure.ends import is_range, of_share
from loadgen.measure.interval import VERSION, Frame, Health
from loadgen.measure.merge import PhasePlan, PhaseTotal, phase_summary
from loadgen.measure.recorder import Recorder
from loadgen.measure.summary import PhaseSummary
from tests.simulate.table import Row

SEED = 20270110
S = 1_000_000_000
PS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
BACK = 0.5
"""How many times as many calls as before a stop may be in flight when its window ends."""
OVERHEAD_NS = 12_000  # from one start to the next of a heap


class Case(NamedTuple):
    """A target at a part of its capacity, and a generator that stops for so long every so often."""

    name: str
    servers: int
    service_ns: int
    law: str
    busy: float
    stop_ns: int
    every_ns: int
    poisson: bool = True
    kind: str = "queue"
    labelled: bool = True


class Call(NamedTuple):
    """One call as it went."""

    intended_ns: int
    started_ns: int
    ended_ns: int
    refused: bool = False
    cold: bool = False


def schedule(case: Case, calls: int, seed: int) -> tuple[list[int], list[int], list[int]]:
    """When calls are intended, how much work each is, and how long an instance that starts for it takes."""
    random = Random(f"{seed} {case.name}")
    gap = case.service_ns / case.servers / case.busy
    at, intended, work, colds = 0.0, [], [], []
    for _ in range(calls):
        at += random.expovariate(1 / gap) if case.poisson else gap
        intended.append(round(at))
        work.append(round(case.service_ns * _drawn(case.law, random)))
        colds.append(round(case.service_ns * random.uniform(3, 8)))
    return intended, work, colds


def _drawn(law: str, random: Random) -> float:
    """Work with a mean of about 1."""
    match law:
        case "steady":
            return random.lognormvariate(-0.03, 0.25)
        case "exponential":
            return random.expovariate(1)
        case "two":
            return 4.0 if random.random() < 0.1 else 0.667
        case _:
            return 1.0


def stopped(case: Case, intended: Sequence[int]) -> list[int]:
    """When a generator that stops starts what is due: what falls due in a stop comes in a heap after it."""
    started, last = [], 0
    for at in intended:
        begin = at // case.every_ns * case.every_ns + case.every_ns // 2
        due = begin + case.stop_ns if begin <= at < begin + case.stop_ns else at
        last = max(due, last + OVERHEAD_NS) if due > at or last > at else at
        started.append(last)
    return started


def queue(
    case: Case, intended: Sequence[int], started: Sequence[int], work: Sequence[int], _: Sequence[int]
) -> list[Call]:
    """First come, first served, by so many servers."""
    free, calls = [0] * case.servers, []
    for due, at, lasts in zip(intended, started, work, strict=True):
        end = max(at, heapq.heappop(free)) + lasts
        heapq.heappush(free, end)
        calls.append(Call(due, at, end))
    return calls


def instances(
    case: Case, intended: Sequence[int], started: Sequence[int], work: Sequence[int], colds: Sequence[int]
) -> list[Call]:
    """One call each, the last one used first, kept for a while; what finds none of them is refused at once."""
    idle: list[int] = []
    busy: list[int] = []
    calls, keep_ns = [], 40 * case.service_ns
    for due, at, lasts, cold_ns in zip(intended, started, work, colds, strict=True):
        while busy and busy[0] <= at:
            idle.append(heapq.heappop(busy))
        idle = [since for since in idle if since > at - keep_ns]
        if idle:
            idle.pop()
            end = at + lasts
        elif len(busy) < case.servers:
            end = at + cold_ns + lasts
        else:
            calls.append(Call(due, at, at + 300_000, refused=True))
            continue
        heapq.heappush(busy, end)
        calls.append(Call(due, at, end, cold=end - at > lasts))
    return calls


def sharing(
    case: Case, intended: Sequence[int], started: Sequence[int], work: Sequence[int], _: Sequence[int]
) -> list[Call]:
    """So many cores, which all calls in flight share alike, none of them more than one."""
    done, now = 0.0, 0.0  # the work that a call would have been given which is there from the beginning
    ends: dict[int, int] = {}
    flying: list[tuple[float, int]] = []
    for n in range(len(intended) + 1):
        at = float(started[n]) if n < len(started) else math.inf
        while flying:
            rate = min(1.0, case.servers / len(flying))
            end = now + (flying[0][0] - done) / rate
            if end > at:
                done += (at - now) * rate
                break
            done, now = flying[0][0], end
            ends[heapq.heappop(flying)[1]] = round(end)
        if n < len(started):
            now = at
            heapq.heappush(flying, (done + work[n], n))
    return [Call(due, at, ends[n]) for n, (due, at) in enumerate(zip(intended, started, strict=True))]


TARGETS = {"queue": queue, "sharing": sharing, "instances": instances}


def disturbed(calls: Sequence[Call], back: float) -> list[int]:
    """By how much a stop may have put off the end of each call, 0 for not at all.

    Those are disturbed until no more than ``back`` times as many are in flight as before it, or late themselves.
    """
    found, flying, level, before, window, latest = [], list[int](), 0, 0, False, 0
    for call in calls:
        while flying and flying[0] <= call.started_ns:
            heapq.heappop(flying)
        late = call.started_ns - call.intended_ns > 50_000
        if late and not window:
            window, level = True, before
        elif window and not late and len(flying) <= back * level:
            window, latest = False, 0
        latest = max(latest, call.started_ns - call.intended_ns) if window else 0
        found.append(latest)
        before = len(flying)
        heapq.heappush(flying, call.ended_ns)
    return found


class Played(NamedTuple):
    """What a generator with stops says, and the truth: latencies in order, and the share of refused calls."""

    summary: PhaseSummary
    truth_ns: list[int]
    refused: float
    share: float


def played(case: Case, calls: int = 12_000, seed: int = SEED, back: float = BACK) -> Played:
    """Play a case twice."""
    target = TARGETS[case.kind]
    intended, work, colds = schedule(case, calls, seed)
    true = target(case, intended, intended, work, colds)
    seen = target(case, intended, stopped(case, intended), work, colds)
    moved = disturbed(seen, back)
    summary = _summarised(seen, moved, labelled=case.labelled)
    truth = sorted(call.ended_ns - call.intended_ns for call in true if not call.refused)
    refused = sum(call.refused for call in true) / calls
    return Played(summary, truth, refused, sum(map(bool, moved)) / calls)


OK = Facts(Outcome.OK, "ok", 200)
COLD = Facts(Outcome.OK, "ok", 200, start="cold", start_source="probe")
REFUSED = Facts(Outcome.THROTTLED, "status_429", 429)


def _summarised(calls: Sequence[Call], moved: Sequence[int], *, labelled: bool = True) -> PhaseSummary:
    """What the recorder and the merge make of calls."""
    recorder = Recorder("steady", 0, origin_ns=0, closed=False, expects_summary=False, evidence=True)
    for n, (call, moved_ns) in enumerate(zip(calls, moved, strict=True)):
        facts = REFUSED if call.refused else COLD if call.cold and labelled else OK
        late_ns = call.started_ns - call.intended_ns
        recorder.now.starts += 1
        recorder.record(
            facts, n, call.intended_ns, call.started_ns, call.ended_ns, call.ended_ns, late_ns, 0, b"", moved_ns
        )
    taken, end_ns = recorder.take(), max(call.ended_ns for call in calls)
    total = PhaseTotal("steady")
    hist = dict(taken.packed())
    tally, least = taken.tally(Connections()), dict(taken.packed_least())
    total.add(Frame(VERSION, 0, 0, "steady", 0, end_ns, tally, hist, Health(), final=True, least=least))
    assert list(total.faults()) == []
    return phase_summary(PhasePlan("steady", False, False, end_ns, len(calls)), total)


class Judged(NamedTuple):
    """A figure beside the truth."""

    name: str
    truth: float
    shown: str
    range: bool
    right: bool
    by_interval: bool = False


def judged(case: Played) -> Iterator[Judged]:
    """Every figure of latency that is shown, and the share of errors; all in ns but for that."""
    latency, truth = case.summary.metrics["latency"], case.truth_ns
    for each in latency.percentiles:
        if each.low is None or each.high is None or each.p not in PS:
            continue
        true = truth[math.ceil(each.p * len(truth) / 100) - 1]
        if is_range(each.ends, each.value):
            low, high = each.low_end or 0, math.inf if each.high_end is None else each.high_end
            yield Judged(f"p{each.p:g}", true, f"{low}–{high}", True, low <= 1.01 * true and true <= 1.01 * high)
        else:
            near = abs(each.value - true) <= max(0.05 * true, 50_000)
            inside = each.low <= true <= each.high
            yield Judged(f"p{each.p:g}", true, str(each.value), False, near or inside, inside and not near)
    extremes: dict[str, float] = {"max": truth[-1], "mean": sum(truth) / len(truth)}
    for name, extreme in extremes.items():
        value, ends = getattr(latency, name), latency.ends.get(name)
        if is_range(ends, value):
            assert ends is not None
            high = math.inf if ends.high is None else ends.high
            yield Judged(
                name, extreme, f"{ends.low}–{high}", True, ends.low <= 1.01 * extreme and extreme <= 1.01 * high
            )
        else:
            yield Judged(name, extreme, str(value), False, abs(value - extreme) <= max(0.05 * extreme, 50_000))
    phase = case.summary
    failed = _not_ok(phase.outcomes)
    ends_of_share = of_share(failed, _not_ok(phase.disturbed), phase.planned)
    shown = f"{ends_of_share.low}–{ends_of_share.high}"
    if ends_of_share.is_range:
        yield Judged("errors", case.refused, shown, True, ends_of_share.low <= case.refused <= ends_of_share.high)
    else:
        noise = 0.001 + 2 * math.sqrt(case.refused / phase.planned)
        yield Judged("errors", case.refused, shown, False, abs(ends_of_share.high - case.refused) <= noise)


def _not_ok(outcomes: dict[str, int]) -> int:
    return sum(n for outcome, n in outcomes.items() if outcome != "ok")


def cases(number: int, seed: int = SEED) -> list[Case]:
    """Targets at 50 to 90 % of what they can take, and stops of 20 to 300 ms."""
    random = Random(seed)
    found = []
    for n in range(number):
        kind = "instances" if n % 3 == 2 else "queue"
        servers = random.choice((20, 50, 100) if kind == "instances" else (1, 2, 4, 16))
        service_ns = round(math.exp(random.uniform(math.log(1e6), math.log(5e7))))
        if kind == "instances":
            service_ns = max(service_ns, 10_000_000)
        found.append(
            Case(
                f"case {n}",
                servers,
                service_ns,
                random.choice(("steady", "exponential", "two", "constant")),
                random.uniform(0.5, 0.8 if kind == "instances" else 0.9),
                round(math.exp(random.uniform(math.log(2e7), math.log(3e8)))),
                random.choice((2, 5, 10)) * S,
                random.random() < 0.8,
                kind,
            )
        )
    return found


def hiccups(number: int, seed: int = SEED) -> list[Case]:
    """Targets of all kinds, cold starts labelled or not, and stops of 0.2 to 5 ms up to ten times a second."""
    random = Random(f"{seed} hiccups")
    found = []
    for n in range(number):
        kind = ("queue", "sharing", "instances", "instances")[n % 4]
        servers = random.choice((20, 50, 100) if kind == "instances" else (1, 2, 4, 16))
        found.append(
            Case(
                f"hiccups {n}",
                servers,
                round(math.exp(random.uniform(math.log(2e6), math.log(5e7)))),
                random.choice(("steady", "exponential", "two", "constant")),
                random.uniform(0.2, 0.8),
                round(math.exp(random.uniform(math.log(2e5), math.log(5e6)))),
                random.choice((100, 300, 1_000)) * 1_000_000,
                random.random() < 0.8,
                kind,
                n % 4 != 3,
            )
        )
    return found


def unlabelled(number: int, seed: int = SEED) -> list[Case]:
    """Pools whose cold starts nobody tells from other calls, and stops of 10 to 200 ms."""
    random = Random(f"{seed} unlabelled")
    return [
        Case(
            f"unlabelled {n}",
            random.choice((50, 100)),
            round(math.exp(random.uniform(math.log(1e7), math.log(5e7)))),
            random.choice(("steady", "constant")),
            random.uniform(0.05, 0.5),
            round(math.exp(random.uniform(math.log(1e7), math.log(2e8)))),
            random.choice((2, 5, 7)) * S,
            random.random() < 0.5,
            "instances",
            labelled=False,
        )
        for n in range(number)
    ]


def rows(*, quick: bool, seed: int = SEED) -> Iterator[Row]:
    """The lines of the table."""
    number, calls = (24, 12_000) if quick else (240, 30_000)
    groups = {"": cases, "hiccups: ": hiccups, "cold starts without a label: ": unlabelled}
    for what, found in ((what, made(number, seed)) for what, made in groups.items()):
        every = [figure for case in found for figure in judged(played(case, calls, seed, BACK))]
        single, ranges = [each for each in every if not each.range], [each for each in every if each.range]
        yield _row(
            f"{what}a single figure is the truth to within 5 %", single, sum(each.by_interval for each in single)
        )
        yield _row(f"{what}a range contains the truth", ranges, 0)


def _row(what: str, figures: Sequence[Judged], by_interval: int) -> Row:
    share = sum(figure.right for figure in figures) / max(1, len(figures))
    others = f", {by_interval} only by their interval" if by_interval else ""
    return Row(
        "stops of the generator", what, "≥ 99%", f"{share:.1%}{others}", share >= 0.99, f"{len(figures)} figures"
    )
