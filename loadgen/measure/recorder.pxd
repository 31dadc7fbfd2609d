cimport cython

from loadgen.invocation.facts cimport Facts
from loadgen.measure.counts cimport Counts

cdef long long _LATE_NS, _LATE_PART, _ORDINARY, _ORDINARY_CALLS, _ORDINARY_SHIFT

cdef class Series:
    cdef public long long n, started
    cdef public dict reasons
    cdef public Counts latency, service_time, lag, waited, late, unread, connect
    cdef public Counts duration, billed_duration, overhead, memory_used, residual

cdef class Lot:
    cdef public Series ok
    cdef public dict by_start, failed

    @cython.locals(series=Series)
    cpdef Series of_start(self, str start)
    @cython.locals(series=Series)
    cpdef Series of_failure(self, object facts)

cdef class Taken:
    cdef public str _phase, call
    cdef public bint _closed
    cdef public Lot undisturbed, disturbed, least
    cdef public long long starts, negative_overhead, summary_missing
    cdef public long long metered, unmetered, refused, billed_to_ms, misbilled, underbilled
    cdef public dict unbelieved, billed_ns, billed_to
    cdef public object worst_bill
    cdef public list samples, failures, slow_heap

cdef class Recorder:
    cdef str _phase, _call
    cdef int _agent
    cdef long long _origin_ns, _slow_floor_ns, _slow_count, _ok_ns, _ok_count, _ordinary_ns
    cdef bint _closed, _expects_summary, _split, _residual
    cdef object _cuts, _billing_units_ns
    cdef object _sampled
    cdef dict _examples
    cdef list _slowest
    cdef public Taken now
    cdef Series _ok

    @cython.locals(series=Series, start=str, service_ns=cython.longlong, latency_ns=cython.longlong,
                   duration_ns=cython.longlong, overhead_ns=cython.longlong, disturbed=bint)
    cpdef object record(self, Facts facts, long long index, long long intended_ns, long long started_ns,
                        long long arrived_ns, long long read_ns, long long late_ns, long long connect_ns, bytes body,
                        long long moved_ns)
    @cython.locals(lot=Lot, series=Series, overhead_ns=cython.longlong, billed_ns=cython.longlong)
    cdef object _record_least(self, Facts facts, long long latency_ns, long long service_ns, long long moved_ns,
                              str start)
    cdef inline bint _was_late(self, long long late_ns, long long service_ns) noexcept
    cdef inline long long _as_ok(self, long long service_ns)
    cdef inline Lot _lot(self, bint disturbed)
    @cython.locals(now=Taken, duration_ns=cython.longlong, ms=cython.longlong)
    cdef object _bill(self, Facts facts, long long billed_ns)
    cdef str _start(self, Facts facts, long long connected_ns)
    cdef object _record_lag(self, Series series, long long lag_ns, long long late_ns, bint started=*)
