from __future__ import annotations

from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.load.budget import Budget
from loadgen.scenario.model import Scenario
from loadgen.targets.functiongraph.protocol.platform import default_emulator
from loadgen.targets.functiongraph.protocol.request import request_template
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, NoAuth, ResponseVersion
from loadgen.targets.functiongraph.protocol.urn import Urn, UrnError, build, endpoint_region, of_version, parse
from loadgen.targets.functiongraph.settings.names import check_target
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.port import Timeout, Tls
from loadgen.targets.settings import check
from loadgen.targets.target import Target

PROJECT = "7aad83af3e8d42e99ac194e8419e2c9b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # 1 field: the name
        ("hello", Urn(None, "p", "default", "hello", None)),
        # 2 fields: package and name
        ("pack:hello", Urn(None, "p", "pack", "hello", None)),
        # 3 fields: project, package, name
        ("p:pack:hello", Urn(None, "p", "pack", "hello", None)),
        # 4 fields: the same with a version …
        ("p:pack:hello:v20220510-190658", Urn(None, "p", "pack", "hello", "v20220510-190658")),
        # … or an alias
        ("p:pack:hello:!prod", Urn(None, "p", "pack", "hello", "!prod")),
        # an alias after a shorter form, as no name begins with "!"
        ("hello:!prod", Urn(None, "p", "default", "hello", "!prod")),
        ("pack:hello:!prod", Urn(None, "p", "pack", "hello", "!prod")),
        ("hello%3A%21prod", Urn(None, "p", "default", "hello", "!prod")),
        # 3 and 4 fields whose project says that they are no version
        ("p:hello:latest", Urn(None, "p", "hello", "latest", None)),
        ("p:api:v1", Urn(None, "p", "api", "v1", None)),
        ("p:default:hello:latest", Urn(None, "p", "default", "hello", "latest")),
        # names that only look a little like versions
        ("pack:vat", Urn(None, "p", "pack", "vat", None)),
        ("latest", Urn(None, "p", "default", "latest", None)),
        # 7 fields: the full name
        ("urn:fss:eu-de:p:function:default:hello", Urn("eu-de", "p", "default", "hello", None)),
        # 8 fields: with a version …
        ("urn:fss:eu-de:p:function:default:hello:latest", Urn("eu-de", "p", "default", "hello", "latest")),
        # … or an alias
        ("urn:fss:eu-de:p:function:default:hello:!prod", Urn("eu-de", "p", "default", "hello", "!prod")),
        # percent-encoded, as the vendor's SDK sends it
        (
            "urn%3Afss%3Aeu-de%3Ap%3Afunction%3Adefault%3Ahello%3A%21prod",
            Urn("eu-de", "p", "default", "hello", "!prod"),
        ),
    ],
)
def test_every_accepted_form_is_read(text: str, expected: Urn) -> None:
    assert parse(text, project_id="p") == expected


def test_the_region_fills_a_short_form_and_makes_its_text_full() -> None:
    assert parse("hello", project_id="p", region="eu-de").text == "urn:fss:eu-de:p:function:default:hello"


def test_without_a_region_the_text_is_the_short_form_with_the_project() -> None:
    assert parse("hello", project_id="p").text == "p:default:hello"
    assert parse("p:pack:hello:!prod", project_id="p").text == "p:pack:hello:!prod"


def test_the_path_segment_is_percent_encoded_like_the_sdk_does() -> None:
    urn = parse("urn:fss:eu-de:p:function:default:hello:!prod", project_id="p")
    assert urn.path_segment == "urn%3Afss%3Aeu-de%3Ap%3Afunction%3Adefault%3Ahello%3A%21prod"


