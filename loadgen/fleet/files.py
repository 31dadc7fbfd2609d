"""What agents are sent that do not find the files of a scenario where they run: all that it names, by value.

Events and bodies are in the scenario; certificates become texts in it, and rows travel in pieces ahead of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import structs

from loadgen.engine.messages import Piece, Plan
from loadgen.fleet.port import FleetError
from loadgen.scenario.model import Scenario
from loadgen.targets.port import Tls, is_pem
from loadgen.text import file

LARGEST = 2**28
"""Bytes of the rows of all feeders together: each agent is sent all of them."""
_PIECE = 2**20


def pieces(scenario: Scenario) -> Iterator[Piece]:
    """The files of rows that a scenario names. Raises FleetError."""
    sent = 0
    for path in dict.fromkeys(feeder.path for feeder in scenario.feeders):
        try:
            with file.opened(path) as source:
                while data := source.read(_PIECE):
                    sent += len(data)
                    if sent > LARGEST:
                        raise FleetError(
                            f"the feeder's file {Path(path).name} would be sent to every agent of the cluster; got "
                            f"more than {LARGEST >> 20} MiB of rows, expected at most that: leave out what the run "
                            "does not reach, or what no placeholder takes"
                        )
                    yield Piece(path, data)
        except OSError as error:
            raise _unreadable("the feeder's file", path, error) from error


def by_value(plan: Plan) -> Plan:
    """The plan with the certificates and keys themselves in the place of their files. Raises FleetError."""
    scenario = plan.scenario
    calls = tuple(structs.replace(call, target=_inlined(call.target)) for call in scenario.calls)
    return structs.replace(plan, scenario=structs.replace(scenario, target=_inlined(scenario.target), calls=calls))


def _inlined(target: Any) -> Any:
    tls: Tls = target.tls
    return structs.replace(target, tls=structs.replace(tls, ca=_text(tls.ca), cert=_text(tls.cert), key=_text(tls.key)))


def _text(pem: str | None) -> str | None:
    if pem is None or is_pem(pem):
        return pem
    try:
        text = file.read(pem, _PIECE * 16).decode("utf-8", "replace")
    except OSError as error:
        raise _unreadable("the certificate or key", pem, error) from error
    _, begin, rest = text.partition("-----BEGIN ")  # before it, comments
    if not begin:
        raise FleetError(f'the file "{pem}" of target.tls holds no PEM ("-----BEGIN …"), expected a certificate or key')
    return begin + rest


def _unreadable(what: str, path: str, error: OSError) -> FleetError:
    return FleetError(f'cannot read {what} "{path}", to send it to the agents: {file.reason(error)}')
