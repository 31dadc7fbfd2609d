"""The emulator judged by the vendor's SDK for Python, huaweicloudsdkfunctiongraph.

The SDK shows a body's four fields and one header; the rest is looked at as it came.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import (
    ClientRequestException,
    ServerResponseException,
    ServiceResponseException,
)
from huaweicloudsdkcore.http.http_handler import HttpHandler
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkfunctiongraph.v2 import (
    CreateFunctionVersionRequest,
    CreateFunctionVersionRequestBody,
    CreateVersionAliasRequest,
    CreateVersionAliasRequestBody,
    DeleteFunctionRequest,
    DeleteVersionAliasRequest,
    FuncCode,
    FunctionGraphClient,
    InvokeFunctionRequest,
    ListFunctionReservedInstancesRequest,
    ListFunctionsRequest,
    ListFunctionVersionsRequest,
    ListQuotasRequest,
    ListReservedInstanceConfigsRequest,
    ListVersionAliasesRequest,
    ShowFunctionConfigRequest,
    ShowVersionAliasRequest,
    StrategyConfig,
    UpdateFunctionCodeRequest,
    UpdateFunctionCodeRequestBody,
    UpdateFunctionConfigRequest,
    UpdateFunctionConfigRequestBody,
    UpdateFunctionMaxInstanceConfigRequest,
    UpdateFunctionMaxInstanceConfigRequestBody,
    UpdateFunctionReservedInstancesCountRequest,
    UpdateFunctionReservedInstancesCountRequestBody,
    UpdateVersionAliasRequest,
    UpdateVersionAliasRequestBody,
)

from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.protocol.response import classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from tests.clients.conftest import Emulate

# the SDK asks Python for the time in a way that Python gave up in 3.12
pytestmark = pytest.mark.filterwarnings(r"ignore:datetime\.datetime\.utcnow:DeprecationWarning")

RESULT = {"message": "hello world from FunctionStage"}


def urn(function: str = "hello", qualifier: str = ":latest", project: str = "demo") -> str:
    return f"urn:fss:local:{project}:function:default:{function}{qualifier}"


class Vendor:
    """The SDK's client, and the last answer as it came."""

    def __init__(
        self,
        url: str,
        access_key: str = "AKDEMO",
        secret_key: str = "SKDEMO",
        project: str = "demo",
        security_token: str | None = None,
    ) -> None:
        credentials = BasicCredentials(access_key, secret_key, project)
        if security_token is not None:
            credentials.with_security_token(security_token)
        watching = HttpHandler().add_response_handler(self._see)
        self.client = (
            FunctionGraphClient.new_builder()
            .with_credentials(credentials)
            .with_endpoint(url)
            .with_http_handler(watching)
            .build()
        )
        self.seen: Any = None

    def _see(self, **what: Any) -> None:
        self.seen = what["response"]

    def invoke(self, name: str, **fields: Any) -> Any:
        return self.client.invoke_function(InvokeFunctionRequest(function_urn=name, **fields))

    def summary(self) -> dict[str, float]:
        """Of the last answer."""
        summary: dict[str, float] = json.loads(self.seen.headers["X-Cff-Invoke-Summary"])
        return summary


@pytest.fixture
def vendor(url: str) -> Vendor:
    return Vendor(url)


# Invocations


def test_v0_is_the_result_itself_with_what_is_known_about_it_in_headers(vendor: Vendor) -> None:
    answer = vendor.invoke(urn(), body={"k": "v"})
    assert answer.status_code == 200
    assert json.loads(answer.raw_content) == RESULT
    assert (answer.request_id, answer.result, answer.log, answer.status) == (None, None, None, None)
    assert str(UUID(answer.x_cff_request_id)) == answer.x_cff_request_id
    headers = vendor.seen.headers
    assert headers["X-Cff-Response-Version"] == "v0"
    assert (headers["X-Func-Err-Code"], headers["X-Is-Func-Err"]) == ("0", "false")
    assert headers["X-CFF-Billing-Duration"] == str(vendor.summary()["billingDuration"])
    assert vendor.summary().keys() == {"duration", "billingDuration", "memorySize", "memoryUsed"}
    assert vendor.summary()["memorySize"] == 128
    assert "X-Cff-Function-Log" not in headers


def test_v1_is_an_envelope_of_four_fields(vendor: Vendor) -> None:
    answer = vendor.invoke(urn(), x_cff_request_version="v1", x_cff_log_type="tail", body={"k": "v"})
    assert (answer.status_code, answer.status) == (200, 200)
    assert json.loads(answer.result) == RESULT
    assert answer.request_id == answer.x_cff_request_id
    assert f"Start invoke request '{answer.request_id}', version: latest\n" in answer.log
    duration = f"duration: {vendor.summary()['duration']}ms"
    assert f"Finish invoke request '{answer.request_id}', {duration}" in answer.log
    assert vendor.seen.headers["X-Cff-Response-Version"] == "v1"


