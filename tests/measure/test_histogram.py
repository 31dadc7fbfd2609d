"""Slots are HdrHistogram's, merging equals recording everything, and statistics stay within the promised precision."""

from __future__ import annotations

import base64
import contextlib
import itertools
import math
import struct
import zlib

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.measure import histogram
from loadgen.measure.histogram import DIGITS, HIGHEST, LOWEST, SLOTS, SUB_BUCKETS, Histogram

values = st.one_of(
    st.integers(0, HIGHEST),
    st.integers(0, SUB_BUCKETS + 10),
    st.builds(lambda power, offset: max(0, (1 << power) + offset), st.integers(1, 31), st.integers(-2, 2)),
)
recordings = st.lists(values, max_size=200)
counts = st.dictionaries(st.integers(0, SLOTS - 1), st.integers(1, 1 << 56), max_size=60)


def of(recorded: list[int]) -> Histogram:
    result = Histogram()
    for value in recorded:
        assert result.record(value)
    return result


@given(values)
@example(0)
@example(SUB_BUCKETS - 1)
@example(SUB_BUCKETS)
@example(HIGHEST)
def test_a_slot_is_the_index_hdrhistogram_counts_the_value_at(value: int) -> None:
    library = HdrHistogram(LOWEST, HIGHEST, DIGITS)
    slot = histogram.slot(value)
    assert slot == library._counts_index_for(value)
    assert histogram.lowest(slot) == library.get_lowest_equivalent_value(value)
    assert histogram.highest(slot) == library.get_highest_equivalent_value(value)


def test_there_are_as_many_slots_as_hdrhistogram_has() -> None:
    assert HdrHistogram(LOWEST, HIGHEST, DIGITS).counts_len == SLOTS == 23_552


def test_slots_follow_each_other_without_gap_or_overlap() -> None:
    edges = [histogram.lowest(slot) for slot in range(SLOTS + 1)]
    assert all(below < above for below, above in itertools.pairwise(edges))
    for slot in range(0, SLOTS, 7):
        low, middle, high = histogram.lowest(slot), histogram.middle(slot), histogram.highest(slot)
        assert low <= middle <= high
        assert slot == histogram.slot(low) == histogram.slot(middle) == histogram.slot(high)
        assert high - low <= low / 1000


@pytest.mark.parametrize(("value", "kept"), [(-1, 0), (HIGHEST + 1, HIGHEST), (10**15, HIGHEST)])
def test_a_value_out_of_range_is_kept_at_the_edge_and_said_to_be_clipped(value: int, kept: int) -> None:
    result = Histogram()
    assert not result.record(value)
    assert result.counts == {histogram.slot(kept): 1}


def test_the_library_would_have_dropped_a_value_out_of_range() -> None:
    """The trap that record avoids."""
    library = HdrHistogram(LOWEST, HIGHEST, DIGITS)
    assert library.record_value(2**33) is False
    assert library.get_total_count() == 0


def test_an_empty_interval_does_not_pull_the_minimum_to_zero_as_the_library_does() -> None:
    library = HdrHistogram(LOWEST, HIGHEST, DIGITS)
    library.record_value(50)
    library.add(HdrHistogram(LOWEST, HIGHEST, DIGITS))
    assert library.get_min_value() == 0

    ours = of([50])
    ours.add(Histogram())
    assert ours.min_us == 50


def test_an_empty_histogram_has_no_statistics() -> None:
    empty = Histogram()
    assert (empty.count, empty.min_us, empty.max_us, empty.mean_us) == (0, None, None, None)
    assert empty.value_at(50) is None
    assert empty.values_at((50, 99)) == []
    with pytest.raises(ValueError, match="rank 1, expected one from 1 to 0"):
        empty.value_at_rank(1)


@given(recordings, recordings)
def test_merging_split_recordings_equals_recording_everything(first: list[int], second: list[int]) -> None:
    merged, packed = of(first), of(first)
    merged.add(of(second))
    packed.add_packed(of(second).pack())
    assert merged == of(first + second) == packed


@given(st.lists(values, min_size=1, max_size=200), st.sampled_from([0, 1, 50, 75, 90, 91, 95, 99, 99.9, 99.99, 100]))
def test_a_percentile_is_the_sorted_value_of_its_rank_within_a_thousandth(recorded: list[int], p: float) -> None:
    exact = sorted(recorded)[histogram.rank(p, len(recorded)) - 1]
    measured = of(recorded).value_at(p)
    assert measured is not None
    assert exact <= measured <= exact + exact // 1000


@pytest.mark.parametrize(
    ("p", "count", "rank"),
    [
        (91, 10, 10),
        (90, 10, 9),
        (50, 1, 1),
        (0, 5, 1),
        (100, 5, 5),
        (99.9, 1000, 999),
        (99.99, 10_000, 9_999),
        (28, 25, 7),
    ],
)
def test_a_rank_is_rounded_up_exactly(p: float, count: int, rank: int) -> None:
    """In binary floating point 99.9/100·1000 is above 999, and 28/100·25 above 7: the next rank would be wrong."""
    assert histogram.rank(p, count) == rank


