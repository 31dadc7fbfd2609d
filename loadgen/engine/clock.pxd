cdef class Clock:
    cpdef long long now(self) except -1
