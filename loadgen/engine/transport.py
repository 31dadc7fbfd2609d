"""How a connection is opened: by the event loop, or over TLS by aiofastnet where the ``speed`` extra is installed.

aiofastnet's TLS transport speaks to OpenSSL directly, which costs a quarter fewer instructions per invocation than
uvloop's, whose goes through Python's ssl objects (docs/decisions/006-compiled-hot-path.md). Plain TCP stays with the
event loop, which is as good.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, TypeVar

try:
    import aiofastnet
except ImportError:
    aiofastnet = None  # type: ignore[assignment,unused-ignore]

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Connect(Protocol):
    """Opens a connection and gives its protocol. Raises OSError."""

    async def __call__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: Callable[[], P],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        server_name: str | None,
    ) -> P:
        """Connect, and over TLS shake hands."""


async def by_loop(
    loop: asyncio.AbstractEventLoop,
    protocol: Callable[[], P],
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    server_name: str | None,
) -> P:
    """Connect with the event loop's own transports."""
    return (await loop.create_connection(protocol, host, port, ssl=tls, server_hostname=server_name))[1]


async def by_aiofastnet(
    loop: asyncio.AbstractEventLoop,
    protocol: Callable[[], P],
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    server_name: str | None,
) -> P:
    """Connect with aiofastnet's TLS transport; without TLS like ``by_loop``."""
    if tls is None:
        return await by_loop(loop, protocol, host, port, tls, server_name)
    _, connected = await aiofastnet.create_connection(loop, protocol, host, port, ssl=tls, server_hostname=server_name)
    return connected


CONNECT: Connect = by_loop if aiofastnet is None else by_aiofastnet
"""The best way there is here."""
