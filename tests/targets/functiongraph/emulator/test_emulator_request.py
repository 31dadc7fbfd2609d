"""What the emulator accepts, and which error it answers otherwise."""

from __future__ import annotations

import inspect
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from loadgen.targets.functiongraph.emulator.answer import Refusal, refused
from loadgen.targets.functiongraph.emulator.request import (
    MAX_BODY_BYTES,
    MAX_EVENT_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS_BYTES,
    MAX_PATH_BYTES,
    Invocation,
    Route,
    over_limit,
    read_invocation,
    read_path,
)
from loadgen.targets.functiongraph.protocol.target import MEMORY_SIZES_MB, ResponseVersion

URN = "urn:fss:local:demo:function:default:hello"


def path(function: str, project: str = "demo") -> str:
    return f"/v2/{project}/fgs/functions/{function}/invocations"


def refusal(found: object) -> tuple[int, str]:
    """Status and code of a refusal, whose body is the platform's envelope."""
    assert isinstance(found, Refusal)
    answer = refused(found, "some-id")
    body = json.loads(answer.body)
    if found.code.startswith("APIG"):
        assert body.pop("request_id") == "some-id"
    assert body == {"error_code": found.code, "error_msg": found.message}
    assert found.message
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status, found.code


def route(raw_path: str, method: str = "POST", region: str | None = None) -> Route | Refusal:
    """What a path leads to; a route to nowhere is the refusal."""
    found = read_path(method, raw_path, "demo", region)
    return found.refusal if isinstance(found, Route) and found.refusal is not None else found


def invocation(headers: dict[str, str], body: bytes = b"{}") -> Invocation | Refusal:
    return read_invocation(CIMultiDict(headers), body)


@pytest.mark.parametrize(
    "function",
    [
        URN,
        f"{URN}:latest",
        "urn:fss:eu-de:demo:function:default:hello:latest",  # the emulator stands in for every region
        quote(f"{URN}:latest", safe=""),
        "hello",
        "default:hello",
        "demo:default:hello",
        "demo:default:hello:latest",
        "demo%3Adefault%3Ahello%3Alatest",
    ],
)
def test_every_form_of_a_name_leads_to_the_function(function: str) -> None:
    found = route(path(function))
    assert isinstance(found, Route)
    assert found.invokes
    assert found.urn is not None
    assert (found.urn.name, found.urn.qualifier or "latest") == ("hello", "latest")


@pytest.mark.parametrize("qualifier", ["v2", "!prod"])
def test_a_version_or_alias_is_part_of_the_name(qualifier: str) -> None:
    for name in (f"{URN}:{qualifier}", quote(f"{URN}:{qualifier}", safe=""), f"demo:default:hello:{qualifier}"):
        found = route(path(name))
        assert isinstance(found, Route)
        assert found.urn is not None
        assert found.urn.qualifier == qualifier


def test_a_platform_in_a_region_refuses_names_of_another() -> None:
    assert refusal(route(path(URN), region="eu-de")) == (400, "FSS.1309")
    assert isinstance(route(path(URN), region="local"), Route)
    assert isinstance(route(path("default:hello"), region="eu-de"), Route)


