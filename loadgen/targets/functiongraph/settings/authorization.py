"""How requests to the management API prove who sends them."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from loadgen.engine.clock import Clock, monotonic_ns
from loadgen.targets.functiongraph.protocol.signature import sign
from loadgen.targets.functiongraph.protocol.target import Auth, EnvironmentAuth, IamAuth, KeyAuth, NoAuth, TokenAuth
from loadgen.targets.functiongraph.protocol.token import IamError
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.renewal import obtain

SIGNED = ("Host", "Content-Type")
"""Of the headers that every request has, those that no proxy on the way may change."""


class Authorization(Protocol):
    """Gives the headers that authorise a request, which is sent at once and exactly as it is given here.

    No URL of the management API that is used here has a query.
    """

    async def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """The headers to add; their values are secrets. ``headers`` are those that are sent anyway.

        Raises ControlError when there are no credentials to be had.
        """


class Nobody:
    """No credentials: for the emulator."""

    async def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """Nothing to add."""
        return {}


class Bearer:
    """A token in X-Auth-Token."""

    def __init__(self, auth: TokenAuth) -> None:
        self._auth = auth

    async def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """The token."""
        return {"X-Auth-Token": self._auth.token}


class User:
    """A user whose token comes from IAM: obtained when it is first needed, and anew when it is due."""

    def __init__(self, auth: IamAuth, tls: ssl.SSLContext | None, clock: Clock = monotonic_ns) -> None:
        self._auth = auth
        self._tls = tls
        self._clock = clock
        self._token: TokenAuth | None = None
        self._due_ns: float = 0.0

    async def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """The token."""
        asked_ns = self._clock()
        if self._token is None or asked_ns >= self._due_ns:
            try:
                token = await obtain(self._auth, self._tls)
            except IamError as error:
                raise ControlError(str(error)) from error
            after_s = token.renew_after_s
            self._token = token.auth
            self._due_ns = float("inf") if after_s is None else asked_ns + after_s * 1e9
        return {"X-Auth-Token": self._token.token}


class Key:
    """An access key that signs each request."""

    def __init__(self, auth: KeyAuth, project_id: str, now: Callable[[], float] = time.time) -> None:
        self._auth = auth
        self._project_id = project_id
        self._now = now

    async def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """The signature, and what is signed with it."""
        project = ("X-Project-Id", self._project_id)
        signed = [*((name, headers[name]) for name in SIGNED), project]
        return dict([project, *sign(self._auth, method, urlsplit(url).path, (), signed, body, int(self._now()))])


def authorization(auth: Auth, project_id: str, tls: ssl.SSLContext | None = None) -> Authorization:
    """How a target's credentials authorise requests. ``tls`` is how IAM's certificate is checked.

    Raises ValueError for credentials that are still to be looked up in the environment.
    """
    match auth:
        case NoAuth():
            return Nobody()
        case TokenAuth():
            return Bearer(auth)
        case KeyAuth():
            return Key(auth, project_id)
        case IamAuth():
            return User(auth, tls)
        case EnvironmentAuth():
            raise ValueError("expected credentials that were looked up in the environment")
