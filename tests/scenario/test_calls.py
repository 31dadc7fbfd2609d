"""A mix of calls: each held to what a scenario of one call is, with faults where they are written."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from loadgen.cli import main
from loadgen.engine.requests import mixed
from loadgen.scenario.load import Loaded, load
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, ResponseVersion, TokenAuth
from loadgen.targets.http.target import HttpTarget
from loadgen.text.fault import ScenarioError

REST = "phases: [{name: a, rate: 1/s, duration: 1s}]\n"
URLS = """
name: shop
target: {timeout: {total: 5s}}
calls:
  - {name: browse, weight: 60, url: "https://h/items/{{id}}", feeder: {file: ids.csv}, checks: [status < 300]}
  - {name: buy, weight: 30, url: "https://h/buy", event: {id: "{{$uuid}}", n: "{{$index}}"}}
  - name: pay
    weight: 10
    url: https://h/pay
    method: PUT
    headers: {Authorization: "Bearer ${TOKEN}", X-Row: "{{id}}"}
    body: {form: {id: "{{id}}"}}
    feeder: {file: ids.csv, order: random}
"""
FUNCTIONS = """
name: functions
target: {endpoint: emulator, auth: {token: s3cret}, log: tail}
calls:
  - {name: one, function: hello, event: {a: 1}}
  - {name: two, function: other, memory: 512MB, response: v1, checks: [json.ok == true]}
