from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from loadgen.scenario.load import load
from loadgen.targets.functiongraph.protocol.platform import Injected
from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.changes import Changes, UndoError
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.journalfile import JournalError, JournalFile, begun
from loadgen.targets.secret import sent
from loadgen.text.secret import Secrets
from tests.servers.management import CONFIG, HELLO, PROJECT, Management, Request, failure, managing
from tests.targets.functiongraph.settings.entries import QUICK

PHASE = "{name: s, workers: 1, duration: 1s}"
RUN = begun("run-1", scenario=None, emulated=False)


@asynccontextmanager
async def changing(platform: Management, directory: Path) -> AsyncIterator[Changes]:
    """What is within sees the function held already, and nothing that was asked for that."""
    hooks = platform.before, platform.after
    platform.before = platform.after = None
    async with Control(platform.url, PROJECT, Nobody()) as control:
        journal = partial(JournalFile.create, directory, RUN)
        async with Changes(control, control.resource(HELLO), journal, patience=QUICK) as changes:
            platform.requests.clear()
            platform.before, platform.after = hooks
            yield changes


async def change_everything(changes: Changes) -> None:
    await changes.config({("memory_size",): 512, ("user_data", "LOADGEN_RUN"): "1"})
    await changes.config({("memory_size",): 1024, ("strategy_config", "concurrent_num"): 5})
    await changes.config({("user_data", "LOADGEN_RUN"): "2", ("timeout",): 60})
    await changes.config({("memory_size",): 2048})


async def test_within_it_is_as_asked_and_afterwards_as_it_was(platform: Management, tmp_path: Path) -> None:
    before = platform.state()
    async with changing(platform, tmp_path) as changes:
        await change_everything(changes)
        config = platform.config
        assert (config["memory_size"], config["timeout"]) == (2048, 60)
        assert config["strategy_config"] == {"concurrency": 100, "concurrent_num": 5}
        assert json.loads(config["user_data"])["LOADGEN_RUN"] == "2"
        assert config["not_documented_yet"] == CONFIG["not_documented_yet"]
        assert sorted(path.suffix for path in tmp_path.iterdir()) == [".lock", ".ndjson"]
    assert platform.state() == before
    assert list(tmp_path.iterdir()) == []


async def test_what_is_so_already_is_neither_journaled_nor_written(platform: Management, tmp_path: Path) -> None:
    async with changing(platform, tmp_path) as changes:
        (path,) = tmp_path.glob("*.ndjson")
        text = path.read_bytes()
        await changes.config({("memory_size",): 128})
        assert (path.read_bytes(), platform.writes) == (text, [])


async def test_the_journal_is_on_the_disk_before_the_request_leaves(platform: Management, tmp_path: Path) -> None:
    seen: list[list[dict[str, object]]] = []

    async def look(request: Request) -> web.Response | None:
        if request.writes:
            (path,) = tmp_path.glob("*.ndjson")
            seen.append([json.loads(line) for line in path.read_bytes().splitlines()])
        return None

    platform.before = look
    async with changing(platform, tmp_path) as changes:
        await changes.config({("memory_size",): 512})
        await changes.config({("timeout",): 60})
    held = ["run", "change", "done"]
    assert [[entry["entry"] for entry in entries] for entries in seen] == [
        [*held, "change"],
        [*held, "change", "done", "change"],
        [*held, "change", "done", "change", "done", "back"],
    ]
    assert seen[0][3]["edits"] == [{"path": ["memory_size"], "before": 128, "after": 512}]


