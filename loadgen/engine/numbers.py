"""Numbers as ranges: of the arrivals that a phase may make, of what an agent holds of them, of what is left.

A range is (first, one past the last). ``Ranges`` are in order and do not overlap, and none of them is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

Ranges = tuple[tuple[int, int], ...]

ENDLESS: Ranges = ((0, 1 << 62),)
"""Every number that a run can need."""


def size(ranges: Ranges) -> int:
    """How many numbers there are."""
    return sum(stop - start for start, stop in ranges)


def each(ranges: Ranges) -> Iterator[int]:
    """The numbers, one by one."""
    return chain.from_iterable(range(start, stop) for start, stop in ranges)


def parted(ranges: Ranges, n: int) -> tuple[Ranges, Ranges]:
    """The first ``n`` of the numbers, or all there are, and the rest."""
    taken: list[tuple[int, int]] = []
    rest: list[tuple[int, int]] = []
    for start, stop in ranges:
        middle = min(stop, start + max(0, n))
        n -= middle - start
        if start < middle:
            taken.append((start, middle))
        if middle < stop:
            rest.append((middle, stop))
    return tuple(taken), tuple(rest)


def below(ranges: Ranges, end: int) -> Ranges:
    """The numbers that are smaller than ``end``."""
    return tuple((start, min(stop, end)) for start, stop in ranges if start < end)


def shares(ranges: Ranges, n: int) -> list[Ranges]:
    """The numbers in ``n`` parts whose sizes differ by one at most, the larger ones first."""
    dealt, count = [], size(ranges)
    for part in range(n):
        share, ranges = parted(ranges, count // n + (part < count % n))
        dealt.append(share)
    return dealt


def united(*parts: Ranges) -> Ranges:
    """The numbers of all parts, which have none in common."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(chain.from_iterable(parts)):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)
