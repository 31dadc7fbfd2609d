"""The emulator over real sockets, in this process."""

from __future__ import annotations

import asyncio
import json
import re
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop
from aiohttp import ClientResponse, ClientSession
from msgspec.structs import replace
from yarl import URL

from loadgen.scenario.load import load_emulator
from loadgen.targets.functiongraph.emulator import EmulatorError
from loadgen.targets.functiongraph.emulator.model import Platform
from loadgen.targets.functiongraph.emulator.server import DueAnswers, TruthLog, serve
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Work

MS = 1_000_000
HELLO = EmulatedFunction("hello", 128, Work(1 * MS, 0.3), "none", 100, True, 0.0)
SETTINGS = Emulator(
    1,
    60_000 * MS,
    (
        HELLO,
        replace(HELLO, name="fixed", dynamic_memory=False),
        replace(HELLO, name="single", max_instances=1, work=Work(60 * MS, 0.0), memory_mb=1024),
        replace(HELLO, name="faulty", errors=1.0),
    ),
)
KB = 1024
LIMIT = 6 * KB * KB
CLOSE = b"Host: x\r\nConnection: close\r\n\r\n"
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class Served:
    """A running emulator and a session to call it."""

    def __init__(self, origin: str, session: ClientSession) -> None:
        self.origin = origin
        self.session = session

    def url(self, function: str = "hello") -> URL:
        return URL(f"{self.origin}/v2/demo/fgs/functions/{function}/invocations", encoded=True)

    async def invoke(
        self, function: str = "hello", body: bytes = b"{}", headers: dict[str, str] | None = None
    ) -> tuple[ClientResponse, bytes]:
        async with self.session.post(self.url(function), data=BytesIO(body), headers=headers) as response:
            return response, await response.read()

    async def raw(self, request: bytes) -> bytes:
        """Everything the server sends until it closes the connection."""
        parts = urlsplit(self.origin)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


async def serving(truth: Path | None = None, settings: Emulator = SETTINGS) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[str] = loop.create_future()
    stop = asyncio.Event()
    server = asyncio.create_task(serve(settings, project_id="demo", truth=truth, ready=ready.set_result, stop=stop))
    server.add_done_callback(lambda _: ready.cancel())
    yield await ready
    stop.set()
    await server


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return tmp_path / "truth.ndjson"


@pytest.fixture
async def served(truth: Path) -> AsyncIterator[Served]:
    async for origin in serving(truth):
        async with ClientSession() as session:
            yield Served(origin, session)


async def test_a_function_answers_with_its_result_and_headers(served: Served) -> None:
    response, body = await served.invoke()
    assert response.status == 200
    assert json.loads(body) == {"message": "hello world from FunctionStage"}
    assert response.headers["Server"] == "loadgen-emulator"
    assert {name for name, _ in response.raw_headers if name.lower().startswith(b"x-")} == {
        b"X-Cff-Invoke-Summary",
        b"X-Cff-Request-Id",
        b"X-CFF-Billing-Duration",
        b"X-Cff-Response-Version",
        b"X-Func-Err-Code",
        b"X-Is-Func-Err",
        b"X-Request-Id",
    }


@pytest.mark.parametrize("event", [b'{ \n"message":"Hello World" \n}', b'{\n  "k" : "v"\n}'])
async def test_the_documented_example_requests_get_the_documented_example_answer(served: Served, event: bytes) -> None:
    response, body = await served.invoke(body=event)
    assert (response.status, body) == (200, b'{"message": "hello world from FunctionStage"}')


@pytest.mark.parametrize("kind", ["application/json", "application/json;charset=utf8", "text/plain"])
async def test_an_event_is_taken_for_json_whatever_its_content_type(served: Served, kind: str) -> None:
    assert (await served.invoke(headers={"Content-Type": kind}))[0].status == 200
    assert (await served.invoke(body=b"no json", headers={"Content-Type": kind}))[0].status == 406


async def test_v1_and_the_log_tail_come_when_asked_for_in_any_case(served: Served) -> None:
    response, body = await served.invoke(headers={"x-cff-request-version": "V1", "X-CFF-LOG-TYPE": "tail"})
    envelope = json.loads(body)
    assert list(envelope) == ["request_id", "result", "log", "status"]
    assert envelope["request_id"] == response.headers["X-Cff-Request-Id"]
    assert f"Finish invoke request '{envelope['request_id']}'" in envelope["log"]
    assert "X-Cff-Function-Log" in response.headers


