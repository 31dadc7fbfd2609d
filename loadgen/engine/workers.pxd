cimport cython

from loadgen.engine.monotonic cimport Monotonic
from loadgen.engine.invoker cimport Caller, Invoker, Requests
from loadgen.measure.recorder cimport Recorder

cdef long long _TYPICAL_SHIFT, _LATE_NS, _LATE_PART, _UNBOUNDED

cdef class Worker(Caller):
    cdef public long long index
    cdef long long _intended_ns, _late_ns, _started_ns, _moved_ns
    cdef WorkerPool _pool
    cdef public bint busy
    cdef int _call
    cdef public long long until_ns
    cdef public Invoker invoker

    cdef object start(self, long long index, long long intended_ns, long long started_ns, long long late_ns,
                      bytes request, long long moved_ns, int call)
    @cython.locals(run=Run, recorder=Recorder, service_ns=cython.longlong)
    cpdef object ended(self, long long arrived_ns, long long read_ns, object facts, long long connect_ns, bytes body)

cdef class WorkerPool:
    cdef object _invoker
    cdef public list workers, free
    cdef public Run run
    cdef public long long typical_ns

cdef class Run:
    cdef public Recorder recorder
    cdef public list recorders
    cdef public bint feeder_exhausted
    cdef public str budget_reached
    cdef public long long paused_ns
    cdef WorkerPool _pool
    cdef public object purse
    cdef Monotonic _clock
    cdef Requests _requests
    cdef object _done, _others
    cdef set _lacking, _denied
    cdef bint _rows
    cdef long long _begin_ns, _end_ns, _grace_ns, _in_flight, _until_ns, _catch_up_ns, _alive_ns
    cdef public long long typical_ns, unsure_until_ns, began_late_ns
    cdef bint _began

    cpdef object freed(self, Worker worker, long long at_ns, long long now_ns)
    @cython.locals(request=bytes, recorder=Recorder)
    cdef bytes _request(self, long long index)
    @cython.locals(since_ns=cython.longlong)
    cpdef object beat(self, long long now_ns)

cdef class OpenRun(Run):
    cdef object _schedule, _max_lag_ns, _stage, _alarm, _scarce, _pauses
    cdef bint _until_idle, _available, _exhausted_schedule, _short_of_workers, _short, _on_notice
    cdef long long _limit, _left, _available_since_ns, _full_since_ns, _elsewhere_ns, _owed_ns, _grace_from_ns
    cdef long long _load_end_ns, _index, _due_ns, _pause_from_ns, _calm, _sent_ns
    cdef long long _heap_until_ns, _heap_due_ns, _heap_late_ns
    cdef bint _heap

    cdef bint _fell_due_in_a_pause(self) except -1
    cdef bint _lacks_what_others_may_have(self) except -1
    @cython.locals(worker=Worker, free=list, due=cython.longlong, since=cython.longlong, now=cython.longlong,
                   late=cython.longlong, waited=cython.longlong, moved=cython.longlong)
    cdef bint _start(self) except -1
    @cython.locals(disturbed=cython.bint, moved=cython.longlong)
    cdef long long _moves(self, long long late_ns, long long all_ns, long long now_ns) except -1
    @cython.locals(stop_ns=cython.longlong)
    cdef bint _disturbs(self, long long late_ns, long long now_ns) except -1
    cdef object _next(self)
    @cython.locals(without=cython.longlong, since=cython.longlong, until=cython.longlong, due=cython.longlong)
    cdef long long _without_until(self, long long at_ns)
    cdef long long _waited_until(self, long long at_ns)

cdef class ClosedRun(Run):
    cdef object _indices, _alarm, _numbers, _pause, _order
    cdef bint _ended, _finished, _limited
    cdef long long _used
    cdef list _to_start, _idle

    cdef object _go_on(self, Worker worker, long long since_ns, long long now_ns)
    @cython.locals(now=cython.longlong)
    cdef object _start(self, Worker worker, long long since_ns)
