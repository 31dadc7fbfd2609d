"""Rules about which blocks go together, on the data of a document that may have other faults.

Those within a block stand beside it. Each rule yields (path, message) for everything it finds. A key that is present
counts, whatever its value; values are looked at only where they fit (``form.INVALID`` is of no type).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from loadgen.experiments.capacity import block as capacity
from loadgen.experiments.coldstarts import block as cold_starts
from loadgen.experiments.memory import block as memory
from loadgen.invocation.bill import WRITE_PRICES
from loadgen.invocation.metric import Clock, Metric
from loadgen.load import phase as phases
from loadgen.load.mix import Mix
from loadgen.measure.rule import BaselineRule, CostRule, MetricRule, Rule, ShareRule, unwatched
from loadgen.scenario.calls import located, merged
from loadgen.scenario.model import EXPERIMENTS, LEAST_CATCH_UP_NS, OWN, FeederOrder
from loadgen.targets import body
from loadgen.targets.body import CONTENT
from loadgen.targets.endpoint import EMULATOR, loopback, url_fault
from loadgen.targets.functiongraph.protocol import platform
from loadgen.targets.port import Addresses, TargetError, Tenant
from loadgen.targets.registry import BUILT_IN, MEMORY_SIZES_MB, tenant_written
from loadgen.text.fault import Found, Path, show
from loadgen.text.form import INVALID, keys, listed, mapping
from loadgen.text.template import without_fields
from loadgen.text.units import NS_PER_S, duration_text, megabytes_text

_WRITE_PRICES = f"{WRITE_PRICES}, or the file of your own price book"
_PLATFORM_METRICS = frozenset(metric.value for metric in Metric if metric.kind.clock is not Clock.OURS)


def scenario(data: dict[str, Any]) -> Found:
    """Everything that does not go together in a scenario."""
    calls = [call for call in listed(data, "calls") if isinstance(call, dict)]
    target = mapping(merged(data, 0) if calls else data, "target")
    tenant = _tenant(target)
    yield from _kind(data, target, tenant)
    if "calls" in data:
        yield from _calls(data)
    elif isinstance(data.get("target"), dict):
        yield from _call(data)
    yield from _phases(data)
    yield from _catch_up(data)
    yield from _thresholds(data, target, tenant)
    yield from _money(data, tenant)
    yield from _in_flight(data)
    if "emulator" in data:
        yield from emulator(data)
        if target.get("endpoint") != "emulator":
            yield ("emulator",), "an emulator needs target.endpoint: emulator; write that, or remove this block"


def _call(data: dict[str, Any]) -> Found:
    """What does not go together in a call."""
    target = mapping(data, "target")
    tenant = _tenant(target)
    yield from _target(data, target, tenant)
    sent = [key for key in CONTENT if key in data]
    for key in sent[1:]:
        yield (key,), f"{sent[0]} is written too; keep one of them"
    yield from _body(data, tenant)


def _calls(data: dict[str, Any]) -> Found:
    for key in OWN:
        if key in data:
            yield (key,), "each call of a mix has its own; write it into calls"
    if data.get("kind") in ("cold-starts", "memory"):
        yield (
            ("calls",),
            f"kind: {data['kind']} is about one function; remove calls, and write what is called as target",
        )
    names: dict[str, int] = {}
    first: str | None = None
    for number, call in enumerate(listed(data, "calls")):
        if not isinstance(call, dict):
            continue
        one, real = merged(data, number), located(call, number)
        yield from ((real(path), message) for path, message in _call(one))
        if isinstance(name := call.get("name"), str):
            if name in names:
                yield ("calls", number, "name"), f'calls[{names[name]}] is called "{name}" too; names are unique'
            names.setdefault(name, number)
        if mapping(call, "feeder").get("order") is FeederOrder.ONCE:
            yield ("calls", number, "feeder", "order"), "got once, expected loop or random: a mix has no call that ends"
        origin = _origin(one["target"])
        if origin is not None and (first or origin) != origin:
            message = f"got {origin}, but another call goes to {first}: all calls of a mix go to one host and port"
            yield real(("target", "url")), message
        first = first or origin
    weights = [call.get("weight", 1) for call in listed(data, "calls") if isinstance(call, dict)]
    if weights and all(isinstance(weight, int) for weight in weights):
        try:
            Mix(weights, 0)
        except ValueError as error:
            yield ("calls",), f"{error}; write smaller ones, such as 60, 30 and 10"


def _origin(target: dict[str, Any]) -> str | None:
    """The scheme, host and port of a url, where it is one."""
    url = target.get("url")
    if not isinstance(url, str) or url_fault(url, origin=False):
        return None
    parts = urlsplit(without_fields(url))
    return f"{parts.scheme}://{parts.netloc}".lower()


def _body(data: dict[str, Any], tenant: Tenant[Any] | None) -> Found:
    block = mapping(data, "body")
    if isinstance(data.get("body"), dict):
        yield from _at("body", body.rules(block))
    if tenant is not None and tenant.only_json:
        for key in ("form", "type"):
            if key in block:
                yield ("body", key), f"{tenant.noun} is always called with application/json; remove it"


def _tenant(target: dict[str, Any]) -> Tenant[Any] | None:
    """Whose target it is; None where that is not to be known."""
    try:
        return tenant_written(target) if target else None
    except TargetError:  # said where it is written
        return None


def emulator(data: dict[str, Any]) -> Found:
    """Everything that does not go together in an emulator block."""
    yield from _at("emulator", platform.rules(mapping(data, "emulator")))


def _at(key: str, found: Found, *below: int) -> Found:
    """What was found in a block, by its path in the document."""
    return (((key, *below, *path), message) for path, message in found)


def _target(data: dict[str, Any], target: dict[str, Any], tenant: Tenant[Any] | None) -> Found:
    if tenant is None:
        yield ("target",), "endpoint or url is missing: write endpoint: emulator, the platform's origin, or a url"
    else:
        others = (key for each in BUILT_IN for key in keys(each.form))
        yield from tenant.rules(data, [key for key in dict.fromkeys(others) if key not in keys(tenant.form)])
    for each in BUILT_IN:
        yield from each.key_rules(data)
    tls = mapping(target, "tls")
    if tls.get("verify") is False and "ca" in tls:
        yield ("target", "tls", "ca"), "a ca is unused with verify: false; remove one of them"
    if "key" in tls and "cert" not in tls:
        yield ("target", "tls", "key"), "cert is missing: a key goes with a certificate"
    yield from _address(target, tenant)


def _address(target: dict[str, Any], tenant: Tenant[Any] | None) -> Found:
    address = target.get("address")
    rotates = target.get("addresses") is Addresses.ROTATE
    if "address" in target and rotates:
        yield ("target", "addresses"), "address is written too, which pins one; keep one of them"
    if target.get("endpoint") == EMULATOR:
        for key, written in (("address", "address" in target), ("addresses", rotates)):
            if written:
                yield ("target", key), "the emulator is on this machine; remove it"
    if not isinstance(address, str):
        return
    try:
        found = ip_address(address)
    except ValueError:
        yield ("target", "address"), f"got {show(address)}, expected an address such as 192.0.2.7 or 2001:db8::7"
        return
    host = target.get(tenant.key) if tenant is not None else None
    if isinstance(host, str) and loopback(host) and not found.is_loopback:
        yield ("target", "address"), f"got {address}, but the host is this machine; write the host that is meant"


def _kind(data: dict[str, Any], target: dict[str, Any], tenant: Tenant[Any] | None) -> Found:
    kind = data.get("kind", "load")
    for key in EXPERIMENTS:
        if key in data and kind not in (key, INVALID):
            yield (key,), f"this block belongs to kind: {key}, but this is kind: {kind}; remove one of them"
    if kind in EXPERIMENTS and data.get("phases"):
        yield ("phases",), f"kind: {kind} makes its own load; remove phases"
    if kind == "capacity":
        yield from _capacity(data)
    if kind == "cold-starts":
        yield from _cold_starts(data, target, tenant)
    if kind == "memory":
        yield from _memory(data, target, tenant)


def _capacity(data: dict[str, Any]) -> Found:
    if "capacity" not in data:
        yield ("kind",), "what must hold is missing: write capacity: {slo: [latency.p99 < 250ms, errors < 0.1%]}"
    if data.get("thresholds"):
        yield ("thresholds",), "kind: capacity goes beyond what its target can take; write the rules as capacity.slo"
    block = mapping(data, "capacity")
    yield from _at("capacity", capacity.rules(block))
    for index, parsed in enumerate(listed(block, "slo")):
        if parsed is not INVALID:
            yield from ((("capacity", "slo", index), message) for message in _call_named(parsed, data))


def _memory(data: dict[str, Any], target: dict[str, Any], tenant: Tenant[Any] | None) -> Found:
    if tenant is not None and not tenant.bills:
        message = f"memory sizes are those of a function, but the target is {tenant.noun}; write endpoint and function"
        yield ("kind",), message
    by_header = mapping(data, "memory").get("by", memory.MemoryBy.HEADER) is memory.MemoryBy.HEADER
    if tenant is not None and tenant.bills and not tenant.asks_memory and by_header:
        message = f"got header, but no call of {tenant.noun} can ask for a memory size; write config"
        yield ("memory", "by"), message
    if "memory" in target:
        yield ("target", "memory"), "kind: memory chooses the sizes itself; remove it, or write memory.sizes"
    if target.get("connections") is True:
        yield ("target", "connections"), "opening connections would be part of what is compared; write reuse"
    yield from _at("memory", memory.rules(mapping(data, "memory")))
    yield from _sizes(data, "memory", tenant)


def _cold_starts(data: dict[str, Any], target: dict[str, Any], tenant: Tenant[Any] | None) -> Found:
    if tenant is not None and not tenant.told:
        message = f"cold starts are those of a function, but the target is {tenant.noun}; write endpoint and function"
        yield ("kind",), message
    if target.get("connections") is True:
        yield ("target", "connections"), "opening connections would hide what cold starts cost; write reuse"
    block = mapping(data, "cold-starts")
    if tenant is not None and tenant.told:
        yield from _induced(block, tenant)
    yield from _at("cold-starts", cold_starts.rules(block, tenant is not None and tenant.shows_starts(target)))
    yield from _sizes(data, "cold-starts", tenant)
    gap_ns, lives_ns = cold_starts.silence_ns(block), mapping(data, "emulator").get("keep_alive", 60 * NS_PER_S)
    emulated = target.get("endpoint") == "emulator" and isinstance(lives_ns, int)
    if emulated and gap_ns is not None and gap_ns < lives_ns:
        gap, lives = duration_text(gap_ns), duration_text(lives_ns)
        message = f"gap is {gap}, and the emulator keeps an idle instance for {lives}, so nothing would be cold"
        yield ("cold-starts", "gap"), f"{message}; write a longer gap, or a shorter emulator.keep_alive"


def _sizes(data: dict[str, Any], key: str, tenant: Tenant[Any] | None) -> Found:
    """Memory sizes that the target's tenant does not have."""
    known = (tenant and tenant.memory_sizes_mb) or MEMORY_SIZES_MB
    for index, size in enumerate(listed(mapping(data, key), "sizes")):
        if isinstance(size, int) and size not in known:
            expected = ", ".join(map(megabytes_text, known))
            yield (key, "sizes", index), f'got "{megabytes_text(size)}", expected one of {expected}'


