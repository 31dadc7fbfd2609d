from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from loadgen.scenario.load import Loaded, load, load_emulator, load_emulator_file, load_file
from loadgen.scenario.model import Scenario
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, TokenAuth
from loadgen.targets.http.target import HttpTarget
from loadgen.text import yaml
from loadgen.text.fault import Fault, ScenarioError
from tests.examples import fewer

MINIMAL = """\
name: minimal
target: {endpoint: emulator, function: hello}
phases:
  - {name: steady, rate: 10/s, duration: 2s}
"""

FAULTY = """\
name: warm latency
seed: abc
target:
  endpoint: emulator
  project_id: a/b
  function: hello
  memory: 500MB
  auth: {token: "${NOPE}"}
  metod: GET
phases:
  - {name: warm-up, workers: 8, duration: 5s, warmup: true, arrivals: poisson}
  - {name: steady, rate: 50 / sec, duration: 10, workers: 3}
  - {name: steady, rate: {from: 0/s, to: 0/s}, duration: 0s}
thresholds: [latency.p99 < 250ms, errrs < 1%, "nope:errors < 1%", "warm-up:errors < 1%"]
budget: {cost: 0.50 CNY}
name: again
"""


def read(text: str, directory: Path = Path(), **environment: str) -> Loaded:
    return load(text, source="s.yaml", directory=directory, environment=environment)


def refused(text: str, directory: Path = Path(), **environment: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        read(text, directory, **environment)
    return str(caught.value)


def test_every_fault_is_shown_at_once(snapshot: SnapshotAssertion) -> None:
    assert refused(FAULTY) == snapshot


def test_options_come_before_variables_and_variables_before_validation() -> None:
    loaded = load(
        MINIMAL,
        source="s.yaml",
        directory=Path(),
        environment={"SEED": "7"},
        overrides=["seed=${SEED}", "phases.0.duration=3s"],
    )
    assert loaded.scenario.seed == 7
    assert loaded.scenario.phases[0].duration_ns == 3 * 10**9
    assert loaded.document["seed"] == 7


def test_a_fault_in_an_option_names_the_option() -> None:
    with pytest.raises(ScenarioError) as caught:
        load(MINIMAL, source="s.yaml", directory=Path(), environment={}, overrides=["phases.0.rate=50", "no.such=1"])
    assert "--set phases.0.rate: phases[0].rate: got 50, expected a number per unit" in str(caught.value)
    assert "--set no.such: no: unknown key" in str(caught.value)


def test_rules_of_upper_layers_are_located_like_all_others() -> None:
    def check(scenario: Scenario) -> Iterator[tuple[tuple[str, ...], str]]:
        yield ("target", "function"), f"no {scenario.name}"

    with pytest.raises(ScenarioError) as caught:
        load(MINIMAL, source="s.yaml", directory=Path(), environment={}, checks=[check])
    assert str(caught.value).startswith("s.yaml:2:40: target.function: no minimal\n")


def test_rules_of_upper_layers_are_asked_even_when_other_parts_are_faulty() -> None:
    def check(scenario: Scenario) -> Iterator[tuple[tuple[str, ...], str]]:
        yield ("target", "function"), "bad urn"

    with pytest.raises(ScenarioError) as caught:
        load(MINIMAL.replace("10/s", "10"), source="s.yaml", directory=Path(), environment={}, checks=[check])
    assert [fault.path for fault in caught.value.faults] == [("target", "function"), ("phases", 0, "rate")]


SECRETS = """\
name: secrets
target:
  endpoint: https://example.com
  project_id: ${PROJECT}
  function: hello
  auth: {token: TOKEN}
phases: [{name: a, workers: 1, duration: 1s}]
tags: {price: 5$$, id: 0123}
"""


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("literal-s3cret", "***"),
        ("${T}", "${T}"),
        ("${U:-literal-s3cret}", "${U}"),
        ("${U:-${T}}", "${U:-${T}}"),
        ("${U:-${V:-literal-s3cret}}", "${U:-${V}}"),
        ("${U:-literal-${V:-s3cret}}", "${U:-***${V}}"),
    ],
)
def test_secrets_are_sent_but_never_written(token: str, shown: str) -> None:
    text = SECRETS.replace("TOKEN", f'"{token}"')
    loaded = read(text, PROJECT="0123456789", T="literal-s3cret")
    assert isinstance(loaded.scenario.target, FunctionTarget)
    assert loaded.scenario.target.auth == TokenAuth("literal-s3cret")
    assert loaded.scenario.target.project_id == "0123456789"
    assert "s3cret" not in f"{loaded.document} {loaded.as_run}"
    assert loaded.document["target"]["auth"] == {"token": shown}
    again = read(loaded.as_run, T="x", U="x", V="x")
    assert again.document == loaded.document
    assert again.scenario.sha256 == loaded.scenario.sha256
    assert loaded.document["tags"] == {"price": "5$", "id": "0123"}


