"""``packed.py`` in C, whose behaviour this has."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memset

cdef extern from "Python.h":
    PyObject* PyDict_GetItemWithError(object counts, object key)  # borrowed


def pack(dict counts not None):
    cdef Py_ssize_t i = 0, n = len(counts)
    cdef bytes packed = PyBytes_FromStringAndSize(NULL, 10 * n)
    cdef unsigned char* to = <unsigned char*>PyBytes_AS_STRING(packed)
    cdef unsigned short slot
    cdef unsigned long long number
    cdef int k
    for slot, number in counts.items():
        for k in range(2):
            to[2 * i + k] = (slot >> (8 * k)) & 0xFF
        for k in range(8):
            to[2 * n + 8 * i + k] = (number >> (8 * k)) & 0xFF
        i += 1
    return packed


def add(dict counts not None, bytes packed not None, int slots):
    cdef Py_ssize_t i, size = PyBytes_GET_SIZE(packed), n = size // 10
    cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(packed)
    cdef const unsigned char* numbers = at + 2 * n
    cdef unsigned char seen[8192]  # a bit for each u16
    cdef int slot, largest = -1
    cdef object key, number
    cdef PyObject* found
    cdef bint twice = False, zero = False
    if size % 10:
        raise ValueError(f"a packed histogram of {size} bytes, expected a multiple of 10")
    memset(seen, 0, sizeof(seen))
    for i in range(n):
        slot = _slot(at, i)
        largest = max(largest, slot)
        twice |= seen[slot >> 3] >> (slot & 7) & 1
        seen[slot >> 3] |= 1 << (slot & 7)
        zero |= _number(numbers, i) == 0
    if largest >= slots:
        raise ValueError(f"slot {largest} in a packed histogram, expected one below {slots}")
    if twice:
        raise ValueError("a slot occurs twice in a packed histogram")
    if zero:
        raise ValueError("a count of 0 in a packed histogram, expected only slots in use")
    for i in range(n):
        key = _slot(at, i)
        number = _number(numbers, i)
        found = PyDict_GetItemWithError(counts, key)
        counts[key] = number if found == NULL else <object>found + number


cdef inline int _slot(const unsigned char* at, Py_ssize_t i) noexcept:
    return at[2 * i] | at[2 * i + 1] << 8


cdef inline unsigned long long _number(const unsigned char* numbers, Py_ssize_t i) noexcept:
    cdef unsigned long long n = 0
    cdef int k
    for k in range(8):
        n |= <unsigned long long>numbers[8 * i + k] << (8 * k)
    return n
