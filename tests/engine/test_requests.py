from __future__ import annotations

import re
from pathlib import Path

import msgspec

from loadgen.engine.requests import ConstantRequests, FedRequests, TurnedRequests, requests
from loadgen.scenario.model import FeederOrder, Scenario
from loadgen.targets.functiongraph.protocol.request import request_template
from loadgen.targets.functiongraph.protocol.signature import sdk_date
from loadgen.targets.functiongraph.protocol.target import Auth, KeyAuth, TokenAuth
from loadgen.targets.request import RequestTemplate
from tests.scenarios import feeder, function, open_phase, scenario

KEY = KeyAuth("AKDUMMY", "SKDUMMY")


def template(auth: Auth) -> RequestTemplate:
    return request_template(msgspec.structs.replace(function("http://127.0.0.1:1"), auth=auth))


def fed(path: Path, rows: str = "id\n1\n2\n") -> Scenario:
    path.write_text(rows)
    loop = scenario(function("http://127.0.0.1:1"), open_phase(1, 1), event='{"id":"{{id}}"}')
    return msgspec.structs.replace(loop, feeder=feeder(path, FeederOrder.ONCE))


PLAIN = scenario(function("http://127.0.0.1:1"), open_phase(1, 1))


class Watch:
    """A clock that stands still until it is set, and counts how often it is read."""

    def __init__(self) -> None:
        self.now = 1_000
        self.read = 0

    def __call__(self) -> int:
        self.read += 1
        return self.now


def dates(request: bytes | None) -> list[str]:
    return re.findall(r"X-Sdk-Date: (\S+)", (request or b"").decode())


def test_every_request_is_signed_for_the_second_it_starts_in(tmp_path: Path) -> None:
    for each in (PLAIN, fed(tmp_path / "rows.csv")):
        watch = Watch()
        request = requests(each, template(KEY), 0, watch)
        first = request.of(0)
        assert dates(first) == [sdk_date(1_000)]
        watch.now = 1_001
        later = request.of(1)
        assert dates(later) == [sdk_date(1_001)]
        assert first != later


def test_a_constant_event_is_signed_once_a_second_as_the_same_request_has_the_same_signature() -> None:
    watch = Watch()
    request = requests(PLAIN, template(KEY), 0, watch)
    assert request.of(0) is request.of(1)
    watch.now += 1
    assert request.of(2) is request.of(3)


def test_requests_with_a_token_are_the_same_at_any_time() -> None:
    watch = Watch()
    request = requests(PLAIN, template(TokenAuth("t")), 0, watch)
    read, first = watch.read, request.of(0)
    watch.now += 1_000
    assert request.of(1) is first
    assert watch.read == read


def test_a_new_token_is_in_the_next_request_and_no_row_is_lost(tmp_path: Path) -> None:
    for each in (PLAIN, fed(tmp_path / "rows.csv")):
        request = requests(each, template(TokenAuth("old")), 0)
        before = request.of(0)
        request.use(template(TokenAuth("new")))
        after = request.of(1)
        assert before is not None
        assert after is not None
        assert b"X-Auth-Token: old\r\n" in before
        assert b"X-Auth-Token: new\r\n" in after
    assert after is not None
    assert b'{"id":"2"}' in after
    assert request.of(2) is None


def test_arrivals_that_take_memory_sizes_in_turns_send_the_same_event_for_the_n_th_of_each_size(tmp_path: Path) -> None:
    rows = fed(tmp_path / "rows.csv", "id\n" + "".join(f"{n}\n" for n in range(20)))

    def of(memory_mb: int) -> FedRequests | ConstantRequests:
        sized = msgspec.structs.replace(function("http://127.0.0.1:1"), memory_mb=memory_mb)
        return requests(rows, request_template(sized), 0)

    turned = TurnedRequests((256, 128, 128, 256), {128: of(128), 256: of(256)}, 7)
    sent = [turned.of(index) or b"" for index in range(7, 15)]
    sizes = [re.findall(rb"X-Cff-Instance-Memory: (\d+)", request)[0] for request in sent]
    assert sizes == [b"256", b"128", b"128", b"256"] * 2
    events = [re.findall(rb'"id":"(\d+)"', request)[0] for request in sent]
    assert events == [b"7", b"7", b"8", b"8", b"9", b"9", b"10", b"10"]
