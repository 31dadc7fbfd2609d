from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loadgen.targets.functiongraph.protocol.credential_files import CredentialsError
from loadgen.targets.functiongraph.protocol.credentials import Found, resolve
from loadgen.targets.functiongraph.protocol.target import (
    Auth,
    EnvironmentAuth,
    FunctionTarget,
    IamAuth,
    KeyAuth,
    TokenAuth,
)
from loadgen.targets.port import Surroundings
from tests.scenarios import function

HUAWEI = "https://functiongraph.cn-north-4.myhuaweicloud.com"
OTC = "https://functiongraph.eu-de.otc.t-systems.com"
KEYS = {"HUAWEICLOUD_SDK_AK": "HAK", "HUAWEICLOUD_SDK_SK": "HSK"}
OPENSTACK_KEYS = {"OS_ACCESS_KEY": "OAK", "OS_SECRET_KEY": "OSK", "OS_SECURITY_TOKEN": "OST"}
USER = {"OS_USERNAME": "u", "OS_PASSWORD": "pass-word", "OS_USER_DOMAIN_NAME": "ACCOUNT"}
PROJECT = "demo"


def target(endpoint: str = HUAWEI, *, insecure: bool = False) -> FunctionTarget:
    return msgspec.structs.replace(function(endpoint), auth=EnvironmentAuth(), insecure_auth=insecure)


def found(tmp_path: Path, environment: dict[str, str], endpoint: str = HUAWEI, *, insecure: bool = False) -> Found:
    home, here = tmp_path / "home", tmp_path / "here"
    seen = Surroundings({"XDG_CONFIG_HOME": str(home / ".config"), **environment}, home, here)
    return resolve(target(endpoint, insecure=insecure), seen)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def iam(url: str, domain: str = "ACCOUNT", password: str = "pass-word") -> IamAuth:
    return IamAuth(url, "u", password, domain, PROJECT)


