from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from loadgen.load.workers import Workers
from loadgen.scenario.load import load
from loadgen.scenario.schema import scenario_schema
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, TokenAuth
from loadgen.text import yaml
from loadgen.text.fault import ScenarioError

EXAMPLES = Path(__file__).parents[2] / "scenarios"


def document(text: str) -> Any:
    node, duplicates = yaml.parse(text, "s.yaml")
    assert node is not None
    assert not duplicates
    return yaml.data(node)


@cache
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(scenario_schema())
    return jsonschema.Draft202012Validator(scenario_schema())


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_fits_the_schema(path: Path) -> None:
    assert list(validator().iter_errors(document(path.read_text()))) == []


def test_the_schema_beside_the_examples_is_the_current_one() -> None:
    """When this fails, run: loadgen schema scenario > scenarios/scenario.schema.json."""
    assert json.loads((EXAMPLES / "scenario.schema.json").read_text()) == scenario_schema()


PLATFORM = "endpoint: 'https://h.example', function: hello"
PLAIN = "url: 'http://h/'"
EMULATED = "endpoint: emulator"
PHASE = "rate: 1/s, duration: 1s"
VALUES = [
    # (what is written, where, whether it is right)
    *((f"name: {name}", "top", right) for name, right in [
        ("hello", True), ("2024", True), ('"2024"', True), ("007", True), ("1e3", True), ("1.5", False), ("-5", False),
        ("true", False), ('"true"', True), ("on", True), ("null", False), ("${N:-2024}", True), ("'${N:-x}'", True),
        ("${N:-true}", True), ("[a]", False),
    ]),
    *((f"seed: {seed}", "top", right) for seed, right in [
        ("5", True), ("007", True), ("5.0", True), ("1e3", True), ("5.5", False), ("-1", False), ('"5"', False),
        ("true", False), ("five", False), ("${S:-5}", True), ('"${S:-5}"', True), ("'${S:-${T:-5}}'", True),
        ("$$5", False), ('"$${S}"', False),
    ]),
    *((f"samples: {share}", "top", right) for share, right in [
        ("1%", True), ("all", True), ("1", False), ("'${S:-1}%'", True), ("true", False),
    ]),
    *((f"tags: {{a: {tag}}}", "top", right) for tag, right in [
        ("x", True), ("5", True), ("1.50", True), ("-1", True), ("on", True), ("no", True), ("true", False),
        ("null", False), ("''", True), ("2024-01-02", True), ("'${T:-true}'", True), ("[x]", False),
    ]),
    *((f"thresholds: [{rule}]", "top", right) for rule, right in [
        ("latency.p99 < 250ms", True), ("5", False), ("latency", False), ('"errors < ${E:-1}%"', True),
    ]),
    *((f"budget: {{{budget}}}", "top", right) for budget, right in [
        ("invocations: 100", True), ("invocations: 1e2", True), ("invocations: '${B:-100}'", True),
        ("invocations: 0", False), ("duration: 5", False), ("duration: 5s", True), ("duration: '${D:-5}s'", True),
        ("in_flight: true", False),
    ]),
    *((f"{PLATFORM}, project_id: {project}", "target", right) for project, right in [
        ("123456", True), ("007", True), ('"007"', True), ("0123456789abcdef", True), ("1e5", True), ("1.50", True),
        ("-7", True), ("true", False), ("null", False), ("a/b", False), ("'${P:-007}'", True), ("[5]", False),
    ]),
    *((f"{PLATFORM}, project_id: p, auth: {{token: {token}}}", "target", right) for token, right in [
        ("12345", True), ("abc", True), ("a b", False), ("true", False), ("'${T:-null}'", True), ("1.5", True),
    ]),
    *((f"{PLATFORM}, project_id: p, {key}", "target", right) for key, right in [
        ("response: v0", True), ("response: 0", False), ("memory: 512MB", True), ("memory: 512", False),
        ("memory: '${M:-512}MB'", True), ("preflight: false", True), ("preflight: no", False), ("preflight: 0", False),
        ("preflight: 'false'", False), ("preflight: '${P:-false}'", True), ("log: {tail: 3%}", True),
        ("log: off", False), ("timeout: {total: 5s}", True), ("timeout: {total: 5}", False),
        ("timeout: {total: '${S:-5}s'}", True),
    ]),
    *((f"{PLAIN}, headers: {{X-A: {value}}}", "target", right) for value, right in [
        ("5", True), ("1.50", True), ("x", True), ("''", True), ("on", True), ("true", False), ("null", False),
        ("'${H:-5}'", True), ("{a: 1}", False),
    ]),
    *((f"url: {url}", "target", right) for url, right in [
        ("'http://h/a?b=c'", True), ("'http://h/{a}'", True), ("'http://h/{{}}'", False),
        ("'http://h/a b'", False), ("'http://h/é'", False), ("5", False), ("'${U:-http://h/}'", True),
    ]),
    *((f"{{name: a, {phase}}}", "phase", right) for phase, right in [
        ("workers: 5, duration: 1s", True), ("workers: '${W:-5}', duration: 1s", True),
        ("workers: 5.0, duration: 1s", True), ("workers: '5', duration: 1s", False),
        ("workers: 5.5, duration: 1s", False),
        ("workers: 0, duration: 1s", False), ("workers: {from: '${W:-1}', to: 2}, duration: 1s", True),
        ("rate: '${R:-200/s}', duration: '${D:-1s}'", True), ("rate: '${R:-200}/s', duration: 1s", True),
        ("rate: 200, duration: 1s", False), ("rate: 1/s, duration: 1s, warmup: off", False),
        ("rate: 1/s, duration: 1s, max_in_flight: '${M:-10}'", True),
        ("burst: {size: '${S:-5}', gap: 1s}", True),
    ]),
    *((f"emulator: {{{key}}}", "top", right) for key, right in [
        ("error_status: 500", True), ("error_status: 500.0", True), ("error_status: 501", False),
        ("error_status: '500'", False), ("error_status: '${E:-500}'", True), ("region: 7", True), ("region: -7", False),
        ("functions: {hello: {work: {sigma: 1}}}", True), ("functions: {hello: {work: {sigma: '${S:-0.5}'}}}", True),
        ("functions: {hello: {work: {sigma: '0.5'}}}", False), ("functions: {hello: {probe: '${P:-true}'}}", True),
        ("functions: {hello: {errors: 1}}", False),
    ]),
]  # fmt: skip


