"""Overheads that no mixture assumes: what is told of cold and warm starts there, and what is said where it cannot be.

The function has instances that end after some silence, if they end at all, and one call each. What a warm call spends
outside the handler follows one of several laws, none of them Student's: with outliers of the network, growing, with
two gateways, with a queue that lets calls in one by one, or all at once three times as long from some instant on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import numpy as np
from msgspec import Struct

from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.coldstarts.decision import cold_starts
from loadgen.experiments.coldstarts.findings import ColdStartsResult
from loadgen.experiments.coldstarts.reasons import found
from loadgen.experiments.decision import Ask, Seen
from loadgen.experiments.load.decision import load
from loadgen.experiments.load.findings import LoadResult
from loadgen.experiments.load.reasons import found as found_in_load
from loadgen.invocation.cell import CALL, Cell
from loadgen.invocation.sample import Sample
from loadgen.invocation.start import Cuts
from loadgen.load.bursts import Bursts
from loadgen.load.phase import Phase
from loadgen.measure.histogram import Histogram
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.summary import Verdict
from tests.simulate.adversaries.samples import MS, sample
from tests.simulate.parallel import all_of
from tests.simulate.table import Row
from tests.simulate.world import play

S = 1_000_000_000
WORK_MS = 20.0

Warm = Callable[[np.random.Generator, float, int], float]
"""What a warm call spends outside the handler, in ms: by the second, and how many calls came at once before it."""


def _gateway(rng: np.random.Generator, at_s: float, before: int) -> float:
    return 12 + float(rng.gamma(4.0, 1.5))


def _contaminated(share: float, rng: np.random.Generator, at_s: float, before: int) -> float:
    usual = _gateway(rng, at_s, before)
    return usual + 200 + float(rng.normal(0, 15)) if rng.random() < share else usual


def _shifted(from_s: float, rng: np.random.Generator, at_s: float, before: int) -> float:
    return _gateway(rng, at_s, before) * (3 if at_s >= from_s else 1)


def _hump(rng: np.random.Generator, at_s: float, before: int) -> float:
    return _gateway(rng, at_s, before) * (3 if 300 <= at_s < 600 else 1)


def _drifting(rng: np.random.Generator, at_s: float, before: int) -> float:
    return _gateway(rng, at_s, before) * (1 + at_s / 1500)


def _seasonal(rng: np.random.Generator, at_s: float, before: int) -> float:
    return _gateway(rng, at_s, before) * (1.5 + 0.5 * math.sin(at_s / 40))


def _two_gateways(rng: np.random.Generator, at_s: float, before: int) -> float:
    return 3 + float(rng.gamma(9.0, 0.2)) if rng.random() < 0.7 else 30 + float(rng.gamma(9.0, 0.8))


def _queue(rng: np.random.Generator, at_s: float, before: int) -> float:
    return _gateway(rng, at_s, before) + 15.0 * before


def _tailed(rng: np.random.Generator, at_s: float, before: int) -> float:
    return 8 + 2 * float(rng.pareto(2.5))


class Case(Struct, frozen=True):
    """A law of warm calls, whether instances end, and what a cold start adds (median in ms); ``easy`` to tell apart."""

    name: str
    warm: Warm
    ends: bool = True
    cold_ms: float = 600.0
    easy: bool = False
    calls: int = 1000


CASES = (
    Case("one gateway", _gateway, easy=True),
    Case("one gateway, cold starts of 250 ms", _gateway, cold_ms=250, easy=True),
    Case("0.2 % outliers of the network", partial(_contaminated, 0.002)),
    Case("0.5 % outliers of the network", partial(_contaminated, 0.005)),
    Case("1 % outliers of the network", partial(_contaminated, 0.01)),
    Case("1 % outliers of the network, ten times as many calls", partial(_contaminated, 0.01), calls=10_000),
    Case("three times as slow after the warm lane", partial(_shifted, 60.0)),
    Case("three times as slow for five minutes", _hump),
    Case("three times as slow in the last fifth", partial(_shifted, 800.0)),
    Case("growing by two thirds", _drifting),
    Case("up and down twofold", _seasonal),
    Case("two gateways", _two_gateways),
    Case("a queue at the gateway", _queue, cold_ms=200),
    Case("a heavy tail", _tailed),
)
NONE = (
    Case("no cold start, one gateway", _gateway, ends=False),
    Case("no cold start, 0.2 % outliers", partial(_contaminated, 0.002), ends=False),
    Case("no cold start, 0.5 % outliers", partial(_contaminated, 0.005), ends=False),
    Case("no cold start, 1 % outliers", partial(_contaminated, 0.01), ends=False),
    Case(
        "no cold start, 0.5 % outliers, ten times as many calls",
        partial(_contaminated, 0.005),
        ends=False,
        calls=10_000,
    ),
    Case("no cold start, three times as slow for five minutes", _hump, ends=False),
    Case("no cold start, three times as slow after the warm lane", partial(_shifted, 60.0), ends=False),
    Case("no cold start, three times as slow in the last fifth", partial(_shifted, 800.0), ends=False),
    Case("no cold start, up and down twofold", _seasonal, ends=False),
    Case("no cold start, a queue at the gateway", _queue, ends=False),
    Case("no cold start, a heavy tail", _tailed, ends=False),
)


class StartsWorld:
    """The function; ``made`` is what each call spent outside the handler in ns, whether it was cold, and its phase."""

    def __init__(self, case: Case, seed: int) -> None:
        self._case = case
        self._rng = np.random.default_rng((seed, 0xC01D))
        self._now_ns = 0
        self._numbers = count()
        self._free: list[int] = [0] * 64 if not case.ends else []
        self.made: list[tuple[int, bool, str]] = []

    def run(self, ask: Ask) -> Seen:
        """The calls of an Ask."""
        self._now_ns += ask.idle_ns
        samples: list[Sample] = []
        for phase in ask.phases:
            begin_ns = self._now_ns
            if isinstance(phase.shape, Bursts):
                samples += [self._call(phase.name, begin_ns, number) for number in range(phase.shape.size)]
                self._now_ns = max(
                    begin_ns + phase.duration_ns, *(each.ended_ns for each in samples[-phase.shape.size :])
                )
                continue
            while self._now_ns < begin_ns + phase.duration_ns:
                samples.append(self._call(phase.name, self._now_ns, 0))
                self._now_ns = samples[-1].ended_ns
        return Seen((), tuple(samples), Verdict("valid", []))

    def _call(self, phase: str, at_ns: int, before: int) -> Sample:
        rng = self._rng
        lives_ns = 60 * S if self._case.ends else 1 << 60
        ready = [free_ns for free_ns in self._free if free_ns <= at_ns < free_ns + lives_ns]
        if ready:
            self._free.remove(max(ready))
        spent_ms = self._case.warm(rng, at_ns / S, before)
        if not ready:
            spent_ms += self._case.cold_ms * float(rng.gamma(6.0, 1 / 6.0))
        duration_ns = int(WORK_MS * float(rng.gamma(16.0, 1 / 16)) * MS)
        spent_ns = int(spent_ms * MS)
        self._free.append(at_ns + duration_ns + spent_ns)
        self.made.append((spent_ns, not ready, phase))
        return sample(phase, next(self._numbers), at_ns, duration_ns + spent_ns, duration_ns)


class Told(Struct, frozen=True):
    """What was said: whether calls were labelled, the share of wrong labels, and what was said besides.

    ``flagged`` says that figures were withheld, ``held`` that the share of cold calls among those after silences was
    within its interval.
    """

    labelled: bool
    cold: int
    wrong: float
    flagged: bool
    held: bool


def experiment(case: Case, seed: int) -> tuple[ColdStartsResult, StartsWorld]:
    """The whole experiment on one function."""
    world = StartsWorld(case, seed)
    settings = ColdStarts((Induce.GAP, Induce.BURST), 90 * S, 20, 100, case.calls, None, (), None)
    return play(cold_starts(settings, 100 * S, seed), world), world


def told(seed: int, case: Case) -> Told:
    """What the experiment said of one function, beside the truth."""
    result, world = experiment(case, seed)
    cuts = None if result.labelling is None else result.labelling.cuts
    if cuts is None:
        return Told(False, result.cold.count, 0.0, True, True)
    labels = [
        ("warm" if phase.startswith("warm") and phase == before else cuts.label(spent_ns), cold)
        for (spent_ns, cold, phase), before in zip(world.made, ["", *(each[2] for each in world.made)], strict=False)
    ]
    said = [(label == "cold", cold) for label, cold in labels if label in ("cold", "warm")]
    held = True
    for means in result.means:
        true = [cold for _, cold, phase in world.made if phase.startswith(f"{means.name}-")]
        share = means.cold_share
        if share is not None and share.low is not None and share.high is not None:
            held = held and share.low <= sum(true) / len(true) <= share.high
    reasons = [each for each in found(result).reasons((), ()) if each.severity == "withheld"]
    return Told(True, result.cold.count, sum(a != b for a, b in said) / len(said), bool(reasons), held)


class Load(Struct, frozen=True):
    """A load of two phases, a warm-up and one that is measured, whose calls are labelled by what the first taught.

    ``warm`` is the law of overheads, ``colds`` the share of cold starts in either phase. With ``servers`` a call waits
    for one of so many before it is served, for which it takes some 38 ms, and arrivals come ``per_s``.
    """

    name: str
    warm: Warm
    colds: tuple[float, float]
    servers: int | None = None
    per_s: tuple[float, float] = (100.0, 100.0)
    easy: bool = False


_PHASE_S = 60.0
LOADS = (
    Load("one gateway", _gateway, (0.05, 0.05), easy=True),
    Load("1 % outliers, no cold start", partial(_contaminated, 0.01), (0.0, 0.0)),
    Load("0.5 % outliers, no cold start", partial(_contaminated, 0.005), (0.0, 0.0)),
    Load("0.5 % outliers, cold starts in the warm-up alone", partial(_contaminated, 0.005), (0.06, 0.0)),
    Load("three times as slow once it is measured", partial(_shifted, _PHASE_S), (0.05, 0.05)),
    Load("three times as slow, cold starts in the warm-up alone", partial(_shifted, _PHASE_S), (0.05, 0.0)),
    Load("a queue that fills once it is measured", _gateway, (0.05, 0.001), servers=10, per_s=(100.0, 258.0)),
    Load("a queue that overflows once it is measured", _gateway, (0.05, 0.001), servers=10, per_s=(100.0, 270.0)),
)


def _calls(case: Load, phase: int, rng: np.random.Generator) -> tuple[list[float], list[bool]]:
    """What the calls of a phase spend outside the handler, in ms, and which are cold."""
    at_s, spent, colds = phase * _PHASE_S, [], []
    free = [0.0] * (case.servers or 0)
    while at_s < (phase + 1) * _PHASE_S:
        at_s += float(rng.exponential(1 / case.per_s[phase]))
        cold = bool(rng.random() < case.colds[phase])
        ms = case.warm(rng, at_s, 0) + (600 * float(rng.gamma(6.0, 1 / 6.0)) if cold else 0.0)
        if free:
            first = free.index(min(free))
            begins = max(at_s, free[first])
            free[first] = begins + 0.038 * float(rng.gamma(16.0, 1 / 16))
            ms += 1000 * (begins - at_s)
        spent.append(ms)
        colds.append(cold)
    return spent, colds


def _total(name: str, spent_ms: list[float], cuts: Cuts | None) -> PhaseTotal:
    """What agents that have these cuts report of such calls."""
    total = PhaseTotal(name)
    for ms in spent_ms:
        start = "unknown" if cuts is None else cuts.label(int(ms * MS))
        for metric, value in (("latency", ms + WORK_MS), ("overhead", ms), ("residual", ms)):
            total.histograms.setdefault(Cell(name, CALL, start, "ok", metric), Histogram()).record(int(value * 1000))
    return total


def labelled_load(seed: int, case: Load) -> Told:
    """What a load said of its measured phase, beside the truth."""
    rng = np.random.default_rng((seed, 0x10AD))
    (before, _), (spent, colds) = (_calls(case, phase, rng) for phase in (0, 1))
    phases = [
        Phase(name, Bursts(1, S, 1), S, max_in_flight=1, warmup=name == "warm-up") for name in ("warm-up", "steady")
    ]
    decision = load(phases, told=True)
    next(decision)
    ask = decision.send(Seen((_total("warm-up", before, None),), (), Verdict("valid", [])))
    if ask.cuts is None:
        return Told(False, 0, 0.0, True, True)
    total = _total("steady", spent, ask.cuts)
    try:
        decision.send(Seen((total,), (), Verdict("valid", [])))
    except StopIteration as decided:
        result: LoadResult = decided.value
    labels = [ask.cuts.label(int(ms * MS)) for ms in spent]
    said = [(label == "cold", cold) for label, cold in zip(labels, colds, strict=True) if label in ("cold", "warm")]
    withheld = {each.withholds for each in found_in_load(result).reasons([total], ()) if each.severity == "withheld"}
    cold = 0 if "cold" in withheld else labels.count("cold")
    return Told(True, cold, sum(a != b for a, b in said) / len(said), {"cold", "warm"} <= withheld, True)


def rows(*, quick: bool) -> Iterator[Row]:
    """The lines of the table."""
    runs = 10 if quick else 25
    for case in CASES:
        seen = all_of(partial(told, case=case), range(runs), case.name)
        said = [each for each in seen if each.labelled]
        silent = sum(each.wrong > 0.01 and not each.flagged for each in said) / runs
        held = sum(each.held for each in said) / max(1, len(said))
        rates = f"{held:.1%}; labelled in {len(said) / runs:.0%}" if said else "all abstained"
        yield Row(
            "adversaries.starts",
            f"cold and warm; {case.name}: more than 1 % of the labels wrong and nothing said; the rates hold",
            "≤ 1 %, ≥ 90 %" + (", labelled in ≥ 90 %" if case.easy else ", or abstained"),
            f"{silent:.1%}, {rates}",
            silent <= 0.01 and (held >= 0.9 or not said) and (not case.easy or len(said) >= 0.9 * runs),
            f"{runs} experiments",
        )
    for case in NONE:
        seen = all_of(partial(told, case=case), range(runs), case.name)
        clean = sum(not each.labelled or not each.cold for each in seen) / runs
        yield Row("adversaries.starts", f"{case.name}: none reported", "≥ 99 %", f"{clean:.1%}", clean >= 0.99,
                  f"{runs} experiments")  # fmt: skip
    for each in LOADS:
        seen = all_of(partial(labelled_load, case=each), range(runs), f"load, {each.name}")
        silent = sum(one.wrong > 0.01 and not one.flagged for one in seen) / runs
        invented = sum(not each.colds[1] and one.cold > 0 for one in seen) / runs
        shown = sum(one.labelled and not one.flagged for one in seen) / runs
        yield Row(
            "adversaries.starts",
            f"cold and warm in a load; {each.name}: wrong labels and nothing said, or cold starts where there is none",
            "≤ 1 %" + (", labelled in ≥ 90 %" if each.easy else ""),
            f"{silent:.1%}, {invented:.1%}; labelled in {shown:.0%}",
            max(silent, invented) <= 0.01 and (not each.easy or shown >= 0.9),
            f"{runs} loads",
        )
