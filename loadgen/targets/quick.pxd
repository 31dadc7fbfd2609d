cdef class QuickReader:
    cdef public Py_ssize_t body_at

    cpdef object read(self, Py_ssize_t nbytes)
