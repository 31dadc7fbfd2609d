"""The Verdict: whether the Summary may be trusted, judged from the record alone.

Theory of operation. Each rule is a function that yields the Reasons it finds in one measured phase. A Reason is a
``warning`` (printed beside the figures), ``withheld`` (the named figures are neither shown nor judged) or ``invalid``
(nothing of the phase is). The run is ``invalid`` if any Reason is, else ``degraded`` if there is any, else ``valid``;
only ``too_few_samples`` does not degrade by itself, because a percentile that is left out misleads nobody. It does when
a threshold asks for that percentile. A target that fails or throttles is a result, not a bad measurement.

Rules about the generator read ``late`` (its own fault) over every started invocation, whatever its outcome, and never
``waited`` (the target's, or max_in_flight's). Warm-up phases are held to nothing but a complete record.

What the generator and its machine say about themselves is judged in ``loadgen.measure.health``, start labels in
``loadgen.measure.starts``, and what an experiment found out by the experiment.

Sources: the README of wrk2 (latency from the intended start) and of Lancet (self-checks); Knative's performance tests
(issued within 0.1 % of plan).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import msgspec

from loadgen.invocation.facts import LARGEST_MB
from loadgen.invocation.metric import TIME, Clock, Metric
from loadgen.invocation.outcome import LOCAL_LIMIT, OK, Outcome, missed_starts
from loadgen.measure.dependence import EFFECTIVE_SHARE
from loadgen.measure.health import generator_faults, local_limits, words
from loadgen.measure.histogram import Histogram
from loadgen.measure.merge import PhasePlan, PhaseTotal, combined, missing_frames
from loadgen.measure.percentile import LISTED, bounded, needed, supported
from loadgen.measure.rule import MetricRule, Rule
from loadgen.measure.starts import NOTHING_FOUND, UNKNOWN_SHARE, Found, unknown_starts
from loadgen.measure.summary import Reason, Verdict
from loadgen.targets.status import REDIRECT
from loadgen.text.units import NS_PER_US

ISSUED_SHARE = 0.999
"""Rule rate_missed: the share of the planned starts the generator has to make."""
DRAWN_TOLERANCE = 0.01
"""Rule rate_missed: how far the planned starts may be off the drawn schedule's number."""
LATE_P99_US = 1_000
LATE_SHARE_OF_P50 = 0.01
LATE_SHARE_OF_P99 = 0.05
"""Rule late_starts: p99(late) against an absolute limit or the smallest p50, p99.9(late) against p99."""
INVALID_LATE_P99_US = 10_000
INVALID_LATE_SHARE_OF_P99 = 0.1
"""Rule late_starts: beyond the larger of these the phase is invalid."""
FAILED_SHARE = 0.001
SUMMARY_MISSING_SHARE = 0.001
EXPECTED = (50.0, 75.0, 90.0, 95.0, 99.0)
"""Percentiles whose absence too_few_samples mentions though no threshold asks for them."""
TAIL = 95.0
"""Percentiles from here up are tails."""
CONNECT_SHARE = 0.02
"""Rule connects_in_latency: the share of the ok invocations that may have had to open their connection."""
LOCKED_BELOW = 0.001
"""Rule phase_locked: so improbable is it that functions which are not locked to the minute look as if they were."""

OF_THE_TARGET = frozenset(
    {
        "failures",
        "redirects",
        "without_content",
        "dropped",
        "pool_saturated",
        "connects_in_latency",
        "too_few_samples",
        "nothing_measured",
        "feeder_exhausted",
        "billing_mismatch",
        "dependent_samples",
        "throttled",
    }
)
"""Rules that say something about the target, or about how much was asked of it."""

_QUOTA = "What is throttled measures the quota, not the function: lower the rate, or raise the quota."
_OF_MEMORY = ("duration", "billed_duration", "cost")
_HANGING_ON = {
    "duration": ("duration", "overhead"),
    "billed_duration": ("billed_duration",),
    "memory_size": (),
    "memory_used": ("memory_used",),
}
"""The metrics that lack an answer which tells a figure that cannot be. Costs are lower bounds by themselves."""
_LATE_WITH_STARTS = frozenset(
    metric.value
    for metric in Metric
    if metric.kind.unit is TIME and metric.kind.clock is not Clock.PLATFORM and not metric.kind.of_start
)