def test_a_secret_is_not_shown_in_a_message_either() -> None:
    text = SECRETS.replace("TOKEN", '"${T}"')
    assert "s3 cret" not in refused(text, PROJECT="p", T="s3 cret")
    assert "s3 cret" not in refused(SECRETS.replace("TOKEN", '"s3 cret"'), PROJECT="p")
    for token in ("s3cret", "${T:-s3cret}", "${T:-${U:-s3cret}}"):
        beside = SECRETS.replace("TOKEN", f'"{token}", tokn: x')
        assert "s3cret" not in refused(beside, PROJECT="p")


def test_headers_whose_names_say_so_are_secret() -> None:
    loaded = read(
        "name: h\ntarget:\n  url: http://localhost/\n"
        "  headers: {Authorization: 'Bearer ${T}', X-Api-Key: k1, Accept: '*/*'}\n"
        "phases: [{name: a, workers: 1, duration: 1s}]\n",
        T="s3cret",
    )
    assert isinstance(loaded.scenario.target, HttpTarget)
    assert loaded.scenario.target.headers[0] == ("Authorization", "Bearer s3cret")
    shown = {"Authorization": "Bearer ${T}", "X-Api-Key": "***", "Accept": "*/*"}
    assert loaded.document["target"]["headers"] == shown


def test_the_fingerprint_is_of_what_runs_not_of_how_it_is_written(tmp_path: Path) -> None:
    same = read("# comment\n" + MINIMAL.replace("10/s", '"10/s"') + "seed: 1\n")
    assert same.scenario.sha256 == read(MINIMAL, tmp_path).scenario.sha256
    assert same.scenario.sha256 != read(MINIMAL + "seed: 2\n").scenario.sha256


