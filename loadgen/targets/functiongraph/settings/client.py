"""The management API over HTTP: functions' config, and the account's quotas.

Config is changed by read-modify-write. The API makes five fields of it mandatory and may reset the others when they are
left out, so everything that was read is sent back, fields unknown here included, but for what the platform itself
derives (``DERIVED``). The one thing it does not give back are the values of encrypted environment variables: the config
of a function that has some cannot be written without losing them, and is refused.

Every request has its own connection and its time limits. Reads are made again, once, when the connection fails; writes
never, as nobody could tell whether the first one arrived before it was looked at (``again``).

Sources: FunctionGraph API reference, Querying and Modifying the Metadata of a Function, Querying Tenant Quotas;
huaweicloud/terraform-provider-huaweicloud#6336 (encrypted_user_data comes back without its values);
opentelekomcloud/terraform-provider-opentelekomcloud#2936 (fields that are left out are reset).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec.structs import replace
from yarl import URL

from loadgen import __version__
from loadgen.engine.address import AddressError, tls_context
from loadgen.targets.endpoint import in_clear
from loadgen.targets.error_body import error_body
from loadgen.targets.functiongraph.protocol.target import FunctionTarget
from loadgen.targets.functiongraph.protocol.urn import Urn, UrnError, parse
from loadgen.targets.functiongraph.settings.authorization import Authorization, Nobody, authorization
from loadgen.targets.functiongraph.settings.edit import DEEPEST, Document, too_deep
from loadgen.targets.functiongraph.settings.failure import ControlError, certificate_fault, refused, unanswered
from loadgen.targets.functiongraph.settings.journal import Resource
from loadgen.targets.functiongraph.settings.received import ASK_PLAIN, AnswerError, whole
from loadgen.targets.request import origin_of
from loadgen.text.secret import hidden

TOTAL_S = 30.0
"""Limit of one request."""
CONNECT_S = 10.0

DERIVED = frozenset(
    {
        "func_id", "resource_id", "func_urn", "domain_id", "namespace", "project_name", "package", "cpu", "code_url",
        "code_filename", "code_size", "digest", "version", "image_name", "last_modified", "dependencies", "fail_count",
        "type",
    }
)  # fmt: skip
"""Fields of a config that say what it is or follow from the rest; they are neither sent nor compared."""

MANDATORY = ("func_name", "runtime", "timeout", "handler", "memory_size")
"""Fields without which the API takes no config."""


class Control:
    """One endpoint's management API. Use it as an async context manager; every method raises ControlError."""

    def __init__(
        self,
        endpoint: str,
        project_id: str,
        authorization: Authorization,
        *,
        tls: ssl.SSLContext | None = None,
        insecure_auth: bool = False,
    ) -> None:
        """``tls`` says how an https:// server's certificate is checked; None as the system does.

        Raises ControlError for an endpoint that is no origin, and unless ``insecure_auth`` allows it for credentials
        over http:// to another machine.
        """
        try:
            origin = origin_of(endpoint)
        except ValueError as error:
            raise ControlError(str(error)) from error
        if in_clear(endpoint) and not insecure_auth and not isinstance(authorization, Nobody):
            raise ControlError(
                f"{endpoint}: credentials would be sent unencrypted to another machine; use https:// for it"
            )
        self.endpoint = endpoint.rstrip("/")
        self.project_id = project_id
        self._host = origin.authority
        self._authorization = authorization
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=True if self._tls is None else self._tls, force_close=True),
            timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            headers=ASK_PLAIN,
            auto_decompress=False,
            middlewares=(_never_again,),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    def resource(self, function: Urn) -> Resource:
        """The config of a function, as it can be read and written here.

        Raises ControlError for that of a published version, which is meant to stay as it is.
        """
        if function.qualifier not in (None, "latest"):
            raise ControlError(
                f"cannot change the config of {function.text}: a published version stays as it is. "
                "Name the function without it, or with latest"
            )
        return Resource(self.endpoint, self.project_id, function.text)

    async def config(self, function: Urn) -> dict[str, Any]:
        """A function's config, every field of it."""
        return await self._object("GET", f"{_path(function)}/config")

    async def set_config(self, function: Urn, config: Document) -> None:
        """Replace the config of a function's latest version, given as it was read, with what is to change in it."""
        _writable(function, config)
        body = {key: value for key, value in config.items() if key not in DERIVED}
        await self._object("PUT", f"{_path(_latest(function))}/config", body)

    async def quotas(self) -> dict[str, int]:
        """The account's quotas by type, such as ``fgs_func_qos_limit``."""
        quotas = (await self._object("GET", "quotas")).get("quotas")
        resources = _list(quotas, "resources") if isinstance(quotas, Mapping) else []
        return {
            each["type"]: each["quota"]
            for each in resources
            if isinstance(each.get("type"), str) and isinstance(each.get("quota"), int)
        }

    async def read(self, resource: Resource) -> dict[str, Any]:
        """See ``again.Platform``."""
        config = await self.config(_latest(self._function(resource)))
        return {key: value for key, value in config.items() if key not in DERIVED}

    async def write(self, resource: Resource, wanted: Document) -> None:
        """See ``again.Platform``."""
        await self.set_config(self._function(resource), wanted)

    def _function(self, resource: Resource) -> Urn:
        try:
            return parse(resource.function, project_id=self.project_id)
        except UrnError as error:
            raise ControlError(str(error)) from error

    async def _object(self, method: str, path: str, body: Document | None = None) -> dict[str, Any]:
        answer = await self._exchange(method, path, body)
        try:
            said = msgspec.json.decode(answer, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            why = f"that is no JSON object ({error})"
        else:
            if not too_deep(said):
                return said
            why = f"whose JSON is nested more than {DEEPEST} deep"
        if method != "GET":  # it is carried out, whatever the answer says; reading it back tells
            return {}
        raise _not_ours(f"{method} {path} at {self.endpoint}", why)

    async def _exchange(self, method: str, path: str, body: Document | None) -> bytes:
        url = f"{self.endpoint}/v2/{quote(self.project_id, safe='')}/fgs/{path}"
        content = b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        what = f"{method} {path} at {self.endpoint}"
        try:
            try:
                return await self._send(method, url, content, what)
            except aiohttp.ClientConnectionError as error:
                if method != "GET" or isinstance(error, TimeoutError):
                    raise
                return await self._send(method, url, content, what)
        except TimeoutError as error:
            raise unanswered(what, f"nothing within {TOTAL_S:g} s", write=method != "GET") from error
        except aiohttp.ClientError as error:
            sent = not isinstance(error, aiohttp.ClientConnectorError)
            raise unanswered(what, _why(error), write=sent and method != "GET") from error

    async def _send(self, method: str, url: str, content: bytes, what: str) -> bytes:
        assert self._session is not None
        headers = {"Host": self._host, "Content-Type": "application/json", "User-Agent": f"loadgen/{__version__}"}
        authorising = await self._authorization(method, url, headers, content)
        async with self._session.request(
            method,
            URL(url, encoded=True),
            data=content or None,
            headers={**headers, **authorising},
            allow_redirects=False,
        ) as response:
            success = response.status // 100 == 2
            try:
                answer = await whole(response)
            except AnswerError as error:
                if success and method == "GET":
                    raise _not_ours(what, f"that cannot be read: {error}") from error
                answer = b""  # the status says enough
            if success:
                return answer
            said = error_body(answer)
            secrets = tuple(sorted(authorising.values(), key=len, reverse=True))
            message = None if said.message is None else hidden(said.message, secrets)
            code = None if said.code is None else hidden(said.code, secrets)
            raise refused(what, response.status, code, message)


def control_of(target: FunctionTarget) -> Control:
    """The management API of a target, asked with its credentials and certificates. Raises ControlError.

    The credentials must have been looked up.
    """
    try:
        tls = tls_context(target.tls)
    except AddressError as error:
        raise ControlError(str(error)) from error
    allowed = authorization(target.auth, target.project_id, tls)
    return Control(target.endpoint, target.project_id, allowed, tls=tls, insecure_auth=target.insecure_auth)


async def _never_again(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from making PUT and DELETE again when the connection breaks, which it does by itself."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenError(_why(error)) from error


class _BrokenError(aiohttp.ClientConnectionError):
    """The connection broke after the request was sent, or while it was."""


def _not_ours(what: str, why: str) -> ControlError:
    """The error for an answer that the management API would not give."""
    return ControlError(f"{what}: got an answer {why}. Check that the endpoint is FunctionGraph's")


def _why(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate was refused: {certificate_fault(error.certificate_error)}"
    return str(error) or type(error).__name__


def _writable(function: Urn, config: Document) -> None:
    if missing := [key for key in MANDATORY if config.get(key) in (None, "")]:
        raise ControlError(
            f"cannot change the config of {function.text}: it was read without {', '.join(missing)}, which the "
            "platform wants back"
        )
    if config.get("encrypted_user_data") not in (None, "", "{}"):
        raise ControlError(
            f"cannot change the config of {function.text}: it has encrypted environment variables, whose values the "
            "platform does not give back, so writing the config would lose them. Use a copy without them"
        )


def _path(function: Urn) -> str:
    return f"functions/{function.path_segment}"


def _latest(function: Urn) -> Urn:
    """The function itself, without a version or an alias."""
    return replace(function, qualifier=None)


def _list(answer: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = answer.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
