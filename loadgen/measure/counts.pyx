"""``Counts`` in C: see counts.py, whose behaviour this has.

A slot's upper bits choose one of 23 blocks of 1,024 counts, made when first hit, so that an interval costs what it
uses: 8 KiB for each power of two in which a value fell.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free

from loadgen.measure import histogram

cdef extern from *:
    int __builtin_clzll(unsigned long long) noexcept

cdef enum:
    _BLOCKS = 23
    _BLOCK = 1024
    _SMALL = 2048
    _BITS = 11

cdef long long _HIGHEST = histogram.HIGHEST

if (histogram.SLOTS, histogram.SUB_BUCKETS, histogram.SUB_BUCKET_BITS) != (_BLOCKS * _BLOCK, _SMALL, _BITS):
    raise AssertionError("counts.pyx is laid out for other histograms than histogram.py")


cdef struct Packing:
    unsigned char* slots
    unsigned char* counts


cdef class Counts:
    def __dealloc__(self):
        for i in range(_BLOCKS):
            free(self._blocks[i])

    cpdef void hit(self, long long value) noexcept:
        cdef int shift
        cdef unsigned long long* block
        if value < 0 or value > _HIGHEST:
            self.clipped += 1
            value = _HIGHEST
        if value >= _SMALL:
            shift = 64 - __builtin_clzll(<unsigned long long>value) - _BITS
            value = (shift << (_BITS - 1)) + (value >> shift)
        block = self._blocks[value >> (_BITS - 1)]
        if block == NULL:
            block = <unsigned long long*>calloc(_BLOCK, sizeof(unsigned long long))
            if block == NULL:
                self.clipped += 1  # out of memory: the run says that a value was lost
                return
            self._blocks[value >> (_BITS - 1)] = block
        block[value & (_BLOCK - 1)] += 1

    @property
    def total(self):
        cdef unsigned long long total = 0
        cdef int i, j
        for i in range(_BLOCKS):
            if self._blocks[i] != NULL:
                for j in range(_BLOCK):
                    total += self._blocks[i][j]
        return total

    def pack(self, unsigned long long zeros=0):
        cdef int i, j, used = 0
        cdef unsigned long long n
        cdef Packing to
        for i in range(_BLOCKS):
            for j in range(_BLOCK if self._blocks[i] != NULL or (zeros and i == 0) else 0):
                used += self._at(i, j, zeros) != 0
        cdef bytes packed = PyBytes_FromStringAndSize(NULL, 10 * used)
        to.slots = <unsigned char*>packed
        to.counts = to.slots + 2 * used
        for i in range(_BLOCKS):
            for j in range(_BLOCK if self._blocks[i] != NULL or (zeros and i == 0) else 0):
                n = self._at(i, j, zeros)
                if n:
                    _append(&to, i * _BLOCK + j, n)
        return packed

    cdef inline unsigned long long _at(self, int block, int i, unsigned long long zeros) noexcept:
        """A count, ``zeros`` added to that of slot 0."""
        cdef unsigned long long n = 0 if self._blocks[block] == NULL else self._blocks[block][i]
        return n + zeros if block == 0 and i == 0 else n


cdef inline void _append(Packing* to, int slot, unsigned long long n) noexcept:
    """Write a slot and its count, little-endian on any machine."""
    cdef int k
    for k in range(2):
        to.slots[k] = (slot >> (8 * k)) & 0xFF
    for k in range(8):
        to.counts[k] = (n >> (8 * k)) & 0xFF
    to.slots += 2
    to.counts += 8
