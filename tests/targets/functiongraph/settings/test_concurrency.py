from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from loadgen.load.bursts import Bursts
from loadgen.load.constant import ConstantRate
from loadgen.load.phase import Shape
from loadgen.load.workers import Workers
from loadgen.run.quota import unreachable
from loadgen.scenario.model import Scenario
from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.concurrency import Limits, read_limits, readable
from loadgen.text.units import Rate
from tests.scenarios import S, function, phase, scenario
from tests.servers.management import HELLO, PROJECT, Management, Request, failure


def shaped(shape: Shape, max_in_flight: int = 1000) -> Scenario:
    return scenario(function("emulator"), phase(shape, 1, limit=max_in_flight))


def rate(per_s: int) -> ConstantRate:
    return ConstantRate(Rate(per_s, S))


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


@pytest.mark.parametrize(
    ("shape", "max_in_flight", "service_ns", "expected"),
    [
        (Workers(1, 101), 1000, None, "101 workers call at once"),
        (Workers(100, 1), 1000, None, None),
        (Bursts(150, S, 1), 1000, None, "a burst is 150 calls at once"),
        (Bursts(150, S, 1), 100, None, None),
        (rate(200), 1000, 501_000_000, "200 calls/s of 0.501 s each are 101 in flight"),
        (rate(200), 1000, 500_000_000, None),  # exactly as many as there may be
        (rate(200), 100, 10 * S, None),  # the scenario itself allows no more
        (rate(200), 1000, None, None),  # nobody knows how long a call takes
    ],
)
def test_a_phase_that_needs_more_than_there_may_be_is_said_with_its_numbers(
    shape: Shape, max_in_flight: int, service_ns: int | None, expected: str | None
) -> None:
    warnings = list(unreachable(shaped(shape, max_in_flight), Limits(max_instances=100), service_ns))
    if expected is None:
        assert warnings == []
    else:
        name = shaped(shape).phases[0].name
        assert warnings == [
            f"phase {name}: {expected}, and the platform serves at most 100 at once (the function's maximum of "
            "instances is 100): what is beyond that will be throttled or wait. Lower the load, or raise that limit"
        ]


def test_the_lowest_limit_is_the_one_that_counts() -> None:
    (warning,) = unreachable(shaped(Workers(1, 500)), Limits(400, 2, 300, 200))
    assert "serves at most 400 at once (the account's quota of instances is 200 × 2 calls each)" in warning


def test_a_disabled_function_is_said_once() -> None:
    (warning,) = unreachable(shaped(Workers(1, 1)), Limits(max_instances=0))
    assert warning.startswith("the function is disabled")


def test_where_no_limit_is_known_there_is_nothing_to_say() -> None:
    assert list(unreachable(shaped(Workers(1, 5000)), Limits())) == []
