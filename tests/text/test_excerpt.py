"""What a message shows of a scenario never has its secrets in it, whatever is wrong with the text."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.load import load, load_emulator
from loadgen.text.excerpt import blanked, literals, resembles_key
from loadgen.text.fault import ScenarioError

SECRET = "PLANTED"
HEAD = "name: x\nphases: [{name: s, workers: 1, duration: 1s}]\n"
FUNCTION = "target: {endpoint: 'https://fg.example', project_id: p, function: f, "


def refused(text: str, *overrides: str, **environment: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(text, source="s.yaml", directory=Path(), environment=environment, overrides=overrides)
    return str(caught.value)


BROKEN = {
    "the fault of the page": FUNCTION + 'auth: {token: "PLANTED" x: 1}}',
    "no colon": FUNCTION + "auth: {token PLANTED}}",
    "no blank": FUNCTION + "auth: {token:PLANTED}}",
    "equals": FUNCTION + "auth: {token=PLANTED}}",
    "no braces": FUNCTION + "auth: token: PLANTED}",
    "text": FUNCTION + "auth: 'token PLANTED'}",
    "a list": FUNCTION + "auth: [PLANTED, PLANTED]}",
    "quotes that do not end": FUNCTION + 'auth: {token: "PLANTED}}\nx: PLANTED',
    "a quote within": FUNCTION + 'auth: {token: "a"PLANTED"}}',
    "a brace within": FUNCTION + "auth: {token: a}PLANTED, x: 1}}",
    "a comma within": FUNCTION + "auth: {token: a,PLANTED}}",
    "several lines": FUNCTION + "auth: {\n  token:\n    PLANTED,\n  secret_key:: PLANTED\n  PLANTED\n}}",
    "block scalar": "target:\n  auth:\n    token: |\n      PLANTED\n     PLANTED\n   PLANTED\n",
    "plain lines": "target:\n  auth:\n    token: PLANTED\n      PLANTED: x\n      - PLANTED\n",
    "tab": "target:\n  auth:\n\ttoken: PLANTED\n",
    "tab behind": "target:\n  auth:\n    token:\tPLANTED\n\tx: 1\n",
    "twice": FUNCTION + "auth: {token: PLANTED, token: PLANTED}}",
    "two kinds": FUNCTION + "auth: {token: PLANTED, access_key: PLANTED, iam: 5}}",
    "unknown key": FUNCTION + "auth: {tokn: PLANTED}}",
    "unknown key beside": FUNCTION + "auth: {token: PLANTED}, tmeout: 5}",
    "an unknown key that is one": FUNCTION + "auth: {PLANTED: 1}}",
    "anchor": FUNCTION + "auth: {token: *PLANTED}}",
    "tag": FUNCTION + "auth: {token: !PLANTED x}}",
    "long number": FUNCTION + "auth: {token: " + "7" * 150 + "}}",
    "control": FUNCTION + 'auth: {token: "PLANTED\x01"}}',
    "half a pair": FUNCTION + 'auth: {token: "PLANTED\\ud800"}}',
    "blank within": FUNCTION + "auth: {token: PLANTED PLANTED}}",
    "default": FUNCTION + 'auth: {token: "${NOPE:-PLANTED"}}',
    "keys": FUNCTION + "auth: {access_key: PLANTED, secret_key: [PLANTED]}}",
    "password": FUNCTION + "auth: {iam: {username: PLANTED, password: PLANTED: x}}}",
    "private key": "target:\n  tls:\n    kez: |\n      -----BEGIN PRIVATE KEY-----\n      PLANTED\n     PLANTED\n",
    "private key on a line": "target: {tls: {key: '-----BEGIN EC PRIVATE KEY-----PLANTED-----END' x}}",
    "header": "target: {url: 'https://h/', headers: {Authorization: Bearer PLANTED: x}}",
    "header lines": "target:\n  url: https://h/\n  headers:\n    X-Api-Key: PLANTED\n     PLANTED\n    x\n",
    "header without": "target: {url: 'https://h/', headers: {Authorization 'Bearer PLANTED'}}",
    "header without quotes": "target: {url: 'https://h/', headers: {Authorization Bearer PLANTED}}",
    "header key": "target: {url: 'https://h/', headers: {Key: PLANTED, X-A: [1]}}",
    "cookie": "target: {url: 'https://h/', headers: {Cookie: \"a=PLANTED; b\" PLANTED}}",
    "URL": "target: {url: https://u:PLANTED@h/ x: 1}",
    "URL with a slash": "target: {url: 'https://u:PLA/PLANTED@h/', method: GO}",
    "URL in the wrong place": "target: {endpoint: 'https://u:PLANTED@h/', project_id: p, function: f}",
    "wrong place": "target: {endpoint: 'token=PLANTED-1', project_id: p, function: f}",
    "at the top": "token: PLANTED\ntarget: {endpoint: emulator, function: f\n",
    "beside": FUNCTION + "auth: {token: PLANTED}, timeout: {total: 5 parsecs}}",
    "emulator": "target: {endpoint: emulator, function: f}\n"
    "emulator: {account: {password: PLANTED, secret_key: [PLANTED]}}",
    "windows": FUNCTION + "auth:\r\n {token: PLANTED\r\n x: PLANTED}}\r\n",
}


@pytest.mark.parametrize("target", BROKEN.values(), ids=BROKEN)
def test_no_fault_shows_what_is_under_a_secret_key(target: str) -> None:
    message = refused(HEAD + target + "\n")
    assert SECRET not in message
    assert "777777" not in message


@pytest.mark.parametrize(
    "options",
    [
        ["target.auth.token:PLANTED"],
        ["target.auth.token PLANTED"],
        ["target.auth.token={PLANTED"],
        ["target.auth.token=[PLANTED]"],
        ['target.auth={token: "PLANTED" x: 1}'],
        ["target.auth={token PLANTED}"],
        ["target.auth.token=!PLANTED x"],
        ["target.auth.token=*PLANTED"],
        ["target.auth.token=PLANTED", "target.auth.token.x=PLANTED"],
        ["target.auth=token PLANTED"],
        ["target.auth.token=" + "7" * 150],
        ["target.endpoint=https://u:PLANTED@h"],
    ],
)
def test_no_fault_shows_a_secret_of_an_option(options: list[str]) -> None:
    message = refused(HEAD + FUNCTION + "auth: none}\n", *options)
    assert SECRET not in message
    assert "777777" not in message
    assert "--set" in message or "target" in message


def test_the_caret_still_points_at_what_is_wrong_and_what_is_no_secret_is_shown() -> None:
    line = 'target: {endpoint: emulator, function: f, auth: {token: "PLANTED-secret" x: 1}}'
    first, excerpt, caret = refused(HEAD + line).splitlines()
    column = line.index(" x: 1") + 2
    assert first.startswith(f"s.yaml:3:{column}: this is not YAML: while parsing a flow mapping")
    assert excerpt.endswith('function: f, auth: {token: "*************** ** *}}')
    shown_from = line.index("target") if len(line) <= 100 else None
    assert shown_from == 0
    assert caret.index("^") - caret.index("|") - 2 == column - 1


def test_a_fault_beside_a_secret_shows_its_line() -> None:
    message = refused(HEAD + "target: {endpoint: emulator, function: f, auth: {token: PLANTED}, tmeout: 5}\n")
    assert "auth: {token: *******}, tmeout: 5}" in message
    assert "target.tmeout: unknown key, did you mean timeout?" in message


def test_a_misspelt_key_is_named_and_a_secret_in_its_place_is_not() -> None:
    assert "target.auth.tokn: unknown key, did you mean token?" in refused(HEAD + FUNCTION + "auth: {tokn: x}}")
    assert "target.auth.***: unknown key" in refused(HEAD + FUNCTION + "auth: {hunter: x}}")
    assert resembles_key("acces_key")
    assert not resembles_key("token:ab")


def test_references_to_the_environment_are_shown() -> None:
    message = refused(HEAD + FUNCTION + 'auth: {token: "${NOPE}"}}')
    assert 'auth: {token: "${NOPE}"}' in message
    assert "inside { } and [ ] write" in refused(HEAD + FUNCTION + "auth: {token: ${NOPE}}}")


def test_the_emulators_file_is_held_to_the_same() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_emulator("emulator: {account: {password: PLANTED: x}}", source="e.yaml", environment={})
    assert SECRET not in str(caught.value)


def test_what_is_no_secret_stays() -> None:
    text = "name: x\n# a note\ntags: {team: blue}\nevent: {key: 1, monkeys: 2}\ntarget: {auth: environment}\n"
    assert blanked(text) == text


@given(st.text(alphabet="auth:token {}[]\"'\n\t,=#-|@/x${}", max_size=80))
def test_every_character_that_is_shown_stands_where_it_stood(text: str) -> None:
    shown = blanked(text)
    assert len(shown) == len(text)
    assert all(a in (b, "*") and (a == b or not b.isspace()) for a, b in zip(shown, text, strict=True))


@given(
    st.sampled_from(
        ["auth: {{token: {0}}}", "password: {0}", "auth:\n  token: {0}\n", 'a: {{x: 1, secret_key: "{0}"}}']
    ),
    st.text(alphabet="ABCDEFGH{[:#|/+= ", min_size=1, max_size=20),
)
def test_no_part_of_a_secret_on_one_line_is_shown_whatever_is_in_it(form: str, secret: str) -> None:
    assert not set("ABCDEFGH") & set(blanked(form.format(secret)))


DENSE = {
    "one run": "token",
    "runs": "token ",
    "keys": "token: x\n",
    "keys without values": "token:\n",
    "keys on one line": 'token "a", ',
    "quotes": "\"'",
    "quotes that do not end": "token: '\"",
    "slashes": "/",
    "users": "//a@",
    "references": "${a",
    "brackets": "token: {a: [",
    "blanks": " ",
    "lines": "token: |\n  ",
    "dots": "auth.",
}


@pytest.mark.parametrize("before", ["", "token: x", "token: {a: '", 'x: "'])
@pytest.mark.parametrize("part", DENSE.values(), ids=DENSE)
def test_the_time_is_linear_whatever_the_text(part: str, before: str) -> None:
    text = (before + part * (1 << 18))[: 1 << 18]
    began = time.process_time()
    shown = blanked(text)
    literals(text)
    assert time.process_time() - began < 2, "a quarter of a second; what is quadratic takes minutes"
    assert len(shown) == len(text)


def test_the_largest_scenario_of_one_word_takes_no_time() -> None:
    text = "token" * ((1 << 20) // 5)
    began = time.process_time()
    assert blanked(text) == text
    assert literals(text) == set()
    assert time.process_time() - began < 0.5


def test_a_right_scenario_with_such_a_text_is_read_at_once() -> None:
    text = HEAD + "target: {endpoint: emulator, function: f}\ntags: {note: '" + "token" * 20_000 + "'}\n"
    began = time.process_time()
    load(text, source="s.yaml", directory=Path(), environment={})
    assert time.process_time() - began < 1
