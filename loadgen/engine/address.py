"""Where connections go: names are resolved once per run and pinned, and TLS is set up once.

OpenSSL reads certificates and keys from files. The text of one is given to it in memory (memfd), so that no key comes
to lie on a disk.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, NoReturn

from loadgen.targets.port import Addresses, Tls, is_pem
from loadgen.targets.request import Origin
from loadgen.targets.target import Target
from loadgen.text import file

LARGEST_CA = 16 * 2**20
"""Bytes of a PEM file; those of operating systems, which hold every authority there is, have some 300 KB."""
_LOCKED = "it needs a passphrase: write it without one (openssl pkey -in key.pem -out plain.pem)"


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
    return Address(ip, origin.port, tls_context(tls) if origin.tls else None, tls.server_name or origin.host)


async def addresses_of(target: Target, origin: Origin) -> list[str]:
    """The addresses that the target may be called at, best first, at least one; raises AddressError."""
    return await resolve(origin) if target.address is None else [target.address]


def called(target: Target, answered: str, known: Sequence[str]) -> tuple[str, ...]:
    """Those of the ``known`` addresses that are called, once one of them has ``answered``."""
    return tuple(known) if target.addresses is Addresses.ROTATE else (answered,)


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
    """How server and client show each other who they are, the same on every Python.

    Raises AddressError for a certificate or key that cannot be used. See
    docs/decisions/011-one-strictness-for-certificates.md.
    """
    try:
        with ExitStack() as stack:
            ca = None if tls.ca is None else stack.enter_context(_pem_file(tls.ca))
            context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise AddressError(
            f"target.tls.ca: {_named(tls.ca)} cannot be used ({error.strerror or error}): name a readable PEM file "
            "with the certificate of the authority that signed the server's"
        ) from error
    context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_RENEGOTIATION  # TLS 1.2: a server that wants to shake hands again delays no request
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert is not None:
        _show_certificate(context, tls.cert, tls.key)
    return context


def _show_certificate(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    """Have the context show the client's certificate; raises AddressError."""
    with ExitStack() as stack:
        try:
            files = stack.enter_context(_pem_file(cert)), None if key is None else stack.enter_context(_pem_file(key))
        except OSError as error:
            what, value = ("key", key) if error.filename == key else ("cert", cert)
            why = error.strerror or error
            raise AddressError(
                f"target.tls.{what}: {_named(value)} cannot be used ({why}): name a readable PEM file"
            ) from error
        try:
            context.load_cert_chain(*files, password=_no_passphrase)
        except _PassphraseError as error:
            what = "cert" if key is None else "key"
            raise AddressError(f"target.tls.{what}: {_named(key or cert)} cannot be used: {_LOCKED}") from error
        except OSError as error:
            raise AddressError(_unusable(cert, key, getattr(error, "reason", None) or "")) from error


def _unusable(cert: str, key: str | None, reason: str) -> str:
    """Why OpenSSL does not take a certificate and its key, and what to do."""
    if reason == "KEY_VALUES_MISMATCH":
        return (
            f"target.tls.key: {_named(key or cert)} is not the key of the certificate in {_named(cert)} "
            f"({reason}): write the pair that belongs together, the client's own certificate first"
        )
    why = f" ({reason})" if reason else ""
    where = f"{_named(cert)} and {_named(key)}" if key is not None else _named(cert)
    return (
        f"target.tls.cert: {where} cannot be used{why}: expected PEM, with the client's certificate in cert and its "
        "private key in key, or both in cert"
    )


class _PassphraseError(Exception):
    pass


def _no_passphrase() -> NoReturn:
    raise _PassphraseError


def _named(pem: str | None) -> str:
    """A PEM file as messages name it; the text of one is not shown."""
    return "its text" if pem is None or is_pem(pem) else f'"{pem}"'


@contextmanager
def _pem_file(pem: str) -> Iterator[str]:
    """The path of a PEM file, or one from which its text can be read. Raises OSError."""
    if not is_pem(pem):
        file.read(pem, LARGEST_CA)  # a pipe or a device would be read without end
        yield pem
        return
    with _in_memory() as held:
        held.write(pem.encode())
        held.flush()
        held.seek(0)
        yield f"/dev/fd/{held.fileno()}"


def _in_memory() -> BinaryIO:
    """A file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("pem"), "w+b")
    return tempfile.TemporaryFile()
