from __future__ import annotations

import errno
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.build import build
from loadgen.engine import kernel
from loadgen.engine.kernel import Inbox, Poll, Socket, stamps
from loadgen.engine.polling import BATCH, DOUBT_NS, GONE, READ, STEP_NS, WRITE

MS = 1_000_000
S = 1000 * MS
OFFSET = 1_700_000_000 * S

stamped_only = pytest.mark.skipif(not stamps(), reason="this system stamps nothing")


class Ear(Socket):
    """A socket that notes what it is told, and then does something."""

    def __init__(self, inbox: Inbox, then: Callable[[Ear], None] = lambda ear: None) -> None:
        super().__init__(inbox)
        self.told: list[int] = []
        self.then = then

    def ready(self, events: int) -> None:
        self.told.append(events)
        self.then(self)


def connected() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = connected()
    with ours, theirs:
        yield ours, theirs


def inbox() -> Inbox:
    return Inbox(65_536, 65_536)


def known(offset_ns: int = OFFSET, width_ns: int = 100) -> Inbox:
    box = inbox()
    box.note(offset_ns, width_ns, S)
    return box


@stamped_only
def test_what_is_read_late_is_known_to_have_arrived_when_it_did(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ear = Ear(inbox())
    assert ear.use(ours)
    before = time.monotonic_ns()
    theirs.sendall(b"answer")
    after = time.monotonic_ns()
    time.sleep(0.03)
    box = ear.inbox
    box.look()
    assert ear.receive(100) == 6
    assert bytes(box.view[:6]) == b"answer"
    assert box.believed
    assert box.read_ns - box.arrived_ns >= 30 * MS
    assert before - STEP_NS <= box.arrived_ns <= after + MS


@stamped_only
def test_the_stamp_is_that_of_the_last_segment_that_was_read(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ear = Ear(inbox())
    ear.use(ours)
    theirs.sendall(b"first")
    time.sleep(0.02)
    second = time.monotonic_ns()
    theirs.sendall(b"second")
    ear.inbox.look()
    time.sleep(0.002)
    assert ear.receive(100) == 11
    assert ear.inbox.arrived_ns >= second - STEP_NS


def test_an_end_an_empty_socket_and_a_reset_are_told_apart_and_none_is_believed_to_have_a_stamp(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    ear = Ear(inbox())
    ear.use(ours)
    assert ear.receive(10) == -errno.EAGAIN
    theirs.shutdown(socket.SHUT_WR)
    time.sleep(0.002)
    before = time.monotonic_ns()
    assert ear.receive(10) == 0
    assert not ear.inbox.believed
    assert ear.inbox.arrived_ns == ear.inbox.read_ns >= before
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    theirs.close()
    time.sleep(0.002)
    assert ear.receive(10) in (0, -errno.ECONNRESET)
    assert ear.put(b"x", 0) == -errno.EPIPE


def test_what_nobody_stamps_has_arrived_when_it_was_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ear = Ear(inbox())
        ear.use(ours)
        theirs.sendall(b"x")
        time.sleep(0.002)
        ear.inbox.look()
        assert ear.receive(10) == 1
        if not ear.inbox.believed:  # a kernel may stamp local sockets, too
            assert ear.inbox.arrived_ns == ear.inbox.read_ns


def test_what_is_still_encrypted_is_read_beside_what_is_not(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ear = Ear(inbox())
    ear.use(ours)
    theirs.sendall(b"sealed")
    time.sleep(0.002)
    assert ear.receive(4, sealed=True) == 4
    assert bytes(ear.inbox.sealed[:4]) == b"seal"
    assert ear.receive(4) == 2
    assert bytes(ear.inbox.view[:2]) == b"ed"


def test_sending_goes_on_where_it_stopped(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ear = Ear(inbox())
    ear.use(ours)
    data = bytes(range(256)) * 65_536
    sent = ear.put(data, 0)
    assert 0 < sent < len(data)
    more = ear.put(data, sent)
    assert more == -errno.EAGAIN or 0 < more < len(data)
    assert theirs.recv(1000, socket.MSG_WAITALL) == data[:1000]


def test_an_arrival_is_the_stamp_on_the_other_clock_and_never_later_than_the_read() -> None:
    box = known()
    box.stamped(OFFSET + 2 * S, 2 * S + 30 * MS)
    assert (box.believed, box.arrived_ns, box.read_ns) == (True, 2 * S, 2 * S + 30 * MS)
    box.stamped(OFFSET + 2 * S + 10, 2 * S)
    assert (box.believed, box.arrived_ns) == (True, 2 * S)


def test_a_step_of_the_clocks_is_told_and_no_stamp_believed_for_a_second() -> None:
    for step in (-S, -50_000, 50_000, 3600 * S):
        box = known()
        box.note(OFFSET + step, 100, 2 * S)
        assert box.step_ns == abs(step)
        box.stamped(OFFSET + step + 2 * S, 2 * S + 1)
        assert (box.believed, box.arrived_ns) == (False, 2 * S + 1)
        box.stamped(OFFSET + step + 2 * S, 2 * S + DOUBT_NS - 1)
        assert not box.believed
        late = 2 * S + DOUBT_NS
        box.stamped(OFFSET + step + late - MS, late)
        assert (box.believed, box.arrived_ns) == (True, late - MS)


def test_the_largest_step_is_told_until_somebody_has_asked_for_it() -> None:
    box = known()
    box.note(OFFSET + S, 100, 2 * S)
    box.note(OFFSET + S + MS, 100, 3 * S)
    assert box.step_ns == S
    box.step_ns = 0
    box.note(OFFSET + S, 100, 4 * S)
    assert box.step_ns == MS


def test_what_is_within_20_us_or_within_what_can_be_told_is_no_step() -> None:
    for moved, width in ((STEP_NS, 100), (-STEP_NS, 100), (300_000, 300_000), (-299_999, 300_000)):
        box = known()
        box.note(OFFSET + moved, width, 2 * S)
        assert box.step_ns == 0
        box.stamped(OFFSET + 2 * S, 2 * S + MS)
        assert (box.believed, box.arrived_ns) == (True, 2 * S)


def test_slews_add_up_to_a_step() -> None:
    box = known()
    for k in range(1, 4):
        box.note(OFFSET + k * 15_000, 100, (1 + k) * S)
    assert box.step_ns == 30_000


def test_a_first_look_that_was_interrupted_is_made_good_by_a_tighter_one_and_is_no_step() -> None:
    box = known(OFFSET + 2 * MS, 4 * MS)
    box.note(OFFSET, 100, S + MS)
    assert box.step_ns == 0
    box.stamped(OFFSET + 2 * S, 2 * S + MS)
    assert (box.believed, box.arrived_ns) == (True, 2 * S)


def test_looking_finds_the_clocks_as_they_are() -> None:
    box = inbox()
    for _ in range(100):
        box.look()
    assert box.step_ns == 0
    real, now = time.time_ns(), time.monotonic_ns()
    box.stamped(real, now + 10 * MS)
    assert abs(box.arrived_ns - now) < 5 * MS


def pure() -> ModuleType:
    """kernel.py, whatever build this is."""
    path = Path(kernel.__file__).with_name("kernel.py")
    loader = SourceFileLoader("pure_kernel", str(path))
    spec = spec_from_loader("pure_kernel", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


instants = st.integers(0, 10 * S)
offsets = st.one_of(
    st.integers(-3 * STEP_NS, 3 * STEP_NS).map(lambda moved: OFFSET + moved), st.integers(OFFSET - S, OFFSET + S)
)
notes = st.tuples(st.just("note"), offsets, st.integers(0, 5 * STEP_NS))
stampings = st.tuples(
    st.just("stamped"), st.one_of(st.just(0), instants.map(lambda at: OFFSET + at)), st.integers(0, MS)
)


@pytest.mark.skipif(build() == "pure", reason="there is but one")
@given(st.lists(st.tuples(st.one_of(notes, stampings), st.integers(0, S)), max_size=30))
def test_both_builds_judge_clocks_alike(steps: list[tuple[tuple[str, int, int], int]]) -> None:
    boxes = (inbox(), pure().Inbox(16, 16))
    now = S
    for (what, value, third), passed in steps:
        now += passed
        for box in boxes:
            if what == "note":
                box.note(value, third, now)
            else:
                box.stamped(value, now)
        ours, theirs = ((b.read_ns, b.arrived_ns, b.believed, b.step_ns) for b in boxes)
        assert ours == theirs


class Set:
    """A Poll with the sockets that are in it."""

    def __init__(self, n: int) -> None:
        self.inbox = inbox()
        self.poll = Poll(self.inbox)
        self.pairs = [connected() for _ in range(n)]
        self.ears = [Ear(self.inbox) for _ in range(n)]
        for ear, (ours, _) in zip(self.ears, self.pairs, strict=True):
            ear.use(ours)
            self.poll.add(ear, READ)

    def close(self) -> None:
        self.poll.close()
        for pair in self.pairs:
            for end in pair:
                end.close()


@pytest.fixture
def sockets() -> Iterator[Callable[[int], Set]]:
    made: list[Set] = []

    def make(n: int) -> Set:
        made.append(Set(n))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_nothing_is_told_where_nothing_is_ready(sockets: Callable[[int], Set]) -> None:
    some = sockets(3)
    assert some.poll.tell(0) == 0
    assert [ear.told for ear in some.ears] == [[], [], []]


def test_a_turn_tells_a_batch_and_turns_tell_all_of_them(sockets: Callable[[int], Set]) -> None:
    """Level-triggered, and whoever was told goes to the end of the queue: nobody starves."""
    some = sockets(3 * BATCH)
    for _, theirs in some.pairs:
        theirs.sendall(b"x")  # and it is never read
    assert some.poll.tell(0) == BATCH
    assert sum(len(ear.told) for ear in some.ears) == BATCH
    for _ in range(5):
        assert some.poll.tell(0) == BATCH
    assert {len(ear.told) for ear in some.ears} == {2}


def test_the_descriptor_of_the_set_is_ready_when_one_of_the_sockets_is(sockets: Callable[[int], Set]) -> None:
    some = sockets(2)
    watch = select.poll()
    watch.register(some.poll.fd, select.POLLIN)
    assert not watch.poll(0)
    some.pairs[1][1].sendall(b"x")
    assert watch.poll(1000)


def test_a_socket_that_took_the_number_of_one_closed_in_the_same_turn_is_told_no_stale_event(
    sockets: Callable[[int], Set],
) -> None:
    """Both are ready; the first that is told closes both, and two new ones take their numbers."""
    some = sockets(2)
    made: list[Ear] = []
    new_pairs: list[tuple[socket.socket, socket.socket]] = []

    def replace(_: Ear) -> None:
        numbers = {ear.fd for ear in some.ears}
        for ear, (ours, _theirs) in zip(some.ears, some.pairs, strict=True):
            some.poll.remove(ear)
            ours.close()
        for _ in some.ears:
            pair = connected()
            new_pairs.append(pair)
        taken = [end for pair in new_pairs for end in pair if end.fileno() in numbers]
        assert {end.fileno() for end in taken} == numbers
        for end in taken:
            ear = Ear(some.inbox)
            ear.use(end)
            some.poll.add(ear, READ)
            made.append(ear)

    for ear in some.ears:
        ear.then = replace
    for _, theirs in some.pairs:
        theirs.sendall(b"x")
    assert some.poll.tell(0) == 2
    assert sum(len(ear.told) for ear in some.ears) == 1
    assert [ear.told for ear in made] == [[], []]
    for ours, theirs in new_pairs:  # whichever end is watched
        ours.sendall(b"y")
        theirs.sendall(b"y")
    some.poll.tell(0)
    assert [ear.told for ear in made] == [[READ], [READ]]
    for pair in new_pairs:
        for end in pair:
            end.close()


def test_a_socket_removed_by_another_in_the_same_turn_is_told_nothing(sockets: Callable[[int], Set]) -> None:
    some = sockets(3)
    first: list[Ear] = []

    def remove_others(ear: Ear) -> None:
        first.append(ear)
        for other in some.ears:
            if other is not ear:
                some.poll.remove(other)
                some.poll.remove(other)  # once is enough

    for ear in some.ears:
        ear.then = remove_others
    for _, theirs in some.pairs:
        theirs.sendall(b"x")
    some.poll.tell(0)
    assert len(first) == 1
    assert sum(len(ear.told) for ear in some.ears) == 1


def test_one_that_fails_keeps_the_others_from_nothing_but_that_turn(sockets: Callable[[int], Set]) -> None:
    some = sockets(2)

    def fail(ear: Ear) -> None:
        some.poll.remove(ear)
        raise ValueError("its own fault")

    some.ears[0].then = fail
    some.pairs[0][1].sendall(b"x")
    some.pairs[1][1].sendall(b"x")
    with pytest.raises(ValueError, match="its own fault"):
        some.poll.tell(0)
    some.poll.tell(0)
    assert len(some.ears[0].told) == 1
    assert some.ears[1].told


def test_a_set_that_is_closed_in_a_turn_tells_nobody_any_more_and_lets_sockets_be_removed() -> None:
    some = Set(2)
    for ear in some.ears:
        ear.then = lambda _: some.poll.close()
    for _, theirs in some.pairs:
        theirs.sendall(b"x")
    some.poll.tell(0)
    assert sum(len(ear.told) for ear in some.ears) == 1
    for ear in some.ears:
        some.poll.remove(ear)
    for pair in some.pairs:
        for end in pair:
            end.close()


def test_what_is_watched_for_changes_and_an_end_is_always_told(sockets: Callable[[int], Set]) -> None:
    some = sockets(1)
    (ear,), ((_, theirs),) = some.ears, some.pairs
    some.poll.change(ear, READ | WRITE)
    some.poll.tell(0)
    assert ear.told == [WRITE]
    some.poll.change(ear, READ)
    assert some.poll.tell(0) == 0
    theirs.shutdown(socket.SHUT_WR)
    some.poll.tell(0)
    assert ear.told[-1] & READ
    assert ear.told[-1] & GONE


def test_what_cannot_be_watched_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    box = inbox()
    poll = Poll(box)
    ours, theirs = connected()
    with ours, theirs:
        ear = Ear(box)
        ear.use(ours)
        poll.add(ear, READ)
        with pytest.raises(FileExistsError):
            poll.add(ear, READ)
        poll.remove(ear)
        with pytest.raises(FileNotFoundError):
            poll.change(ear, READ)
    poll.close()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="it is an epoll set that there may be no descriptor for")
def test_without_a_descriptor_left_there_is_no_set() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(1)
    os.close(spare)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            Poll(inbox())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="has no poll")
def test_other_systems_sets_tell_the_same_but_for_the_end(
    sockets: Callable[[int], Set], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pure()
    monkeypatch.setattr(source, "_Epoll", source._Selector)
    poll = source.Poll(source.Inbox(16, 16))
    ours, theirs = connected()
    with ours, theirs:
        told: list[int] = []

        class Other(source.Socket):  # type: ignore[misc,name-defined]
            def ready(self, events: int) -> None:
                told.append(events)

        other = Other(source.Inbox(16, 16))
        other.use(ours)
        poll.add(other, WRITE)
        assert poll.tell(0) == 1
        poll.change(other, READ)
        assert poll.tell(0) == 0
        theirs.sendall(b"x")
        time.sleep(0.002)
        assert poll.tell(0) == 1
        assert told == [WRITE, READ]
        poll.remove(other)
        assert poll.tell(0) == 0
    poll.close()
