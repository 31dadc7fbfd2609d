"""Whatever goes wrong between a load and its target, the books are right and nothing is left behind."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import environment
from tests.e2e.processes import agents_of, children_of, open_files
from tests.servers.certificate import make_certificate
from tests.servers.chaos import PLAIN, SEALED, Proxy, chaos
from tests.servers.iam import Platform, platform
from tests.servers.scripted import answer_all, serving

IN_FLIGHT = 60
SPARE = 40
"""Descriptors of an agent for itself."""
SCENARIO = """
name: chaos
target:
  {target}
  timeout: {{connect: 500ms, first_byte: 800ms, total: 1s}}
  tls: {{ca: certificate.pem}}
  preflight: false
  project_id: demo
  function: hello
phases:
  - {{name: open, rate: 150/s, duration: {seconds}s, max_in_flight: {most}, grace: 1s}}
  - {{name: closed, workers: 20, duration: {seconds}s, grace: 500ms}}
samples: all
"""


class Ran:
    """A run that is over, as it was seen from outside while it went on."""

    def __init__(self, directory: Path, stderr: str, took_s: float) -> None:
        self.stderr = stderr
        self.took_s = took_s
        self.files: list[int] = []
        self.memory: list[int] = []
        self.left: list[int] = []
        self.summary: dict[str, Any] = json.loads((directory / "run" / "summary.json").read_text())
        with gzip.open(directory / "run" / "samples.ndjson.gz", "rt") as lines:
            self.samples = [json.loads(line) for line in lines]


async def ran(directory: Path, *options: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "default::ResourceWarning", "-m", "loadgen", "run", "scenario.yaml", "--out", "run",
        *options, cwd=directory, env=environment(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return await _watched(process, directory)


async def _watched(process: asyncio.subprocess.Process, directory: Path) -> Ran:
    begun = time.monotonic()
    said = asyncio.create_task(process.communicate())
    files: list[int] = []
    memory: list[int] = []
    children: set[int] = set()
    while not said.done():
        children |= set(children_of(process.pid))
        for agent in agents_of(process.pid):
            try:
                files.append(open_files(agent))
                memory.append(int(Path(f"/proc/{agent}/statm").read_text().split()[1]) * 4096)
            except (OSError, IndexError):
                continue  # it has just ended
        await asyncio.sleep(0.1)
    _, stderr = await said
    assert (directory / "run" / "summary.json").exists(), stderr.decode()
    found = Ran(directory, stderr.decode(), time.monotonic() - begun)
    found.files, found.memory = files, memory
    found.left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
    return found


@asynccontextmanager
async def target(mix: str, seed: int, directory: Path) -> AsyncIterator[tuple[Proxy, str]]:
    """The proxy before the server of a mix, and the scenario's target block."""
    certificate, key = make_certificate(directory)
    if mix == "platform":
        async with (
            platform(lifetime_s=1.5) as served,
            chaos(int(served.url.rpartition(":")[2]), seed, {"delay": 3, "drip": 1, "close": 1}, storms=True) as proxy,
        ):
            revoking = asyncio.create_task(_revoke(served))
            auth = f"{{iam: {{url: {served.url}, username: u, password: p-assword, domain: d}}}}"
            yield proxy, f'endpoint: "http://127.0.0.1:{proxy.port}"\n  auth: {auth}'
            revoking.cancel()
        return
    context = None
    if mix == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    async with (
        serving(answer_all, tls=context, remembers=False) as server,
        chaos(server.port, seed, SEALED if context else PLAIN) as proxy,
    ):
        yield proxy, f'endpoint: "{"https" if context else "http"}://127.0.0.1:{proxy.port}"'


async def _revoke(served: Platform) -> None:
    """End every token again and again, as a password does that somebody changes."""
    while True:
        await asyncio.sleep(0.7)
        served.revoke()


async def met(mix: str, seed: int, directory: Path, *, seconds: int, agents: int = 1) -> Ran:
    """A run through chaos, of which everything holds that holds of any."""
    async with target(mix, seed, directory) as (proxy, block):
        text = SCENARIO.format(target=block, seconds=seconds, most=IN_FLIGHT)
        (directory / "scenario.yaml").write_text(text)
        found = await ran(directory, "--agents", str(agents))
        for _ in range(50):
            if not proxy.connected:
                break
            await asyncio.sleep(0.1)
        assert proxy.connected == 0  # nothing holds a connection any more
        assert len(proxy.did) > 3, proxy.did
    for complaint in ("Traceback", "ResourceWarning", "never awaited", "was destroyed", "never retrieved"):
        assert complaint not in found.stderr, found.stderr
    check_books(found.summary)
    check_samples(found)
    assert found.left == []
    assert max(found.files) <= IN_FLIGHT + SPARE
    assert found.took_s < 2 * seconds + 1.5 + 30  # the graces, and how long a busy machine takes to begin and to end
    return found


def check_books(summary: dict[str, Any]) -> None:
    """The identities of the counts, in every phase and in all together, and a record that is whole."""
    for phase in (*summary["phases"], summary["totals"]):
        assert phase["planned"] == phase["started"] + phase["dropped"]
        assert phase["started"] == phase["completed"] + phase["unfinished"]
        assert phase["planned"] == sum(phase["outcomes"].values())
        assert sum(phase["reasons"].values()) <= phase["planned"]
    assert "record_incomplete" not in [reason["rule"] for reason in summary["verdict"]["reasons"]]
    open_phase, closed = summary["phases"]
    assert open_phase["planned"] == 150 * round(open_phase["duration_ns"] / 1e9)
    assert closed["dropped"] == 0


def check_samples(found: Ran) -> None:
    """Each planned call has one sample, of the outcome that it is counted as."""
    numbers = Counter((each["phase"], each["index"]) for each in found.samples)
    assert set(numbers.values()) == {1}
    for phase in found.summary["phases"]:
        of_phase = Counter(each["outcome"] for each in found.samples if each["phase"] == phase["name"])
        assert of_phase == phase["outcomes"]
    for each in found.samples:
        assert each["intended_ns"] <= (each["started_ns"] or each["ended_ns"]) <= each["ended_ns"]


@pytest.mark.parametrize(("mix", "agents"), [("network", 2), ("platform", 1), ("tls", 1)])
async def test_through_chaos_every_call_is_counted_once_and_nothing_is_left_behind(
    tmp_path: Path, mix: str, agents: int
) -> None:
    found = await met(mix, 17, tmp_path, seconds=2, agents=agents)
    outcomes = found.summary["totals"]["outcomes"]
    assert outcomes["ok"] > 0
    expected = {"network": {"timeout", "protocol", "connection"}, "platform": {"throttled"}, "tls": {"connection"}}
    assert expected[mix] <= outcomes.keys()


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mix", ["network", "platform", "tls"])
async def test_through_a_minute_of_chaos_memory_stays_flat(tmp_path: Path, mix: str, seed: int) -> None:
    found = await met(mix, seed, tmp_path, seconds=30, agents=1 + seed % 2)
    third = len(found.memory) // 3
    assert max(found.memory[2 * third :]) < max(found.memory[:third]) * 1.15 + 2**22
