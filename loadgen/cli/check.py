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
    Trace,
    Workers,
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Set a value of the scenario.")
@click.option("--offline", is_flag=True, help="Do not ask the platform for the function's limits and memory.")
def check(file: Path, overrides: tuple[str, ...], offline: bool) -> None:
    """Validate a scenario and show what it would do and cost; nothing is invoked."""
    from loadgen.cli.credentials import with_credentials
    from loadgen.functiongraph.urn import check_target

    try:
        loaded = load_file(file, environment=os.environ, overrides=overrides, checks=[check_target])
    except ScenarioError as error:
        output.say(error.render())
        sys.exit(2)
    scenario = with_credentials(loaded.scenario, quiet=False)
    for line in (*plan(scenario), *_outlook(scenario, offline)):
        click.echo(line)


def _outlook(scenario: Scenario, offline: bool) -> Iterator[str]:
    """What a run would cost, and what the platform would not allow, as far as it may be asked."""
    import asyncio

    from loadgen.control.limits import unreachable
    from loadgen.experiments.forecast import before, size_mb
    from loadgen.experiments.quota import limits_of

    asked = scenario.emulator is not None or not offline
    limits = asyncio.run(limits_of(scenario, scenario.target)) if asked else None
    yield from before(scenario, size_mb(scenario, None if limits is None else limits.memory_mb))
    if limits is None:
        return
    for warning in unreachable(scenario, limits):
        yield f"warning: {warning}"
    for why in limits.unread:
        yield f"note: the limits of the function were not read: {why}"


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
    if scenario.kind != "load":
        yield from _experiment(scenario)
        return
    closed = len(known) < len(scenario.phases)
    preflight = " + 1 pre-flight" if scenario.target.preflight else ""
    length = seconds(sum(phase.duration_ns for phase in scenario.phases))
    more = ", and as many as its workers make" if closed else ""
    yield f"total: {sum(known)} invocations{preflight}{more}, in {length}"
    yield f"budget: {_budget(scenario)}"
    yield f"thresholds: {', '.join(rule.text for rule in scenario.thresholds) or 'none'}"
    yield from _doubts(scenario)


def _experiment(scenario: Scenario) -> Iterator[str]:
    """What is known beforehand of a run that asks for its load as it goes."""
    if scenario.capacity is not None:
        asked = scenario.capacity
        ends = f"{_rate(asked.from_rate)} to {_rate(asked.to_rate)}"
        yield f"  rates from {ends}, at most {asked.max_in_flight} in flight"
        yield f"  rules: {', '.join(rule.text for rule in asked.slo)}"
        most = round(asked.to_rate.per_s * asked.confirm_ns / NS_PER_S)
        yield f"  confirmed for {seconds(asked.confirm_ns)}: {most} invocations if the largest rate is sustained"
    if scenario.memory is not None:
        sizes, gap = scenario.memory.sizes_mb, seconds(scenario.memory.gap_ns)
        yield f"  sizes by {scenario.memory.by.value}: {', '.join(f'{size} MB' for size in sizes)}"
        yield f"  rules: {', '.join(rule.text for rule in scenario.memory.slo) or 'none'}"
        yield f"  at most {scenario.memory.rounds} rounds, each after {gap} of silence"
    if scenario.cold_starts is not None:
        starts = scenario.cold_starts
        means = ", ".join(each.value for each in starts.induce)
        yield f"  cold starts by {means}: {starts.cold} wanted, and {starts.warm} warm ones"
    if scenario.changes_settings:
        what = "LOADGEN_RUN in its environment" if scenario.memory is None else "its memory size"
        yield f"  changes the function's settings, {what}, and puts them back"
    yield f"total: not known beforehand: kind: {scenario.kind} asks for its load as it goes; budget bounds it"
    yield f"budget: {_budget(scenario)}"


def _doubts(scenario: Scenario) -> Iterator[str]:
    """What is legal and will not go as hoped."""
    from loadgen.measure.percentile import needed, needed_for_a_limit
    from loadgen.pacing import expected

    counts = {phase.name: expected(phase) for phase in scenario.phases}
    measured = [phase.name for phase in scenario.phases if not phase.warmup]
    for rule in scenario.thresholds:
        if isinstance(rule, MetricRule) and rule.percentile is not None:
            planned = [counts[name] for name in ([rule.phase] if rule.phase else measured)]
            least = needed(rule.percentile)
            total = sum(count for count in planned if count is not None)
            if None in planned or least is None or total >= least:
                continue
            bounded = needed_for_a_limit(rule.percentile) or least
            so = "it cannot pass" if total < bounded else "only the limits of its interval can decide it"
            yield f"note: {rule.text} needs {least} invocations and about {total} are planned: {so}"
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
        case Trace():
            return "arrivals of a trace"
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
    limits += [] if budget.cost is None else [str(budget.cost)]
    limits += [] if budget.duration_ns is None else [seconds(budget.duration_ns)]
    limits += [] if budget.in_flight is None else [f"{budget.in_flight} in flight"]
    limits += [] if budget.errors is None else [f"more than {100 * budget.errors:.6g}% errors"]
    limits += [] if budget.throttled is None else [f"more than {100 * budget.throttled:.6g}% throttled"]
    return " or ".join(limits) or "none"