@pytest.mark.parametrize(
    ("raw_path", "status", "code"),
    [
        (path("urn:fss:local:demo:function:mine:hello"), 404, "FSS.1051"),  # another package
        (path("urn:fss:local:demo"), 404, "FSS.0404"),  # malformed
        (path("urn:fss:local:demo:trigger:default:hello"), 404, "FSS.0404"),
        (path("%00"), 404, "FSS.0404"),
        (path("%FF%FE"), 404, "FSS.0404"),
        (path("hello", project="theirs"), 404, "FSS.0404"),
        (path("urn:fss:local:theirs:function:default:hello"), 404, "FSS.0404"),
        ("/", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions/hello/", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions/hello/functions/", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions/hello/invocations/", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions/hello/no-such-thing", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions/hello/no-such-thing/1m", 404, "APIG.0101"),
        ("/v2/demo/fgs/no-such-thing", 404, "APIG.0101"),
        ("/v2/demo/fgs/functions//invocations", 404, "APIG.0101"),
    ],
)
def test_every_other_path_is_not_found(raw_path: str, status: int, code: str) -> None:
    assert refusal(route(raw_path)) == (status, code)


@pytest.mark.parametrize(
    ("method", "below", "what"),
    [
        ("GET", "functions/statistics", "metrics"),
        ("GET", f"functions/{URN}/statistics/60", "metrics"),
        ("GET", f"functions/{quote(URN, safe='')}/slareports/60", "metrics"),
        ("PUT", "functions/hello/tracing", "tracing"),
        ("POST", "functions/hello/invocations-async", "asynchronous invocations"),
        ("GET", "functions/hello/async-invocations", "asynchronous invocations"),
        ("POST", "functions/hello/cancel", "asynchronous invocations"),
        ("GET", f"triggers/{URN}", "triggers"),
        ("DELETE", f"triggers/{URN}/TIMER/7", "triggers"),
        ("POST", "functions", "making, importing and exporting functions"),  # GET is modelled
        ("GET", "functions/hello/code", "the text of a function's code"),  # PUT is
        ("GET", "dependencies/7/version/2", "dependencies"),
        ("POST", "workflows/7/executions/8/retry", "workflows"),
    ],
)
def test_what_the_platform_has_and_the_emulator_does_not_model_says_so(method: str, below: str, what: str) -> None:
    found = route(f"/v2/demo/fgs/{below}", method)
    assert refusal(found) == (501, "FSS.0501")
    assert isinstance(found, Refusal)
    assert found.message == f"The emulator does not model {what}: {method} {below}"
    assert refusal(route(f"/v2/theirs/fgs/{below}", method)) == (404, "FSS.0404")


@pytest.mark.parametrize("name", ["statistics", "import", "enable-lts-logs", "reservedinstances"])
def test_a_function_may_be_called_like_a_path(name: str) -> None:
    for method, resource in (("POST", "/invocations"), ("GET", "/config"), ("PUT", "/config"), ("DELETE", "")):
        found = route(f"/v2/demo/fgs/functions/{name}{resource}", method)
        if name == "reservedinstances" and not resource:  # a path of its own, which is modelled
            assert refusal(found) == (405, "FSS.0405")
            continue
        assert isinstance(found, Route)
        assert found.urn is not None
        assert found.urn.name == name


def test_every_path_of_the_vendors_sdk_is_modelled_or_said_not_to_be() -> None:
    client = pytest.importorskip("huaweicloudsdkfunctiongraph.v2.functiongraph_client")
    text = inspect.getsource(client)
    found = re.findall(r'"method": "(\w+)",\s*"resource_path": "/v2/\{project_id\}/fgs/([^"]+)"', text)
    assert len(found) > 60
    for method, template in found:
        named = template.replace("{alias_name}", "prod").replace("{function_urn}", URN).replace("{func_urn}", URN)
        below = re.sub(r"\{\w+\}", "7", named)
        seen = route(f"/v2/demo/fgs/{below}", method)
        assert isinstance(seen, Route) or refusal(seen)[0] == 501, (method, below)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "post"])
def test_an_invocation_is_a_post(method: str) -> None:
    found = route(path("hello"), method)
    assert refusal(found) == (405, "FSS.0405")
    assert isinstance(found, Refusal)
    assert found.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("method", "raw_path", "resource", "item"),
    [
        ("GET", "/v3", "/v3", ""),
        ("GET", "/v3/", "/v3", ""),
        ("POST", "/v3/auth/tokens", "/v3/auth/tokens", ""),
        ("GET", "/v2/demo/fgs/quotas", "quotas", ""),
        ("GET", "/v2/demo/fgs/functions", "functions", ""),
        ("GET", "/v2/demo/fgs/functions/reservedinstances", "functions/reservedinstances", ""),
        ("PUT", f"/v2/demo/fgs/functions/{URN}/config", "config", ""),
        ("PUT", f"/v2/demo/fgs/functions/{URN}/config-max-instance", "config-max-instance", ""),
        ("PUT", "/v2/demo/fgs/functions/hello/reservedinstances", "reservedinstances", ""),
        ("POST", f"/v2/demo/fgs/functions/{URN}/versions", "versions", ""),
        ("DELETE", f"/v2/demo/fgs/functions/{URN}/aliases/prod", "aliases/", "prod"),
        ("DELETE", f"/v2/demo/fgs/functions/{URN}:v1", "functions/", ""),
    ],
)
def test_the_other_apis_have_their_paths_and_methods(method: str, raw_path: str, resource: str, item: str) -> None:
    found = route(raw_path, method)
    assert isinstance(found, Route)
    assert (found.resource, found.item, found.invokes) == (resource, item, False)
    assert refusal(route(raw_path, "PATCH")) == (405, "FSS.0405")


