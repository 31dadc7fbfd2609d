"""FunctionGraph as a tenant: what is asked of its functions, and what their answers say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from loadgen.invocation.facts import Facts
from loadgen.targets.endpoint import loopback
from loadgen.targets.functiongraph.protocol import remedy
from loadgen.targets.functiongraph.protocol.codes import TOKEN_EXPIRED, canonical
from loadgen.targets.functiongraph.protocol.envelope import v1_result
from loadgen.targets.functiongraph.protocol.function import DEFAULT_FUNCTION, function_name
from loadgen.targets.functiongraph.protocol.platform import (
    Account,
    Emulator,
    emulated_function,
    emulator,
    only_function,
)
from loadgen.targets.functiongraph.protocol.probe import with_probe
from loadgen.targets.functiongraph.protocol.quick import Quick
from loadgen.targets.functiongraph.protocol.request import request_template
from loadgen.targets.functiongraph.protocol.response import HEADERS, classify_function
from loadgen.targets.functiongraph.protocol.target import (
    MEMORY_SIZES_MB,
    Auth,
    EnvironmentAuth,
    FunctionTarget,
    IamAuth,
    KeyAuth,
    NoAuth,
    ResponseVersion,
    TokenAuth,
    auth_rules,
    function_target,
    rules,
)
from loadgen.targets.functiongraph.protocol.urn import of_version
from loadgen.targets.port import KEEP, Answer, Probe, Reading, Secret, Tenant
from loadgen.targets.request import RequestTemplate
from loadgen.text.fault import Found
from loadgen.text.form import mapping
from loadgen.text.secret import MASK

MOST = 16 * 1024 * 1024
"""Bytes of a function's answer, which holds at most 6 MB of result, in v1 escaped, and the log.

A v1 answer is kept whole, as it must be read whole.
"""
_DEFAULT_LIMIT = 100
"""Executions at once in an account. Source: FunctionGraph documentation, Notes and Constraints."""
_PUBLISHED = frozenset({Account().password, Account().access_key, Account().secret_key})
"""What the emulator's user has unless told otherwise: it is in the documentation, and an ordinary word."""


