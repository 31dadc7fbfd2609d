"""Percentile distributions, beside those of HdrHistogram's Python implementation."""

from __future__ import annotations

import io

from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadgen.export.hgrm import table
from loadgen.measure.histogram import DIGITS, HIGHEST, LOWEST, Histogram
from tests.examples import fewer
from tests.report.builders import histogram


def reference(counted: Histogram, ratio: int) -> list[str]:
    """What the library prints."""
    library, text = HdrHistogram.decode(counted.encode().encode()), io.BytesIO()
    library.output_percentile_distribution(text, ratio)
    return text.getvalue().decode().splitlines()


@fewer(30)
@given(st.lists(st.one_of(st.integers(0, 5000), st.integers(LOWEST, HIGHEST)), min_size=1, max_size=300))
def test_a_distribution_is_that_of_the_reference_implementation_to_the_last_digit(values: list[int]) -> None:
    counted = histogram(values)
    assert "".join(table(counted, 1)).splitlines() == reference(counted, 1)


def test_a_ratio_divides_every_value_the_deviation_too_which_the_reference_forgets() -> None:
    counted = histogram([1_000, 2_000, 3_000, 250_000])
    ours, theirs = "".join(table(counted, 1000)).splitlines(), reference(counted, 1000)
    at = len(ours) - 3
    assert ours[:at] + ours[at + 1 :] == theirs[:at] + theirs[at + 1 :]
    (mean, deviation), (mean_us, deviation_us) = (
        [float(part.rpartition("=")[2].strip(" ],")) for part in text.split(", ")]
        for text in (ours[at], reference(counted, 1)[at])
    )
    assert (mean, deviation) == (round(mean_us / 1000, DIGITS), round(deviation_us / 1000, DIGITS))
