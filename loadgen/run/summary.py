"""What is said of a run once it is over: the Summary of what was played. Pure."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import Struct, structs

from loadgen.experiments.registry import found, is_experiment
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
from loadgen.measure.verdict import judge, of_experiment
from loadgen.report.answer import answer, next_step, outcome
from loadgen.run.play import Played
from loadgen.scenario.model import Scenario
from loadgen.targets.registry import tenant_of


class Record(Struct, frozen=True):
    """All that is known of a run.

    ``document`` is the scenario as the Summary shows it; ``preflights`` are of each call, and ``first`` is what they
    used; ``bills`` says whether calls are charged for, and ``asked_mb`` the memory size that each call asked for, None
    where there is none. ``floor`` is the last calibration, if any. ``watched`` says how rules ended that were
    judged while the load went on.
    """

    scenario: Scenario
    document: dict[str, Any]
    machine: Environment
    preflights: tuple[Preflight, ...]
    played: tuple[Played, ...]
    experiment: Experiment | None
    first: Spent
    bills: bool
    asked_mb: dict[str, int | None]
    floor: Floor | None
    watched: dict[Rule, ThresholdResult] = {}

    @property
    def floor_ns(self) -> int | None:
        """The p99 of the service time against a target that does nothing; None where that is not known of here."""
        if self.floor is None or any(differences(self.floor, self.machine)):
            return None
        return self.floor.service_time.p99_ns


def verdict_on(record: Record, *, stopped: bool) -> Verdict:
    """Whether the record may be trusted; ``stopped`` says that the run ended before its load did."""
    verdict = judge(
        [each.plan for each in record.played],
        [each.total for each in record.played],
        record.scenario.thresholds,
        by_phase=not is_experiment(record.scenario.kind),  # whose phases are many, and in no report
        stopped=stopped,
        fresh_connections=record.scenario.target.fresh_connections,
        # where the system says when answers arrived, what the generator takes is in unread and late, and in no time
        overhead_floor_ns=record.floor_ns if record.machine.arrival_clock == READ else None,
        memory_mb=record.asked_mb,
        found=found(record.experiment),
        told_in=tenant_of(record.scenario.target).told_in,
    )
    if not is_experiment(record.scenario.kind):
        return verdict
    return of_experiment(verdict, [each.total.name for each in record.played])


def charged(record: Record) -> Cost | None:
    """What the run is charged; None of a target that charges nothing."""
    if not record.bills:
        return None
    return cost([record.first, *(spent(each.total.tally) for each in record.played)], record.scenario.prices)


def summary(record: Record, run: Run, verdict: Verdict, charged: Cost | None) -> Summary:
    """The Summary of a run with this verdict, and at this cost."""
    rules = record.scenario.thresholds
    plans, played = [each.plan for each in record.played], [each.total for each in record.played]
    ps = named_percentiles(rules)
    bill = partial(billing, book=record.scenario.prices) if record.bills else None
    phases = [phase_summary(plan, total, ps, bill) for plan, total in zip(plans, played, strict=True)]
    together = totals(plans, played, ps, bill)
    found = Summary(
        schema=SCHEMA,
        run=run,
        scenario=record.document,
        environment=record.machine,
        preflight=next((each for each in record.preflights if each.outcome != OK), next(iter(record.preflights), None)),
        verdict=verdict,
        phases=phases,
        totals=together,
        cost=charged,
        thresholds=evaluate(rules, phases, together, verdict, record.watched),
        generator=generator(played, record.floor_ns),
        experiment=record.experiment,
        preflights=list(record.preflights) if record.scenario.calls else [],
    )
    return structs.replace(found, outcome=outcome(found), answer=answer(found), next=next_step(found))