@pytest.mark.parametrize(("kb", "tail_bytes"), [(0, 2000), (10, 2000), (10, 4096), (64, 4096)])
async def test_a_functions_log_is_as_long_as_the_scenario_says_and_cut_as_it_says(kb: int, tail_bytes: int) -> None:
    block = f"emulator: {{log_tail: {tail_bytes // 1000}KB, functions: {{hello: {{log: {kb}KB, cold_start: none}}}}}}"
    settings = load_emulator(block, source="e.yaml", environment={})
    async for origin in serving(settings=settings):
        async with ClientSession() as session:
            response, _ = await Served(origin, session).invoke(headers={"X-Cff-Log-Type": "tail"})
    tail = b64decode(response.headers["X-Cff-Function-Log"]).decode()
    assert f"Finish invoke request '{response.headers['X-Cff-Request-Id']}'" in tail
    assert ("Start invoke request" in tail) is (kb == 0)
    assert len(tail) < 1000 if kb == 0 else len(tail) == tail_bytes


@pytest.mark.parametrize(
    "function",
    [
        "urn:fss:local:demo:function:default:hello",
        "urn%3Afss%3Alocal%3Ademo%3Afunction%3Adefault%3Ahello%3Alatest",
        "default:hello",
    ],
)
async def test_names_arrive_raw_percent_encoded_and_short(served: Served, function: str) -> None:
    assert (await served.invoke(function))[0].status == 200


async def test_an_answer_takes_at_least_as_long_as_it_says(served: Served) -> None:
    for _ in range(30):
        started = time.monotonic_ns()
        response, _ = await served.invoke()
        service_time_ms = (time.monotonic_ns() - started) / MS
        assert service_time_ms >= json.loads(response.headers["X-Cff-Invoke-Summary"])["duration"]


async def test_no_answer_leaves_before_the_instant_of_the_model(truth: Path) -> None:
    ended: dict[str, int] = {}

    async def call(served: Served) -> None:
        response, _ = await served.invoke()
        ended[response.headers["X-Cff-Request-Id"]] = time.monotonic_ns()

    async for origin in serving(truth):
        async with ClientSession() as session:
            await asyncio.gather(*(call(Served(origin, session)) for _ in range(50)))
    records = [json.loads(line) for line in truth.read_bytes().splitlines()]
    assert {record["request_id"] for record in records} == set(ended)
    assert all(record["ends_at_ns"] <= ended[record["request_id"]] for record in records)


async def test_the_truth_log_is_flushed_each_second(served: Served, truth: Path) -> None:
    await served.invoke()
    await asyncio.sleep(1.1)
    assert truth.read_bytes().count(b"\n") == 1


async def test_the_memory_size_is_chosen_per_call_where_the_function_allows_it(served: Served) -> None:
    for function, size in (("hello", 512), ("fixed", 128)):
        response, _ = await served.invoke(function, headers={"X-Cff-Instance-Memory": "512"})
        assert json.loads(response.headers["X-Cff-Invoke-Summary"])["memorySize"] == size


async def test_a_call_beyond_the_maximum_of_instances_is_throttled_at_once(served: Served) -> None:
    first = asyncio.create_task(served.invoke("single"))
    await asyncio.sleep(0.02)
    response, body = await served.invoke("single")
    assert not first.done()
    assert response.status == 429
    assert json.loads(body)["error_code"] == "FSS.0429"
    assert (await first)[0].status == 200


async def test_an_error_of_the_function_is_a_200_with_its_code(served: Served) -> None:
    response, body = await served.invoke("faulty")
    assert response.status == 200
    assert (response.headers["X-Is-Func-Err"], response.headers["X-Func-Err-Code"]) == ("true", "4002")
    assert json.loads(body)["errorType"] == "Exception"


