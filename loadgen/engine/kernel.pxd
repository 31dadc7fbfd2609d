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

cdef class Watched:
    cdef public int fd

    cpdef object ready(self, int events)

cdef class Socket(Watched):
    cdef readonly Inbox inbox
    cdef public object sock

    cpdef Py_ssize_t receive(self, Py_ssize_t most, bint sealed=*) noexcept
    cpdef Py_ssize_t put(self, bytes data, Py_ssize_t begin) noexcept

cdef class Timer(Watched):
    cdef Poll _poll
    cdef public long long at_ns
    cdef public bint awake

    cpdef object arm(self, long long at_ns)
    cpdef object ring(self)

cdef class Poll:
    cdef readonly int fd
    cdef public object again
    cdef Inbox _inbox
    cdef list _sockets, _timers
    cdef set _removed
    cdef bint _any_removed
    cdef public long long linger_ns
    cdef long long _seen_ns

    cpdef int tell(self, int timeout_ms) except -1
    cdef bint _ring(self, long long now_ns) except -1
