from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.protocol.probe import cold_by_log, with_probe
from loadgen.targets.functiongraph.protocol.response import classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from loadgen.targets.port import Probe

OK = Facts(Outcome.OK, "ok", 200)
INVOKE = (
    "2025-01-01T00:00:00Z Start invoke request 'b', version: latest\n2025-01-01T00:00:00Z Finish invoke request 'b'\n"
)
LOAD = (
    "2025-01-01T00:00:00Z Finish load request 'a', duration: 891.558ms, memory used: 30.0MB, storage used: 0.039MB.\n"
)
INITIALIZE = "2025-01-01T00:00:00Z Start initialize request 'a', version: latest\n"


def probed(answer: object, probe: Probe | None = None, version: ResponseVersion = ResponseVersion.V0) -> Facts:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return with_probe(OK, body, probe or Probe(), version)


@pytest.mark.parametrize("log", [LOAD + INVOKE, INITIALIZE + INVOKE])
def test_lines_of_a_start_show_that_a_call_was_cold(log: str) -> None:
    headers = {b"x-cff-function-log": base64.b64encode(log.encode()), b"x-cff-request-id": b"r"}
    facts = classify_function(200, headers, b"{}", ResponseVersion.V0)
    assert (facts.start, facts.start_source) == ("cold", "log")


def test_a_log_without_them_shows_nothing() -> None:
    assert not cold_by_log(INVOKE)
    facts = classify_function(200, {b"x-cff-function-log": base64.b64encode(INVOKE.encode())}, b"", ResponseVersion.V0)
    assert (facts.start, facts.start_source) == (None, None)


def test_a_probe_says_whether_the_call_was_cold_and_which_instance_it_met() -> None:
    facts = probed({"cold": True, "instance": "i-1", "n": 1})
    assert (facts.start, facts.start_source, facts.instance) == ("cold", "probe", "i-1")
    assert probed({"cold": False, "instance": 7, "n": 2}).instance == "7"


@pytest.mark.parametrize(("n", "start"), [(1, "cold"), (2, "warm"), (0, None), ("1", None), (True, None), (None, None)])
def test_the_count_alone_is_enough(n: object, start: str | None) -> None:
    assert probed({"n": n}).start == start


def test_the_fields_may_be_anywhere_in_the_answer() -> None:
    probe = Probe(cold="body.0.first", instance="body.0.at.name", count="none")
    facts = probed({"body": [{"first": False, "at": {"name": "x"}}]}, probe)
    assert (facts.start, facts.instance) == ("warm", "x")


def test_in_a_v1_answer_the_probe_is_in_the_result_as_json_or_as_text() -> None:
    said = {"cold": True, "n": 1}
    for result in (said, json.dumps(said)):
        assert probed({"result": result, "status": 200}, version=ResponseVersion.V1).start == "cold"


@given(st.binary(max_size=200), st.sampled_from(list(ResponseVersion)))
def test_an_answer_that_is_no_probe_leaves_the_facts_as_they_are(body: bytes, version: ResponseVersion) -> None:
    assert with_probe(OK, body, Probe(), version).start in (None, "cold", "warm")


def test_what_is_not_json_shows_nothing() -> None:
    assert probed(b"hello") == OK
    assert probed(b"[" * 100_000) == OK