@pytest.mark.parametrize(
    ("function", "headers", "body", "status", "code"),
    [
        ("nobody", {}, b"{}", 404, "FSS.1051"),
        ("urn:fss:x", {}, b"{}", 404, "FSS.0404"),
        ("hello", {"X-Cff-Instance-Memory": "100"}, b"{}", 406, "FSS.0406"),
        ("hello", {}, b"no json", 406, "FSS.0406"),
        ("hello", {"Content-Encoding": "deflate"}, b"no deflate either", 406, "FSS.0406"),
    ],
)
async def test_a_refusal_keeps_the_connection_usable(
    served: Served, function: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    response, envelope = await served.invoke(function, body, headers)
    assert (response.status, json.loads(envelope)["error_code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/json"
    assert (await served.invoke())[0].status == 200


async def test_other_methods_and_paths_have_the_envelope_too(served: Served) -> None:
    async with served.session.get(served.url()) as response:
        assert (response.status, (await response.json())["error_code"]) == (405, "FSS.0405")
    async with served.session.get(served.origin + "/anything?x=1") as response:
        assert (response.status, (await response.json())["error_code"]) == (404, "APIG.0101")


async def test_an_event_of_exactly_the_limit_is_taken_and_one_byte_more_is_too_large(served: Served) -> None:
    assert (await served.invoke(body=b'"' + b"x" * (LIMIT - 2) + b'"'))[0].status == 200
    response, body = await served.invoke(body=b'"' + b"x" * (LIMIT - 1) + b'"')
    assert (response.status, json.loads(body)["error_code"]) == (413, "FSS.0413")
    assert (await served.invoke())[0].status == 200


async def test_an_empty_event_and_one_without_a_length_are_taken(served: Served) -> None:
    assert (await served.invoke(body=b""))[0].status == 200

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"a":'
        yield b"1}"

    async with served.session.post(served.url(), data=chunks()) as response:
        assert response.status == 200


async def test_a_header_of_32_kb_is_taken_and_one_byte_more_is_too_large(served: Served) -> None:
    assert (await served.invoke(headers={"X-Auth-Token": "t" * 32 * KB}))[0].status == 200
    response, body = await served.invoke(headers={"X-Auth-Token": "t" * (32 * KB + 1)})
    assert (response.status, json.loads(body)["error_code"]) == (494, "APIG.0201")
    assert (await served.invoke())[0].status == 200


@pytest.mark.parametrize("size", [129 * KB, 300 * KB])
async def test_headers_that_are_too_large_in_all_are_refused_without_repeating_them(served: Served, size: int) -> None:
    fields = b"".join(b"X-%d: %s\r\n" % (n, b"s" * 16 * KB) for n in range(size // (16 * KB) + 1))
    answer = await served.raw(b"POST /v2/demo/fgs/functions/hello/invocations HTTP/1.1\r\n" + fields + CLOSE)
    assert answer.startswith(b"HTTP/1.1 494 Request Header Too Large\r\n")
    assert b"ssss" not in answer


async def test_a_header_beyond_every_limit_is_refused_without_repeating_it(served: Served) -> None:
    answer = await served.raw(b"POST / HTTP/1.1\r\nX-Auth-Token: " + b"s" * 500 * KB + b"\r\n" + CLOSE)
    assert b" 494 " in answer.split(b"\r\n")[0]
    assert b"ssss" not in answer


@pytest.mark.parametrize("size", [33 * KB, 100 * KB])
async def test_a_path_over_32_kb_is_too_long(served: Served, size: int) -> None:
    answer = await served.raw(b"GET /" + b"a" * size + b" HTTP/1.1\r\n" + CLOSE)
    assert b" 414 " in answer.split(b"\r\n")[0]
    assert b"APIG.0201" in answer


async def test_a_body_over_12_mb_is_the_gateways_to_refuse(served: Served) -> None:
    response, body = await served.invoke(body=b"x" * (2 * LIMIT + 1))
    assert (response.status, json.loads(body)["error_code"]) == (413, "APIG.0201")


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(served: Served) -> None:
    parts = urlsplit(served.origin)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        b"POST /v2/demo/fgs/functions/hello/invocations HTTP/1.1\r\nHost: x\r\n"
        b"Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()


async def test_what_is_not_http_gets_the_envelope_and_the_connection_is_closed(served: Served) -> None:
    answer = await served.raw(b"\x16\x03\x01 hello\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") or head.startswith(b"HTTP/1.0 400 ")
    assert json.loads(body)["error_code"] == "APIG.0201"


async def test_a_body_that_breaks_off_in_its_chunks_gets_the_envelope(served: Served) -> None:
    answer = await served.raw(
        b"POST /v2/demo/fgs/functions/hello/invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    assert b"APIG.0201" in answer


async def test_a_client_that_goes_away_disturbs_nobody(served: Served) -> None:
    parts = urlsplit(served.origin)
    request = b"POST /v2/demo/fgs/functions/hello/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    for body in (b"{}", b"{"):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request + body)
        await writer.drain()
        writer.transport.abort()
    assert (await served.invoke())[0].status == 200


async def test_the_connection_stays_open_between_calls(served: Served) -> None:
    parts = urlsplit(served.origin)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for _ in range(3):
        writer.write(b"POST /v2/demo/fgs/functions/hello/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
    writer.close()
    await writer.wait_closed()


async def test_refused_requests_are_not_in_the_truth_log_and_throttled_ones_are(truth: Path) -> None:
    async for origin in serving(truth):
        async with ClientSession() as session:
            served = Served(origin, session)
            await served.invoke("nobody")
            await asyncio.gather(served.invoke("single"), served.invoke("single"))
    statuses = [json.loads(line)["status"] for line in truth.read_bytes().splitlines()]
    assert statuses == [200, 429]


async def test_a_stop_cuts_off_calls_in_flight(tmp_path: Path) -> None:
    slow = Emulator(1, 60_000 * MS, (replace(HELLO, work=Work(60_000 * MS, 0.0)),))
    started = time.monotonic()
    async for origin in serving(tmp_path / "truth.ndjson", slow):
        parts = urlsplit(origin)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"POST /v2/demo/fgs/functions/hello/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.05)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert time.monotonic() - started < 30


async def test_an_origin_on_ipv6_has_its_brackets() -> None:
    stop = asyncio.Event()
    origins: list[str] = []

    def ready(origin: str) -> None:
        origins.append(origin)
        stop.set()

    try:
        await serve(SETTINGS, project_id="demo", truth=None, ready=ready, stop=stop, host="::1")
    except EmulatorError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert re.fullmatch(r"http://\[::1\]:\d+", origins[0])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", ""])
async def test_hosts_other_than_loopback_are_refused(host: str) -> None:
    with pytest.raises(EmulatorError, match="the emulator listens on loopback only"):
        await serve(SETTINGS, project_id="demo", truth=None, ready=lambda _: None, stop=asyncio.Event(), host=host)


async def test_a_taken_port_is_named(served: Served) -> None:
    port = urlsplit(served.origin).port
    assert port is not None
    with pytest.raises(EmulatorError, match=f"port {port} of 127.0.0.1 is in use: choose another one"):
        await serve(SETTINGS, project_id="demo", truth=None, ready=lambda _: None, stop=asyncio.Event(), port=port)


def test_a_truth_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match=r"cannot write the truth log .*: No such file or directory"):
        TruthLog(tmp_path / "missing" / "truth.ndjson")


def test_a_truth_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (tmp_path / "truth").symlink_to(mine)
    with pytest.raises(EmulatorError, match="truth"):
        TruthLog(tmp_path / "truth")
    assert mine.read_text() == "precious"


def test_a_truth_log_on_a_full_disk_is_an_error_at_the_next_flush() -> None:
    call = Platform(SETTINGS).arrive(0, "hello", None)
    log = TruthLog(Path("/dev/full"))
    log.write(call)
    with pytest.raises(EmulatorError, match="cannot write the truth log /dev/full: No space left"):
        log.flush()
    with pytest.raises(EmulatorError), log:
        pass  # closing tries once more


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_waits_end_in_order_of_their_instants_and_never_early(new_loop: LoopFactory) -> None:
    delays_us = [5_300, 400, 12_000, 2_600, 400, 9_999]
    lateness_ns: dict[int, int] = {}

    async def wait(due: DueAnswers, number: int, instant_ns: int) -> None:
        await due.wait_until(instant_ns)
        lateness_ns[number] = time.monotonic_ns() - instant_ns

    async def wait_for_all() -> None:
        due = DueAnswers(asyncio.get_running_loop())
        base_ns = time.monotonic_ns()
        waits = (wait(due, number, base_ns + delay_us * 1000) for number, delay_us in enumerate(delays_us))
        await asyncio.gather(*waits)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(wait_for_all())
    assert list(lateness_ns) == sorted(lateness_ns, key=delays_us.__getitem__)
    assert min(lateness_ns.values()) >= 0


async def test_a_timer_that_fires_early_is_set_again() -> None:
    """The clock stands still until it is moved, so every timer of the loop fires early."""
    now_ns = 0
    due = DueAnswers(asyncio.get_running_loop(), clock=lambda: now_ns)
    wait = due.wait_until(3 * MS)
    await asyncio.sleep(0.02)
    assert not wait.done()
    now_ns = 3 * MS
    await asyncio.wait_for(wait, 1)


async def test_cancelling_ends_every_wait() -> None:
    due = DueAnswers(asyncio.get_running_loop())
    waits = [due.wait_until(time.monotonic_ns() + 1000 * MS) for _ in range(3)]
    due.cancel()
    assert all(wait.cancelled() for wait in waits)
