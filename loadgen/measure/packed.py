"""Histograms as they travel in frames: n little-endian u16 slots, then n little-endian u64 counts.

Who merges a thousand agents adds up millions of such pairs a second, so the compiled build has this module in C
(``packed.pyx``), with the same behaviour and the same tests.
"""

from __future__ import annotations

import sys
from array import array


def pack(counts: dict[int, int]) -> bytes:
    """Counts by slot in this form."""
    slots, numbers = array("H", counts.keys()), array("Q", counts.values())
    _swap_on_big_endian(slots, numbers)
    return slots.tobytes() + numbers.tobytes()


def add(counts: dict[int, int], packed: bytes, slots: int) -> None:
    """Add packed counts to those by slot, of which there may be so many ``slots``.

    Raises ValueError, and changes nothing, unless the bytes are whole, every slot exists and occurs once, and no count
    is 0.
    """
    n, rest = divmod(len(packed), 10)
    if rest:
        raise ValueError(f"a packed histogram of {len(packed)} bytes, expected a multiple of 10")
    at, numbers = array("H", packed[: 2 * n]), array("Q", packed[2 * n :])
    _swap_on_big_endian(at, numbers)
    if n and max(at) >= slots:
        raise ValueError(f"slot {max(at)} in a packed histogram, expected one below {slots}")
    if len(set(at)) != n:
        raise ValueError("a slot occurs twice in a packed histogram")
    if 0 in numbers:
        raise ValueError("a count of 0 in a packed histogram, expected only slots in use")
    get = counts.get
    for slot, number in zip(at, numbers, strict=True):
        counts[slot] = get(slot, 0) + number


def _swap_on_big_endian(*arrays: array[int]) -> None:
    if sys.byteorder == "big":
        for values in arrays:
            values.byteswap()
