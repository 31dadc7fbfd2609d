"""Credentials, failures and the management API over real sockets; and everything that no client should send."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from aiohttp import ClientError, ClientSession
from hypothesis import HealthCheck, given
from hypothesis import settings as checking
from hypothesis import strategies as st
from msgspec.structs import replace
from yarl import URL

from loadgen.targets.functiongraph.emulator.server import serve
from loadgen.targets.functiongraph.protocol.platform import (
    CredentialCheck,
    EmulatedFunction,
    Emulator,
    Injected,
    Throttle,
    Work,
)
from loadgen.targets.functiongraph.protocol.request import request_template
from loadgen.targets.functiongraph.protocol.response import classify_function
from loadgen.targets.functiongraph.protocol.signature import sign
from loadgen.targets.functiongraph.protocol.target import KeyAuth, ResponseVersion
from loadgen.targets.remedy import remedy
from tests.scenarios import function

MS = 1_000_000
HELLO = EmulatedFunction("hello", 1024, Work(1 * MS, 0.0), "none", 100, True, 0.0)
PLATFORM = Emulator(1, 60_000 * MS, (HELLO,))
STRICT = replace(PLATFORM, auth=CredentialCheck.STRICT)
FUNCTIONS = "/v2/demo/fgs/functions"
INVOKE = f"{FUNCTIONS}/hello/invocations"
URN = "urn:fss:local:demo:function:default:hello:latest"


class Client:
    """A session with an emulator; every answer comes as status, headers and JSON."""

    def __init__(self, origin: str, session: ClientSession) -> None:
        self.origin = origin
        self.session = session

    async def ask(
        self, method: str, path: str, document: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], Any]:
        body = b"" if document is None else json.dumps(document).encode()
        url = URL(self.origin + path, encoded=True)
        async with self.session.request(method, url, data=body, headers=headers) as answer:
            text = await answer.text()
            found = json.loads(text) if text.startswith(("{", "[")) else text
            return answer.status, answer.headers, found

    async def invoke(self, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Status of an invocation, and its error code."""
        status, answered, body = await self.ask("POST", INVOKE, {}, headers)
        return status, body.get("error_code") or answered.get("X-Func-Err-Code", "")

    async def token(self, password: str = "demo") -> tuple[int, str]:
        user = {"name": "demo", "password": password, "domain": {"name": "demo"}}
        identity = {"methods": ["password"], "password": {"user": user}}
        request = {"auth": {"identity": identity, "scope": {"project": {"name": "local"}}}}
        status, headers, _ = await self.ask("POST", "/v3/auth/tokens?nocatalog=true", request)
        return status, headers.get("X-Subject-Token", "")

    def signed(self, key: KeyAuth, method: str, path: str, body: bytes) -> dict[str, str]:
        parts = urlsplit(path)
        query = [tuple(pair.split("=")) for pair in parts.query.split("&") if pair]
        headers = {"Host": urlsplit(self.origin).netloc, "Content-Type": "application/json"}
        added = sign(key, method, parts.path, query, list(headers.items()), body, int(time.time()))  # type: ignore[arg-type]
        return headers | dict(added)

    async def raw(self, request: bytes, *, patience_s: float = 5.0) -> bytes:
        """Everything the server sends until it closes the connection, or for so long."""
        parts = urlsplit(self.origin)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        received = b""
        try:
            writer.write(request)
            async with asyncio.timeout(patience_s):
                while chunk := await reader.read(1 << 16):
                    received += chunk
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()
        return received


@asynccontextmanager
async def emulated(settings: Emulator = PLATFORM) -> AsyncIterator[Client]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    server = asyncio.create_task(serve(settings, project_id="demo", truth=None, ready=ready.set_result, stop=stop))
    async with ClientSession() as session:
        yield Client(await ready, session)
    stop.set()
    await server


# Credentials


