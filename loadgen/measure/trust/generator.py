"""Rules about the load generator: what it did to the figures, never what happened to it.

Theory of operation. Calls that it disturbed give every figure two ends (``loadgen.measure.ends``). Where these are
close together the figure stands, whatever happened; where they are not it is shown as a range, and the run is
``degraded``. What was in the generator's way is said there and nowhere else (``loadgen.measure.trust.causes``).

So many starts may come so late that the target met another load than was asked for: then figures of the undisturbed
calls are of that other load, and the phase is ``invalid``. More than 1 % of its starts, and at least ten, have to have
come later than 10 ms and a tenth of the p99; those that were not made, or found no connection on this machine, count.

Workers that invoke back to back have no schedule to be late for. Their latencies are those of the calls that were in
flight, however few these were; the rate is the generator's where it took a good part of the time between two calls.

Sources: the README of wrk2 (latency from the intended start) and of Lancet (self-checks); Knative's performance tests
(issued as planned).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from loadgen.invocation.metric import REPORTED, TIME, Metric
from loadgen.invocation.outcome import LOCAL_LIMIT, OK, missed_starts
from loadgen.invocation.start import COLD, WARM
from loadgen.measure.dependence import INDEPENDENT, Inflation
from loadgen.measure.ends import is_range, names, of_share
from loadgen.measure.histogram import lowest
from loadgen.measure.merge import Loss, PhasePlan, PhaseTotal, summarised
from loadgen.measure.percentile import LISTED, supported
from loadgen.measure.summary import Reason
from loadgen.measure.trust.causes import causes, told
from loadgen.measure.trust.rule import ALL, INVALID, RANGE, TrustRule, Whose, words
from loadgen.text.units import NS_PER_S, NS_PER_US

DISTURBED = TrustRule("late_starts", Whose.GENERATOR, RANGE)
STEPPED = TrustRule("clock_stepped", Whose.GENERATOR, RANGE)
BOUND = TrustRule("generator_bound", Whose.GENERATOR, RANGE)
OTHER_LOAD = TrustRule("late_starts", Whose.GENERATOR, INVALID, ALL)
MISSED = TrustRule("rate_missed", Whose.GENERATOR, INVALID, ALL)
UNCONNECTED = TrustRule("generator_limits", Whose.GENERATOR, INVALID, ALL)
FEW_UNCONNECTED = TrustRule("generator_limits", Whose.GENERATOR)
FLOOR = TrustRule("overhead_floor", Whose.GENERATOR)
LOST = TrustRule("agent_lost", Whose.GENERATOR, RANGE)
LOST_IN_PART = TrustRule("agent_lost", Whose.GENERATOR, INVALID, ALL)
APART = TrustRule("agents_apart", Whose.GENERATOR)

LATER_SHARE, LATER_STARTS = 0.01, 10
"""Another load than was asked for: more than this share of the starts, and at least so many, came later than that."""
LATER_US, LATER_SHARE_OF_P99 = 10_000, 0.1
DRAWN_TOLERANCE = 0.01
"""Rule rate_missed: how far the planned starts may be off the drawn schedule's number."""
BOUND_SHARE = 0.05
"""Rule generator_bound: what the generator may take of the time of a call."""
LOST_SHARE = 0.01
"""Rule generator_bound: the part of a phase in which its workers may stand still."""
FLOOR_FACTOR = 10
"""Rule overhead_floor: how far above it a p99 has to be."""
RATE = "achieved_rate"


