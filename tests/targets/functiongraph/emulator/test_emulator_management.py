"""The management API without a socket: what it answers, and what it does to the model."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadgen.targets.functiongraph.emulator.answer import Answer, Refusal
from loadgen.targets.functiongraph.emulator.management import Call, Management
from loadgen.targets.functiongraph.emulator.model import Admitted, Platform, Rejected
from loadgen.targets.functiongraph.emulator.request import Route, read_path
from loadgen.targets.functiongraph.protocol import platform
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Initializer, Injected, Work
from loadgen.targets.functiongraph.protocol.urn import parse

S = 1_000_000_000
NOW_S = 1_767_323_045.0  # 2026-01-02T03:04:05Z
HELLO = EmulatedFunction("hello", 128, Work(20_000_000, 0.0), "none", 100, True, 0.0)
MANDATORY = {
    "func_name": "hello",
    "runtime": "Python3.9",
    "timeout": 900,
    "handler": "index.handler",
    "memory_size": 128,
}


class Emulated:
    """A platform and its management API, in virtual time: each call is a second after the one before."""

    def __init__(self, *functions: EmulatedFunction, **switches: Any) -> None:
        settings = Emulator(1, 60 * S, functions or (HELLO,), management=platform.Management(**switches))
        self.platform = Platform(settings)
        self.management = Management(self.platform, "demo")
        self.now_ns = 0

    def call(self, method: str, path: str, body: object = None) -> Answer | Refusal:
        raw_path, _, query = f"/v2/demo/fgs/{path}".partition("?")
        route = read_path(method, raw_path, "demo", None)
        assert isinstance(route, Route), route
        self.now_ns += S
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        parameters = dict(pair.split("=") for pair in query.split("&") if pair)
        return self.management.handle(Call(route, method, parameters, sent, self.now_ns, NOW_S + self.now_ns / S))

    def ok(self, method: str, path: str, body: object = None) -> Any:
        answer = self.call(method, path, body)
        assert isinstance(answer, Answer), answer
        return json.loads(answer.body) if answer.body else None

    def refused(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        refusal = self.call(method, path, body)
        assert isinstance(refusal, Refusal), refusal
        return refusal.status, refusal.code

    def config(self, name: str = "hello") -> dict[str, Any]:
        config: dict[str, Any] = self.ok("GET", f"functions/{name}/config")
        return config

    def update(self, **changes: Any) -> dict[str, Any]:
        config: dict[str, Any] = self.ok("PUT", "functions/hello/config", MANDATORY | changes)
        return config

    def invoke(self, name: str = "hello") -> Admitted | Rejected | Refusal:
        self.now_ns += S
        target = self.management.target(parse(name, project_id="demo"))
        return target if isinstance(target, Refusal) else self.platform.arrive(self.now_ns, target[0], None, target[1])

    def warm(self, name: str = "hello") -> Admitted:
        """The second of two calls."""
        self.invoke(name)
        call = self.invoke(name)
        assert isinstance(call, Admitted)
        assert not call.cold
        return call

    def cold(self, name: str = "hello") -> bool:
        call = self.invoke(name)
        assert isinstance(call, Admitted), call
        return call.cold


# Settings


def test_the_settings_are_those_of_the_function() -> None:
    function = replace(HELLO, initializer=Initializer(S, 0.0, 30 * S), concurrency=2, cold_start="r2-nodejs")
    config = Emulated(function).config()
    assert config["func_urn"] == "urn:fss:local:demo:function:default:hello:latest"
    assert {name: config[name] for name in MANDATORY} == MANDATORY | {"runtime": "Node.js16.17"}
    assert (config["cpu"], config["version"], config["type"]) == (300, "latest", "v2")
    assert config["strategy_config"] == {"concurrency": 100, "concurrent_num": 2}
    assert (config["initializer_timeout"], config["enable_dynamic_memory"]) == (30, True)


def test_another_memory_size_takes_new_instances_of_that_size() -> None:
    emulated = Emulated()
    emulated.warm()
    config = emulated.update(memory_size=512)
    assert (config["memory_size"], config["cpu"], config["last_modified"]) == (512, 600, "2026-01-02 03:04:08")
    call = emulated.invoke()
    assert isinstance(call, Admitted)
    assert (call.cold, call.memory_mb) == (True, 512)
    assert emulated.config() == config


def test_an_update_that_changes_nothing_changes_nothing() -> None:
    emulated = Emulated()
    before = emulated.config()
    emulated.warm()
    assert emulated.ok("PUT", "functions/hello/config", before) == before
    assert not emulated.cold()


def test_environment_variables_take_new_instances_and_the_description_does_not() -> None:
    emulated = Emulated()
    emulated.warm()
    emulated.update(description="hi")
    assert not emulated.cold()
    emulated.update(description="hi", user_data='{"LOADGEN_NONCE": "1"}')
    assert emulated.cold()


def test_settings_that_an_update_omits_stay_and_so_do_those_that_the_emulator_does_not_know() -> None:
    emulated = Emulated()
    emulated.update(user_data='{"a": "b"}', func_vpc={"vpc_id": "v"})
    config = emulated.update(memory_size=256)
    assert (config["user_data"], config["func_vpc"]) == ('{"a": "b"}', {"vpc_id": "v"})


def test_settings_that_an_update_omits_are_reset_where_the_switch_says_so() -> None:
    """As was reported of real platforms: the limit becomes 0, and the function is disabled."""
    emulated = Emulated(omitted_reset=True)
    complete = emulated.config() | {"user_data": '{"a": "b"}'}
    assert emulated.ok("PUT", "functions/hello/config", complete)["strategy_config"]["concurrency"] == 100
    config = emulated.update()
    assert (config["user_data"], config["strategy_config"]["concurrency"]) == ("", 0)
    call = emulated.invoke()
    assert isinstance(call, Rejected)
    assert call.reason == "disabled"


def test_the_settings_that_the_model_knows_change_what_it_does() -> None:
    emulated = Emulated()
    emulated.update(
        timeout=3, enable_dynamic_memory=False, strategy_config={"concurrency": 7, "concurrent_num": 3}, memory_size=256
    )
    assert emulated.platform.current("hello") == replace(
        HELLO, timeout_ns=3 * S, dynamic_memory=False, max_instances=7, concurrency=3, memory_mb=256
    )


def test_what_is_read_only_stays_whatever_is_sent() -> None:
    emulated = Emulated()
    assert emulated.update(func_urn="x", cpu=1, digest="x", version="v9") == emulated.config()
    assert emulated.config()["cpu"] == 300


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"func_name": "other"}, 400, "FSS.1002"),
        ({"handler": ""}, 400, "FSS.1003"),
        ({"runtime": "Cobol"}, 400, "FSS.1005"),
        ({"runtime": {}}, 400, "FSS.1005"),
        ({"memory_size": 100}, 400, "FSS.1007"),
        ({"memory_size": "512"}, 400, "FSS.1007"),
        ({"timeout": 2}, 400, "FSS.1008"),
        ({"timeout": 259_201}, 400, "FSS.1008"),
        ({"timeout": True}, 400, "FSS.1008"),
        ({"user_data": "a=b"}, 400, "FSS.1009"),
        ({"user_data": '{"a": 1}'}, 400, "FSS.1009"),
        ({"user_data": {"a": "b"}}, 400, "FSS.1009"),
        ({"user_data": json.dumps({f"v{n}": "" for n in range(21)})}, 400, "FSS.1017"),
        ({"user_data": json.dumps({"a": "b" * 4096})}, 400, "FSS.1018"),
        ({"description": "x" * 513}, 400, "FSS.1019"),
        ({"strategy_config": {"concurrency": 1001}}, 400, "FSS.1026"),
        ({"strategy_config": {"concurrent_num": 0}}, 400, "FSS.1026"),
        ({"strategy_config": 5}, 400, "FSS.1026"),
        ({"initializer_timeout": 301}, 400, "FSS.1404"),
        ({"enable_dynamic_memory": "yes"}, 400, "FSS.0400"),
    ],
)
def test_a_value_that_is_not_allowed_has_its_code_and_changes_nothing(
    change: dict[str, Any], status: int, code: str
) -> None:
    emulated = Emulated()
    before = emulated.config()
    emulated.warm()
    assert emulated.refused("PUT", "functions/hello/config", MANDATORY | change) == (status, code)
    assert emulated.config() == before
    assert not emulated.cold()


@pytest.mark.parametrize("name", MANDATORY)
def test_five_settings_are_mandatory(name: str) -> None:
    without = {key: value for key, value in MANDATORY.items() if key != name}
    assert Emulated().refused("PUT", "functions/hello/config", without) == (400, "FSS.0400")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_a_format_error(body: bytes) -> None:
    assert Emulated().refused("PUT", "functions/hello/config", body) in ((400, "FSS.0400"), (406, "FSS.0406"))


def test_an_update_is_refused_while_there_are_reserved_instances_where_the_switch_says_so() -> None:
    emulated = Emulated(replace(HELLO, reserved=1), refused_with_reserved=True)
    assert emulated.refused("PUT", "functions/hello/config", MANDATORY | {"timeout": 5}) == (400, "FSS.1077")
    emulated.ok("PUT", "functions/hello/reservedinstances", {"count": 0})
    assert emulated.update(timeout=5)["timeout"] == 5


def test_the_maximum_of_instances_has_a_path_of_its_own() -> None:
    emulated = Emulated()
    emulated.warm()
    config = emulated.ok("PUT", "functions/hello/config-max-instance", {"max_instance_num": 0})
    assert config["strategy_config"]["concurrency"] == 0
    assert isinstance(emulated.invoke(), Rejected)
    emulated.ok("PUT", "functions/hello/config-max-instance", {"max_instance_num": -1})
    assert not emulated.cold()  # what was warm still is
    assert emulated.refused("PUT", "functions/hello/config-max-instance", {"max_instance_num": "5"})[1] == "FSS.1026"


def test_other_code_takes_new_instances_and_the_same_code_does_not() -> None:
    emulated = Emulated()
    emulated.warm()
    code = {"code_type": "inline", "func_code": {"file": b64encode(b"def handler(): ...").decode()}}
    digest = emulated.ok("PUT", "functions/hello/code", code)["digest"]
    assert emulated.config()["digest"] == digest
    assert emulated.cold()
    emulated.ok("PUT", "functions/hello/code", code)
    assert not emulated.cold()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "FSS.1006"),
        ({"code_type": "inline", "func_code": {"file": "not base64!"}}, "FSS.1011"),
        ({"code_type": "inline", "func_code": {"file": b64encode(b"x" * 10_241).decode()}}, "FSS.1072"),
    ],
)
def test_code_that_cannot_be_is_refused(body: dict[str, Any], code: str) -> None:
    assert Emulated().refused("PUT", "functions/hello/code", body)[1] == code


# Versions and aliases


def test_a_version_is_a_copy_that_never_changes_and_has_cold_instances() -> None:
    emulated = Emulated()
    emulated.warm()
    version = emulated.ok("POST", "functions/hello/versions", {"version": "v1", "description": "first"})
    assert (version["version"], version["func_urn"]) == ("v1", "urn:fss:local:demo:function:default:hello:v1")
    emulated.update(memory_size=512)
    call = emulated.invoke("demo:default:hello:v1")
    assert isinstance(call, Admitted)
    assert (call.cold, call.memory_mb, call.version) == (True, 128, "v1")
    assert emulated.config("demo:default:hello:v1")["memory_size"] == 128
    assert emulated.refused("PUT", "functions/demo:default:hello:v1/config", MANDATORY) == (400, "FSS.1015")
    listed = emulated.ok("GET", "functions/hello/versions")
    assert [each["version"] for each in listed["versions"]] == ["latest", "v1"]


def test_a_version_without_a_name_is_named_after_its_time() -> None:
    assert Emulated().ok("POST", "functions/hello/versions")["version"] == "v20260102-030406"


def test_nothing_is_published_twice() -> None:
    emulated = Emulated()
    emulated.ok("POST", "functions/hello/versions", {"version": "v1"})
    assert emulated.refused("POST", "functions/hello/versions", {"version": "v2"}) == (400, "FSS.1016")
    emulated.update(timeout=5)
    assert emulated.refused("POST", "functions/hello/versions", {"version": "v1"}) == (409, "FSS.1062")
    assert emulated.refused("POST", "functions/hello/versions", {"version": "?"}) == (400, "FSS.1015")


def test_a_function_has_twenty_versions_at_most() -> None:
    emulated = Emulated()
    for number in range(19):
        emulated.update(timeout=10 + number)
        emulated.ok("POST", "functions/hello/versions", {"version": f"v{number}"})
    emulated.update(timeout=100)
    assert emulated.refused("POST", "functions/hello/versions", {"version": "v19"}) == (400, "FSS.1015")


@pytest.mark.parametrize("qualifier", ["v1", "!prod"])
def test_a_version_is_deleted_with_its_instances_and_the_aliases_that_lead_to_it(qualifier: str) -> None:
    emulated = Emulated()
    emulated.ok("POST", "functions/hello/versions", {"version": "v1"})
    emulated.ok("POST", "functions/hello/aliases", {"name": "prod", "version": "v1"})
    canary = {"name": "canary", "version": "latest", "additional_version_weights": {"v1": 20}}
    emulated.ok("POST", "functions/hello/aliases", canary)
    emulated.ok("PUT", "functions/demo:default:hello:v1/reservedinstances", {"count": 2})
    emulated.warm("demo:default:hello:v1")
    answer = emulated.call("DELETE", f"functions/demo:default:hello:{qualifier}")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (204, b"")
    assert emulated.platform.live(emulated.now_ns) == 0
    assert [each["version"] for each in emulated.ok("GET", "functions/hello/versions")["versions"]] == ["latest"]
    aliases = emulated.ok("GET", "functions/hello/aliases")
    assert [(each["name"], each["additional_version_weights"]) for each in aliases] == [("canary", {})]
    assert emulated.ok("GET", "functions/reservedinstances")["reservedinstances"] == []
    assert emulated.refused("DELETE", "functions/demo:default:hello:v1") == (404, "FSS.1052")


def test_a_call_in_flight_ends_on_the_version_that_is_deleted() -> None:
    emulated = Emulated(replace(HELLO, work=Work(10 * S, 0.0)))
    emulated.ok("POST", "functions/hello/versions", {"version": "v1"})
    emulated.invoke("demo:default:hello:v1")
    emulated.ok("DELETE", "functions/demo:default:hello:v1")
    assert emulated.platform.live(emulated.now_ns) == 1
    assert emulated.platform.live(emulated.now_ns + 100 * S) == 0


@pytest.mark.parametrize("name", ["hello", "demo:default:hello:latest"])
def test_neither_latest_nor_a_whole_function_is_deleted(name: str) -> None:
    emulated = Emulated()
    assert emulated.refused("DELETE", f"functions/{name}") == (400, "FSS.1015")
    assert emulated.config()["func_name"] == "hello"


def test_what_was_published_can_be_published_again_once_its_version_is_deleted() -> None:
    emulated = Emulated()
    emulated.ok("POST", "functions/hello/versions", {"version": "v1"})
    emulated.ok("DELETE", "functions/demo:default:hello:v1")
    assert emulated.ok("POST", "functions/hello/versions", {"version": "v1"})["version"] == "v1"


def test_an_alias_leads_to_its_version_and_can_be_moved_and_deleted() -> None:
    emulated = Emulated()
    emulated.ok("POST", "functions/hello/versions", {"version": "v1"})
    alias = emulated.ok("POST", "functions/hello/aliases", {"name": "prod", "version": "v1"})
    assert alias["alias_urn"] == "urn:fss:local:demo:function:default:hello:!prod"
    assert emulated.warm("demo:default:hello:!prod").version == "v1"
    moved = emulated.ok("PUT", "functions/hello/aliases/prod", {"version": "latest"})
    assert emulated.ok("GET", "functions/hello/aliases/prod") == moved
    assert emulated.warm("demo:default:hello:!prod").version == "latest"
    assert emulated.ok("GET", "functions/hello/aliases") == [moved]
    emulated.ok("DELETE", "functions/hello/aliases/prod")
    assert emulated.refused("GET", "functions/hello/aliases/prod") == (404, "FSS.1053")


def test_an_alias_with_weights_spreads_its_calls() -> None:
    emulated = Emulated()
    emulated.ok("POST", "functions/hello/versions", {"version": "v1"})
    weights = {"name": "canary", "version": "latest", "additional_version_weights": {"v1": 20}}
    emulated.ok("POST", "functions/hello/aliases", weights)
    calls = [emulated.invoke("demo:default:hello:!canary") for _ in range(2000)]
    share = sum(isinstance(call, Admitted) and call.version == "v1" for call in calls) / len(calls)
    assert share == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    ("alias", "code"),
    [
        ({"name": "1st", "version": "latest"}, "FSS.1014"),
        ({"version": "latest"}, "FSS.1014"),
        ({"name": "a", "version": "v9"}, "FSS.1052"),
        ({"name": "a"}, "FSS.1052"),
        ({"name": "taken", "version": "latest"}, "FSS.1063"),
        ({"name": "a", "version": "v1"}, "FSS.1066"),
        ({"name": "a", "version": "latest", "additional_version_weights": {"v9": 1}}, "FSS.1091"),
        ({"name": "a", "version": "latest", "additional_version_weights": {"v1": 101}}, "FSS.1092"),
        ({"name": "a", "version": "latest", "additional_version_weights": {"latest": 1}}, "FSS.1093"),
    ],
)
def test_an_alias_that_cannot_be_has_its_code(alias: dict[str, Any], code: str) -> None:
    emulated = Emulated()
    emulated.ok("POST", "functions/hello/versions", {"version": "v1"})
    emulated.ok("POST", "functions/hello/aliases", {"name": "taken", "version": "v1"})
    assert emulated.refused("POST", "functions/hello/aliases", alias)[1] == code


@pytest.mark.parametrize(
    ("name", "code"),
    [("bye", "FSS.1051"), ("demo:default:hello:v2", "FSS.1052"), ("demo:default:hello:!prod", "FSS.1053")],
)
def test_what_does_not_exist_is_not_found_here_and_there(name: str, code: str) -> None:
    emulated = Emulated()
    assert emulated.refused("GET", f"functions/{name}/config") == (404, code)
    refusal = emulated.invoke(name)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (404, code)


# Reserved instances, quotas, lists


def test_reserved_instances_are_warm_and_listed() -> None:
    emulated = Emulated()
    assert emulated.ok("PUT", "functions/hello/reservedinstances", {"count": 2}) == {"count": 2, "idle_mode": False}
    assert not emulated.cold()
    urn = "urn:fss:local:demo:function:default:hello:latest"
    listed = emulated.ok("GET", f"functions/reservedinstances?urn={urn}")
    assert listed["reservedinstances"] == [{"func_urn": urn, "count": 2}]
    short = urn.removesuffix(":latest")
    assert not emulated.ok("GET", f"functions/reservedinstanceconfigs?function_urn={short}x")["reserved_instances"]
    (config,) = emulated.ok("GET", f"functions/reservedinstanceconfigs?function_urn={short}")["reserved_instances"]
    assert (config["qualifier_name"], config["min_count"]) == ("latest", 2)
    assert emulated.ok("GET", "functions/reservedinstances?urn=demo:default:hello:latest")["count"] == 1
    assert emulated.ok("GET", "functions/reservedinstances?urn=demo:default:hello:v1")["count"] == 0
    assert emulated.refused("GET", "functions/reservedinstances?urn=urn:x") == (400, "FSS.1309")
    emulated.ok("PUT", "functions/hello/reservedinstances", {"count": 0})
    emulated.now_ns += 100 * S
    assert emulated.cold()


@pytest.mark.parametrize(("count", "code"), [(91, "FSS.1076"), (-1, "FSS.0400"), ("1", "FSS.0400"), (None, "FSS.0400")])
def test_a_number_of_reserved_instances_that_cannot_be_is_refused(count: object, code: str) -> None:
    assert Emulated().refused("PUT", "functions/hello/reservedinstances", {"count": count})[1] == code


def test_quotas_say_what_the_model_allows_and_what_is_in_use() -> None:
    emulated = Emulated(replace(HELLO, reserved=3))
    emulated.invoke()
    quotas = {each["type"]: each for each in emulated.ok("GET", "quotas")["quotas"]["resources"]}
    assert quotas["fgs_func_scale_down_timeout"]["quota"] == 60
    assert (quotas["fgs_func_occurs"]["quota"], quotas["fgs_func_occurs"]["used"]) == (100, 3)
    assert (quotas["fgs_func_qos_limit"]["quota"], quotas["fgs_func_qos_limit"]["used"]) == (1000, 3)
    assert quotas["fgs_on_demand_instance_limit"]["quota"] == 400
    assert quotas["fgs_func_code_size"]["unit"] == "MB"


def test_functions_are_listed() -> None:
    emulated = Emulated(HELLO, replace(HELLO, name="other"))
    assert [each["func_name"] for each in emulated.ok("GET", "functions")["functions"]] == ["hello", "other"]
    assert emulated.ok("GET", "functions?func_name=oth")["count"] == 1


@pytest.mark.parametrize(
    ("path", "most", "items"),
    [
        ("functions", "maxitems", "functions"),
        ("functions/f0/versions", "maxitems", "versions"),
        ("functions/reservedinstances", "limit", "reservedinstances"),
        ("functions/reservedinstanceconfigs", "limit", "reserved_instances"),
    ],
)
def test_a_list_read_in_pages_is_the_list(path: str, most: str, items: str) -> None:
    emulated = Emulated(*(replace(HELLO, name=f"f{number}", reserved=1) for number in range(5)))
    for number in range(4):
        emulated.ok("PUT", "functions/f0/config-max-instance", {"max_instance_num": number})
        emulated.ok("POST", "functions/f0/versions", {"version": f"v{number}"})
    whole = emulated.ok("GET", path)
    pages, marker = [], 0
    while page := emulated.ok("GET", f"{path}?marker={marker}&{most}=2"):
        if not page[items]:
            break
        assert page["count"] == whole["count"] == 5
        pages += page[items]
        marker = page.get("next_marker") or page["page_info"]["next_marker"]
    assert pages == whole[items]
    for asked in (f"marker=-1&{most}=2", f"marker=0&{most}=x"):
        assert emulated.refused("GET", f"{path}?{asked}") == (400, "FSS.1001")


def test_management_calls_fail_by_their_share() -> None:
    emulated = Emulated(faults=(Injected("FSS.0500", 0.3),))
    answers = [emulated.call("GET", "quotas") for _ in range(1000)]
    failed = [answer for answer in answers if isinstance(answer, Refusal)]
    assert {(refusal.status, refusal.code) for refusal in failed} == {(500, "FSS.0500")}
    assert len(failed) / len(answers) == pytest.approx(0.3, abs=0.05)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [
        *MANDATORY,
        "strategy_config",
        "user_data",
        "count",
        "version",
        "name",
        "additional_version_weights",
        "code_type",
        "func_code",
        "max_instance_num",
        "initializer_timeout",
        "description",
        "enable_dynamic_memory",
    ]
)
CALLS = st.sampled_from(
    [
        ("PUT", "functions/hello/config"),
        ("PUT", "functions/hello/config-max-instance"),
        ("PUT", "functions/hello/code"),
        ("PUT", "functions/hello/reservedinstances"),
        ("POST", "functions/hello/versions"),
        ("POST", "functions/hello/aliases"),
        ("DELETE", "functions/demo:default:hello:v1"),
    ]
)


@given(calls=st.lists(st.tuples(CALLS, st.dictionaries(NAMES, JSON, max_size=4), st.booleans()), max_size=5))
def test_any_sequence_of_calls_has_answers_and_leaves_a_function_that_can_be_read(
    calls: list[tuple[tuple[str, str], dict[str, Any], bool]],
) -> None:
    emulated = Emulated()
    for (method, path), body, complete in calls:
        answer = emulated.call(method, path, MANDATORY | body if complete else body)
        assert answer.status < 500
    assert emulated.config()["func_name"] == "hello"
    emulated.invoke()