def placed(text: str, where: str) -> str:
    target = text if where == "target" else EMULATED
    phase = text if where == "phase" else f"{{name: a, {PHASE}}}"
    name = "" if text.startswith("name:") else "name: x\n"
    return f"{name}target: {{{target}}}\nphases: [{phase}]\n{text if where == 'top' else ''}\n"


@pytest.mark.parametrize(("text", "where", "right"), VALUES)
def test_check_and_schema_agree_on_every_way_to_write_a_value(text: str, where: str, right: bool) -> None:
    whole = placed(text, where)
    found = []
    try:
        load(whole, source="s.yaml", directory=Path(), environment={})
    except ScenarioError as error:
        found = [fault.render() for fault in error.faults]
    assert (not found) is right, found
    assert (not list(validator().iter_errors(document(whole)))) is right


def test_what_is_text_stays_as_it_is_written_and_a_number_from_the_environment_is_one() -> None:
    target = f"{PLATFORM}, project_id: 007, auth: {{token: '${{T}}'}}"
    phases = "[{name: 1e3, workers: '${W}', duration: '${N}s'}]"
    text = f"name: 2024\ntarget: {{{target}}}\nphases: {phases}\ntags: {{a: 1.50, b: '${{W}}', c: '${{T}}'}}\n"
    made = load(text, source="s.yaml", directory=Path(), environment={"T": "true", "W": "05", "N": "2"}).scenario
    assert (made.name, made.phases[0].name) == ("2024", "1e3")
    assert made.phases[0].shape == Workers(5, 5)
    assert isinstance(made.target, FunctionTarget)
    assert (made.target.project_id, made.target.auth) == ("007", TokenAuth("true"))
    assert made.tags == {"a": "1.50", "b": "05", "c": "true"}


def test_an_event_tells_quoted_references_from_others() -> None:
    text = "name: x\ntarget: {endpoint: emulator}\nphases: [{name: a, workers: 1, duration: 1s}]\nevent:\n"
    made = load(text + "  a: ${N}\n  b: '${N}'\n", source="s.yaml", directory=Path(), environment={"N": "5"})
    assert made.scenario.event == '{"a":5,"b":"5"}'


GOOD = "name: x\ntarget: {endpoint: emulator, project_id: p}\nphases: [{name: a, rate: 1/s, duration: 1s}]\n"


@pytest.mark.parametrize("change", ["", "seed: ${SEED:-1}\n", "samples: 1%\n", "event: {a: [{b: null}]}\n"])
def test_good_files_fit_the_schema(change: str) -> None:
    assert list(validator().iter_errors(document(GOOD + change))) == []


def test_any_single_value_may_come_from_the_environment() -> None:
    text = (
        GOOD.replace("1/s", "'${RATE}'").replace("1s", "'${LENGTH:-5s}'").replace("project_id: p", "memory: '${MB}MB'")
    )
    assert list(validator().iter_errors(document(text))) == []


@pytest.mark.parametrize(
    "bad",
    [
        "name: x\n",
        GOOD + "sed: 1\n",
        GOOD + "seed: x\n",
        GOOD.replace("1/s", "50 / sec"),
        GOOD.replace("1/s", "50"),
        GOOD.replace("1s", "10"),
        GOOD.replace("project_id: p", "memory: 500MB"),
        GOOD.replace("rate: 1/s", "workers: 0"),
        GOOD.replace("rate: 1/s", "rate: {form: 1/s, to: 2/s}"),
        GOOD.replace("name: a", "name: a b"),
        GOOD.replace("emulator,", "functiongraph,"),
        GOOD + "emulator: {functions: {hello: {cold_start: r9}}}\n",
    ],
)
def test_bad_files_do_not_fit_the_schema(bad: str) -> None:
    assert list(validator().iter_errors(document(bad)))