def test_a_full_urn_needs_no_project_id() -> None:
    assert parse("urn:fss:eu-de:p:function:default:hello", project_id="").project_id == "p"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # nothing at all
        ("", "expected name, package:name"),
        # neither short nor full
        ("a:b:c:d:e", 'got "a:b:c:d:e", with 5 fields'),
        # a URN that stops early
        ("urn:fss:eu-de:p:function:default", "a URN with 6 fields: expected 7 or 8"),
        # a URN that goes on
        ("urn:fss:eu-de:p:function:default:hello:latest:x", "a URN with 9 fields"),
        # another service's URN
        ("urn:smn:eu-de:p:function:default:hello", 'expected "fss" in place of "smn"'),
        # another resource's URN
        ("urn:fss:eu-de:p:trigger:default:hello", 'expected "function" in place of "trigger"'),
        # empty fields
        ("urn:fss::p:function:default:hello", "the region is empty"),
        ("urn:fss:eu-de:p:function::hello", "the package is empty"),
        (":hello", "the package is empty"),
        ("p:default:hello:", "the version is empty"),
        ("p:default:hello:!", "the alias is empty"),
        ("hello:!", "the alias is empty"),
        ("!prod", "got '!' in the function name"),
        (":!prod", "the function name is empty"),
        # a version where the platform reads a name
        (
            "hello:latest",
            'got "hello:latest", which names the function latest of package hello: to call version latest of hello, '
            "write p:default:hello:latest; if that is meant, write p:hello:latest",
        ),
        ("hello:v1", "write p:default:hello:v1; if that is meant, write p:hello:v1"),
        ("hello:v20220510-190658", "write p:default:hello:v20220510-190658; if"),
        ("pack:hello:latest", "to call version latest of hello, write p:pack:hello:latest"),
        ("default:hello:v1", "write p:default:hello:v1"),
        # characters of no name
        ("he llo", "got ' ' in the function name"),
        ("hello/../x", "got '/' in the function name"),
        ("hello%0d%0ax", r"got '\r' in the function name"),
        ("hello%ff", "in the function name"),
        ("p:default:hello:v!1", "got '!' in the version"),
    ],
)
def test_a_malformed_text_says_what_was_seen_and_expected(text: str, message: str) -> None:
    with pytest.raises(UrnError) as error:
        parse(text, project_id="p")
    assert message in str(error.value)


def test_a_short_form_without_any_project_says_how_to_give_one() -> None:
    with pytest.raises(UrnError, match=r"set target\.project_id, or write the full URN"):
        parse("hello", project_id="")


def test_contradictions_of_project_and_region_are_both_named() -> None:
    with pytest.raises(UrnError, match=r"write project_id: q.*use the endpoint of eu-nl"):
        parse("urn:fss:eu-nl:q:function:default:hello", project_id="p", region="eu-de")


names = st.from_regex(r"[\w.~-]+", fullmatch=True)
urns = st.builds(
    Urn,
    region=st.none() | names,
    project_id=names,
    package=names,
    name=names,
    qualifier=st.none() | names | names.map(lambda name: "!" + name),
).filter(lambda urn: urn.region is not None or urn.project_id != "urn")


@given(urns, st.booleans())
def test_text_and_parse_are_inverse_encoded_or_not(urn: Urn, encoded: bool) -> None:
    text = urn.path_segment if encoded else urn.text
    assert parse(text, project_id=urn.project_id, region=urn.region) == urn
    assert quote(urn.text, safe="") == urn.path_segment


@given(urns)
def test_build_accepts_what_parse_gives(urn: Urn) -> None:
    parts = msgspec.structs.asdict(urn)
    assert build(**parts) == urn


@given(st.text() | st.from_regex(r"(urn:fss:)?([a-z%!:/]|\W){0,30}", fullmatch=True))
def test_any_text_is_a_urn_or_a_urn_error(text: str) -> None:
    try:
        urn = parse(text, project_id="p")
    except UrnError:
        return
    assert urn.path_segment.isascii()
    assert "/" not in urn.path_segment


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://functiongraph.cn-north-4.myhuaweicloud.com", "cn-north-4"),
        ("https://functiongraph.eu-de.otc.t-systems.com", "eu-de"),
        ("https://FunctionGraph.EU-DE.otc.t-systems.com:443/", "eu-de"),
        ("https://functiongraph.eu-ch2.sc.otc.t-systems.com", "eu-ch2"),
        # no region can be recognised
        ("http://127.0.0.1:8080", None),
        ("http://[::1]:8080", None),
        ("https://functiongraph.example", None),
        ("https://proxy.functiongraph.eu-de.example.com", None),
        ("emulator", None),
    ],
)
def test_only_the_vendors_hosts_name_a_region(endpoint: str, region: str | None) -> None:
    assert endpoint_region(endpoint) == region


def scenario(target: Target) -> Scenario:
    return Scenario(
        name="s",
        kind="load",
        seed=1,
        target=target,
        event="{}",
        feeder=None,
        phases=(),
        thresholds=(),
        sample_share=0.0,
        budget=Budget(None, None),
        tags={},
        emulator=None,
        sha256="",
    )


def function(urn: str, endpoint: str = "https://functiongraph.eu-de.otc.t-systems.com") -> FunctionTarget:
    limits = Timeout(1, 1, 1)
    return FunctionTarget(
        endpoint, "p", urn, NoAuth(), ResponseVersion.V0, 0.0, None, False, limits, Tls(True, None), True
    )