emulator: {auth: off, functions: {hello: {}, other: {dynamic_memory: true}}}
"""


def read(directory: Path, text: str) -> Loaded:
    (directory / "ids.csv").write_text("id\n" + "".join(f"i{n}\n" for n in range(7)))
    return load(text + REST, source="s.yaml", directory=directory, environment={"TOKEN": "planted-token"})


def refused(directory: Path, text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        read(directory, text)
    return str(caught.value)


def test_each_call_is_the_target_with_parts_of_its_own(tmp_path: Path) -> None:
    scenario = read(tmp_path, URLS).scenario
    browse, buy, pay = scenario.calls
    assert [(call.name, call.weight) for call in scenario.calls] == [("browse", 60), ("buy", 30), ("pay", 10)]
    targets = [call.target for call in scenario.calls]
    assert [target.method for target in targets if isinstance(target, HttpTarget)] == ["GET", "POST", "PUT"]
    assert all(target.timeout.total_ns == 5_000_000_000 for target in targets)
    assert (scenario.target, scenario.event, scenario.feeder) == (browse.target, "", browse.feeder)
    assert [len(call.checks) for call in scenario.calls] == [1, 0, 0]
    assert (browse.feeder is not None, buy.feeder, pay.feeder is not None) == (True, None, True)
    assert [feeder.rows for feeder in scenario.feeders] == [7, 7]


def test_functions_share_endpoint_and_credentials(tmp_path: Path) -> None:
    one, two = read(tmp_path, FUNCTIONS).scenario.calls
    assert isinstance(one.target, FunctionTarget)
    assert isinstance(two.target, FunctionTarget)
    assert (one.target.memory_mb, two.target.memory_mb) == (None, 512)
    assert (one.target.response, two.target.response) == (ResponseVersion.V0, ResponseVersion.V1)
    assert one.target.auth == two.target.auth == TokenAuth("s3cret")
    assert ":hello" in one.target.function or one.target.function == "hello"
    assert (one.event, two.event) == ('{"a":1}', "{}")


def test_arrivals_are_calls_in_exact_shares_each_with_its_own_rows_in_order(tmp_path: Path) -> None:
    scenario = read(tmp_path, URLS).scenario
    sent = mixed(scenario, 0)
    requests = [(sent.of(index) or b"").decode() for index in range(100)]
    starts = [request.split(" HTTP/", 1)[0] for request in requests]
    assert Counter(re.sub(r"/i\d$", "/", start) for start in starts) == {
        "GET /items/": 60, "POST /buy": 30, "PUT /pay": 10,
    }  # fmt: skip
    rows = [start.rpartition("/")[2] for start in starts if start.startswith("GET")]
    assert rows == [f"i{n % 7}" for n in range(60)]
    assert [sent.call_of(index) for index in range(100)] == [
        ["GET", "POST", "PUT"].index(s.split(" ")[0]) for s in starts
    ]
    numbers = [int(n) for n in re.findall(r'"n":(\d+)', "".join(requests))]
    assert numbers == [index for index, start in enumerate(starts) if start.startswith("POST")]
    for request in requests:
        if request.startswith("PUT"):
            assert re.search(r"\r\nX-Row: (i\d)\r\n", request)[1] == request[-2:]  # type: ignore[index]
    others = mixed(scenario, 5)
    assert [(others.of(index) or b"").decode() for index in range(0, 100, 7)] == requests[::7]


def test_new_credentials_are_in_the_next_request_of_every_call(tmp_path: Path) -> None:
    text = (
        FUNCTIONS.replace("emulator,", "'http://127.0.0.1:1',")
        .partition("emulator:")[0]
        .replace("log: tail", "project_id: p")
    )
    scenario = read(tmp_path, text).scenario
    sent = mixed(scenario, 0)
    assert all(b"X-Auth-Token: s3cret\r\n" in (sent.of(index) or b"") for index in range(4))
    assert isinstance(scenario.target, FunctionTarget)
    sent.use(replace(scenario.target, auth=TokenAuth("renewed")))
    requests = [sent.of(index) or b"" for index in range(4)]
    assert all(b"X-Auth-Token: renewed\r\n" in request for request in requests)
    assert len({request.split(b"\r\n")[0] for request in requests}) == 2


def test_what_is_secret_of_a_call_is_masked_and_the_mix_loads_again(tmp_path: Path) -> None:
    loaded = read(tmp_path, URLS)
    assert "planted-token" not in f"{loaded!r} {loaded.as_run}"
    assert loaded.document["calls"][2]["headers"]["Authorization"] == "Bearer ${TOKEN}"
    again = load(loaded.as_run, source="s", directory=tmp_path, environment={"TOKEN": "planted-token"})
    assert again.scenario.sha256 == loaded.scenario.sha256
    other = load(loaded.as_run, source="s", directory=tmp_path, environment={"TOKEN": "another-one"})
    assert other.scenario.sha256 == loaded.scenario.sha256


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight: 60", "weight: 0", "s.yaml:5:28: calls[0].weight: got 0, expected a whole number of at least 1"),
        ("weight: 60", "weight: 9973", "calls: expected weights whose sum is at most 10000 in lowest terms; wri"),
        ("name: buy", "name: browse", 's.yaml:6:12: calls[1].name: calls[0] is called "browse" too; names are unique'),
        ("name: buy, ", "", "calls[1]: name is missing"),
        ("https://h/buy", "https://other/buy", "calls[1].url: got https://other, but another call goes to https://h"),
        ("https://h/buy", "http://h/buy", "calls[1].url: got http://h, but another call goes to https://h"),
        ("https://h/buy", "ftp://h/buy", 'calls[1].url: got "ftp://h/buy", expected a URL'),
        ("url: https://h/pay", "x: 1", "calls[2].x: unknown key"),
        ("id: \"{{$uuid}}\"", "id: \"{{id}}\"", "s.yaml:6:63: calls[1].event.id: {{id}} needs a feeder"),
        ("items/{{id}}", "items/{{no}}", 'ids.csv:2:1: no field "no", which calls[0].url uses'),
        ("[status < 300]", "[stat < 300]", "calls[0].checks[0]: got \"stat < 300\", expected status, body"),
        ("order: random", "order: once", "calls[2].feeder.order: got once, expected loop or random"),
        ("method: PUT", "method: TRACE", "calls[2].body: a TRACE request has no body"),
        ("body: {form", "event: {a: 1}\n    body: {form", "calls[2].body: event is written too; keep one of them"),
        ("name: shop", "name: shop\nevent: {}", "s.yaml:3:1: event: each call of a mix has its own; write"),
        ("name: shop", "name: shop\nchecks: []", "checks: each call of a mix has its own"),
        ("name: shop", "name: shop\nkind: cold-starts", "calls: kind: cold-starts is about one function; remove calls"),
        ("headers: {Auth", "function: f\n    headers: {Auth", "calls[2].function: function belongs to a function"),
        ("{timeout: {total: 5s}}", "{timeout: 5}", "target.timeout: got 5"),
        ("X-Row: ", "X Row: ", 'calls[2].headers.X Row: got the header name "X Row"'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_call_is_said_where_it_is_written(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in URLS
    said = refused(tmp_path, URLS.replace(old, new, 1))
    assert message in said
    assert "planted-token" not in said


def test_a_fault_that_calls_share_is_said_once(tmp_path: Path) -> None:
    said = refused(tmp_path, URLS.replace("{timeout: {total: 5s}}", "{tls: {verify: false, ca: x.pem}}"))
    assert said.count("a ca is unused with verify: false") == 1


def test_without_url_or_endpoint_every_call_says_so(tmp_path: Path) -> None:
    said = refused(tmp_path, "name: x\ntarget: {}\ncalls: [{name: a}]\n")
    assert "endpoint or url is missing" in said


def test_a_mix_can_be_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(tmp_path, URLS)
    (tmp_path / "s.yaml").write_text(URLS + REST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "planted-token")
    done = CliRunner().invoke(main, ["check", "s.yaml"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[:4] == [
        "shop: a mix of 3 calls",
        "  browse: 60.00% of the invocations, GET https://h/items/{{id}}",
        "  buy: 30.00% of the invocations, POST https://h/buy",
        "  pay: 10.00% of the invocations, PUT https://h/pay",
    ]
