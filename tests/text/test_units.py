from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.text import units
from loadgen.text.units import Money, Rate


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("500us", 500_000),
        ("10ms", 10_000_000),
        ("2s", 2_000_000_000),
        ("1.5s", 1_500_000_000),
        ("5m", 300_000_000_000),
        ("1h", 3_600_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1s500ms", 1_500_000_000),
        ("1h1m1s1ms1us", 3_661_001_001_000),
        ("1m0.5s", 60_500_000_000),
        ("0s", 0),
        ("0.001us", 1),
        ("8760h", units.LONGEST_NS),
    ],
)
def test_a_duration_is_its_number_times_its_unit(text: str, ns: int) -> None:
    assert units.duration(text) == ns


@pytest.mark.parametrize(
    "text", ["", "10", "10 s", "-5s", "5S", "1e3s", "s", "5sec", "10ms\n", "٣s", "0.0001us", "8761h", "8760h1us"]
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(a number with a unit|a whole number|at most)"):
        units.duration(text)


@pytest.mark.parametrize("text", ["30s1m", "1m1m", "1m 30s", "1m30", "30m1h", "1us1ms", "m30s", "1m-30s"])
def test_units_of_a_duration_are_written_once_the_largest_first(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a number with a unit .* or 1m30s$"):
        units.duration(text)


@given(st.lists(st.sampled_from(["h", "m", "s", "ms", "us"]), min_size=1, unique=True), st.data())
def test_a_duration_of_several_units_is_the_sum_of_its_parts(chosen: list[str], data: st.DataObject) -> None:
    written = [f"{data.draw(st.integers(0, 999))}{unit}" for unit in ("h", "m", "s", "ms", "us") if unit in chosen]
    assert units.duration("".join(written)) == sum(map(units.duration, written))


@given(st.integers(0, 10**9), st.sampled_from(["us", "ms", "s"]))
def test_whole_durations_round_trip_without_loss(number: int, unit: str) -> None:
    ns = {"us": 10**3, "ms": 10**6, "s": 10**9}[unit]
    if number * ns <= units.LONGEST_NS:
        assert units.duration(f"{number}{unit}") == number * ns


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("200/s", Rate(200, 10**9)),
        ("3000/min", Rate(3000, 60 * 10**9)),
        ("10/h", Rate(10, 3600 * 10**9)),
        ("0.5/s", Rate(5, 10**10)),
        ("0/s", Rate(0, 10**9)),
    ],
)
def test_a_rate_is_an_exact_ratio(text: str, rate: Rate) -> None:
    assert units.rate(text) == rate


@pytest.mark.parametrize(("text", "size"), [("0KB", 0), ("1KB", 1024), ("10KB", 10_240), ("64KB", 65_536)])
def test_the_size_of_a_log_is_whole_kb(text: str, size: int) -> None:
    assert units.log_size(text) == size


@pytest.mark.parametrize("text", ["", "10", "10 KB", "-1KB", "1.5KB", "65KB", "100KB", "10kb", "10MB", "1KB\n"])
def test_anything_else_is_no_size_of_a_log(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a whole number of KB up to 64KB"):
        units.log_size(text)


@given(st.decimals(0, 10**6, places=6))
def test_a_decimal_rate_loses_nothing(number: Decimal) -> None:
    rate = units.rate(f"{number:f}/s")
    assert Fraction(rate.events, rate.per_ns) == Fraction(number) / 10**9


@pytest.mark.parametrize("text", ["50 / sec", "50", "/s", "-1/s", "50/sec", "50/m", "1e3/s", "20000000/s"])
def test_anything_else_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"a number per unit such as 50/s or 3000/min|at most"):
        units.rate(text)


def test_zero_is_refused_where_it_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="above zero"):
        units.positive_rate("0/s")
    with pytest.raises(ValueError, match="above zero"):
        units.positive_duration("0ms")


def test_sizes_shares_samplings_and_money() -> None:
    assert units.megabytes("128MB") == 128
    assert units.share("3%") == 0.03
    assert units.share("0.1%") == 0.001
    assert units.share("100%") == 1.0
    assert [units.sampling(text) for text in ("none", "all", "1%")] == [0.0, 1.0, 0.01]
    assert units.money("0.50 CNY") == Money(Decimal("0.50"), "CNY")
    assert str(units.money("0.50 CNY")) == "0.50 CNY"
    assert units.price("0.00011108") * 500_000 == Decimal("55.54")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (units.megabytes, "128"),
        (units.megabytes, "1GB"),
        (units.share, "3"),
        (units.share, "101%"),
        (units.share, "-1%"),
        (units.sampling, "some"),
        (units.money, "5"),
        (units.money, "5 cny"),
        (units.price, "-1"),
        (units.price, "1e-4"),
        (units.price, ".5"),
    ],
)
def test_quantities_without_their_unit_are_refused(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match=r"."):
        read(text)


@given(st.integers(0, units.LONGEST_NS))
def test_a_duration_reads_as_it_is_written(ns: int) -> None:
    assert units.duration(units.duration_text(ns)) == ns


@given(st.integers(0, 10**6), st.integers(0, 6), st.sampled_from(["s", "min", "h"]))
def test_a_rate_is_written_as_it_was_read(events: int, digits: int, unit: str) -> None:
    text = f"{Decimal(events).scaleb(-digits):f}/{unit}"
    assert units.rate_text(units.rate(text)) == text


@pytest.mark.parametrize("text", ["0%", "0.1%", "7%", "33.3%", "100%"])
def test_a_share_is_written_as_it_was_read(text: str) -> None:
    assert units.share_text(units.share(text)) == text


@pytest.mark.parametrize("text", ["none", "1%", "all"])
def test_a_share_of_samples_is_written_as_it_was_read(text: str) -> None:
    assert units.sampling_text(units.sampling(text)) == text