def test_a_right_target_has_no_faults() -> None:
    assert list(check_target(scenario(function("urn:fss:eu-de:p:function:default:hello")))) == []
    assert list(check_target(scenario(function("hello")))) == []


def test_every_fault_of_a_target_is_found_at_its_key() -> None:
    faults = list(check_target(scenario(function("urn:fss:eu-nl:q:function:default:hello"))))
    assert [where for where, _ in faults] == [("target", "function")] * 2
    assert 'in project "q", but project_id is "p"' in faults[0][1]
    assert 'in region "eu-nl", but the endpoint is in "eu-de"' in faults[1][1]


def test_a_malformed_urn_is_a_fault_of_the_target() -> None:
    ((where, message),) = check_target(scenario(function("a:b:c:d:e")))
    assert where == ("target", "function")
    assert "with 5 fields" in message


def test_a_region_is_not_checked_against_an_endpoint_that_names_none() -> None:
    urn = "urn:fss:local:p:function:default:hello"
    assert list(check_target(scenario(function(urn, endpoint="http://127.0.0.1:8080")))) == []


def test_a_plain_http_target_has_no_function_to_check() -> None:
    target = HttpTarget("http://localhost/", "GET", (), False, Timeout(1, 1, 1), Tls(True, None), True)
    assert list(check(scenario(target))) == []


def test_a_function_that_the_emulator_does_not_have_is_refused() -> None:
    block = default_emulator()
    good = msgspec.structs.replace(scenario(function("hello")), emulator=block)
    assert list(check_target(good)) == []
    wrong = msgspec.structs.replace(scenario(function("helo")), emulator=block)
    ((where, message),) = check_target(wrong)
    assert where == ("target", "function")
    assert 'the emulator has no function "helo": name one of hello' in message


@pytest.mark.parametrize("name", ["hello", "p:default:hello:v9", "urn:fss:eu-de:p:function:default:hello:!old"])
@pytest.mark.parametrize("version", ["v1", "!prod"])
def test_a_target_at_another_version_is_the_same_function_under_that_name(name: str, version: str) -> None:
    target = of_version(function(name), version)
    assert target.function == f"urn:fss:eu-de:p:function:default:hello:{version}"
    assert target == msgspec.structs.replace(function(name), function=target.function)
    assert quote(target.function, safe="") in request_template(target).path


def starting(induce: Induce, *versions: str, urn: str = "hello") -> Scenario:
    settings = ColdStarts((induce,), 1, 2, 1, 1, None, (), None, versions)
    return msgspec.structs.replace(scenario(function(urn)), kind="cold-starts", cold_starts=settings)


def test_versions_need_instances_of_their_own() -> None:
    assert list(check_target(starting(Induce.VERSION, "v1", "!prod"))) == []
    assert list(check_target(starting(Induce.VERSION, "latest", urn="p:default:hello:!prod"))) == []
    for urn, version in (("hello", "latest"), ("p:default:hello:v1", "v1"), ("p:default:hello:!prod", "!prod")):
        ((where, message),) = check_target(starting(Induce.VERSION, "v7", version, urn=urn))
        assert where == ("cold-starts", "versions", 1)
        assert message == f"{version} is what target.function names, whose instances are in use; remove it"


def test_the_embedded_emulator_has_no_versions() -> None:
    wanted = msgspec.structs.replace(starting(Induce.VERSION, "v1"), emulator=default_emulator())
    ((where, message),) = check_target(wanted)
    assert where == ("cold-starts", "versions")
    assert "has latest alone: start one with loadgen emulate" in message


@pytest.mark.parametrize("qualifier", ["v1", "!prod"])
def test_a_published_version_cannot_be_asked_to_change(qualifier: str) -> None:
    comparison = MemoryComparison((128, 256), MemoryBy.CONFIG, 2, 2, (), 0.02, 1)
    urn = f"p:default:hello:{qualifier}"
    for wanted in (
        starting(Induce.CONFIG, urn=urn),
        msgspec.structs.replace(scenario(function(urn)), kind="memory", memory=comparison),
    ):
        ((where, message),) = check_target(wanted)
        assert where == ("target", "function")
        assert f'the settings of "{qualifier}" cannot be changed; leave it out' in message
    assert list(check_target(starting(Induce.CONFIG, urn="p:default:hello:latest"))) == []
    assert list(check_target(starting(Induce.GAP, urn=urn))) == []
