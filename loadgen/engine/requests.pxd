cimport cython

from loadgen.engine.invoker cimport Requests

cdef class MixedRequests(Requests):
    cdef object _calls, _tenant, _lots
    cdef long long _size, _first, _end
    cdef list _turns, _fixed
    cdef tuple _each

    cpdef int call_of(self, long long index) except -1
    @cython.locals(lot=cython.longlong, call=cython.int)
    cpdef bytes of(self, long long index)

cdef class TurnedRequests(Requests):
    cdef tuple _turns
    cdef list _numbers
    cdef long long _each, _first

    cpdef bytes of(self, long long index)

cdef class ConstantRequests(Requests):
    cdef object _at, _now, _tail, _template
    cdef bytes _body, _plain, _with_tail
    cdef bint _signed

    cpdef bytes of(self, long long index)
    cpdef bytes turn(self, long long index, long long turn)

cdef class FedRequests(Requests):
    cdef object _body, _now, _rows, _tail, _template

    cpdef bytes of(self, long long index)
    cpdef bytes turn(self, long long index, long long turn)
