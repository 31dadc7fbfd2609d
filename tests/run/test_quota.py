from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loadgen.scenario.load import load
from loadgen.targets.functiongraph.protocol.target import TokenAuth
from loadgen.targets.functiongraph.settings.concurrency import PATIENCE_S, Limits, read
from loadgen.targets.settings import settings_of
from loadgen.targets.target import Target
from tests.scenarios import function, http, open_phase, scenario
from tests.servers.management import managing

EMULATED = """
name: x
target: {endpoint: emulator, function: hello}
phases: [{name: a, rate: 1/s, duration: 1s}]
emulator: {max_instances: 500, functions: {hello: {memory: 512MB, max_instances: 7, concurrency: 2}}}
"""


async def test_the_embedded_emulators_limits_are_those_of_the_scenario() -> None:
    emulated = load(EMULATED, source="s.yaml", directory=Path(), environment={}).scenario
    assert await settings_of(emulated.target).limits(emulated, emulated.target) == Limits(
        7, 2, None, 500, memory_mb=512
    )


@pytest.mark.parametrize(
    "target",
    [
        msgspec.structs.replace(function("http://127.0.0.1:1"), auth=TokenAuth("t")),  # on this machine
        function("https://functiongraph.example.invalid"),  # without credentials
        http("https://example.invalid/"),
    ],
)
async def test_nobody_is_asked_on_this_machine_without_credentials_or_about_a_url(target: Target) -> None:
    assert await settings_of(target).limits(scenario(target, open_phase(1, 1)), target) is None


async def test_a_platforms_limits_are_read_with_the_targets_credentials() -> None:
    async with managing() as platform:
        target = msgspec.structs.replace(function(platform.url), auth=TokenAuth("t0ken"))
        assert await read(target) == Limits(100, 1, 400, 1000, memory_mb=128)
    assert {request.headers["X-Auth-Token"] for request in platform.requests} == {"t0ken"}
    assert platform.writes == []


async def test_what_cannot_be_read_is_said_and_nothing_fails(tmp_path: Path) -> None:
    target = function("https://functiongraph.example.invalid")
    tls = msgspec.structs.replace(target.tls, ca=str(tmp_path / "none.pem"))
    target = msgspec.structs.replace(target, auth=TokenAuth("t"), tls=tls)
    found = await settings_of(target).limits(scenario(target, open_phase(1, 1)), target)
    assert found is not None
    assert found.instances is None
    assert "none.pem" in found.unread[0]
    assert PATIENCE_S <= 5