@pytest.mark.parametrize("p", [-0.1, 100.1, math.nan])
def test_a_percentile_lies_between_0_and_100(p: float) -> None:
    with pytest.raises(ValueError, match="expected one from 0 to 100"):
        histogram.rank(p, 10)


@given(st.lists(values, min_size=1, max_size=200))
def test_minimum_maximum_and_mean_stay_within_their_slots(recorded: list[int]) -> None:
    measured = of(recorded)
    assert measured.min_us is not None
    assert measured.max_us is not None
    assert measured.mean_us is not None
    assert measured.min_us <= min(recorded) <= measured.min_us * 1.001
    assert max(recorded) <= measured.max_us <= max(recorded) * 1.001
    exact = sum(recorded) / len(recorded)
    assert abs(measured.mean_us - exact) <= exact * 0.0005 + 0.5


@given(counts)
def test_packing_loses_nothing(kept: dict[int, int]) -> None:
    assert Histogram.unpack(Histogram(kept).pack()) == Histogram(kept)


def test_the_packed_form_is_little_endian_slots_then_counts() -> None:
    packed = Histogram({1: 2, 258: 3}).pack()
    assert packed == struct.pack("<HHQQ", 1, 258, 2, 3)


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"x", "1 bytes, expected a multiple of 10"),
        (struct.pack("<HQ", SLOTS, 1), f"slot {SLOTS}"),
        (struct.pack("<HHQQ", 5, 5, 1, 1), "occurs twice"),
        (struct.pack("<HQ", 5, 0), "count of 0"),
    ],
)
def test_malformed_packed_bytes_are_refused(packed: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Histogram.unpack(packed)
    unchanged = of([7])
    with pytest.raises(ValueError, match=message):
        unchanged.add_packed(packed)
    assert unchanged == of([7])


@given(st.binary(max_size=60))
def test_any_bytes_unpack_or_raise_valueerror(packed: bytes) -> None:
    try:
        unpacked = Histogram.unpack(packed)
    except ValueError:
        return
    assert unpacked.pack() == packed


@given(counts)
@example({})
@example({SLOTS - 1: 1})
@example({0: 1, 2: 1, 4: 1 << 56})
def test_encoding_loses_nothing_and_the_library_reads_the_same_counts(kept: dict[int, int]) -> None:
    blob = Histogram(kept).encode()
    assert Histogram.decode(blob) == Histogram(kept)
    library = HdrHistogram.decode(blob)
    assert {slot: library.get_count_at_index(slot) for slot in kept} == kept
    assert library.get_total_count() == sum(kept.values())


@given(st.lists(values, max_size=50))
def test_a_blob_is_byte_for_byte_what_recording_into_the_library_gives(recorded: list[int]) -> None:
    library = HdrHistogram(LOWEST, HIGHEST, DIGITS)
    for value in recorded:
        library.record_value(value)
    assert of(recorded).encode() == library.encode().decode()


def java_blob(body: bytes, *, digits: int = DIGITS, offset: int = 0, size: int | None = None) -> str:
    """A blob as the Java library writes it: cookies with a word size of 1, lone zeros as 0."""
    length = len(body) if size is None else size
    payload = struct.pack(">IIIIQQd", 0x1C849313, length, offset, digits, LOWEST, HIGHEST, 1.0) + body
    packed = zlib.compress(payload)
    return base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed).decode()


def test_a_lone_zero_may_be_written_as_0_as_java_does() -> None:
    assert Histogram.decode(java_blob(bytes([2, 0, 4]))) == Histogram({0: 1, 2: 2})


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        ("", "not an HdrHistogram blob"),
        ("HISTF!", "not an HdrHistogram blob"),
        ("HISTFAAA", "not an HdrHistogram blob"),
        (Histogram({5: 1}).encode()[:-4], "cut short"),
        (java_blob(b"\x02", digits=2), "at 2 digits"),
        (java_blob(b"\x02", offset=1), "not an HdrHistogram V2 payload"),
        (java_blob(b"\x02", size=2), "wrong length"),
        (java_blob(b"\x82"), "ends inside a count"),
        (java_blob(b"\xff" * 8 + b"\x7f"), "more than 23552 slots"),
        (java_blob(b"\x02" * (SLOTS + 1)), "more than 23552 slots"),
        (java_blob(b"\0" * 10_000_000), "wrong length"),
    ],
)
def test_a_blob_that_is_not_ours_is_refused(blob: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Histogram.decode(blob)


@given(st.text(max_size=40) | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()))
def test_any_text_decodes_or_raises_valueerror(blob: str) -> None:
    with contextlib.suppress(ValueError):
        Histogram.decode(blob)


@given(st.binary(max_size=80))
def test_any_counts_in_a_well_formed_blob_decode_or_raise_valueerror(body: bytes) -> None:
    try:
        decoded = Histogram.decode(java_blob(body))
    except ValueError:
        return
    assert all(0 <= slot < SLOTS and n > 0 for slot, n in decoded.counts.items())
