"""Reads the answer that nearly always comes, a documented success, in one go: bytes in, Facts out.

It takes an answer only if it is whole, alone in the buffer, HTTP/1.1 200 framed by its length, names a request id and
carries a summary exactly as documented of figures that are believed, and nothing in it speaks of a failure (in the
result, too), of a log or of closing, or could contradict itself. Then what
``ResponseReader`` and ``classify_function`` would say is known, and is said without making the header objects in
between. Everything else it declines, and they judge it: no rule lives here alone. A test compares the two.

Numbers are read as mantissa and power of ten; up to 15 digits and 10^22 both are exact doubles and their quotient is
correctly rounded. Source: W. D. Clinger, How to Read Floating Point Numbers Accurately, PLDI 1990.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyObject_GetBuffer, PyBuffer_Release
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.math cimport llrint
from libc.string cimport memchr, memcmp

from loadgen.invocation.facts cimport Facts
from loadgen.targets.quick cimport QuickReader

from loadgen.targets.port import MAX_LINES, MAX_VALUE
from loadgen.invocation.believed import LARGEST_MB, LONGEST_ID, LONGEST_MS, NS_PER_MS
from loadgen.targets.functiongraph.protocol.metering import BYTES_PER_MB
from loadgen.invocation.outcome import Outcome

cdef extern from "<string.h>" nogil:
    int strncasecmp(const char*, const char*, size_t)
    void* memmem(const void*, size_t, const void*, size_t)

ctypedef const unsigned char* Text

cdef object _OK = Outcome.OK
cdef double _NS_PER_MS = NS_PER_MS
cdef double _BYTES_PER_MB = BYTES_PER_MB
cdef double _LONGEST_MS = LONGEST_MS
cdef double _LARGEST_MB = LARGEST_MB
cdef Py_ssize_t _LONGEST_ID = LONGEST_ID
cdef Py_ssize_t _MAX_VALUE = MAX_VALUE
cdef int _MAX_LINES = MAX_LINES
cdef double[16] _POWERS
cdef bint[256] _TOKEN

for _i in range(16):
    _POWERS[_i] = 10.0**_i
for _i in range(256):
    _TOKEN[_i] = _i < 128 and (chr(_i).isalnum() or chr(_i) in "!#$%&'*+-.^_`|~")


cdef struct Number:
    double value
    bint whole


cdef struct Summary:
    Number duration, billed_duration, memory_size, memory_used


cdef class Quick(QuickReader):
    def __init__(self, view):
        cdef Py_buffer buffer
        self._view = view  # keeps it alive
        PyObject_GetBuffer(view, &buffer, PyBUF_SIMPLE)
        self._buffer = <Text>buffer.buf
        PyBuffer_Release(&buffer)

    cpdef object read(self, Py_ssize_t nbytes):
        """What the first ``nbytes`` of the buffer say, or None."""
        cdef Text at = self._buffer
        cdef Text end = at + nbytes
        cdef Text stop, colon, value, request_id = NULL
        cdef Py_ssize_t name_length, length, id_length = 0, size = -1
        cdef int lines = 1
        cdef bint summarised = False, billed = False
        cdef Summary summary
        if nbytes < 17 or memcmp(at, b"HTTP/1.1 200 OK\r\n", 17):
            return None
        at += 17
        while True:
            stop = <Text>memchr(at, 13, end - at)
            if stop == NULL or stop + 1 == end or stop[1] != 10:
                return None
            if stop == at:
                break
            colon = at
            while _TOKEN[colon[0]]:
                colon += 1
            name_length = colon - at
            if colon[0] != 58 or name_length == 0:
                return None
            value = colon + 1
            while value[0] == 32:
                value += 1
            length = stop - value
            while length > 0 and value[length - 1] == 32:
                length -= 1
            lines += 1
            if length > _MAX_VALUE or lines > _MAX_LINES or not _plain(value, stop):
                return None
            if name_length == 14 and _is(at, b"content-length", 14):
                if size >= 0:
                    return None
                size = _size(value, length)
                if size < 0:
                    return None
            elif name_length == 20 and _is(at, b"x-cff-invoke-summary", 20):
                if summarised or not _read_summary(value, value + length, &summary):
                    return None
                summarised = True
            elif name_length == 16 and _is(at, b"x-cff-request-id", 16):
                if request_id != NULL:
                    return None
                request_id, id_length = value, length
            elif name_length == 22 and _is(at, b"x-cff-billing-duration", 22):
                if billed or memchr(value, 44, length) != NULL:
                    return None
                billed = True
            elif name_length == 10 and _is(at, b"connection", 10):
                if length != 10 or memcmp(value, b"keep-alive", 10):
                    return None
            elif name_length == 15 and _is(at, b"x-func-err-code", 15):
                if length != 1 or value[0] != 48:
                    return None
            elif name_length == 13 and _is(at, b"x-is-func-err", 13):
                if length != 5 or memcmp(value, b"false", 5):
                    return None
            elif (
                (name_length == 17 and _is(at, b"transfer-encoding", 17))
                or (name_length == 18 and _is(at, b"x-cff-function-log", 18))
                or (name_length == 22 and _is(at, b"x-cff-response-version", 22))
            ):
                return None
            at = stop + 2
        if size != end - stop - 2 or not summarised or not 0 < id_length <= _LONGEST_ID:
            return None
        if _may_fail_inside(stop + 2, end):
            return None
        cdef Facts facts = Facts.__new__(Facts)
        facts.outcome, facts.reason, facts.status, facts.unbelieved = _OK, "ok", 200, ()
        facts.request_id = PyUnicode_DecodeASCII(<const char*>request_id, id_length, NULL)
        facts.duration_ns = llrint(summary.duration.value * _NS_PER_MS)
        facts.billed_duration_ns = llrint(summary.billed_duration.value * _NS_PER_MS)
        facts.memory_size_mb = <long long>summary.memory_size.value
        facts.memory_used_bytes = llrint(summary.memory_used.value * _BYTES_PER_MB)
        self.body_at = stop + 2 - self._buffer
        return facts


cdef inline bint _may_fail_inside(Text at, Text end) noexcept:
    """Whether a body has a statusCode, anywhere in it, that is not a number from 100 to 399."""
    while True:
        at = <Text>memmem(at, end - at, b'"statusCode"', 12)
        if at == NULL:
            return False
        at = _skip(at + 12, end)
        if at == end or at[0] != 58:
            return True
        at = _skip(at + 1, end)
        if end - at < 4 or not 49 <= at[0] <= 51 or not 48 <= at[1] <= 57 or not 48 <= at[2] <= 57:
            return True
        if at[3] != 44 and at[3] != 125 and at[3] != 32 and at[3] != 10 and at[3] != 13:
            return True


cdef inline bint _is(Text name, const char* lower, size_t length) noexcept:
    return strncasecmp(<const char*>name, lower, length) == 0


cdef inline bint _plain(Text at, Text stop) noexcept:
    """Whether all of a value is printable ASCII; without a branch, so that the compiler takes many bytes at a time."""
    cdef unsigned char strange = 0
    cdef Py_ssize_t i
    for i in range(stop - at):
        strange |= <unsigned char>(at[i] - 32) > 94
    return not strange


cdef inline Py_ssize_t _size(Text at, Py_ssize_t length) noexcept:
    cdef Py_ssize_t size = 0
    if not 0 < length < 10:
        return -1
    for i in range(length):
        if not 48 <= at[i] <= 57:
            return -1
        size = 10 * size + at[i] - 48
    return size


cdef bint _read_summary(Text at, Text end, Summary* summary) noexcept:
    """Whether this is a JSON object of exactly the four documented members, each an amount."""
    cdef int seen = 0, field
    cdef double most
    cdef Text name
    cdef Number* into
    at = _skip(at, end)
    if at == end or at[0] != b"{":
        return False
    while True:
        at = _skip(at + 1, end)
        if end - at < 12 or at[0] != b'"':
            return False
        name = at + 1
        if memcmp(name, b'duration"', 9) == 0:
            field, into, most, at = 1, &summary.duration, _LONGEST_MS, name + 9
        elif end - name >= 16 and memcmp(name, b'billingDuration"', 16) == 0:
            field, into, most, at = 2, &summary.billed_duration, _LONGEST_MS, name + 16
        elif memcmp(name, b'memorySize"', 11) == 0:
            field, into, most, at = 4, &summary.memory_size, _LARGEST_MB, name + 11
        elif memcmp(name, b'memoryUsed"', 11) == 0:
            field, into, most, at = 8, &summary.memory_used, _LARGEST_MB, name + 11
        else:
            return False
        if seen & field:
            return False
        seen |= field
        at = _skip(at, end)
        if at == end or at[0] != b":":
            return False
        at = _read_number(_skip(at + 1, end), end, most, into)
        if at == NULL:
            return False
        at = _skip(at, end)
        if at == end:
            return False
        if at[0] == b"}":
            return seen == 15 and summary.memory_size.whole and _skip(at + 1, end) == end
        if at[0] != b",":
            return False


cdef inline Text _skip(Text at, Text end) noexcept:
    while at < end and at[0] == 32:
        at += 1
    return at


cdef inline Text _read_number(Text at, Text end, double most, Number* number) noexcept:
    """Read a JSON number of at most 15 digits and without an exponent, at most ``most``; NULL for any other."""
    cdef long long mantissa = 0
    cdef int digits = 0, decimals = 0
    cdef Text begin = at
    while at < end and 48 <= at[0] <= 57:
        mantissa = 10 * mantissa + at[0] - 48
        digits += 1
        at += 1
        if digits > 15:
            return NULL
    if digits == 0 or (begin[0] == 48 and digits > 1):
        return NULL
    if at < end and at[0] == 46:
        at += 1
        while at < end and 48 <= at[0] <= 57:
            mantissa = 10 * mantissa + at[0] - 48
            decimals += 1
            at += 1
            if digits + decimals > 15:
                return NULL
        if decimals == 0:
            return NULL
    if at < end and (at[0] == b"e" or at[0] == b"E"):
        return NULL
    number.value = <double>mantissa / _POWERS[decimals]
    number.whole = decimals == 0
    return at if number.value <= most else NULL
