"""``loadgen check``: whether a scenario is right, and what it would do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli import baseline, output, source
from loadgen.experiments import registry
from loadgen.load.curve import RateLaw
from loadgen.load.law import Arrivals
from loadgen.load.phase import Phase
from loadgen.measure.labelling import LEAST_CALIBRATION, LEAST_COLD, MOST_OUTLIERS
from loadgen.measure.rule import BaselineRule, MetricRule, RateRule, Rule, ShareRule
from loadgen.scenario.model import Scenario
from loadgen.targets.endpoint import encrypted
from loadgen.targets.registry import tenant_of
from loadgen.targets.target import Target
from loadgen.text import units
from loadgen.text.units import NS_PER_S

if TYPE_CHECKING:
    from loadgen.run.forecast import Starts
    from loadgen.scenario.load import Loaded


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Set a value of the scenario.")
@source.ENV_FILE
@baseline.OPTION
@click.option("--offline", is_flag=True, help="Do not ask the platform for the function's limits and memory.")
def check(file: str, overrides: tuple[str, ...], env_file: Path | None, beside: Path | None, offline: bool) -> None:
    """Validate a scenario, of a FILE or of stdin (-), and show what it would do and cost; nothing is invoked."""
    from loadgen.cli.credentials import with_credentials
    from loadgen.targets.secret import sent
    from loadgen.text.secret import Secrets

    environment = source.environment(env_file)
    loaded = source.loaded(file, environment, overrides)
    scenario = with_credentials(loaded.scenario, environment, quiet=False)
    output.hide(Secrets(chain.from_iterable(map(sent, scenario.targets)), loaded.fed_secrets).hide)
    compared = _compared(beside, loaded)
    unused = _unused(scenario.target) if "tls" in loaded.document.get("target", {}) else ()
    _trusts(scenario.target)
    for line in (*plan(scenario), *compared, _agents(scenario), *unused, *_outlook(scenario, offline)):
        click.echo(output.clean(line))


def _compared(beside: Path | None, loaded: Loaded) -> list[str]:
    """What the run would be compared with, or that it has to be. Exits with 2 where it cannot be."""
    if beside is not None:
        base = baseline.fit(beside, loaded, quiet=False)
        return [f"baseline: {base.summary.run.id}"]
    rules = baseline.needing(loaded)
    return [f"baseline: needed for {rules}; run it with --baseline RUN, a run of the same load"] if rules else []


def _agents(scenario: Scenario) -> str:
    """How many processes would make the load on this machine, unless --agents says otherwise."""
    from loadgen.engine.cgroup import usable_cores
    from loadgen.run.agents import agents_of

    agents = agents_of(scenario, None, usable_cores())
    return f"agents: {agents.number} ({agents.why})"


def _unused(target: Target) -> Iterator[str]:
    """Whether settings of TLS have nothing to be for: neither the target nor what gives its credentials."""
    if not any(map(encrypted, tenant_of(target).urls(target))):
        yield "note: target.tls is unused: without https:// there is no certificate to check"


def _trusts(target: Target) -> None:
    """Exit with 2 where certificates or keys of the target cannot be used."""
    from loadgen.engine.address import AddressError, tls_context

    try:
        if any(map(encrypted, tenant_of(target).urls(target))):
            tls_context(target.tls)
    except AddressError as error:
        output.say(f"error: {error}")
        sys.exit(2)


def _outlook(scenario: Scenario, offline: bool) -> Iterator[str]:
    """What a run would cost, and what the platform would not allow, as far as it may be asked."""
    import asyncio

    from loadgen.run.forecast import before, sizes_of
    from loadgen.run.quota import limits_of, unreachable

    asked = scenario.emulator is not None or not offline
    limits = asyncio.run(limits_of(scenario)) if asked else [None] * len(scenario.each_call)
    yield from before(scenario, sizes_of(scenario, [None if each is None else each.memory_mb for each in limits]))
    for warning in unreachable(scenario, limits):
        yield f"warning: {warning}"
    for why in dict.fromkeys(why for each in limits if each is not None for why in each.unread):
        yield f"note: the limits of the function were not read: {why}"


def plan(scenario: Scenario) -> Iterator[str]:
    """What a run of the scenario would do, as lines of plain text."""
    from loadgen.run.forecast import starts

    yield from _called(scenario)
    counts = starts(scenario)
    for phase, count in zip(scenario.phases, counts, strict=True):
        yield (
            f"  {phase.name}{' (warm-up)' if phase.warmup else ''}: {phase.shape.words()}{_thinking(phase)}, "
            + _load(phase, count)
        )
    if registry.is_experiment(scenario.kind):
        yield from _experiment(scenario)
        return
    yield _total(scenario, counts)
    yield f"budget: {scenario.budget.words}"
    yield f"thresholds: {_listed(scenario.thresholds) or 'none'}"
    yield from _labels(scenario)
    yield from _doubts(scenario, counts)


def _listed(rules: Sequence[Rule]) -> str:
    """Rules in one line; some have a comma of their own."""
    texts = [rule.text for rule in rules]
    return ("; " if any("," in text for text in texts) else ", ").join(texts)


def _labels(scenario: Scenario) -> Iterator[str]:
    """How cold calls of a load will be told from warm ones, and what would tell them where nothing does."""
    tenants = [(tenant_of(call.target), call.target) for call in scenario.each_call]
    if not all(tenant.told for tenant, _ in tenants):
        return
    if all(tenant.tells_starts(target) for tenant, target in tenants):
        yield "cold and warm: told by each answer"
        return
    telling = [call.name for call in scenario.calls if tenant_of(call.target).tells_starts(call.target)]
    if telling:
        yield f"cold and warm: told by each answer of {', '.join(telling)}; those of other calls stay unknown"
        return
    reads = any(tenant.reading(target).starts for tenant, target in tenants)
    logs = "a log tail that tells of a start, else " if reads else ""
    needed = f"{LEAST_COLD} cold calls, {MOST_OUTLIERS:.0%} of its own, and {LEAST_CALIBRATION} warm ones"
    if any(phase.warmup for phase in scenario.phases):
        yield f"cold and warm: told by {logs}overhead, if the warm-up has {needed}, and else not"
    else:
        yield (
            f"cold and warm: {f'told by {logs}not' if logs else 'not told'}; what would: target.probe, for a function "
            f"that tells by itself, or a warm-up phase with {needed}"
        )


def _thinking(phase: Phase) -> str:
    return "" if phase.think is None else f", calls {phase.think.words()}"


def _called(scenario: Scenario) -> Iterator[str]:
    """What is called, and of a mix how often each."""
    if not scenario.calls:
        yield f"{scenario.name}: {tenant_of(scenario.target).described(scenario.target)}"
        return
    whole = sum(call.weight for call in scenario.calls)
    yield f"{scenario.name}: a mix of {len(scenario.calls)} calls"
    for call in scenario.calls:
        described = tenant_of(call.target).described(call.target)
        yield f"  {call.name}: {call.weight / whole:.2%} of the invocations, {described}"


def _total(scenario: Scenario, counts: list[Starts]) -> str:
    from loadgen.run.forecast import rows_allow

    known = sum(count.fed for count in counts if count.fed is not None)
    closed = any(count.fed is None for count in counts)
    rows = rows_allow(scenario)
    if closed and rows is not None:
        made, more = f"at most {rows}", ""
    else:
        made, more = f"{known}", ", and as many as its workers make" if closed else ""
    preflight = f" + {scenario.preflights} pre-flight" if scenario.preflights else ""
    at_most = "at most " if any(count.cut_short for count in counts) else ""
    length = units.seconds(sum(phase.duration_ns for phase in scenario.phases))
    return f"total: {made} invocations{preflight}{more}, in {at_most}{length}"


def _experiment(scenario: Scenario) -> Iterator[str]:
    """What is known beforehand of a run that asks for its load as it goes."""
    from loadgen.run.forecast import rows_allow
    from loadgen.targets.settings import settings_of

    yield from (f"  {line}" for line in registry.plan(scenario))
    if what := registry.changes(scenario):
        yield f"  changes the function's settings, {what}, and puts them back"
        yield from (f"  {line}" for line in settings_of(scenario.target).beside_changes(scenario.target))
    yield from registry.forecast(scenario)
    if (rows := rows_allow(scenario)) is not None:
        yield f"note: the feeder has {rows} rows and is read once: after them nothing can be sent"
    yield f"budget: {scenario.budget.words}"


def _doubts(scenario: Scenario, counts: list[Starts]) -> Iterator[str]:
    """What is legal and will not go as hoped."""
    from loadgen.measure.percentile import needed, needed_for_a_limit
    from loadgen.run.forecast import rows_allow

    by_phase = dict(zip((phase.name for phase in scenario.phases), counts, strict=True))
    measured = [phase.name for phase in scenario.phases if not phase.warmup]
    cut_short = any(count.cut_short for count in counts)
    for rule in scenario.thresholds:
        if isinstance(rule, MetricRule | ShareRule) and rule.over_ns is not None:
            yield from _windows(scenario, rule, rule.over_ns)
            continue
        about = [by_phase[name].fed for name in ([rule.phase] if rule.phase else measured)]
        total = round(_share(scenario, rule) * sum(count for count in about if count is not None))
        if isinstance(rule, MetricRule | BaselineRule) and rule.percentile is not None:
            least = needed(rule.percentile)
            if None not in about and least is not None and total < least:
                bounded = needed_for_a_limit(rule.percentile) or least
                so = "it cannot pass" if total < bounded else "only the limits of its interval can decide it"
                yield f"note: {rule.text} needs {least} invocations and about {total} are planned: {so}"
        if isinstance(rule, RateRule) and not cut_short and (most := _fastest(rule, scenario)) is not None:
            yield f"note: {rule.text}, and {most:.6g}/s is planned: it cannot pass"
    rows = rows_allow(scenario)
    if rows is not None and cut_short:
        planned, fed = sum(count.planned or 0 for count in counts), sum(count.fed or 0 for count in counts)
        yield f"note: the feeder has {rows} rows and is read once: {planned - fed} of {planned} starts have no row"
    elif rows is not None and any(count.fed is None for count in counts):
        yield f"note: the feeder has {rows} rows and is read once: phases of workers end with the last one"
    allowed = scenario.budget.invocations
    in_all = sum(each.fed for each in counts if each.fed is not None)
    if allowed is not None and in_all + scenario.preflights > allowed:
        yield f"note: the budget of {allowed} invocations ends the run before its phases do"


def _windows(scenario: Scenario, rule: MetricRule | ShareRule, over_ns: int) -> Iterator[str]:
    """What the windows of a rule will hold, phase by phase, and where that is too little to decide it."""
    from loadgen.measure.threshold import allows
    from loadgen.run.forecast import fewest

    window = units.seconds(over_ns)
    for phase in scenario.phases:
        if phase.warmup or rule.phase not in (None, phase.name):
            continue
        if phase.duration_ns < over_ns:
            yield f"note: {rule.text}: {phase.name} is shorter than a window and is not judged by it"
            continue
        planned = fewest(phase, scenario.seed, over_ns)
        calls = None if planned is None else int(_share(scenario, rule) * planned)
        many = "as many calls as its workers make" if calls is None else f"at least about {calls} calls"
        holds = f"{rule.text}: each window of {window} of {phase.name} has {many}"
        if isinstance(rule, ShareRule):
            alone = calls is not None and rule.limit > 0 and not (calls and allows(rule, 1 / calls))
            yield f"note: {holds}: a single bad one can break it" if alone else f"windows: {holds}"
        else:
            yield _needs(rule, holds, calls)


def _needs(rule: MetricRule, holds: str, calls: int | None) -> str:
    """What a window has, beside what its percentile needs."""
    from loadgen.measure.percentile import needed, needed_for_a_limit

    least = None if rule.percentile is None else needed(rule.percentile)
    if rule.percentile is None or least is None:
        return f"windows: {holds}"
    holds = f"{holds}, and p{rule.percentile:g} needs {least}"
    if calls is None or calls >= least:
        return f"windows: {holds}"
    bounded = needed_for_a_limit(rule.percentile) or least
    so = "such a window can break it and not meet it" if calls < bounded else "only limits can decide such a window"
    return f"note: {holds}: {so}"


def _share(scenario: Scenario, rule: Rule) -> float:
    """Which part of the invocations a rule is about."""
    shares = zip(scenario.each_call, scenario.shares, strict=True)
    return sum(share for call, share in shares if rule.call in (None, call.name))


def _fastest(rule: RateRule, scenario: Scenario) -> float | None:
    """The rate of the phases that a rule is about, where it is fixed and not above what the rule asks for."""
    about = [each for each in scenario.phases if (each.name == rule.phase if rule.phase else not each.warmup)]
    if not all(isinstance(each.shape, RateLaw) for each in about):
        return None
    if any(each.arrivals is not Arrivals.CONSTANT for each in about):
        return None

    planned = sum(each.expected() or 0 for each in about) * NS_PER_S / sum(each.duration_ns for each in about)
    planned *= _share(scenario, rule)
    return planned if planned <= rule.limit.per_s else None


def _load(phase: Phase, starts: Starts) -> str:
    """Length, expected invocations and peak concurrency of a phase."""
    about = "about " if phase.arrivals is Arrivals.POISSON and not starts.cut_short else ""
    about = "at most " if starts.uncertain else about
    invocations = "as many as they make" if starts.fed is None else f"{about}{starts.fed} invocations"
    length = f"{'at most ' if starts.cut_short else ''}{units.seconds(phase.duration_ns)}"
    return f"{length}, {invocations}, at most {phase.max_workers} in flight"