def _induced(block: dict[str, Any], tenant: Tenant[Any]) -> Found:
    """Ways to bring about cold starts by what no call can ask for."""
    asked = {
        cold_starts.Induce.MEMORY: tenant.asks_memory and tenant.bills,
        cold_starts.Induce.VERSION: tenant.asks_version,
    }
    for index, mean in enumerate(listed(block, "induce")):
        if asked.get(mean) is False:
            message = f"got {mean.value}, but no call of {tenant.noun} can ask for one; write gap or burst"
            yield ("cold-starts", "induce", index), message


def _catch_up(data: dict[str, Any]) -> Found:
    catch_up_ns = data.get("catch_up")
    if isinstance(catch_up_ns, int) and catch_up_ns < LEAST_CATCH_UP_NS:
        yield (
            ("catch_up",),
            f"got {duration_text(catch_up_ns)}, expected at least 100ms: a wake-up is that late on a busy machine "
            "without any pause",
        )


def _phases(data: dict[str, Any]) -> Found:
    if not isinstance(data.get("phases", []), list):
        return
    names: dict[str, int] = {}
    found = listed(data, "phases")
    for index, phase in enumerate(found):
        if not isinstance(phase, dict):
            continue
        yield from _at("phases", phases.rules(phase), index)
        name = phase.get("name")
        if isinstance(name, str):
            if name in names:
                yield ("phases", index, "name"), f'phases[{names[name]}] is called "{name}" too; names are unique'
            names.setdefault(name, index)
    if data.get("kind", "load") == "load" and not any(_measured(phase) for phase in found):
        where: Path = ("phases",) if "phases" in data else ()
        yield where, "no measured phase: write at least one phase without warmup: true"


