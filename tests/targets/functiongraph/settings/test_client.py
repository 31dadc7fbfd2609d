from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace

from loadgen.engine.address import tls_context
from loadgen.targets.functiongraph.protocol.target import IamAuth, TokenAuth
from loadgen.targets.functiongraph.protocol.token import IamError
from loadgen.targets.functiongraph.settings.authorization import Bearer, Nobody
from loadgen.targets.functiongraph.settings.client import DERIVED, Control
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.renewal import obtain
from loadgen.targets.port import Tls
from tests.servers.certificate import make_chain
from tests.servers.management import CONFIG, HELLO, PROJECT, Management, Request, failure
from tests.servers.ports import free_port
from tests.servers.scripted import answer_all, serving

ENCODED = "urn%3Afss%3Alocal%3Ademo%3Afunction%3Adefault%3Ahello"


def client(platform: Management) -> Control:
    return Control(platform.url, PROJECT, Nobody())


async def test_a_config_is_read_whole(platform: Management) -> None:
    async with client(platform) as control:
        assert await control.config(HELLO) == CONFIG
    assert platform.requests[0].path == f"/v2/demo/fgs/functions/{ENCODED}/config"


async def test_a_config_is_written_with_every_field_but_what_the_platform_derives(platform: Management) -> None:
    async with client(platform) as control:
        config = await control.config(HELLO)
        await control.set_config(HELLO, {**config, "memory_size": 512})
    sent = json.loads(platform.writes[0].body)
    assert sent == {**{key: value for key, value in CONFIG.items() if key not in DERIVED}, "memory_size": 512}
    assert sent["not_documented_yet"] == CONFIG["not_documented_yet"]
    assert platform.writes[0].headers["Content-Type"] == "application/json"


async def test_the_config_of_latest_is_written_whatever_name_of_it_was_read(platform: Management) -> None:
    async with client(platform) as control:
        await control.set_config(replace(HELLO, qualifier="latest"), CONFIG)
    (request,) = platform.writes
    assert (request.method, request.path) == ("PUT", f"/v2/demo/fgs/functions/{ENCODED}/config")


async def test_quotas_are_numbers_by_type(platform: Management) -> None:
    async with client(platform) as control:
        quotas = await control.quotas()
    assert (quotas["fgs_func_qos_limit"], quotas["fgs_on_demand_instance_limit"]) == (1000, 400)


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (400, "FSS.1077", "Set them to 0 first"),
        (401, "APIG.0307", "the token has expired"),
        (401, "APIGW.0301", "the credentials were not accepted"),
        (403, "FSS.0403", "the credentials do not allow this"),
        (418, "FSS.9999", "the request was not accepted"),
        (429, "FSS.0429", "the management API is busy"),
        (500, "FSS.0500", "Try again later"),
    ],
)
async def test_a_refusal_has_its_code_and_its_remedy(platform: Management, status: int, code: str, remedy: str) -> None:
    async def refuse(request: Request) -> web.Response:
        return failure(status, code, "said\nso")

    platform.before = refuse
    async with client(platform) as control:
        with pytest.raises(ControlError) as raised:
            await control.config(HELLO)
    assert (raised.value.status, raised.value.code) == (status, code.replace("APIGW", "APIG"))
    assert f'{status} {code.replace("APIGW", "APIG")}, "said so": ' in str(raised.value)
    assert remedy in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_an_answer_that_is_no_json_is_said(platform: Management) -> None:
    async def page(request: Request) -> web.Response:
        return web.Response(text="<html>login</html>")

    platform.before = page
    async with client(platform) as control:
        with pytest.raises(ControlError, match="no JSON object"):
            await control.config(HELLO)


async def test_a_token_is_sent_and_never_repeated_in_an_error(platform: Management) -> None:
    async def echo(request: Request) -> web.Response:
        return failure(401, "APIG.0301", f"decrypt token fail: {request.headers['X-Auth-Token']}")

    platform.before = echo
    token = "MIIEowYJKoZIhvcNAQcCoIIElDCCBJACAQ"
    async with Control(platform.url, PROJECT, Bearer(TokenAuth(token))) as control:
        with pytest.raises(ControlError) as raised:
            await control.config(HELLO)
    assert platform.requests[0].headers["X-Auth-Token"] == token
    assert token not in str(raised.value)
    assert token not in repr(control.__dict__)