class FunctionGraph(Tenant[FunctionTarget]):
    """Functions of FunctionGraph, or of its emulator."""

    form = FunctionTarget
    key = "endpoint"
    noun = "a function"
    about = "a FunctionGraph function (endpoint, function)"
    told = True
    told_in = "X-Cff-Invoke-Summary"
    memory_sizes_mb = MEMORY_SIZES_MB
    asks_memory = True
    asks_version = True
    only_json = True
    per_call = ("function", "response", "memory", "probe")
    settings = "loadgen.targets.functiongraph.side:FUNCTIONGRAPH"

    def made(self, data: dict[str, Any]) -> FunctionTarget:
        """See Tenant. The function that is meant is the one that is named, else that of the emulator."""
        block = data["target"]
        named = block.get("function") or only_function(mapping(data, "emulator")) or DEFAULT_FUNCTION
        return function_target(block, named)

    def rules(self, data: dict[str, Any], foreign: Sequence[str]) -> Found:
        """See Tenant."""
        block = data["target"]
        found = rules(block, foreign, only_function(mapping(data, "emulator")))
        yield from ((("target", *path), message) for path, message in found)

    def key_rules(self, data: dict[str, Any]) -> Found:
        """See Tenant."""
        yield from ((("target", *path), message) for path, message in auth_rules(data["target"]))

    def urls(self, target: FunctionTarget) -> tuple[str, ...]:
        """The endpoint, and IAM's origin where tokens come from it."""
        return (target.endpoint, target.auth.url) if isinstance(target.auth, IamAuth) else (target.endpoint,)

    def template(self, target: FunctionTarget) -> RequestTemplate:
        """See Tenant."""
        return request_template(target)

    def reading(self, target: FunctionTarget, probe: Probe | None = None) -> Reading:
        """See Tenant."""
        version, probe = target.response, probe or target.probe
        v1 = version is ResponseVersion.V1

        def classify(answer: Answer) -> Facts:
            return classify_function(answer.status, answer.headers, answer.body, version)

        def probed(answer: Answer) -> Facts:
            facts = classify(answer)
            return facts if probe is None else with_probe(facts, answer.body, probe, version)

        return Reading(
            HEADERS,
            classify if probe is None else probed,
            keep=MOST if v1 else KEEP,
            most=MOST,
            quick=None if v1 or probe is not None else Quick,
            starts=probe is not None or target.tail_share > 0,
        )

    def result(self, target: FunctionTarget, body: bytes) -> bytes:
        """See Tenant."""
        return v1_result(body) if target.response is ResponseVersion.V1 else body

    def described(self, target: FunctionTarget) -> str:
        """See Tenant."""
        where = "the embedded emulator (synthetic numbers)" if target.emulated else target.endpoint
        return f"{target.function} at {where}"

    def where(self, target: FunctionTarget) -> str:
        """See Tenant."""
        return f"the function at {target.endpoint}"

    def advice(self, facts: Facts, target: FunctionTarget, message: str = "", ahead_s: int | None = None) -> str:
        """See Tenant."""
        return remedy.advice(facts, target, message, ahead_s)

    def secrets(self, target: FunctionTarget) -> Iterator[Secret]:
        """See Tenant."""
        if isinstance(target.auth, EnvironmentAuth):
            yield Secret("auth", "", frozenset())  # what it is will be found out
        published = _PUBLISHED if loopback(target.endpoint) else frozenset()
        for key, value in _credentials(target.auth).items():
            yield Secret(f"auth.{key}", value, frozenset({value}) - published)

    def public(self, target: FunctionTarget) -> FunctionTarget:
        """See Tenant."""
        return msgspec.structs.replace(target, auth=_masked(target.auth))

    def joined(self, call: FunctionTarget, target: FunctionTarget) -> FunctionTarget:
        """See Tenant."""
        return msgspec.structs.replace(call, auth=target.auth, endpoint=target.endpoint)

    def variant(self, target: FunctionTarget, memory_mb: int | None, version: str | None) -> FunctionTarget:
        """See Tenant; raises UrnError."""
        meant = target if version is None else of_version(target, version)
        return meant if memory_mb is None else msgspec.structs.replace(meant, memory_mb=memory_mb)

    def shows_starts(self, block: dict[str, Any]) -> bool:
        """See Tenant: the log of a cold call tells of it, and so does a probe."""
        return bool(block.get("log")) or isinstance(block.get("probe"), dict)

    def tells_starts(self, target: FunctionTarget) -> bool:
        """See Tenant: a probe's does."""
        return target.probe is not None

    def stand_in(self, target: FunctionTarget, data: dict[str, Any]) -> Emulator | None:
        """See Tenant: the emulator."""
        if not target.emulated:
            return None
        seed, function = data.get("seed", 1), function_name(target.function)
        return emulator(mapping(data, "emulator"), seed=seed, function=function)

    def at_once(self, target: FunctionTarget, stand_in: Emulator | None) -> int | None:
        """See Tenant: the emulator's setting, else the platform's default, which is a guess."""
        if stand_in is None:
            return _DEFAULT_LIMIT
        found = emulated_function(target, stand_in)
        if found is None or found.max_instances <= 0:
            return None
        return min(found.max_instances, stand_in.max_instances) * found.concurrency

    def asked_mb(self, target: FunctionTarget) -> int | None:
        """See Tenant."""
        return target.memory_mb

    def clock_doubt(self, target: FunctionTarget, ahead_s: int | None) -> str | None:
        """See Tenant: signatures are good for their own time only."""
        return remedy.clock_advice(ahead_s) if isinstance(target.auth, KeyAuth) else None

    def expired(self, reason: str) -> str | None:
        """See Tenant."""
        if canonical(reason) != TOKEN_EXPIRED:
            return None
        return (
            f"The token has expired or must be updated ({TOKEN_EXPIRED}), and calls fail. One given as "
            "target.auth.token cannot be renewed; one that is obtained for target.auth.iam is."
        )


def _credentials(auth: Auth) -> dict[str, str]:
    match auth:
        case TokenAuth(token=token):
            return {"token": token}
        case KeyAuth(access_key=access, secret_key=secret, security_token=temporary):
            keys = {"access_key": access, "secret_key": secret}
            return keys if temporary is None else {**keys, "security_token": temporary}
        case IamAuth(password=password):
            return {"iam.password": password}
        case NoAuth() | EnvironmentAuth():
            return {}


def _masked(auth: Auth) -> Auth:
    """What kind of credentials they are."""
    match auth:
        case TokenAuth():
            return TokenAuth(MASK)
        case KeyAuth():
            return KeyAuth(MASK, MASK)
        case IamAuth():
            return IamAuth(MASK, MASK, MASK, MASK, MASK)
        case NoAuth() | EnvironmentAuth():
            return auth


FUNCTIONGRAPH: Final = FunctionGraph()
