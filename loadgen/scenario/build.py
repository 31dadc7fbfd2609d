"""From a checked document to the model: reads the units, fills in the defaults. Nothing here can fail."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import UNSET, UnsetType

from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.invocation.bill import PriceBook
from loadgen.load.budget import Budget, Confirm
from loadgen.load.bursts import Bursts
from loadgen.load.constant import ConstantRate
from loadgen.load.law import Arrivals
from loadgen.load.phase import Phase, Shape
from loadgen.load.ramp import RampRate
from loadgen.load.steps import StepRates
from loadgen.load.trace import Trace
from loadgen.load.workers import Workers
from loadgen.measure import rule
from loadgen.measure.rule import MetricRule, ShareRule
from loadgen.scenario import document as written
from loadgen.scenario.combination import DEFAULT_FUNCTION, only_function
from loadgen.scenario.model import Feeder, FeederOrder, Scenario
from loadgen.targets.endpoint import iam_of, iam_origin
from loadgen.targets.functiongraph.protocol.function import named
from loadgen.targets.functiongraph.protocol.platform import (
    Account,
    CredentialCheck,
    EmulatedFunction,
    Emulator,
    InitBilling,
    Initializer,
    Injected,
    Instances,
    Management,
    Routing,
    Throttle,
    Work,
)
from loadgen.targets.functiongraph.protocol.target import (
    MEMORY_SIZES_MB,
    Auth,
    EnvironmentAuth,
    FunctionTarget,
    IamAuth,
    KeyAuth,
    NoAuth,
    Probe,
    ResponseVersion,
    TokenAuth,
)
from loadgen.targets.http import HttpTarget
from loadgen.targets.port import Timeout, Tls
from loadgen.targets.target import Target
from loadgen.text import units

T = TypeVar("T")

DEFAULT_PROJECT = "demo"
DEFAULT_MAX_IN_FLIGHT = 1000
DEFAULT_MAX_INSTANCES = 1000
DEFAULT_LIMIT = 100
"""Executions at once in an account. Source: FunctionGraph documentation, Notes and Constraints."""
_LOG_TAIL_BYTES = {"2KB": 2000, "4KB": 4096}  # what two pages of the documents say


def scenario(
    doc: written.Scenario,
    event: str,
    directory: Path,
    prices: PriceBook | None = None,
    traces: Mapping[int, Trace] = {},
    rows: int = 0,
) -> Scenario:
    """The Scenario of a document without faults; ``sha256`` is left empty. Relative paths start at ``directory``.

    ``rows`` is how many the feeder's file has.
    """
    target = _target(doc, directory)
    emulated = isinstance(target, FunctionTarget) and target.emulated
    return Scenario(
        name=doc.name,
        kind=doc.kind,
        seed=doc.seed,
        target=target,
        event=event,
        feeder=None if doc.feeder is UNSET else _feeder(doc.feeder, directory, rows),
        phases=tuple(
            _phase(phase, target.timeout.total_ns, traces.get(number)) for number, phase in enumerate(doc.phases)
        ),
        thresholds=tuple(rule.parse(text) for text in doc.thresholds),
        sample_share=units.sampling(doc.samples),
        budget=_budget(doc.budget),
        tags=doc.tags,
        emulator=_scenario_emulator(doc) if emulated else None,
        sha256="",
        cold_starts=_cold_starts(doc) if doc.kind == "cold-starts" else None,
        memory=_memory(_or(doc.memory, written.MemoryComparison())) if doc.kind == "memory" else None,
        capacity=_capacity(doc, target) if doc.kind == "capacity" and doc.capacity is not UNSET else None,
        prices=prices,
        confirm=Confirm(doc.confirm.invocations, doc.confirm.gb_seconds),
        catch_up_ns=units.duration(doc.catch_up),
    )


def price_book(book: written.PriceBook, name: str) -> PriceBook:
    """The PriceBook of a document without faults, as the scenario names it."""
    return PriceBook(
        name,
        book.currency,
        book.dated,
        units.price(book.per_million_requests),
        units.price(book.per_gb_second),
        units.duration(book.granularity),
    )


def emulator(block: written.Emulator, *, seed: int = 1, function: str = DEFAULT_FUNCTION) -> Emulator:
    """The Emulator of a block; ``seed`` and the one ``function`` are the defaults where it names none."""
    named = {function: written.EmulatedFunction()} if block.functions is UNSET else block.functions
    functions = tuple(_emulated(name, each) for name, each in named.items())
    return Emulator(
        seed=_or(block.seed, seed),
        keep_alive_ns=units.duration(block.keep_alive),
        functions=functions,
        auth=CredentialCheck(block.auth),
        region=_or(block.region, None),
        account=_account(block.account),
        token_lifetime_ns=units.duration(block.token_lifetime),
        routing=Routing(block.routing),
        throttle=Throttle(block.throttle),
        queue_timeout_ns=units.duration(block.queue_timeout),
        max_instances=_or(block.max_instances, max(DEFAULT_MAX_INSTANCES, *(each.max_instances for each in functions))),
        gateway_timeout_ns=units.duration(block.gateway_timeout),
        idle_timeout_ns=units.duration(block.idle_timeout),
        error_status=block.error_status,
        billing_ns=units.duration(block.billing),
        init_billing=InitBilling(block.init_billing),
        start_lines=block.log_lines == "all",
        log_tail_bytes=_LOG_TAIL_BYTES[block.log_tail],
        management=Management(
            block.management.omitted == "reset",
            block.management.with_reserved == "refuse",
            _injected(block.management.faults),
        ),
    )


def default_emulator(*, seed: int = 1) -> Emulator:
    """The Emulator that serves when no file says otherwise: one function, ``hello``."""
    return emulator(written.Emulator(), seed=seed)


def _budget(budget: written.Budget) -> Budget:
    return Budget(
        _or(budget.invocations, None),
        _duration(budget.duration),
        None if budget.cost is UNSET else units.money(budget.cost),
        _or(budget.in_flight, None),
        None if budget.errors is UNSET else units.share(budget.errors),
        None if budget.throttled is UNSET else units.share(budget.throttled),
    )


def function_name(function: str) -> str:
    """The name in a URN or short form of one; ``hello`` where there is none."""
    found = named(function)
    return found.name if found is not None and found.name else DEFAULT_FUNCTION


def _scenario_emulator(doc: written.Scenario) -> Emulator:
    block = written.Emulator() if doc.emulator is UNSET else doc.emulator
    return emulator(block, seed=doc.seed, function=function_name(_function(doc)))


def _function(doc: written.Scenario) -> str:
    """The function that is meant: the one that is named, else that of the emulator."""
    if doc.target.function is not UNSET:
        return doc.target.function
    functions = {} if doc.emulator is UNSET else doc.emulator.functions
    return only_function({"functions": functions} if functions is not UNSET else {}) or DEFAULT_FUNCTION


def _emulated(name: str, function: written.EmulatedFunction) -> EmulatedFunction:
    return EmulatedFunction(
        name=name,
        memory_mb=units.megabytes(function.memory),
        work=Work(units.duration(function.work.median), function.work.sigma),
        cold_start=function.cold_start,
        max_instances=function.max_instances,
        dynamic_memory=function.dynamic_memory,
        errors=units.share(function.errors),
        timeout_ns=units.duration(function.timeout),
        concurrency=function.concurrency,
        reserved=function.reserved,
        initializer=None if function.initializer is UNSET else _initializer(function.initializer),
        memory_used_mb=None if function.memory_used is UNSET else units.megabytes(function.memory_used),
        faults=_injected(function.faults),
        probe=function.probe,
        instances=Instances(function.instances.sigma, units.share(function.instances.slow)),
        log_bytes=units.log_size(function.log),
    )


def _initializer(initializer: written.Initializer) -> Initializer:
    return Initializer(units.duration(initializer.median), initializer.sigma, units.duration(initializer.timeout))


def _injected(faults: written.Faults) -> tuple[Injected, ...]:
    return tuple(Injected(code, units.share(share)) for code, share in faults.items())


def _account(account: written.Account) -> Account:
    return Account(
        account.domain,
        account.username,
        account.password,
        account.agency,
        account.access_key,
        account.secret_key,
        _or(account.security_token, None),
    )


def _target(doc: written.Scenario, directory: Path) -> Target:
    target, has_event = doc.target, doc.event is not UNSET or doc.event_file is not UNSET
    timeout = Timeout(
        units.duration(target.timeout.connect),
        units.duration(target.timeout.first_byte),
        units.duration(target.timeout.total),
    )
    ca = None if target.tls.ca is UNSET else str((directory / target.tls.ca).absolute())
    tls = Tls(target.tls.verify, ca)
    fresh = target.connections == "fresh"
    if target.url is not UNSET:
        method = _or(target.method, "POST" if has_event else "GET")
        headers = tuple(_or(target.headers, {}).items())
        return HttpTarget(target.url, method, headers, fresh, timeout, tls, target.preflight)
    function = _function(doc)
    endpoint = _or(target.endpoint, "").rstrip("/")
    found = named(function)
    project_id = _or(target.project_id, (found and found.project) or DEFAULT_PROJECT)
    return FunctionTarget(
        endpoint=endpoint,
        project_id=project_id,
        function=function,
        auth=_auth(target.auth, endpoint, project_id),
        response=ResponseVersion(_or(target.response, "v0")),
        tail_share=_tail_share(target.log),
        memory_mb=None if target.memory is UNSET else units.megabytes(target.memory),
        fresh_connections=fresh,
        timeout=timeout,
        tls=tls,
        preflight=target.preflight,
        insecure_auth=target.insecure_auth,
    )


def _auth(auth: str | written.Auth, endpoint: str, project_id: str) -> Auth:
    if isinstance(auth, str):
        return EnvironmentAuth() if auth == "environment" else NoAuth()
    if auth.token is not UNSET:
        return TokenAuth(auth.token)
    if auth.iam is not UNSET:
        return _iam(auth.iam, endpoint, project_id)
    return KeyAuth(_or(auth.access_key, ""), _or(auth.secret_key, ""), _or(auth.security_token, None))


def _iam(iam: written.Iam, endpoint: str, project_id: str) -> IamAuth:
    domain = _or(iam.domain, "")
    agency = _or(iam.agency, None)
    return IamAuth(
        url=iam_origin(_or(iam.url, iam_of(endpoint) or "")),
        username=_or(iam.username, ""),
        password=_or(iam.password, ""),
        domain=domain,
        project=_or(iam.project, project_id),
        agency=agency,
        agency_domain=None if agency is None else _or(iam.agency_domain, domain),
    )


def _tail_share(log: str | written.LogTail | UnsetType) -> float:
    return units.share(log.tail) if isinstance(log, written.LogTail) else float(log == "tail")


def _feeder(feeder: written.Feeder, directory: Path, rows: int) -> Feeder:
    return Feeder(str((directory / feeder.file).absolute()), FeederOrder(feeder.order), rows)


def _phase(phase: written.Phase, timeout_ns: int, trace: Trace | None) -> Phase:
    shape = _shape(phase) if trace is None else trace
    duration_ns = shape.repeat * shape.gap_ns if isinstance(shape, Bursts) else units.duration(_or(phase.duration, ""))
    return Phase(
        name=phase.name,
        shape=shape,
        duration_ns=duration_ns,
        warmup=phase.warmup,
        arrivals=Arrivals(_or(phase.arrivals, "constant")),
        max_in_flight=_or(phase.max_in_flight, DEFAULT_MAX_IN_FLIGHT),
        max_lag_ns=_duration(phase.max_lag),
        grace_ns=timeout_ns if phase.grace is UNSET else units.duration(phase.grace),
    )


def _shape(phase: written.Phase) -> Shape:
    if phase.burst is not UNSET:
        return Bursts(phase.burst.size, units.duration(phase.burst.gap), phase.burst.repeat)
    if phase.workers is not UNSET:
        ramp = phase.workers
        return Workers(ramp, ramp) if isinstance(ramp, int) else Workers(ramp.from_, ramp.to)
    rate = phase.rate
    if isinstance(rate, str):
        return ConstantRate(units.rate(rate))
    assert rate is not UNSET, "a phase has one of rate, burst and workers; combination checks it"
    if rate.steps is not UNSET:
        return StepRates(tuple(units.rate(step) for step in rate.steps))
    return RampRate(units.rate(_or(rate.from_, "")), units.rate(_or(rate.to, "")))


def _cold_starts(doc: written.Scenario) -> ColdStarts:
    block = written.ColdStarts() if doc.cold_starts is UNSET else doc.cold_starts
    within = block.keep_alive
    own = None if doc.target.memory is UNSET else doc.target.memory
    sizes = [f"{size}MB" for size in MEMORY_SIZES_MB] if block.sizes is UNSET else block.sizes
    return ColdStarts(
        induce=tuple(Induce(each) for each in dict.fromkeys(block.induce)),
        gap_ns=units.duration(block.gap),
        burst=block.burst,
        cold=block.cold,
        warm=block.warm,
        keep_alive_ns=None if isinstance(within, str) else (units.duration(within.from_), units.duration(within.to)),
        sizes_mb=tuple(units.megabytes(size) for size in sizes if size != own),
        probe=None if block.probe is UNSET else Probe(block.probe.cold, block.probe.instance, block.probe.count),
        versions=tuple(_or(block.versions, [])),
    )


def _capacity(doc: written.Scenario, target: Target) -> Capacity:
    block = doc.capacity
    assert block is not UNSET
    rules = (rule.parse(text) for text in block.slo)
    return Capacity(
        slo=tuple(each for each in rules if isinstance(each, MetricRule | ShareRule)),
        from_rate=units.rate(block.from_),
        to_rate=units.rate(block.to),
        confirm_ns=units.duration(block.confirm),
        precision=units.share(block.precision),
        keep_alive_ns=units.duration(block.keep_alive),
        limit=_or(block.limit, _limit_of(doc, target)),
        max_in_flight=block.max_in_flight,
    )


def _memory(block: written.MemoryComparison) -> MemoryComparison:
    sizes = MEMORY_SIZES_MB if block.sizes is UNSET else tuple(units.megabytes(size) for size in block.sizes)
    rules = (rule.parse(text) for text in block.slo)
    return MemoryComparison(
        sizes_mb=tuple(sorted(sizes)),
        by=MemoryBy(block.by),
        blocks=block.blocks,
        rounds=block.rounds,
        slo=tuple(each for each in rules if isinstance(each, MetricRule | ShareRule)),
        tie=units.share(block.tie),
        gap_ns=units.duration(block.gap),
    )


def _limit_of(doc: written.Scenario, target: Target) -> int | None:
    """How many invocations may run at once: the emulator's setting, else a platform's default, which is a guess."""
    if not isinstance(target, FunctionTarget):
        return None
    if not target.emulated:
        return DEFAULT_LIMIT
    platform, name = _scenario_emulator(doc), function_name(target.function)
    function = next((each for each in platform.functions if each.name == name), None)
    if function is None or function.max_instances <= 0:
        return None
    return min(function.max_instances, platform.max_instances) * function.concurrency


def _duration(text: str | UnsetType) -> int | None:
    return None if text is UNSET else units.duration(text)


def _or(value: T | UnsetType, default: T) -> T:
    return default if value is UNSET else value
