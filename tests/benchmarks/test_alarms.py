"""Counting which rules of trust fired, and runs that they have to fire in."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.alarms import BROKEN, CLEAN, Ran, clean_rows, ran
from benchmarks.document import NONE
from loadgen.scenario.load import load
from tests.report import builders

QUIET = Ran("valid", frozenset())


def test_a_rule_counts_once_for_each_run_in_which_it_fired() -> None:
    late, both = Ran("degraded", frozenset({"late_starts"})), Ran("invalid", frozenset({"late_starts", "failures"}))
    rows = list(clean_rows("busy", [QUIET, late, both, QUIET]))
    assert rows == [["busy", "4", "2", "late_starts", "50.0%"], ["", "", "", "failures", "25.0%"]]


def test_runs_without_an_alarm_say_so() -> None:
    assert list(clean_rows("idle", [QUIET] * 5)) == [["idle", "5", "5", NONE, "0.0%"]]


def test_the_rules_of_a_run_are_those_of_its_verdict() -> None:
    assert ran(builders.valid()) == QUIET
    assert ran(builders.degraded()).rules


@pytest.mark.parametrize("text", [*CLEAN, *(each.text for each in BROKEN)])
def test_every_run_is_a_scenario_with_one_phase_that_is_judged(text: str, tmp_path: Path) -> None:
    scenario = load(text, source="s.yaml", directory=tmp_path, environment={}).scenario
    assert [phase.warmup for phase in scenario.phases] == [True, False]