def _measured(phase: object) -> bool:
    return not isinstance(phase, dict) or phase.get("warmup", False) is not True


def _thresholds(data: dict[str, Any], target: dict[str, Any], tenant: Tenant[Any] | None) -> Found:
    found = (each for each in listed(data, "phases") if isinstance(each, dict))
    known = {each["name"]: each for each in found if isinstance(each.get("name"), str)}
    for index, parsed in enumerate(listed(data, "thresholds")):
        if parsed is not INVALID:
            for message in _threshold(parsed, known, data, target, tenant):
                yield ("thresholds", index), message


def _threshold(
    parsed: Rule,
    known: dict[str, dict[str, Any]],
    data: dict[str, Any],
    target: dict[str, Any],
    tenant: Tenant[Any] | None,
) -> Iterator[str]:
    if parsed.phase is not None and parsed.phase not in known:
        names = ", ".join(name for name, phase in known.items() if _measured(phase))
        yield f'there is no phase "{parsed.phase}"; measured phases: {names or "none"}'
    elif parsed.phase is not None and not _measured(known[parsed.phase]):
        yield f'"{parsed.phase}" only warms up, so it is not judged; name a measured phase'
    yield from _call_named(parsed, data)
    yield from _windows(parsed, known, data)
    if isinstance(parsed, BaselineRule) and parsed.phase is None:
        measured = [name for name, phase in known.items() if _measured(phase)]
        if len(measured) > 1:
            one = f"{measured[0]}:{parsed.text}"
            yield f"each phase is compared with its own of the baseline; write it for one, such as {one}"
    of_cost = isinstance(parsed, CostRule) or (isinstance(parsed, BaselineRule) and parsed.what == "cost")
    if of_cost and tenant is not None and not tenant.bills:
        yield f"{tenant.noun} tells no bills, so cost is not known; remove this rule"
    elif of_cost and "prices" not in data:
        yield f"cost needs prices; {_WRITE_PRICES}"
    if (
        isinstance(parsed, MetricRule | BaselineRule)
        and parsed.start is not None
        and not _tells_starts(data, target, tenant)
    ):
        yield (
            "cold and warm starts are told apart by a probe (target.probe), by the log (target.log), or after a "
            f"warm-up phase; write one of them, or remove {parsed.start}."
        )
    if tenant is None or tenant.told:
        return
    metric = parsed.metric.value if isinstance(parsed, MetricRule) else getattr(parsed, "what", None)
    if metric in _PLATFORM_METRICS:
        yield f"{metric} {tenant.untold}; {tenant.noun} has latency and service_time"


