cimport cython

from loadgen.targets.quick cimport QuickReader

cdef class Wire:
    cdef public object loop, connect, clock, address, timeout, classify, counts, view, pieces
    cdef public QuickReader quick
    cdef public bint fresh
    cdef object _names
    cdef Py_ssize_t _keep
    cdef object _most
    cdef bint _bodiless

cdef class Connection:
    cdef HttpInvoker _invoker
    cdef object _read, _view
    cdef Wire _wire
    cdef public bint open, used
    cdef bint _midway
    cdef public object transport, write

    @cython.locals(now=cython.longlong, invoker=HttpInvoker, quick=QuickReader)
    cpdef object buffer_updated(self, Py_ssize_t nbytes)
    cdef object _give_way(self)
    cdef object _answered(self, HttpInvoker invoker, long long now_ns, object response)

cdef class HttpInvoker:
    cdef Wire _wire
    cdef object _ended, _timer, _connecting
    cdef Connection _connection
    cdef long long _started_ns, _connect_ns
    cdef public bint waiting, reading

    cpdef object invoke(self, bytes request, long long started_ns)
    cdef object answered(self, long long now_ns, object facts, bytes body, bint reusable)
    cdef object failed(self, long long now_ns, object outcome, str reason, bytes said=*)
    cdef object lost(self, Connection connection)
    cdef bint _unsent(self) except -1
