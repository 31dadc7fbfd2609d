"""Kind ``cold-starts``: how slow cold and warm starts are, and how long instances are kept.

Theory of operation. First a warm lane: one call after another on one instance. Its overheads are the calibration of the
classifier, for all but the first call of a lane are known to be warm. A fifth of it comes in parts between what
follows, and at the end: what warm calls have become by then must still be called warm. Then, in turns, the means that
the scenario allows: silence ends all instances, and what comes next should be cold: one call (``gap``), many at once
(``burst``), or one at each of several memory sizes or versions, which have pools of their own (``memory``,
``version``). A change of settings makes all instances new without silence, and one call follows it (``config``). After
a burst the same number of calls comes at once again, on the instances that it left: warm calls of many instances, where
the lane has one.

That a call was meant to be cold is no evidence that it was (``calls``), and no figure is made of what cannot be told.
The keep-alive time is looked for last, when single calls can be labelled (``keepalive``), and with it the whole trace
is replayed on pools of instances (``shadow``), which shows other traffic, instances started ahead and evictions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.coldstarts.calls import AGAIN, KEEP_ALIVE, WARM_LANE, Calls
from loadgen.experiments.coldstarts.findings import ColdStartsResult, GapProbe
from loadgen.experiments.coldstarts.keepalive import next_gap
from loadgen.experiments.coldstarts.result import Known, result
from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.invocation.bill import GB_SECONDS, Rates
from loadgen.invocation.outcome import OK, Outcome
from loadgen.invocation.sample import Sample
from loadgen.invocation.start import COLD, UNKNOWN, WARM
from loadgen.load.bursts import Bursts
from loadgen.load.phase import Phase, Shape
from loadgen.load.workers import Workers
from loadgen.measure.labelling import LEAST_CALIBRATION, LEAST_COLD
from loadgen.text.foreign import GAP
from loadgen.text.units import NS_PER_S

_LANE_NS = 2 * NS_PER_S
_LEAST_LANE_NS = NS_PER_S // 2
_LEAST_AGAIN = 10  # warm calls after each turn
_LONGEST_LANE_NS = 60 * NS_PER_S
_MOST_LANES = 20
MORE_ROUNDS = 2
"""How many times the rounds that should do are made, before the means are given up."""
_AT_ONCE_NS = 100_000_000  # a phase of calls at once ends when they have ended


def cold_starts(
    settings: ColdStarts, grace_ns: int, seed: int, rates: Rates = GB_SECONDS
) -> Decision[ColdStartsResult]:
    """Decide what to run for the experiment; ``grace_ns`` is how long a call may take, ``rates`` what it costs."""
    known = Known(settings)
    for part in (_first_lanes, _rounds, _silences):
        if not (yield from part(known, grace_ns)):
            return result(known, seed, rates, complete=False)
    return result(known, seed, rates, complete=True)


def calls_of_turn(settings: ColdStarts) -> dict[Induce, int]:
    """How many calls that should be cold a turn has, by means."""
    each = {
        Induce.GAP: 1,
        Induce.BURST: settings.burst,
        Induce.MEMORY: len(settings.sizes_mb),
        Induce.VERSION: len(settings.versions),
        Induce.CONFIG: 1,
    }
    return {means: each[means] for means in settings.induce}


def widest(settings: ColdStarts, grace_ns: int) -> Phase:
    """A phase with as many calls in flight as any that is asked for."""
    return _burst("widest", max(settings.burst if Induce.BURST in settings.induce else 1, 1), grace_ns)


def _first_lanes(known: Known, grace_ns: int) -> Decision[bool]:
    """Most of the warm calls; whether to go on."""
    wanted = max(LEAST_CALIBRATION, known.settings.warm - _held_back(known.settings))
    go_on = yield from _lanes(known, grace_ns, wanted)
    ok = known.warm_calls()
    if go_on and ok < LEAST_CALIBRATION:
        known.notes.append(f"The warm lane had {ok} calls; {LEAST_CALIBRATION} calibrate the classifier.")
    return go_on


def _lane_again(known: Known, grace_ns: int, part: int = 1) -> Decision[bool]:
    """A part of the rest of them, which shows whether warm calls still are what they were; whether to go on."""
    more = max(_LEAST_AGAIN, -(-_held_back(known.settings) // part))
    return (yield from _lanes(known, grace_ns, known.warm_calls() + more))


def _held_back(settings: ColdStarts) -> int:
    return settings.warm // 5


def _lanes(known: Known, grace_ns: int, wanted: int) -> Decision[bool]:
    """Warm lanes, until there are so many warm calls that succeeded, but for the first of each; whether to go on."""
    length_ns = _LANE_NS
    for _ in range(_MOST_LANES):
        missing = wanted - known.warm_calls()
        if ok := [sample for sample in known.calls.of(WARM_LANE) if sample.outcome == OK]:
            mean_ns = sum(sample.service_time_ns for sample in ok) / len(ok)
            length_ns = min(max(math.ceil((missing + 1) * mean_ns * 1.1), _LEAST_LANE_NS), _LONGEST_LANE_NS)
        known.lanes += 1
        phase = _phase(f"{WARM_LANE}-{known.lanes}", Workers(1, 1), length_ns, grace_ns, 1)
        purpose = "warm calls, one after another"
        if not known.add((yield Ask((phase,), samples=1.0, purpose=purpose, found=_counted(known)))):
            return False
        if not any(sample.outcome == OK for sample in known.calls.of(WARM_LANE)):
            known.notes.append("The warm lane had no invocation that succeeded.")
            return False
        if known.warm_calls() >= wanted:
            break
    return True


def _rounds(known: Known, grace_ns: int) -> Decision[bool]:
    """The means in turns, until there are enough cold calls; whether to go on."""
    settings = known.settings
    turns = math.ceil(settings.cold / sum(calls_of_turn(settings).values()))
    for turn in range(1, turns * MORE_ROUNDS + 1):
        for means in settings.induce:
            known.rounds[means.value] += 1
            ask = _induced(means, turn, settings, grace_ns)
            purpose = f"{_purpose(means, settings)}, turn {turn} of {max(turn, turns)}"
            seen = yield replace(ask, purpose=purpose, found=_counted(known))
            if means is Induce.MEMORY:
                seen = _of_the_size_asked(known.calls, seen)
            if not known.add(seen):
                return False
            if means is Induce.VERSION and (missing := _not_found(seen, turn)):
                known.notes.append(f"The function has no {' and no '.join(missing)}: correct cold-starts.versions.")
                return False
        if not (yield from _lane_again(known, grace_ns, turns)):
            return False
        if turn >= turns:
            known.calls.fit()
            induced = sum(len(known.calls.of(means)) for means in known.rounds)
            # with few cold calls nothing can be told apart yet, with many it cannot be at all
            if known.colds() >= settings.cold or (not known.calls.told() and induced >= 2 * LEAST_COLD):
                break
    if known.calls.told() and known.colds() < settings.cold:
        known.notes.append(f"{known.colds()} of the {settings.cold} cold calls wanted.")
    return True


def _silences(known: Known, grace_ns: int) -> Decision[bool]:
    """The keep-alive time; whether to go on."""
    settings = known.settings
    if settings.keep_alive_ns is None:
        return True
    if not known.calls.told():
        known.notes.append("The keep-alive time was not looked for: a single call cannot be told to be cold or warm.")
        return True
    asked: list[GapProbe] = []
    gap_ns: int | None = settings.gap_ns  # until the instances of bursts are gone, there may be more than one
    number = lost = 0
    counted = _counted(known)
    while gap_ns is not None and lost < len(asked) + 10:
        number += 1
        seen = yield Ask(
            (_burst(f"{KEEP_ALIVE}-{number}", 1, grace_ns),),
            samples=1.0,
            idle_ns=gap_ns,
            purpose="one call, to see whether an instance lived so long",
            found=", ".join(filter(None, (counted, _lived(known.probes)))),
        )
        last_end_ns = known.calls.last_end_ns()
        if not known.add(seen):
            return False
        valid = seen.verdict.status != "invalid"
        start = known.calls.label(seen.samples[-1])[0] if seen.samples and valid else UNKNOWN
        if number > 1:
            if start in (COLD, WARM) and (seen.samples[-1].started_ns is not None):
                asked.append(GapProbe(gap_ns, start == COLD))
                known.probes.append(GapProbe(seen.samples[-1].started_ns - last_end_ns, start == COLD))
            else:
                lost += 1
        gap_ns = next_gap(asked, *settings.keep_alive_ns)
    if not (yield from _lane_again(known, grace_ns, _held_back(settings))):
        return False
    known.calls.fit()
    if not known.calls.told():
        known.probes.clear()
        known.notes.append("The keep-alive time is not known, as warm calls changed while it was looked for.")
    return True


def _induced(means: Induce, turn: int, settings: ColdStarts, grace_ns: int) -> Ask:
    name = f"{means.value}-{turn}"
    if means is Induce.CONFIG:
        return Ask((_burst(name, 1, grace_ns),), samples=1.0, renewed=True)
    if means is Induce.GAP:
        return Ask((_burst(name, 1, grace_ns),), samples=1.0, idle_ns=settings.gap_ns)
    if means is Induce.BURST:
        phases = (_burst(name, settings.burst, grace_ns), _burst(f"{AGAIN}-{turn}", settings.burst, grace_ns))
        return Ask(phases, samples=1.0, idle_ns=settings.gap_ns)
    others = settings.versions if means is Induce.VERSION else settings.sizes_mb
    return Ask(
        tuple(_burst(f"{name}-{other}", 1, grace_ns) for other in others),
        samples=1.0,
        idle_ns=settings.gap_ns if turn > 1 else 0,
        memory_mb=settings.sizes_mb if means is Induce.MEMORY else (),
        versions=settings.versions if means is Induce.VERSION else (),
    )


def _purpose(means: Induce, settings: ColdStarts) -> str:
    match means:
        case Induce.CONFIG:
            return "one call of a new instance"
        case Induce.GAP:
            return "one call"
        case Induce.BURST:
            return f"{settings.burst} calls at once, twice"
        case Induce.MEMORY:
            return f"one call at each of {len(settings.sizes_mb)} memory sizes"
        case Induce.VERSION:
            return f"one call of each of {len(settings.versions)} versions"


def _counted(known: Known) -> str:
    """How many calls there are by now, in a line."""
    settings = known.settings
    made = sum(len(known.calls.of(means)) for means in known.rounds)
    warm = min(known.warm_calls(), settings.warm)
    return f"{warm} of {settings.warm} warm calls, {made} calls meant to be cold, {settings.cold} wanted"


def _lived(probes: Sequence[GapProbe]) -> str:
    """What silences have shown by now, in a line."""
    lived = [probe.gap_ns for probe in probes if not probe.cold]
    gone = [probe.gap_ns for probe in probes if probe.cold]
    known = [f"an instance lived {_seconds(max(lived))}"] if lived else []
    known += [f"one was gone after {_seconds(min(gone))}"] if gone else []
    return ", ".join(known)


def _seconds(ns: int) -> str:
    return f"{ns / NS_PER_S:.1f}{GAP}s"


def _of_the_size_asked(calls: Calls, seen: Seen) -> Seen:
    """What was seen, without the calls that ran with another memory size than theirs."""
    kept: list[Sample] = []
    for sample in seen.samples:
        as_asked = sample.memory_size_mb in (None, int(sample.phase.rpartition("-")[2]))
        (kept if as_asked else calls.wrong_size).append(sample)
    return Seen(seen.totals, tuple(kept), seen.verdict, seen.stopped)


def _not_found(seen: Seen, turn: int) -> list[str]:
    """The versions that a turn of calls to versions did not find."""
    missing = Outcome.NOT_FOUND.value
    return [
        each.phase.removeprefix(f"{Induce.VERSION.value}-{turn}-") for each in seen.samples if each.outcome == missing
    ]


def _burst(name: str, size: int, grace_ns: int) -> Phase:
    return _phase(name, Bursts(size, _AT_ONCE_NS, 1), _AT_ONCE_NS, grace_ns, size)


def _phase(name: str, shape: Shape, duration_ns: int, grace_ns: int, workers: int) -> Phase:
    return Phase(name, shape, duration_ns, max_in_flight=workers, grace_ns=grace_ns)