def _windows(parsed: Rule, known: dict[str, dict[str, Any]], data: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the windows that a rule is about."""
    if data.get("kind", "load") not in ("load", INVALID):
        if (fault := unwatched(parsed)) is not None:
            yield fault
        return
    if not isinstance(parsed, MetricRule | ShareRule) or parsed.over_ns is None:
        return
    about = [phase for name, phase in known.items() if _measured(phase) and parsed.phase in (None, name)]
    lengths = [phases.length_ns(phase) for phase in about]
    longest_ns = max((length for length in lengths if length is not None), default=None)
    if None not in lengths and longest_ns is not None and longest_ns < parsed.over_ns:
        whose = f'"{parsed.phase}" lasts' if parsed.phase is not None else "the longest measured phase lasts"
        window, longest = duration_text(parsed.over_ns), duration_text(longest_ns)
        yield f"got over {window}, but {whose} {longest}, and a window lies within a phase; write a shorter one"


def _call_named(parsed: Rule, data: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the call that a rule is about."""
    written = [call.get("name") for call in listed(data, "calls") if isinstance(call, dict)]
    if parsed.call is None or parsed.call in written:
        return
    calls = dict.fromkeys(name for name in written if isinstance(name, str))
    if not calls:
        yield f'there is no call "{parsed.call}", as there is no mix of calls; remove {parsed.call}/'
    else:
        yield f'there is no call "{parsed.call}"; calls: {", ".join(map(str, calls))}'


def _tells_starts(data: dict[str, Any], target: dict[str, Any], tenant: Tenant[Any] | None) -> bool:
    """Whether invocations may get a label: by the log, after a warm-up phase of a function, or by the experiment."""
    warms = any(isinstance(each, dict) and each.get("warmup") is True for each in listed(data, "phases"))
    labels = data.get("kind") in ("cold-starts", "memory")
    if tenant is None or warms or labels:
        return tenant is None or tenant.told
    calls = [call for call in listed(data, "calls") if isinstance(call, dict)]
    return tenant.told and any(tenant.shows_starts({**target, **call}) for call in calls or [{}])


def _money(data: dict[str, Any], tenant: Tenant[Any] | None) -> Found:
    limited = "cost" in mapping(data, "budget")
    if tenant is not None and not tenant.bills:
        if "prices" in data:
            yield ("prices",), f"these are prices of functions, but the target is {tenant.noun}; remove them"
        if limited:
            yield ("budget", "cost"), f"{tenant.noun} tells no bills, so money is not known; write budget.invocations"
    elif limited and "prices" not in data:
        yield ("budget", "cost"), f"this needs prices; {_WRITE_PRICES}, or budget.invocations instead"


def _in_flight(data: dict[str, Any]) -> Found:
    """A budget of invocations in flight that a phase exceeds by what it is, rather than by how the target does."""
    most = mapping(data, "budget").get("in_flight")
    if not isinstance(most, int):
        return
    for index, phase in enumerate(listed(data, "phases")):
        for key, needed in phases.at_once(phase) if isinstance(phase, dict) else ():
            if needed > most:
                yield ("phases", index, key), f"{needed} call at once, more than budget.in_flight, which is {most}"
