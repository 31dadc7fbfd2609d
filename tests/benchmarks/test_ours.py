"""What is read from a run of loadgen, and that it is run as told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.document import printed
from benchmarks.ours import CALL_LATER, PURE, build, read_summary, scenario_text
from benchmarks.process import environment, run
from benchmarks.tool import Closed, Endpoint, Load, Open
from loadgen.report.figures import shown, totals
from loadgen.report.units import count
from loadgen.scenario.load import load_file
from tests.report import builders


def test_the_figures_are_those_that_the_reports_show() -> None:
    run = builders.valid()
    report = read_summary(run)
    latency = {item.p: item.value / 1e6 for item in run.totals.metrics["latency"].percentiles}
    assert (report.requests, report.failed) == (6000, 0)
    assert report.percentiles_ms == {p: latency[p] for p in (50.0, 90.0, 99.0)}
    assert report.remark == f"valid; p99.9 withheld (n < {count(10_000)})"


def test_an_invalid_run_has_no_figures_and_says_why() -> None:
    report = read_summary(builders.invalid())
    assert report.percentiles_ms == {}
    assert report.remark == "invalid (rate_missed)"


def test_what_the_reports_show_as_a_range_is_no_figure() -> None:
    report = read_summary(builders.ranged())
    assert report.ranges[99.0] == f"{shown(totals(builders.ranged()), 'latency', 99.0)}"
    assert 99.0 not in report.percentiles_ms
    assert 50.0 in report.percentiles_ms
    assert printed(report, 99.0) == report.ranges[99.0]


@pytest.mark.parametrize("load", [Closed(10, 5), Open(200, 5, 10)])
def test_the_scenario_of_a_load_is_one(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(scenario_text(load, Endpoint("http://127.0.0.1:8080")))
    (phase,) = load_file(file, environment={}, overrides=(), checks=[]).scenario.phases
    assert phase.closed == isinstance(load, Closed)
    assert phase.duration_ns == 5_000_000_000


def test_the_pure_build_can_be_asked_for() -> None:
    assert build(PURE)[1] == "pure"


def test_the_portable_alarm_can_be_asked_for() -> None:
    with environment(CALL_LATER):
        code = "import loadgen.engine.agent; from loadgen.engine import timer; print(timer.ALARM.kind)"
        assert run([sys.executable, "-P", "-c", code], limit_s=30).out == "call_later\n"