def test_the_fingerprint_covers_the_rows_of_a_feeder_not_their_place(tmp_path: Path) -> None:
    prints = []
    for name, rows in (("a", "u\n1\n"), ("b", "u\n1\n"), ("c", "u\n2\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "u.csv").write_text(rows)
        text = MINIMAL + 'event: {u: "{{u}}"}\nfeeder: {file: u.csv}\n'
        prints.append(read(text, tmp_path / name).scenario.sha256)
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [("u.csv", "u\n1\n\n2\n", 2), ("u.csv", 'u\n"a\nb"\n', 1), ("u.jsonl", '{"u": 1}\n{"u": 2}\n\n{"u": 3}', 3)],
)
def test_the_number_of_a_feeders_rows_is_known(tmp_path: Path, name: str, text: str, rows: int) -> None:
    (tmp_path / name).write_text(text)
    for event in ("", 'event: {u: "{{u}}"}\n'):
        feeder = read(MINIMAL + event + f"feeder: {{file: {name}}}\n", tmp_path).scenario.feeder
        assert feeder is not None
        assert feeder.rows == rows


def test_an_event_with_placeholders_needs_a_feeder_with_these_fields(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("user\n1\n")
    event = 'event: {a: ["x {{user}} {{nope}}"]}\n'
    assert "s.yaml:5:13: event.a[0]: {{user}} needs a feeder" in refused(MINIMAL + event)
    assert 'no field "nope", which the event uses; the row has 1 fields' in refused(
        MINIMAL + event + "feeder: {file: u.csv}\n", tmp_path
    )
    assert "s.yaml:6:16: feeder.file: there is no file" in refused(
        MINIMAL + event + "feeder: {file: v.csv}\n", tmp_path
    )
    assert "event.{{user}}: got a placeholder in a key" in refused(MINIMAL + 'event: {"{{user}}": 1}\n')


def test_an_event_file_is_json_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text('{"a": 1.0,\n "b": [null]}')
    text = MINIMAL + "event_file: e.json\n"
    assert read(text, tmp_path).scenario.event == '{"a":1.0,"b":[null]}'
    (tmp_path / "e.json").write_text('{"a": 1,\n "b": }')
    assert "e.json:2:7: this is not JSON" in refused(text, tmp_path)
    (tmp_path / "e.json").write_text("[1]")
    assert "e.json:1:1: expected a JSON object" in refused(text, tmp_path)
    assert "event_file: event is written too" in refused(text + "event: {a: 1}\n", tmp_path)
    assert "event_file: there is no file" in refused(MINIMAL + "event_file: none.json\n", tmp_path)


@pytest.mark.parametrize("number", ["12345678901234567.89", "0.1000000000000000055511", "1e-400", "1.10", "1E+3"])
def test_a_number_keeps_its_digits_in_an_event_and_in_the_file_of_one(tmp_path: Path, number: str) -> None:
    assert read(MINIMAL + f"event: {{a: [{number}]}}\n").scenario.event == f'{{"a":[{number}]}}'
    (tmp_path / "e.json").write_text(f'{{"a": [ {number} ], "b": 1.0, "c": 1e3}}')
    event = read(MINIMAL + "event_file: e.json\n", tmp_path).scenario.event
    assert event == f'{{"a":[{number}],"b":1.0,"c":1e3}}'


def test_a_number_that_json_writes_otherwise_keeps_its_value() -> None:
    event = "event: {a: +1, b: -.5, c: 010, d: 5., e: 000, f: -0, g: 1.e3, h: '1', i: true}\n"
    assert read(MINIMAL + event).scenario.event == (
        '{"a":1,"b":-0.5,"c":10,"d":5.0,"e":0,"f":-0,"g":1.0e3,"h":"1","i":true}'
    )


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_an_event_that_could_not_be_sent_is_refused(tmp_path: Path, method: str) -> None:
    (tmp_path / "e.json").write_text("{}")
    plain = MINIMAL.replace("{endpoint: emulator, function: hello}", f'{{url: "http://h/", method: {method}}}')
    for key, value in (("event", "{}"), ("event_file", "e.json")):
        assert f"{key}: a {method} request has no body" in refused(plain + f"{key}: {value}\n", tmp_path)
    assert read(plain).scenario.event == ""


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_every_other_method_takes_an_event(method: str) -> None:
    plain = MINIMAL.replace("{endpoint: emulator, function: hello}", f'{{url: "http://h/", method: {method}}}')
    assert read(plain + "event: {a: 1}\n").scenario.event == '{"a":1}'


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "cannot read this file: No such file or directory"),
        (b"", "got nothing, expected a mapping"),
        (b"# only a comment\n", "got nothing, expected a mapping"),
        (b"- a\n", "got a single value or a list, expected a mapping"),
        (b"just text", "expected a mapping"),
        (b"name: a\nseed: \xff\xfe", ":2:7: got the byte 0xff, expected UTF-8 text"),
        (b"name: \x00", ":1:7: got the character U+0000"),
        (b"# " + b"x" * (1 << 20), "more than 1 MiB"),
    ],
)
def test_what_is_no_scenario_file_is_refused_clearly(tmp_path: Path, raw: bytes | None, message: str) -> None:
    path = tmp_path / "s.yaml"
    if raw is not None:
        path.write_bytes(raw)
    with pytest.raises(ScenarioError) as caught:
        load_file(path, environment={})
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_directory_is_no_scenario_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot read this file: Is a directory"):
        load_file(tmp_path, environment={})


