cimport cython

from loadgen.engine.connection cimport Connection

cdef int _EAGAIN

cdef class TlsConnection(Connection):
    cdef object _incoming, _outgoing, _tls, _open_sealed, _seal
    cdef bint _shaking, _notified

    cdef long long send(self, bytes request, long long now_ns) except -1
    cdef object _go_on_connecting(self, int events)
    cdef object _stands(self)
    cdef object _shake(self)
    cdef object _say(self)
    @cython.locals(n=Py_ssize_t)
    cdef Py_ssize_t _receive(self) except? -1
    @cython.locals(got=Py_ssize_t, more=Py_ssize_t)
    cdef Py_ssize_t _unsealed(self) except? -1
    cdef bint _whole(self) except -1
    cpdef object close(self)
