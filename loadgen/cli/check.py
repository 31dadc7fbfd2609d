"""``loadgen check``: whether a scenario is right, and what it would do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from loadgen.cli import output
from loadgen.scenario.fault import ScenarioError
from loadgen.scenario.load import load_file
from loadgen.scenario.model import (
    NS_PER_S,
    Bursts,
    ConstantRate,
    FunctionTarget,
    MetricRule,
    Phase,
    RampRate,
    Rate,
    Scenario,
    Shape,
    StepRates,
    Target,
    Workers,
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Set a value of the scenario.")
def check(file: Path, overrides: tuple[str, ...]) -> None:
    """Validate a scenario and show what it would do; nothing is sent."""
    from loadgen.functiongraph.urn import check_target

    try:
        loaded = load_file(file, environment=os.environ, overrides=overrides, checks=[check_target])
    except ScenarioError as error:
        output.say(error.render())
        sys.exit(2)
    for line in plan(loaded.scenario):
        click.echo(line)


def plan(scenario: Scenario) -> Iterator[str]:
    """What a run of the scenario would do, as lines of plain text."""
    from loadgen.pacing import expected

    yield f"{scenario.name}: {describe_target(scenario.target)}"
    known: list[int] = []
    for phase in scenario.phases:
        count = expected(phase)
        if count is not None:
            known.append(count)
        yield f"  {phase.name}{' (warm-up)' if phase.warmup else ''}: {describe_shape(phase.shape)}, " + _load(
            phase, count
        )
    closed = len(known) < len(scenario.phases)
    preflight = " + 1 pre-flight" if scenario.target.preflight else ""
    length = seconds(sum(phase.duration_ns for phase in scenario.phases))
    more = ", and as many as its workers make" if closed else ""
    yield f"total: {sum(known)} invocations{preflight}{more}, in {length}"
    yield f"budget: {_budget(scenario)}"
    yield f"thresholds: {', '.join(rule.text for rule in scenario.thresholds) or 'none'}"
    yield from _doubts(scenario)


def _doubts(scenario: Scenario) -> Iterator[str]:
    """What is legal and will not go as hoped."""
    from loadgen.measure.percentile import needed
    from loadgen.pacing import expected

    counts = {phase.name: expected(phase) for phase in scenario.phases}
    measured = [phase.name for phase in scenario.phases if not phase.warmup]
    for rule in scenario.thresholds:
        if isinstance(rule, MetricRule) and rule.percentile is not None:
            planned = [counts[name] for name in ([rule.phase] if rule.phase else measured)]
            least = needed(rule.percentile)
            total = sum(count for count in planned if count is not None)
            if None not in planned and least is not None and total < least:
                yield f"note: {rule.text} needs {least} invocations and about {total} are planned: it cannot pass"
    allowed = scenario.budget.invocations
    planned_in_all = sum(count for count in counts.values() if count is not None)
    if allowed is not None and planned_in_all + scenario.target.preflight > allowed:
        yield f"note: the budget of {allowed} invocations ends the run before its phases do"


def describe_target(target: Target) -> str:
    """The target on one line."""
    if isinstance(target, FunctionTarget):
        where = "the embedded emulator (synthetic numbers)" if target.emulated else target.endpoint
        return f"{target.function} at {where}"
    return f"{target.method} {target.url}"


def describe_shape(shape: Shape) -> str:
    """The load of a phase in words."""
    match shape:
        case ConstantRate(rate):
            return _rate(rate)
        case RampRate(start, end):
            return f"{_rate(start)} to {_rate(end)}"
        case StepRates(rates):
            return ", ".join(_rate(rate) for rate in rates)
        case Bursts(size, gap_ns, repeat):
            return f"{repeat} bursts of {size}, {seconds(gap_ns)} apart"
        case Workers(start, end):
            return f"{start} workers" if start == end else f"{start} to {end} workers"


def seconds(ns: int) -> str:
    """A time in seconds with as many digits as it needs."""
    return f"{ns / NS_PER_S:.9f}".rstrip("0").rstrip(".") + " s"


def _rate(rate: Rate) -> str:
    return f"{rate.per_s:.6g}/s"


def _load(phase: Phase, count: int | None) -> str:
    """Length, expected invocations and peak concurrency of a phase."""
    poisson = phase.arrivals.value == "poisson"
    invocations = "as many as they make" if count is None else f"{'about ' if poisson else ''}{count} invocations"
    most = f"at most {phase.max_workers} in flight"
    return f"{seconds(phase.duration_ns)}, {invocations}, {most}"


def _budget(scenario: Scenario) -> str:
    budget = scenario.budget
    limits = [] if budget.invocations is None else [f"{budget.invocations} invocations"]
    limits += [] if budget.duration_ns is None else [seconds(budget.duration_ns)]
    return " or ".join(limits) or "none"
