"""Rules about which values go together, on the plain data of a document that may have other faults.

Each rule yields (path, message) for everything it finds. A key that is present counts, whatever its value; values are
looked at only where they fit (``shape.INVALID`` is no text, no number and no mapping).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from loadgen.invocation.metric import Clock, Metric
from loadgen.measure import rule
from loadgen.measure.findings import LEAST_CALIBRATION, LEAST_COLD
from loadgen.measure.rule import CostRule, MetricRule, Rule, ShareRule
from loadgen.scenario.model import LEAST_CATCH_UP_NS
from loadgen.targets.endpoint import iam_of, iam_origin, in_clear
from loadgen.targets.functiongraph.protocol.function import named
from loadgen.targets.functiongraph.protocol.platform_codes import is_fault
from loadgen.text import units
from loadgen.text.fault import Path, show
from loadgen.text.template import GAP, PLACEHOLDER, without_fields

Found = Iterator[tuple[Path, str]]

DEFAULT_FUNCTION = "hello"
_WRITE_PRICES = "write prices: huawei-cny-2024-09, or the file of your own price book"
EXPERIMENTS = ("cold-starts", "capacity", "memory")
SHAPES = ("rate", "burst", "workers", "trace")
_PLATFORM_METRICS = frozenset(metric for metric in Metric if metric.kind.clock is not Clock.OURS)
_WITHOUT_BODY = frozenset({"CONNECT", "TRACE"})
"""Methods whose requests have no content. Source: RFC 9110, 9.3.6 and 9.3.8."""
_OF_A_SIZE = frozenset({Metric.LATENCY, Metric.LATENCY_ALL, Metric.SERVICE_TIME, Metric.DURATION})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")  # RFC 9110, 5.6.2
_CREDENTIALS = frozenset({"authorization", "cookie", "x-auth-token", "x-security-token", "x-api-key"})
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer"})


def scenario(data: dict[str, Any]) -> Found:
    """Everything that does not go together in a scenario."""
    target = _mapping(data, "target")
    yield from _kind(data)
    yield from _target(target, data)
    yield from _auth(target)
    yield from _event(data)
    yield from _phases(data)
    yield from _catch_up(data)
    yield from _thresholds(data, target)
    yield from _money(data, target)
    yield from _in_flight(data)
    if "emulator" in data:
        yield from emulator(data)
        if target.get("endpoint") != "emulator":
            yield ("emulator",), "an emulator needs target.endpoint: emulator; write that, or remove this block"


def emulator(data: dict[str, Any]) -> Found:
    """Everything that does not go together in an emulator block."""
    block = _mapping(data, "emulator")
    yield from _faults(_mapping(block, "management"), ("emulator", "management"))
    for name, function in _mapping(block, "functions").items():
        path: Path = ("emulator", "functions", name)
        if not re.match(r"[A-Za-z][A-Za-z0-9_-]{0,59}\Z", name):
            yield path, "expected a function name: a letter, then letters, digits, - or _"
        if isinstance(function, dict):
            yield from _faults(function, path)


def _faults(block: dict[str, Any], path: Path) -> Found:
    faults = _mapping(block, "faults")
    for code in faults:
        if not is_fault(code):
            yield (
                (*path, "faults", code),
                f"got {show(code)}, expected a documented FSS. or APIG. code, an engine code such as 4205, "
                "502, 503 or 504 for a proxy's page, or close",
            )
    if sum(units.share(share) for share in faults.values() if isinstance(share, str)) > 1 + 1e-9:
        yield (*path, "faults"), "the shares add up to more than 100%"


def url_fault(url: str, *, origin: bool) -> str | None:
    """What is wrong with a URL (or, with ``origin``, one without path), completing "got …"; None when it is right."""
    url = url if origin else without_fields(url)
    try:
        parts = urlsplit(url)
        if GAP in parts.netloc:
            return "expected placeholders in the path and the query only, as all calls go to one host and port"
        if not parts.hostname or parts.port == 0:
            return "expected a host and a port from 1 to 65535"
        parts.hostname.encode("idna")  # as looking it up does
    except UnicodeError:
        return "expected a host whose parts between dots have 1 to 63 characters"
    except ValueError as error:
        return f"this is not a URL: {error}"
    if "@" in parts.netloc:
        return "expected no user or password in it; write credentials as a header or as auth"
    if "#" in url:
        return "expected no fragment (#…), which is never sent"
    if origin and (parts.path not in ("", "/") or "?" in url):
        return f"expected an origin only: {parts.scheme}://{parts.netloc}"
    return None


def _kind(data: dict[str, Any]) -> Found:
    kind = data.get("kind", "load")
    for key in EXPERIMENTS:
        if key in data and kind != key:
            yield (key,), f"this block belongs to kind: {key}, but this is kind: {kind}; remove one of them"
    if kind in EXPERIMENTS and data.get("phases"):
        yield ("phases",), f"kind: {kind} makes its own load; remove phases"
    if kind == "capacity":
        yield from _capacity(data)
    if kind == "cold-starts":
        yield from _cold_starts(_mapping(data, "cold-starts"), _mapping(data, "target"))
        if _mapping(data, "target").get("endpoint") == "emulator":
            yield from _silence(data)
    if kind == "memory":
        yield from _memory(_mapping(data, "memory"), _mapping(data, "target"))


def _capacity(data: dict[str, Any]) -> Found:
    if "capacity" not in data:
        yield ("kind",), "what must hold is missing: write capacity: {slo: [latency.p99 < 250ms, errors < 0.1%]}"
    if data.get("thresholds"):
        yield ("thresholds",), "kind: capacity goes beyond what its target can take; write the rules as capacity.slo"
    block = _mapping(data, "capacity")
    for index, text in enumerate(_texts(block.get("slo"))):
        if text is not None and (fault := _slo_fault(rule.parse(text))):
            yield ("capacity", "slo", index), fault
    ends = [block.get("from", "1/s"), block.get("to", "1000/s")]
    if all(isinstance(end, str) for end in ends) and units.rate(ends[0]).per_s >= units.rate(ends[1]).per_s:
        yield ("capacity",), f"from is {ends[0]} and to is {ends[1]}; from must be the smaller rate"
    if isinstance(block.get("precision"), str) and not 0.001 <= units.share(block["precision"]) <= 0.5:
        yield ("capacity", "precision"), f"got {block['precision']}, expected a share from 0.1% to 50%"


def _slo_fault(parsed: Rule) -> str | None:
    """Why a rule cannot be one of a rate that is searched for; None when it can."""
    if parsed.phase is not None:
        return f"the search makes its own phases; remove {parsed.phase}:"
    if isinstance(parsed, MetricRule):
        if parsed.metric not in (Metric.LATENCY, Metric.LATENCY_ALL) or parsed.start is not None:
            return "expected a percentile of latency, which is what a caller waits, such as latency.p99 < 250ms"
        if parsed.percentile is None or parsed.percentile < 50:
            return "expected a percentile from p50 up, such as latency.p99 < 250ms, which says how many may be slower"
        return None
    if isinstance(parsed, ShareRule):
        return None if 0 < parsed.limit < 1 else "expected a share above 0% and below 100%, which can be shown to hold"
    return "expected a percentile of latency such as latency.p99 < 250ms, or a share such as errors < 0.1%"


def _memory(block: dict[str, Any], target: dict[str, Any]) -> Found:
    if "url" in target:
        yield ("kind",), "memory sizes are those of a function, but the target is a url; write endpoint and function"
    if "memory" in target:
        yield ("target", "memory"), "kind: memory chooses the sizes itself; remove it, or write memory.sizes"
    if target.get("connections") == "fresh":
        yield ("target", "connections"), "opening connections would be part of what is compared; write reuse"
    for index, text in enumerate(_texts(block.get("slo"))):
        if text is not None and (fault := _size_rule_fault(rule.parse(text))):
            yield ("memory", "slo", index), fault
    yield from _twice(("memory", "sizes"), block.get("sizes"))


def _size_rule_fault(parsed: Rule) -> str | None:
    """Why a rule cannot be one that a memory size has to meet; None when it can."""
    if parsed.phase is not None:
        return f"the comparison makes its own phases; remove {parsed.phase}:"
    if isinstance(parsed, MetricRule):
        if parsed.start is not None:
            return f"rules are about warm calls; remove {parsed.start}."
        if parsed.metric not in _OF_A_SIZE or parsed.percentile is None or parsed.percentile < 50:
            return "expected a percentile from p50 up of latency, service_time or duration, such as latency.p99 < 300ms"
        return None
    if isinstance(parsed, ShareRule) and parsed.what == "errors":
        return None if 0 < parsed.limit < 1 else "expected a share above 0% and below 100%, which can be shown to hold"
    return "expected a percentile such as latency.p99 < 300ms, or errors < 1%"


def _cold_starts(block: dict[str, Any], target: dict[str, Any]) -> Found:
    if "url" in target:
        yield ("kind",), "cold starts are those of a function, but the target is a url; write endpoint and function"
    if target.get("connections") == "fresh":
        yield ("target", "connections"), "opening connections would hide what cold starts cost; write reuse"
    within = block.get("keep_alive")
    if isinstance(within, dict):
        ends = [within.get("from", "10s"), within.get("to", "120s")]
        if all(isinstance(end, str) for end in ends) and units.duration(ends[0]) >= units.duration(ends[1]):
            yield ("cold-starts", "keep_alive"), f"from is {ends[0]} and to is {ends[1]}; from must be the shorter time"
    induce = block.get("induce")
    means = induce if isinstance(induce, list) else []
    for key, name in (("sizes", "memory"), ("versions", "version")):
        if key in block and name not in means:
            yield ("cold-starts", key), f"{key} are for induce: [{name}], which is not written; remove one of them"
    if "version" in means and "versions" not in block:
        yield (
            ("cold-starts", "induce"),
            'version needs names: write versions: ["v1", "!prod"], those of versions or of aliases',
        )
    yield from _twice(("cold-starts", "versions"), block.get("versions"))
    yield from _twice(("cold-starts", "induce"), induce)
    if "probe" in block or target.get("log", "none") != "none":
        return
    for key, least in (("cold", LEAST_COLD), ("warm", LEAST_CALIBRATION)):
        count = block.get(key)
        if isinstance(count, int) and count < least:
            yield (
                ("cold-starts", key),
                f"got {count}, and cold calls are told from warm ones by at least {least} {key} ones; write more, or "
                "probe for a function that tells by itself",
            )


def _silence(data: dict[str, Any]) -> Found:
    """Silence after which the emulator still has its instances."""
    block, means = _mapping(data, "cold-starts"), _mapping(data, "cold-starts").get("induce", ["gap", "burst"])
    gap, lives = block.get("gap", "90s"), _mapping(data, "emulator").get("keep_alive", "60s")
    if not isinstance(means, list) or not {"gap", "burst"} & set(_texts(means)):
        return
    if isinstance(gap, str) and isinstance(lives, str) and units.duration(gap) < units.duration(lives):
        message = f"gap is {gap}, and the emulator keeps an idle instance for {lives}, so nothing would be cold"
        yield ("cold-starts", "gap"), f"{message}; write a longer gap, or a shorter emulator.keep_alive"


def _twice(path: Path, items: object) -> Found:
    """Texts of a list that were there before."""
    seen: set[str] = set()
    for index, item in enumerate(_texts(items)):
        if item in seen:
            yield (*path, index), f"{item} is written twice; remove one of them"
        if item is not None:
            seen.add(item)


def _target(target: dict[str, Any], data: dict[str, Any]) -> Found:
    if "url" in target:
        yield from _http_target(target)
    elif "endpoint" in target:
        yield from _function_target(target, data)
    elif isinstance(data.get("target"), dict):
        yield ("target",), "endpoint or url is missing: write endpoint: emulator, the platform's origin, or a url"
    tls = _mapping(target, "tls")
    if tls.get("verify") is False and "ca" in tls:
        yield ("target", "tls", "ca"), "a ca is unused with verify: false; remove one of them"


def _http_target(target: dict[str, Any]) -> Found:
    for key in ("endpoint", "project_id", "function", "auth", "response", "log", "memory"):
        if key in target:
            yield ("target", key), f"{key} belongs to a function, but this target is a url; remove one of them"
    headers = _mapping(target, "headers")
    yield from _headers(headers)
    url = target["url"]
    if not isinstance(url, str):
        return
    if fault := url_fault(url, origin=False):
        yield ("target", "url"), f"got {_without_user(url)}, {fault}"
        return
    for name in headers:
        if name.lower() in _CREDENTIALS:
            yield from _in_clear(("target", "headers", name), url, target, f"the header {name}")


def _function_target(target: dict[str, Any], data: dict[str, Any]) -> Found:
    for key in ("method", "headers"):
        if key in target:
            yield ("target", key), f"{key} belongs to a url, but this target is a function; remove it"
    endpoint = target["endpoint"]
    if isinstance(endpoint, str) and endpoint != "emulator" and (fault := url_fault(endpoint, origin=True)):
        yield ("target", "endpoint"), f"got {_without_user(endpoint)}, {fault}"
    if "function" not in target and (endpoint != "emulator" or only_function(_mapping(data, "emulator")) is None):
        yield ("target",), "function is missing: its URN or its name"
    elif "project_id" not in target and endpoint != "emulator" and not _names_project(target.get("function")):
        yield ("target",), "project_id is missing: the function's name alone does not say which project it is in"


def _headers(headers: dict[str, Any]) -> Found:
    seen: set[str] = set()
    for name, value in headers.items():
        path: Path = ("target", "headers", name)
        if not _TOKEN.match(name):
            yield path, f"got the header name {show(name)}, expected letters, digits and dashes"
        elif name.lower() in seen:
            yield path, "the same header is written twice; header names do not depend on case"
        elif name.lower() in _FRAMING:
            yield path, "this header follows from the event and target.connections; remove it"
        elif isinstance(value, str) and not re.match(r"[\t -~]*\Z", PLACEHOLDER.sub("", value)):
            yield path, "got a line break or a character that is not ASCII, expected printable ASCII"
        seen.add(name.lower())


def _auth(target: dict[str, Any]) -> Found:
    auth, endpoint = target.get("auth", "none"), target.get("endpoint")
    if auth != "none" and isinstance(endpoint, str) and not url_fault(endpoint, origin=True):
        yield from _in_clear(("target", "endpoint"), endpoint, target)
    if not isinstance(auth, dict):
        return
    where: Path = ("target", "auth")
    kinds = [key for key in ("token", "iam", "access_key") if key in auth]
    if not auth:
        yield where, 'got an empty mapping, expected {token: "${NAME}"}, none, or environment'
    for key in kinds[1:]:
        yield (*where, key), f"{kinds[0]} is written too; requests carry one kind of credentials, so keep one of them"
    for key, other in (("access_key", "secret_key"), ("secret_key", "access_key"), ("security_token", "access_key")):
        if key in auth and other not in auth:
            yield (*where, key), f"{other} is missing; {key} goes with it"
    if isinstance(auth.get("iam"), dict):
        yield from _iam(auth["iam"], target)


def _iam(iam: dict[str, Any], target: dict[str, Any]) -> Found:
    where: Path = ("target", "auth", "iam")
    if missing := [key for key in ("username", "password", "domain") if key not in iam]:
        yield where, f"{' and '.join(missing)} missing: a token is given for username, password and domain"
    if "agency_domain" in iam and "agency" not in iam:
        yield (*where, "agency_domain"), "agency is missing; agency_domain goes with it"
    url, endpoint = iam.get("url"), target.get("endpoint")
    if isinstance(url, str):
        if fault := url_fault(iam_origin(url), origin=True):
            yield (*where, "url"), f"got {_without_user(url)}, {fault}"
        else:
            yield from _in_clear((*where, "url"), url, target)
    elif "url" not in iam and isinstance(endpoint, str) and iam_of(endpoint) is None:
        yield where, "url is missing: the endpoint does not say where IAM is; write its origin"


def _in_clear(path: Path, url: str, target: dict[str, Any], credentials: str = "auth") -> Found:
    if in_clear(url) and target.get("insecure_auth") is not True:
        message = "credentials would cross the network for anyone to read; write https://"
        yield path, f"got {show(url)} with {credentials}: {message}, or force it with target.insecure_auth: true"


def _event(data: dict[str, Any]) -> Found:
    method = _mapping(data, "target").get("method")
    for key in ("event", "event_file"):
        if key in data and method in _WITHOUT_BODY:
            yield (
                (key,),
                f"a {method} request has no body, so this would not be sent; remove it, or write target.method",
            )
    if "event" in data and "event_file" in data:
        yield ("event_file",), "event is written too; keep one of them"


def _catch_up(data: dict[str, Any]) -> Found:
    written = data.get("catch_up")
    if isinstance(written, str) and units.duration(written) < LEAST_CATCH_UP_NS:
        yield (
            ("catch_up",),
            (f"got {written}, expected at least 100ms: a wake-up is that late on a busy machine without any pause"),
        )


def _phases(data: dict[str, Any]) -> Found:
    phases = data.get("phases", [])
    if not isinstance(phases, list):
        return
    names: dict[str, int] = {}
    for index, phase in enumerate(phases):
        if not isinstance(phase, dict):
            continue
        path: Path = ("phases", index)
        yield from (((*path, *below), message) for below, message in _phase(phase))
        name = phase.get("name")
        if isinstance(name, str):
            if name in names:
                yield (*path, "name"), f'phases[{names[name]}] is called "{name}" too; names are unique'
            names.setdefault(name, index)
    if data.get("kind", "load") == "load" and not any(_measured(phase) for phase in phases):
        where: Path = ("phases",) if "phases" in data else ()
        yield where, "no measured phase: write at least one phase without warmup: true"


def _measured(phase: object) -> bool:
    return not isinstance(phase, dict) or phase.get("warmup", False) is not True


def _phase(phase: dict[str, Any]) -> Found:
    shapes = [key for key in SHAPES if key in phase]
    if not shapes:
        yield (), "no load: write one of rate, burst, workers and trace"
    for key in shapes[1:]:
        yield (key,), f"{shapes[0]} is written too; a phase has one of rate, burst, workers and trace"
    if "trace" in phase and "arrivals" in phase:
        yield ("arrivals",), "a trace has its own arrivals; remove arrivals"
    if isinstance(phase.get("trace"), dict) and phase["trace"].get("keep") in ("0%", "0.0%"):
        yield ("trace", "keep"), "nothing would be kept, so there would be no load"
    if "workers" in shapes:
        for key in ("arrivals", "max_in_flight", "max_lag"):
            if key in phase:
                yield (key,), f"{key} belongs to an open phase, but workers start when they are free; remove it"
    if "burst" in shapes:
        yield from _burst(phase, shapes)
    elif "duration" not in phase:
        yield (), "duration is missing: how long the phase lasts"
    yield from _rate(phase.get("rate"))


def _burst(phase: dict[str, Any], shapes: list[str]) -> Found:
    if "duration" in phase and shapes == ["burst"]:
        yield ("duration",), "a burst phase lasts repeat times gap; remove duration"
    if phase.get("arrivals") == "poisson":
        yield ("arrivals",), "the starts of a burst are all at once; remove arrivals"
    burst = phase["burst"]
    if isinstance(burst, dict) and isinstance(burst.get("gap"), str) and isinstance(burst.get("repeat", 1), int):
        longest = units.LONGEST_NS // units.duration(burst["gap"])
        if burst.get("repeat", 1) > longest:
            yield ("burst", "repeat"), "the phase would last more than a year"


def _rate(rate: object) -> Found:
    if not isinstance(rate, dict):
        return
    ends = [key for key in ("from", "to") if key in rate]
    if "steps" in rate:
        for key in ends:
            yield ("rate", key), f"steps is written too; write either steps, or from and to (not {key} alone)"
        if _all_zero(rate["steps"]):
            yield ("rate", "steps"), "every step is zero, so there would be no load"
    elif len(ends) < 2:
        missing = " and ".join(key for key in ("from", "to") if key not in ends)
        yield ("rate",), f"{missing} missing: a changing rate is {{from: 10/s, to: 200/s}} or {{steps: [50/s, 100/s]}}"
    elif _all_zero([rate["from"], rate["to"]]):
        yield ("rate",), "both ends are zero, so there would be no load"


def _all_zero(rates: object) -> bool:
    return isinstance(rates, list) and all(isinstance(text, str) and not units.rate(text).events for text in rates)


def _thresholds(data: dict[str, Any], target: dict[str, Any]) -> Found:
    phases = data.get("phases", [])
    known = {p["name"]: p for p in _mappings(phases) if isinstance(p.get("name"), str)}
    for index, text in enumerate(_texts(data.get("thresholds"))):
        path: Path = ("thresholds", index)
        if text is None:
            continue
        parsed = rule.parse(text)
        if parsed.phase is not None and parsed.phase not in known:
            names = ", ".join(name for name, phase in known.items() if _measured(phase))
            yield path, f'there is no phase "{parsed.phase}"; measured phases: {names or "none"}'
        elif parsed.phase is not None and not _measured(known[parsed.phase]):
            yield path, f'"{parsed.phase}" only warms up, so it is not judged; name a measured phase'
        if isinstance(parsed, CostRule) and "prices" not in data:
            yield path, f"cost needs prices; {_WRITE_PRICES}"
        if isinstance(parsed, MetricRule) and parsed.start is not None and not _tells_starts(data, target):
            yield (
                path,
                f"cold and warm starts are told apart after a warm-up phase; write one, or remove {parsed.start}.",
            )
        if "url" in target and isinstance(parsed, MetricRule) and parsed.metric in _PLATFORM_METRICS:
            yield path, f"{parsed.metric.value} is what FunctionGraph reports; a url has latency and service_time"


def _money(data: dict[str, Any], target: dict[str, Any]) -> Found:
    if "prices" in data and "url" in target:
        yield ("prices",), "these are prices of functions, but the target is a url; remove them"
    if "cost" in _mapping(data, "budget") and "prices" not in data:
        yield ("budget", "cost"), f"this needs prices; {_WRITE_PRICES}, or budget.invocations instead"


def _in_flight(data: dict[str, Any]) -> Found:
    """A budget of invocations in flight that a phase exceeds by what it is, rather than by how the target does."""
    most = _mapping(data, "budget").get("in_flight")
    phases = data.get("phases")
    if not isinstance(most, int) or not isinstance(phases, list):
        return
    for index, phase in enumerate(phases):
        for key, inner in (("workers", ("from", "to")), ("burst", ("size",))):
            shape = phase.get(key) if isinstance(phase, dict) else None
            counts = [shape.get(name) for name in inner] if isinstance(shape, dict) else [shape]
            needed = max((count for count in counts if isinstance(count, int)), default=0)
            if needed > most:
                yield ("phases", index, key), f"{needed} call at once, more than budget.in_flight, which is {most}"


def _tells_starts(data: dict[str, Any], target: dict[str, Any]) -> bool:
    """Whether invocations may get a label: by the log, after a warm-up phase of a function, or by the experiment."""
    warms = any(phase.get("warmup") is True for phase in _mappings(data.get("phases")))
    labels = data.get("kind") in ("cold-starts", "memory")
    return "url" not in target and (warms or labels or target.get("log", "none") != "none")


def only_function(emulator: dict[str, Any]) -> str | None:
    """The function of an emulator block that is meant where none is named: hello, or the only one; None if unclear."""
    functions = emulator.get("functions", {})
    if not isinstance(functions, dict) or not functions or DEFAULT_FUNCTION in functions:
        return DEFAULT_FUNCTION
    return next(iter(functions)) if len(functions) == 1 else None


def _names_project(function: object) -> bool:
    found = named(function) if isinstance(function, str) else None
    return found is not None and found.project is not None


def _without_user(url: str) -> str:
    return show(re.sub(r"//[^/?#]*@", "//***@", url))


def _mapping(data: dict[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _mappings(items: object) -> Iterable[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _texts(items: object) -> list[str | None]:
    """The items of a list, None in place of one that is not text."""
    return [item if isinstance(item, str) else None for item in items] if isinstance(items, list) else []
