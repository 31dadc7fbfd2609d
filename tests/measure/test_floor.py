from __future__ import annotations

import msgspec
import pytest

from loadgen.engine.environment import environment
from loadgen.measure import floor
from loadgen.measure.floor import IDENTITY, SCHEMA, Floor, Quantiles, differences, quantiles
from tests.frames import histogram

HERE = environment(agents=1, scenario_sha256="", synthetic=True)
FLOOR = Floor(
    schema=SCHEMA,
    measured_at="2026-11-22T03:15:00Z",
    environment=HERE,
    rate_per_s=1000,
    latency=Quantiles(10_000, 200_000, 400_000, 900_000),
    service_time=Quantiles(10_000, 150_000, 300_000, 800_000),
    closed=Quantiles(500, 90_000, None, None),
)


def test_a_floor_comes_back_as_it_was_written() -> None:
    assert floor.decode(floor.encode(FLOOR)) == FLOOR


def test_a_floor_of_another_schema_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"schema 'loadgen.floor/2', expected 'loadgen.floor/1'"):
        floor.decode(floor.encode(msgspec.structs.replace(FLOOR, schema="loadgen.floor/2")))


def test_quantiles_are_in_ns_and_left_out_where_the_sample_does_not_support_them() -> None:
    assert quantiles(histogram(range(1, 1001))) == Quantiles(1000, 500_000, 990_000, None)
    assert quantiles(histogram([])) == Quantiles(0, None, None, None)
    assert quantiles(histogram([7] * 10_000)).p999_ns == 7_000


def test_a_floor_holds_where_it_was_measured_whatever_the_run() -> None:
    """How many agents, which scenario, and what is allowed, changes nothing about it."""
    run = msgspec.structs.replace(HERE, agents=9, scenario_sha256="x", synthetic=False, nofile=1, address="::1")
    assert list(differences(FLOOR, run)) == []


@pytest.mark.parametrize("name", IDENTITY)
def test_a_floor_of_another_machine_or_build_does_not_hold_and_says_what_differs(name: str) -> None:
    other = msgspec.structs.replace(HERE, **{name: "another"})
    assert list(differences(FLOOR, other)) == [f"{name.replace('_', ' ')} was {getattr(HERE, name)}, is another"]
