"""``Facts`` in C: see facts.py, whose behaviour this has."""

cimport cython


@cython.no_gc
cdef class Facts:
    def __init__(
        self, outcome, str reason, long long status, error_code=None, request_id=None, duration_ns=None,
        billed_duration_ns=None, memory_size_mb=None, memory_used_bytes=None, log=None, start=None, start_source=None,
        instance=None, tuple unbelieved=(),
    ):
        self.outcome, self.reason, self.status, self.error_code, self.request_id = (
            outcome, reason, status, error_code, request_id
        )
        self.duration_ns, self.billed_duration_ns = duration_ns, billed_duration_ns
        self.memory_size_mb, self.memory_used_bytes = memory_size_mb, memory_used_bytes
        self.log, self.start, self.start_source, self.instance = log, start, start_source, instance
        self.unbelieved = unbelieved

    def labelled(self, start, start_source, instance):
        return Facts(
            self.outcome, self.reason, self.status, self.error_code, self.request_id, self.duration_ns,
            self.billed_duration_ns, self.memory_size_mb, self.memory_used_bytes, self.log, start, start_source,
            instance, self.unbelieved,
        )

    def _all(self):
        return (
            self.outcome, self.reason, self.status, self.error_code, self.request_id, self.duration_ns,
            self.billed_duration_ns, self.memory_size_mb, self.memory_used_bytes, self.log, self.start,
            self.start_source, self.instance, self.unbelieved,
        )

    def __eq__(self, other):
        return isinstance(other, Facts) and self._all() == (<Facts>other)._all()

    def __hash__(self):
        return hash(self._all())

    def __repr__(self):
        return f"Facts{self._all()}"
