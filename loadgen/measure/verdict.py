"""The Verdict: whether the Summary may be trusted, judged from the record alone.

Theory of operation. Each rule (``loadgen.measure.trust``) is a function that yields the Reasons it finds in one
measured phase. A Reason is a ``warning`` (said beside the figures), ``withheld`` (the named figures are neither shown
nor judged), a ``range`` (the load generator may have moved the named figures by more than they can hide, and they are
shown as ranges) or ``invalid`` (nothing of the phase may be used). The run is ``invalid`` if any Reason is: the record
is incomplete, or the load was another one than was asked for. It is ``degraded`` where a figure that it shows or is
judged by became a range, and ``valid`` else. Missing samples, and what the target did, are results: they degrade
nothing.

Rules judge effects: what became of the figures. What was in the generator's way is said where it had an effect, and
nowhere else. Warm-up phases are held to nothing but a complete record.

Start labels are judged in ``loadgen.measure.starts``, and what an experiment found out by the experiment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from loadgen.invocation.metric import Clock, Metric
from loadgen.measure.dependence import Largest
from loadgen.measure.merge import PhasePlan, PhaseTotal, combined
from loadgen.measure.rule import BaselineRule, MetricRule, Rule
from loadgen.measure.starts import NOTHING_FOUND, Found
from loadgen.measure.summary import Reason, Verdict
from loadgen.measure.trust import generator, platform, record, support, target
from loadgen.measure.trust.rule import ALL, INVALID, RANGE, WITHHELD, Whose

TAIL = 95.0
"""Percentiles from here up are tails: older Summaries withhold them together."""

_LEFT_TO_EXPERIMENTS = {whose.value for whose in (Whose.TARGET, Whose.LOAD, Whose.SAMPLE)}
_LATE_WITH_STARTS = frozenset(
    metric.value for metric in Metric if metric.kind.clock is not Clock.PLATFORM and not metric.kind.unmoved
)


def judge(
    plans: Sequence[PhasePlan],
    phases: Sequence[PhaseTotal],
    rules: Sequence[Rule] = (),
    *,
    part: bool = False,
    by_phase: bool = True,
    stopped: bool = False,
    cut: bool = False,
    fresh_connections: bool = False,
    overhead_floor_ns: int | None = None,
    memory_mb: Mapping[str, int | None] = {},
    found: Found = NOTHING_FOUND,
    told_in: str = "answers",
) -> Verdict:
    """The Verdict on a run, or on a ``part`` of one.

    ``plans`` and ``phases`` are in the order they ran; a phase that never began is in neither. ``by_phase`` says that
    figures of each phase are shown, and not those of all together alone; of a part none are. ``rules`` are the run's
    thresholds. ``stopped`` says that the run was interrupted or reached its budget, so that a schedule cut short is no
    fault; ``cut`` that the record ends in the middle of the last phase. ``fresh_connections`` says that every
    invocation was meant to open one. ``overhead_floor_ns`` is the p99 of service_time of this generator on this machine
    against a target that does nothing, None when that is not known or does not matter. ``memory_mb`` is the memory size
    that each call asked for, None where it asked for none; ``found`` tells of what the run found out, and ``told_in``
    where answers tell durations and bills.
    """
    pairs = [pair for pair in zip(plans, phases, strict=True) if not pair[0].warmup]
    measured = [total for _, total in pairs]
    reasons = [*record.incomplete(phases, part=part, cut=cut), *record.nothing_measured(measured)]
    if cut and phases:
        reasons.append(record.cut_short(phases[-1]))
    for plan, total in pairs:
        reasons += generator.another_load(plan, total)
        reasons += generator.schedule_left(plan, total, stopped=stopped)
        reasons += generator.agents_lost(plan, total, part=part or not by_phase)
        reasons += generator.apart(plan, total)
        reasons += target.feeder_exhausted(plan, total)
        reasons += generator.bound(plan, total)
        reasons += generator.near_the_floor(total, overhead_floor_ns)
        reasons += record.clipped(total)
        reasons += target.outcomes(total)
        reasons += target.pool_saturated(plan, total)
        if not fresh_connections:
            reasons += target.connects(total)
        reasons += support.dependent(plan, total)
        reasons += target.phase_locked(plan)
        reasons += platform.negative_overhead(total)
        reasons += platform.summary_missing(total)
        reasons += platform.unbelievable(total, told_in)
        reasons += platform.misbilled(total)
        for call, asked in memory_mb.items():
            reasons += platform.memory_ignored(total.of(call) if total.calls else total, asked)
    unusable = {reason.phase for reason in reasons if reason.severity == INVALID}
    reasons += () if part else _disturbed(pairs, rules, unusable, by_phase=by_phase)
    labelled = [rule for rule in rules if isinstance(rule, MetricRule | BaselineRule) and rule.start is not None]
    reasons += _mixed_up(measured, labelled, found)
    reasons += support.starts_unknown(labelled, phases, measured, found)
    reasons += support.thresholds(rules, phases, measured)
    reasons += [reason for total in measured for reason in support.percentiles(total)]
    return Verdict(_status(reasons), reasons)


def _mixed_up(
    measured: Sequence[PhaseTotal], labelled: Sequence[MetricRule | BaselineRule], found: Found
) -> Iterator[Reason]:
    """Labels of starts that do not tell well enough: of all calls, and of each where those of all do.

    A call that has hardly a cold start is not told by how good labels are of calls that have many.
    """
    whole = list(found.reasons(measured, {rule.start for rule in labelled}))
    yield from whole
    known = {(reason.phase, reason.withholds) for reason in whole}
    for call in dict.fromkeys(call for total in measured for call in total.calls):
        asked = {rule.start for rule in labelled if rule.call == call}
        for reason in found.reasons([total.of(call) for total in measured], asked):
            if reason.withholds is not None and (reason.phase, reason.withholds) not in known:
                of_call = f"{call}/{reason.withholds}"
                yield msgspec.structs.replace(reason, message=f"Call {call}: {reason.message}", withholds=of_call)


def _disturbed(
    pairs: Sequence[tuple[PhasePlan, PhaseTotal]],
    rules: Sequence[Rule],
    without: Collection[str | None],
    *,
    by_phase: bool,
) -> Iterator[Reason]:
    """Figures that are ranges, of each phase whose figures may be used, and of all together."""
    named = (rule.percentile for rule in rules if isinstance(rule, MetricRule | BaselineRule))
    ps = {p for p in named if p is not None}
    known: set[str] = set()
    for plan, total in pairs:
        if total.name in without or not by_phase:
            continue
        own: set[str] = set()  # where a figure of all calls is a range, that of each is no news
        for call in (None, *total.calls):
            for reason in generator.disturbed(
                total, ps, total.of(call).inflation(plan.duration_ns), own, call, _asked(rules, total.name, call)
            ):
                own.update(reason.figures)
                yield reason
        known |= own
    if not without:
        whole = combined(total for _, total in pairs)
        for call in (None, *whole.calls):
            inflation = Largest(total.of(call).inflation(plan.duration_ns) for plan, total in pairs)
            for reason in generator.disturbed(whole, ps, inflation, known, call, _asked(rules, None, call)):
                known.update(reason.figures)
                yield msgspec.structs.replace(reason, phase=None)


def _asked(rules: Iterable[Rule], phase: str | None, call: str | None) -> set[str]:
    """The figures that rules are about, of a phase or of all together, None, and of a call or of all."""
    return {rule.figure for rule in rules if isinstance(rule, MetricRule) and (rule.phase, rule.call) == (phase, call)}


def withheld(
    verdict: Verdict,
    phase: str | None,
    metric: str | None = None,
    p: float | None = None,
    start: str | None = None,
    call: str | None = None,
) -> Reason | None:
    """The first Reason why a figure may be neither shown nor judged, None if it may.

    ``phase`` is None for the totals, which contain every phase. ``metric`` is None for counts and rates. ``p`` is the
    percentile, 100 for a maximum, None for a minimum or a mean. ``start`` is the label of the invocations that the
    figure is of, None for all, ``call`` which of a mix they are. A percentile that its sample does not support is
    marked on itself (``low`` is null) and not found here.
    """
    for reason in _about(verdict, phase):
        of_call = None if call is None or start is None else f"{call}/{start}"
        if reason.withholds == ALL or reason.withholds in {metric, start, of_call} - {None}:
            return reason
        if reason.withholds == "tails" and metric in _LATE_WITH_STARTS and p is not None and p >= TAIL:
            return reason
    return None


def bounds_rate(verdict: Verdict, phase: str | None) -> Reason | None:
    """The first Reason why the achieved rate of a phase, or of all (None), says only what the generator could do."""
    return next((reason for reason in _about(verdict, phase) if generator.RATE in reason.figures), None)


def _about(verdict: Verdict, phase: str | None) -> Iterator[Reason]:
    """The Reasons that figures of a phase, or of all of them (None), have to do with."""
    return (reason for reason in verdict.reasons if phase is None or reason.phase in (None, phase))


def of_generator(verdict: Verdict) -> Verdict:
    """What is left of a Verdict when the target is what is being found out about: whether the generator can be trusted.

    An experiment drives its target to where it fails, on purpose, and judges by itself how much evidence it has.
    """
    reasons = [reason for reason in verdict.reasons if reason.whose not in _LEFT_TO_EXPERIMENTS]
    return Verdict(_status(reasons), reasons)


def of_experiment(verdict: Verdict, phases: Collection[str]) -> Verdict:
    """The Verdict on an experiment that had these phases: see ``of_generator``.

    Its decision leaves out every part in which the generator failed, so that is a reason to withhold the part's own
    figures. Only where nothing else is left, or the record as a whole is in doubt, is the experiment ``invalid``. It
    asks nothing of the rate that workers reach.
    """
    reasons = [reason for reason in of_generator(verdict).reasons if generator.RATE not in reason.figures]
    failed = {reason.phase for reason in reasons if reason.severity == INVALID}
    if None not in failed and not failed >= set(phases):
        reasons = [
            msgspec.structs.replace(reason, severity=WITHHELD) if reason.severity == INVALID else reason
            for reason in reasons
        ]
    return Verdict(_status(reasons), reasons)


def _status(reasons: Sequence[Reason]) -> str:
    severities = {reason.severity for reason in reasons}
    return "invalid" if INVALID in severities else "degraded" if RANGE in severities else "valid"