def disturbed(
    whole: PhaseTotal,
    ps: Iterable[float] = (),
    inflation: Inflation = INDEPENDENT,
    known: Iterable[str] = (),
    call: str | None = None,
    asked: Collection[str] = (),
) -> Iterator[Reason]:
    """Which figures are ranges, also those of the percentiles ``ps``, and why; but for those that are ``known``.

    Minima alone are no reason: a range from the fastest call of all to the fastest undisturbed one is of two calls.
    Those that rules have ``asked`` for are. ``inflation`` is that of the samples. Of one ``call`` of a mix its name is
    before each figure: ``pay/latency.p99``.
    """
    total, of = whole.of(call), "" if call is None else f"{call}/"
    figures = [each for each in ranges(total, ps, inflation, asked) if not {each, f"{of}{each}"} & set(known)]
    if all(each.endswith(".min") and each not in asked for each in figures):
        return
    still = set(ranges(total, ps, inflation, asked, stepped=False))
    late = [f"{of}{each}" for each in figures if each in still]
    stepped = [f"{of}{each}" for each in figures if each not in still]
    if late:
        share = total.disturbed / total.tally.planned
        found = causes(whole)
        calls = "invocations" if call is None else f"invocations of {call}"
        yield DISTURBED.found(
            f"The load generator itself disturbed {total.disturbed} of {total.tally.planned} {calls} ({share:.2%}) "
            f"by starting them late or not at all, or others around them: {names(late)} {_are(late)}. {told(found)}",
            share,
            None,
            total.name,
            figures=late,
            causes=[cause.name for cause in found],
        )
    if stepped:
        yield STEPPED.found(
            f"This machine's clock was set by up to {words(total.step_us)} while {total.stepped} invocations ended, so "
            f"that when their answers arrived is known no better: {names(stepped)} {_are(stepped)}. Let the clock be "
            "slewed rather than set, or run again.",
            total.step_us * NS_PER_US,
            0,
            total.name,
            figures=stepped,
        )


def _are(figures: Sequence[str]) -> str:
    return "is shown as a range" if len(figures) == 1 else "are shown as ranges"


def ranges(
    total: PhaseTotal,
    ps: Iterable[float] = (),
    inflation: Inflation = INDEPENDENT,
    asked: Collection[str] = (),
    *,
    stepped: bool = True,
) -> list[str]:
    """The figures of a phase that are ranges: ``latency.p99``, ``cold.latency.p50``, ``errors``.

    Those of its few cold or warm calls are left out where they are too few for any percentile and no rule has ``asked``
    for one: nobody wants the mean of the one call of a burst that met an instance.
    """
    if not (total.disturbed or total.step_us):
        return []
    wanted = sorted({*LISTED, *ps})
    every: list[tuple[str, str | None]] = [(metric, None) for metric in REPORTED]
    every += [(metric, start) for start in (COLD, WARM) for metric in total.metrics(start=start)]
    found = [
        name
        for metric, start in every
        for name in _ranges(total, metric, start, wanted, inflation, stepped=stepped, asked=asked)
    ]
    planned, failed, ours = total.tally.planned, total.failed(), total.failed(disturbed=True)
    return found + (["errors"] if planned and of_share(failed, ours, planned).is_range else [])


def _ranges(
    total: PhaseTotal,
    metric: str,
    start: str | None,
    ps: Sequence[float],
    inflation: Inflation,
    *,
    stepped: bool,
    asked: Collection[str],
) -> Iterator[str]:
    counted = total.figure(metric, OK, start)
    if not stepped:
        counted = counted._replace(moved=msgspec.structs.replace(counted.moved, stepped=0, step_us=0))
    name = f"{start}.{metric}" if start else metric
    few = start is not None and not supported(counted.size + counted.moved.seen, 50)
    if not counted.moved.any or (few and not any(each.startswith(f"{name}.") for each in asked)):
        return
    summary, times = summarised(metric, counted, ps, inflation, blobs=False), Metric(metric).kind.unit is TIME
    for each in summary.percentiles:
        if each.low is not None and is_range(each.ends, each.value, times=times):
            yield f"{name}.p{each.p:g}"
    for statistic, ends in summary.ends.items():
        if is_range(ends, getattr(summary, statistic), times=times):
            yield f"{name}.{statistic}"


