from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.experiments.registry import changes
from loadgen.load.budget import Budget
from loadgen.load.bursts import Bursts
from loadgen.load.constant import ConstantRate
from loadgen.load.law import Arrivals
from loadgen.load.phase import Phase
from loadgen.load.ramp import RampRate
from loadgen.load.steps import StepRates
from loadgen.load.workers import Workers
from loadgen.scenario.load import load
from loadgen.scenario.model import Scenario
from loadgen.targets.functiongraph.protocol.function import function_name
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Work, default_emulator
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, NoAuth, ResponseVersion
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.port import Timeout, Tls
from loadgen.text.units import Rate

S = 10**9


def read(text: str) -> Scenario:
    return load(text, source="s.yaml", directory=Path("/d"), environment={}).scenario


def test_defaults_are_those_of_the_reference() -> None:
    scenario = read("name: x\ntarget: {endpoint: emulator}\nphases: [{name: a, rate: 1/s, duration: 1s}]\n")
    timeout = Timeout(10 * S, 100 * S, 100 * S)
    assert scenario.target == FunctionTarget(
        "emulator", "demo", "hello", NoAuth(), ResponseVersion.V0, 0.0, None, False, timeout, Tls(True, None), True
    )
    shape = ConstantRate(Rate(1, S))
    assert scenario.phases == (Phase("a", shape, S, False, Arrivals.CONSTANT, 1000, None, 100 * S),)
    assert (scenario.kind, scenario.seed, scenario.event, scenario.sample_share) == ("load", 1, "{}", 0.0)
    assert (scenario.budget, scenario.feeder, scenario.thresholds) == (Budget(None, None), None, ())
    assert scenario.emulator == default_emulator()
    assert len(scenario.sha256) == 64


def test_the_default_emulator_serves_one_function() -> None:
    hello = EmulatedFunction("hello", 128, Work(20_000_000, 0.3), "r2-python3", 100, True, 0.0)
    assert default_emulator(seed=4) == Emulator(4, 60 * S, (hello,))


def test_an_emulator_without_functions_serves_the_targets() -> None:
    scenario = read(
        "name: x\nseed: 9\ntarget: {endpoint: emulator, function: 'urn:fss:local:demo:function:default:mine:latest'}\n"
        "phases: [{name: a, rate: 1/s, duration: 1s}]\nemulator: {keep_alive: 5s}\n"
    )
    assert scenario.emulator is not None
    assert (scenario.emulator.seed, scenario.emulator.keep_alive_ns) == (9, 5 * S)
    assert [function.name for function in scenario.emulator.functions] == ["mine"]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("urn:fss:eu-de:p:function:default:f", "f"),
        ("urn:fss:eu-de:p:function:default:f:latest", "f"),
        ("f", "f"),
        ("default:f", "f"),
        ("p:default:f", "f"),
        ("p:default:f:v1", "f"),
        ("", "hello"),
    ],
)
def test_the_name_of_a_function_is_found_in_every_form(function: str, name: str) -> None:
    assert function_name(function) == name


@pytest.mark.parametrize(
    ("written", "shape", "duration_ns"),
    [
        ("rate: {from: 10/s, to: 200/s}, duration: 60s", RampRate(Rate(10, S), Rate(200, S)), 60 * S),
        ("rate: {steps: [50/s, 100/s]}, duration: 60s", StepRates((Rate(50, S), Rate(100, S))), 60 * S),
        ("burst: {size: 50, gap: 90s, repeat: 3}", Bursts(50, 90 * S, 3), 270 * S),
        ("workers: {from: 1, to: 64}, duration: 30s", Workers(1, 64), 30 * S),
        ("workers: 8, duration: 5s", Workers(8, 8), 5 * S),
    ],
)
def test_every_shape_of_load_is_built(written: str, shape: object, duration_ns: int) -> None:
    (phase,) = read(f"name: x\ntarget: {{endpoint: emulator}}\nphases: [{{name: a, {written}}}]\n").phases
    assert phase.shape == shape
    assert phase.duration_ns == duration_ns


def test_a_full_scenario_is_built_as_written() -> None:
    scenario = read(
        "name: x\ntarget: {endpoint: 'https://h:8443/', function: 'p:default:f', response: v1, log: {tail: 3%},\n"
        "  memory: 512MB, connections: fresh, timeout: {total: 5s}, tls: {verify: false}, preflight: false}\n"
        "phases: [{name: a, rate: 1/s, duration: 1s, arrivals: poisson, max_in_flight: 4, max_lag: 0s}]\n"
        "thresholds: [errors < 1%]\nsamples: 1%\nbudget: {invocations: 10, duration: 1m}\ntags: {team: a}\n"
        "event: {a: ü, n: 1e3}\n"
    )
    target = scenario.target
    assert isinstance(target, FunctionTarget)
    assert (target.endpoint, target.project_id, target.tail_share, target.memory_mb) == (
        "https://h:8443",
        "p",
        0.03,
        512,
    )
    assert (target.response, target.fresh_connections, target.preflight) == (ResponseVersion.V1, True, False)
    assert target.tls == Tls(False, None)
    (phase,) = scenario.phases
    assert (phase.arrivals, phase.max_in_flight, phase.max_lag_ns) == (Arrivals.POISSON, 4, 0)
    assert phase.grace_ns == 5 * S
    assert (scenario.sample_share, scenario.budget, scenario.tags) == (0.01, Budget(10, 60 * S), {"team": "a"})
    assert scenario.event == '{"a":"ü","n":1e3}'
    assert scenario.emulator is None


@pytest.mark.parametrize(("rest", "method", "event"), [("", "GET", ""), ("event: {a: 1}", "POST", '{"a":1}')])
def test_a_url_is_got_or_posted_to_as_there_is_an_event(rest: str, method: str, event: str) -> None:
    scenario = read(
        "name: x\ntarget: {url: 'http://h/', headers: {A: 5}}\n"
        f"phases: [{{name: a, rate: 1/s, duration: 1s}}]\n{rest}\n"
    )
    assert isinstance(scenario.target, HttpTarget)
    assert (scenario.target.method, scenario.target.headers, scenario.event) == (method, (("A", "5"),), event)


def test_versions_are_names_however_they_are_written_and_none_by_default() -> None:
    text = "name: x\nkind: cold-starts\ntarget: {endpoint: 'http://127.0.0.1:1', project_id: p, function: f}\n"
    plain, versioned = (
        read(text + block)
        for block in ("", "cold-starts: {induce: [config, version], versions: [1, 1.10, v2, '!prod']}\n")
    )
    assert plain.cold_starts is not None
    assert (plain.cold_starts.versions, changes(plain)) == ((), "")
    assert versioned.cold_starts is not None
    assert versioned.cold_starts.versions == ("1", "1.10", "v2", "!prod")
    assert changes(versioned) == "LOADGEN_RUN in its environment"


@pytest.mark.parametrize(("functions", "name"), [("", "hello"), ("other: {}", "other"), ("a: {}, hello: {}", "hello")])
def test_the_emulators_function_is_hello_or_the_only_one(functions: str, name: str) -> None:
    block = f"emulator: {{functions: {{{functions}}}}}\n" if functions else ""
    made = read(f"name: x\ntarget: {{endpoint: emulator}}\nphases: [{{name: a, rate: 1/s, duration: 1s}}]\n{block}")
    assert isinstance(made.target, FunctionTarget)
    assert made.target.function == name
