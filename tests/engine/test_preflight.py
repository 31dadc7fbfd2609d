from __future__ import annotations

import time
from email.utils import formatdate

import msgspec
import pytest

from loadgen.engine.preflight import clock_ahead_s, preflight
from loadgen.targets.functiongraph.protocol.target import KeyAuth
from tests.scenarios import function, open_phase, scenario
from tests.servers.scripted import Peer, serving

REFUSED = (
    b'{"error_code":"APIG.0301","error_msg":"Incorrect IAM authentication information: verify aksk signature fail"}'
)


def dated(seconds: float) -> bytes:
    date = formatdate(seconds, usegmt=True)
    return b"HTTP/1.1 401 No\r\nDate: %b\r\nContent-Length: %d\r\n\r\n%b" % (date.encode(), len(REFUSED), REFUSED)


@pytest.mark.parametrize("off_s", [-3600, 0, 1200])
async def test_the_answer_to_the_preflight_tells_how_far_this_clock_is_off(off_s: int) -> None:
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(dated(time.time() - off_s))

    async with serving(play) as server:
        target = msgspec.structs.replace(
            function(f"http://127.0.0.1:{server.port}"), auth=KeyAuth("AKDUMMY", "SKDUMMY")
        )
        (answer,) = await preflight(scenario(target, open_phase(1, 1)))
    assert answer.ahead_s is not None
    assert abs(answer.ahead_s - off_s) < 60
    assert answer.body == REFUSED


def test_a_date_that_is_none_says_nothing() -> None:
    for text in ("", "yesterday", "Mon, 99 Jan 2026 00:00:00 GMT", "Fri, 01 Jan 99999 00:00:00 GMT"):
        assert clock_ahead_s(text, 0) is None
