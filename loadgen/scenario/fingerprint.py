"""What two runs have in common that may be compared."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec.structs import replace

from loadgen.scenario.model import Feeder, Index, Scenario
from loadgen.targets.port import PEM_FILES, is_pem
from loadgen.targets.registry import tenant_of
from loadgen.targets.target import Target
from loadgen.text.secret import MASK


def _shown(key: str, value: str) -> str:
    """A PEM file by its name, the text of one as it is, unless that is a key."""
    if not is_pem(value):
        return PurePath(value).name
    return MASK if key == "key" else value


def fingerprint(scenario: Scenario) -> str:
    """The sha256 of what a run does: everything but its secrets and where on this machine its files lie."""
    emulator = scenario.emulator
    if emulator is not None:
        account = replace(emulator.account, password=MASK, access_key=MASK, secret_key=MASK, security_token=None)
        emulator = replace(emulator, account=account)
    calls = tuple(replace(call, target=_public(call.target), feeder=_rows(call.feeder)) for call in scenario.calls)
    canonical = replace(
        scenario,
        target=_public(scenario.target),
        feeder=_rows(scenario.feeder),
        calls=calls,
        emulator=emulator,
        sha256="",
    )
    return hashlib.sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()


def _public(target: Target) -> Target:
    """The target without its secrets, and with the names of its files alone."""
    public: Any = tenant_of(target).public(target)
    pem = {key: _shown(key, value) for key in PEM_FILES if (value := getattr(public.tls, key)) is not None}
    shown: Target = replace(public, tls=replace(public.tls, **pem))
    return shown


def _rows(feeder: Feeder | None) -> Feeder | None:
    """The feeder with its file by what is in it."""
    return feeder and replace(feeder, path=feeder.index.digest, index=Index())