CLOUD = """\
clouds:
  work:
    auth: {auth_url: "https://iam.example/v3", username: u, password: pass-word, user_domain_name: ACCOUNT}
  keys:
    access_key: CAK
    sk: CSK
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (KEYS, KeyAuth("HAK", "HSK")),
        ({**KEYS, "HUAWEICLOUD_SDK_SECURITY_TOKEN": "HST"}, KeyAuth("HAK", "HSK", "HST")),
        ({**KEYS, "HUAWEICLOUD_SDK_SECURITY_TOKEN": ""}, KeyAuth("HAK", "HSK")),
        (OPENSTACK_KEYS, KeyAuth("OAK", "OSK", "OST")),
        ({"OTC_SDK_AK": "a", "OTC_SDK_SK": "s"}, KeyAuth("a", "s")),
        ({"OS_TOKEN": "tok"}, TokenAuth("tok")),
        ({"OS_AUTH_TOKEN": "tok"}, TokenAuth("tok")),
        ({**USER, "OS_AUTH_URL": "https://iam.example/v3"}, iam("https://iam.example")),
        (USER, iam("https://iam.cn-north-4.myhuaweicloud.com")),
        (
            {"OS_USERNAME": "u", "OS_PASSWORD": "pass-word", "OS_DOMAIN_ID": "0" * 32},
            iam("https://iam.cn-north-4.myhuaweicloud.com", "0" * 32),
        ),
        (
            {
                "OTC_USER_NAME": "u",
                "OTC_USER_PASSWORD": "pass-word",
                "OTC_DOMAIN_NAME": "ACCOUNT",
                "OTC_IAM_ENDPOINT": "https://iam.example",
            },
            iam("https://iam.example"),
        ),
    ],
)
def test_the_variables_of_both_vendors_are_read(tmp_path: Path, environment: dict[str, str], expected: Auth) -> None:
    assert found(tmp_path, environment).auth == expected


def test_the_convention_of_the_endpoints_vendor_comes_first_and_the_source_is_said(tmp_path: Path) -> None:
    both = {**KEYS, **OPENSTACK_KEYS}
    huawei, otc = found(tmp_path, both), found(tmp_path, both, OTC)
    assert (huawei.auth, otc.auth) == (KeyAuth("HAK", "HSK"), KeyAuth("OAK", "OSK", "OST"))
    assert huawei.source == "an access key from HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"
    assert otc.source == "an access key from OS_ACCESS_KEY and OS_SECRET_KEY"


def test_the_credentials_file_of_huaweis_tools_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "home" / ".huaweicloud" / "credentials",
        "# mine\n[global]\nak = GAK\nsk = GSK\n\n[basic]\nAK = FAK\nsk: FSK=\nsecurity_token = FST\n",
    )
    seen = found(tmp_path, {})
    assert seen == Found(KeyAuth("FAK", "FSK=", "FST"), f"an access key from {path}")
    other = write(tmp_path / "elsewhere", "[basic]\nak=E\nsk=F\n")
    assert found(tmp_path, {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(other)}).auth == KeyAuth("E", "F")


def test_variables_come_before_the_file(tmp_path: Path) -> None:
    write(tmp_path / "home" / ".huaweicloud" / "credentials", "[basic]\nak=F\nsk=F\n")
    assert found(tmp_path, KEYS).auth == KeyAuth("HAK", "HSK")


@pytest.mark.parametrize("place", ["here", "home/.config/openstack"])
@pytest.mark.parametrize("name", ["clouds.yaml", "clouds.yml"])
def test_clouds_yaml_is_looked_for_where_openstacksdk_does(tmp_path: Path, place: str, name: str) -> None:
    path = write(tmp_path / place / name, CLOUD)
    assert found(tmp_path, {"OS_CLOUD": "keys"}).auth == KeyAuth("CAK", "CSK")
    assert found(tmp_path, {"OS_CLOUD": "work"}) == Found(iam("https://iam.example"), f"an IAM user from {path}")


def test_clouds_yaml_may_be_named_and_its_secrets_be_in_a_file_of_their_own(tmp_path: Path) -> None:
    clouds = write(tmp_path / "c", "clouds: {otc: {auth: {username: u, user_domain_name: ACCOUNT, password: 123}}}\n")
    secure = write(tmp_path / "s", "clouds: {otc: {auth: {password: pass-word}}, other: {}}\n")
    named = {"OS_CLIENT_CONFIG_FILE": str(clouds)}
    assert found(tmp_path, named, OTC).auth == iam("https://iam.eu-de.otc.t-systems.com", password="123")
    both = {**named, "OS_CLIENT_SECURE_FILE": str(secure)}
    assert found(tmp_path, both, OTC).auth == iam("https://iam.eu-de.otc.t-systems.com")


def test_a_cloud_with_a_token_gives_the_token(tmp_path: Path) -> None:
    write(tmp_path / "here" / "clouds.yaml", "clouds: {otc: {auth_type: v3token, auth: {token: tok}}}\n")
    assert found(tmp_path, {}).auth == TokenAuth("tok")


def test_a_named_cloud_comes_before_openstacks_variables_and_an_unnamed_one_after_them(tmp_path: Path) -> None:
    write(tmp_path / "here" / "clouds.yaml", "clouds: {otc: {ak: C, sk: C}}\n")
    assert found(tmp_path, {"OS_CLOUD": "otc", **OPENSTACK_KEYS}).auth == KeyAuth("C", "C")
    assert found(tmp_path, OPENSTACK_KEYS).auth == KeyAuth("OAK", "OSK", "OST")


def test_for_the_emulator_the_token_comes_from_the_emulator(tmp_path: Path) -> None:
    environment = {**USER, "OS_AUTH_URL": "https://iam.example/v3"}
    assert found(tmp_path, environment, "emulator").auth == iam("emulator")
    assert found(tmp_path, USER, "http://127.0.0.1:8080").auth == iam("http://127.0.0.1:8080")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "there are no credentials: set HUAWEICLOUD_SDK_AK"),
        ({"HUAWEICLOUD_SDK_AK": "a"}, "HUAWEICLOUD_SDK_AK is set, but not HUAWEICLOUD_SDK_SK"),
        ({"OS_SECRET_KEY": "s"}, "OS_SECRET_KEY is set, but not OS_ACCESS_KEY"),
        ({"OS_USERNAME": "u"}, "OS_USERNAME is set, but not OS_PASSWORD and OS_USER_DOMAIN_NAME"),
        ({**KEYS, "HUAWEICLOUD_SDK_SK": "s3cret key"}, "HUAWEICLOUD_SDK_SK: got a blank"),
        ({"OS_TOKEN": "s3crét"}, "OS_TOKEN: got a blank or a character that is not ASCII"),
        ({"OS_CLOUD": "otc"}, 'OS_CLOUD is "otc", but there is no clouds.yaml'),
        ({**USER, "OS_AUTH_URL": "iam.example"}, 'OS_AUTH_URL: got "iam.example", expected a URL'),
        ({**USER, "OS_AUTH_URL": "http://iam.example/v3"}, "the password would cross the network"),
        (
            {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": "/nowhere/at/all"},
            "/nowhere/at/all: cannot read this file: No such file",
        ),
    ],
)
def test_what_is_not_enough_is_said(tmp_path: Path, environment: dict[str, str], message: str) -> None:
    with pytest.raises(CredentialsError) as error:
        found(tmp_path, environment)
    assert message in str(error.value)
    assert "s3cr" not in str(error.value)


def test_an_endpoint_that_does_not_say_where_iam_is_needs_its_url(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="OS_AUTH_URL is missing"):
        found(tmp_path, USER, "https://gateway.example")


def test_a_password_over_http_can_be_forced(tmp_path: Path) -> None:
    environment = {**USER, "OS_AUTH_URL": "http://iam.example/v3"}
    assert found(tmp_path, environment, insecure=True).auth == iam("http://iam.example")


def test_no_repr_shows_what_was_found(tmp_path: Path) -> None:
    shown = repr(found(tmp_path, OPENSTACK_KEYS)) + repr(Surroundings(OPENSTACK_KEYS, tmp_path, tmp_path))
    assert not any(secret in shown for secret in ("OAK", "OSK", "OST"))
