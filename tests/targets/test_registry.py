from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadgen.engine.messages import Plan, Renew, decode, encode
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.scenario.load import load
from loadgen.targets import settings
from loadgen.targets.functiongraph.protocol.tenant import FUNCTIONGRAPH
from loadgen.targets.functiongraph.side import FunctionGraphSettings
from loadgen.targets.http.tenant import HTTP
from loadgen.targets.port import TargetError, Tenant
from loadgen.targets.registry import BUILT_IN, GROUP, installed, tenant_named, tenant_of
from loadgen.targets.settings import Settings, settings_of
from loadgen.targets.target import Target
from loadgen.text.fault import ScenarioError
from tests.scenarios import function, http, open_phase, scenario

FUNCTION, URL = function("http://127.0.0.1:1"), http("http://127.0.0.1:1/")


MADE = """
from msgspec import Struct
from loadgen.targets.http.tenant import Http
from loadgen.targets.target import Target

class Made(Target, Struct, {}):
    address: str

class Tenant(Http):
    form = Made
    key = "{}"

X = Tenant()
"""


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that distributions are found in, which is empty."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed.cache_clear()
    yield tmp_path
    installed.cache_clear()
    for name in ("offered_here",):
        sys.modules.pop(name, None)


def offer(directory: Path, what: str, source: str = "") -> None:
    (directory / "offered_here.py").write_text(source)
    about = directory / "offered-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\noffered = {what}\n")


def test_a_target_is_its_tenants() -> None:
    assert tenant_of(FUNCTION) is FUNCTIONGRAPH
    assert tenant_of(URL) is HTTP
    assert [tenant_named(name) for name in ("function", "http")] == [FUNCTIONGRAPH, HTTP]


def test_a_name_that_nobody_has_is_said(offered: Path) -> None:
    with pytest.raises(TargetError, match=r"there is no target nimbus here: install the distribution that brings it"):
        tenant_named("nimbus")


@pytest.mark.parametrize(
    ("what", "source", "said"),
    [
        ("not_there_at_all:X", "", r"cannot be loaded \(ModuleNotFoundError: .*correct or remove the distribution"),
        ("offered_here:X", "raise ValueError('no')", r"cannot be loaded \(ValueError: no\)"),
        ("offered_here:X", "X = 5", "is no Tenant: correct the distribution"),
        (
            "offered_here:X",
            MADE.format("tag='http'", "address"),
            "has the tag http, which is that of any HTTP endpoint",
        ),
        ("offered_here:X", MADE.format("tag='other'", "url"), "is told by its key url, which is that of any HTTP endp"),
        ("offered_here:X", MADE.format("frozen=True", "address"), "has a form without a tag: correct the distribution"),
    ],
)
def test_a_distribution_that_brings_no_tenant_is_named(offered: Path, what: str, source: str, said: str) -> None:
    offer(offered, what, source)
    with pytest.raises(TargetError, match=f"the target offered of {what} {said}"):
        installed()


def test_a_distribution_that_brings_no_tenant_hides_no_typing_error(offered: Path) -> None:
    offer(offered, "not_there_at_all:X")
    text = "name: x\ntarget: {endpiont: emulator}\nphases: [{name: s, workers: 1, duration: 1s}]\n"
    with pytest.raises(ScenarioError) as error:
        load(text, source="s.yaml", directory=Path(), environment={})
    said = [fault.message for fault in error.value.faults]
    assert any("cannot be loaded" in each for each in said), said
    assert "unknown key, did you mean endpoint?" in said


def test_only_a_tenant_that_has_a_settings_side_is_asked_for_it() -> None:
    assert isinstance(settings_of(FUNCTION), FunctionGraphSettings)
    assert type(settings_of(URL)) is Settings


async def test_a_tenant_without_settings_has_no_limits_credentials_or_objections() -> None:
    side, load = settings_of(URL), scenario(URL, open_phase(1, 1))
    assert await side.limits(load, URL) is None
    assert side.renewal(URL, lambda target: None, print) is None
    assert list(side.check(load)) == []


@pytest.mark.parametrize("tenants", [(FUNCTIONGRAPH, HTTP), (HTTP, FUNCTIONGRAPH)])
def test_an_idle_target_is_that_of_the_first_that_has_one(
    monkeypatch: pytest.MonkeyPatch, tenants: tuple[Tenant[Any], ...]
) -> None:
    monkeypatch.setattr(settings, "BUILT_IN", tenants)
    assert isinstance(settings.idle(), AbstractAsyncContextManager)


@pytest.mark.parametrize("target", [FUNCTION, URL])
def test_a_message_holds_the_target_of_any_tenant(target: Target) -> None:
    plan = Plan(scenario(target, open_phase(1, 1)), "127.0.0.1", 0, 1)
    assert decode(encode(plan)[4:]) == plan
    assert decode(encode(Renew(target))[4:]) == Renew(target)


def test_a_message_of_a_target_that_is_none_is_refused() -> None:
    body = msgspec.msgpack.encode({"type": "renew", "target": {"type": "function", "endpoint": 5}})
    with pytest.raises(msgspec.ValidationError):
        decode(body)


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.OK])
@pytest.mark.parametrize("tenant", BUILT_IN, ids=lambda tenant: tenant.name)
def test_no_target_says_that_nothing_is_wrong_where_something_is(tenant: Tenant[Any], outcome: Outcome) -> None:
    target = {"function": function("http://127.0.0.1:1"), "http": http("http://127.0.0.1:1")}[tenant.name]
    assert "nothing is wrong" not in tenant.advice(Facts(outcome, outcome.value, 500), target)
