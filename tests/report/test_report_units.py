from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.report import units
from loadgen.text import foreign
from loadgen.text.foreign import GAP, THIN


def plain(text: str) -> str:
    return text.replace(GAP, " ").replace(THIN, " ")


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 s"),
        (500, "500 ns"),
        (1_234, "1.23 µs"),
        (999_949, "1.00 ms"),  # rounding reaches the next unit
        (12_345_678, "12.3 ms"),
        (999_600_000, "1.00 s"),
        (59_960_000_000, "60.0 s"),
        (123_456_000_000, "123 s"),
        (1_234_000_000_000, "20.6 min"),
        (3_600_000_000_000, "60.0 min"),
    ],
)
def test_a_measured_time_has_three_significant_digits(ns: int, text: str) -> None:
    assert plain(units.duration(ns)) == text


@given(st.integers(1, 3_600_000_000_000))
def test_a_written_time_is_within_half_a_percent_of_the_measured_one(ns: int) -> None:
    number, unit = units.duration(ns).split(GAP)
    scale = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "min": 60e9}[unit]
    assert float(number.replace(THIN, "")) * scale == pytest.approx(ns, rel=0.00501)


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_share_reads_0_or_100_only_when_it_is_exactly_that(part: int, whole: int) -> None:
    part = min(part, whole)
    number = float(units.share(part, whole).removesuffix(f"{GAP}%"))
    assert (number == 0) == (part == 0)
    assert (number == 100) == (part == whole)


def test_a_share_of_nothing_is_a_dash() -> None:
    assert units.share(0, 0) == "–"


@pytest.mark.parametrize(
    ("per_s", "text"),
    [(200.0, "200/s"), (199.93, "199.93/s"), (199.999, "200.00/s"), (12345.678, "12 345.68/s"), (0.0123, "0.0123/s")],
)
def test_a_rate_is_whole_only_when_it_is(per_s: float, text: str) -> None:
    assert plain(units.rate(per_s)) == text


@pytest.mark.parametrize(
    ("ns", "text"), [(0, "0 s"), (500_000_000, "500 ms"), (30_000_000_000, "30 s"), (90_000_000_000, "1 min 30 s")]
)
def test_a_configured_time_is_written_exactly(ns: int, text: str) -> None:
    assert plain(units.span(ns)) == text


@pytest.mark.parametrize(("size", "text"), [(1023, "1023 B"), (1024, "1.00 KiB"), (45 << 20, "45.0 MiB")])
def test_a_size_is_in_units_of_1024(size: int, text: str) -> None:
    assert plain(units.size(size)) == text


def test_a_range_names_its_unit_only_where_it_differs_from_the_figure_beside_it() -> None:
    low, high = units.duration(1_200_000), units.duration(1_310_000)
    assert units.between(low, high, low) == "1.20–1.31"
    assert plain(units.between(units.duration(998_000), high, high)) == "998 µs–1.31 ms"


@given(st.text())
def test_foreign_text_becomes_one_printable_line(text: str) -> None:
    assert plain(foreign.line(text)).isprintable()


def test_a_length_that_was_measured_has_three_digits() -> None:
    assert plain(units.span(9_342_539_511)) == "9.34 s"
