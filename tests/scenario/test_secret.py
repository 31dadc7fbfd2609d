from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from loadgen.scenario.load import Loaded, load
from loadgen.targets.functiongraph.protocol.target import (
    Auth,
    EnvironmentAuth,
    FunctionTarget,
    IamAuth,
    KeyAuth,
    TokenAuth,
)
from loadgen.targets.secret import doubts, hidden_in_yaml, sent
from loadgen.text.secret import Secrets

KEYS = "{access_key: PLANTED-ak, secret_key: PLANTED-sk, security_token: PLANTED-sts}"
USER = "{iam: {username: PLANTED-user, password: PLANTED-pw, domain: D}}"
KINDS = {
    "{token: PLANTED-token}": TokenAuth("PLANTED-token"),
    KEYS: KeyAuth("PLANTED-ak", "PLANTED-sk", "PLANTED-sts"),
    USER: IamAuth("https://iam.eu-de.otc.t-systems.com", "PLANTED-user", "PLANTED-pw", "D", "p"),
    "environment": EnvironmentAuth(),
}
ENDPOINT = "https://functiongraph.eu-de.otc.t-systems.com"


def loaded(auth: str, *, endpoint: str = ENDPOINT, rest: str = "") -> Loaded:
    text = f"""
name: x
target: {{endpoint: "{endpoint}", project_id: p, function: f, auth: {auth}}}
phases: [{{name: steady, rate: 1/s, duration: 1s}}]
{rest}
"""
    return load(text, source="s.yaml", directory=Path(), environment={})


@pytest.mark.parametrize(("written", "auth"), KINDS.items())
def test_every_kind_of_credentials_is_built_and_none_is_ever_shown(written: str, auth: Auth) -> None:
    made = loaded(written)
    target = made.scenario.target
    assert isinstance(target, FunctionTarget)
    assert target.auth == auth
    assert "PLANTED" not in f"{made!r} {made.as_run} {made.document} {made.scenario!r}"


@pytest.mark.parametrize("written", KINDS)
def test_what_is_written_as_run_loads_again_as_the_same_kind(written: str) -> None:
    made = loaded(written)
    again = load(made.as_run, source="s.yaml", directory=Path(), environment={})
    assert isinstance(again.scenario.target, FunctionTarget)
    assert type(again.scenario.target.auth) is type(KINDS[written])
    assert again.scenario.sha256 == made.scenario.sha256


def test_a_run_is_the_same_run_whoever_makes_it() -> None:
    kinds = [loaded(written).scenario.sha256 for written in KINDS]
    assert len(set(kinds)) == len(KINDS)
    for written in KINDS:
        other = loaded(written.replace("PLANTED", "OTHER"))
        assert other.scenario.sha256 == loaded(written).scenario.sha256


def test_iams_url_and_agency_have_their_defaults() -> None:
    user = "username: u, password: 'p w', domain: D"
    made = loaded(f"{{iam: {{{user}, url: 'https://iam.example/v3', project: eu-de, agency: a}}}}")
    assert isinstance(made.scenario.target, FunctionTarget)
    assert made.scenario.target.auth == IamAuth("https://iam.example", "u", "p w", "D", "eu-de", "a", "D")


def test_the_secrets_of_the_emulators_account_are_not_written_either() -> None:
    account = "{username: shown, password: PLANTED-pw, access_key: PLANTED-ak, secret_key: PLANTED-sk}"
    rest = f"emulator: {{account: {account}, functions: {{f: {{}}}}}}"
    made = loaded("none", endpoint="emulator", rest=rest)
    assert "PLANTED" not in f"{made!r} {made.as_run} {made.document}"
    assert "username: shown" in made.as_run


def test_a_token_obtained_on_the_way_is_hidden_from_then_on() -> None:
    secrets = Secrets(sent(loaded(USER).scenario.target))
    assert secrets.hide("PLANTED-pw and PLANTED-obtained-token") == "*** and PLANTED-obtained-token"
    secrets.add({"PLANTED-obtained-token"})
    assert secrets.hide("PLANTED-pw and PLANTED-obtained-token") == "*** and ***"


@pytest.mark.parametrize("before", ["", "u:", "us:", "use:"])
def test_a_secret_in_base64_is_masked_wherever_it_begins_in_it(before: str) -> None:
    secrets = Secrets(sent(loaded("{token: PLANTED-token-1234}").scenario.target))
    for encode in (b64encode, urlsafe_b64encode):
        text = encode(f"{before}PLANTED-token-1234:rest".encode()).decode()
        assert text[6:-8] not in secrets.hide(f"Basic {text}")
        assert "***" in secrets.hide(f"Basic {text}")


