from __future__ import annotations

import pytest
from msgspec.structs import replace

from loadgen.load.bursts import Bursts
from loadgen.load.constant import ConstantRate
from loadgen.load.phase import Shape
from loadgen.load.workers import Workers
from loadgen.run.quota import unreachable
from loadgen.scenario.model import Call, Scenario
from loadgen.targets.functiongraph.settings.concurrency import Limits
from loadgen.text.units import Rate
from tests.scenarios import S, function, phase, scenario


def shaped(shape: Shape, max_in_flight: int = 1000) -> Scenario:
    return scenario(function("emulator"), phase(shape, 1, limit=max_in_flight))


def rate(per_s: int) -> ConstantRate:
    return ConstantRate(Rate(per_s, S))


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
    warnings = list(unreachable(shaped(shape, max_in_flight), [Limits(max_instances=100)], [service_ns]))
    if expected is None:
        assert warnings == []
    else:
        name = shaped(shape).phases[0].name
        assert warnings == [
            f"phase {name}: {expected}, and the platform serves at most 100 at once (the function's maximum of "
            "instances is 100): what is beyond that will be throttled or wait. Lower the load, or raise that limit"
        ]


def test_the_lowest_limit_is_the_one_that_counts() -> None:
    (warning,) = unreachable(shaped(Workers(1, 500)), [Limits(400, 2, 300, 200)])
    assert "serves at most 400 at once (the account's quota of instances is 200 × 2 calls each)" in warning


def test_a_disabled_function_is_said_once() -> None:
    (warning,) = unreachable(shaped(Workers(1, 1)), [Limits(max_instances=0)])
    assert warning.startswith("the function is disabled")


def test_where_no_limit_is_known_there_is_nothing_to_say() -> None:
    assert list(unreachable(shaped(Workers(1, 5000)), [Limits()])) == []


def test_each_function_of_a_mix_gets_its_share_of_the_rate() -> None:
    one, other = (replace(function("emulator"), function=name) for name in ("one", "other"))
    calls = (Call("a", 3, one, "{}"), Call("b", 1, other, "{}"), Call("c", 1, one, "{}"))
    mixed = replace(shaped(rate(200)), calls=calls)
    limits = [Limits(max_instances=100), Limits(max_instances=20), Limits(max_instances=100)]
    # 160/s for half a second each, and 40/s for one second
    (warning,) = unreachable(mixed, limits, [S // 2, S, S // 2])
    assert warning.startswith("b: phase ")
    assert "20.0% of its calls need 40 in flight, and the platform serves at most 20 at once" in warning
    assert list(unreachable(mixed, limits, [S // 2, None, S // 2])) == []
    assert list(unreachable(replace(shaped(Workers(500, 500)), calls=calls), limits)) == []