async def test_the_password_flow_leads_from_a_version_document_to_an_invocation() -> None:
    async with emulated(STRICT) as client:
        status, _, document = await client.ask("GET", "/v3")
        assert (status, document["version"]["id"]) == (200, "v3.6")
        assert document["version"]["links"][0]["href"] == f"{client.origin}/v3/"
        assert await client.invoke() == (401, "APIG.0301")
        status, token = await client.token()
        assert status == 201
        assert await client.invoke({"X-Auth-Token": token}) == (200, "0")
        assert (await client.token("wrong"))[0] == 401


async def test_an_expired_token_must_be_updated() -> None:
    async with emulated(replace(STRICT, token_lifetime_ns=300 * MS)) as client:
        _, token = await client.token()
        assert await client.invoke({"X-Auth-Token": token}) == (200, "0")
        await asyncio.sleep(0.35)
        assert await client.invoke({"X-Auth-Token": token}) == (401, "APIG.0307")


@pytest.mark.parametrize("name", ["hello", URN, quote(URN, safe="")])
async def test_a_signed_request_is_accepted_however_its_path_is_encoded(name: str) -> None:
    path = f"{FUNCTIONS}/{name}/invocations"
    async with emulated(STRICT) as client:
        right = client.signed(KeyAuth("AKDEMO", "SKDEMO"), "POST", path, b"{}")
        assert (await client.ask("POST", path, {}, right))[0] == 200
        wrong = client.signed(KeyAuth("AKDEMO", "wrong"), "POST", path, b"{}")
        status, headers, body = await client.ask("POST", path, {}, wrong)
        assert (status, body["error_code"], body["request_id"]) == (401, "APIG.0301", headers["X-Request-Id"])


@pytest.mark.parametrize(("off_s", "expected"), [(1000, "16 minutes ahead of"), (-4000, "66 minutes behind")])
async def test_a_clock_that_is_off_is_said_plainly_in_loadgens_remedy(off_s: int, expected: str) -> None:
    async with emulated(STRICT) as client:
        target = replace(function(client.origin, fresh=True), auth=KeyAuth("AKDEMO", "SKDEMO"))
        received = await client.raw(request_template(target).render(b"{}", False, int(time.time()) + off_s))
    head, _, body = received.partition(b"\r\n\r\n")
    facts = classify_function(int(head.split()[1]), {}, body, ResponseVersion.V0)
    assert (facts.status, facts.error_code) == (401, "APIG.0301")
    assert f"this machine's clock is {expected} the platform's" in remedy(facts, target, body=body)


async def test_the_query_of_a_signed_request_is_signed_too() -> None:
    path = f"{FUNCTIONS}/reservedinstances?limit=5&marker=0"
    async with emulated(STRICT) as client:
        headers = client.signed(KeyAuth("AKDEMO", "SKDEMO"), "GET", path, b"")
        assert (await client.ask("GET", path, None, headers))[0] == 200
        assert (await client.ask("GET", path.replace("5", "6"), None, headers))[0] == 401


async def test_credentials_are_asked_for_before_anything_is_told() -> None:
    async with emulated(STRICT) as client:
        for path in (f"{FUNCTIONS}/nobody/config", "/v2/theirs/fgs/quotas", "/v3/projects"):
            assert (await client.ask("GET", path))[0] == 401
        _, token = await client.token()
        headers = {"X-Auth-Token": token}
        assert (await client.ask("GET", f"{FUNCTIONS}/nobody/config", None, headers))[2]["error_code"] == "FSS.1051"
        assert (await client.ask("GET", "/v2/theirs/fgs/quotas", None, headers))[0] == 403
        assert (await client.ask("GET", "/v3/projects", None, headers))[2]["projects"][0]["id"] == "demo"


async def test_lenient_wants_credentials_and_believes_them() -> None:
    async with emulated(replace(PLATFORM, auth=CredentialCheck.LENIENT)) as client:
        assert await client.invoke() == (401, "APIG.0301")
        assert await client.invoke({"X-Auth-Token": "any"}) == (200, "0")


# Failures


