"""Where connections go: names are resolved once per run and pinned, and TLS is set up once."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from loadgen.targets.port import Tls
from loadgen.targets.request import Origin
from loadgen.text import file

LARGEST_CA = 16 * 2**20
"""Bytes of a CA file; those of operating systems, which hold every authority there is, have some 300 KB."""


class AddressError(Exception):
    """The target cannot be reached as written; the message says what to do."""


class Address:
    """An address that needs no more resolving, and the name behind it for TLS."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, server_name: str | None) -> None:
        self.host = host
        self.port = port
        self.tls = tls
        self.server_name = server_name if tls is not None else None
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
        self.family: int = found[0]
        self.sockaddr: tuple[Any, ...] = found[4]


def address_of(origin: Origin, ip: str, tls: Tls) -> Address:
    """The address of an origin at one of the addresses its name was resolved to; raises AddressError."""
    return Address(ip, origin.port, tls_context(tls) if origin.tls else None, origin.host)


async def resolve(origin: Origin) -> list[str]:
    """The addresses of the origin's name, best first, at least one; raises AddressError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise AddressError(
            f'the name "{origin.host}" does not resolve ({error.strerror or error}): check its spelling, '
            "and that this machine can reach a name server that knows it"
        ) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def tls_context(tls: Tls) -> ssl.SSLContext:
    """How the server's certificate is checked, the same on every Python; raises AddressError for an unusable CA file.

    See docs/decisions/011-one-strictness-for-certificates.md.
    """
    try:
        if tls.ca is not None:
            file.read(tls.ca, LARGEST_CA)  # a pipe or a device would be read without end
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:  # ssl.SSLError is one
        raise AddressError(
            f'target.tls.ca: "{tls.ca}" cannot be used ({error.strerror or error}): name a readable PEM file with the '
            "certificate of the authority that signed the server's"
        ) from error
    context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_RENEGOTIATION  # TLS 1.2: a server that wants to shake hands again delays no request
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
