cdef class Inbox:
    cdef readonly object view, sealed
    cdef char* plain
    cdef char* cipher
    cdef public long long read_ns, arrived_ns, unstamped, step_ns
    cdef long long _offset_ns, _width_ns, _doubt_until_ns
    cdef public bint believed
    cdef bint _known

    cpdef void look(self) noexcept
    cpdef void note(self, long long offset_ns, long long width_ns, long long now_ns) noexcept
    cpdef void stamped(self, long long stamp_ns, long long read_ns) noexcept

cdef class Socket:
    cdef readonly Inbox inbox
    cdef readonly int fd
    cdef readonly object sock

    cpdef Py_ssize_t receive(self, Py_ssize_t most, bint sealed=*) noexcept
    cpdef Py_ssize_t put(self, bytes data, Py_ssize_t begin) noexcept
    cpdef object ready(self, int events)

cdef class Poll:
    cdef readonly int fd
    cdef Inbox _inbox
    cdef list _sockets
    cdef set _removed
    cdef bint _any_removed

    cpdef object turn(self)
