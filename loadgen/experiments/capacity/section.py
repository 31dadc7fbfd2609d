"""What a capacity search found, in a report."""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.experiments.capacity.findings import CapacityProbe, CapacityResult
from loadgen.experiments.capacity.picture import picture, tiles
from loadgen.measure.percentile import needed
from loadgen.measure.ranking import percentile_fails
from loadgen.report import units
from loadgen.report.experiment import Answer, Section, next_line
from loadgen.report.figures import DASH, FAILED
from loadgen.report.tables import Cell, Column, Table
from loadgen.text import foreign

_TONES = {"pass": "good", "fail": "bad", "undecided": "warn", "invalid": "muted"}
_CAUSES = {
    "quota": "a quota or the function's own limit: invocations were refused, or waited for others to end",
    "cold starts": "invocations waited for new instances to start",
    "execution": "the handler itself took longer, or failed",
    "queueing": "invocations waited outside the handler: in a queue of the platform, its gateway or the network",
    "generator": "the load generator or its max_in_flight held invocations back",
}

_SPARE = {"settled after": 2, "cold": 3, "p50": 4, "refused": 5, "p99": 6}
_BOUND_BY = {
    "quota": "the quota",
    "cold starts": "cold starts",
    "execution": "the handler's own time",
    "queueing": "waiting outside the handler",
    "generator": "the load generator",
}


def section(result: CapacityResult) -> Section:
    """The capacity, the probes, and how often the rules were broken by rate."""
    bound = _BOUND_BY.get(result.bound_by or "", "")
    return Section((_answer(result), _probes(result)), (picture(result),), tiles(result, bound))


def answer(result: CapacityResult) -> Answer:
    """What is sustained, where the rules stop being met, and what binds it."""
    confirmed = result.confirmed_per_s
    bound = f"; bound by {_BOUND_BY[result.bound_by]}" if result.bound_by in _BOUND_BY else ""
    if confirmed is None:
        return Answer(
            f"no rate is confirmed to be sustained: {(result.why or 'the search found none').rstrip('.')}", False
        )
    low, high = result.estimate_low_per_s, result.estimate_high_per_s
    limit = "" if low is None or high is None else f"; the rules stop being met between {_rate(low)} and {_rate(high)}"
    return Answer(f"{_rate(confirmed)} is sustained, held for {_s(result.confirmed_ns)}{limit}{bound}")


def _answer(result: CapacityResult) -> Table:
    """The capacity and what explains it."""
    confirmed = result.confirmed_per_s
    estimate = _estimate(result)
    rows = [
        ("sustained", _rate(confirmed), f"held for {_s(result.confirmed_ns)}" if confirmed else "not confirmed"),
        ("limit, estimated", *estimate),
        ("predicted", *_prediction(result)),
        ("bound by", result.bound_by or DASH, _CAUSES.get(result.bound_by or "", "what binds it did not show")),
    ]
    if result.bound_calls:
        rows.append(("binding call", result.bound_call or DASH, "of the mix, most violations beyond the limit are its"))
    if result.cold_per_s is not None:
        rows.append(
            ("from a cold pool", _rate(result.cold_per_s), "the instances had gone before the rate was ramped up")
        )
    if result.warm_per_s is not None:
        rows.append(("from a higher rate", _rate(result.warm_per_s), "the pool was warm"))
    if result.debt_ns is not None:
        colds = units.count(result.debt_colds or 0)
        rows.append(
            ("scale-up debt", _s(result.debt_ns), f"until the rate had settled; {colds} calls waited for a start")
        )
    return Table(
        "Capacity",
        (Column("", False), Column(""), Column("", False, 1)),
        tuple((Cell(name), Cell(value, tone="muted" if value == DASH else ""), Cell(why)) for name, value, why in rows),
        (*next_line(result.next), *_notes(result)),
    )


def _probes(result: CapacityResult) -> Table:
    """Every rate that was held, in order."""
    titles = ("rate", "invocations", "broken", "refused", "cold", "p50", "p95", "p99", "settled after")
    return Table(
        "Probes",
        (
            Column("probe", False, 1),
            Column("verdict", False),
            *(Column(title, spare=_SPARE.get(title, 0)) for title in titles),
        ),
        tuple(_probe(probe) for probe in result.probes),
        (
            f"Broken: how many invocations break {', '.join(result.rules)}. Latency is over all "
            "invocations of the settled part, and what is not ok ranks above every ok one; a percentile of too few is "
            "not shown.",
            *(
                f"{probe.phase} ({units.rate(probe.rate_per_s)}): {probe.why.rstrip('.')}."
                for probe in result.probes
                if probe.verdict != "pass"
            ),
        ),
    )


def _estimate(result: CapacityResult) -> tuple[str, str]:
    if result.estimate_per_s is None or result.estimate_low_per_s is None or result.estimate_high_per_s is None:
        return DASH, "no rate was seen on one of its sides"
    between = f"{_rate(result.estimate_low_per_s)} to {_rate(result.estimate_high_per_s)}"
    return _rate(result.estimate_per_s), f"{between}, 95{foreign.GAP}% interval: where the rules stop being met"


def _prediction(result: CapacityResult) -> tuple[str, str]:
    busy = "" if result.busy_ns is None else f"{units.duration(result.busy_ns)} a call"
    if result.predicted_per_s is None or result.limit is None:
        without = "the rules are broken without load, too; " if result.limit is not None and busy else ""
        return DASH, f"{without}{busy}" or "no invocation succeeded"
    return _rate(result.predicted_per_s), f"from {units.count(result.limit)} invocations at once and {busy}"


def _notes(result: CapacityResult) -> Iterator[str]:
    if result.why:
        yield result.why
    if result.shortened and result.confirmed_per_s is not None:
        yield (
            "The confirmation was shorter than the method asks for, five minutes and five times the keep-alive time: "
            "what comes later than that was not seen."
        )
    yield from result.notes
    if len(result.bound_shares) > 1:
        shares = ", ".join(f"{cause} {units.share(share)}" for cause, share in result.bound_shares.items())
        yield f"Violations beyond the limit, by cause: {shares}."
    if len(result.bound_calls) > 1:
        shares = ", ".join(f"{call} {units.share(share)}" for call, share in result.bound_calls.items())
        yield f"Violations beyond the limit, by call: {shares}."


def _probe(probe: CapacityProbe) -> tuple[Cell, ...]:
    return (
        Cell(probe.phase, {"cold": "cold pool", "warm": "from above"}.get(probe.approach, "")),
        Cell(probe.verdict, tone=_TONES.get(probe.verdict, "")),
        Cell(_rate(probe.rate_per_s)),
        Cell(units.count(probe.invocations)),
        Cell(", ".join(units.count(n) for n in probe.broken)),
        Cell(units.count(probe.throttled)),
        Cell(units.count(probe.colds)),
        *(_latency(probe, p, ns) for p, ns in ((50.0, probe.p50_ns), (95.0, probe.p95_ns), (99.0, probe.p99_ns))),
        Cell(_s(probe.settling_ns)),
    )


def _latency(probe: CapacityProbe, p: float, ns: int | None) -> Cell:
    if ns is not None:
        return Cell(units.duration(ns))
    if probe.invocations < (needed(p) or 0):
        return Cell(DASH, tone="muted")
    fails = percentile_fails(p, probe.invocations - probe.failed, probe.invocations)
    return Cell(FAILED, tone="bad") if fails else Cell(DASH, tone="muted")


def _rate(per_s: float | None) -> str:
    return DASH if per_s is None else f"{per_s:.4g}/s"


def _s(ns: int) -> str:
    return units.duration(ns)
