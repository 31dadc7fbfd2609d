"""``Inbox``, ``Socket`` and ``Poll`` in C: see kernel.py, whose behaviour this has."""

import os
import socket

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport errno
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

from loadgen.engine.polling import BATCH, DOUBT_NS, PATIENCE_MS, READ, STEP_NS

cdef extern from "<sys/socket.h>" nogil:
    ctypedef long ssize_t
    ctypedef unsigned int socklen_t
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    cmsghdr* CMSG_FIRSTHDR(msghdr*)
    cmsghdr* CMSG_NXTHDR(msghdr*, cmsghdr*)
    unsigned char* CMSG_DATA(cmsghdr*)
    ssize_t recvmsg(int fd, msghdr* message, int flags)
    ssize_t c_send "send"(int fd, const void* data, size_t size, int flags)
    int SOL_SOCKET, MSG_NOSIGNAL

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        unsigned int events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int set, int what, int fd, epoll_event*)
    int epoll_wait(int set, epoll_event*, int most, int timeout)
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, EPOLLRDHUP

cdef extern from "<sys/timerfd.h>" nogil:
    struct itimerspec:
        timespec it_interval
        timespec it_value
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec* at, itimerspec* before)
    int TFD_NONBLOCK, TFD_CLOEXEC, TFD_TIMER_ABSTIME

cdef extern from "<unistd.h>" nogil:
    ssize_t c_read "read"(int fd, void* into, size_t size)

cdef enum:
    _SO_TIMESTAMPNS = 35
    _PAIRS = 3
    _BATCH = 16
    _CONTROL_BYTES = 64

cdef long long _STEP_NS = STEP_NS
cdef long long _DOUBT_NS = DOUBT_NS
cdef int _PATIENCE_MS = PATIENCE_MS

if BATCH != _BATCH:
    raise AssertionError("kernel.pyx is laid out for another BATCH than polling.py")


cdef inline long long _now(int clock) noexcept nogil:
    cdef timespec at
    clock_gettime(clock, &at)
    return at.tv_sec * 1_000_000_000LL + at.tv_nsec