async def test_what_authorises_a_request_sees_exactly_what_is_sent(platform: Management) -> None:
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def sign(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        seen.append((method, url, dict(headers), body))
        return {"Authorization": "SDK-HMAC-SHA256 …".replace("…", "x"), "X-Sdk-Date": "20260102T030405Z"}

    async with Control(platform.url, PROJECT, sign) as control:
        await control.quotas()
        await control.set_config(HELLO, await control.config(HELLO))
    for (method, url, headers, body), request in zip(seen, platform.requests, strict=True):
        assert (method, url, body) == (request.method, platform.url + request.path, request.body)
        framing = {"Content-Length", "Connection", "Accept-Encoding"}  # what a proxy may change is not signed
        assert {key: value for key, value in request.headers.items() if key not in framing} == {
            **headers,
            "Authorization": "SDK-HMAC-SHA256 x",
            "X-Sdk-Date": "20260102T030405Z",
        }


async def lose(request: Request) -> web.Response | None:
    request.break_off()
    return None


async def test_a_read_whose_connection_breaks_is_made_once_more(platform: Management) -> None:
    platform.before = lose
    async with client(platform) as control:
        with pytest.raises(ControlError, match="no answer"):
            await control.config(HELLO)
    assert len(platform.requests) == 2


async def test_a_write_whose_connection_breaks_is_never_made_again(platform: Management) -> None:
    platform.before = lose
    async with client(platform) as control:
        with pytest.raises(ControlError, match="whether it was carried out is not known"):
            await control.set_config(HELLO, CONFIG)
    assert len(platform.requests) == 1


async def test_nobody_there_is_said_and_nothing_was_carried_out() -> None:
    async with Control(f"http://127.0.0.1:{free_port()}", PROJECT, Nobody()) as control:
        with pytest.raises(ControlError, match="no answer") as raised:
            await control.set_config(HELLO, CONFIG)
    assert "carried out" not in str(raised.value)


def test_credentials_go_over_http_to_no_other_machine_unless_allowed() -> None:
    with pytest.raises(ControlError, match="unencrypted"):
        Control("http://192.0.2.1", PROJECT, Bearer(TokenAuth("x")))
    Control("http://192.0.2.1", PROJECT, Bearer(TokenAuth("x")), insecure_auth=True)
    Control("https://192.0.2.1", PROJECT, Bearer(TokenAuth("x")))
    Control("http://127.0.0.1", PROJECT, Bearer(TokenAuth("x")))
    with pytest.raises(ControlError, match="expected a URL"):
        Control("192.0.2.1", PROJECT, Nobody())


async def test_the_config_of_a_published_version_is_not_ours_to_change(platform: Management) -> None:
    with pytest.raises(ControlError, match="a published version stays as it is"):
        client(platform).resource(replace(HELLO, qualifier="v1"))


async def test_encrypted_variables_would_be_lost_so_their_function_is_left_alone(platform: Management) -> None:
    platform.config["encrypted_user_data"] = '{"owner":""}'
    async with client(platform) as control:
        with pytest.raises(ControlError, match="encrypted environment variables"):
            await control.set_config(HELLO, await control.config(HELLO))
    assert platform.writes == []


async def test_a_config_without_what_the_platform_wants_back_is_not_written(platform: Management) -> None:
    async with client(platform) as control:
        with pytest.raises(ControlError, match="read without handler"):
            await control.set_config(HELLO, {**CONFIG, "handler": ""})
    assert platform.writes == []


async def test_a_certificate_that_was_refused_is_explained_in_openssls_words(tmp_path: Path) -> None:
    """By the management API and by IAM, which share the invocations' strictness."""
    expired = make_chain(tmp_path, days=(-3, -1), key_usage=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(expired.certificate, expired.key)
    trusting = tls_context(Tls(True, str(expired.root)))
    async with serving(answer_all, tls=context) as server:
        url = f"https://127.0.0.1:{server.port}"
        async with Control(url, PROJECT, Nobody(), tls=trusting) as control:
            with pytest.raises(ControlError, match="its certificate was refused: certificate has expired"):
                await control.quotas()
        with pytest.raises(
            IamError, match=r"its certificate was refused: certificate has expired; target\.tls\.ca says"
        ):
            await obtain(IamAuth(url, "u", "pass-word", "ACCOUNT", "demo", None, None), trusting)


async def test_an_authority_without_key_usage_is_trusted_where_the_scenario_names_it(tmp_path: Path) -> None:
    chain = make_chain(tmp_path, key_usage=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain.certificate, chain.key)
    async with (
        serving(answer_all, tls=context) as server,
        Control(
            f"https://127.0.0.1:{server.port}", PROJECT, Nobody(), tls=tls_context(Tls(True, str(chain.root)))
        ) as control,
    ):
        assert await control.quotas() == {}