def another_load(plan: PhasePlan, total: PhaseTotal) -> Iterator[Reason]:
    """Starts that came so late, or not at all, that it was another load than was asked for."""
    tally = total.tally
    later, limit_us = (0, 0) if plan.closed else _later(total)
    missed, unconnected = missed_starts(tally.reasons), tally.reasons.get(LOCAL_LIMIT, 0)
    found = causes(total)
    named = [cause.name for cause in found]
    most = max(LATER_STARTS, int(LATER_SHARE * tally.planned) + 1)
    if unconnected:
        rule = UNCONNECTED if unconnected >= most else FEW_UNCONNECTED
        yield rule.found(
            f"{unconnected} of {tally.planned} invocations found no open file, local port or memory left on this "
            "machine for a connection, expected none: see what loadgen doctor says it allows. Raise the limit, or "
            "lower max_in_flight or the rate.",
            unconnected,
            0,
            total.name,
        )
    if missed >= most:
        lacking = tally.dropped - missed
        others = f"; {lacking} more lacked a free worker" if lacking else ""
        yield MISSED.found(
            f"{tally.started} of {tally.planned} planned starts were made: the load generator missed {missed} "
            f"({missed / tally.planned:.2%}), expected at most {LATER_SHARE:.0%}{others}. {told(found)}",
            (tally.planned - missed) / tally.planned,
            1 - LATER_SHARE,
            total.name,
            causes=named,
        )
    elif later and later + missed >= most:
        yield OTHER_LOAD.found(
            f"{later + missed} of {tally.planned} starts ({(later + missed) / tally.planned:.2%}) came more than "
            f"{words(limit_us)} late or not at all, expected at most {LATER_SHARE:.0%}: the load was another one than "
            f"was asked for, and its figures are not shown. {told(found)}",
            (later + missed) / tally.planned,
            LATER_SHARE,
            total.name,
            causes=named,
        )


def _later(total: PhaseTotal) -> tuple[int, float]:
    """How many starts came too late to be of the load that was asked for, and later than how many µs that is."""
    p99_us = total.merged("latency", outcomes=(OK,), disturbed=False).value_at(99) or 0
    limit_us = max(LATER_US, LATER_SHARE_OF_P99 * p99_us)
    late = total.merged("late")
    return sum(n for at, n in late.counts.items() if lowest(at) > limit_us), limit_us


def schedule_left(plan: PhasePlan, total: PhaseTotal, *, stopped: bool) -> Iterator[Reason]:
    """Another number of starts fell due than the schedule has; ``stopped`` says that the run was cut short."""
    tally = total.tally
    cut_short = stopped or total.feeder_exhausted or total.budget_reached or lost_parts(total)
    if plan.drawn is not None and not cut_short and abs(tally.planned - plan.drawn) > DRAWN_TOLERANCE * plan.drawn:
        yield MISSED.found(
            f"{tally.planned} starts fell due, but the schedule has {plan.drawn}, expected them to agree within "
            f"{DRAWN_TOLERANCE:.0%}: the generator did not follow its schedule; run again.",
            tally.planned,
            plan.drawn,
            total.name,
        )


def lost_parts(total: PhaseTotal) -> dict[int, Loss]:
    """The agents that were lost with a part of the phase."""
    return {agent: loss for agent, loss in total.losses.items() if loss.part}


def agents_lost(plan: PhasePlan, total: PhaseTotal, *, part: bool) -> Iterator[Reason]:
    """Agents that were lost while they made a part of the load.

    What they measured until their last frame stands, and the rate is at most the generator's. An experiment, of which
    the phase is a ``part``, draws no conclusion from a load that was not made.
    """
    lost = lost_parts(total)
    if not lost or total.forsaken:  # then the record is incomplete, which is worse
        return
    named = "; ".join(f"agent {agent} {loss.how}" for agent, loss in sorted(lost.items()))
    missing = None if plan.drawn is None else max(0, plan.drawn - total.tally.planned)
    many = "" if missing is None else f" {missing} of {plan.drawn} planned starts are in no record."
    if all(loss.taken_over for loss in lost.values()):
        since = ", ".join(f"{loss.at_ns / NS_PER_S:.1f} s" for _, loss in sorted(lost.items()))
        went = f"The others took over from {since} on; what it did from its last frame until then is not known."
    else:
        went = "The load lacks its part from its last frame on: rates are of what was made, times of what was measured."
    share = None if not plan.drawn or missing is None else missing / plan.drawn
    yield (LOST_IN_PART if part else LOST).found(
        f"Lost while it made load: {named}. {went}{many} See what became of it, and run again; on_agent_loss says what "
        "happens when one is lost.",
        share,
        0,
        total.name,
        figures=[] if part else [RATE],
    )


