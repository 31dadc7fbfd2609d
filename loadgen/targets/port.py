"""What every target has."""

from __future__ import annotations

from msgspec import Struct


class Timeout(Struct, frozen=True):
    """Limits of one invocation, each counted from its start, in ns."""

    connect_ns: int
    first_byte_ns: int
    total_ns: int


class Tls(Struct, frozen=True):
    """How the server's certificate is checked. ``ca`` is the path of a PEM file that replaces the system's."""

    verify: bool
    ca: str | None