def judge(
    plans: Sequence[PhasePlan],
    phases: Sequence[PhaseTotal],
    rules: Sequence[Rule] = (),
    *,
    stopped: bool = False,
    fresh_connections: bool = False,
    overhead_floor_ns: int | None = None,
    memory_mb: int | None = None,
    found: Found = NOTHING_FOUND,
    told_in: str = "answers",
) -> Verdict:
    """The Verdict on a run.

    ``plans`` and ``phases`` are in the order they ran; a phase that never began is in neither. ``rules`` are the run's
    thresholds. ``stopped`` says that the run was interrupted or reached its budget, so that a schedule cut short is no
    fault. ``fresh_connections`` says that every invocation was meant to open one. ``overhead_floor_ns`` is the p99 of
    service_time of this generator on this machine against a target that does nothing, None when that is not known.
    ``memory_mb`` is the memory size that every invocation asked for, None where they asked for none; ``found`` tells of
    what the run found out, and ``told_in`` where answers tell durations and bills.
    """
    pairs = list(zip(plans, phases, strict=True))
    measured = [(plan, total) for plan, total in pairs if not plan.warmup]
    reasons = [*_record_incomplete(phases), *_nothing_measured(measured)]
    for plan, total in measured:
        reasons += _rate_missed(plan, total, stopped)
        reasons += _feeder_exhausted(plan, total)
        reasons += _late_starts(total)
        reasons += generator_faults(plan, total, overhead_floor_ns)
        reasons += local_limits(total, ISSUED_SHARE)
        reasons += _clipped(total)
        reasons += _outcomes(total)
        if not plan.closed:
            reasons += _pool_saturated(total)
        if not fresh_connections:
            reasons += _connects(total)
        reasons += _dependent(plan, total)
        reasons += _phase_locked(plan)
        reasons += _negative_overhead(total)
        reasons += _summary_missing(total)
        reasons += _unbelievable(total, told_in)
        reasons += _misbilled(total)
        reasons += _memory_ignored(total, memory_mb)
    reasons += found.reasons([total for _, total in measured], {rule.start for rule in _labelled(rules)})
    reasons += _starts_unknown(rules, phases, [total for _, total in measured], found)
    reasons += _thresholds_unsupported(rules, phases, [total for _, total in measured])
    unsupported = [reason for _, total in measured for reason in _percentiles_unsupported(total)]
    return Verdict(status=_status(reasons), reasons=reasons + unsupported)


def withheld(
    verdict: Verdict,
    phase: str | None,
    metric: str | None = None,
    p: float | None = None,
    start: str | None = None,
) -> Reason | None:
    """The first Reason why a figure may be neither shown nor judged, None if it may.

    ``phase`` is None for the totals, which contain every phase. ``metric`` is None for counts and rates. ``p`` is the
    percentile, 100 for a maximum, None for a minimum or a mean. ``start`` is the label of the invocations that the
    figure is of, None for all. A percentile that its sample does not support is marked on itself (``low`` is null) and
    not found here.
    """
    for reason in verdict.reasons:
        if phase is not None and reason.phase not in (None, phase):
            continue
        if reason.withholds == "all" or reason.withholds in {metric, start} - {None}:
            return reason
        if reason.withholds == "tails" and metric in _LATE_WITH_STARTS and p is not None and p >= TAIL:
            return reason
    return None


def of_generator(verdict: Verdict) -> Verdict:
    """What is left of a Verdict when the target is what is being found out about: whether the generator can be trusted.

    An experiment drives its target to where it fails, on purpose, and judges by itself how much evidence it has.
    """
    reasons = [reason for reason in verdict.reasons if reason.rule not in OF_THE_TARGET]
    return Verdict(_status(reasons), reasons)