def apart(plan: PhasePlan, total: PhaseTotal) -> Iterator[Reason]:
    """Agents that may have begun so far from each other that their parts of a schedule were not where it has them."""
    if plan.closed or len(total.agents) < 2:
        return
    worst, frames = max(total.agents.items(), key=lambda each: each[1].start_error_ns)
    p99_us = total.merged("latency", outcomes=(OK,), disturbed=False).value_at(99) or 0
    limit_us = max(LATER_US, LATER_SHARE_OF_P99 * p99_us)
    if frames.clock_error_ns and frames.start_error_ns > limit_us * NS_PER_US:
        yield APART.found(
            f"Agent {worst} may have begun {words(frames.start_error_ns / NS_PER_US)} from the others (its clock is "
            f"known to {words(frames.clock_error_ns / NS_PER_US)}), expected at most {words(limit_us)}: times are each "
            "agent's own and stand, but starts of different agents were not as far apart as the schedule says. Run "
            "loadgen nearer to the agents.",
            frames.start_error_ns,
            limit_us * NS_PER_US,
            total.name,
        )


def bound(plan: PhasePlan, total: PhaseTotal) -> Iterator[Reason]:
    """The rate of workers is the load generator's."""
    service = total.merged("service_time").mean_us
    if not plan.closed or not service:
        return
    ours = sum(total.merged(metric).mean_us or 0.0 for metric in ("late", "unread"))
    lost_ns = max((frames.paused_ns + frames.began_late_ns for frames in total.agents.values()), default=0)
    lost = lost_ns / plan.duration_ns if plan.duration_ns else 0.0
    between = (
        f"between two calls it took {words(ours)} on average, {ours / service:.1%} of the {words(service)} of a call, "
        f"expected at most {BOUND_SHARE:.0%}"
    )
    still = f"it stood still for {lost:.1%} of the time, expected at most {LOST_SHARE:.0%}"
    shares = ((ours / service, BOUND_SHARE, between), (lost, LOST_SHARE, still))
    beyond = [each for each in shares if each[0] > each[1]]
    if not beyond:
        return
    found = causes(total)
    share, limit, _ = beyond[0]
    yield BOUND.found(
        "The rate of these workers is the load generator's, not the target's: "
        f"{', and '.join(said for _, _, said in beyond)}. Times stand, of the calls that were in flight; the target "
        f"may take more of them a second. {told(found)}",
        share,
        limit,
        total.name,
        figures=[RATE],
        causes=[cause.name for cause in found],
    )


def near_the_floor(total: PhaseTotal, floor_ns: int | None) -> Iterator[Reason]:
    """A p99 not far above what the generator itself takes here, ``floor_ns``, where no clock tells the two apart."""
    latency = total.merged("latency", outcomes=(OK,), disturbed=False)
    p99 = latency.value_at(99)
    if floor_ns is None or p99 is None or not supported(latency.count, 99):
        return
    if p99 * NS_PER_US < FLOOR_FACTOR * floor_ns:
        yield FLOOR.found(
            f"p99 of latency is {words(p99)}, expected at least {FLOOR_FACTOR} times the {words(floor_ns / NS_PER_US)} "
            "that loadgen takes here against a target that does nothing: a good part of it is the generator's own. "
            "Take it as an upper limit, and compare it on this machine only.",
            p99 * NS_PER_US,
            FLOOR_FACTOR * floor_ns,
            total.name,
        )