def test_sizes_are_limited_to_what_gateway_and_platform_take() -> None:
    most = [(b"X-Token", b"t" * MAX_HEADER_BYTES)]
    assert over_limit(MAX_PATH_BYTES, most, MAX_EVENT_BYTES) is None
    many = [(b"", b"t" * 16 * 1024)] * 8
    assert sum(len(value) for _, value in many) == MAX_HEADERS_BYTES
    assert over_limit(0, many, 0) is None
    for path_bytes, headers, body_bytes, expected in (
        (MAX_PATH_BYTES + 1, [], 0, (414, "APIG.0201")),
        (0, [(b"X-Token", b"t" * (MAX_HEADER_BYTES + 1))], 0, (494, "APIG.0201")),
        (0, [*many, (b"a", b"")], 0, (494, "APIG.0201")),
        (0, [], MAX_EVENT_BYTES + 1, (413, "FSS.0413")),
        (0, [], MAX_BODY_BYTES + 1, (413, "APIG.0201")),
    ):
        assert refusal(over_limit(path_bytes, headers, body_bytes)) == expected


@given(method=st.text(max_size=5), function=st.text(max_size=60), encoded=st.booleans())
def test_any_path_has_an_answer(method: str, function: str, encoded: bool) -> None:
    found = route(path(quote(function) if encoded else function), method)
    assert isinstance(found, Route) or refusal(found)[0] in (404, 405)


@given(raw_path=st.text(max_size=60))
def test_any_path_at_all_has_an_answer(raw_path: str) -> None:
    found = route("/" + raw_path, "GET")
    assert isinstance(found, Route) or refusal(found)[0] in (404, 405)


@pytest.mark.parametrize(
    ("headers", "form", "tail"),
    [
        ({}, ResponseVersion.V0, False),
        ({"X-CFF-Request-Version": ""}, ResponseVersion.V0, False),
        ({"X-CFF-Request-Version": "v0"}, ResponseVersion.V0, False),
        ({"X-CFF-Request-Version": "v1"}, ResponseVersion.V1, False),
        ({"X-Cff-Request-Version": "V1"}, ResponseVersion.V1, False),  # other casing is seen in real clients
        ({"x-cff-request-version": "v1", "x-cff-log-type": "TAIL"}, ResponseVersion.V1, True),
        ({"X-Cff-Log-Type": "tail"}, ResponseVersion.V0, True),
        ({"X-Cff-Log-Type": ""}, ResponseVersion.V0, False),
        ({"X-Cff-Log-Type": "null"}, ResponseVersion.V0, False),
    ],
)
def test_form_and_log_are_asked_for_in_headers_whatever_their_case(
    headers: dict[str, str], form: ResponseVersion, tail: bool
) -> None:
    assert invocation(headers) == Invocation(None, form, tail)


def test_an_unknown_form_is_refused() -> None:
    assert refusal(invocation({"X-CFF-Request-Version": "v2"})) == (400, "FSS.0400")


@pytest.mark.parametrize("size", MEMORY_SIZES_MB)
def test_a_legal_memory_size_is_taken(size: int) -> None:
    read = invocation({"x-cff-instance-memory": str(size)})
    assert isinstance(read, Invocation)
    assert read.memory_mb == size


@pytest.mark.parametrize("text", ["", "0", "100", "1,024", "128MB", " 128", "0128", "-128", "1e3", "٣٢", "9" * 5000])
def test_an_illegal_memory_size_is_a_format_error(text: str) -> None:
    assert refusal(invocation({"X-Cff-Instance-Memory": text})) == (406, "FSS.0406")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"k": "v"}',
        b'  {"k": [1, 2.5e3, null, true]}\n',
        b'"{\\"k\\": \\"v\\"}"',  # a JSON string that holds JSON, as one SDK sends
        b"5",
        '{"k": "ü\N{BEETLE}"}'.encode(),
    ],
)
def test_an_event_is_any_json_or_nothing(body: bytes) -> None:
    assert isinstance(invocation({}, body), Invocation)


@pytest.mark.parametrize(
    "body",
    [b" ", b"{", b"{k: 1}", b"{} {}", b"NaN", b"01", b"'a'", b"k=v", b'"\xff"', b"\x00", b"[" * 100_000, b"[1,]"],
)
def test_any_other_body_is_a_format_error(body: bytes) -> None:
    assert refusal(invocation({}, body)) == (406, "FSS.0406")


@given(body=st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_format_error(body: bytes) -> None:
    read = invocation({}, body)
    assert isinstance(read, Invocation) or refusal(read) == (406, "FSS.0406")


@given(event=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=10))
def test_whatever_python_writes_as_json_is_an_event(event: object) -> None:
    assert isinstance(invocation({}, json.dumps(event, ensure_ascii=False).encode(errors="replace")), Invocation)
