"""``Monotonic`` in C: see clock.py."""

import time

from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

monotonic_ns = time.monotonic_ns


cdef class Monotonic:
    cpdef long long now(self) except -1:
        cdef timespec at
        clock_gettime(CLOCK_MONOTONIC, &at)
        return at.tv_sec * 1_000_000_000LL + at.tv_nsec


def unix_s():
    return time.time_ns() // 1_000_000_000
