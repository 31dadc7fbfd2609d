cimport cython

@cython.final
cdef class Counts:
    cdef unsigned long long* _blocks[23]
    cdef public long long clipped

    cpdef void hit(self, long long value) noexcept
    cdef unsigned long long _at(self, int block, int i, unsigned long long zeros) noexcept
