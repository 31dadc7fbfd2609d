"""What the platform charges, and whether its bills follow from the durations it reports."""

from __future__ import annotations

from decimal import Decimal

from loadgen.experiments.registry import is_experiment
from loadgen.invocation.bill import WRITE_PRICES
from loadgen.measure.summary import Audit, Billing, Cost, Summary
from loadgen.report import units
from loadgen.report.figures import DASH
from loadgen.report.tables import Cell, Column, Table
from loadgen.text import foreign


def cost(summary: Summary) -> Table:
    """Requests, GB-seconds and money of each phase and of the whole run; empty where the target is no function.

    Of an experiment, whose phases are many, only those of the run. Of a mix, also those of each call in the measured
    phases.
    """
    whole = summary.cost
    if whole is None:
        return Table("Cost", (), ())
    hidden = any(reason.withholds == "cost" for reason in summary.verdict.reasons)
    rows = [
        (Cell(phase.name, "warm-up" if phase.warmup else ""), *_charged(phase.billing, hidden=hidden))
        for phase in summary.phases
        if phase.billing is not None and not is_experiment(summary.run.kind)
    ]
    rows += [
        (Cell(name, "measured phases"), *_charged(each.billing, hidden=hidden))
        for name, each in summary.totals.by_call.items()
        if each.billing is not None
    ]
    rows.append((Cell("whole run", "pre-flight included" if summary.preflight else ""), *_charged(whole)))
    columns = ("requests", "refused", "bill unknown", "GB-seconds", whole.currency or "money")
    titles = (Column("", False), *(Column(title) for title in columns))
    return Table("Cost", titles, tuple(rows), tuple(_cost_notes(whole, hidden=hidden)))


def line(summary: Summary) -> str:
    """What the run is charged, in one line; empty where nothing is."""
    whole = summary.cost
    if whole is None or any(reason.withholds == "cost" for reason in summary.verdict.reasons):
        return ""
    used = f"{_sum(whole.gb_seconds, whole.unmetered)} GB-s for {units.count(whole.requests)} requests"
    if whole.amount is None:
        return used
    each = (
        ""
        if whole.per_million is None
        else f", {_sum(whole.per_million, whole.unmetered)} {whole.currency} per million"
    )
    charged = f"cost {_sum(whole.amount, whole.unmetered)} {whole.currency}{each}"
    return f"{charged}, free tier and discounts left out; {used}"


def per_million(summary: Summary) -> tuple[str, str] | None:
    """What a million calls cost, and the currency; None where that is not known or withheld."""
    whole = summary.cost
    if whole is None or whole.per_million is None or any(each.withholds == "cost" for each in summary.verdict.reasons):
        return None
    return _sum(whole.per_million, whole.unmetered), whole.currency or "money"


def audit(summary: Summary) -> Table:
    """Phases whose billed durations do not all follow from the reported ones by rounding up to the same unit.

    Empty where there is none.
    """
    audits = {phase.name: phase.billing.audit for phase in summary.phases if phase.billing is not None}
    audits = {name: each for name, each in audits.items() if each.misbilled or len(each.units) > 1}
    if not audits:
        return Table("Bill audit", (), ())
    seen = sorted({unit for each in audits.values() for unit in each.units}, key=_unit_ms)
    titles = (*(f"rounded up to {unit}" for unit in seen), "otherwise", "for less than it ran")
    rows = tuple(
        (
            Cell(name),
            *(Cell(units.count(each.units.get(unit, 0))) for unit in seen),
            Cell(units.count(each.misbilled), tone="warn" if each.misbilled else ""),
            Cell(units.count(each.underbilled), tone="warn" if each.underbilled else ""),
            _worst(each),
        )
        for name, each in audits.items()
    )
    columns = (Column("phase", False), *(Column(title) for title in titles), Column("furthest off", False))
    return Table(
        "Bill audit",
        columns,
        rows,
        ("Invocations by how the duration that was billed follows from the duration that was reported with it.",),
    )


def _charged(billing: Billing | Cost, *, hidden: bool = False) -> tuple[Cell, ...]:
    sums = (billing.gb_seconds, billing.amount)
    return (
        Cell(units.count(billing.requests)),
        Cell(units.count(billing.refused)),
        Cell(units.count(billing.unmetered), tone="warn" if billing.unmetered else ""),
        *(Cell(DASH if each is None or hidden else _sum(each, billing.unmetered)) for each in sums),
    )


def _sum(amount: Decimal, unmetered: int) -> str:
    """A sum over what told its bill: where some did not, the truth is more."""
    return (f">{foreign.GAP}" if unmetered else "") + units.amount(amount)


def _cost_notes(whole: Cost, *, hidden: bool) -> list[str]:
    notes = []
    if hidden:
        notes.append(
            "This was billed, and is not what it costs at the memory size that was asked for: see the verdict."
        )
    if whole.price_book is None:
        notes.append(f"Without prices there is no sum of money; {WRITE_PRICES}, or a file of your own.")
    else:
        per_million = None if hidden else whole.per_million
        each = "" if per_million is None else f"{_sum(per_million, whole.unmetered)} {whole.currency} per million. "
        notes.append(f"{each}Prices: {whole.price_book}, as listed in {whole.dated}; free tier and discounts left out.")
    if whole.unmetered:
        notes.append(
            f"{units.count(whole.unmetered)} requests may have run and did not tell what they are billed (timed out, "
            "cut off, or without a bill to go by), so the truth is more."
        )
    if whole.refused:
        notes.append(
            f"{units.count(whole.refused)} were refused before any code ran, without a bill; whether the platform "
            "counts them as requests is not documented, and here they are not."
        )
    return notes


def _worst(audited: Audit) -> Cell:
    worst = audited.worst
    if worst is None:
        return Cell(DASH)
    ran, billed = units.duration(worst.duration_ns), units.duration(worst.billed_duration_ns)
    return Cell(f"ran {ran}, billed {billed}", worst.request_id or "")


def _unit_ms(name: str) -> Decimal:
    number, _, unit = name.partition(" ")
    return Decimal(number) * (1000 if unit == "s" else 1) if number.isdecimal() else Decimal(0)