async def test_no_environment_variable_but_our_own_is_written_down(platform: Management, tmp_path: Path) -> None:
    async with changing(platform, tmp_path) as changes:
        await changes.config({("user_data", "LOADGEN_RUN"): "1"})
        (path,) = tmp_path.glob("*.ndjson")
        text = path.read_text()
    assert "LOADGEN_RUN" in text
    assert "hunter2" not in text
    assert platform.config["user_data"] == '{"HOST": "10.0.0.1", "PASSWORD": "hunter2-hunter2"}'


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
async def test_an_error_within_undoes_everything_and_goes_on(
    platform: Management, tmp_path: Path, error: type[BaseException]
) -> None:
    before = platform.state()

    async def work() -> None:
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512})
            raise error

    with pytest.raises(error):
        await work()
    assert platform.state() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", range(12))
async def test_cancelled_at_any_request_everything_is_undone(platform: Management, tmp_path: Path, moment: int) -> None:
    before = platform.state()
    reached = asyncio.Event()

    async def slowly(request: Request) -> web.Response | None:
        if len(platform.requests) > moment:
            reached.set()
            await asyncio.sleep(0.02)
        return None

    async def work() -> None:
        async with changing(platform, tmp_path) as changes:
            await change_everything(changes)
            await asyncio.sleep(10)

    platform.before = slowly
    task = asyncio.create_task(work())
    await reached.wait()
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()  # a second interrupt does not leave the platform half undone
    with pytest.raises(asyncio.CancelledError):
        await task
    assert platform.state() == before
    assert list(tmp_path.iterdir()) == []


async def test_a_change_that_is_refused_undoes_those_before_it(platform: Management, tmp_path: Path) -> None:
    before = platform.state()

    async def refuse(request: Request) -> web.Response | None:
        return failure(400, "FSS.1008", "invalid") if b'"timeout":60' in request.body else None

    async def work() -> None:
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512})
            await changes.config({("timeout",): 60})

    platform.before = refuse
    with pytest.raises(ControlError, match=r"FSS\.1008"):
        await work()
    assert platform.state() == before
    assert list(tmp_path.iterdir()) == []


async def test_an_answer_that_is_lost_is_no_reason_to_do_it_twice(platform: Management, tmp_path: Path) -> None:
    """The connection is reset once the write was applied: reading it back says so."""
    before = platform.state()

    async def lose(request: Request) -> None:
        if request.writes and len(platform.writes) == 1:
            request.break_off()

    platform.after = lose
    async with changing(platform, tmp_path) as changes:
        await changes.config({("memory_size",): 512})
        assert platform.config["memory_size"] == 512
    assert [json.loads(request.body)["memory_size"] for request in platform.writes] == [512, 128]
    assert platform.state() == before


def failing(
    platform: Management, *answers: tuple[int, str] | None
) -> Callable[[Request], Awaitable[web.Response | None]]:
    """The first writes are answered so and not carried out; None breaks the connection instead."""
    left = list(answers)

    async def fail(request: Request) -> web.Response | None:
        if not request.writes or not left:
            return None
        answer = left.pop(0)
        if answer is None:
            request.break_off()
            return web.Response(status=500)
        return failure(*answer, "in passing")

    return fail


@pytest.mark.parametrize(
    "answers",
    [
        [(500, "FSS.0500")],
        [(503, "FSS.0503"), (500, "FSS.0500")],
        [(429, "FSS.0429")],
        [(502, "APIG.0202"), None],
        [None, None],
    ],
)
async def test_a_write_that_fails_in_passing_is_made_again_when_nothing_has_changed(
    platform: Management, tmp_path: Path, answers: list[tuple[int, str] | None]
) -> None:
    before = platform.state()
    platform.before = failing(platform, *answers)
    async with changing(platform, tmp_path) as changes:
        await changes.config({("memory_size",): 512})
        assert platform.config["memory_size"] == 512
        (path,) = tmp_path.glob("*.ndjson")
        assert [json.loads(line)["entry"] for line in path.read_bytes().splitlines()] == [
            "run",
            *["change", "done"] * 2,
        ]
    assert len(platform.writes) == len(answers) + 2
    assert platform.state() == before
    assert list(tmp_path.iterdir()) == []


