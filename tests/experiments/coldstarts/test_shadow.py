from __future__ import annotations

from random import Random

import pytest

from loadgen.experiments.coldstarts.shadow import Call, Flags, replay
from loadgen.targets.functiongraph.emulator.model import Admitted, Platform
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Routing, Work

S = 1_000_000_000


def test_a_call_after_a_silence_longer_than_instances_live_must_be_cold() -> None:
    flags = replay([Call(0, S), Call(2 * S, 3 * S), Call(100 * S, 101 * S)], 60 * S, 60 * S)
    assert flags == [Flags(True, True), Flags(False, False), Flags(True, True)]


def test_calls_at_once_on_an_empty_pool_must_all_be_cold() -> None:
    assert all(flag.must for flag in replay([Call(0, S)] * 5, 60 * S, 60 * S))


def test_between_the_two_keep_alive_times_a_call_may_be_either() -> None:
    assert replay([Call(0, S), Call(31 * S, 32 * S)], 20 * S, 40 * S)[1] == Flags(must=False, may=True)


def test_which_instance_took_a_call_decides_how_long_the_other_lives() -> None:
    """After two calls at once and one more later, the oldest idle instance may or may not be the one that is left."""
    calls = [Call(0, S), Call(0, 2 * S), Call(30 * S, 31 * S), *[Call(46 * S + S // 2, 47 * S)] * 2]
    flags = replay(calls, 45 * S, 45 * S)
    assert [flag.must for flag in flags[3:]] == [False, False]
    assert [flag.may for flag in flags[3:]] == [False, True]


def test_a_change_of_settings_may_end_all_instances_or_have_others_in_their_place() -> None:
    calls = [Call(0, S), Call(2 * S, 3 * S, renewed=True), Call(4 * S, 5 * S)]
    assert replay(calls, 60 * S, 60 * S) == [Flags(True, True), Flags(False, True), Flags(False, False)]


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_whether_or_not_changes_of_settings_end_instances_what_the_platform_did_lies_within_the_bounds(
    seed: int, ends: bool
) -> None:
    random = Random(seed)
    function = EmulatedFunction("f", 512, Work(200_000_000, 1.0), "none", 1000, True, 0.0)
    platform = Platform(Emulator(seed, 20 * S, (function,)))
    now = 0
    calls: list[Call] = []
    colds = 0
    for _ in range(300):
        now += round(random.expovariate(1 / random.choice((0.1, 1, 25))) * S)
        renewed = random.random() < 0.1
        if renewed:
            now = max([now, *(call.ended_ns for call in calls)])
            if ends:
                platform.update(now, "f", function)
        call = platform.arrive(now, "f")
        assert isinstance(call, Admitted)
        calls.append(Call(now, call.ends_at_ns - call.overhead_ns, renewed))
        colds += call.cold
    flags = replay(calls, 20 * S, 20 * S)
    assert sum(flag.must for flag in flags) <= colds <= sum(flag.may for flag in flags)


@pytest.mark.parametrize("seed", range(30))
def test_what_the_platform_did_lies_within_the_bounds_whatever_its_routing(seed: int) -> None:
    random = Random(seed)
    function = EmulatedFunction("f", 512, Work(200_000_000, 1.0), "r2-go", 1000, True, 0.0)
    routing = random.choice(list(Routing))
    platform = Platform(Emulator(seed, 20 * S, (function,), routing=routing))
    now = 0
    calls: list[Call] = []
    colds: list[bool] = []
    for _ in range(300):
        now += round(random.expovariate(1 / random.choice((0.1, 1, 25))) * S)
        call = platform.arrive(now, "f")
        assert isinstance(call, Admitted)
        calls.append(Call(now, call.ends_at_ns - call.overhead_ns))
        colds.append(call.cold)
    flags = replay(calls, 20 * S, 20 * S)
    assert sum(flag.must for flag in flags) <= sum(colds) <= sum(flag.may for flag in flags)
