"""Throw-away certificates for localhost and 127.0.0.1, good ones and bad ones."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HERE: tuple[x509.GeneralName, ...] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
)
_VALID = (-1, 2)


class Chain(NamedTuple):
    """A server's certificate with all above it but the root, its key, and the certificates of its two authorities."""

    certificate: Path
    key: Path
    root: Path
    intermediate: Path


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate, valid today, and its key; the paths of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(_pem(_certificate("localhost", key, "localhost", key, authority=True, names=_HERE)))
    paths[1].write_bytes(_key_pem(key))
    return paths


def make_chain(
    directory: Path,
    *,
    key_usage: bool = True,
    names: tuple[x509.GeneralName, ...] = _HERE,
    days: tuple[int, int] = _VALID,
) -> Chain:
    """Write a server's certificate, signed by an intermediate authority that a root has signed.

    ``key_usage`` is whether the authorities have that extension, which strict verification wants; ``days`` from when to
    when the server's certificate is valid, counted from now.
    """
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root = _certificate("root", keys[0], "root", keys[0], authority=True, key_usage=key_usage)
    middle = _certificate("intermediate", keys[1], "root", keys[0], authority=True, key_usage=key_usage)
    leaf = _certificate("server", keys[2], "intermediate", keys[1], authority=False, names=names, days=days)
    chain = Chain(*(directory / f"{name}.pem" for name in ("chain", "chain-key", "root", "intermediate")))
    chain.certificate.write_bytes(_pem(leaf) + _pem(middle))
    chain.key.write_bytes(_key_pem(keys[2]))
    chain.root.write_bytes(_pem(root))
    chain.intermediate.write_bytes(_pem(middle))
    return chain


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
    key_usage: bool = False,
    names: tuple[x509.GeneralName, ...] = (),
    days: tuple[int, int] = _VALID,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if key_usage:
        nothing_else = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        usage = x509.KeyUsage(key_cert_sign=True, crl_sign=True, **nothing_else)
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(signer, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