async def test_everything_that_is_changed_survives_a_failure_of_each_of_its_writes(
    platform: Management, tmp_path: Path
) -> None:
    before = platform.state()
    failed: set[tuple[str, bytes]] = set()

    async def fail_once(request: Request) -> web.Response | None:
        what = (f"{request.method} {request.path}", request.body)
        if not request.writes or what in failed:
            return None
        failed.add(what)
        return failure(500, "FSS.0500", "in passing")

    platform.before = fail_once
    async with changing(platform, tmp_path) as changes:
        await change_everything(changes)
        assert (platform.config["memory_size"], platform.config["timeout"]) == (2048, 60)
    assert platform.state() == before
    assert list(tmp_path.iterdir()) == []


async def test_one_request_in_three_that_fails_in_passing_changes_nothing_of_that(tmp_path: Path) -> None:
    """Seeded, so that it is the same every time; three failures in a row end an experiment, and are not among these."""
    async with managing(Injected("FSS.0500", 0.3), seed=15) as platform:
        before = platform.state()
        async with changing(platform, tmp_path) as changes:
            await change_everything(changes)
        assert len(platform.requests) > 20
        assert platform.state() == before
    assert list(tmp_path.iterdir()) == []


async def test_what_fails_for_ever_ends_after_three_tries_with_everything_put_back(
    platform: Management, tmp_path: Path
) -> None:
    before = platform.state()

    async def fail(request: Request) -> web.Response | None:
        return failure(500, "FSS.0500", "no") if b'"timeout":60' in request.body else None

    platform.before = fail

    async def work() -> None:
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512})
            await changes.config({("timeout",): 60})

    with pytest.raises(ControlError, match=r"failed\. Try again later\. It was tried 3 times, and nothing has changed"):
        await work()
    assert sum(b'"timeout":60' in request.body for request in platform.writes) == 3
    assert platform.state() == before
    assert list(tmp_path.iterdir()) == []


async def test_what_the_platform_refuses_is_asked_for_once(platform: Management, tmp_path: Path) -> None:
    async def refuse(request: Request) -> web.Response | None:
        return failure(400, "FSS.1007", "invalid") if b'"memory_size":512' in request.body else None

    platform.before = refuse
    with pytest.raises(ControlError, match=r"FSS\.1007"):
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512})
    assert [b'"memory_size":512' in request.body for request in platform.writes] == [True, False]


async def test_a_read_that_fails_in_passing_is_made_again(platform: Management, tmp_path: Path) -> None:
    before = platform.state()

    reads = itertools.count(1)

    async def fail(request: Request) -> web.Response | None:
        return failure(503, "FSS.0503", "no") if not request.writes and next(reads) % 3 else None

    platform.before = fail
    async with changing(platform, tmp_path) as changes:
        await changes.config({("memory_size",): 512})
    assert platform.state() == before


async def test_a_write_that_did_half_of_it_is_not_made_again(platform: Management, tmp_path: Path) -> None:
    async def half(request: Request) -> web.Response | None:
        if request.writes and len(platform.writes) == 1:
            platform.config["timeout"] = 3
            return failure(500, "FSS.0500", "no")
        return None

    platform.before = half
    with pytest.raises(ControlError, match=r"answered 500 FSS\.0500"):
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512})
    assert [b'"memory_size":512' in request.body for request in platform.writes] == [True, False]
    assert list(tmp_path.iterdir()) == []


async def test_what_the_platform_resets_on_its_own_ends_the_change_and_is_put_back(
    platform: Management, tmp_path: Path
) -> None:
    before = platform.state()

    async def reset(request: Request) -> None:
        if len(platform.writes) == 1:
            platform.config["strategy_config"] = {"concurrency": 0, "concurrent_num": 1}

    platform.after = reset
    with pytest.raises(ControlError, match=r"changed strategy_config\.concurrency 100 -> 0 on its own"):
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512})
    assert platform.state() == before


