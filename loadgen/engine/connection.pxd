cimport cython

from loadgen.engine.monotonic cimport Monotonic
from loadgen.engine.invoker cimport Caller, Invoker
from loadgen.engine.kernel cimport Inbox, Socket
from loadgen.targets.quick cimport QuickReader

cdef int _CONNECTING, _OPEN, _CLOSED, _WRITE, _GONE, _EAGAIN

cdef class Manner:
    cdef readonly object classify, most
    cdef readonly QuickReader quick
    cdef readonly Py_ssize_t keep
    cdef readonly bint bodiless

cdef class Wire:
    cdef public object loop, addresses, timeout, counts
    cdef public Monotonic clock
    cdef public Inbox inbox
    cdef public object poll
    cdef public list manners
    cdef public bint fresh, alike
    cdef public long long first_deadline_ns
    cdef object _connection, _names, _stamped

cdef class Connection(Socket):
    cdef HttpInvoker _invoker
    cdef Wire _wire
    cdef object _read, _broken, _address
    cdef bytes rest
    cdef Py_ssize_t _most
    cdef Py_ssize_t _rest_from
    cdef long long _sent, _acked
    cdef int _state
    cdef bint _midway, _over
    cdef public bint used

    cdef long long send(self, bytes request, long long now_ns) except -1
    @cython.locals(n=Py_ssize_t)
    cdef object _write(self, bytes data)
    @cython.locals(n=Py_ssize_t)
    cdef object _write_on(self)
    cpdef object ready(self, int events)
    @cython.locals(n=Py_ssize_t)
    cdef Py_ssize_t take(self, int events) except? -1
    cdef object _deal(self, Py_ssize_t n, int events)
    cdef Py_ssize_t _receive(self) except? -1
    @cython.locals(wire=Wire, inbox=Inbox, invoker=HttpInvoker, manner=Manner, quick=QuickReader)
    cdef object _took(self, Py_ssize_t n, int events)
    cdef bint _closed_behind(self) except -1
    cdef object _go_on_connecting(self, int events)
    cdef object look(self)
    cdef object _stands(self)
    cdef object _failed(self, object error)
    @cython.locals(inbox=Inbox, invoker=HttpInvoker)
    cdef object _gone(self, object error)
    @cython.locals(manner=Manner)
    cdef object expect(self, int call)
    cdef bint _whole(self) except -1
    cdef bint _acknowledged(self) except -1
    cpdef object close(self)

cdef class HttpInvoker(Invoker):
    cdef Wire _wire
    cdef Caller _caller
    cdef object _timer, _soon, _opened
    cdef bytes _request
    cdef Connection _connection
    cdef long long _started_ns, _connect_ns, _connecting_ns
    cdef public bint waiting, reading
    cdef bint _mixed

    @cython.locals(connection=Connection)
    cpdef long long invoke(self, bytes request, long long started_ns) except -1
    cdef object begun(self, Py_ssize_t n)
    @cython.locals(wire=Wire, inbox=Inbox)
    cdef object answered(self, object facts, bytes body, bint reusable, Py_ssize_t n)
    cdef bint _came_too_early(self) except -1
    cdef bint _came_too_late(self, Py_ssize_t n) except -1
    cdef bint _first_byte_too_late(self) except -1
    cdef object failed(self, long long at_ns, object outcome, str reason, bytes said=*)
    cdef object lost(self, Connection connection)
    cdef object connected(self)
    cdef bint _unsent(self) except -1
    @cython.locals(connection=Connection)
    cdef bint _unanswered(self, long long deadline_ns) except -1