@pytest.mark.parametrize(
    ("code", "status", "seen"),
    [
        ("FSS.0500", 500, "FSS.0500"),
        ("FSS.1402", 503, "FSS.1402"),
        ("APIG.0308", 429, "APIG.0308"),
        ("APIGW.0301", 401, "APIGW.0301"),
        ("4205", 200, "4205"),
        ("150430", 500, "150430"),
    ],
)
async def test_a_fault_arrives_with_its_status_and_code(code: str, status: int, seen: str) -> None:
    async with emulated(replace(PLATFORM, functions=(replace(HELLO, faults=(Injected(code, 1.0),)),))) as client:
        assert await client.invoke() == (status, seen)


async def test_a_proxys_page_is_html() -> None:
    async with emulated(replace(PLATFORM, functions=(replace(HELLO, faults=(Injected("502", 1.0),)),))) as client:
        status, headers, body = await client.ask("POST", INVOKE, {})
        assert (status, headers["Content-Type"], body) == (502, "text/html", "<html><body><h1>502</h1></body></html>")


async def test_a_connection_can_be_closed_without_an_answer() -> None:
    async with emulated(replace(PLATFORM, functions=(replace(HELLO, faults=(Injected("close", 1.0),)),))) as client:
        with pytest.raises(ClientError):
            await client.ask("POST", INVOKE, {})
        request = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" % INVOKE.encode()
        assert await client.raw(request) == b""


async def test_the_gateway_cuts_an_answer_that_takes_too_long() -> None:
    slow = replace(HELLO, work=Work(30_000 * MS, 0.0))
    async with emulated(replace(PLATFORM, functions=(slow,), gateway_timeout_ns=200 * MS)) as client:
        started = time.monotonic()
        assert await client.invoke() == (504, "APIG.0203")
        assert 0.2 <= time.monotonic() - started < 20


async def test_a_call_waits_for_an_instance_and_is_then_throttled() -> None:
    busy = replace(HELLO, work=Work(400 * MS, 0.0), max_instances=1)
    queue = replace(PLATFORM, functions=(busy,), throttle=Throttle.QUEUE, queue_timeout_ns=500 * MS)
    async with emulated(queue) as client:
        started = time.monotonic()
        answers = await asyncio.gather(*(client.invoke() for _ in range(3)))
        assert sorted(answers) == [(200, "0"), (200, "0"), (429, "FSS.0429")]
        assert time.monotonic() - started >= 0.8


async def test_a_region_is_compared_where_the_platform_has_one() -> None:
    async with emulated(replace(PLATFORM, region="eu-de")) as client:
        assert (await client.ask("POST", f"{FUNCTIONS}/{URN}/invocations", {}))[2]["error_code"] == "FSS.1309"
        assert await client.invoke() == (200, "0")


# The management API


async def test_settings_changed_over_the_api_change_the_next_call() -> None:
    async with emulated() as client:
        _, _, config = await client.ask("GET", f"{FUNCTIONS}/{URN}/config")
        status, _, updated = await client.ask("PUT", f"{FUNCTIONS}/{URN}/config", config | {"memory_size": 512})
        assert (status, updated["memory_size"]) == (200, 512)
        _, headers, _ = await client.ask("POST", INVOKE, {})
        assert json.loads(headers["X-Cff-Invoke-Summary"])["memorySize"] == 512


async def test_an_alias_made_over_the_api_can_be_invoked_and_deleted() -> None:
    async with emulated() as client:
        await client.ask("POST", f"{FUNCTIONS}/hello/versions", {"version": "v1"})
        await client.ask("POST", f"{FUNCTIONS}/hello/aliases", {"name": "prod", "version": "v1"})
        path = f"{FUNCTIONS}/{quote('urn:fss:local:demo:function:default:hello:!prod', safe='')}/invocations"
        status, _, body = await client.ask("POST", path, {}, {"X-Cff-Request-Version": "v1", "X-Cff-Log-Type": "tail"})
        assert (status, "version: v1" in body["log"]) == (200, True)
        assert (await client.ask("DELETE", f"{FUNCTIONS}/hello/aliases/prod"))[0] == 204
        assert (await client.ask("POST", path, {}))[2]["error_code"] == "FSS.1053"


