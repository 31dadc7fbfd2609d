"""A run that outlives its token, against the emulator: what the platform itself saw of the change."""

from __future__ import annotations

import json
from itertools import pairwise

from tests.e2e.conftest import Loadgen

SCENARIO = """
name: expiring
target:
  endpoint: emulator
  function: hello
  auth: {iam: {username: demo, password: demo, domain: demo}}
emulator:
  auth: strict
  token_lifetime: 2s
  functions: {hello: {work: {median: 2ms}, cold_start: none}}
phases:
  - {name: steady, rate: 50/s, duration: 4s}
"""


def test_a_run_with_tokens_of_2_seconds_shows_no_failed_invocation_and_no_gap(loadgen: Loadgen) -> None:
    run = loadgen(SCENARIO)
    assert run.passed, run.stderr
    totals = run.summary["totals"]
    assert totals["outcomes"] == {"ok": 200}
    assert (totals["dropped"], totals["unfinished"]) == (0, 0)
    truth = [json.loads(line) for line in (run.out / "truth.ndjson").read_text().splitlines()]
    received = sorted(line["received_ns"] for line in truth)
    assert len(received) == 201  # and the pre-flight
    assert max(later - earlier for earlier, later in pairwise(received[1:])) < 1_000_000_000