def test_the_tail_of_the_log_comes_when_it_is_asked_for(vendor: Vendor) -> None:
    answer = vendor.invoke(urn(), x_cff_log_type="tail")
    log = b64decode(vendor.seen.headers["X-Cff-Function-Log"], validate=True).decode()
    assert f"Finish invoke request '{answer.x_cff_request_id}'" in log
    assert vendor.invoke(urn(), x_cff_request_version="v1").log == ""


@pytest.mark.parametrize("form", list(ResponseVersion))
def test_what_the_sdk_reads_of_an_answer_loadgen_reads_too(vendor: Vendor, form: ResponseVersion) -> None:
    answer = vendor.invoke(urn(), x_cff_request_version=form.value, x_cff_log_type="tail", body={})
    headers = {name.lower().encode(): value.encode() for name, value in vendor.seen.headers.items()}
    facts = classify_function(200, headers, answer.raw_content, form)
    assert (facts.outcome, facts.request_id) == (Outcome.OK, answer.x_cff_request_id)
    assert (facts.duration_ns or 0) / 1e6 == pytest.approx(vendor.summary()["duration"])
    assert (facts.billed_duration_ns or 0) / 1e6 == vendor.summary()["billingDuration"]
    assert facts.memory_size_mb == 128
    assert facts.log == (answer.log or b64decode(vendor.seen.headers["X-Cff-Function-Log"]).decode())


def test_an_event_may_be_empty_and_its_text_may_be_any(vendor: Vendor) -> None:
    for event in (None, {}, {"k": "ü 'quoted' \"twice\" 漢"}, {"list": [1, 2.5, None, True]}):
        assert vendor.invoke(urn(), body=event).status_code == 200


def test_the_memory_of_a_call_can_be_chosen(vendor: Vendor) -> None:
    vendor.invoke(urn(), x_cff_instance_memory="512")
    assert vendor.summary()["memorySize"] == 512


def test_a_failure_of_the_function_arrives_with_status_200(vendor: Vendor) -> None:
    answer = vendor.invoke(urn("failing"))
    assert answer.status_code == 200
    assert (vendor.seen.headers["X-Func-Err-Code"], vendor.seen.headers["X-Is-Func-Err"]) == ("4002", "true")
    assert json.loads(answer.raw_content).keys() == {"errorMessage", "errorType", "stackTrace"}
    answer = vendor.invoke(urn("failing"), x_cff_request_version="v1")
    assert (answer.status_code, answer.status) == (200, 500)
    assert "errorMessage" in json.loads(answer.result)


@pytest.mark.parametrize(
    ("name", "fields", "status", "code"),
    [
        (urn("nobody"), {}, 404, "FSS.1051"),
        (urn("hello", ":v9"), {}, 404, "FSS.1052"),
        (urn("hello", ":!prod"), {}, 404, "FSS.1053"),
        (urn(), {"x_cff_request_version": "v2"}, 400, "FSS.0400"),
        (urn(), {"x_cff_instance_memory": "100"}, 406, "FSS.0406"),
        (urn(), {"body": {"k": "v" * 6 * 1024 * 1024}}, 413, "FSS.0413"),
        (urn("disabled"), {}, 429, "FSS.0429"),
        (urn("broken"), {}, 500, "FSS.0500"),
        (urn("unavailable"), {}, 503, "FSS.1402"),
    ],
)
def test_a_call_that_is_refused_has_its_status_and_code(
    vendor: Vendor, name: str, fields: dict[str, Any], status: int, code: str
) -> None:
    expected = ClientRequestException if status < 500 else ServerResponseException
    with pytest.raises(expected) as refused:
        vendor.invoke(name, **fields)
    assert (refused.value.status_code, refused.value.error_code) == (status, code)
    assert refused.value.error_msg
    assert refused.value.request_id == vendor.seen.headers["X-Request-Id"]


def test_a_name_that_is_none_gets_the_documented_example_of_a_failure(vendor: Vendor) -> None:
    with pytest.raises(ClientRequestException, match="Not found the specified resource") as refused:
        vendor.invoke("urn:fss:local:demo")
    assert (refused.value.status_code, refused.value.error_code) == (404, "FSS.0404")


