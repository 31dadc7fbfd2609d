"""``Monotonic`` in C: see monotonic.py."""

from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec


cdef class Monotonic:
    cpdef long long now(self) except -1:
        cdef timespec at
        clock_gettime(CLOCK_MONOTONIC, &at)
        return at.tv_sec * 1_000_000_000LL + at.tv_nsec