async def test_variables_that_the_platform_loses_end_the_change_without_their_values(
    platform: Management, tmp_path: Path
) -> None:
    async def lose(request: Request) -> None:
        if request.writes:
            platform.config["user_data"] = ""

    platform.after = lose
    with pytest.raises(ControlError, match=r"changed user_data \*\*\* -> \*\*\* on its own"):
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512})


async def test_a_value_that_does_not_hold_is_an_error(platform: Management, tmp_path: Path) -> None:
    async def ignore(request: Request) -> web.Response | None:
        return web.json_response({}) if b'"memory_size":512' in request.body else None

    platform.before = ignore
    with pytest.raises(ControlError, match="memory_size 128 -> 512 was accepted, and still memory_size is 128"):
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512})


async def test_what_cannot_be_undone_is_shouted_and_its_journal_stays(platform: Management, tmp_path: Path) -> None:
    async def fail(request: Request) -> web.Response:
        return failure(503, "FSS.0503", "down")

    async def work() -> None:
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512})
            platform.before = fail

    with pytest.raises(UndoError) as raised:
        await work()
    assert "not everything could be put back" in str(raised.value)
    assert "answered 503 FSS.0503" in str(raised.value)
    assert "Put it back with: loadgen restore run-1 (its journal is " in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["run-1.ndjson"]


async def test_somebody_elses_change_is_not_overwritten(platform: Management, tmp_path: Path) -> None:
    async def work() -> None:
        async with changing(platform, tmp_path) as changes:
            await changes.config({("memory_size",): 512, ("timeout",): 60})
            platform.config["memory_size"] = 256

    with pytest.raises(UndoError, match="somebody else has changed it since: memory_size is 256"):
        await work()
    assert (platform.config["memory_size"], platform.config["timeout"]) == (256, 30)


async def test_somebody_elses_variable_stays_when_ours_goes(platform: Management, tmp_path: Path) -> None:
    async with changing(platform, tmp_path) as changes:
        await changes.config({("user_data", "LOADGEN_RUN"): "1"})
        platform.config["user_data"] = '{"HOST": "10.0.0.2", "LOADGEN_RUN": "1", "NEW": "x"}'
    assert platform.config["user_data"] == '{"HOST": "10.0.0.2", "NEW": "x"}'


async def test_what_must_not_be_changed_is_refused_before_anything_is_sent(
    platform: Management, tmp_path: Path
) -> None:
    async with changing(platform, tmp_path) as changes:
        with pytest.raises(ControlError, match="only variables named LOADGEN_…"):
            await changes.config({("user_data", "HOST"): "x"})
        assert platform.writes == []


async def test_without_a_journal_nothing_is_changed(platform: Management, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError):
        async with changing(platform, tmp_path / "file") as changes:
            await changes.config({("memory_size",): 512})
    assert platform.writes == []


async def test_the_journal_holds_no_secret_of_the_run_beside_what_is_to_be_put_back(
    platform: Management, tmp_path: Path
) -> None:
    token = "PLANTED-token-1234"
    platform.config["description"] = f"called with {token}"
    before = platform.state()
    text = f"name: x\ntarget: {{url: 'https://h/', headers: {{Authorization: {token}}}}}\nphases: [{PHASE}]\n"
    target = load(text, source="s.yaml", directory=tmp_path, environment={}).scenario.target
    journal, hide_in = partial(JournalFile.create, tmp_path, RUN), Secrets(sent(target)).hide_in
    async with (
        Control(platform.url, PROJECT, Nobody()) as control,
        Changes(control, control.resource(HELLO), journal, patience=QUICK, hide_in=hide_in) as changes,
    ):
        await changes.config({("memory_size",): 512})
        (path,) = tmp_path.glob("*.ndjson")
        assert token not in path.read_text()
        assert "called with ***" in path.read_text()
    assert platform.state() == before