# Connections


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    async with emulated(replace(PLATFORM, idle_timeout_ns=300 * MS)) as client:
        parts = urlsplit(client.origin)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"GET /v3 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()


@pytest.mark.parametrize(
    ("line", "closes"),
    [
        (b"HTTP/1.1\r\nHost: x", False),
        (b"HTTP/1.1\r\nHost: x\r\nConnection: close", True),
        (b"HTTP/1.0", True),
    ],
)
async def test_a_connection_stays_open_as_http_says(line: bytes, closes: bool) -> None:
    async with emulated() as client:
        parts = urlsplit(client.origin)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"POST " + INVOKE.encode() + b" " + line + b"\r\nContent-Length: 0\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        try:
            async with asyncio.timeout(5 if closes else 0.1):
                assert await reader.read(1) == b""
            assert closes
        except TimeoutError:
            assert not closes
        writer.close()


async def test_requests_sent_at_once_are_answered_in_order() -> None:
    async with emulated() as client:
        requests = b"".join(
            b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path, b"Connection: close\r\n" if last else b"")
            for path, last in ((b"/v3", False), (b"/nowhere", False), (b"/v2/demo/fgs/quotas", True))
        )
        answers = await client.raw(requests)
        assert answers.count(b"HTTP/1.1 ") == 3
        assert answers.index(b"v3.6") < answers.index(b"APIG.0101") < answers.index(b"quotas")


HEADS = st.sampled_from(
    [
        b"POST /v2/demo/fgs/functions/hello/invocations HTTP/1.1\r\n",
        b"PUT /v2/demo/fgs/functions/hello/config HTTP/1.1\r\n",
        b"POST /v3/auth/tokens HTTP/1.1\r\n",
        b"GET /v2/demo/fgs/functions?func_name=%ff HTTP/1.1\r\n",
        b"GET http:///x HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"",
    ]
)
FIELDS = st.lists(
    st.sampled_from(
        [
            b"Host: x\r\n",
            b"Content-Length: 5\r\n",
            b"Content-Length: -1\r\n",
            b"Content-Length: 99999999999999999999\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Type: \xff\xfe\r\n",
            b"X-Auth-Token: \xff\r\n",
            b"Authorization: SDK-HMAC-SHA256 \xff\r\n",
            b"X-Cff-Instance-Memory: \xff\r\n",
            b"Expect: 100-continue\r\n",
            b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
            b"no colon\r\n",
            b": empty\r\n",
        ]
    ),
    max_size=5,
)


REQUESTS = st.builds(
    lambda head, fields, end, rest: head + b"".join(fields) + end + rest,
    HEADS,
    FIELDS,
    st.sampled_from([b"\r\n", b""]),
    st.binary(max_size=30),
)


async def test_nothing_that_is_sent_stops_it_from_serving_the_next_caller(caplog: pytest.LogCaptureFixture) -> None:
    async with emulated(STRICT) as client:
        loop = asyncio.get_running_loop()
        found: list[bytes] = []

        async def send_all(requests: list[bytes]) -> None:
            found.extend(await asyncio.gather(*(client.raw(request, patience_s=0.3) for request in requests)))

        @checking(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(requests=st.lists(REQUESTS, min_size=20, max_size=40))
        def send(requests: list[bytes]) -> None:
            asyncio.run_coroutine_threadsafe(send_all(requests), loop).result(20)

        await asyncio.to_thread(send)
        answers = [answer for answer in found if answer]
        assert all(answer.startswith(b"HTTP/1.") for answer in answers)
        assert {answer[9:10] for answer in answers} <= {b"1", b"2", b"4"}
        assert any(b"APIG.0201" in answer for answer in answers)
        _, token = await client.token()
        assert await client.invoke({"X-Auth-Token": token}) == (200, "0")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
