"""The recording server as a process: what it recorded is what was sent to it."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

from benchmarks.recording_server import ANSWER, RecordingServer

REQUEST = b'POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"k":"v"}'
MS = 1_000_000


def connected(server: RecordingServer) -> socket.socket:
    parts = urlsplit(server.origin)
    assert parts.port is not None
    return socket.create_connection(("127.0.0.1", parts.port), timeout=10)


def answer(client: socket.socket) -> bytes:
    received = b""
    while len(received) < len(ANSWER):
        received += client.recv(65536)
    return received


def test_each_request_is_recorded_once_between_its_sending_and_its_answer() -> None:
    stamps = []
    with RecordingServer("none") as server, connected(server) as client:
        for _ in range(20):
            sent = time.monotonic_ns()
            client.sendall(REQUEST)
            assert answer(client) == ANSWER
            stamps.append((sent, time.monotonic_ns()))
    assert len(server.records) == 20
    for (sent, ended), record in zip(stamps, server.records, strict=True):
        assert sent < record.read_ns == record.due_ns <= record.sent_ns
        assert record.read_ns < ended


def test_a_request_in_pieces_is_one_that_arrived_with_its_first_byte() -> None:
    with RecordingServer("none") as server, connected(server) as client:
        client.sendall(REQUEST[:10])
        time.sleep(0.05)
        client.sendall(REQUEST[10:-3])
        time.sleep(0.05)
        before_last = time.monotonic_ns()
        client.sendall(REQUEST[-3:])
        answer(client)
    (record,) = server.records
    assert record.read_ns < before_last < record.sent_ns


def test_a_held_answer_leaves_when_it_is_due_and_never_before() -> None:
    with RecordingServer("fixed") as server, connected(server) as one, connected(server) as two:
        one.sendall(REQUEST)
        time.sleep(0.005)
        two.sendall(REQUEST)
        assert answer(two) == answer(one) == ANSWER
    assert [record.due_ns - record.read_ns for record in server.records] == [20 * MS, 20 * MS]
    assert all(record.sent_ns >= record.due_ns for record in server.records)


def test_an_answer_that_nobody_waits_for_any_more_harms_no_other() -> None:
    with RecordingServer("fixed") as server:
        with connected(server) as gone:
            gone.sendall(REQUEST)
        with connected(server) as client:
            client.sendall(REQUEST)
            assert answer(client) == ANSWER
    assert len(server.records) == 2
