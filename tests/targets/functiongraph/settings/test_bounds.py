"""What a management API or an IAM may send is limited, whatever it sends."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

from loadgen.targets.functiongraph.protocol.target import IamAuth
from loadgen.targets.functiongraph.protocol.token import IamError
from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.edit import DEEPEST, same, too_deep
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.journalfile import JournalError, JournalFile
from loadgen.targets.functiongraph.settings.received import LARGEST
from loadgen.targets.functiongraph.settings.renewal import obtain
from tests.servers.endless import HEADS, NESTED, TOKEN, UNREADABLE, Flood, flooding, sized
from tests.servers.management import CONFIG, HELLO, PROJECT

pytestmark = pytest.mark.wallclock  # ten seconds are at once, on any machine that does nothing else


def ids(floods: tuple[Flood, ...]) -> list[str]:
    return [flood.name for flood in floods]


def user(url: str) -> IamAuth:
    return IamAuth(url, "u", "pass-word", "ACCOUNT", "demo", None, None)


@pytest.mark.parametrize("flood", UNREADABLE, ids=ids(UNREADABLE))
@pytest.mark.timeout(10)
async def test_a_management_answer_that_cannot_be_read_is_said_at_once(flood: Flood) -> None:
    async with flooding(flood) as url, Control(url, PROJECT, Nobody()) as control:
        with pytest.raises(ControlError, match=flood.said) as error:
            await control.config(HELLO)
    assert "Check that the endpoint is FunctionGraph's" in str(error.value)
    assert not error.value.passing


@pytest.mark.parametrize("flood", UNREADABLE, ids=ids(UNREADABLE))
@pytest.mark.timeout(10)
async def test_what_cannot_be_read_hides_neither_a_success_nor_a_refusal_of_a_write(flood: Flood) -> None:
    async with flooding(flood) as url, Control(url, PROJECT, Nobody()) as control:
        await control.set_config(HELLO, CONFIG)
    async with flooding(flood, b"403 Forbidden") as url, Control(url, PROJECT, Nobody()) as control:
        with pytest.raises(ControlError, match="answered 403: the credentials do not allow this"):
            await control.set_config(HELLO, CONFIG)


@pytest.mark.parametrize("flood", UNREADABLE, ids=ids(UNREADABLE))
@pytest.mark.timeout(10)
async def test_an_answer_of_iam_that_cannot_be_read_is_said_and_not_asked_for_again(flood: Flood) -> None:
    async with flooding(flood, b"201 Created", TOKEN) as url:
        with pytest.raises(IamError, match=flood.said) as error:
            await obtain(user(url), None)
    assert error.value.final
    async with flooding(flood, b"503 Unavailable") as url:
        with pytest.raises(IamError, match="IAM failed") as error:
            await obtain(user(url), None)
    assert not error.value.final


@pytest.mark.parametrize("flood", HEADS, ids=ids(HEADS))
@pytest.mark.timeout(10)
async def test_heads_without_end_are_no_answers(flood: Flood) -> None:
    async with flooding(flood) as url:
        async with Control(url, PROJECT, Nobody()) as control:
            with pytest.raises(ControlError, match="no answer"):
                await control.config(HELLO)
        with pytest.raises(IamError, match="no answer"):
            await obtain(user(url), None)


@pytest.mark.parametrize("flood", NESTED, ids=ids(NESTED))
@pytest.mark.timeout(10)
async def test_json_of_any_depth_is_an_error_and_no_recursion(flood: Flood) -> None:
    async with flooding(flood) as url, Control(url, PROJECT, Nobody()) as control:
        with pytest.raises(ControlError, match=r"no JSON object|nested more than"):
            await control.config(HELLO)
        await control.set_config(HELLO, CONFIG)
    async with flooding(flood, b"404 Not Found") as url, Control(url, PROJECT, Nobody()) as control:
        with pytest.raises(ControlError, match="answered 404"):
            await control.config(HELLO)
    async with flooding(flood, b"201 Created", TOKEN) as url:
        assert (await obtain(user(url), None)).lifetime_s is None


@pytest.mark.parametrize("flood", [UNREADABLE[0], UNREADABLE[2], NESTED[0]], ids=lambda flood: flood.name)
@pytest.mark.timeout(10)
async def test_a_redirect_is_not_followed_wherever_it_leads(flood: Flood) -> None:
    async with flooding(flood) as elsewhere:
        there = Flood("there", "", sized(b"", b"Location: " + elsewhere.encode()))
        async with flooding(there, b"302 Found") as url, Control(url, PROJECT, Nobody()) as control:
            with pytest.raises(ControlError, match="answered 302"):
                await control.config(HELLO)


PACKED = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("identity", bytes),
    ("GZIP", gzip.compress),
]


@pytest.mark.parametrize(("coding", "pack"), PACKED, ids=[coding for coding, _ in PACKED])
async def test_what_a_gateway_compresses_unasked_is_read_up_to_the_limit(coding: str, pack: type[bytes]) -> None:
    text = b'{"a":"' + b"x" * (LARGEST - 8) + b'"}'
    encoding = f"Content-Encoding: {coding}".encode()
    async with flooding(Flood("", "", sized(pack(text), encoding))) as url, Control(url, PROJECT, Nobody()) as control:
        assert len((await control.config(HELLO))["a"]) == LARGEST - 8
    more = Flood("", "", sized(pack(text + b" "), encoding))
    async with flooding(more) as url, Control(url, PROJECT, Nobody()) as control:
        with pytest.raises(ControlError, match="larger than 1 MiB"):
            await control.config(HELLO)


def nested(levels: int) -> object:
    value: object = {"x": 1}
    for _ in range(levels - 1):
        value = [value]
    return value


def test_a_document_is_as_deep_as_it_says() -> None:
    assert [too_deep(nested(levels)) for levels in (1, DEEPEST, DEEPEST + 1, 100_000)] == [False, False, True, True]


def test_json_text_within_a_document_is_text_where_it_is_too_deep() -> None:
    text = '{"a":' * 900 + "1" + "}" * 900
    assert same({"user_data": text}, {"user_data": text})
    assert not same({"user_data": text}, {"user_data": text + " "})


def test_a_journal_of_a_size_that_no_run_writes_is_not_read(tmp_path: Path) -> None:
    journal = tmp_path / "run.ndjson"
    with journal.open("wb") as file:
        file.truncate(2**34)
    with pytest.raises(JournalError, match=r"it has 17,179,869,184 bytes, and at most 268,435,456 are read"):
        JournalFile.take(journal)
