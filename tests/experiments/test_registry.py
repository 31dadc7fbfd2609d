from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from loadgen.experiments.registry import (
    KINDS,
    changes,
    decision,
    is_experiment,
    lasts_ns,
    one_size,
    peak_per_s,
    plan,
    probe,
    sizes_mb,
    widest,
)
from loadgen.measure.summary import Experiment
from loadgen.scenario.load import load
from loadgen.scenario.model import EXPERIMENTS, Scenario
from loadgen.scenario.model import Kind as Named

TARGET = "target: {endpoint: 'http://127.0.0.1:1', project_id: p, function: f}\n"
LOAD = "phases: [{name: a, rate: 7/s, duration: 1s}, {name: b, rate: 9/s, duration: 1s}]\n"


def read(kind: str, block: str) -> Scenario:
    return load(f"name: x\nkind: {kind}\n{TARGET}{block}", source="x.yaml", directory=Path(), environment={}).scenario


LOADED = read("load", LOAD)
CAPACITY = read("capacity", "capacity: {slo: [latency.p99 < 1s], to: 50/s, max_in_flight: 30, confirm: 10s}\n")
COLD_STARTS = read(
    "cold-starts",
    "cold-starts: {induce: [burst, memory, config], burst: 40, sizes: [128MB], probe: {}}\n",
)
BY_HEADER, BY_CONFIG = (
    read("memory", f"memory: {{sizes: [128MB, 256MB], by: {by}, gap: 90s}}\n") for by in ("header", "config")
)


def test_each_kind_has_a_form_of_result_that_the_summary_knows_by_its_name() -> None:
    assert {kind.result for kind in KINDS} == set(get_args(Experiment))
    assert all(kind.result.__struct_config__.tag == kind.name for kind in KINDS)


def test_each_kind_that_a_scenario_may_name_is_registered() -> None:
    assert [kind.name for kind in KINDS] == [*get_args(Named)]
    assert [kind.name for kind in KINDS if is_experiment(kind.name)] == [*EXPERIMENTS]


def test_each_kind_has_a_place_in_the_scenario_for_what_is_asked() -> None:
    assert {kind.block for kind in KINDS} <= {field.name for field in msgspec.structs.fields(Scenario)}


@pytest.mark.parametrize("scenario", [LOADED, CAPACITY, COLD_STARTS], ids=lambda each: each.kind)
def test_the_first_that_is_asked_for_is_no_wider_than_the_widest(scenario: Scenario) -> None:
    first = next(decision(scenario))
    assert max(phase.max_workers for phase in first.phases) <= max(phase.max_workers for phase in widest(scenario))


def test_the_widest_phase_has_as_many_in_flight_as_there_may_be() -> None:
    most = [max(phase.max_workers for phase in widest(each)) for each in (CAPACITY, COLD_STARTS, BY_HEADER)]
    assert most == [30, 40, 1]
    assert widest(LOADED) == LOADED.phases


def test_the_peak_is_that_of_the_phases_or_the_largest_rate_of_a_search() -> None:
    assert [peak_per_s(each) for each in (LOADED, CAPACITY, COLD_STARTS, BY_HEADER)] == [9, 50, 0, 0]


def test_an_experiment_says_what_is_asked_and_a_load_has_its_phases_for_that() -> None:
    assert [len(list(plan(each))) for each in (LOADED, CAPACITY, COLD_STARTS, BY_HEADER)] == [0, 3, 1, 3]


def test_the_settings_that_a_run_changes_are_named() -> None:
    assert [changes(each) for each in (LOADED, CAPACITY, BY_HEADER)] == [""] * 3
    assert changes(COLD_STARTS) == "LOADGEN_RUN in its environment"
    assert changes(BY_CONFIG) == "its memory size"


def test_memory_sizes_are_those_of_the_target_unless_the_experiment_asks_for_others() -> None:
    every = (LOADED, CAPACITY, COLD_STARTS, BY_HEADER)
    assert [sizes_mb(each) for each in every] == [(), (), (128,), (128, 256)]
    assert [one_size(each) for each in every] == [True, True, False, False]


def test_only_a_probe_tells_by_itself() -> None:
    assert [probe(each) is not None for each in (LOADED, CAPACITY, COLD_STARTS, BY_HEADER)] == [
        False,
        False,
        True,
        False,
    ]


def test_agents_do_without_kinds_and_whoever_only_asks_for_one_without_what_it_takes_to_decide_and_report() -> None:
    """An import of numpy takes a tenth of a second, and agents neither decide nor render."""
    code = (
        "import sys; from loadgen.engine import agent; "
        "print(*(name for name in sys.modules if name.endswith('.kind'))); "
        "from loadgen.experiments import registry; "
        "slow = ('numpy', 'loadgen.measure.merge', 'loadgen.report'); "
        "print(*(name for name in sys.modules if name.startswith(slow)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n\n"


def test_how_long_a_run_lasts_is_the_sum_of_its_phases_or_a_forecast() -> None:
    assert lasts_ns(LOADED) == (2_000_000_000, 2_000_000_000)
    least, most = lasts_ns(COLD_STARTS) or (0, 0)
    assert 0 < least < most