def of_experiment(verdict: Verdict, phases: Collection[str]) -> Verdict:
    """The Verdict on an experiment that had these phases: see ``of_generator``.

    Its decision leaves out every part in which the generator failed, so that is a reason to withhold the part's own
    figures. Only where nothing else is left, or the record as a whole is in doubt, is the experiment ``invalid``.
    """
    reasons = of_generator(verdict).reasons
    failed = {reason.phase for reason in reasons if reason.severity == "invalid"}
    if None not in failed and not failed >= set(phases):
        reasons = [
            msgspec.structs.replace(reason, severity="withheld") if reason.severity == "invalid" else reason
            for reason in reasons
        ]
    return Verdict(_status(reasons), reasons)


def _status(reasons: Sequence[Reason]) -> str:
    if any(reason.severity == "invalid" for reason in reasons):
        return "invalid"
    return "degraded" if reasons else "valid"


def _record_incomplete(phases: Sequence[PhaseTotal]) -> Iterator[Reason]:
    for total in phases:
        faults = list(total.faults())
        if faults:
            yield _incomplete(faults, total.name)
    missing = list(missing_frames(phases))
    if missing:
        yield _incomplete(missing, None)


def _incomplete(faults: Sequence[str], phase: str | None) -> Reason:
    return Reason(
        rule="record_incomplete",
        severity="withheld",
        message=f"The record is incomplete: {'; '.join(faults)}. An agent probably died: see its messages, run again.",
        value=len(faults),
        limit=0,
        phase=phase,
        withholds="all",
    )


def _nothing_measured(measured: Sequence[tuple[PhasePlan, PhaseTotal]]) -> Iterator[Reason]:
    if not sum(total.tally.planned for _, total in measured):
        yield Reason(
            rule="nothing_measured",
            severity="warning",
            message="Nothing was measured: the run ended before the first start of a measured phase.",
            value=0,
            limit=None,
        )


def _rate_missed(plan: PhasePlan, total: PhaseTotal, stopped: bool) -> Iterator[Reason]:
    tally = total.tally
    missed = missed_starts(tally.reasons)
    if tally.planned and (tally.planned - missed) / tally.planned < ISSUED_SHARE:
        lacking = tally.dropped - missed
        others = f"; {lacking} more lacked a free worker" if lacking else ""
        yield Reason(
            rule="rate_missed",
            severity="invalid",
            message=f"{tally.started} of {tally.planned} planned starts were made: the load generator missed {missed} "
            f"({missed / tally.planned:.2%}), expected at most {1 - ISSUED_SHARE:.1%}{others}. Lower the rate, or "
            "leave the machine's cores to the run.",
            value=(tally.planned - missed) / tally.planned,
            limit=ISSUED_SHARE,
            phase=total.name,
            withholds="all",
        )
    cut_short = stopped or total.feeder_exhausted or total.budget_reached
    if plan.drawn is not None and not cut_short and abs(tally.planned - plan.drawn) > DRAWN_TOLERANCE * plan.drawn:
        yield Reason(
            rule="rate_missed",
            severity="invalid",
            message=f"{tally.planned} starts fell due, but the schedule has {plan.drawn}, expected them to agree "
            f"within {DRAWN_TOLERANCE:.0%}: the generator did not follow its schedule; run again.",
            value=tally.planned,
            limit=plan.drawn,
            phase=total.name,
            withholds="all",
        )


def _feeder_exhausted(plan: PhasePlan, total: PhaseTotal) -> Iterator[Reason]:
    """A closed phase plans nothing that it does not start, so there a feeder may end it as well as time."""
    tally = total.tally
    if total.feeder_exhausted and plan.drawn is not None:
        yield Reason(
            rule="feeder_exhausted",
            severity="warning",
            message=f"The feeder ran out of rows after {tally.planned} of {plan.drawn} planned starts, and the phase "
            "ended there: give it more rows, write order: loop, or plan fewer starts.",
            value=tally.planned,
            limit=plan.drawn,
            phase=total.name,
        )


