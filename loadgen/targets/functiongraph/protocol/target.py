"""A FunctionGraph function as what is invoked."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct, field

from loadgen.targets.endpoint import sent_in_clear, url_fault, without_user
from loadgen.targets.functiongraph.protocol.function import named
from loadgen.targets.functiongraph.protocol.iam import iam_of, iam_origin
from loadgen.targets.port import Addresses, Fresh, Limits, Pinned, Preflight, Probe, Timeout, Tls, Trust, Which
from loadgen.targets.target import Target
from loadgen.text.fault import Found
from loadgen.text.form import INVALID, OPTIONAL, Secret, Share, Text, doc, matching, without_unit, words, written

MEMORY_SIZES_MB = (128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 10240)
"""The memory sizes a function may have.

Source: FunctionGraph API reference, Executing a Function Synchronously, X-Cff-Instance-Memory.
"""

Memory = Annotated[int, words({f"{size}MB": size for size in MEMORY_SIZES_MB})]
DEFAULT_PROJECT = "demo"


class NoAuth(Struct, frozen=True, tag="none"):
    """Requests carry no credentials."""


class TokenAuth(Struct, frozen=True, tag="token"):
    """Requests carry this IAM token in X-Auth-Token."""

    token: str

    def __repr__(self) -> str:
        return "TokenAuth(***)"


class KeyAuth(Struct, frozen=True, tag="key"):
    """Requests are signed with an access key; ``security_token`` belongs to a temporary one and is sent along."""

    access_key: str
    secret_key: str
    security_token: str | None = None

    def __repr__(self) -> str:
        return "KeyAuth(***)"


class IamAuth(Struct, frozen=True, tag="iam"):
    """A user whose token is obtained from IAM, and renewed before it ends.

    Requests carry that token. ``url`` is IAM's origin. ``domain`` is the user's account and ``project`` what the token
    is for, each a name or an id. With ``agency`` the user's token is exchanged for one of that agency of the account
    ``agency_domain``.
    """

    url: Annotated[
        str,
        OPTIONAL,
        matching(r"^[hH][tT][tT][pP][sS]?://[!-~]+$", "an origin such as https://iam.eu-de.otc.t-systems.com"),
        doc(
            "IAM's origin; default that of the endpoint's region, or a loopback endpoint itself.",
            "https://iam.eu-de.otc.t-systems.com",
        ),
    ]
    username: Annotated[Text, OPTIONAL, doc("The IAM user's name.", secret=True)]
    password: Annotated[Text, OPTIONAL, doc("The user's password.", secret=True)]
    domain: Annotated[Text, OPTIONAL, doc("The account (domain) of the user, name or id.")]
    project: Annotated[Text, OPTIONAL, doc("The project the token is for, name or id; default target.project_id.")]
    agency: Annotated[Text | None, doc("An agency: the user's token is exchanged for one of this agency.")] = None
    agency_domain: Annotated[Text | None, doc("The account (domain) that the agency belongs to; default domain.")] = (
        None
    )

    def __repr__(self) -> str:
        return f"IamAuth(url={self.url!r}, ***)"


class EnvironmentAuth(Struct, frozen=True, tag="environment"):
    """Credentials are looked up when a run begins, in variables and files that both vendors' tools read."""


Auth = NoAuth | TokenAuth | KeyAuth | IamAuth | EnvironmentAuth


class ResponseVersion(Enum):
    """The form of a function's answer (X-CFF-Request-Version)."""

    V0 = "v0"
    V1 = "v1"


class Credentials(Struct):
    """Credentials: a token, an IAM user, or an access key."""

    token: Annotated[Secret, OPTIONAL, doc("An IAM token, sent in X-Auth-Token.")]
    iam: Annotated[IamAuth, OPTIONAL, doc("A user whose token is obtained from IAM.", title="Iam")]
    access_key: Annotated[Secret, OPTIONAL, doc("The id of an access key (AK), with which requests are signed.")]
    secret_key: Annotated[Secret, OPTIONAL, doc("The secret of the access key (SK).")]
    security_token: Annotated[Secret, OPTIONAL, doc("The security token of a temporary access key.")]


