cdef class Caller:
    cpdef object ended(self, long long arrived_ns, long long read_ns, object facts, long long connect_ns, bytes body)

cdef class Invoker:
    cdef public int call

    cpdef long long invoke(self, bytes request, long long started_ns) except -1

cdef class Requests:
    cdef public bytes fixed
    cdef public int call

    cpdef bytes of(self, long long index)
    cpdef int call_of(self, long long index) except -1