def _late_starts(total: PhaseTotal) -> Iterator[Reason]:
    late = total.merged("late")
    if not late.counts:
        return
    # of few starts the p99 is the latest one or two, which no shown percentile can feel
    p = next((p for p in (99.0, 95.0) if supported(late.count, p)), 90.0)
    evidence, late_us, late_p999 = f"p{p:g}", *late.values_at((p, 99.9))
    latency = total.by_metric().get("latency", Histogram())
    p99 = latency.value_at(99)
    remedy = "lower the rate, or leave the machine's cores to the run"
    invalid_limit = max(INVALID_LATE_P99_US, INVALID_LATE_SHARE_OF_P99 * (p99 or 0))
    if late_us > invalid_limit:
        yield _late(total, "invalid", "all", evidence, late_us, invalid_limit, f"nothing here can be trusted: {remedy}")
        return
    p50s = list(_supported_p50s(total))
    limit = max(LATE_P99_US, LATE_SHARE_OF_P50 * min(p50s, default=0))
    if late_us > limit:
        yield _late(
            total, "withheld", "tails", evidence, late_us, limit, f"percentiles from p95 up are not shown: {remedy}"
        )
    elif p99 is not None and supported(late.count, 99.9) and late_p999 > LATE_SHARE_OF_P99 * p99:
        limit = LATE_SHARE_OF_P99 * p99
        yield _late(
            total, "withheld", "tails", "p99.9", late_p999, limit, f"percentiles from p95 up are not shown: {remedy}"
        )


def _supported_p50s(total: PhaseTotal) -> Iterator[int]:
    """Every median of latency that the phase reports, in µs."""
    for start in (None, *sorted({cell.start for cell in total.histograms})):
        latency = total.merged("latency", outcomes=(OK,), start=start)
        median = latency.value_at(50)
        if median is not None and supported(latency.count, 50):
            yield median


def _late(
    total: PhaseTotal, severity: str, withholds: str, percentile: str, value_us: int, limit_us: float, remedy: str
) -> Reason:
    return Reason(
        rule="late_starts",
        severity=severity,
        message=f"The load generator itself was late: {percentile} of its lateness is {words(value_us)}, expected at "
        f"most {words(limit_us)}; {remedy}.",
        value=value_us * NS_PER_US,
        limit=limit_us * NS_PER_US,
        phase=total.name,
        withholds=withholds,
    )


def _clipped(total: PhaseTotal) -> Iterator[Reason]:
    tally = total.tally
    if tally.clipped:
        yield Reason(
            rule="clipped",
            severity="invalid",
            message=f"{tally.clipped} values were above the largest a histogram holds, 1 h, and count as that: shorten "
            "the timeouts.",
            value=tally.clipped,
            limit=0,
            phase=total.name,
            withholds="all",
        )


def _outcomes(total: PhaseTotal) -> Iterator[Reason]:
    tally = total.tally
    ours = Counter(connection=tally.reasons.get(LOCAL_LIMIT, 0))
    failed = Counter(tally.outcomes) - ours
    del failed[OK], failed[Outcome.DROPPED.value]
    count, throttled = failed.total(), failed[Outcome.THROTTLED.value]
    many = bool(tally.planned) and count / tally.planned > FAILED_SHARE
    if many:
        named = ", ".join(f"{n} {name}" for name, n in sorted(failed.items(), key=lambda item: (-item[1], item[0])))
        yield Reason(
            rule="failures",
            severity="warning",
            message=f"{count} of {tally.planned} invocations ({count / tally.planned:.2%}) failed: {named}. Metrics "
            f"are of the ok ones; latency_all has them all, above every ok one.{f' {_QUOTA}' if throttled else ''}",
            value=count / tally.planned,
            limit=FAILED_SHARE,
            phase=total.name,
        )
    elif throttled:
        yield Reason(
            rule="throttled",
            severity="warning",
            message=f"{throttled} of {tally.planned} invocations were throttled (429), expected none. {_QUOTA}",
            value=throttled,
            limit=0,
            phase=total.name,
        )
    redirects = tally.reasons.get(f"{OK}/{REDIRECT}", 0)
    if redirects:
        yield Reason(
            rule="redirects",
            severity="warning",
            message=f"{redirects} of {tally.planned} answers were redirects, which are counted as ok and not followed: "
            "what was measured is the redirect. Set target.url to where it leads.",
            value=redirects,
            limit=0,
            phase=total.name,
        )
    yield from _without_content(total)
    lacking = tally.dropped - missed_starts(tally.reasons)
    if lacking:
        yield Reason(
            rule="dropped",
            severity="warning",
            message=f"{lacking} of {tally.planned} planned starts ({lacking / tally.planned:.2%}) were dropped for "
            "want of a free worker: the target did not keep up with the rate. Raise max_in_flight or max_lag, or lower "
            "the rate.",
            value=lacking / tally.planned,
            limit=0,
            phase=total.name,
        )


