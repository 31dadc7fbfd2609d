"""What two runs have in common that may be compared."""

from __future__ import annotations

import hashlib
from pathlib import PurePath

import msgspec

from loadgen.scenario.model import Index, Scenario
from loadgen.targets.port import PEM_FILES, is_pem
from loadgen.targets.registry import tenant_of
from loadgen.text.secret import MASK


def _shown(key: str, value: str) -> str:
    """A PEM file by its name, the text of one as it is, unless that is a key."""
    if not is_pem(value):
        return PurePath(value).name
    return MASK if key == "key" else value


def fingerprint(scenario: Scenario) -> str:
    """The sha256 of what a run does: everything but its secrets and where on this machine its files lie."""
    public = tenant_of(scenario.target).public(scenario.target)
    pem = {key: _shown(key, value) for key in PEM_FILES if (value := getattr(public.tls, key)) is not None}
    public = msgspec.structs.replace(public, tls=msgspec.structs.replace(public.tls, **pem))
    rows = scenario.feeder
    if rows is not None:  # its file by what is in it
        rows = msgspec.structs.replace(rows, path=rows.index.digest, index=Index())
    emulator = scenario.emulator
    if emulator is not None:
        account = msgspec.structs.replace(
            emulator.account, password=MASK, access_key=MASK, secret_key=MASK, security_token=None
        )
        emulator = msgspec.structs.replace(emulator, account=account)
    canonical = msgspec.structs.replace(scenario, target=public, feeder=rows, emulator=emulator, sha256="")
    return hashlib.sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()
