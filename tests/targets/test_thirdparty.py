"""A platform that loadgen does not know, run by it: all that it knows of it is what the port says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from loadgen.experiments.load.decision import load
from loadgen.history.rundir import RunDirectory
from loadgen.invocation.bill import PriceBook
from loadgen.run.agents import Agents
from loadgen.run.runner import Finished, Runner
from loadgen.scenario.load import Loaded, load_price_book
from loadgen.targets.registry import installed, tenant_named
from loadgen.targets.secret import sent
from loadgen.targets.target import Target
from loadgen.text.secret import Secrets
from tests.experiments.test_runner import Quiet
from tests.scenarios import TIMEOUT, open_phase, scenario
from tests.servers.scripted import Peer, serving

HERE = Path(__file__).parent / "thirdparty"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
RAN = HEAD + b"Nimbus-Ran: 1500\r\nNimbus-Billed: 2\r\nNimbus-Memory: 512\r\n\r\nhi"
FAILED = b"HTTP/1.1 299 Rain\r\nContent-Length: 0\r\nNimbus-Error: RAINED\r\n\r\n"


@pytest.fixture
def nimbus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The distribution, as if it were installed, for this process and its children."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    installed.cache_clear()
    yield
    installed.cache_clear()
    sys.modules.pop("nimbus", None)


def action(port: int) -> Target:
    form = tenant_named("nimbus").form
    plain = {
        "gateway": f"http://127.0.0.1:{port}",
        "action": "rain",
        "key": "PLANTED-key",
        "memory_mb": 512,
        "fresh_connections": False,
        "timeout": TIMEOUT,
        "tls": {"verify": True, "ca": None},
        "preflight": True,
    }
    target: Target = msgspec.convert({**plain, "type": "nimbus", "timeout": msgspec.to_builtins(TIMEOUT)}, form)
    return target


async def alternating(peer: Peer) -> None:
    """Every tenth answer is a failure, never the first."""
    number = 0
    while await peer.request() is not None:
        number += 1
        await peer.send(FAILED if number % 10 == 0 else RAN)


async def ran(tmp_path: Path, prices: PriceBook | None = None) -> tuple[Finished, list[bytes]]:
    async with serving(alternating) as server:
        target = action(server.port)
        made = msgspec.structs.replace(scenario(target, open_phase(50, 2)), prices=prices)
        secrets = Secrets(sent(target))
        directory = RunDirectory.create(tmp_path / "run", secrets.hide)
        try:
            decision = load(made.phases, told=True)
            finished = await Runner(
                Loaded(made, {}, ""), decision, directory, Quiet(), agents=Agents(2, "asked"), secrets=secrets
            ).run()
        finally:
            directory.close()
        return finished, server.requests


async def test_a_platform_of_another_distribution_is_called_read_and_billed(nimbus: None, tmp_path: Path) -> None:
    finished, requests = await ran(tmp_path, load_price_book("huawei-cny-2024-09"))
    summary = finished.summary
    assert summary.preflight is not None
    assert summary.preflight.outcome == "ok"
    assert all(request.startswith(b"POST /run/rain HTTP/1.1\r\n") for request in requests)
    assert all(b"Nimbus-Key: PLANTED-key\r\nNimbus-Memory: 512\r\n" in request for request in requests)
    outcomes = {name: count for name, count in summary.totals.outcomes.items() if count}
    assert set(outcomes) == {"ok", "function_error"}
    assert sum(outcomes.values()) == 100
    assert summary.totals.reasons["function_error/nimbus_error"] == outcomes["function_error"]
    duration = summary.totals.metrics["duration"]
    assert (duration.min, duration.count) == (1_500_000, outcomes["ok"])
    billed = outcomes["ok"] + 1  # the pre-flight is
    assert summary.cost is not None
    assert (summary.cost.requests, summary.cost.unmetered) == (101, outcomes["function_error"])
    assert summary.cost.gb_seconds == Decimal(billed) * Decimal("0.001")


async def test_its_secrets_are_in_nothing_that_is_written(nimbus: None, tmp_path: Path) -> None:
    await ran(tmp_path)
    written = "".join(path.read_text() for path in (tmp_path / "run").iterdir())
    assert "PLANTED" not in written