def _without_content(total: PhaseTotal) -> Iterator[Reason]:
    tally = total.tally
    statuses = {
        reason.removeprefix(f"{OK}/status_"): n
        for reason, n in sorted(tally.reasons.items())
        if reason.startswith(f"{OK}/status_")
    }
    if not statuses:
        return
    advice = "Check target.url."
    if "304" in statuses:
        advice = (
            "304 says that the client's copy is still good: leave If-None-Match and If-Modified-Since out of "
            "target.headers to measure the content itself."
        )
    count = sum(statuses.values())
    yield Reason(
        rule="without_content",
        severity="warning",
        message=f"{count} of {tally.planned} answers had status {' or '.join(statuses)}, which is counted as ok and is "
        f"not the content that was asked for. {advice}",
        value=count,
        limit=0,
        phase=total.name,
    )


def _pool_saturated(total: PhaseTotal) -> Iterator[Reason]:
    waited = total.merged("waited")
    if longest := waited.ceiling_us:
        n = waited.count - waited.counts.get(0, 0)
        yield Reason(
            rule="pool_saturated",
            severity="warning",
            message=f"{n} of {waited.count} starts waited for a free worker, up to {words(longest)}: latency contains "
            "the wait, service_time does not and understates. Raise max_in_flight, or take it as the target's limit.",
            value=n,
            limit=0,
            phase=total.name,
        )


def _connects(total: PhaseTotal) -> Iterator[Reason]:
    connect = total.merged("connect", outcomes=(OK,))
    opened = connect.count - connect.counts.get(0, 0)
    if connect.count and opened / connect.count > CONNECT_SHARE:
        yield Reason(
            rule="connects_in_latency",
            severity="warning",
            message=f"{opened} of {connect.count} ok invocations ({opened / connect.count:.1%}) had to open a "
            f"connection first, expected at most {CONNECT_SHARE:.0%}: it is part of their times. Add a warm-up phase, "
            "have the server keep connections open longer, or say connections: fresh if that is what you measure.",
            value=opened / connect.count,
            limit=CONNECT_SHARE,
            phase=total.name,
        )


def _dependent(plan: PhasePlan, total: PhaseTotal) -> Iterator[Reason]:
    inflation = total.inflation(plan.duration_ns)
    count = total.merged("latency", outcomes=(OK,)).count
    own = {p: inflation.at(p) for p in LISTED if supported(count, p)}
    # of many invocations a small drift is dependence, too, and leaves more than enough: nobody needs to hear of that
    few = [p for p in EXPECTED if p in own and not supported(int(count / own[p]), p)]
    if not few or 1 / max(own[p] for p in few) >= EFFECTIVE_SHARE:
        return
    worst = max(few, key=own.__getitem__)
    effective = max(1, int(count / own[worst]))
    lost = [p for p, each in own.items() if not bounded(count, p, each)]
    unshown = f"; {', '.join(f'p{p:g}' for p in lost)} cannot be shown" if lost else ""
    yield Reason(
        rule="dependent_samples",
        severity="warning",
        message=f"Slow invocations come together: the share of those beyond p{worst:g} varies with time as that of far "
        f"fewer independent ones would, so that {count} say as much about it as {effective} ({1 / own[worst]:.1%}), "
        f"expected at least {EFFECTIVE_SHARE:.0%}. Intervals are made wider for it{unshown}. Keep what is not steady "
        "in a phase of its own (a warm-up, a ramp), or run longer.",
        value=1 / own[worst],
        limit=EFFECTIVE_SHARE,
        phase=total.name,
    )


