"""Any HTTP endpoint as what is invoked."""

from __future__ import annotations

from msgspec import Struct

from loadgen.targets.port import Timeout, Tls
from loadgen.targets.target import Target


class HttpTarget(Target, Struct, frozen=True, tag="http"):
    """Any HTTP endpoint. ``headers`` are sent as written, in order."""

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    fresh_connections: bool
    timeout: Timeout
    tls: Tls
    preflight: bool

    def __repr__(self) -> str:
        return f"HttpTarget({self.method} ***)"
