"""Service times as they are read from a capture."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capture import dropped, service_times
from benchmarks.tool import ToolError

PORT = 8080
S = 1_000_000_000


def segment(at_ns: int, source: int, destination: int) -> bytes:
    kept = bytes(34) + struct.pack(">HH", source, destination) + bytes(16)
    return struct.pack("<IIII", *divmod(at_ns, S), len(kept), 1514) + kept


def capture(*segments: tuple[int, int, int]) -> bytes:
    """A file with (ns, source port, destination port) of each segment."""
    return struct.pack("<I", 0xA1B23C4D) + bytes(20) + b"".join(segment(*each) for each in segments)


def times(*segments: tuple[int, int, int]) -> list[int]:
    return sorted(service_times(capture(*segments), PORT).tolist())


def ask(at_ns: int, client: int = 40000) -> tuple[int, int, int]:
    return at_ns, client, PORT


def answer(at_ns: int, client: int = 40000) -> tuple[int, int, int]:
    return at_ns, PORT, client


def test_a_call_takes_from_its_first_segment_to_the_last_one_of_its_answer() -> None:
    assert times(ask(S), ask(S + 10), answer(S + 300), answer(S + 900), ask(2 * S), answer(2 * S + 5)) == [5, 900]


def test_a_call_without_an_answer_has_no_time() -> None:
    assert times(ask(10), answer(20), ask(30)) == [10]
    assert times(answer(5), ask(10, 40001), answer(20, 40001)) == [10]
    assert times() == []


CALLS = st.lists(
    st.tuples(st.integers(40000, 40004), st.integers(1, 3), st.integers(1, 3), st.integers(1, 10**9)), max_size=30
)


@given(CALLS, st.randoms(use_true_random=False))
def test_calls_of_several_connections_are_told_apart_however_they_interleave(
    calls: list[tuple[int, int, int, int]], random: object
) -> None:
    segments: list[tuple[int, int, int]] = []
    free = dict.fromkeys(range(40000, 40005), S)
    for client, asks, answers, takes in calls:
        begin = free[client]
        end = begin + takes + asks + answers
        segments += [ask(begin + n, client) for n in range(asks)]
        segments += [answer(end - n, client) for n in range(answers)]
        free[client] = end + 7
    expected = sorted(takes + asks + answers for _, asks, answers, takes in calls)
    assert times(*sorted(segments)) == expected


def test_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="a capture in ns begins with"):
        service_times(struct.pack("<I", 0xA1B2C3D4) + bytes(20), PORT)
    with pytest.raises(ValueError, match="records of 70 bytes"):
        service_times(capture(ask(1)) + b"x", PORT)


def test_what_the_kernel_dropped_is_read_or_the_capture_is_refused() -> None:
    told = "8 packets captured\n16 packets received by filter\n3 packets dropped by kernel\n"
    assert dropped(told) == 3
    with pytest.raises(ToolError, match="does not say"):
        dropped("tcpdump: bye")


def test_times_are_whole_nanoseconds() -> None:
    assert service_times(capture(ask(1_700_000_000 * S + 1), answer(1_700_000_001 * S)), PORT).dtype == np.int64