def _phase_locked(plan: PhasePlan) -> Iterator[Reason]:
    if plan.locked is not None and plan.locked < LOCKED_BELOW:
        yield Reason(
            rule="phase_locked",
            severity="warning",
            message="The functions of this trace are called at the same second of each minute: by chance that would "
            f"happen with a probability of {plan.locked:.1g}, expected at least {LOCKED_BELOW:g}. Cold starts and "
            "queues are then those of that second. Where the trace's own stamps are rounded, replay its counts.",
            value=plan.locked,
            limit=LOCKED_BELOW,
            phase=plan.name,
        )


def _negative_overhead(total: PhaseTotal) -> Iterator[Reason]:
    tally = total.tally
    if tally.negative_overhead:
        yield Reason(
            rule="negative_overhead",
            severity="withheld",
            message=f"{tally.negative_overhead} invocations ran longer by the platform's clock than they took by ours, "
            "by more than 1 µs: one of the two is wrong, so overhead is not shown.",
            value=tally.negative_overhead,
            limit=0,
            phase=total.name,
            withholds="overhead",
        )


def _summary_missing(total: PhaseTotal) -> Iterator[Reason]:
    tally = total.tally
    missing = tally.summary_missing
    if not missing:
        return
    # Every answer with status 200 either told its duration, and is in that histogram, or was counted.
    answers = missing + tally.unbelieved.get("duration", 0) + total.merged("duration").count
    if missing / answers > SUMMARY_MISSING_SHARE:
        for metric in ("duration", "overhead"):
            yield Reason(
                rule="summary_missing",
                severity="withheld",
                message=f"{missing} of {answers} answers ({missing / answers:.2%}) lack the platform's own summary, "
                f"expected at most {SUMMARY_MISSING_SHARE:.1%}: {metric} is not shown, as the rest may differ.",
                value=missing / answers,
                limit=SUMMARY_MISSING_SHARE,
                phase=total.name,
                withholds=metric,
            )


def _unbelievable(total: PhaseTotal, told_in: str) -> Iterator[Reason]:
    tally = total.tally
    for name, n in sorted(tally.unbelieved.items()):
        answers = n + (tally.metered if name == "memory_size" else total.merged(name).count)
        many = n / answers > SUMMARY_MISSING_SHARE
        for metric in _HANGING_ON[name] if many else ():
            yield _disbelieved(total, name, n, answers, metric, told_in)
        if not many or not _HANGING_ON[name]:
            yield _disbelieved(total, name, n, answers, None, told_in)


def _disbelieved(total: PhaseTotal, name: str, n: int, answers: int, withholds: str | None, told_in: str) -> Reason:
    limit = "1 h" if name in ("duration", "billed_duration") else f"{LARGEST_MB // 1024} GB"
    allowed = f", expected at most {SUMMARY_MISSING_SHARE:.1%}: {withholds} is not shown" if withholds else ""
    unknown = "" if name in ("duration", "memory_used") else " What these are billed is not known."
    return Reason(
        rule="unbelievable",
        severity="withheld" if withholds else "warning",
        message=f"{n} of {answers} answers ({n / answers:.2%}) tell a {name.replace('_', ' ')} that cannot be, "
        f"negative or above {limit}{allowed}. It counts as not told.{unknown} Compare their {told_in} with the "
        "function's log.",
        value=n / answers,
        limit=SUMMARY_MISSING_SHARE if withholds else 0,
        phase=total.name,
        withholds=withholds,
    )


def _misbilled(total: PhaseTotal) -> Iterator[Reason]:
    tally = total.tally
    worst = tally.worst_bill
    if worst is None:
        return
    audited = tally.misbilled + sum(tally.billing_units.values())
    less = f", {tally.underbilled} of them for less than they ran" if tally.underbilled else ""
    ran, billed = words(worst.duration_ns / NS_PER_US), words(worst.billed_duration_ns / NS_PER_US)
    yield Reason(
        rule="billing_mismatch",
        severity="warning",
        message=f"{tally.misbilled} of {audited} invocations were billed for other than their duration rounded up to "
        f"1 ms, 100 ms or 1 s{less}; the one furthest off ran {ran} and was billed {billed}. An initializer that is "
        "billed with a call would look like this.",
        value=tally.misbilled,
        limit=0,
        phase=total.name,
    )