def test_files_are_found_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("user\n1\n")
    (tmp_path / "s.yaml").write_text("\ufeff" + MINIMAL + 'event: {u: "{{user}}"}\nfeeder: {file: u.csv}\n')
    feeder = load_file(tmp_path / "s.yaml", environment={}).scenario.feeder
    assert feeder is not None
    assert feeder.path == str(tmp_path / "u.csv")


def test_an_emulator_file_holds_the_block_alone(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("emulator: {keep_alive: 5s, functions: {f: {errors: 1%}}}\n")
    found = load_emulator_file(tmp_path / "e.yaml", environment={}, seed=3)
    assert (found.seed, found.keep_alive_ns) == (3, 5 * 10**9)
    assert [(f.name, f.errors) for f in found.functions] == [("f", 0.01)]
    with pytest.raises(ScenarioError, match=r"(?s)emulator.auth: got .token., expected one of.*name: unknown key"):
        load_emulator("emulator: {auth: token}\nname: x\n", source="e.yaml", environment={})
    with pytest.raises(ScenarioError, match="emulator is missing"):
        load_emulator("{}", source="e.yaml", environment={})


SCRAPS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(
        [None, True, 0, 1, -1, 1.5, "", "5s", "10/s", "0/s", "x", "3%", "emulator", "none", "512MB", "{{a}}"]
    ),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["name", "rate", "workers", "burst", "duration", "from", "to", "steps", "gap", "size", "tail"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)
KEYS = [
    "name",
    "seed",
    "kind",
    "target",
    "event",
    "feeder",
    "phases",
    "thresholds",
    "samples",
    "budget",
    "tags",
    "emulator",
]


@given(st.dictionaries(st.sampled_from(KEYS), SCRAPS | st.lists(SCRAPS, max_size=2), max_size=8))
@fewer(5)
def test_any_document_is_a_scenario_or_located_faults(document: dict[str, Any]) -> None:
    faults: tuple[Fault, ...] = ()
    try:
        read(yaml.dump(document))
    except ScenarioError as error:
        faults = error.faults
    assert all(fault.line for fault in faults)


@pytest.mark.parametrize(
    "target",
    [
        '{endpoint: emulator, function: hello, auth: "${TOKEN}"}',
        "{endpoint: emulator, function: hello, auth: s3cret}",
        "{endpoint: emulator, function: hello, auth: [s3cret]}",
        "{endpoint: emulator, function: hello, auth: {tokn: s3cret}}",
        "{endpoint: emulator, function: hello, token: s3cret}",
        "{endpoint: emulator, functoin: hello, auth: {token: s3cret}}",
        '{url: "http://h/", headers: "Authorization: s3cret"}',
        '{url: "http://user:s3cret@h/"}',
        '{url: "http://user:s3cret@h/é"}',
    ],
)
def test_a_message_about_a_misplaced_secret_does_not_show_it(target: str) -> None:
    message = refused(MINIMAL.replace("{endpoint: emulator, function: hello}", target), TOKEN="s3cret")
    assert "s.yaml:2" in message
    assert "s3cret" not in message


def test_a_message_sends_no_commands_to_the_terminal() -> None:
    assert r"\x1b[31m: unknown key" in refused(MINIMAL + '"\\e[31m": 1\n')


def test_an_event_file_that_never_ends_is_refused() -> None:
    assert "cannot read /dev/zero: it is a device, no regular file" in refused(MINIMAL + "event_file: /dev/zero\n")