class LogTail(Struct):
    """Log tails on a random share of the invocations."""

    tail: Annotated[Share, doc("The share of invocations that ask for the log tail.")]


def _tail_share(log: Any) -> Any:
    return log.get("tail", INVALID) if isinstance(log, dict) else float(log == "tail")


class FunctionTarget(Target, Struct, frozen=True, rename=without_unit, tag="function"):
    """A FunctionGraph function behind ``endpoint`` (an http:// or https:// origin, or ``emulator``).

    ``function`` is its URN in any of the accepted forms, as written; ``tail_share`` the share of invocations that ask
    for the log tail; ``memory_mb`` the value of X-Cff-Instance-Memory, None to leave the header out. ``insecure_auth``
    says that credentials may be sent over http:// to another machine, ``probe`` where answers tell their start.
    """

    endpoint: Annotated[
        str,
        OPTIONAL,
        matching(
            r"^(?:emulator|[hH][tT][tT][pP][sS]?://[!-~]+)$",
            "emulator, or an origin such as https://functiongraph.eu-de.otc.t-systems.com",
        ),
        doc(
            "`emulator`, or the origin of the FunctionGraph API.",
            "emulator",
            "https://functiongraph.eu-de.otc.t-systems.com",
        ),
    ]
    project_id: Annotated[
        str,
        OPTIONAL,
        matching(r'^[!"$&-.0->@-~]+$', "the id of a project, without / ? # % or blanks"),
        doc("The project; fills short forms of the function."),
    ]
    function: Annotated[
        Text,
        OPTIONAL,
        doc(
            "The function's URN, or a short form: name, package:name, project:package:name[:version].",
            "urn:fss:eu-de:0123456789abcdef:function:default:hello:latest",
            "hello",
        ),
    ]
    auth: Annotated[
        Auth,
        written(
            Literal["none", "environment"] | Credentials,
            title="Auth",
            default="none",
            secret=True,
            expected='none, environment, or a mapping such as {token: "${NAME}"}',
        ),
        doc('Credentials: `none`, `environment`, `{token: "${NAME}"}`, an access key or an IAM user.'),
    ] = NoAuth()
    response: Annotated[ResponseVersion, OPTIONAL, doc("The form of the answer, X-CFF-Request-Version.")] = (
        ResponseVersion.V0
    )
    tail_share: Annotated[
        float,
        written(Literal["none", "tail"] | LogTail, _tail_share),
        doc("Whether to ask for the log tail, X-Cff-Log-Type."),
    ] = field(name="log", default=0.0)
    memory_mb: Annotated[Memory | None, doc("Memory for each call, X-Cff-Instance-Memory; absent by default.")] = None
    fresh_connections: Fresh = field(name="connections", default=False)
    timeout: Limits = Timeout()
    tls: Trust = Tls()
    preflight: Preflight = True
    insecure_auth: Annotated[
        bool, doc("Send credentials over http:// to another machine, where anyone on the way reads them.")
    ] = False
    address: Pinned = None
    addresses: Which = Addresses.FIRST
    probe: Annotated[
        Probe | None,
        doc("The function is a probe (docs/probe/): where its answers tell cold from warm; `{}` takes the defaults."),
    ] = None

    @property
    def emulated(self) -> bool:
        """Whether the run starts the embedded emulator."""
        return self.endpoint == "emulator"


def function_target(block: dict[str, Any], function: str) -> FunctionTarget:
    """The FunctionTarget of a block without faults, where ``function`` is meant."""
    endpoint = block.get("endpoint", "").rstrip("/")
    found = named(function)
    project_id = block.get("project_id", (found and found.project) or DEFAULT_PROJECT)
    auth = _auth(block.get("auth", "none"), endpoint, project_id)
    whole = {**block, "endpoint": endpoint, "project_id": project_id, "function": function, "auth": auth}
    return msgspec.convert(whole, FunctionTarget)


