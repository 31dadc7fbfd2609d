"""``auth: environment``: credentials from where the tools of both vendors find theirs.

There are two conventions. Huawei's SDKs read ``HUAWEICLOUD_SDK_AK`` and ``_SK``, then a credentials file. OpenStack's
tools, which Open Telekom Cloud uses, read ``OS_…`` variables and ``clouds.yaml``. The endpoint's vendor is asked
first, then the other; within each, the order is that of ``_HUAWEI`` and ``_OPENSTACK`` below. The first source that is
there decides: one of which half is missing is an error and not passed over, because what a later source happens to hold
is hardly what was meant.

This is a function of the environment and the files it names; the caller says what the environment is.

Sources: the credential providers of huaweicloudsdkcore; openstacksdk, *Configuring OpenStack SDK Applications*;
otcextensions (``OS_ACCESS_KEY``, ``OS_SECRET_KEY``, ``OS_SECURITY_TOKEN``; a cloud's ``access_key`` or ``ak``,
``secret_key`` or ``sk``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from loadgen.targets.endpoint import in_clear
from loadgen.targets.functiongraph.protocol.credential_files import CredentialsError, Section, cloud, cloud_of, profile
from loadgen.targets.functiongraph.protocol.iam import iam_of, iam_origin
from loadgen.targets.functiongraph.protocol.target import Auth, FunctionTarget, IamAuth, KeyAuth, TokenAuth
from loadgen.targets.port import Surroundings
from loadgen.text import file

_SENDABLE = re.compile(r"[!-~]+")


class Found(Struct, frozen=True):
    """Credentials, where they came from, and what is doubtful about that."""

    auth: Auth
    source: str
    warnings: tuple[str, ...] = ()


def resolve(target: FunctionTarget, seen: Surroundings) -> Found:
    """The credentials for a target whose auth is ``environment``.

    Raises CredentialsError when there are none, or when what is there cannot be used.
    """
    otc = (urlsplit(target.endpoint).hostname or "").endswith(".t-systems.com")
    for source in (*_OPENSTACK, *_HUAWEI) if otc else (*_HUAWEI, *_OPENSTACK):
        if (found := source(target, seen)) is not None:
            return found
    raise CredentialsError(
        "target.auth is environment, but there are no credentials: set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, "
        "or OS_ACCESS_KEY and OS_SECRET_KEY, or OS_USERNAME, OS_PASSWORD and OS_USER_DOMAIN_NAME, or OS_TOKEN, or "
        "OS_CLOUD with a clouds.yaml, or write ~/.huaweicloud/credentials"
    )


_Source = Callable[[FunctionTarget, Surroundings], Found | None]


def _key_variables(access: str, secret: str, security: str | None = None) -> _Source:
    def source(target: FunctionTarget, seen: Surroundings) -> Found | None:
        names = {"access_key": access, "secret_key": secret}
        given = _given(seen, names)
        if not given:
            return None
        _complete(given, names)
        token = seen.environment.get(security) or None if security else None
        auth = _key(given["access_key"], given["secret_key"], token, lambda key: names.get(key, str(security)))
        return Found(auth, f"an access key from {access} and {secret}")

    return source


def _token_variable(name: str) -> _Source:
    def source(target: FunctionTarget, seen: Surroundings) -> Found | None:
        token = seen.environment.get(name)
        return Found(_token(token, name), f"a token from {name}") if token else None

    return source


def _user_variables(username: str, password: str, domains: tuple[str, ...], url: str) -> _Source:
    def source(target: FunctionTarget, seen: Surroundings) -> Found | None:
        domain = next((name for name in domains if seen.environment.get(name)), domains[0])
        names = {"username": username, "password": password, "domain": domain}
        given = _given(seen, names)
        if "username" not in given and "password" not in given:
            return None
        _complete(given, names)
        auth = _user(target, given, seen.environment.get(url), url)
        return Found(auth, f"an IAM user from {username} and {password}")

    return source


def _huawei_file(target: FunctionTarget, seen: Surroundings) -> Found | None:
    named = seen.environment.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
    path = Path(named) if named else seen.home / ".huaweicloud" / "credentials"
    if not named and not file.there(path):
        return None
    section = profile(path)
    if section.first("ak", "sk") is None and section.first("idp_id") is not None:
        raise _fault(section, "got a federated identity (idp_id), which loadgen cannot use: write ak and sk")
    return Found(_key_of(section, ("ak",), ("sk",)), f"an access key from {path}", section.warnings)


def _named_cloud(target: FunctionTarget, seen: Surroundings) -> Found | None:
    name = seen.environment.get("OS_CLOUD")
    if not name:
        return None
    section = _cloud(seen, name)
    if section is None:
        raise CredentialsError(
            f'OS_CLOUD is "{name}", but there is no clouds.yaml: expected one in the current directory, in '
            "~/.config/openstack, in /etc/openstack, or OS_CLIENT_CONFIG_FILE to name it"
        )
    return _of_cloud(target, section)


def _only_cloud(target: FunctionTarget, seen: Surroundings) -> Found | None:
    section = _cloud(seen, None)
    return None if section is None else _of_cloud(target, section)


def _cloud(seen: Surroundings, name: str | None) -> Section | None:
    """Where openstacksdk looks for it."""
    if named := seen.environment.get("OS_CLIENT_CONFIG_FILE"):
        secure = seen.environment.get("OS_CLIENT_SECURE_FILE")
        return cloud_of(Path(named), Path(secure) if secure else None, name)
    config = seen.environment.get("XDG_CONFIG_HOME") or str(seen.home / ".config")
    return cloud([seen.directory, Path(config) / "openstack", Path("/etc/openstack")], name)


def _of_cloud(target: FunctionTarget, section: Section) -> Found:
    file = section.place.source
    if section.first("access_key", "ak", "secret_key", "sk") is not None:
        auth: Auth = _key_of(section, ("access_key", "ak"), ("secret_key", "sk"))
        return Found(auth, f"an access key from {file}", section.warnings)
    if (token := section.first("token")) is not None:
        return Found(_token(token.value, _at(section, "token")), f"a token from {file}", section.warnings)
    domains = ("user_domain_name", "domain_name", "user_domain_id", "domain_id")
    entries = {
        "username": section.first("username"),
        "password": section.first("password"),
        "domain": section.first(*domains),
    }
    if missing := [domains[0] if name == "domain" else name for name, entry in entries.items() if entry is None]:
        what = f"{', '.join(missing)} missing in auth of this cloud"
        raise _fault(section, f"{what}: write them, or access_key and secret_key")
    url = section.first("auth_url")
    given = {name: entry.value for name, entry in entries.items() if entry is not None}
    auth = _user(target, given, None if url is None else url.value, _at(section, "auth_url"))
    return Found(auth, f"an IAM user from {file}", section.warnings)


def _key_of(section: Section, access: tuple[str, ...], secret: tuple[str, ...]) -> KeyAuth:
    first, second, third = section.first(*access), section.first(*secret), section.first("security_token")
    if first is None or second is None:
        missing = access[0] if first is None else secret[0]
        raise _fault(section, f"{missing} is missing: an access key is {access[0]} and {secret[0]}; write both")
    names = {"access_key": access, "secret_key": secret, "security_token": ("security_token",)}
    return _key(
        first.value, second.value, None if third is None else third.value, lambda key: _at(section, *names[key])
    )


def _given(seen: Surroundings, names: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, name in names.items() if (value := seen.environment.get(name))}


def _complete(given: Mapping[str, str], names: Mapping[str, str]) -> None:
    if missing := [name for key, name in names.items() if key not in given]:
        there = next(names[key] for key in given)
        raise CredentialsError(f"{there} is set, but not {' and '.join(missing)}: set both or neither")


def _key(access: str, secret: str, security: str | None, where: Callable[[str], str]) -> KeyAuth:
    _check(access, where("access_key"))
    _check(secret, where("secret_key"))
    if security is not None:
        _check(security, where("security_token"))
    return KeyAuth(access, secret, security)


def _token(token: str, where: str) -> TokenAuth:
    _check(token, where)
    return TokenAuth(token)


def _user(target: FunctionTarget, given: Mapping[str, str], url: str | None, where: str) -> IamAuth:
    """The token is for the project that is invoked, whatever project the environment is set up for."""
    origin = iam_of(target.endpoint) if target.emulated or not url else iam_origin(url)
    if origin is None:
        raise CredentialsError(f"{where} is missing, and the endpoint does not say where IAM is; set it to IAM's URL")
    if not re.match(r"https?://[^/\s]+\Z", origin, re.IGNORECASE) and not target.emulated:
        raise CredentialsError(f'{where}: got "{url}", expected a URL such as https://iam.eu-de.otc.t-systems.com/v3')
    if in_clear(origin) and not target.insecure_auth:
        raise CredentialsError(
            f"{where}: got {origin}: the password would cross the network for anyone to read; use https://, or force "
            "it with target.insecure_auth: true"
        )
    return IamAuth(origin, given["username"], given["password"], given["domain"], target.project_id)


def _check(value: str, where: str) -> None:
    if not _SENDABLE.fullmatch(value):
        raise CredentialsError(f"{where}: got a blank or a character that is not ASCII, expected the value alone")


def _at(section: Section, *names: str) -> str:
    """Where an entry stands, or would stand."""
    entry = section.first(*names)
    place = section.place if entry is None else entry.place
    return f"{place.source}:{place.line}: {names[0]}"


def _fault(section: Section, message: str) -> CredentialsError:
    return CredentialsError(f"{section.place.source}:{section.place.line}: {message}")


_HUAWEI: tuple[_Source, ...] = (
    _key_variables("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"),
    _huawei_file,
)
_OPENSTACK: tuple[_Source, ...] = (
    _named_cloud,
    _token_variable("OS_TOKEN"),
    _token_variable("OS_AUTH_TOKEN"),
    _key_variables("OS_ACCESS_KEY", "OS_SECRET_KEY", "OS_SECURITY_TOKEN"),
    _user_variables(
        "OS_USERNAME",
        "OS_PASSWORD",
        ("OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME", "OS_USER_DOMAIN_ID", "OS_DOMAIN_ID"),
        "OS_AUTH_URL",
    ),
    _key_variables("OTC_SDK_AK", "OTC_SDK_SK"),
    _user_variables("OTC_USER_NAME", "OTC_USER_PASSWORD", ("OTC_DOMAIN_NAME",), "OTC_IAM_ENDPOINT"),
    _only_cloud,
)
