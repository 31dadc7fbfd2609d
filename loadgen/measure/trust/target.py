"""Rules about the target, and about what was asked of it. A target that fails or throttles is a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from loadgen.invocation.outcome import LOCAL_LIMIT, OK, Outcome, missed_starts
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.summary import Reason
from loadgen.measure.trust.rule import TrustRule, Whose, words
from loadgen.targets.status import REDIRECT, STATUS_INSIDE, slug_status

FAILURES = TrustRule("failures", Whose.TARGET)
THROTTLED = TrustRule("throttled", Whose.TARGET)
REDIRECTS = TrustRule("redirects", Whose.TARGET)
INSIDE = TrustRule("status_inside", Whose.TARGET)
WITHOUT_CONTENT = TrustRule("without_content", Whose.TARGET)
DROPPED = TrustRule("dropped", Whose.TARGET)
POOL_SATURATED = TrustRule("pool_saturated", Whose.TARGET)
CONNECTS = TrustRule("connects_in_latency", Whose.TARGET)
FEEDER_EXHAUSTED = TrustRule("feeder_exhausted", Whose.LOAD)
PHASE_LOCKED = TrustRule("phase_locked", Whose.PLATFORM)

FAILED_SHARE = 0.001
CONNECT_SHARE = 0.02
"""Rule connects_in_latency: the share of the ok invocations that may have had to open their connection."""
LOCKED_BELOW = 0.001
"""Rule phase_locked: so improbable is it that functions which are not locked to the minute look as if they were."""

_QUOTA = "What is throttled measures the quota, not the function: lower the rate, or raise the quota."


def outcomes(total: PhaseTotal) -> Iterator[Reason]:
    """What did not end as it should, or not with what was asked for."""
    tally = total.tally
    ours = Counter(connection=tally.reasons.get(LOCAL_LIMIT, 0))
    failed = Counter(tally.outcomes) - ours
    del failed[OK], failed[Outcome.DROPPED.value]
    count, throttled = failed.total(), failed[Outcome.THROTTLED.value]
    if tally.planned and count / tally.planned > FAILED_SHARE:
        named = ", ".join(f"{n} {name}" for name, n in sorted(failed.items(), key=lambda item: (-item[1], item[0])))
        yield FAILURES.found(
            f"{count} of {tally.planned} invocations ({count / tally.planned:.2%}) failed: {named}. Metrics are of the "
            f"ok ones; latency_all has them all, above every ok one.{f' {_QUOTA}' if throttled else ''}",
            count / tally.planned,
            FAILED_SHARE,
            total.name,
        )
    elif throttled:
        yield THROTTLED.found(
            f"{throttled} of {tally.planned} invocations were throttled (429), expected none. {_QUOTA}",
            throttled,
            0,
            total.name,
        )
    if redirects := tally.reasons.get(f"{OK}/{REDIRECT}", 0):
        yield REDIRECTS.found(
            f"{redirects} of {tally.planned} answers were redirects, which are counted as ok and not followed: what "
            "was measured is the redirect. Set target.url to where it leads.",
            redirects,
            0,
            total.name,
        )
    if inside := tally.reasons.get(f"{OK}/{STATUS_INSIDE}", 0):
        yield INSIDE.found(
            f"{inside} of {tally.planned} results were JSON with a statusCode of 400 or above. They count as ok, as "
            "the call itself was. Write checks: [json.statusCode < 400] to count them as failed.",
            inside,
            0,
            total.name,
        )
    yield from _without_content(total)
    if lacking := tally.dropped - missed_starts(tally.reasons):
        yield DROPPED.found(
            f"{lacking} of {tally.planned} planned starts ({lacking / tally.planned:.2%}) were dropped for want of a "
            "free worker: the target did not keep up with the rate. Raise max_in_flight or max_lag, or lower the rate.",
            lacking / tally.planned,
            0,
            total.name,
        )


def _without_content(total: PhaseTotal) -> Iterator[Reason]:
    tally = total.tally
    statuses = {
        status: n
        for reason, n in sorted(tally.reasons.items())
        if (status := slug_status(reason.removeprefix(f"{OK}/"))) is not None
    }
    if not statuses:
        return
    advice = "Check target.url."
    if 304 in statuses:
        advice = (
            "304 says that the client's copy is still good: leave If-None-Match and If-Modified-Since out of "
            "target.headers to measure the content itself."
        )
    count = sum(statuses.values())
    yield WITHOUT_CONTENT.found(
        f"{count} of {tally.planned} answers had status {' or '.join(map(str, statuses))}, which is counted as ok and "
        f"is not the content that was asked for. {advice}",
        count,
        0,
        total.name,
    )


def pool_saturated(plan: PhasePlan, total: PhaseTotal) -> Iterator[Reason]:
    """Starts of an open phase that waited for a worker."""
    waited = total.merged("waited")
    longest = waited.ceiling_us
    if longest and not plan.closed:
        n = waited.count - waited.counts.get(0, 0)
        yield POOL_SATURATED.found(
            f"{n} of {waited.count} starts waited for a free worker, up to {words(longest)}: latency contains the "
            "wait, service_time does not and understates. Raise max_in_flight, or take it as the target's limit.",
            n,
            0,
            total.name,
        )


def connects(total: PhaseTotal) -> Iterator[Reason]:
    """Connections that were opened within what is measured, and were not meant to be.

    A heap of starts needs more of them than the load does: those of disturbed invocations are the generator's.
    """
    connect = total.merged("connect", outcomes=(OK,), disturbed=False)
    opened = connect.count - connect.counts.get(0, 0)
    if connect.count and opened / connect.count > CONNECT_SHARE:
        yield CONNECTS.found(
            f"{opened} of {connect.count} undisturbed ok invocations ({opened / connect.count:.1%}) had to open a "
            f"connection first, expected at most {CONNECT_SHARE:.0%}: it is part of their times. Add a warm-up phase, "
            "have the server keep connections open longer, or say connections: fresh if that is what you measure.",
            opened / connect.count,
            CONNECT_SHARE,
            total.name,
        )


def feeder_exhausted(plan: PhasePlan, total: PhaseTotal) -> Iterator[Reason]:
    """A closed phase plans nothing that it does not start, so there a feeder may end it as well as time."""
    if total.feeder_exhausted and plan.drawn is not None:
        planned = total.tally.planned
        yield FEEDER_EXHAUSTED.found(
            f"The feeder ran out of rows after {planned} of {plan.drawn} planned starts, and the phase ended there: "
            "give it more rows, write order: loop, or plan fewer starts.",
            planned,
            plan.drawn,
            total.name,
        )


def phase_locked(plan: PhasePlan) -> Iterator[Reason]:
    """The functions of a trace that are all called at the same second of the minute."""
    if plan.locked is not None and plan.locked < LOCKED_BELOW:
        yield PHASE_LOCKED.found(
            "The functions of this trace are called at the same second of each minute: by chance that would happen "
            f"with a probability of {plan.locked:.1g}, expected at least {LOCKED_BELOW:g}. Cold starts and queues are "
            "then those of that second. Where the trace's own stamps are rounded, replay its counts.",
            plan.locked,
            LOCKED_BELOW,
            plan.name,
        )
