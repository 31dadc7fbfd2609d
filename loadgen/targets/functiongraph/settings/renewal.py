"""Tokens from IAM, beside a load: obtained once, and renewed before they end without the load noticing.

A new token leaves the old one valid, so there is no instant at which a start would have to wait: the load goes on with
the old one until the new one is there. A renewal that fails is tried again while that may help, which a refused
password never does. Only tokens are asked for again; an invocation that was refused stays refused.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import aiohttp
from yarl import URL

from loadgen import __version__
from loadgen.engine.clock import Clock, monotonic_ns
from loadgen.targets.functiongraph.protocol.target import IamAuth, TokenAuth
from loadgen.targets.functiongraph.protocol.token import (
    LONGEST,
    PATH,
    IamError,
    Token,
    agency_request,
    password_request,
    read,
)
from loadgen.targets.functiongraph.settings.failure import certificate_fault
from loadgen.targets.functiongraph.settings.received import ASK_PLAIN, AnswerError, whole

_CONNECT_S = 10.0
_TOTAL_S = 30.0
_AGAIN_S = 5.0


async def obtain(iam: IamAuth, tls: ssl.SSLContext | None) -> Token:
    """A new token for the user or the agency. ``tls`` is how IAM's certificate is checked, None as the system does.

    Raises IamError. Takes at most half a minute for each of the one or two requests.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=True if tls is None else tls),
        timeout=aiohttp.ClientTimeout(total=_TOTAL_S, sock_connect=_CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_field_size=2 * LONGEST,
        headers={
            "Content-Type": "application/json;charset=utf8",
            "User-Agent": f"loadgen/{__version__}",
            **ASK_PLAIN,
        },
        auto_decompress=False,
    ) as session:
        token = await _ask(session, iam, password_request(iam), {})
        if iam.agency is None:
            return token
        return await _ask(session, iam, agency_request(iam), {"X-Auth-Token": token.auth.token})


async def _ask(session: aiohttp.ClientSession, iam: IamAuth, body: bytes, headers: dict[str, str]) -> Token:
    url = URL(iam.url + PATH, encoded=True)
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            return read(answer.status, answer.headers, await _body(answer, iam), iam)
    except TimeoutError as error:
        raise _unanswered(iam, f"nothing within {_TOTAL_S:g} s") from error
    except aiohttp.ClientConnectorCertificateError as error:
        why = certificate_fault(error.certificate_error)
        raise _unanswered(iam, f"its certificate was refused: {why}; target.tls.ca says whom to trust") from error
    except aiohttp.ClientConnectorError as error:
        raise _unanswered(iam, error.strerror or "no connection") from error
    except aiohttp.ClientError as error:
        raise _unanswered(iam, type(error).__name__) from error


async def _body(answer: aiohttp.ClientResponse, iam: IamAuth) -> bytes:
    try:
        return await whole(answer)
    except AnswerError as error:
        if answer.status != 201:
            return b""  # the status says enough
        raise IamError(f"cannot read the answer of {iam.url}: {error}. Check that it is IAM", final=True) from error


def _unanswered(iam: IamAuth, why: str) -> IamError:
    message = f"no answer from IAM at {iam.url} ({why}). Check target.auth.iam.url, and this machine's network"
    return IamError(message, final=False)


class Renewal:
    """Keeps a token good for as long as ``keep`` runs.

    ``get`` obtains one, ``renewed`` is told of each new one, ``note`` what is worth saying to the user.
    """

    def __init__(
        self,
        get: Callable[[], Awaitable[Token]],
        renewed: Callable[[TokenAuth], None],
        note: Callable[[str], None],
        *,
        clock: Clock = monotonic_ns,
    ) -> None:
        self._get = get
        self._renewed = renewed
        self._note = note
        self._clock = clock
        self._due_ns: int | None = None
        self._at_once = asyncio.Event()
        self._may_hurry = True

    async def first(self) -> None:
        """Obtain the token to begin with, and tell of it. Raises IamError."""
        self._renewed((await self._obtain()).auth)

    def refused(self) -> None:
        """The platform said that the token must be updated: do it now, once until the next one that falls due."""
        if self._may_hurry:
            self._may_hurry = False
            self._at_once.set()

    async def keep(self) -> None:
        """Renew the token whenever it is due, for ever; ends when that has become impossible."""
        while True:
            hurried = await self._due()
            try:
                token = await self._obtain()
            except IamError as error:
                self._note(f"the token could not be renewed: {error}")
                if error.final:
                    return
                self._due_ns = self._clock() + round(_AGAIN_S * 1e9)
                continue
            self._may_hurry = not hurried
            self._renewed(token.auth)

    async def _obtain(self) -> Token:
        asked_ns = self._clock()
        token = await self._get()
        after_s = token.renew_after_s
        self._due_ns = None if after_s is None else asked_ns + round(after_s * 1e9)
        return token

    async def _due(self) -> bool:
        """Wait until the token is due; whether it was hurried."""
        left_s = None if self._due_ns is None else max(0.0, (self._due_ns - self._clock()) / 1e9)
        try:
            async with asyncio.timeout(left_s):
                await self._at_once.wait()
        except TimeoutError:
            return False
        self._at_once.clear()
        return True
