"""In a listing a run is called by what came first: interrupted, out of budget, invalid, or as its rules ended."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from loadgen.history.index import outcome
from loadgen.measure.summary import Summary, ThresholdResult
from tests.report.builders import degraded, invalid, valid

RULE = "errors < 1% over 2s, abort"
BROKEN = ThresholdResult(RULE, 0.5, False, "not below the limit", "value")


def ended(stopped: str | None, *results: ThresholdResult) -> Summary:
    return replace(valid(), run=replace(valid().run, stopped=stopped), thresholds=list(results))


@pytest.mark.parametrize(
    ("summary", "word"),
    [
        (valid(), "passed"),
        (invalid(), "invalid"),
        (degraded(), "interrupted"),
        (ended(None), "measured"),
        (replace(valid(), run=replace(valid().run, partial=True)), "partial"),
        (ended("budget.cost: all of it was used", BROKEN), "budget"),
        (ended(f"{RULE}: 50 % from 2 to 4 s", BROKEN), "failed"),
    ],
)
def test_a_run_is_called_by_what_comes_first(summary: Summary, word: str) -> None:
    assert outcome(summary) == word