def test_a_proxys_page_is_taken_as_text(vendor: Vendor) -> None:
    with pytest.raises(ServerResponseException) as refused:
        vendor.invoke(urn("behind_a_proxy"))
    assert (refused.value.status_code, refused.value.error_msg) == (502, "<html><body><h1>502</h1></body></html>")


def test_a_call_beyond_the_last_instance_is_throttled(vendor: Vendor) -> None:
    def call(_: int) -> tuple[int, str | None]:
        try:
            return vendor.invoke(urn("single")).status_code, None
        except ServiceResponseException as refused:
            return refused.status_code, refused.error_code

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(call, range(2))) == [(200, None), (429, "FSS.0429")]


# Credentials


@pytest.mark.parametrize(
    ("keys", "status", "code", "said"),
    [
        ({"secret_key": "wrong"}, 401, "APIG.0301", "verify aksk signature fail"),
        ({"access_key": "AKWRONG"}, 401, "APIG.0301", "Get secretKey failed,ak:AKWRONG,err:ak not exist"),
        ({"project": "another"}, 403, "APIG.0310", "another"),
    ],
)
def test_a_wrong_key_is_refused_with_the_gateways_words(
    url: str, keys: dict[str, str], status: int, code: str, said: str
) -> None:
    vendor = Vendor(url, **keys)
    with pytest.raises(ClientRequestException) as refused:
        vendor.invoke(urn(project=keys.get("project", "demo")))
    assert (refused.value.status_code, refused.value.error_code) == (status, code)
    assert said in refused.value.error_msg
    assert refused.value.request_id == vendor.seen.json()["request_id"] == vendor.seen.headers["X-Request-Id"]


def test_more_than_five_wrong_signatures_lock_the_key(emulate: Emulate) -> None:
    url = emulate("seed: 1")
    wrong, right = Vendor(url, secret_key="wrong"), Vendor(url)
    for _ in range(6):
        with pytest.raises(ClientRequestException, match="verify aksk signature fail"):
            wrong.invoke(urn())
    with pytest.raises(ClientRequestException, match="AK access failed to reach the limit,forbidden"):
        right.invoke(urn())


def test_a_temporary_key_needs_its_security_token(emulate: Emulate) -> None:
    url = emulate("account: {access_key: AKSTS, secret_key: SKSTS, security_token: STSTOKEN}")
    assert Vendor(url, "AKSTS", "SKSTS", security_token="STSTOKEN").invoke(urn()).status_code == 200
    for token in (None, "another"):
        with pytest.raises(ClientRequestException, match="security token"):
            Vendor(url, "AKSTS", "SKSTS", security_token=token).invoke(urn())


def test_the_sdk_finds_its_project_at_the_emulators_iam(url: str) -> None:
    client = (
        FunctionGraphClient.new_builder()
        .with_credentials(BasicCredentials("AKDEMO", "SKDEMO").with_iam_endpoint(url))
        .with_region(Region("local", url))
        .build()
    )
    assert client.invoke_function(InvokeFunctionRequest(function_urn=urn())).status_code == 200


# The management API


def test_a_config_is_read_and_updated_and_the_next_call_obeys(vendor: Vendor) -> None:
    client, name = vendor.client, urn("huawei_config")
    config = client.show_function_config(ShowFunctionConfigRequest(function_urn=name))
    assert (config.func_urn, config.func_name, config.version) == (name, "huawei_config", "latest")
    assert (config.memory_size, config.cpu, config.enable_dynamic_memory) == (128, 300, True)
    assert (config.strategy_config.concurrency, config.strategy_config.concurrent_num) == (100, 1)
    assert config.last_modified.year == 2019
    mandatory = {name: getattr(config, name) for name in ("func_name", "runtime", "timeout", "handler")}
    wanted = UpdateFunctionConfigRequestBody(
        **mandatory, memory_size=512, user_data='{"A": "b"}', strategy_config=StrategyConfig(concurrency=5)
    )
    updated = client.update_function_config(UpdateFunctionConfigRequest(function_urn=name, body=wanted))
    assert (updated.memory_size, updated.cpu, updated.user_data) == (512, 600, '{"A": "b"}')
    assert (updated.strategy_config.concurrency, updated.strategy_config.concurrent_num) == (5, 1)
    read = client.show_function_config(ShowFunctionConfigRequest(function_urn=name))
    assert (read.memory_size, read.user_data, read.last_modified) == (512, '{"A": "b"}', updated.last_modified)
    vendor.invoke(name)
    assert vendor.summary()["memorySize"] == 512
    wanted.memory_size = 100
    with pytest.raises(ClientRequestException) as refused:
        client.update_function_config(UpdateFunctionConfigRequest(function_urn=name, body=wanted))
    assert (refused.value.status_code, refused.value.error_code) == (400, "FSS.1007")


