"""The result of the experiment: cold beside warm calls, the keep-alive time, and what should be known besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.coldstarts.calls import OTHERS, WARM_LANE, Calls, means_of
from loadgen.experiments.coldstarts.findings import ColdStartsResult, GapProbe, KeepAlive, Means, PoolCheck
from loadgen.experiments.coldstarts.keepalive import estimate
from loadgen.experiments.coldstarts.population import difference_of_means, difference_of_medians, population
from loadgen.experiments.coldstarts.prevalence import share, share_estimated
from loadgen.experiments.coldstarts.shadow import Call, replay
from loadgen.experiments.decision import Seen
from loadgen.invocation.bill import Rates
from loadgen.invocation.outcome import OK
from loadgen.invocation.sample import Sample
from loadgen.invocation.start import AMBIGUOUS, COLD, MIXTURE, NONE, PROBE, UNKNOWN, WARM
from loadgen.measure.figure import Figure
from loadgen.measure.percentile import needed, supported
from loadgen.text.units import NS_PER_S

VERSION = 1
_MILLION = 1_000_000
_FOREVER_NS = 1 << 60
_ALWAYS_THERE = (
    "single calls met an instance after every silence, but calls at once after shorter ones had to wait for more: some "
    "instances are always there (reserved ones), or someone else calls the function"
)


@dataclass
class Known:
    """What is known so far; all but ``settings`` grows.

    ``rounds`` are those of each means of bringing about cold starts, ``probes`` the silences tried, ``lanes`` counts
    the warm lanes.
    """

    settings: ColdStarts
    calls: Calls = field(default_factory=Calls)
    rounds: Counter[str] = field(default_factory=Counter)
    probes: list[GapProbe] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lanes: int = 0

    def warm_calls(self) -> int:
        """Calls of warm lanes that succeeded, but for the first of each."""
        ok = sum(sample.outcome == OK for sample in self.calls.of(WARM_LANE))
        return max(0, ok - self.lanes)

    def add(self, seen: Seen) -> bool:
        """Take in what a run showed; whether to go on."""
        if not self.calls.add(seen):
            self.notes.append("A run was left out, as the load generator could not keep up: see the verdict.")
        return not seen.stopped

    def colds(self) -> int:
        """Calls labelled cold among those that were meant to be."""
        return sum(self.calls.label(sample)[0] == COLD for means in self.rounds for sample in self.calls.of(means))


def result(known: Known, seed: int, rates: Rates, *, complete: bool) -> ColdStartsResult:
    """The result; ``complete`` says that the run came to its end, ``rates`` what calls cost."""
    calls = known.calls
    if calls.samples and calls.fitted is None:
        calls.fit()
    calls.relabel()
    labelled = [(sample, *calls.label(sample)) for sample in calls.samples if sample.outcome == OK]
    cold, warm = (
        [sample for sample, start, _ in labelled if start == kind and means_of(sample) not in OTHERS]
        for kind in (COLD, WARM)
    )
    keep_alive = _keep_alive(known) if known.settings.keep_alive_ns is not None else None
    pool = _pool(calls, keep_alive)
    evidence = Counter(source for _, _, source in labelled)
    billed = difference_of_means(cold, warm)
    return ColdStartsResult(
        version=VERSION,
        complete=complete,
        evidence=dict(sorted(evidence.items())),
        labelling=calls.fitted if evidence.keys() & {MIXTURE, NONE} or not labelled else None,
        means=[_means(known, means) for means in known.rounds],
        cold=population(cold),
        warm=population(warm),
        penalty_ns=difference_of_medians(cold, warm, seed),
        billed_penalty_ns=billed,
        penalty_cost=_cost(rates, billed, cold),
        cost_unit=rates.unit,
        keep_alive=keep_alive,
        pool=pool,
        notes=[*dict.fromkeys(known.notes), *_doubts(known, pool)],
        next=_next(known, len(cold), len(warm), keep_alive, complete=complete),
    )


def _next(known: Known, cold: int, warm: int, keep_alive: KeepAlive | None, *, complete: bool) -> str:
    """What would make the answer better."""
    if not complete:
        return "A run that comes to its end: raise the budget, or see the notes."
    if not known.calls.told():
        return (
            "Evidence that tells each start: a probe (cold-starts.probe), or the log tail (target.log: tail); more "
            "calls do not make overheads tell more."
        )
    for p in (50.0, 95.0, 99.0):
        for name, count in (("cold", cold), ("warm", warm)):
            if not supported(count, p):
                fewest = needed(p) or 0
                return (
                    f"About {fewest - count} more {name} calls (cold-starts.{name}: {fewest}) give p{p:g} of {name} "
                    "starts an interval."
                )
    if keep_alive is not None and keep_alive.policy in ("longer", "shorter", "unknown"):
        return "Another range of cold-starts.keep_alive: the time was not found within this one."
    return "Nothing more is open; four times the calls (cold-starts.cold and warm) halve the intervals."


def _cost(rates: Rates, billed_ns: Figure | None, cold: Sequence[Sample]) -> Figure | None:
    """What a million cold starts cost more than as many warm ones, at the size that the function has."""
    sizes = Counter(sample.memory_size_mb for sample in cold if sample.memory_size_mb is not None)
    if billed_ns is None or len(sizes) != 1:
        return None
    (size,) = sizes
    ends = (None if ns is None else _MILLION * rates.more(size, ns) for ns in (billed_ns.low, billed_ns.high))
    return Figure(_MILLION * rates.more(size, billed_ns.value), *ends)


def _means(known: Known, name: str) -> Means:
    calls = known.calls
    samples = calls.of(name)
    starts = [calls.label(sample)[0] for sample in samples if sample.outcome == OK]
    count = Counter(starts)
    cold = [sample for sample in samples if calls.label(sample)[0] == COLD and sample.outcome == OK]
    return Means(
        name=name,
        rounds=known.rounds[name],
        invocations=len(samples),
        cold=count[COLD],
        warm=count[WARM],
        ambiguous=count[AMBIGUOUS],
        unknown=count[UNKNOWN],
        failed=len(samples) - len(starts),
        cold_share=_share(calls, samples, count[COLD], count[COLD] + count[WARM]),
        population=population(cold),
    )


def _share(calls: Calls, samples: Sequence[Sample], cold: int, labelled: int) -> Figure | None:
    """The share of cold ones, corrected where overheads tell them: by how often calls known to be warm look cold."""
    mixture = calls.mixture
    if mixture is None or all(sample.start_source not in (NONE, MIXTURE) for sample in samples):
        return share(cold, labelled)
    if mixture.known is None or mixture.known[0] == mixture.known[1]:
        return share(cold, labelled, mixture.sensitivity, mixture.specificity)
    members = round(mixture.cold_share * mixture.n)
    return share_estimated(cold, labelled, (round(mixture.sensitivity * members), members), mixture.known)


def _keep_alive(known: Known) -> KeepAlive:
    calls = known.calls
    within = known.settings.keep_alive_ns
    assert within is not None
    found = estimate(known.probes, *within, calls.slack_ns())
    if found.policy == "longer" and found.low_ns is not None:
        own = calls.traffic()
        flags = replay(_started(own), found.low_ns, _FOREVER_NS, calls.slack_ns())
        if sum(start == COLD for _, start in own) > sum(flag.may for flag in flags):
            return KeepAlive("unknown", _ALWAYS_THERE, None, None, None, {}, found.probes)
    return found


def _pool(calls: Calls, keep_alive: KeepAlive | None) -> PoolCheck | None:
    """The bounds of the number of cold calls; None where the keep-alive time is not bounded on both sides."""
    if keep_alive is None or keep_alive.policy != "fixed" or not keep_alive.low_ns or not keep_alive.high_ns:
        return None
    own = calls.traffic()
    flags = replay(_started(own), keep_alive.low_ns, keep_alive.high_ns, calls.slack_ns())
    starts = Counter(start for _, start in own)
    return PoolCheck(
        fewest=sum(flag.must for flag in flags),
        most=sum(flag.may for flag in flags),
        seen=starts[COLD],
        unclear=starts[AMBIGUOUS] + starts[UNKNOWN],
        low_ns=keep_alive.low_ns,
        high_ns=keep_alive.high_ns,
    )


def _started(own: Sequence[tuple[Sample, str]]) -> list[Call]:
    return [
        Call(sample.started_ns or 0, sample.ended_ns, renewed=means_of(sample) == Induce.CONFIG.value)
        for sample, _ in own
    ]


def _doubts(known: Known, pool: PoolCheck | None) -> Iterator[str]:
    calls = known.calls
    if calls.wrong_size:
        yield (
            f"{len(calls.wrong_size)} invocations ran with another memory size than was asked for and are left out: "
            "the function has no dynamic memory."
        )
    for means in known.rounds:
        each = _means(known, means)
        if each.warm > each.invocations // 20:
            yield (
                f"{each.warm} of {each.invocations} calls that were meant to be cold by {means} were warm: "
                f"{_why_warm(means, known.settings.gap_ns)}"
            )
    if pool is not None and not pool.fewest <= pool.seen + pool.unclear:
        yield (
            f"{pool.seen} cold invocations are fewer than the {pool.fewest} that this traffic alone must have: "
            "someone else calls the function, or the platform starts instances ahead."
        )
    if pool is not None and pool.seen > pool.most:
        yield (
            f"{pool.seen} cold invocations are more than the {pool.most} that this traffic alone can have: someone "
            "else calls the function, or the platform ends instances early."
        )
    joined = sum(
        calls.label(sample)[0] == AMBIGUOUS and sample.start_source == PROBE for sample in calls.of(Induce.BURST.value)
    )
    if joined:
        yield (
            f"{joined} calls of bursts were not the first of their instance: it takes several at once, and they "
            "may have waited for it to start like the first. They are in no figure."
        )
    if known.rounds and set(known.rounds) <= OTHERS.keys():
        others = " and ".join(OTHERS[means] for means in known.rounds)
        yield f"Cold starts {others} are not compared with warm ones, as handlers may run at another speed."
    if calls.samples and all(sample.outcome != OK for sample in calls.samples):
        yield "No invocation succeeded; see the failure examples."


def _why_warm(means: str, gap_ns: int) -> str:
    if means == Induce.CONFIG.value:
        return (
            "the platform had new instances before it sent a call to one, so this is not how to bring about cold "
            "starts of this function."
        )
    silence = f"after {gap_ns / NS_PER_S:g} s of silence there still were instances"
    if means == Induce.VERSION.value:
        return f"{silence}, or two of the names are of one version. Write a longer gap, or fewer names."
    return f"{silence}. Write a longer gap."