def _auth(auth: str | dict[str, Any], endpoint: str, project_id: str) -> Auth:
    if isinstance(auth, str):
        return EnvironmentAuth() if auth == "environment" else NoAuth()
    if "token" in auth:
        return TokenAuth(auth["token"])
    if "iam" not in auth:
        return msgspec.convert(auth, KeyAuth)
    iam = {"url": iam_of(endpoint), "project": project_id, **auth["iam"]}
    if "agency" in iam:
        iam.setdefault("agency_domain", iam["domain"])
    return msgspec.convert({**iam, "url": iam_origin(iam["url"])}, IamAuth)


def rules(block: dict[str, Any], of_urls: Sequence[str], only: str | None) -> Found:
    """What does not go together in a target that is a function.

    ``of_urls`` are the keys of urls alone; ``only`` is the function that the emulator's block means by itself.
    """
    for key in of_urls:
        if key in block:
            yield (key,), f"{key} belongs to a url, but this target is a function; remove it"
    endpoint = block["endpoint"]
    if isinstance(endpoint, str) and endpoint != "emulator" and (fault := url_fault(endpoint, origin=True)):
        yield ("endpoint",), f"got {without_user(endpoint)}, {fault}"
    if "function" not in block and (endpoint != "emulator" or only is None):
        yield (), "function is missing: its URN or its name"
    elif "project_id" not in block and endpoint != "emulator" and not _names_project(block.get("function")):
        yield (), "project_id is missing: the function's name alone does not say which project it is in"


def auth_rules(block: dict[str, Any]) -> Found:
    """What is wrong with the credentials of a target."""
    auth, endpoint = block.get("auth", "none"), block.get("endpoint")
    if auth != "none" and isinstance(endpoint, str) and not url_fault(endpoint, origin=True):
        yield from sent_in_clear(("endpoint",), endpoint, block)
    if not isinstance(auth, dict):
        return
    kinds = [key for key in ("token", "iam", "access_key") if key in auth]
    if not auth:
        yield ("auth",), 'got an empty mapping, expected {token: "${NAME}"}, none, or environment'
    for key in kinds[1:]:
        yield ("auth", key), f"{kinds[0]} is written too; requests carry one kind of credentials, so keep one of them"
    for key, other in (("access_key", "secret_key"), ("secret_key", "access_key"), ("security_token", "access_key")):
        if key in auth and other not in auth:
            yield ("auth", key), f"{other} is missing; {key} goes with it"
    if isinstance(auth.get("iam"), dict):
        yield from _iam(auth["iam"], block)


def _iam(iam: dict[str, Any], block: dict[str, Any]) -> Found:
    if missing := [key for key in ("username", "password", "domain") if key not in iam]:
        yield (("auth", "iam"), f"{' and '.join(missing)} missing: a token is given for username, password and domain")
    if "agency_domain" in iam and "agency" not in iam:
        yield ("auth", "iam", "agency_domain"), "agency is missing; agency_domain goes with it"
    url, endpoint = iam.get("url"), block.get("endpoint")
    if isinstance(url, str):
        if fault := url_fault(iam_origin(url), origin=True):
            yield ("auth", "iam", "url"), f"got {without_user(url)}, {fault}"
        else:
            yield from sent_in_clear(("auth", "iam", "url"), url, block)
    elif "url" not in iam and isinstance(endpoint, str) and iam_of(endpoint) is None:
        yield ("auth", "iam"), "url is missing: the endpoint does not say where IAM is; write its origin"


def _names_project(function: object) -> bool:
    found = named(function) if isinstance(function, str) else None
    return found is not None and found.project is not None
