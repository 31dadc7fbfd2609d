"""The recorder's inner loop: how often each HDR slot was hit in one interval, sparsely.

The compiled build has this class in C (``counts.pyx``), with the same behaviour and the same tests.
"""

from __future__ import annotations

from collections import defaultdict

from loadgen.measure.histogram import HIGHEST, SUB_BUCKET_BITS, SUB_BUCKETS, Histogram


class Counts:
    """Counts by slot (see ``loadgen.measure.histogram``) of whole numbers from 0 to ``HIGHEST``."""

    __slots__ = ("_slots", "clipped")

    def __init__(self) -> None:
        self._slots: defaultdict[int, int] = defaultdict(int)
        self.clipped = 0

    def hit(self, value: int) -> None:
        """Count a value; one out of range counts as ``HIGHEST``, and in ``clipped``. The hot path."""
        if not 0 <= value < SUB_BUCKETS:
            if not 0 <= value <= HIGHEST:
                self.clipped += 1
                value = HIGHEST
            shift = value.bit_length() - SUB_BUCKET_BITS
            value = (shift << SUB_BUCKET_BITS - 1) + (value >> shift)
        self._slots[value] += 1

    @property
    def total(self) -> int:
        """The number of hits."""
        return sum(self._slots.values())

    def pack(self, zeros: int = 0) -> bytes:
        """The counts as they travel (see ``Histogram.pack``), with ``zeros`` more hits of 0."""
        counts = dict(self._slots)
        if zeros:
            counts[0] = counts.get(0, 0) + zeros
        return Histogram(counts).pack()
