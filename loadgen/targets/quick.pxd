cdef class QuickReader:
    cpdef object read(self, Py_ssize_t nbytes)
