"""The management API: a function's settings, its versions and aliases, its reserved instances; quotas. Pure.

Theory of operation. What the API says about a function is a document, kept as the client left it; the settings in it
that the platform model knows (memory, timeout, limits, dynamic memory, the initializer's timeout) are handed to the
model when they change. As real settings do, most changes need new instances: those of the old settings take no more
calls. Only the limits of ``strategy_config.concurrency`` and the description change without. A version is a copy of the
latest document under a name of its own, and never changes.

Sources: FunctionGraph API reference: Modifying the Metadata of a Function, Updating Max. Instances of a Function,
Modifying the Code of a Function, Publishing a Function Version, Deleting a Function or Function Version, Creating an
Alias for a Function Version, Changing the Number of Reserved Instances, Querying Tenant Quotas, Error Codes; user
guide, Managing Versions (the aliases of a version are deleted with it).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256, sha512
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from loadgen.targets.functiongraph.emulator.answer import Answer, Refusal, as_json, message
from loadgen.targets.functiongraph.emulator.model import LATEST, Platform, drawn, fault_status
from loadgen.targets.functiongraph.emulator.request import Route
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction
from loadgen.targets.functiongraph.protocol.platform_codes import STATUS
from loadgen.targets.functiongraph.protocol.target import MEMORY_SIZES_MB
from loadgen.targets.functiongraph.protocol.urn import Urn, UrnError, parse
from loadgen.text.units import NS_PER_S

MAX_VERSIONS: Final = 20
"""Latest included. Source: FunctionGraph service overview, Notes and Constraints."""

MAX_ALIASES: Final = 10
MAX_RESERVED: Final = 90
"""Reserved instances of all functions. Source: FunctionGraph user guide, Reserved Instance Management."""

MAX_PAGE: Final = 400
"""Entries of a list in one answer. Source: API reference, Querying Functions."""

MAX_ENVIRONMENT: Final = 20
MAX_ENVIRONMENT_BYTES: Final = 4096

RUNTIMES: Final = frozenset(
    {"Python2.7", "Python3.6", "Python3.9", "Python3.10", "Go1.8", "Go1.x", "Java8", "Java11", "PHP7.3", "Custom"}
    | {"http", "Custom Image", "C#(.NET Core 2.0)", "C#(.NET Core 2.1)", "C#(.NET Core 3.1)"}
    | {f"Node.js{version}" for version in ("6.10", "8.10", "10.16", "12.13", "14.18", "16.17", "18.15")}
)

_MANDATORY: Final = ("func_name", "runtime", "timeout", "handler", "memory_size")
_READ_ONLY: Final = frozenset(
    {"func_id", "resource_id", "func_urn", "domain_id", "namespace", "project_name", "package", "cpu", "code_type"}
    | {"code_url", "code_filename", "code_size", "digest", "version", "image_name", "last_modified", "type"}
)
_OF_A_VERSION: Final = frozenset({"version", "func_urn", "version_description"})
_WITHOUT_NEW_INSTANCES: Final = frozenset({"strategy_config.concurrency", "description", "last_modified"})
_NAME: Final = re.compile(r"[A-Za-z](?:[\w.-]{0,62}[A-Za-z0-9])?", re.ASCII)

_RUNTIME_OF_PROFILE: Final = {
    "r2-nodejs": "Node.js16.17",
    "r2-java": "Java11",
    "r2-python2": "Python2.7",
    "r2-go": "Go1.x",
    "r2-php": "PHP7.3",
    "r2-csharp": "C#(.NET Core 3.1)",
    "r2-http": "http",
    "r2-custom": "Custom",
}

Document = dict[str, Any]


class Call(Struct, frozen=True):
    """A request to the management API; times are now, on both clocks."""

    route: Route
    method: str
    query: Mapping[str, str]
    body: bytes
    now_ns: int
    now_s: float


class _Refused(Exception):  # noqa: N818 - an answer, not an error of the emulator
    """Ends a request with a refusal."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.refusal = Refusal(STATUS[code], code, why)


