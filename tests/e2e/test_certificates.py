"""Runs over TLS with a real nginx that wants certificates of its clients, and with names of several addresses."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.conftest import ROOT, Command, Loadgen, environment
from tests.e2e.processes import wait_for
from tests.servers.certificate import Chain, make_chain
from tests.servers.nginx import NGINX, Nginx
from tests.servers.ports import free_port
from tests.servers.scripted import OK

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx-light)")

SCENARIO = """
name: mutual
target: {url: "URL/", tls: {TLS}}
phases: [{name: steady, rate: 20/s, duration: 500ms}]
"""


class Mutual(NamedTuple):
    """An nginx with certificates; those of its clients are of another authority."""

    nginx: Nginx
    server: Chain
    client: Chain
    stranger: Chain
    old: Chain


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mutual]:
    directory = tmp_path_factory.mktemp("mutual")
    for above in (directory, *directory.parents[:2]):
        above.chmod(0o755)
    chains = []
    for name, days in (("server", (-1, 2)), ("client", (-1, 2)), ("stranger", (-1, 2)), ("old", (-3, -1))):
        (directory / name).mkdir()
        chains.append(make_chain(directory / name, days=days))
    both = directory / "trusted.pem"
    both.write_bytes(chains[1].root.read_bytes() + chains[3].root.read_bytes())
    options = f"ssl_client_certificate {both}; ssl_verify_client on; ssl_verify_depth 3;"
    server = chains[0]
    tls = {"tls_port": free_port(), "certificate": (server.certificate, server.key)}
    with Nginx(directory / "nginx", free_port(), tls_options=options, **tls) as nginx:  # type: ignore[arg-type]
        yield Mutual(nginx, *chains)


def scenario(mutual: Mutual, client: Chain | None, more: str = "") -> str:
    tls = f"ca: {mutual.server.root}"
    if client is not None:
        tls += f", cert: {client.certificate}, key: {client.key}"
    return SCENARIO.replace("URL", mutual.nginx.tls_url).replace("TLS", tls + more)


def test_a_client_with_a_certificate_is_served(loadgen: Loadgen, mutual: Mutual) -> None:
    run = loadgen(scenario(mutual, mutual.client))
    assert run.passed, run.stderr
    assert run.summary["totals"]["outcomes"] == {"ok": 10}


def test_certificate_and_key_may_come_from_the_environment_and_are_written_nowhere(
    loadgen: Loadgen, mutual: Mutual
) -> None:
    text = scenario(mutual, None, ', cert: "${CERT}", key: "${KEY}"')
    key = mutual.client.key.read_text()
    run = loadgen(text, env={"CERT": mutual.client.certificate.read_text(), "KEY": key})
    assert run.passed, run.stderr
    assert run.summary["totals"]["outcomes"] == {"ok": 10}
    assert run.summary["scenario"]["target"]["tls"]["key"] == "${KEY}"
    for path in run.out.iterdir():
        for line in key.splitlines():
            assert line.encode() not in path.read_bytes(), path.name


def test_the_example_for_client_certificates_runs_with_certificates_from_an_env_file(
    loadgen: Loadgen, mutual: Mutual, tmp_path: Path
) -> None:
    client = mutual.client
    values = {"SERVER_CA": str(mutual.server.root), "CLIENT_CERT": str(client.certificate)}
    lines = [*(f"{name}={value}\n" for name, value in values.items()), f'CLIENT_KEY="{client.key.read_text()}"\n']
    (tmp_path / "tls.env").write_text("".join(lines))
    options = ("--env-file", "tls.env", "--set", f"target.url={mutual.nginx.tls_url}/", "--set", "phases.0.duration=1s")
    run = loadgen(ROOT / "scenarios" / "mutual-tls.yaml", *options)
    assert run.passed, run.stderr
    assert set(run.summary["totals"]["outcomes"]) == {"ok"}


def test_a_key_in_the_scenario_itself_is_masked(loadgen: Loadgen, mutual: Mutual) -> None:
    lines = mutual.client.key.read_text().replace("\n", "\\n")
    run = loadgen(scenario(mutual, None, f', cert: {mutual.client.certificate}, key: "{lines}"'))
    assert run.passed, run.stderr
    for path in run.out.iterdir():
        assert b"PRIVATE" not in path.read_bytes(), path.name
    broken = loadgen(scenario(mutual, None, f', cert: {mutual.client.certificate}, kez: "{lines}" x'))
    assert broken.code == 2
    assert lines[30:60] not in broken.stderr


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (None, "The server wants a certificate of the client. Set target.tls.cert and target.tls.key"),
        ("stranger", "the server refuses target.tls.cert. Set one that is valid, and of an authority that it trusts"),
        ("old", "the server refuses target.tls.cert. Set one that is valid, and of an authority that it trusts"),
    ],
)
def test_what_the_server_wants_is_said_before_any_load(
    loadgen: Loadgen, mutual: Mutual, who: str | None, said: str
) -> None:
    run = loadgen(scenario(mutual, None if who is None else getattr(mutual, who)))
    assert run.code == 1
    assert said.lower() in run.stderr.lower(), run.stderr
    assert "answered 400 (bad_request)" in run.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_server_that_ends_the_connection_for_want_of_a_certificate_is_told_from_one_that_speaks_no_tls(
    loadgen: Loadgen, mutual: Mutual, version: str
) -> None:
    """In TLS 1.3 the client has its connection by then, and learns of it with the first answer. Source: RFC 8446, 2."""
    port = free_port()
    files = ("-cert", mutual.server.certificate, "-key", mutual.server.key, "-cert_chain", mutual.server.certificate)
    wants = ("-Verify", "3", "-verify_return_error", "-CAfile", mutual.client.root)
    command = ["openssl", "s_server", "-accept", str(port), *map(str, (*files, *wants)), version, "-www", "-quiet"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        listening(port)
        url = mutual.nginx.tls_url.rpartition(":")[0] + f":{port}"
        run = loadgen(scenario(mutual, None).replace(mutual.nginx.tls_url, url))
    finally:
        server.kill()
        server.wait()
    assert run.code == 1
    why = "SSLV3_ALERT_HANDSHAKE_FAILURE" if version == "-tls1_2" else "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert why in run.stderr, run.stderr
    assert "certificate of the client" in run.stderr
    assert "target.tls.cert" in run.stderr


def listening(port: int) -> None:
    def connects() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    wait_for(connects)


def test_certificates_that_cannot_be_used_are_found_by_check_and_by_the_run(loadgen: Loadgen, mutual: Mutual) -> None:
    tls = f", cert: {mutual.client.certificate}, key: {mutual.stranger.key}"
    text = scenario(mutual, None, tls)
    run = loadgen(text)
    assert (run.code, "is not the key of the certificate in" in run.stderr) == (1, True)
    file = run.out.parent / "scenario.yaml"
    check = subprocess.run(
        [sys.executable, "-m", "loadgen", "check", str(file)], capture_output=True, text=True, check=False,
        env=environment(),
    )  # fmt: skip
    assert (check.returncode, "is not the key of the certificate in" in check.stderr) == (2, True)
    missing = loadgen(text.replace(str(mutual.stranger.key), "none.pem"))
    assert (missing.code, "target.tls.key: there is no file" in missing.stderr) == (2, True)
    alone = loadgen(scenario(mutual, None, f", key: {mutual.client.key}"))
    assert (alone.code, "target.tls.key: cert is missing: a key goes with a certificate" in alone.stderr) == (2, True)


def test_an_address_is_called_by_another_name(loadgen: Loadgen, mutual: Mutual) -> None:
    port = mutual.nginx.tls_url.rpartition(":")[2]
    text = scenario(mutual, mutual.client).replace(mutual.nginx.tls_url, f"https://no.such.example:{port}")
    pinned = text.replace("tls:", "address: 127.0.0.1, tls:")
    wrong = loadgen(pinned)
    assert wrong.code == 1
    assert "hostname mismatch" in wrong.stderr.lower()
    assert "or set target.tls.server_name to a name that it has" in wrong.stderr
    right = loadgen(pinned.replace("ca:", "server_name: localhost, ca:"))
    assert right.passed, right.stderr
    assert right.summary["environment"]["address"] == "127.0.0.1"


def with_hosts(directory: Path, scenario: str, hosts: str) -> Command:
    """A run that sees other names of hosts than everybody else."""
    (directory / "hosts").write_text(hosts)
    (directory / "scenario.yaml").write_text(scenario)
    out = directory / "run"
    script = (
        f'mount --bind {directory}/hosts /etc/hosts && exec "{sys.executable}" -m loadgen run scenario.yaml --out {out}'
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], cwd=directory, env=environment(), capture_output=True, text=True,
        timeout=50, check=False,
    )  # fmt: skip
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    return Command(done, out)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_name_of_several_addresses_is_called_at_the_first_that_answers_and_it_is_said(
    tmp_path: Path, mutual: Mutual
) -> None:
    text = SCENARIO.replace(", tls: {TLS}", "").replace("URL", mutual.nginx.url.replace("127.0.0.1", "many.test"))
    hosts = "127.0.0.2 many.test\n127.0.0.1 many.test\n"
    run = with_hosts(tmp_path, text, hosts)
    assert run.passed, run.stderr
    assert run.summary["environment"]["address"] == "127.0.0.1"
    assert "note: the target's name has 2 addresses, and all calls go to 127.0.0.1; target.addresses: ro" in run.stderr


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
async def test_connections_of_the_example_for_many_addresses_take_them_in_turns(tmp_path: Path) -> None:
    called: Counter[str] = Counter()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called[writer.get_extra_info("sockname")[0]] += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)
        writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        text = (ROOT / "scenarios" / "addresses.yaml").read_text().replace("many.example:8080", f"many.test:{port}")
        run = await asyncio.to_thread(with_hosts, tmp_path, text, "127.0.0.2 many.test\n127.0.0.1 many.test\n")
    assert run.passed, run.stderr
    assert run.summary["totals"]["outcomes"] == {"ok": 10}
    assert run.summary["environment"]["address"] == "127.0.0.1, 127.0.0.2"
    assert "note: the target's name has" not in run.stderr
    assert sorted(called.values()) == [5, 6], called
