"""What is said of a run once it is over: the Summary of what was played. Pure."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import Struct, structs

from loadgen.experiments.registry import found, is_experiment
from loadgen.invocation.bill import PriceBook
from loadgen.invocation.outcome import OK
from loadgen.measure.cost import Spent, billing, cost, spent
from loadgen.measure.floor import Floor, differences
from loadgen.measure.merge import generator, phase_summary, totals
from loadgen.measure.rule import Rule
from loadgen.measure.summary import (
    READ,
    SCHEMA,
    Cost,
    Environment,
    Experiment,
    Preflight,
    Run,
    Summary,
    ThresholdResult,
    Verdict,
)
from loadgen.measure.threshold import evaluate, named_percentiles
from loadgen.measure.trust.record import damaged
from loadgen.measure.verdict import judge, of_experiment
from loadgen.report.answer import answer, next_step, outcome
from loadgen.report.stretch import stretch
from loadgen.report.timeline import Timeline
from loadgen.run.play import Played
from loadgen.scenario.model import Scenario
from loadgen.targets.registry import tenant_of


class Terms(Struct, frozen=True):
    """What of a scenario its Summary is made with, none of it secret.

    ``document`` is the scenario as the Summary shows it. ``bills`` says whether calls are charged for, ``asked_mb`` the
    memory size that each call asked for, None where there is none, and ``told_in`` where answers tell durations.
    """

    kind: str
    document: dict[str, Any]
    rules: tuple[Rule, ...]
    prices: PriceBook | None
    mix: bool
    fresh_connections: bool
    told_in: str
    bills: bool
    asked_mb: dict[str, int | None]

    @classmethod
    def of(cls, scenario: Scenario, document: dict[str, Any], asked_mb: dict[str, int | None]) -> Terms:
        """Those of a scenario; ``asked_mb`` by call."""
        tenant = tenant_of(scenario.target)
        return cls(
            scenario.kind,
            document,
            tuple(scenario.thresholds),
            scenario.prices,
            bool(scenario.calls),
            scenario.target.fresh_connections,
            tenant.told_in,
            tenant.bills,
            asked_mb,
        )


class Cut(Struct, frozen=True):
    """How a record was cut short: in the middle of its last phase or not, and what of it cannot be read."""

    in_phase: bool = False
    damage: tuple[str, ...] = ()


class Record(Struct, frozen=True):
    """All that is known of a run.

    ``preflights`` are of each call, and ``first`` is what they used. ``floor`` is the last calibration, if any.
    ``watched`` says how rules ended that were judged while the load went on. ``cut`` is None of a run that came to its
    end.
    """

    terms: Terms
    machine: Environment
    preflights: tuple[Preflight, ...]
    played: tuple[Played, ...]
    experiment: Experiment | None
    first: Spent
    floor: Floor | None
    watched: dict[Rule, ThresholdResult] = {}
    cut: Cut | None = None

    @property
    def floor_ns(self) -> int | None:
        """The p99 of the service time against a target that does nothing; None where that is not known of here."""
        if self.floor is None or any(differences(self.floor, self.machine)):
            return None
        return self.floor.service_time.p99_ns


def verdict_on(record: Record, *, stopped: bool) -> Verdict:
    """Whether the record may be trusted; ``stopped`` says that the run ended before its load did."""
    terms, cut = record.terms, record.cut or Cut()
    verdict = judge(
        [each.plan for each in record.played],
        [each.total for each in record.played],
        terms.rules,
        by_phase=not is_experiment(terms.kind),  # whose phases are many, and in no report
        stopped=stopped,
        cut=cut.in_phase,
        fresh_connections=terms.fresh_connections,
        # where the system says when answers arrived, what the generator takes is in unread and late, and in no time
        overhead_floor_ns=record.floor_ns if record.machine.arrival_clock == READ else None,
        memory_mb=terms.asked_mb,
        found=found(record.experiment),
        told_in=terms.told_in,
    )
    if cut.damage:
        verdict = Verdict("invalid", [damaged(cut.damage), *verdict.reasons])
    if not is_experiment(terms.kind):
        return verdict
    return of_experiment(verdict, [each.total.name for each in record.played])


def charged(record: Record) -> Cost | None:
    """What the run is charged; None of a target that charges nothing."""
    if not record.terms.bills:
        return None
    return cost([record.first, *(spent(each.total.tally) for each in record.played)], record.terms.prices)


def summary(
    record: Record, run: Run, verdict: Verdict, charged: Cost | None, over_time: Timeline | None = None
) -> Summary:
    """The Summary of a run with this verdict, at this cost, and over time where that is known."""
    terms, rules = record.terms, record.terms.rules
    plans, played = [each.plan for each in record.played], [each.total for each in record.played]
    ps = named_percentiles(rules)
    bill = partial(billing, book=terms.prices) if terms.bills else None
    phases = [phase_summary(plan, total, ps, bill) for plan, total in zip(plans, played, strict=True)]
    together = totals(plans, played, ps, bill)
    ended = evaluate(rules, phases, together, verdict, record.watched)
    if record.cut is not None:
        whole = {plan.name for plan in (plans[:-1] if record.cut.in_phase else plans)}
        ended = [each if rule.phase in whole else _of_a_part(each) for rule, each in zip(rules, ended, strict=True)]
    elif run.interrupted:
        ended = [_of_a_part(each, "was interrupted") if each.passed else each for each in ended]
    found = Summary(
        schema=SCHEMA,
        run=run,
        scenario=terms.document,
        environment=record.machine,
        preflight=next((each for each in record.preflights if each.outcome != OK), next(iter(record.preflights), None)),
        verdict=verdict,
        phases=phases,
        totals=together,
        cost=charged,
        thresholds=ended,
        generator=generator(played, record.floor_ns),
        experiment=record.experiment,
        preflights=list(record.preflights) if terms.mix else [],
    )
    if over_time is not None and not is_experiment(terms.kind):
        found = structs.replace(found, stretch=stretch(found, over_time))
    return structs.replace(found, outcome=outcome(found), answer=answer(found), next=next_step(found))


def _of_a_part(result: ThresholdResult, how: str = "was cut short") -> ThresholdResult:
    """How a rule ended of which only a part of the calls is known: that of a whole run nobody knows."""
    if result.passed is None:
        return result
    so_far = "holds" if result.passed else "is broken"
    why = f"the run {how}; over what it left the rule {so_far}" + (f": {result.why}" if result.why else "")
    return structs.replace(result, passed=None, decided_by=None, why=why)