class _Function:
    """What the API keeps of one function."""

    def __init__(self, document: Document) -> None:
        self.latest = document
        self.initial = dict(document)
        self.versions: dict[str, Document] = {}
        self.aliases: dict[str, Document] = {}
        self.reserved: dict[str, Document] = {}  # by qualifier

    def document(self, version: str) -> Document:
        return self.latest if version == LATEST else self.versions[version]


class Management:
    """The state behind the management API, and the way to a function for an invocation."""

    def __init__(self, platform: Platform, project_id: str) -> None:
        """Every function of the platform, as its settings say, with version latest only."""
        settings = platform.settings
        self._platform = platform
        self._project_id = project_id
        self._region = settings.region or "local"
        self._switches = settings.management
        self._faults = platform.stream("faults", "management")
        self._weights = platform.stream("weights", "management")
        self._functions = {each.name: _Function(self._first_document(each)) for each in settings.functions}
        for each in settings.functions:
            if each.reserved:
                self._functions[each.name].reserved[LATEST] = {"count": each.reserved, "idle_mode": False}

    def target(self, urn: Urn) -> tuple[str, str] | Refusal:
        """Function and version that an invocation of this name runs, or which of them does not exist."""
        try:
            return urn.name, self._version(self._function(urn), urn.qualifier, self._weights.random)
        except _Refused as refused:
            return refused.refusal

    def handle(self, call: Call) -> Answer | Refusal:
        """Serve a call of the management API."""
        if self._switches.faults and (fault := drawn(self._switches.faults, self._faults)):
            return Refusal(fault_status(fault), fault, message(fault))
        try:
            return self._handlers[call.route.resource, call.method](self, call)
        except _Refused as refused:
            return refused.refusal

    # Settings

    def _show(self, call: Call) -> Answer:
        urn = _urn(call)
        function = self._function(urn)
        return as_json(200, function.document(self._version(function, urn.qualifier)))

    def _update(self, call: Call) -> Answer:
        function = self._latest(call)
        wanted = _object(call)
        if missing := [name for name in _MANDATORY if name not in wanted]:
            raise _Refused("FSS.0400", f"Invalid parameter: {', '.join(missing)} is mandatory")
        if wanted["func_name"] != function.latest["func_name"]:
            raise _Refused("FSS.1002", "Invalid function name: it cannot be changed")
        if self._switches.refused_with_reserved and any(each["count"] for each in function.reserved.values()):
            raise _Refused("FSS.1077", message("FSS.1077"))
        kept = {**function.latest, **self._reset(function)}
        given = {name: value for name, value in wanted.items() if name not in _READ_ONLY and value is not None}
        if isinstance(strategy := given.get("strategy_config"), dict):
            given["strategy_config"] = {**kept["strategy_config"], **strategy}
        return self._replace(call, function, {**kept, **given})

    def _limit(self, call: Call) -> Answer:
        function = self._latest(call)
        limit = _object(call).get("max_instance_num", function.latest["strategy_config"]["concurrency"])
        strategy = {**function.latest["strategy_config"], "concurrency": limit}
        return self._replace(call, function, {**function.latest, "strategy_config": strategy})

    def _update_code(self, call: Call) -> Answer:
        function = self._latest(call)
        wanted = _object(call)
        kind, code = wanted.get("code_type"), wanted.get("func_code")
        if kind not in ("inline", "zip", "obs", "jar"):
            raise _Refused("FSS.1006", "Invalid function code entry mode: code_type is inline, zip, obs or jar")
        file = code.get("file") if isinstance(code, dict) else None
        try:
            content = b64decode(file, validate=True) if isinstance(file, str) else str(wanted.get("code_url")).encode()
        except binascii.Error:
            raise _Refused("FSS.1011", "Invalid function code: func_code.file is not base64") from None
        if kind == "inline" and len(content) > 10 * 1024:
            raise _Refused("FSS.1072", "The size of the inline code exceeds the maximum allowed limit (10 KB)")
        changed = {"code_type": kind, "code_size": len(content), "digest": sha512(content).hexdigest()}
        names = ("code_url", "code_filename", "depend_version_list")
        return self._replace(
            call, function, {**function.latest, **changed, **{name: wanted[name] for name in names if name in wanted}}
        )

    def _replace(self, call: Call, function: _Function, document: Document) -> Answer:
        """Put a valid document in place of the latest one, and its settings into the model."""
        before = function.latest
        name = before["func_name"]
        changed = _changed(before, document)
        if changed:
            settings = _settings(self._platform.current(name), document, changed)
            document["cpu"] = document["memory_size"] * 100 // 128 + 200
            document["last_modified"] = _time(call.now_s)
            function.latest = document
            if changed <= _WITHOUT_NEW_INSTANCES:
                self._platform.limit(call.now_ns, name, settings.max_instances)
            else:
                self._platform.update(call.now_ns, name, settings)
        return as_json(200, function.latest)

    def _reset(self, function: _Function) -> Document:
        """The settings that an update resets if it does not mention them: none, unless the switch says so."""
        if not self._switches.omitted_reset:
            return {}
        reset = {name: value for name, value in function.initial.items() if name not in _READ_ONLY}
        # reported of real platforms: a limit that is not mentioned becomes 0, which disables the function
        return {**reset, "strategy_config": {**reset["strategy_config"], "concurrency": 0}}

    # Versions and aliases

    def _list_versions(self, call: Call) -> Answer:
        function = self._function(_urn(call))
        documents = [function.latest, *function.versions.values()]
        page, next_marker = _page(call, "maxitems", documents)
        return as_json(200, {"versions": page, "next_marker": next_marker, "count": len(documents)})

    def _publish(self, call: Call) -> Answer:
        function = self._latest(call)
        wanted = _object(call)
        newest = next(reversed(function.versions.values()), None)
        if newest is not None and _changed(newest, function.latest) <= _OF_A_VERSION:
            raise _Refused(
                "FSS.1016", "The function cannot be published because no changes have been made since last publication"
            )
        version = wanted.get("version") or datetime.fromtimestamp(call.now_s, UTC).strftime("v%Y%m%d-%H%M%S")
        if not isinstance(version, str) or not _NAME.fullmatch(version) or version == LATEST:
            raise _Refused("FSS.1015", "Invalid version: up to 64 letters, digits, hyphens, dots and underscores")
        if version in function.versions:
            raise _Refused("FSS.1062", "The version already exists")
        if len(function.versions) + 1 >= MAX_VERSIONS:
            raise _Refused("FSS.1015", f"Invalid version: a function has at most {MAX_VERSIONS}, latest included")
        name = function.latest["func_name"]
        own = {"version": version, "func_urn": self._urn(name, version), "last_modified": _time(call.now_s)}
        description = {"version_description": wanted["description"]} if "description" in wanted else {}
        function.versions[version] = {**function.latest, **own, **description}
        self._platform.publish(name, version)
        return as_json(200, function.versions[version])

    def _delete_version(self, call: Call) -> Answer:
        """Delete the version that a name or an alias leads to, and every alias that leads to it."""
        urn = _urn(call)
        function = self._function(urn)
        version = self._version(function, urn.qualifier)
        if version == LATEST:
            raise _Refused("FSS.1015", "Invalid version: only a published one can be deleted")
        del function.versions[version]
        function.reserved.pop(version, None)
        function.aliases = {
            name: {**each, "additional_version_weights": _without(each["additional_version_weights"], version)}
            for name, each in function.aliases.items()
            if each["version"] != version
        }
        self._platform.remove(call.now_ns, urn.name, version)
        return Answer(204, {}, b"")

    def _list_aliases(self, call: Call) -> Answer:
        return as_json(200, list(self._function(_urn(call)).aliases.values()))

    def _create_alias(self, call: Call) -> Answer:
        function = self._function(_urn(call))
        wanted = _object(call)
        name = wanted.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or "." in name:
            raise _Refused("FSS.1014", "Invalid function alias: up to 64 letters, digits, hyphens and underscores")
        if name in function.aliases:
            raise _Refused("FSS.1063", "The alias already exists")
        if len(function.aliases) >= MAX_ALIASES:
            raise _Refused("FSS.1043", "The number of aliases exceeds the maximum allowed limit")
        function.aliases[name] = self._alias(call, function, name, wanted)
        return as_json(200, function.aliases[name])

    def _show_alias(self, call: Call) -> Answer:
        return as_json(200, self._existing_alias(call)[1])

    def _update_alias(self, call: Call) -> Answer:
        function, alias = self._existing_alias(call)
        function.aliases[alias["name"]] = self._alias(call, function, alias["name"], _object(call))
        return as_json(200, function.aliases[alias["name"]])

    def _delete_alias(self, call: Call) -> Answer:
        function, alias = self._existing_alias(call)
        del function.aliases[alias["name"]]
        return Answer(204, {}, b"")

    def _existing_alias(self, call: Call) -> tuple[_Function, Document]:
        function = self._function(_urn(call))
        alias = function.aliases.get(call.route.item.removeprefix("!"))
        if alias is None:
            raise _Refused("FSS.1053", f'Not found the alias "{call.route.item}"')
        return function, alias

    def _alias(self, call: Call, function: _Function, name: str, wanted: Document) -> Document:
        version = wanted.get("version")
        if version != LATEST and version not in function.versions:
            raise _Refused("FSS.1052", f'Not found the version "{version}"')
        if any(each["version"] == version for key, each in function.aliases.items() if key != name):
            raise _Refused("FSS.1066", "The version is already in use by another alias")
        weights = wanted.get("additional_version_weights", {})
        if not isinstance(weights, dict) or any(each != LATEST and each not in function.versions for each in weights):
            raise _Refused("FSS.1091", "The additional version is invalid")
        if version in weights:
            raise _Refused("FSS.1093", "The major version and the additional version cannot be the same")
        if not all(_is_int(weight, 0, 100) for weight in weights.values()) or sum(weights.values()) > 100:
            raise _Refused("FSS.1092", "The weight of the additional version is invalid")
        return {
            "name": name,
            "version": version,
            "description": wanted.get("description", ""),
            "last_modified": _time(call.now_s),
            "alias_urn": self._urn(function.latest["func_name"], f"!{name}"),
            "additional_version_weights": weights,
        }

    # Reserved instances, quotas, lists

    def _reserve(self, call: Call) -> Answer:
        urn = _urn(call)
        function = self._function(urn)
        version = self._version(function, urn.qualifier)
        wanted = _object(call)
        number = wanted.get("count")
        if not isinstance(number, int) or not _is_int(number, 0, 1_000_000):
            raise _Refused("FSS.0400", "Invalid parameter: count is a whole number from 0")
        others = self._reserved_in_all() - function.reserved.get(version, {"count": 0})["count"]
        if others + number > MAX_RESERVED:
            raise _Refused("FSS.1076", f"Too many reserved instances: at most {MAX_RESERVED}")
        given = {name: wanted[name] for name in ("idle_mode", "tactics_config") if name in wanted}
        function.reserved[version] = {"count": number, "idle_mode": False} | given
        self._platform.reserve(call.now_ns, urn.name, version, number)
        return as_json(200, function.reserved[version])

    def _list_reserved(self, call: Call) -> Answer:
        listed = [
            {"func_urn": self._urn(name, version), "count": each["count"]}
            for name, version, each in self._every_reserved(call, "urn")
        ]
        return _listing(call, "reservedinstances", listed)

    def _list_reserved_configs(self, call: Call) -> Answer:
        listed = [
            {
                "function_urn": self._urn(name, None),
                "qualifier_type": "version",
                "qualifier_name": version,
                "min_count": each["count"],
                "idle_mode": each["idle_mode"],
                "tactics_config": each.get("tactics_config", {}),
            }
            for name, version, each in self._every_reserved(call, "function_urn")
        ]
        return _listing(call, "reserved_instances", listed)

    def _quotas(self, call: Call) -> Answer:
        settings = self._platform.settings
        per_function = max(400, *(self._platform.current(name).max_instances for name in self._functions))
        resources = [
            {"type": "fgs_func_scale_down_timeout", "quota": settings.keep_alive_ns // NS_PER_S, "used": 0},
            {"type": "fgs_func_occurs", "quota": 100, "used": self._reserved_in_all()},
            {"type": "fgs_func_pat_idle_time", "quota": 100, "used": 0},
            {"type": "fgs_func_num", "quota": 400, "used": len(self._functions)},
            {"type": "fgs_func_code_size", "quota": 10240, "used": 0, "unit": "MB"},
            {"type": "fgs_workflow_num", "quota": 512, "used": 0},
            {"type": "fgs_on_demand_instance_limit", "quota": per_function, "used": 0},
            {"type": "fgs_func_qos_limit", "quota": settings.max_instances, "used": self._platform.live(call.now_ns)},
        ]
        return as_json(200, {"quotas": {"resources": resources}})

    def _list_functions(self, call: Call) -> Answer:
        named = call.query.get("func_name", "")
        listed = [each.latest for name, each in self._functions.items() if named in name]
        page, next_marker = _page(call, "maxitems", listed)
        return as_json(200, {"functions": page, "next_marker": next_marker, "count": len(listed)})

    def _every_reserved(self, call: Call, parameter: str) -> list[tuple[str, str, Document]]:
        """The reserved instances of every version; of a function, or of one version, where the query names it."""
        try:
            text = call.query.get(parameter)
            asked = parse(text, project_id=self._project_id) if text else None
        except UrnError as error:
            raise _Refused("FSS.1309", f"Invalid URN: {error}") from None
        return [
            (name, version, each)
            for name, function in self._functions.items()
            for version, each in function.reserved.items()
            if asked is None or (name == asked.name and asked.qualifier in (None, version))
        ]

    def _reserved_in_all(self) -> int:
        return sum(each["count"] for function in self._functions.values() for each in function.reserved.values())

    # Names

    def _function(self, urn: Urn) -> _Function:
        function = self._functions.get(urn.name)
        if function is None:
            raise _Refused("FSS.1051", f'Not found the function "{urn.name}" in package "{urn.package}"')
        return function

    def _latest(self, call: Call) -> _Function:
        """The function of a call that changes it, which only its latest version allows."""
        urn = _urn(call)
        function = self._function(urn)
        if self._version(function, urn.qualifier) != LATEST:
            raise _Refused("FSS.1015", "Invalid version: only latest can be changed")
        return function

    def _version(self, function: _Function, qualifier: str | None, random: Callable[[], float] = lambda: 1.0) -> str:
        """The version that a qualifier names; of an alias with weights, one at random."""
        if qualifier is None or qualifier == LATEST:
            return LATEST
        if not qualifier.startswith("!"):
            if qualifier not in function.versions:
                raise _Refused("FSS.1052", f'Not found the version "{qualifier}"')
            return qualifier
        alias = function.aliases.get(qualifier[1:])
        if alias is None:
            raise _Refused("FSS.1053", f'Not found the alias "{qualifier}"')
        version: str = alias["version"]
        left = 100 * random() if alias["additional_version_weights"] else 100.0
        for other, weight in alias["additional_version_weights"].items():
            left -= weight
            if left < 0:
                return str(other)
        return version

    def _urn(self, name: str, qualifier: str | None) -> str:
        return Urn(self._region, self._project_id, "default", name, qualifier).text

    def _first_document(self, function: EmulatedFunction) -> Document:
        name_id = str(UUID(bytes=sha256(function.name.encode()).digest()[:16], version=4))
        return {
            "func_id": name_id,
            "resource_id": f"{name_id}:{function.name}",
            "func_urn": self._urn(function.name, LATEST),
            "func_name": function.name,
            "domain_id": sha256(self._platform.settings.account.domain.encode()).hexdigest()[:32],
            "namespace": self._project_id,
            "project_name": self._region,
            "package": "default",
            "runtime": _RUNTIME_OF_PROFILE.get(function.cold_start, "Python3.9"),
            "timeout": -(-function.timeout_ns // NS_PER_S),
            "handler": "index.handler",
            "memory_size": function.memory_mb,
            "cpu": function.memory_mb * 100 // 128 + 200,
            "code_type": "inline",
            "code_filename": "index.py",
            "code_size": 272,
            "user_data": "",
            "digest": sha512(function.name.encode()).hexdigest(),
            "version": LATEST,
            "image_name": f"latest-191025153727@{function.name}",
            "last_modified": "2019-10-25 15:37:27",
            "description": "",
            "xrole": "",
            "app_xrole": "",
            "initializer_handler": "" if function.initializer is None else "index.initializer",
            "initializer_timeout": 0
            if function.initializer is None
            else -(-function.initializer.timeout_ns // NS_PER_S),
            "strategy_config": {"concurrency": function.max_instances, "concurrent_num": function.concurrency},
            "enable_dynamic_memory": function.dynamic_memory,
            "ephemeral_storage": 512,
            "enterprise_project_id": "0",
            "type": "v2",
        }

    _handlers: Final[dict[tuple[str, str], Callable[[Management, Call], Answer]]] = {
        ("config", "GET"): _show,
        ("config", "PUT"): _update,
        ("config-max-instance", "PUT"): _limit,
        ("code", "PUT"): _update_code,
        ("versions", "GET"): _list_versions,
        ("versions", "POST"): _publish,
        ("functions/", "DELETE"): _delete_version,
        ("aliases", "GET"): _list_aliases,
        ("aliases", "POST"): _create_alias,
        ("aliases/", "GET"): _show_alias,
        ("aliases/", "PUT"): _update_alias,
        ("aliases/", "DELETE"): _delete_alias,
        ("reservedinstances", "PUT"): _reserve,
        ("functions/reservedinstances", "GET"): _list_reserved,
        ("functions/reservedinstanceconfigs", "GET"): _list_reserved_configs,
        ("functions", "GET"): _list_functions,
        ("quotas", "GET"): _quotas,
    }


def _urn(call: Call) -> Urn:
    assert call.route.urn is not None, "the path of a function has its name in it"
    return call.route.urn


def _object(call: Call) -> Document:
    """The body, which has to be a JSON object; no body is an empty one."""
    try:
        return msgspec.json.decode(call.body or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Refused("FSS.0406", f"The request body is not a JSON object: {error}") from None


def _without(weights: Document, version: str) -> Document:
    return {each: weight for each, weight in weights.items() if each != version}


def _changed(before: Document, after: Document) -> set[str]:
    """The names of the settings in which two documents differ; those of strategy_config one by one."""
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    names -= {"last_modified"}
    if "strategy_config" in names:
        old, new = before["strategy_config"], after["strategy_config"]
        fields = old.keys() | new.keys() if isinstance(new, dict) else {""}
        names -= {"strategy_config"}
        names |= {
            f"strategy_config.{key}" for key in fields if not isinstance(new, dict) or old.get(key) != new.get(key)
        }
    return names


def _settings(current: EmulatedFunction, document: Document, changed: set[str]) -> EmulatedFunction:
    """The model's settings after these changes. What did not change is not looked at.

    Raises _Refused for a value that is not allowed.
    """
    for name in sorted(changed & _CHECKS.keys()):
        code, allowed, check = _CHECKS[name]
        section, _, key = name.rpartition(".")
        value = document[section] if section else document
        if not isinstance(value, dict) or not check(value.get(key)):
            raise _Refused(code, f"Invalid {name}: expected {allowed}")
    _check_environment(document, changed)
    if "memory_size" in changed:
        current = replace(current, memory_mb=document["memory_size"])
    if "timeout" in changed:
        current = replace(current, timeout_ns=document["timeout"] * NS_PER_S)
    if "initializer_timeout" in changed and current.initializer is not None:
        longest_ns = document["initializer_timeout"] * NS_PER_S
        current = replace(current, initializer=replace(current.initializer, timeout_ns=longest_ns))
    if "strategy_config.concurrency" in changed:
        current = replace(current, max_instances=document["strategy_config"]["concurrency"])
    if "strategy_config.concurrent_num" in changed:
        current = replace(current, concurrency=document["strategy_config"]["concurrent_num"])
    if "enable_dynamic_memory" in changed:
        current = replace(current, dynamic_memory=document["enable_dynamic_memory"])
    return current


def _check_environment(document: Document, changed: set[str]) -> None:
    if "user_data" not in changed or not document["user_data"]:
        return
    try:
        variables = msgspec.json.decode(document["user_data"], type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        raise _Refused("FSS.1009", "Invalid function UserData: expected a JSON object of texts, as text") from None
    if len(variables) > MAX_ENVIRONMENT:
        raise _Refused("FSS.1017", "The number of items in the UserData field exceeds the maximum allowed limit (20)")
    if len(document["user_data"].encode()) > MAX_ENVIRONMENT_BYTES:
        raise _Refused("FSS.1018", "The total size of the UserData field exceeds the maximum allowed limit")


def _is_int(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 128


_CHECKS: Final[dict[str, tuple[str, str, Callable[[object], bool]]]] = {
    "runtime": ("FSS.1005", "a runtime such as Python3.9", lambda value: isinstance(value, str) and value in RUNTIMES),
    "handler": ("FSS.1003", "a text of up to 128 characters", _is_text),
    "timeout": ("FSS.1008", "3 to 259200", lambda value: _is_int(value, 3, 259_200)),
    "memory_size": (
        "FSS.1007",
        "a documented size",
        lambda value: _is_int(value, 0, 10_240) and value in MEMORY_SIZES_MB,
    ),
    "initializer_timeout": ("FSS.1404", "1 to 300", lambda value: _is_int(value, 1, 300)),
    "strategy_config.": ("FSS.1026", "a mapping", lambda value: False),
    "strategy_config.concurrency": ("FSS.1026", "-1 to 1000", lambda value: _is_int(value, -1, 1000)),
    "strategy_config.concurrent_num": ("FSS.1026", "1 to 1000", lambda value: _is_int(value, 1, 1000)),
    "enable_dynamic_memory": ("FSS.0400", "true or false", lambda value: isinstance(value, bool)),
    "user_data": ("FSS.1009", "a text", lambda value: isinstance(value, str)),
    "description": (
        "FSS.1019",
        "a text of up to 512 characters",
        lambda value: isinstance(value, str) and len(value) <= 512,
    ),
}
"""By setting: the code of a value that is not allowed, what is, and whether a value is allowed."""


def _page(call: Call, most: str, listed: list[Document]) -> tuple[list[Document], int]:
    """The part of a list that is asked for, and where the next one begins; ``most`` names its length in the query."""
    try:
        begin, length = (int(call.query.get(name) or 0) for name in ("marker", most))
    except ValueError:
        begin = length = -1
    if begin < 0 or length < 0:
        raise _Refused("FSS.1001", f"Invalid query parameter: marker and {most} are whole numbers from 0")
    page = listed[begin : begin + (length if 0 < length < MAX_PAGE else MAX_PAGE)]
    return page, begin + len(page)


def _listing(call: Call, name: str, listed: list[Document]) -> Answer:
    page, next_marker = _page(call, "limit", listed)
    place = {"next_marker": next_marker, "previous_marker": next_marker - len(page), "current_count": len(page)}
    return as_json(200, {name: page, "page_info": place, "count": len(listed)})


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