cdef char* _address(object view) except NULL:
    """Where a buffer begins; whoever asks keeps it alive."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(view, &buffer, PyBUF_WRITABLE)
    cdef char* at = <char*>buffer.buf
    PyBuffer_Release(&buffer)
    return at


cdef class Inbox:
    def __init__(self, Py_ssize_t size, Py_ssize_t sealed_size):
        self.view = memoryview(bytearray(size))
        self.sealed = memoryview(bytearray(sealed_size))
        self.plain = _address(self.view)
        self.cipher = _address(self.sealed)

    cpdef void look(self) noexcept:
        cdef long long before, real, after = 0, width = 0, offset = 0
        cdef int trial
        for trial in range(_PAIRS):
            before = _now(CLOCK_MONOTONIC)
            real = _now(CLOCK_REALTIME)
            after = _now(CLOCK_MONOTONIC)
            if not trial or after - before < width:
                width = after - before
                offset = real - (before + after) // 2
            if width < _STEP_NS:
                break
        self.note(offset, width, after)

    cpdef void note(self, long long offset_ns, long long width_ns, long long now_ns) noexcept:
        cdef long long moved = offset_ns - self._offset_ns
        if moved < 0:
            moved = -moved
        if not self._known:
            self._known = True
            self._offset_ns = offset_ns
            self._width_ns = width_ns
        elif moved > _STEP_NS and moved > width_ns and moved > self._width_ns:
            self._offset_ns = offset_ns
            self._width_ns = width_ns
            self._doubt_until_ns = now_ns + _DOUBT_NS
            if moved > self.step_ns:
                self.step_ns = moved
        elif width_ns < self._width_ns:
            self._offset_ns = offset_ns
            self._width_ns = width_ns

    cpdef void stamped(self, long long stamp_ns, long long read_ns) noexcept:
        cdef long long arrived
        self.read_ns = read_ns
        self.believed = stamp_ns != 0 and read_ns >= self._doubt_until_ns
        arrived = stamp_ns - self._offset_ns
        self.arrived_ns = arrived if self.believed and arrived < read_ns else read_ns


cdef class Watched:
    def __init__(self):
        self.fd = -1

    cpdef object ready(self, int events):
        raise NotImplementedError


cdef class Socket(Watched):
    def __init__(self, Inbox inbox):
        self.fd = -1
        self.inbox = inbox

    def use(self, sock):
        sock.setblocking(False)
        self.sock, self.fd = sock, sock.fileno()
        return stamp(sock)

    cpdef Py_ssize_t receive(self, Py_ssize_t most, bint sealed=False) noexcept:
        cdef Inbox inbox = self.inbox
        cdef msghdr message
        cdef iovec into
        cdef char[_CONTROL_BYTES] control
        cdef cmsghdr* each
        cdef timespec at
        cdef long long stamp_ns = 0
        cdef Py_ssize_t n
        into.iov_base = inbox.cipher if sealed else inbox.plain
        into.iov_len = most
        message.msg_name = NULL
        message.msg_namelen = 0
        message.msg_iov = &into
        message.msg_iovlen = 1
        message.msg_control = control
        message.msg_controllen = _CONTROL_BYTES
        message.msg_flags = 0
        n = recvmsg(self.fd, &message, 0)
        if n < 0:
            return -errno
        each = CMSG_FIRSTHDR(&message)
        while each != NULL:
            if each.cmsg_level == SOL_SOCKET and each.cmsg_type == _SO_TIMESTAMPNS:
                memcpy(&at, CMSG_DATA(each), sizeof(at))
                stamp_ns = at.tv_sec * 1_000_000_000LL + at.tv_nsec
                break
            each = CMSG_NXTHDR(&message, each)
        inbox.stamped(stamp_ns, _now(CLOCK_MONOTONIC))
        return n

    cpdef Py_ssize_t put(self, bytes data, Py_ssize_t begin) noexcept:
        cdef Py_ssize_t n = c_send(
            self.fd, PyBytes_AS_STRING(data) + begin, PyBytes_GET_SIZE(data) - begin, MSG_NOSIGNAL
        )
        return n if n >= 0 else -errno


cdef class Timer(Watched):
    def __init__(self, Poll poll):
        self._poll = poll
        self.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self.fd < 0:
            raise OSError(errno, os.strerror(errno))
        poll.add_timer(self)

    cpdef object arm(self, long long at_ns):
        cdef itimerspec at
        memset(&at, 0, sizeof(at))
        if at_ns < 1:
            at_ns = 1
        at.it_value.tv_sec = at_ns // 1_000_000_000
        at.it_value.tv_nsec = at_ns % 1_000_000_000
        self.awake = False
        timerfd_settime(self.fd, TFD_TIMER_ABSTIME, &at, NULL)

    cpdef object ready(self, int events):
        cdef unsigned long long times
        if c_read(self.fd, &times, sizeof(times)) > 0:
            self.awake = True

    cpdef object ring(self):
        raise NotImplementedError

    def close(self):
        self.awake = False
        self._poll.remove_timer(self)
        os.close(self.fd)


cdef class Poll:
    def __init__(self, Inbox inbox):
        self._inbox = inbox
        self.again = int
        self._timers = []
        self._sockets = []
        self._removed = set()
        self.fd = epoll_create1(EPOLL_CLOEXEC)
        if self.fd < 0:
            raise OSError(errno, os.strerror(errno))

    def add(self, Watched watched, int events):
        _control(self.fd, EPOLL_CTL_ADD, watched.fd, events)
        while len(self._sockets) <= watched.fd:
            self._sockets.append(None)
        self._sockets[watched.fd] = watched

    def add_timer(self, Timer timer):
        self.add(timer, READ)
        self._timers.append(timer)

    def remove_timer(self, Timer timer):
        self.remove(timer)
        self._timers.remove(timer)

    def change(self, Watched watched, int events):
        _control(self.fd, EPOLL_CTL_MOD, watched.fd, events)

    def remove(self, Watched watched):
        if watched.fd < len(self._sockets) and self._sockets[watched.fd] is not None:
            _control(self.fd, EPOLL_CTL_DEL, watched.fd, 0)
            self._sockets[watched.fd] = None
            self._removed.add(watched.fd)
            self._any_removed = True

    def turn(self):
        cdef long long began = _now(CLOCK_MONOTONIC), now
        cdef int found = self.tell(0)
        cdef bint awake, dense
        while self.fd >= 0:
            now = _now(CLOCK_MONOTONIC)
            awake = self._ring(now)
            dense = found > 0 and now - self._seen_ns < self.linger_ns
            if found:
                self._seen_ns = now
            if now - began >= self.linger_ns:
                if awake:
                    self.again()
                return
            if not awake and not dense:
                return
            found = self.tell(0 if awake else _PATIENCE_MS)

    cpdef int tell(self, int timeout_ms) except -1:
        cdef epoll_event[_BATCH] events
        cdef int n, i, fd
        cdef Watched watched
        if timeout_ms:
            with nogil:
                n = epoll_wait(self.fd, events, _BATCH, timeout_ms)
        else:
            n = epoll_wait(self.fd, events, _BATCH, 0)
        if n <= 0:
            return 0
        self._inbox.look()
        if self._any_removed:
            self._any_removed = False
            self._removed.clear()
        for i in range(n):
            fd = events[i].data.fd
            if not self._any_removed or fd not in self._removed:
                watched = self._sockets[fd]
                watched.ready(events[i].events)
        return n

    cdef bint _ring(self, long long now_ns) except -1:
        cdef Timer timer
        cdef bint awake = False
        for timer in self._timers:
            if timer.awake:
                if now_ns >= timer.at_ns:
                    timer.awake = False
                    timer.ring()
                    return self._ring(now_ns)
                awake = True
        return awake

    def close(self):
        self._any_removed = True
        self._removed.update(range(len(self._sockets)))
        self._sockets.clear()
        os.close(self.fd)
        self.fd = -1


cdef int _control(int set, int what, int fd, int events) except -1:
    cdef epoll_event event
    memset(&event, 0, sizeof(event))
    event.events = events | EPOLLRDHUP
    event.data.fd = fd
    if epoll_ctl(set, what, fd, &event) < 0:
        raise OSError(errno, os.strerror(errno))
    return 0


def stamp(sock):
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def stamps():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return stamp(sock)
