"""Counts of whole numbers in HDR slots: 1 µs to 1 h at three significant digits, from a few bytes up.

Theory of operation. The first 2,048 slots hold one value each (the value is its slot). Above, every power of two is
cut into 1,024 slots, so that a slot is never wider than a 1,024th of the values it holds: for ``value`` ≥ 2,048,
``shift = value.bit_length() - 11`` and ``slot = (shift << 10) + (value >> shift)``. That is the counts-array index of
HdrHistogram (lowest discernible value 1, highest trackable value 3,600,000,000, three digits: 23,552 slots), so blobs
go to and from its implementations slot for slot. Only the slots in use are stored.

Statistics are those of HdrHistogram's Java implementation: a percentile is the highest value of the slot that holds
the observation of rank ⌈p·n/100⌉, the minimum and the maximum are the edges of the outermost slots in use, the mean
takes each slot at its middle. What is counted was rounded down to whole numbers before, so an observation may lie up to
one above the highest value of its slot: a bound from above is its ``ceiling``. The Python library rounds the rank half
up instead; it is used here for its encoder alone, which keeps its other traps away: it drops a value out of range, and
a merge with an empty histogram sets its minimum to 0.

Sources: the HdrHistogram README and its Java class AbstractHistogram; the V2 compressed encoding as in its classes
EncodableHistogram and ZigZagEncoding.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from hdrh.histogram import HdrHistogram

from loadgen.measure import packed as packed_counts

LOWEST = 1
HIGHEST = 3_600_000_000
"""The largest value that is recorded as itself: one hour of µs."""
DIGITS = 3
SUB_BUCKETS = 2048
"""Values below this are their own slot."""
SUB_BUCKET_BITS = 11
"""``SUB_BUCKETS`` is 2 to this power; ``value.bit_length()`` less this is the shift of a larger value."""
SLOTS = (HIGHEST.bit_length() - SUB_BUCKET_BITS + 2) * (SUB_BUCKETS // 2)

_HALF = SUB_BUCKETS // 2
_HALF_BITS = SUB_BUCKET_BITS - 1

# V2 wire form: cookies carry the word size in bits 4 to 7, which readers ignore.
_COMPRESSED_COOKIE = 0x1C849304
_PAYLOAD_COOKIE = 0x1C849303
_WORD_SIZE_BITS = 0xF0
_ENVELOPE = struct.Struct(">II")
_PAYLOAD = struct.Struct(">IIIIQQd")
_MAX_PAYLOAD = _PAYLOAD.size + 9 * SLOTS  # a count or a run of zeros takes at most nine bytes
_COUNT_BITS = 63  # counts are signed on the wire


def slot(value: int) -> int:
    """The slot of a value in 0 to ``HIGHEST``; unchecked, as it is the recorder's inner loop."""
    if value < SUB_BUCKETS:
        return value
    shift = value.bit_length() - SUB_BUCKET_BITS
    return (shift << _HALF_BITS) + (value >> shift)


def lowest(slot: int) -> int:
    """The smallest value of a slot."""
    if slot < SUB_BUCKETS:
        return slot
    shift = (slot >> _HALF_BITS) - 1
    return ((slot & _HALF - 1) + _HALF) << shift


def highest(slot: int) -> int:
    """The largest value of a slot."""
    return lowest(slot + 1) - 1


def ceiling(slot: int) -> int:
    """What no observation of a slot exceeds, as these are rounded down to whole numbers: where the next slot begins.

    Slot 0 alone ends at 0: it counts what is nothing, such as the lag of a start that was on time.
    """
    return lowest(slot + 1) if slot else 0


def middle(slot: int) -> int:
    """The value that stands for a slot in a mean: its middle, rounded up."""
    return (lowest(slot) + lowest(slot + 1)) >> 1


@lru_cache(maxsize=1024)
def share(p: float) -> Fraction:
    """A percentile in percent as the exact share its decimal text says: 99.9 is 999/1000.

    Raises ValueError unless 0 ≤ p ≤ 100.
    """
    if not 0 <= p <= 100:
        raise ValueError(f"percentile {p}, expected one from 0 to 100")
    return Fraction(str(p)) / 100


