from loadgen.targets.quick cimport QuickReader

cdef class Quick(QuickReader):
    cdef object _view
    cdef const unsigned char* _buffer

    cpdef object read(self, Py_ssize_t nbytes)