def test_a_short_secret_is_not_looked_for_and_that_is_said() -> None:
    target = loaded("{token: abc}").scenario.target
    assert Secrets(sent(target)).hide("abc in abcdef") == "abc in abcdef"
    assert [doubt.partition(":")[0] for doubt in doubts(target)] == [
        "a secret of the target has fewer than 4 characters"
    ]
    (doubt,) = doubts(loaded("{token: abcd}").scenario.target)
    assert doubt == (
        "the secret of auth.token is a short or common word: it is masked wherever it stands by itself, so that "
        "reports have *** in place of that word. With a credential of 8 characters or more, digits among them, "
        "they are whole"
    )
    assert list(doubts(loaded("{token: abcdefg8}").scenario.target)) == []
    assert Secrets(sent(loaded("{token: abcd}").scenario.target)).hide("abcd") == "***"


def test_plain_data_is_masked_with_its_keys_and_numbers() -> None:
    secrets = Secrets(sent(loaded("{token: '12345678'}").scenario.target))
    held = {"12345678": [12345678, 1234, 123456789, 1.5, True, None, ("x12345678",)], "a": {"b": "12345678"}}
    shown = {"***": ["***", 1234, 123456789, 1.5, True, None, ["x***"]], "a": {"b": "***"}}
    assert secrets.hide_in(held) == shown


def test_what_was_run_is_masked_where_a_secret_is_repeated_and_loads_again() -> None:
    auth, again = "{token: PLANTED$1}", "tags: {a: PLANTED$$1, b: 'x PLANTED$$1', c: 'a$$b', d: '***', e: 5}"
    made = loaded(auth, rest=again)
    as_run = hidden_in_yaml(made.as_run, Secrets(sent(made.scenario.target)))
    assert "PLANTED" not in as_run
    document = load(as_run, source="s.yaml", directory=Path(), environment={}).document
    assert document["tags"] == {"a": "***", "b": "x ***", "c": "a$b", "d": "***", "e": "5"}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{endpoint: 'https://h', project_id: p, function: f, auth: {token: abcdef}, tls: {verify: false}}", True),
        ("{endpoint: 'https://h', project_id: p, function: f, auth: environment, tls: {verify: false}}", True),
        ("{url: 'https://h/', headers: {Cookie: abcdef}, tls: {verify: false}}", True),
        ("{endpoint: 'https://h', project_id: p, function: f, auth: none, tls: {verify: false}}", False),
        ("{url: 'https://h/', headers: {Accept: abcdef}, tls: {verify: false}}", False),
        ("{endpoint: 'https://h', project_id: p, function: f, auth: {token: abcdef}}", False),
        (
            "{endpoint: 'http://127.0.0.1', project_id: p, function: f, auth: {token: abcdef}, tls: {verify: false}}",
            False,
        ),
    ],
)
def test_credentials_that_go_to_whoever_answers_are_doubtful(target: str, said: bool) -> None:
    text = f"name: x\ntarget: {target}\nphases: [{{name: steady, rate: 1/s, duration: 1s}}]\n"
    made = load(text, source="s.yaml", directory=Path(), environment={})
    assert any("target.tls.verify is false" in doubt for doubt in doubts(made.scenario.target)) is said


@pytest.mark.parametrize(
    ("header", "short"),
    [("Bearer abc", True), ("abc", True), ("Bearer abcd", False), ("some words to", False), ("x-{{token}}", False)],
)
def test_a_header_is_short_without_the_word_for_its_scheme(header: str, short: bool) -> None:
    target = f"{{url: 'https://h/', headers: {{Authorization: '{header}'}}}}"
    rest = "feeder: {file: rows.csv}" if "{{" in header else ""
    text = f"name: x\ntarget: {target}\nphases: [{{name: steady, rate: 1/s, duration: 1s}}]\n{rest}\n"
    with TemporaryDirectory() as directory:
        (Path(directory) / "rows.csv").write_text("token\nabcdef\n")
        made = load(text, source="s.yaml", directory=Path(directory), environment={})
    assert any("fewer than 4" in doubt for doubt in doubts(made.scenario.target)) is short


def test_the_word_for_a_scheme_is_no_secret() -> None:
    target = "{url: 'https://h/', headers: {Authorization: 'Bearer abcdef', Cookie: 'Bearer {{t}}'}}"
    text = f"name: x\ntarget: {target}\nphases: [{{name: s, rate: 1/s, duration: 1s}}]\nfeeder: {{file: rows.csv}}\n"
    with TemporaryDirectory() as directory:
        (Path(directory) / "rows.csv").write_text("t\nx\n")
        made = load(text, source="s.yaml", directory=Path(directory), environment={})
    assert Secrets(sent(made.scenario.target)).hide("Bearer abcdef Bearer") == "*** Bearer"


