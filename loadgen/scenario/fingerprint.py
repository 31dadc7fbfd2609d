"""What two runs have in common that may be compared."""

from __future__ import annotations

import hashlib
from pathlib import PurePath

import msgspec

from loadgen.scenario.model import Scenario
from loadgen.targets.functiongraph.protocol.target import (
    Auth,
    EnvironmentAuth,
    FunctionTarget,
    IamAuth,
    KeyAuth,
    NoAuth,
    TokenAuth,
)
from loadgen.targets.http import HttpTarget
from loadgen.text.excerpt import secret_name
from loadgen.text.substitution import MASK


def fingerprint(scenario: Scenario, rows_digest: str) -> str:
    """The sha256 of what a run does: everything but its secrets and where on this machine its files lie.

    ``rows_digest`` stands for the feeder's file.
    """
    target = scenario.target
    tls = target.tls
    if tls.ca is not None:
        tls = msgspec.structs.replace(tls, ca=PurePath(tls.ca).name)
    public: FunctionTarget | HttpTarget
    if isinstance(target, HttpTarget):
        headers = tuple((name, MASK if secret_name(name) else value) for name, value in target.headers)
        public = msgspec.structs.replace(target, headers=headers, tls=tls)
    else:
        public = msgspec.structs.replace(target, auth=_public(target.auth), tls=tls)
    rows = scenario.feeder and msgspec.structs.replace(scenario.feeder, path=rows_digest)
    emulator = scenario.emulator
    if emulator is not None:
        account = msgspec.structs.replace(
            emulator.account, password=MASK, access_key=MASK, secret_key=MASK, security_token=None
        )
        emulator = msgspec.structs.replace(emulator, account=account)
    canonical = msgspec.structs.replace(scenario, target=public, feeder=rows, emulator=emulator, sha256="")
    return hashlib.sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()


def _public(auth: Auth) -> Auth:
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
