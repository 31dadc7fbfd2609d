from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from loadgen.scenario.load import load
from loadgen.targets.functiongraph.protocol.target import TokenAuth
from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.concurrency import PATIENCE_S, Limits, read, read_limits, readable
from loadgen.targets.settings import settings_of
from loadgen.targets.target import Target
from tests.scenarios import function, http, open_phase, scenario
from tests.servers.management import HELLO, PROJECT, Management, Request, failure, managing

EMULATED = """
name: x
target: {endpoint: emulator, function: hello}
phases: [{name: a, rate: 1/s, duration: 1s}]
emulator: {max_instances: 500, functions: {hello: {memory: 512MB, max_instances: 7, concurrency: 2}}}
"""


async def limits(platform: Management) -> Limits:
    async with Control(platform.url, PROJECT, Nobody()) as control:
        return await read_limits(control, HELLO)


async def test_limits_come_from_the_config_and_the_quotas(platform: Management) -> None:
    platform.config["strategy_config"] = {"concurrency": 300, "concurrent_num": 4}
    assert await limits(platform) == Limits(300, 4, 400, 1000, memory_mb=128)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"strategy_config": {"concurrency": -1}}, Limits(None, 1, 400, 1000, memory_mb=128)),
        ({"strategy_config": {"concurrency": 0}}, Limits(0, 1, 400, 1000, memory_mb=128)),
        ({"strategy_config": None, "max_instance_num": "20"}, Limits(20, 1, 400, 1000, memory_mb=128)),
        (
            {"strategy_config": {"concurrency": "many", "concurrent_num": "x"}},
            Limits(None, 1, 400, 1000, memory_mb=128),
        ),
        ({"type": "v1"}, Limits(100, 1, None, 100, memory_mb=128)),
    ],
)
async def test_what_a_config_says_is_read_leniently(
    platform: Management, config: dict[str, Any], expected: Limits
) -> None:
    platform.config |= config
    assert await limits(platform) == expected


async def test_what_may_not_be_read_is_left_open_and_said(platform: Management) -> None:
    async def forbid(request: Request) -> web.Response | None:
        return failure(403, "FSS.0403", "no") if "quotas" in request.path else None

    platform.before = forbid
    found = await limits(platform)
    assert found.instances == (100, "the function's maximum of instances")
    assert len(found.unread) == 1
    assert "403 FSS.0403" in found.unread[0]


@pytest.mark.parametrize(
    ("qualifier", "why"),
    [
        ("v9", 'FSS.1052, "Not found the version "v9"": the function has no such version'),
        ("!prod", 'FSS.1053, "Not found the alias "!prod"": the function has no such alias'),
    ],
)
async def test_a_version_or_an_alias_that_there_is_not_is_said(platform: Management, qualifier: str, why: str) -> None:
    async with Control(platform.url, PROJECT, Nobody()) as control:
        found = await read_limits(control, replace(HELLO, qualifier=qualifier))
    (unread,) = found.unread
    assert unread.endswith(f": answered 404 {why}")


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("emulator", True),
        ("http://127.0.0.1:8080", False),
        ("http://localhost:8080", False),
        ("http://[::1]:8080", False),
        ("https://functiongraph.eu-de.otc.t-systems.com", True),
    ],
)
def test_nothing_is_asked_on_this_machine_but_of_the_emulator(endpoint: str, expected: bool) -> None:
    assert readable(function(endpoint)) is expected


async def test_the_embedded_emulators_limits_are_those_of_the_scenario() -> None:
    emulated = load(EMULATED, source="s.yaml", directory=Path(), environment={}).scenario
    assert await settings_of(emulated.target).limits(emulated, emulated.target) == Limits(
        7, 2, None, 500, memory_mb=512
    )


@pytest.mark.parametrize(
    "target",
    [
        replace(function("http://127.0.0.1:1"), auth=TokenAuth("t")),  # on this machine
        function("https://functiongraph.example.invalid"),  # without credentials
        http("https://example.invalid/"),
    ],
)
async def test_nobody_is_asked_on_this_machine_without_credentials_or_about_a_url(target: Target) -> None:
    assert await settings_of(target).limits(scenario(target, open_phase(1, 1)), target) is None


async def test_a_platforms_limits_are_read_with_the_targets_credentials() -> None:
    async with managing() as platform:
        target = replace(function(platform.url), auth=TokenAuth("t0ken"))
        assert await read(target) == Limits(100, 1, 400, 1000, memory_mb=128)
    assert {request.headers["X-Auth-Token"] for request in platform.requests} == {"t0ken"}
    assert platform.writes == []


async def test_what_cannot_be_read_is_said_and_nothing_fails(tmp_path: Path) -> None:
    target = function("https://functiongraph.example.invalid")
    tls = replace(target.tls, ca=str(tmp_path / "none.pem"))
    target = replace(target, auth=TokenAuth("t"), tls=tls)
    found = await settings_of(target).limits(scenario(target, open_phase(1, 1)), target)
    assert found is not None
    assert found.instances is None
    assert "none.pem" in found.unread[0]
    assert PATIENCE_S <= 5
