"""No answer is much work: what a reader lets through is classified in a time that depends on its length alone."""

from __future__ import annotations

import json
import time

import pytest

from loadgen.engine.http1 import MAX_REPEATS
from loadgen.targets.functiongraph.protocol.envelope import LONGEST_ODD
from loadgen.targets.functiongraph.protocol.metering import LONGEST_LOG
from loadgen.targets.functiongraph.protocol.probe import LONGEST_PROBED, with_probe
from loadgen.targets.functiongraph.protocol.response import classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from loadgen.targets.functiongraph.protocol.tenant import MOST
from loadgen.targets.port import MAX_VALUE, Probe

FINISH = "Finish invoke request 'r', duration: 12.5ms, billing duration: 13ms, memory used: 40MB, billing memory: 128MB"


def value(begin: bytes, endless: bytes, end: bytes = b"") -> bytes:
    """The longest header that is read."""
    return begin + endless * ((MAX_VALUE - len(begin) - len(end)) // len(endless)) + end


HEADERS = [
    ("x-cff-billing-duration", value(b"1", b" ", b"x")),
    ("x-cff-billing-duration", value(b"", b"1", b"x")),
    ("x-cff-invoke-summary", value(b'{"duration":"1', b" ", b'x"}')),
    ("x-cff-invoke-summary", value(b"{}", b",{}")),
    ("x-cff-invoke-summary", value(b"{}", b" \t")),
    ("x-cff-invoke-summary", b"\n".join([value(b"{}", b",{}")[:500]] * MAX_REPEATS)),
    ("x-cff-invoke-summary", value(b"", b"[")),
    ("x-cff-function-log", value(b"", b"a,")),
    ("x-cff-function-log", b"\n".join([b"a," * 250] * MAX_REPEATS)),
    ("x-func-err-code", value(b"", b"1,")),
    ("x-func-err-code", value(b"1", b"0")),
    ("x-cff-request-id", value(b"", b"a\n")),
]


@pytest.mark.parametrize(("name", "said"), HEADERS)
def test_no_header_is_much_work(name: str, said: bytes) -> None:
    """Blanks in a number took the square of their length: 6 s at the longest, minutes in a head full of them."""
    began = time.process_time()
    for version in ResponseVersion:
        classify_function(200, {name.encode(): said}, b"{}", version)
        classify_function(500, {name.encode(): said}, b"{}", version)
    assert time.process_time() - began < 0.3


def body(begin: bytes, endless: bytes, end: bytes, size: int = MOST) -> bytes:
    return begin + endless * ((size - len(begin) - len(end)) // len(endless)) + end


BODIES = {
    "a log": body(b'{"log":"', b"Start ", b'"}'),
    "a log of beginnings": body(b'{"log":"', b"Finish invoke request '", b'"}'),
    "a log of one number": body(b'{"log":"Finish invoke request \'a\', duration: ', b"1", b'"}'),
    "a result": body(b'{"status":200,"result":[0', b",{}", b"]}"),
    "a status that is text": body(b'{"status":"200","result":[0', b",{}", b"]}"),
    "a status of digits": body(b'{"status":"', b"1", b'"}'),
    "a number of digits": body(b'{"status":', b"1", b"}"),
    "lists in lists": body(b'{"result":', b"[", b"}"),
    "odd numbers": body(b'{"result":[0', b",NaN", b"]}", LONGEST_ODD),
    "more odd numbers": body(b'{"result":[0', b",NaN", b"]}"),
    "keys": body(b'{"status":200', b',"a":0', b"}"),
}


@pytest.mark.parametrize("name", BODIES)
def test_no_v1_body_is_much_work(name: str) -> None:
    probe = Probe(cold="cold", count="n", instance="id")
    began = time.process_time()
    facts = classify_function(200, {}, BODIES[name], ResponseVersion.V1)
    with_probe(facts, BODIES[name], probe, ResponseVersion.V1)
    assert time.process_time() - began < 2
    assert facts.log is None or len(facts.log) <= LONGEST_LOG


@pytest.mark.parametrize("lines", [1, 100, 20_000])
def test_of_a_log_the_end_counts_however_long_it_is(lines: int) -> None:
    said = {
        "log": "Start load request\n" + "a line of the function's\n" * lines + FINISH,
        "status": "200",
        "result": "x",
    }
    facts = classify_function(200, {}, json.dumps(said).encode(), ResponseVersion.V1)
    assert facts.reason == "ok"
    assert (facts.duration_ns, facts.billed_duration_ns, facts.memory_size_mb) == (12_500_000, 13_000_000, 128)
    assert facts.start == ("cold" if lines < 1000 else None)  # the platform cuts its logs much sooner


def test_a_status_that_is_text_is_read_and_the_result_is_not() -> None:
    for status, reason in (("200", "ok"), (" 200 ", "ok"), ("500", "v1_status"), ("x", "v1_body"), ("", "v1_body")):
        said = b'{"status":"%b","result":[NaN]}' % status.encode()
        for text in (said, said.replace(b"NaN", b"1")):
            assert classify_function(200, {}, text, ResponseVersion.V1).reason == reason


def test_a_probe_is_looked_for_where_one_can_be() -> None:
    probe = Probe(cold="cold", count="n", instance="id")
    small = b'{"cold": true, "x": "%b"}' % (b"x" * (LONGEST_PROBED - 25))
    facts = classify_function(200, {}, small, ResponseVersion.V0)
    assert len(small) <= LONGEST_PROBED
    assert with_probe(facts, small, probe, ResponseVersion.V0).start == "cold"
    large = small + b" " * 30
    assert with_probe(facts, large, probe, ResponseVersion.V0) == facts
