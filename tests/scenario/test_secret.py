from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.scenario.load import Loaded, load
from loadgen.scenario.model import Auth, EnvironmentAuth, FunctionTarget, IamAuth, KeyAuth, TokenAuth
from loadgen.scenario.secret import Secrets

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
    secrets = Secrets(loaded(USER).scenario.target)
    assert secrets.hide("PLANTED-pw and PLANTED-obtained-token") == "*** and PLANTED-obtained-token"
    secrets.add(TokenAuth("PLANTED-obtained-token"))
    assert secrets.hide("PLANTED-pw and PLANTED-obtained-token") == "*** and ***"
