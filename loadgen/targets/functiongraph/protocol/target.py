"""A FunctionGraph function as what is invoked."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from loadgen.targets import port
from loadgen.targets.port import Timeout, Tls
from loadgen.targets.target import Target

MEMORY_SIZES_MB = (128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 10240)
"""The memory sizes a function may have.

Source: FunctionGraph API reference, Executing a Function Synchronously, X-Cff-Instance-Memory.
"""


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
    """Requests carry a token that IAM gives for a user's password, and that is renewed before it ends.

    ``url`` is IAM's origin. ``domain`` is the user's account and ``project`` what the token is for, each a name or an
    id. With ``agency`` the user's token is exchanged for one of that agency of the account ``agency_domain``.
    """

    url: str
    username: str
    password: str
    domain: str
    project: str
    agency: str | None = None
    agency_domain: str | None = None

    def __repr__(self) -> str:
        return f"IamAuth(url={self.url!r}, ***)"


class EnvironmentAuth(Struct, frozen=True, tag="environment"):
    """Credentials are looked up when a run begins, in variables and files that both vendors' tools read."""


Auth = NoAuth | TokenAuth | KeyAuth | IamAuth | EnvironmentAuth


class ResponseVersion(Enum):
    """The form of a function's answer (X-CFF-Request-Version)."""

    V0 = "v0"
    V1 = "v1"


class FunctionTarget(Target, Struct, frozen=True, tag="function"):
    """A FunctionGraph function behind ``endpoint`` (an http:// or https:// origin, or ``emulator``).

    ``function`` is its URN in any of the accepted forms, as written; ``tail_share`` the share of invocations that ask
    for the log tail; ``memory_mb`` the value of X-Cff-Instance-Memory, None to leave the header out. ``insecure_auth``
    says that credentials may be sent over http:// to another machine.
    """

    endpoint: str
    project_id: str
    function: str
    auth: Auth
    response: ResponseVersion
    tail_share: float
    memory_mb: int | None
    fresh_connections: bool
    timeout: Timeout
    tls: Tls
    preflight: bool
    insecure_auth: bool = False

    @property
    def emulated(self) -> bool:
        """Whether the run starts the embedded emulator."""
        return self.endpoint == "emulator"


Probe = port.Probe  # as long as scenarios are built with it from here
