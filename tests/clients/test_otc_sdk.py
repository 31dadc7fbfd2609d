"""The emulator judged by Open Telekom Cloud's SDK: otcextensions on openstacksdk, with tokens for a password.

otcextensions cuts the last part off each function's name, so it is given names with a version, and posts an event as a
JSON string that holds JSON. All seven headers of an answer surface in it.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import openstack
import pytest
from openstack.exceptions import HttpException, NotFoundException, SDKException
from otcextensions import sdk

from tests.clients.conftest import Emulate

# openstacksdk warns of what it will do without itself, and otcextensions of nothing, but relies on it
pytestmark = [
    pytest.mark.filterwarnings("ignore::openstack.warnings._RemovedInSDKWarning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.OpenStackDeprecationWarning"),
]

Connect = Callable[..., Any]


def urn(function: str = "hello", qualifier: str = ":latest") -> str:
    return f"urn:fss:local:demo:function:default:{function}{qualifier}"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Gives the FunctionGraph proxy of a new connection."""
    connections = []

    def connected(url: str, auth_type: str = "password", **changes: str) -> Any:
        user = {"username": "demo", "password": "demo", "user_domain_name": "demo"}
        scope = {"project_name": "local", "project_domain_name": "demo"}
        auth = {"auth_url": f"{url}/v3", **user, **scope} if auth_type == "password" else {}
        connection = openstack.connect(
            auth_type=auth_type, auth=auth | changes, region_name="local", load_envvars=False, load_yaml_config=False
        )
        connections.append(connection)
        sdk.register_otc_extensions(connection)
        return connection.function_graph

    yield connected
    for connection in connections:
        connection.close()


@pytest.fixture
def graph(connect: Connect, url: str) -> Any:
    return connect(url)


def test_the_password_flow_leads_to_an_answer_whose_headers_all_surface(graph: Any) -> None:
    answer = graph.executing_function_synchronously(urn(), attrs={"k": "v"})
    summary = json.loads(answer.invoke_summary)
    assert summary.keys() == {"duration", "billingDuration", "memorySize", "memoryUsed"}
    assert answer.billing_duration == str(summary["billingDuration"])
    assert (answer.response_version, answer.err_code, answer.err) == ("v0", "0", "false")
    assert len(answer.cff_request_id) == 36
    assert answer.function_log is None


def test_v1_with_the_tail_comes_as_documented_to_a_name_that_is_not_encoded(graph: Any) -> None:
    asked = {"X-CFF-Request-Version": "v1", "X-Cff-Log-Type": "tail"}
    answer = graph.post(f"/fgs/functions/{urn()}/invocations", json={"k": "v"}, headers=asked)
    assert urn() in answer.request.url
    body = answer.json()
    assert body.keys() == {"request_id", "result", "log", "status"}
    assert json.loads(body["result"]) == {"message": "hello world from FunctionStage"}
    assert (body["status"], body["request_id"]) == (200, answer.headers["X-Cff-Request-Id"])
    assert b64decode(answer.headers["X-Cff-Function-Log"]).decode() == body["log"]


def test_a_failure_of_the_function_is_in_the_headers(graph: Any) -> None:
    answer = graph.executing_function_synchronously(urn("failing"), attrs={})
    assert (answer.err_code, answer.err) == ("4002", "true")


def test_an_unknown_function_is_not_found(graph: Any) -> None:
    with pytest.raises(NotFoundException, match=r"FSS\.1051"):
        graph.executing_function_synchronously(urn("nobody"), attrs={})


def test_a_throttled_call_is_an_error_of_the_client(graph: Any) -> None:
    with pytest.raises(HttpException, match=r"FSS\.0429") as refused:
        graph.executing_function_synchronously(urn("disabled"), attrs={})
    assert refused.value.status_code == 429


@pytest.mark.parametrize("changes", [{"password": "wrong"}, {"username": "nobody"}, {"project_name": "elsewhere"}])
def test_wrong_credentials_get_no_token(connect: Connect, url: str, changes: dict[str, str]) -> None:
    with pytest.raises(SDKException, match="HTTP 401"):
        connect(url, **changes).executing_function_synchronously(urn(), attrs={})


def test_a_token_that_iam_never_gave_cannot_be_decrypted(connect: Connect, url: str) -> None:
    graph = connect(url, "admin_token", endpoint=f"{url}/v2/demo", token="MIIforged")
    answer = graph.post(f"/fgs/functions/{urn()}/invocations", json={})
    assert (answer.status_code, answer.json()["error_code"]) == (401, "APIG.0301")
    assert "decrypt token fail" in answer.json()["error_msg"]


def test_a_client_outlives_its_token(connect: Connect, emulate: Emulate) -> None:
    graph = connect(emulate("token_lifetime: 1s"))
    for _ in range(2):
        assert graph.executing_function_synchronously(urn(), attrs={}).err_code == "0"
        time.sleep(1.1)


def test_a_config_is_read_and_updated(graph: Any) -> None:
    (function,) = graph.functions(func_name="otc_config")
    read = graph.get_function_metadata(function)
    assert (read.func_urn, read.memory_size, read.runtime) == (urn("otc_config"), 128, "Python3.9")
    mandatory = {name: getattr(read, name) for name in ("func_name", "runtime", "timeout", "handler")}
    assert graph.update_function_metadata(function, **mandatory, memory_size=256).memory_size == 256
    assert graph.update_max_instances(function, 5).strategy_config == {"concurrency": 5, "concurrent_num": 1}
    answer = graph.executing_function_synchronously(urn("otc_config"), attrs={})
    assert json.loads(answer.invoke_summary)["memorySize"] == 256


def test_versions_and_aliases_are_made_listed_and_deleted(graph: Any) -> None:
    name = urn("otc_versions")
    (function,) = graph.functions(func_name="otc_versions")
    assert graph.publish_version(function, version="v1").func_urn == urn("otc_versions", ":v1")
    assert [each.version for each in graph.versions(name)] == ["latest", "v1"]
    alias = graph.create_alias(name, name="prod", version="v1")
    assert graph.get_alias(function, alias).alias_urn == urn("otc_versions", ":!prod")
    assert graph.update_alias(function, alias, version="v1", description="new").description == "new"
    assert [each.name for each in graph.aliases(name)] == ["prod"]
    graph.delete_alias(function, alias, ignore_missing=False)
    assert list(graph.aliases(name)) == []
    assert graph.delete(f"/fgs/functions/{urn('otc_versions', ':v1')}").status_code == 204
    assert [each.version for each in graph.versions(name)] == ["latest"]


def test_quotas_and_reserved_instances_are_listed(graph: Any) -> None:
    (quota,) = graph.quotas()
    assert {each["type"]: each["quota"] for each in quota.quotas["resources"]}["fgs_func_qos_limit"] == 1000
    path = f"/fgs/functions/{urn('otc_versions')}/reservedinstances"
    assert graph.put(path, json={"count": 1}).json() == {"count": 1, "idle_mode": False}
    (reserved,) = graph.reserved_instances(urn=urn("otc_versions"))
    assert (reserved.func_urn, reserved.count) == (urn("otc_versions"), 1)
    planned = [each for each in graph.reserved_instances_config() if each.function_urn == urn("otc_versions", "")]
    assert [(each.qualifier_name, each.min_count) for each in planned] == [("latest", 1)]