def _memory_ignored(total: PhaseTotal, memory_mb: int | None) -> Iterator[Reason]:
    tally = total.tally
    others = sorted(size for size in tally.billed_ns if size != memory_mb)
    if memory_mb is None or not others:
        return
    billed_ns = sum(tally.billed_ns.values())
    share = sum(tally.billed_ns[size] for size in others) / billed_ns if billed_ns else 1.0
    for metric in _OF_MEMORY:
        yield Reason(
            rule="memory_ignored",
            severity="withheld",
            message=f"Invocations asked for {memory_mb} MB (target.memory), and {share:.1%} of the billed time was "
            f"with {' and '.join(f'{size} MB' for size in others)}, expected none: {metric} is not shown. Turn on "
            "dynamic memory for the function, or leave target.memory out.",
            value=share,
            limit=0,
            phase=total.name,
            withholds=metric,
        )


def _labelled(rules: Sequence[Rule]) -> list[MetricRule]:
    """The rules that are about cold or about warm invocations."""
    return [rule for rule in rules if isinstance(rule, MetricRule) and rule.start is not None]


def _starts_unknown(
    rules: Sequence[Rule],
    phases: Sequence[PhaseTotal],
    measured: Sequence[PhaseTotal],
    found: Found,
) -> Iterator[Reason]:
    why = f" ({found.unlabelled})" if found.unlabelled else ""
    for rule in _labelled(rules):
        unlabelled = unknown_starts(_total(rule, phases, measured))
        if unlabelled is not None:
            unknown, count = unlabelled
            yield Reason(
                rule="starts_unknown",
                severity="warning",
                message=f"The threshold {rule.text} is about {rule.start} starts, and {unknown} of {count} ok "
                f"invocations could not be told cold from warm{why}, expected at most {UNKNOWN_SHARE:.0%}: "
                f"{found.remedy}.",
                value=unknown / count,
                limit=UNKNOWN_SHARE,
                phase=rule.phase,
            )


def _total(rule: MetricRule, phases: Sequence[PhaseTotal], measured: Sequence[PhaseTotal]) -> PhaseTotal:
    """What a rule is about; an empty total where its phase did not run."""
    if rule.phase is None:
        return combined(measured)
    return next((total for total in phases if total.name == rule.phase), PhaseTotal(rule.phase))


def _thresholds_unsupported(
    rules: Sequence[Rule], phases: Sequence[PhaseTotal], measured: Sequence[PhaseTotal]
) -> Iterator[Reason]:
    for rule in rules:
        if not isinstance(rule, MetricRule) or rule.percentile is None:
            continue
        total = _total(rule, phases, measured)
        if rule.start is not None and unknown_starts(total) is not None:
            continue  # one cause, one reason
        count = _sample(total, rule).count
        if not supported(count, rule.percentile):
            yield Reason(
                rule="too_few_samples",
                severity="withheld",
                message=f"The threshold {rule.text} needs {_needed(rule.percentile)} to be judged by its figure and "
                f"has {count}, so that only the limits of its interval can decide it: run longer or at a higher rate, "
                "or ask for a lower percentile.",
                value=count,
                limit=needed(rule.percentile),
                phase=rule.phase,
            )


def _sample(total: PhaseTotal, rule: MetricRule) -> Histogram:
    """What a threshold on a percentile is judged by."""
    if rule.judged.kind.ranked:
        return total.latency_all()
    return total.merged(rule.judged.value, outcomes=(OK,), start=rule.start)


def _percentiles_unsupported(total: PhaseTotal) -> Iterator[Reason]:
    count = total.merged("latency", outcomes=(OK,)).count
    unsupported = [p for p in EXPECTED if not supported(count, p)]
    if unsupported:
        lowest = unsupported[0]
        listed = ", ".join(f"p{p:g}" for p in unsupported)
        yield Reason(
            rule="too_few_samples",
            severity="withheld",
            message=f"{count} ok invocations are too few for {listed} of latency, not shown: p{lowest:g} needs "
            f"{_needed(lowest)}.",
            value=count,
            limit=needed(lowest),
            phase=total.name,
        )


def _needed(p: float) -> str:
    count = needed(p)
    return "more samples than there can be" if count is None else f"{count} samples"
