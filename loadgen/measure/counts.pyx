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
        for i in range(_BLOCKS * _BLOCK):
            total += self._at(i)
        return total

    def pack(self, unsigned long long zeros=0):
        cdef int i, k, used = 0, at = 0
        cdef unsigned long long n
        for i in range(_BLOCKS * _BLOCK):
            used += self._at(i) + (zeros if i == 0 else 0) != 0
        cdef bytes packed = PyBytes_FromStringAndSize(NULL, 10 * used)
        cdef unsigned char* to = packed
        for i in range(_BLOCKS * _BLOCK):
            n = self._at(i) + (zeros if i == 0 else 0)
            if n:
                to[2 * at] = i & 0xFF
                to[2 * at + 1] = i >> 8
                for k in range(8):
                    to[2 * used + 8 * at + k] = (n >> (8 * k)) & 0xFF
                at += 1
        return packed

    cdef inline unsigned long long _at(self, int slot) noexcept:
        cdef unsigned long long* block = self._blocks[slot >> (_BITS - 1)]
        return 0 if block == NULL else block[slot & (_BLOCK - 1)]
