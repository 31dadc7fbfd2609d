"""What an answer shows about the start of its instance: by its log, or because the function says so itself.

A log that has lines of a load or of an initializer belongs to the first call of an instance: an instance has them once.
That they are missing shows nothing, as the tail is cut and the platform may not write them. Source: FunctionGraph
developer guide, Logging Using Log4j (the lines of a fresh instance).

A probe is a function that keeps a nonce and a counter in its module's state, which a new instance begins anew, and
returns them; docs/probe/ has one for Python and one for Node.js. Where its fields are in the answer is for the scenario
to say.
"""

from __future__ import annotations

import re
from typing import Any

from loadgen.invocation.facts import Facts
from loadgen.targets.error_body import lenient_json
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from loadgen.targets.port import Probe

LONGEST_PROBED = 128 * 1024
"""Bytes of a body in which a probe is looked for: a probe answers with little."""

LONGEST_INSTANCE = 128
"""Characters kept of an instance's name."""

_OF_A_START = re.compile(r"\b(?:Start|Finish) (?:load|initialize) request\b")


def cold_by_log(log: str) -> bool:
    """Whether the log has lines that only the first call of an instance has."""
    return _OF_A_START.search(log) is not None


def with_probe(facts: Facts, body: bytes, probe: Probe, version: ResponseVersion) -> Facts:
    """The Facts with what the probe in the answer says; as they are where it says nothing that can be read."""
    answer = _result(body, version)
    cold, count = _at(answer, probe.cold), _at(answer, probe.count)
    if not isinstance(cold, bool):
        cold = count == 1 if isinstance(count, int) and not isinstance(count, bool) and count > 0 else None
    instance = _at(answer, probe.instance)
    named = str(instance)[:LONGEST_INSTANCE] if isinstance(instance, str | int) else None
    if cold is None:
        return facts.labelled(facts.start, facts.start_source, named)
    return facts.labelled("cold" if cold else "warm", "probe", named)


def _result(body: bytes, version: ResponseVersion) -> Any:
    """What the function returned; in a v1 answer it may be JSON in a text."""
    if len(body) > LONGEST_PROBED:
        return None
    try:
        said = lenient_json(body)
        if version is ResponseVersion.V1 and isinstance(said, dict):
            said = said.get("result")
        return lenient_json(said) if isinstance(said, str) else said
    except ValueError:
        return None


def _at(answer: Any, path: str) -> Any:
    """What is at a path of keys and list positions, joined by dots; None where there is nothing."""
    for key in path.split("."):
        if isinstance(answer, dict):
            answer = answer.get(key)
        elif isinstance(answer, list) and key.isdecimal() and int(key) < len(answer):
            answer = answer[int(key)]
        else:
            return None
    return answer
