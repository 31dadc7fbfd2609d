"""What two runs have in common that may be compared."""

from __future__ import annotations

import hashlib
from pathlib import PurePath

import msgspec

from loadgen.scenario.model import Index, Scenario
from loadgen.targets.registry import tenant_of
from loadgen.text.secret import MASK


def fingerprint(scenario: Scenario) -> str:
    """The sha256 of what a run does: everything but its secrets and where on this machine its files lie."""
    public = tenant_of(scenario.target).public(scenario.target)
    if public.tls.ca is not None:
        tls = msgspec.structs.replace(public.tls, ca=PurePath(public.tls.ca).name)
        public = msgspec.structs.replace(public, tls=tls)
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
