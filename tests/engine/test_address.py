"""Certificates and keys of a client: what is wrong with them is said before anything is sent."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from loadgen.engine.address import AddressError, address_of, tls_context
from loadgen.targets.port import Tls
from loadgen.targets.request import Origin
from tests.servers.certificate import Chain, make_chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_chain(tmp_path_factory.mktemp("other"))


def refused(tls: Tls) -> str:
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(AddressError) as caught:
        tls_context(tls)
    assert len(list(Path("/dev/fd").iterdir())) == before
    return str(caught.value)


def test_certificate_and_key_are_files_or_their_text_or_both_in_one(chain: Chain, tmp_path: Path) -> None:
    cert, key = chain.certificate.read_text(), chain.key.read_text()
    both = tmp_path / "both.pem"
    both.write_text(key + cert)
    for tls in (
        Tls(cert=str(chain.certificate), key=str(chain.key)),
        Tls(cert=cert, key=key),
        Tls(cert=str(chain.certificate), key=key),
        Tls(cert=str(both)),
        Tls(cert=cert + key),
        Tls(ca=chain.root.read_text()),
    ):
        tls_context(tls)


def test_a_key_that_is_anothers_is_named(chain: Chain, other: Chain) -> None:
    said = refused(Tls(cert=str(chain.certificate), key=str(other.key)))
    assert said == (
        f'target.tls.key: "{other.key}" is not the key of the certificate in "{chain.certificate}" '
        "(KEY_VALUES_MISMATCH): write the pair that belongs together, the client's own certificate first"
    )
    said = refused(Tls(cert=chain.certificate.read_text(), key=other.key.read_text()))
    assert said.startswith("target.tls.key: its text is not the key of the certificate in its text (KEY_")


def test_a_key_that_needs_a_passphrase_is_refused_and_nobody_is_asked_for_it(chain: Chain, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", chain.key, "-aes256", "-passout", "pass:sesame", "-out", locked], check=True
    )
    said = refused(Tls(cert=str(chain.certificate), key=str(locked)))
    assert said == (
        f'target.tls.key: "{locked}" cannot be used: it needs a passphrase: write it without one '
        "(openssl pkey -in key.pem -out plain.pem)"
    )
    assert "its text cannot be used: it needs a passphrase" in refused(
        Tls(cert=str(chain.certificate), key=locked.read_text())
    )


def test_what_is_no_certificate_or_no_key_is_named(chain: Chain, tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    none.write_text("PLANTED")
    expected = "expected PEM, with the client's certificate in cert and its private key in key, or both in cert"
    for tls in (
        Tls(cert=str(none), key=str(chain.key)),
        Tls(cert=str(chain.certificate), key=str(none)),
        Tls(cert=str(chain.certificate)),
        Tls(cert=str(chain.key), key=str(chain.certificate)),
        Tls(cert="-----BEGIN PLANTED", key="-----BEGIN PLANTED"),
    ):
        said = refused(tls)
        assert said.startswith("target.tls.cert: ")
        assert said.endswith(expected)
        assert "PLANTED" not in said
    assert "target.tls.ca: its text cannot be used" in refused(Tls(ca="-----BEGIN PLANTED"))


@pytest.mark.parametrize("what", ["cert", "key"])
def test_a_file_that_is_not_there_or_none_is_named(chain: Chain, what: str) -> None:
    files = {"cert": str(chain.certificate), "key": str(chain.key)}
    for path, why in (
        ("/nonexistent.pem", "No such file or directory"),
        ("/dev/zero", "it is a device, no regular file"),
    ):
        said = refused(Tls(**{**files, what: path}))  # type: ignore[arg-type]
        assert said == f'target.tls.{what}: "{path}" cannot be used ({why}): name a readable PEM file'


def test_the_server_is_asked_for_another_name_where_one_is_given() -> None:
    origin = Origin(True, "h.example", 443)
    assert address_of(origin, "127.0.0.1", Tls(server_name="other.example")).server_name == "other.example"
    assert address_of(origin, "127.0.0.1", Tls()).server_name == "h.example"
    assert address_of(Origin(False, "h.example", 80), "127.0.0.1", Tls(server_name="x.example")).server_name is None


def test_no_key_is_in_the_repr() -> None:
    assert "PLANTED" not in repr(Tls(key="-----BEGIN PLANTED"))
