cdef class Monotonic:
    cpdef long long now(self) except -1