def to_url(headers: str, *, rest: str = "", phase: str = "steady") -> Loaded:
    text = f"""
name: x
target: {{url: 'https://h/', headers: {headers}}}
phases: [{{name: {phase}, rate: 1/s, duration: 1000ms}}]
{rest}
"""
    return load(text, source="s.yaml", directory=Path(), environment={})


SHORT = [
    ("test", "latest-test: test, 'test'; contest test_1 1test", "latest-***: ***, '***'; contest test_1 1test"),
    ("1000", "1000ms, at most 1000, 1000/s, 21000, 1000.5", "1000ms, at most ***, ***/s, 21000, ***.5"),
    ("Bearer load", "load loadgen overload load.", "*** loadgen overload ***."),
    ("a-b.c", "a-b.c xa-b.c a-b.cd (a-b.c)", "*** xa-b.c a-b.cd (***)"),
    ("test", r"\ntest \"test\" \u0020test %20test &#34;test", r"\n*** \"***\" \u0020*** %20*** &#34;***"),
    ("t=st", r"t\u003dst xt\u003dst t%3Dst", r"*** xt\u003dst ***"),
    ("longer-one", "xlonger-oney longer-one", "x***y ***"),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "text", "shown"), SHORT)
def test_a_short_secret_is_masked_where_it_stands_by_itself(secret: str, text: str, shown: str) -> None:
    assert Secrets(sent(to_url(f"{{X-Api-Key: '{secret}'}}").scenario.target)).hide(text) == shown


RESTRICTED = """
tags: {test: 'a test', kept: contest}
event: {deep: [{test: 'the test of {{n}}', n: 5}]}
thresholds: ['test:latency.p99 < 1000ms', 'errors < 1%']
budget: {invocations: 1000, duration: 1000ms}
confirm: {invocations: 1000}
"""


@pytest.mark.parametrize("secret", ["test", "1000", "ms", "1000ms", "steady", "errors", "POST", "p99", "load", "name"])
def test_what_was_run_loads_again_whatever_word_a_short_secret_is(tmp_path: Path, secret: str) -> None:
    (tmp_path / "test.csv").write_text("n,test,name,load\n1,2,3,4\n")
    text = f"""
name: load-test
target:
  url: 'http://test/test?a=test&b=1000&c={{{{test}}}}'
  method: POST
  headers: {{X-Key: '{secret}', test: a test}}
phases: [{{name: test, rate: 1000/s, duration: 1000ms}}, {{name: steady-test, rate: 1/s, duration: 1000ms}}]
feeder: {{file: test.csv}}
{RESTRICTED}"""
    made = load(text, source="s.yaml", directory=tmp_path, environment={})
    as_run = hidden_in_yaml(made.as_run, Secrets(sent(made.scenario.target)))
    again = load(as_run, source="s.yaml", directory=tmp_path, environment={})
    for same in ("phases", "thresholds", "budget", "confirm", "feeder", "name"):
        assert getattr(again.scenario, same) == getattr(made.scenario, same)
    if secret == "test":
        assert again.document["tags"] == {"***": "a ***", "kept": "contest"}
        assert again.document["event"] == {"deep": [{"***": "the *** of {{n}}", "n": 5}]}
        assert again.document["target"]["url"] == "http://test/***?a=***&b=1000&c={{test}}"
        assert again.document["target"]["headers"] == {"X-Key": "***", "test": "a ***"}


@pytest.mark.parametrize("secret", ["test", "1000", "POST", "name", "load", "calls", "weight"])
def test_of_a_mix_too_what_was_run_loads_again_and_a_short_secret_is_masked_in_free_text(
    tmp_path: Path, secret: str
) -> None:
    text = f"""
name: load-test
target: {{headers: {{X-Key: '{secret}'}}}}
calls:
  - {{name: test, weight: 1000, url: 'http://test/test', event: {{test: 'the test'}}, checks: ['body contains "test"']}}
  - {{name: load, url: 'http://test/b?a=test', method: POST, headers: {{X-Key: '{secret}', test: a test}}}}
phases: [{{name: steady, rate: 1000/s, duration: 1000ms}}]
"""
    made = load(text, source="s.yaml", directory=tmp_path, environment={})
    as_run = hidden_in_yaml(made.as_run, Secrets({each for target in made.scenario.targets for each in sent(target)}))
    again = load(as_run, source="s.yaml", directory=tmp_path, environment={})
    for one, other in zip(again.scenario.calls, made.scenario.calls, strict=True):
        assert (one.name, one.weight, one.checks) == (other.name, other.weight, other.checks)
    if secret == "test":
        first, second = again.document["calls"]
        assert first["event"] == {"***": "the ***"}
        assert second["headers"] == {"X-Key": "***", "test": "a ***"}
        assert (first["url"], second["url"]) == ("http://test/***", "http://test/b?a=***")


