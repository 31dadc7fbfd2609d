"""The live page as a client sees it, but for what its script draws: see ``tests/browser/test_live.py``."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from loadgen.streams.fault import StreamError
from loadgen.streams.live import MOST_STREAMS, Live
from loadgen.streams.loopback import MOST_CONNECTIONS
from tests.cli.displays import frame
from tests.report.builders import valid
from tests.streams.views import Told


@pytest.fixture
def told() -> Told:
    made = Told("errors < 1%")
    made.begin()
    made.tell(frame(0, ok=200))
    return made


@pytest.fixture
def live(told: Told) -> Iterator[Live]:
    made = Live(told.view, 0)
    made.start()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Whatever a test opened is closed after it."""
    yield
    while Client.opened:
        Client.opened.pop().close()


class Client:
    """An open request, closed after its test at the latest."""

    opened: ClassVar[list[Client]] = []

    def __init__(self, live: Live, path: str | None = None, method: str = "GET", **headers: str) -> None:
        where = urlsplit(live.url)
        assert where.hostname is not None
        self._connection = HTTPConnection(where.hostname, where.port, timeout=20)
        self._connection.request(method, where.path if path is None else path, headers=headers)
        self.answer: HTTPResponse = self._connection.getresponse()
        self.opened.append(self)

    def event(self) -> dict[str, Any] | None:
        """The next event; None where there are no more."""
        while line := self.answer.readline():
            if line.startswith(b"data: "):
                told: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                return told
        return None

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def events(live: Live) -> Client:
    return Client(live, f"{urlsplit(live.url).path}events")


def status(live: Live, *arguments: str, **headers: str) -> int:
    client = Client(live, *arguments, **headers)
    client.close()
    return client.answer.status


def test_the_first_event_has_all_seconds_and_the_next_ones_what_is_new(told: Told, live: Live) -> None:
    client = events(live)
    first = client.event()
    assert first is not None
    assert (first["all"], [second[0] for second in first["seconds"]], first["name"]) == (True, [1], "live")
    told.tell(frame(1, ok=200))
    while (event := client.event()) is not None and not event["seconds"]:
        assert not event["all"]
    assert event is not None
    assert [second[0] for second in event["seconds"]] == [2]
    client.close()


def test_the_end_is_told_and_the_stream_ends_with_it(told: Told, live: Live) -> None:
    client = events(live)
    client.event()
    told.view.phase_ended()
    told.view.finish(valid())
    ended = threading.Thread(target=live.close)
    ended.start()
    told_last = [event for event in iter(client.event, None) if event["over"]]
    ended.join(10)
    assert not ended.is_alive()
    assert len(told_last) == 1
    assert told_last[0]["doing"] == "The run has ended."


def test_only_who_has_the_token_sees_anything(live: Live) -> None:
    path = urlsplit(live.url).path
    assert status(live) == 200
    for wrong in ("/", "/events", f"{path[:-2]}/", f"{path[:-1]}", f"{path[:-1]}x/", "/%C3%A9/"):
        assert status(live, wrong) == 404, wrong
    assert status(live, f"{path}../../etc/passwd") == 404
    assert len(path) > 20


def test_a_name_that_was_rebound_to_this_machine_is_refused_and_nobody_may_write(live: Live) -> None:
    where = urlsplit(live.url)
    assert status(live, Host="evil.example") == 403
    assert status(live, Host=f"evil.example:{where.port}") == 403
    assert status(live, Host=f"localhost:{where.port}") == 200
    assert status(live, Origin="https://evil.example") == 403
    assert status(live, Origin="null") == 403
    assert status(live, Origin=f"http://127.0.0.1:{where.port}") == 200
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        assert status(live, where.path, method) == 405


def test_every_answer_forbids_what_the_page_does_not_need(live: Live) -> None:
    path = urlsplit(live.url).path
    for name in ("", "live.js", "live.css", "uPlot.js", "uPlot.css", "none"):
        answer = Client(live, f"{path}{name}").answer
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert b"http" not in answer.read().replace(b"https://github.com/leeoniya/uPlot", b"")


def test_a_name_that_looks_like_a_tag_is_text_in_an_event() -> None:
    told = Told(name="</script><img src=x>\x1b[31m")
    live = Live(told.view, 0)
    live.start()
    event = events(live).event()
    live.close()
    assert event is not None
    assert event["name"] == r"</script><img src=x>\x1b[31m"


def test_there_are_so_many_pages_and_no_more_until_one_is_closed(live: Live) -> None:
    clients = [events(live) for _ in range(MOST_STREAMS)]
    for client in clients:
        client.event()
    assert events(live).answer.status == 503
    clients.pop().close()
    deadline = time.monotonic() + 20
    while events(live).answer.status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for client in clients:
        client.close()


def test_there_are_so_many_connections_and_no_more(live: Live) -> None:
    where = urlsplit(live.url)
    assert where.port is not None
    idle = [socket.create_connection(("127.0.0.1", where.port)) for _ in range(MOST_CONNECTIONS)]
    time.sleep(0.5)
    late = socket.create_connection(("127.0.0.1", where.port))
    late.settimeout(10)
    try:
        late.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert late.recv(1) == b""
    except ConnectionError:
        pass
    for each in (*idle, late):
        each.close()


def test_a_client_that_never_reads_costs_others_nothing_and_nothing_piles_up_for_it(told: Told, live: Live) -> None:
    where = urlsplit(live.url)
    assert where.port is not None
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    held.connect(("127.0.0.1", where.port))
    held.sendall(f"GET {where.path}events HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
    reading = events(live)
    for second in range(1, 600):
        told.tell(frame(second, ok=20))
    last = 0
    while last < 600:
        event = reading.event()
        assert event is not None
        last = max([last, *(each[0] for each in event["seconds"])])
    reading.close()
    began = time.monotonic()
    told.view.finish(None)
    live.close()
    assert time.monotonic() - began < 8
    held.close()


def test_a_port_that_is_taken_is_said_with_the_remedy(told: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(StreamError, match=rf"--live-port: cannot listen on 127.0.0.1:{number}: .*another port"):
            Live(told.view, number)
