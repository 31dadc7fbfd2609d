cimport cython

from loadgen.invocation.facts cimport Facts

cdef object _OK, _NO_HEADERS
cdef str _INSIDE

cdef class QuickReader:
    cdef public Py_ssize_t body_at

    cpdef object read(self, Py_ssize_t nbytes)

cdef class CheckedReader(QuickReader):
    cdef object _view, _broken
    cdef bint _whole
    cdef QuickReader _quick

    @cython.locals(facts=Facts, at=Py_ssize_t, result=bytes)
    cpdef object read(self, Py_ssize_t nbytes)