def rank(p: float, count: int) -> int:
    """The 1-based rank of a percentile among ``count`` ≥ 1 observations: ⌈p·count/100⌉, at least 1, exactly."""
    exact = share(p)
    return max(1, -(-exact.numerator * count // exact.denominator))


class Order(NamedTuple):
    """Slots in ascending order, and how many observations there are up to each."""

    slots: list[int]
    reached: list[int]

    def slots_at(self, ranks: Iterable[int]) -> list[int]:
        """For each 1-based rank the slot of its observation; ValueError for one outside 1 to their number."""
        count = self.reached[-1] if self.reached else 0
        found = []
        for k in ranks:
            if not 1 <= k <= count:
                raise ValueError(f"rank {k}, expected one from 1 to {count}, the number of observations")
            found.append(self.slots[bisect_left(self.reached, k)])
        return found


class Histogram:
    """How often each slot was hit. ``counts`` maps a slot to its count, never to 0, in no order.

    Names end in ``_us`` because nearly all values are µs; memory is counted in KiB by the same slots. Statistics of an
    empty histogram are None.
    """

    __slots__ = ("counts",)

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self.counts: dict[int, int] = {} if counts is None else counts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Histogram(count={self.count}, min_us={self.min_us}, max_us={self.max_us})"

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts.values())

    @property
    def min_us(self) -> int | None:
        """The lowest value of the lowest slot in use."""
        return lowest(min(self.counts)) if self.counts else None

    @property
    def max_us(self) -> int | None:
        """The highest value of the highest slot in use."""
        return highest(max(self.counts)) if self.counts else None

    @property
    def ceiling_us(self) -> int | None:
        """What no observation exceeds: the ``ceiling`` of the highest slot in use."""
        return ceiling(max(self.counts)) if self.counts else None

    @property
    def mean_us(self) -> float | None:
        """The mean with every slot at its middle: within 0.05 % of the true one, ±0.5 µs."""
        if not self.counts:
            return None
        return sum(middle(at) * n for at, n in self.counts.items()) / self.count

    def record(self, value_us: int) -> bool:
        """Count one value; False when it was out of range and was counted as 0 or as ``HIGHEST`` instead."""
        clamped = min(max(value_us, 0), HIGHEST)
        at = slot(clamped)
        self.counts[at] = self.counts.get(at, 0) + 1
        return clamped == value_us

    def add(self, other: Histogram) -> None:
        """Add the counts of another; the result is what recording both streams into one would have given."""
        counts = self.counts
        get = counts.get
        for at, n in other.counts.items():
            counts[at] = get(at, 0) + n

    def add_packed(self, packed: bytes) -> None:
        """Add counts in the form of ``pack``.

        Raises ValueError, and changes nothing, when ``unpack`` would.
        """
        packed_counts.add(self.counts, packed, SLOTS)

    def values_at_ranks(self, ranks: Iterable[int]) -> list[int]:
        """For each 1-based rank the highest value of the slot that holds the observation of that rank, in one pass.

        Raises ValueError for a rank outside 1 to ``count``.
        """
        return [highest(at) for at in self.slots_at_ranks(ranks)]

    def slots_at_ranks(self, ranks: Iterable[int]) -> list[int]:
        """For each 1-based rank the slot that holds the observation of that rank, in one pass.

        Raises ValueError for a rank outside 1 to ``count``.
        """
        return self.order().slots_at(ranks)

    def order(self) -> Order:
        """The slots in use in order, as they are now; for many questions."""
        slots = sorted(self.counts)
        return Order(slots, list(accumulate(self.counts[at] for at in slots)))

    def value_at_rank(self, k: int) -> int:
        """The highest value of the slot that holds the observation of 1-based rank ``k``.

        Raises ValueError for a rank outside 1 to ``count``.
        """
        return self.values_at_ranks((k,))[0]

    def values_at(self, ps: Iterable[float]) -> list[int]:
        """``value_at`` for many percentiles in one pass; empty for an empty histogram."""
        count = self.count
        return self.values_at_ranks([rank(p, count) for p in ps]) if count else []

    def value_at(self, p: float) -> int | None:
        """The percentile ``p`` (in percent): the highest value of the slot of rank ⌈p·count/100⌉."""
        return next(iter(self.values_at((p,))), None)

    def pack(self) -> bytes:
        """The counts as they travel in a frame, see ``loadgen.measure.packed``."""
        return packed_counts.pack(self.counts)

    @classmethod
    def unpack(cls, packed: bytes) -> Histogram:
        """The histogram of ``pack``'s form.

        Raises ValueError unless the bytes are whole, every slot exists and occurs once, and no count is 0.
        """
        whole = cls()
        whole.add_packed(packed)
        return whole

    def encode(self) -> str:
        """An HdrHistogram V2 compressed blob in base64, readable by every implementation."""
        library = HdrHistogram(LOWEST, HIGHEST, DIGITS)
        if self.counts:
            wire = memoryview(library.counts).cast("B").cast("Q")
            for at, n in self.counts.items():
                wire[at] = n
            library.set_internal_tacking_values(min(self.counts), max(self.counts), self.count)
        return bytes(library.encode()).decode("ascii")

    @classmethod
    def decode(cls, blob: str) -> Histogram:
        """The histogram of an HdrHistogram V2 compressed blob with our range and digits.

        Read here rather than by the library, whose decoder trusts its input (unbounded inflation, lenient base64).

        Raises ValueError for anything else.
        """
        return cls(_counts(_inflate(blob)))


def _inflate(blob: str) -> bytes:
    """The counts of a blob, still in their variable-length form."""
    try:
        data = base64.b64decode(blob, validate=True)
        cookie, size = _ENVELOPE.unpack_from(data)
        if cookie & ~_WORD_SIZE_BITS != _COMPRESSED_COOKIE or size != len(data) - _ENVELOPE.size:
            raise ValueError("not an HdrHistogram V2 compressed blob, or cut short")
        inflater = zlib.decompressobj()
        payload = inflater.decompress(data[_ENVELOPE.size :], _MAX_PAYLOAD)
        cookie, size, offset, digits, low, high, ratio = _PAYLOAD.unpack_from(payload)
    except (binascii.Error, struct.error, zlib.error) as error:
        raise ValueError(f"not an HdrHistogram blob: {error}") from error
    whole = inflater.eof and size == len(payload) - _PAYLOAD.size
    if not whole or cookie & ~_WORD_SIZE_BITS != _PAYLOAD_COOKIE or offset:
        raise ValueError("not an HdrHistogram V2 payload, or of the wrong length")
    if (low, high, digits, ratio) != (LOWEST, HIGHEST, DIGITS, 1.0):
        raise ValueError(
            f"a histogram of {low} to {high} at {digits} digits with ratio {ratio}, "
            f"expected {LOWEST} to {HIGHEST} at {DIGITS} digits with ratio 1.0"
        )
    return payload[_PAYLOAD.size :]


def _counts(wire: bytes) -> dict[int, int]:
    """Counts by slot: ZigZag LEB128 numbers, of which a negative one is a run of that many zeros."""
    counts: dict[int, int] = {}
    at = position = 0
    while position < len(wire):
        number, position = _leb128(wire, position)
        value = (number >> 1) ^ -(number & 1)
        if value > 0:
            counts[at] = value
        at += -value if value < 0 else 1
        if at > SLOTS:
            raise ValueError(f"an HdrHistogram blob with more than {SLOTS} slots")
    return counts


def _leb128(wire: bytes, position: int) -> tuple[int, int]:
    """The unsigned number at ``position`` and the position after it; the ninth byte, if there is one, is whole."""
    number = shift = 0
    while shift <= _COUNT_BITS - 7:
        if position >= len(wire):
            raise ValueError("an HdrHistogram blob ends inside a count")
        byte = wire[position]
        position += 1
        if shift == _COUNT_BITS - 7:
            return number | byte << shift, position
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return number, position