def test_code_is_replaced(vendor: Vendor) -> None:
    name = urn("huawei_config", "")
    code = FuncCode(file=b64encode(b"def handler(event, context): ...").decode())
    body = UpdateFunctionCodeRequestBody(code_type="inline", func_code=code)
    answer = vendor.client.update_function_code(UpdateFunctionCodeRequest(function_urn=name, body=body))
    assert (answer.code_type, answer.code_size, len(answer.digest)) == ("inline", 32, 128)


def test_versions_and_aliases_are_made_invoked_listed_and_deleted(vendor: Vendor) -> None:
    client, name = vendor.client, urn("huawei_versions", "")
    version = client.create_function_version(
        CreateFunctionVersionRequest(name, CreateFunctionVersionRequestBody(version="v1", description="first"))
    )
    assert (version.version, version.func_urn, version.version_description) == ("v1", f"{name}:v1", "first")
    wanted = CreateVersionAliasRequestBody(name="prod", version="v1", additional_version_weights={"latest": 0})
    alias = client.create_version_alias(CreateVersionAliasRequest(name, wanted))
    assert (alias.name, alias.version, alias.alias_urn) == ("prod", "v1", f"{name}:!prod")
    assert alias.additional_version_weights == {"latest": 0}
    update = UpdateVersionAliasRequestBody(version="v1", description="production")
    client.update_version_alias(UpdateVersionAliasRequest(name, "prod", update))
    shown = client.show_version_alias(ShowVersionAliasRequest(name, "prod"))
    assert (shown.description, shown.additional_version_weights) == ("production", {})
    assert [each.name for each in client.list_version_aliases(ListVersionAliasesRequest(name)).body] == ["prod"]
    pages = [
        client.list_function_versions(ListFunctionVersionsRequest(name, marker=str(marker), maxitems="1"))
        for marker in (0, 1)
    ]
    assert [[each.version for each in page.versions] for page in pages] == [["latest"], ["v1"]]
    for qualifier in (":v1", ":!prod"):
        answer = vendor.invoke(name + qualifier, x_cff_request_version="v1", x_cff_log_type="tail")
        assert "version: v1" in answer.log
    assert client.delete_version_alias(DeleteVersionAliasRequest(name, "prod")).status_code == 204
    assert client.delete_function(DeleteFunctionRequest(f"{name}:v1")).status_code == 204
    with pytest.raises(ClientRequestException) as refused:
        vendor.invoke(f"{name}:v1")
    assert refused.value.error_code == "FSS.1052"


def test_instances_are_reserved_and_limited_and_counted_in_the_quotas(vendor: Vendor) -> None:
    client, name = vendor.client, urn("huawei_instances", "")

    def reserved() -> int:
        resources = client.list_quotas(ListQuotasRequest()).quotas.resources
        (used,) = (each.used for each in resources if each.type == "fgs_func_occurs")
        return int(used)

    before = reserved()
    reserve = UpdateFunctionReservedInstancesCountRequestBody(count=2, idle_mode=True)
    answer = client.update_function_reserved_instances_count(
        UpdateFunctionReservedInstancesCountRequest(f"{name}:latest", reserve)
    )
    assert (answer.count, answer.idle_mode) == (2, True)
    assert reserved() == before + 2
    (listed,) = client.list_function_reserved_instances(
        ListFunctionReservedInstancesRequest(urn=f"{name}:latest")
    ).reservedinstances
    assert (listed.func_urn, listed.count) == (f"{name}:latest", 2)
    (planned,) = client.list_reserved_instance_configs(
        ListReservedInstanceConfigsRequest(function_urn=name)
    ).reserved_instances
    assert (planned.qualifier_type, planned.qualifier_name) == ("version", "latest")
    assert (planned.min_count, planned.idle_mode) == (2, True)
    limit = UpdateFunctionMaxInstanceConfigRequestBody(max_instance_num=7)
    limited = client.update_function_max_instance_config(UpdateFunctionMaxInstanceConfigRequest(name, limit))
    assert limited.strategy_config.concurrency == 7


def test_functions_are_listed_page_by_page(vendor: Vendor) -> None:
    first = vendor.client.list_functions(ListFunctionsRequest(marker="0", maxitems="1"))
    rest = vendor.client.list_functions(ListFunctionsRequest(marker=str(first.next_marker)))
    assert [each.func_name for each in first.functions] == ["hello"]
    assert len(first.functions) + len(rest.functions) == first.count