def test_a_path_that_the_user_chose_keeps_its_words() -> None:
    secrets = Secrets(sent(to_url("{X-Api-Key: test, Cookie: 'a=longer-one'}").scenario.target))
    assert secrets.hide("report: test/run1/report.html") == "report: ***/run1/report.html"
    secrets.spare("test/run1")
    assert secrets.hide("report: test/run1/report.html, test") == "report: test/run1/report.html, ***"
    secrets.spare("test")
    assert secrets.hide("report: test/report.html, test") == "report: test/report.html, ***"
    secrets.spare("longer-one/test")
    assert secrets.hide("report: longer-one/test/report.html") == "report: ***/***/report.html"


def test_a_short_secret_is_warned_of_by_its_place() -> None:
    said = "the secret of headers.X-Api-Key is a short or common word: it is masked wherever it stands by itself"
    assert [doubt.split(",")[0] for doubt in doubts(to_url("{X-Api-Key: test}").scenario.target)] == [said]
    assert [doubt.split(",")[0] for doubt in doubts(to_url("{X-Api-Key: 'Bearer load'}").scenario.target)] == [said]
    assert list(doubts(to_url("{X-Api-Key: testtest1, Accept: test}").scenario.target)) == []
    iam = loaded("{iam: {username: u, password: secret, domain: D}}")
    assert [doubt.split(" is ")[0] for doubt in doubts(iam.scenario.target)] == ["the secret of auth.iam.password"]


def test_a_long_secret_that_is_a_word_is_warned_of_as_it_is_masked_within_others() -> None:
    target = loaded("{token: duration}").scenario.target
    (doubt,) = doubts(target)
    assert "is a short or common word: it is masked within other words, too" in doubt
    assert Secrets(sent(target)).hide("billed_duration") == "billed_***"


def test_the_emulators_published_user_is_not_warned_of() -> None:
    made = loaded("{iam: {username: demo, password: demo, domain: demo}}", endpoint="http://127.0.0.1:1")
    assert list(doubts(made.scenario.target)) == []


@pytest.mark.parametrize(
    ("cookie", "said", "shown"),
    [
        ("session=abcd1234efgh; theme=dark", "abcd1234efgh-dark-darkness theme", "***-***-darkness theme"),
        ('a="abcd1234efgh"; HttpOnly;b=xyz', "abcd1234efgh HttpOnly xyz", "*** HttpOnly xyz"),
        ("a=base64==; b = c d e f g", "base64== 'c d e f g'", "*** '***'"),
        ("session", "session", "***"),
    ],
)
def test_each_value_of_a_cookie_is_masked(cookie: str, said: str, shown: str) -> None:
    assert Secrets(sent(to_url(f"{{Cookie: '{cookie}'}}").scenario.target)).hide(said) == shown


def test_what_is_the_same_in_all_cookies_is_masked() -> None:
    with TemporaryDirectory() as directory:
        (Path(directory) / "rows.csv").write_text("t\nx\n")
        text = """
name: x
target: {url: 'https://h/', headers: {Cookie: 'a=abcd1234efgh; s={{t}}-tailtail; b=efgh1234abcd'}}
phases: [{name: s, rate: 1/s, duration: 1s}]
feeder: {file: rows.csv}
"""
        made = load(text, source="s.yaml", directory=Path(directory), environment={})
    assert Secrets(sent(made.scenario.target)).hide("abcd1234efgh, efgh1234abcd, x-tailtail") == "***, ***, x***"


@pytest.mark.parametrize("pair", ["someone:pass-word-1", "me:geheim", "ü:pässword", ":only-password", "no-password"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_user_of_basic_is_masked_as_it_is_too(pair: str, encoding: str) -> None:
    encoded = b64encode(pair.encode(encoding)).decode()
    password = pair.partition(":")[2]
    for value in (f"Basic {encoded}", f"basic  {encoded.rstrip('=')}"):
        secrets = Secrets(sent(to_url(f"{{Authorization: '{value}'}}").scenario.target))
        assert secrets.hide(f"[{pair}] [{encoded}]") in ("[***] [***]", f"[***] [***{'=' * encoded.count('=')}]")
        assert secrets.hide(f"wrong password {password}.") == f"wrong password {'***' if password else ''}."


def test_a_basic_that_is_none_is_a_secret_like_others() -> None:
    assert Secrets(sent(to_url("{Authorization: 'Basic abcde'}").scenario.target)).hide("abcde") == "***"
