"""Where ``{{field}}`` may be written, and what a feeder's rows may hold for it: decided when a scenario is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.scenario.load import Loaded, load
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.secret import sent
from loadgen.text.fault import ScenarioError
from loadgen.text.secret import Secrets

ROWS = "id,token\n1,PLANTED-row-1\n2,PLANTED-row-2\n"
TARGET = "{url: http://h/}"


def read(tmp_path: Path, *, target: str = TARGET, rest: str = "", rows: str = ROWS, name: str = "u.csv") -> Loaded:
    (tmp_path / name).write_text(rows)
    text = f"name: x\ntarget: {target}\nphases: [{{name: a, rate: 1/s, duration: 1s}}]\n{rest}\n"
    return load(text, source="s.yaml", directory=tmp_path, environment={"PW": "a{{b}}c"})


def refused(tmp_path: Path, **written: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, **written)
    assert len(caught.value.faults) == 1, str(caught.value)
    return str(caught.value)


FED = "feeder: {file: u.csv}"
HEADER = 'the field "id" cannot be put into target.headers.X-A'
FUNCTION = "endpoint: 'https://h.example', project_id: p, function: f"


@pytest.mark.parametrize(
    "target",
    [
        '{url: "http://h/users/{{id}}?t={{ token }}"}',
        '{url: "http://h?{{id}}"}',
        '{url: "http://h/", headers: {X-A: "<{{id}}>", Host: "{{id}}.example"}}',
        '{url: "http://h/", method: GET, headers: {Authorization: "Bearer {{token}}"}, insecure_auth: true}',
    ],
)
def test_fields_are_filled_into_url_and_headers_without_an_event(tmp_path: Path, target: str) -> None:
    scenario = read(tmp_path, target=target, rest=FED).scenario
    assert isinstance(scenario.target, HttpTarget)
    assert scenario.event == ""


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ('{url: "http://h/{{id}}"}', "s.yaml:2:15: target.url: {{id}} needs a feeder"),
        ('{url: "http://h/", headers: {X-A: "{{id}}"}}', "target.headers.X-A: {{id}} needs a feeder"),
    ],
)
def test_a_placeholder_needs_a_feeder_wherever_it_is(tmp_path: Path, target: str, message: str) -> None:
    assert message in refused(tmp_path, target=target)


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ('{url: "http://h/{{nope}}"}', "target.url"),
        ('{url: "http://h/", headers: {X-A: "{{nope}}"}}', "target.headers.X-A"),
    ],
)
def test_a_field_that_the_rows_do_not_have_is_named_with_its_place(tmp_path: Path, target: str, where: str) -> None:
    message = refused(tmp_path, target=target, rest=FED)
    assert f'u.csv:2:1: no field "nope", which {where} uses; the row has 2 fields' in message


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ('{url: "http://{{id}}/"}', "target.url: got"),
        ('{url: "http://{{id}}"}', "expected placeholders in the path and the query only"),
        ('{url: "http://a.{{id}}.b/x"}', "expected placeholders in the path and the query only"),
        ('{url: "http://h:{{id}}/"}', "expected placeholders in the path and the query only"),
        ('{url: "{{id}}://h/"}', "target.url: got"),
        ('{url: "http{{id}}://h/"}', "target.url: got"),
        ('{url: "{{id}}"}', "target.url: got"),
        ('{url: "http://{{id}}@h/"}', "expected placeholders in the path and the query only"),
        ('{url: "http://h/", method: "{{id}}"}', "target.method: got"),
        ('{url: "http://h/", headers: {"{{id}}": x}}', "target.headers.{{id}}: got the header name"),
        ('{url: "http://h/", tls: {ca: "{{id}}"}}', "target.tls.ca: "),
        ("{endpoint: 'https://{{id}}.example', project_id: p, function: f}", "target.endpoint: {{id}} would not be"),
        ("{endpoint: 'https://h.example', project_id: 'p{{id}}', function: f}", "target.project_id: {{id}} would not"),
        ("{endpoint: 'https://h.example', project_id: p, function: '{{id}}'}", "target.function: {{id}} would not be"),
        (f"{{{FUNCTION}, auth: {{token: '{{{{id}}}}'}}}}", "target.auth.token: {{id}} would not be filled in here"),
        (
            f"{{{FUNCTION}, auth: {{iam: {{username: '{{{{id}}}}', password: p, domain: d, url: 'https://i'}}}}}}",
            "filled",
        ),
    ],
)
def test_where_a_placeholder_would_not_be_filled_it_is_refused(tmp_path: Path, target: str, message: str) -> None:
    found = refused(tmp_path, target=target, rest=FED)
    assert found.startswith("s.yaml:2:")
    assert message in found


@pytest.mark.parametrize(
    "rest",
    [
        'thresholds: ["{{id}}"]',
        'tags: "{{id}}"',
        'samples: "{{id}}"',
        'event_file: "{{id}}.json"',
        'seed: "{{id}}"',
    ],
)
def test_outside_of_the_target_too(tmp_path: Path, rest: str) -> None:
    assert "s.yaml:4:" in refused(tmp_path, rest=rest)


def test_tags_are_free_text_and_a_secret_from_the_environment_is_no_template(tmp_path: Path) -> None:
    made = read(tmp_path, target=f"{{{FUNCTION}, auth: {{token: '${{PW}}'}}}}", rest='tags: {a: "{{id}}"}')
    assert made.scenario.tags == {"a": "{{id}}"}


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        (
            "u.csv",
            'id\n1\n"a\r\nX-Evil: 1"\n',
            f"u.csv:3:1: {HEADER}: got the character U+000D, expected printable ASCII",
        ),
        ("u.csv", 'id\n"a\nb"\n', "got the character U+000A"),
        ("u.csv", "id\nü\n", "got the character U+00FC"),
        ("u.jsonl", '{"id": "a\\u0000"}', f"u.jsonl:1:1: {HEADER}: got the character U+0000"),
        ("u.jsonl", '{"id": 1}\n\n{"id": null}', f"u.jsonl:3:1: {HEADER}: got null, expected text, a number, true or"),
        ("u.jsonl", '{"id": [1]}', "got a list, expected text"),
        ("u.jsonl", '{"id": {"a": 1}}', "got an object, expected text"),
    ],
)
def test_a_row_that_cannot_stand_in_a_header_is_found_before_the_load(
    tmp_path: Path, name: str, rows: str, message: str
) -> None:
    target = '{url: "http://h/", headers: {X-A: "{{id}}"}}'
    found = refused(tmp_path, target=target, rest=f"feeder: {{file: {name}}}", rows=rows, name=name)
    assert message in found
    assert "Evil" not in found


@pytest.mark.parametrize("value", ["null", "[1]", '{"a": 1}'])
def test_what_has_no_obvious_text_cannot_stand_in_a_url_but_in_an_event(tmp_path: Path, value: str) -> None:
    written = {"rest": "feeder: {file: u.jsonl}", "rows": f'{{"id": {value}}}', "name": "u.jsonl"}
    assert "cannot be put into target.url: got" in refused(tmp_path, target='{url: "http://h/{{id}}"}', **written)
    written["rest"] += '\nevent: {a: "{{id}} {{id}}"}'
    assert read(tmp_path, **written).scenario.feeder


def test_a_header_that_a_feeder_fills_is_written_with_its_placeholder_and_loads_again(tmp_path: Path) -> None:
    headers = '{Authorization: "Bearer {{token}}", X-Api-Key: "PLANTED-{{id}}", Accept: "{{id}}"}'
    made = read(tmp_path, target=f'{{url: "https://h/", headers: {headers}}}', rest=FED)
    shown = {"Authorization": "Bearer {{token}}", "X-Api-Key": "***{{id}}", "Accept": "{{id}}"}
    assert made.document["target"]["headers"] == shown
    again = load(made.as_run, source="s.yaml", directory=tmp_path, environment={})
    assert again.document == made.document
    assert again.scenario.sha256 == made.scenario.sha256
    assert "PLANTED" not in f"{made!r} {made.as_run}"


def test_what_rows_put_into_secret_headers_is_hidden_however_many_and_escaped(tmp_path: Path) -> None:
    rows = "id,token\n" + "".join(f"{n},PLANTED/common-beginning/{n:05}\n" for n in range(20_000)) + "x,tok5\ny,tok55\n"
    headers = '{Authorization: "Bearer {{token}}", Accept: "{{id}}"}'
    made = read(tmp_path, target=f'{{url: "https://h/", headers: {headers}}}', rest=FED, rows=rows)
    secrets = Secrets(sent(made.scenario.target), made.fed_secrets)
    token = "PLANTED/common-beginning/07321"
    for said in (token, token.replace("/", "%2F"), token.replace("/", "\\/"), token.replace("/", "&#47;")):
        assert secrets.hide(f"bad token: '{said}' of 12345") == "bad token: '***' of 12345"
    assert secrets.hide(f"cut off: {token[:20]}") == "cut off: ***"
    assert secrets.hide("brief: tok5, tok55") == "brief: ***, ***"
