cimport cython

@cython.final
cdef class Quick:
    cdef object _view
    cdef const unsigned char* _buffer

    cpdef object read(self, Py_ssize_t nbytes)
