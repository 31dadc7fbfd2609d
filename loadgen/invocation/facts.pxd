cdef class Facts:
    cdef readonly object outcome, error_code, request_id, duration_ns, billed_duration_ns, memory_size_mb
    cdef readonly object memory_used_bytes, log, start, start_source, instance
    cdef readonly str reason
    cdef readonly long long status
    cdef readonly tuple unbelieved
