"""What is invoked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadgen.targets import http
from loadgen.targets.functiongraph.protocol import target as function
from loadgen.targets.functiongraph.protocol.target import FunctionTarget
from loadgen.targets.http import HttpTarget
from loadgen.text.fault import Found
from loadgen.text.form import keys, mapping

Target = FunctionTarget | HttpTarget
ABOUT = "What is invoked: a FunctionGraph function (endpoint, function) or any HTTP endpoint (url)."


def target(block: dict[str, Any], named: str, directory: Path, *, has_event: bool) -> Target:
    """The Target of a block without faults; ``named`` is the function that is meant, if it is one.

    Relative paths start at ``directory``.
    """
    if ca := mapping(block, "tls").get("ca"):
        block = {**block, "tls": {**block["tls"], "ca": str((directory / ca).absolute())}}
    if "url" in block:
        return http.http_target(block, has_event=has_event)
    return function.function_target(block, named)


def rules(block: dict[str, Any], only: str | None) -> Found:
    """What does not go together in a target; ``only`` is the function that the emulator's block means by itself."""
    if "url" in block:
        yield from http.rules(block, _only_of(FunctionTarget, HttpTarget, shared=("insecure_auth",)))
    elif "endpoint" in block:
        yield from function.rules(block, _only_of(HttpTarget, FunctionTarget), only)
    else:
        yield (), "endpoint or url is missing: write endpoint: emulator, the platform's origin, or a url"
    tls = mapping(block, "tls")
    if tls.get("verify") is False and "ca" in tls:
        yield ("tls", "ca"), "a ca is unused with verify: false; remove one of them"
    yield from function.auth_rules(block)


def _only_of(kind: type, other: type, shared: tuple[str, ...] = ()) -> list[str]:
    """The keys that one kind of target has and the other has not."""
    return [key for key in keys(kind) if key not in keys(other) and key not in shared]
