"""The recorder's counts are those of a histogram of the same values, in Python as in C."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.counts import Counts
from loadgen.measure.histogram import HIGHEST, SUB_BUCKETS, Histogram
from tests.frames import histogram

EDGES = (0, 1, SUB_BUCKETS - 1, SUB_BUCKETS, SUB_BUCKETS + 1, HIGHEST - 1, HIGHEST)


def hit(*values: int) -> Counts:
    counts = Counts()
    for value in values:
        counts.hit(value)
    return counts


@given(st.lists(st.sampled_from(EDGES) | st.integers(0, HIGHEST)), st.integers(0, 9))
def test_what_travels_is_the_histogram_of_the_values_and_of_so_many_zeros_more(values: list[int], zeros: int) -> None:
    counts = hit(*values)
    assert Histogram.unpack(counts.pack(zeros)) == histogram([*values, *[0] * zeros])
    assert Histogram.unpack(counts.pack()) == histogram(values)  # packing adds nothing to what was counted
    assert (counts.total, counts.clipped) == (len(values), 0)


@pytest.mark.parametrize("value", [-(1 << 62), -1, HIGHEST + 1, 1 << 62])
def test_a_value_out_of_range_counts_as_the_largest_and_as_clipped(value: int) -> None:
    counts = hit(5, value, value)
    assert Histogram.unpack(counts.pack()) == histogram([5, HIGHEST, HIGHEST])
    assert (counts.total, counts.clipped) == (3, 2)
