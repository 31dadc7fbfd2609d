"""`loadgen restore` as its user sees it: its streams and its exit code; a process where it takes one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web
from click.testing import CliRunner
from msgspec import UNSET
from msgspec.structs import replace

from loadgen.cli import output
from loadgen.cli.restore import restore, say_what_is_left
from loadgen.targets.functiongraph.settings.edit import Edit
from loadgen.targets.functiongraph.settings.journal import Begun, Change, Done, Entry, Resource, Undone
from loadgen.targets.functiongraph.settings.journalfile import DIRECTORY, JournalFile
from loadgen.targets.functiongraph.settings.lock import FunctionLock
from loadgen.targets.functiongraph.settings.mark import MARK, NAME
from tests.servers import disk
from tests.servers.disk import within
from tests.servers.management import HELLO, PROJECT, Management, Request, failure, managing
from tests.servers.ports import free_port
from tests.targets.functiongraph.settings.entries import written

SCENARIO = """\
name: x
target: {{endpoint: "{url}", project_id: demo, function: hello, auth: {{token: "${{FG_TOKEN}}"}}}}
phases: [{{name: a, workers: 1, duration: 1s}}]
"""


class Said(NamedTuple):
    """What a command said."""

    code: int | None
    stdout: str
    stderr: str


class Home:
    """Where a user's journals are."""

    def __init__(self, path: Path, platform: Management) -> None:
        self.path = path
        self.platform = platform
        self.directory = path / "loadgen" / DIRECTORY
        self.directory.mkdir(parents=True)

    def change(self, number: int = 1, size: int = 512, before: int = 128) -> Change:
        """A change of the memory size, as it would be written down."""
        resource = Resource(self.platform.url, PROJECT, HELLO.text)
        return Change(number, resource, (Edit(("memory_size",), before, size),), {})

    def journal(self, run: str, *entries: Entry, begun: Begun | None = None, torn: bytes = b"") -> Path:
        """A journal that a run left."""
        path = self.directory / f"{run}.ndjson"
        first = begun or Begun(run, 1, "2026-01-02T03:04:05Z")
        path.write_bytes(written(first, *entries) + torn)
        return path

    async def restore(self, *arguments: str, **environment: str) -> Said:
        """The command, in a thread, as the platform is served by the loop."""
        env = {"XDG_STATE_HOME": str(self.path), **environment}
        done = await asyncio.to_thread(CliRunner().invoke, restore, arguments, env=env)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Said(done.exit_code, done.stdout, done.stderr)

    async def process(self, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL, disk: str | None = None) -> Said:
        """The command as a process, with its journals on such a disk; see ``tests.servers.disk``."""
        command = (sys.executable, "-m", "loadgen", "restore", *arguments)
        process = await asyncio.create_subprocess_exec(
            *(command if disk is None else within(disk, self.directory, *command)),
            env={**os.environ, "XDG_STATE_HOME": str(self.path)},
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stdout, stderr = await process.communicate()
        assert b"Traceback" not in stderr, stderr.decode()
        return Said(process.returncode, stdout.decode(), stderr.decode())


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    monkeypatch.setattr(output, "interruptible", lambda: None)  # which is for the main thread
    async with managing() as platform:
        yield Home(tmp_path, platform)


async def test_it_shows_what_it_puts_back_and_does_it(home: Home) -> None:
    path = home.journal("run-1", home.change(), Done(1))
    home.platform.config["memory_size"] = 512
    said = await home.process()
    where = f"config of {HELLO.text} at {home.platform.url}"
    assert said == Said(
        0,
        "run-1, begun 2026-01-02T03:04:05Z\n"
        f"  {where}: memory_size 512 -> 128\n"
        f"put back: {where}: memory_size 512 -> 128\n",
        "",
    )
    assert home.platform.config["memory_size"] == 128
    assert not path.exists()
    assert await home.restore() == Said(0, "nothing to put back\n", "")


async def test_what_is_as_it_was_is_left_and_said(home: Home) -> None:
    home.journal("run-1", home.change(), Done(1))
    said = await home.restore("run-1")
    assert (said.code, said.stdout.splitlines()[-1]) == (0, f"as it was: config of {HELLO.text} at {home.platform.url}")
    assert home.platform.writes == []


async def test_the_newest_run_is_put_back_first(home: Home) -> None:
    home.journal("a", home.change(1, 512, 256), Done(1), begun=Begun("a", 1, "2026-01-02T00:00:02Z"))
    home.journal("b", home.change(1, 256, 128), Done(1), begun=Begun("b", 1, "2026-01-02T00:00:01Z"))
    home.platform.config["memory_size"] = 512
    assert (await home.restore()).code == 0
    assert home.platform.config["memory_size"] == 128


async def test_only_the_run_that_is_named_is_put_back(home: Home) -> None:
    home.journal("a", home.change(), Done(1))
    other = home.journal("b", home.change(), Done(1))
    home.platform.config["memory_size"] = 512
    assert (await home.restore("a")).code == 0
    assert other.exists()


async def test_a_run_without_a_journal_is_a_usage_error_that_names_those_with_one(home: Home) -> None:
    home.journal("a", home.change())
    said = await home.restore("b")
    assert said.code == 2
    assert "there is no journal of a run b in " in said.stderr
    assert "runs with something to put back: a" in said.stderr


async def test_a_run_that_is_still_going_on_is_left_alone_and_exit_code_1(home: Home) -> None:
    with JournalFile.create(home.directory, Begun("alive", os.getpid(), "2026-01-02T03:04:05Z")) as journal:
        journal.append(home.change())
        home.platform.config["memory_size"] = 512
        said = await home.restore()
        assert (said.code, said.stderr) == (
            1,
            "alive: still going on, or being restored; left alone: it puts back itself what it changes, and until then "
            "not everything is as it was\n",
        )
        assert (await home.restore("alive")).code == 1
    assert home.platform.writes == []


async def test_a_journal_that_cannot_be_read_keeps_no_other_from_being_put_back(home: Home) -> None:
    (home.directory / "a.ndjson").mkdir()
    home.journal("b", home.change(), Done(1))
    home.platform.config["memory_size"] = 512
    said = await home.restore()
    assert said.code == 1
    assert said.stderr == f"error: cannot read {home.directory / 'a.ndjson'}: Is a directory\n"
    assert home.platform.config["memory_size"] == 128


async def test_an_endpoint_that_cannot_be_used_keeps_no_other_change_from_being_put_back(home: Home) -> None:
    broken = home.change(2)
    broken = replace(broken, resource=replace(broken.resource, endpoint="http://127.0.0.1:none"))
    home.journal("run-1", home.change(), Done(1), broken, Done(2))
    home.platform.config["memory_size"] = 512
    said = await home.restore()
    assert said.code == 1
    assert "got port none" in said.stderr
    assert home.platform.config["memory_size"] == 128


async def test_a_change_that_makes_no_sense_keeps_no_other_journal_from_being_put_back(home: Home) -> None:
    spoilt = replace(home.change(), resource=replace(home.change().resource, function="::::"))
    path = home.journal("b", spoilt, begun=Begun("b", 1, "2026-02-02T00:00:00Z"))
    home.journal("a", home.change(), Done(1))
    home.platform.config["memory_size"] = 512
    said = await home.restore()
    assert said.code == 1
    assert f"{path}:2: this is no entry of a journal (" in said.stderr
    assert "with 5 fields: expected name" in said.stderr
    assert home.platform.config["memory_size"] == 128
    assert Path(f"{path}.damaged").exists()


async def test_a_scenario_that_cannot_be_used_keeps_no_other_journal_from_being_put_back(home: Home) -> None:
    begun = Begun("b", 1, "2026-02-02T00:00:00Z", scenario=str(home.path / "none.yaml"))
    path = home.journal("b", home.change(1, 1024, 512), begun=begun)
    home.journal("a", home.change(), Done(1))
    home.platform.config["memory_size"] = 512
    said = await home.restore()
    assert said.code == 2
    assert "none.yaml" in said.stderr
    assert home.platform.config["memory_size"] == 128
    assert path.exists()


async def test_what_is_no_journal_keeps_none_from_being_put_back(home: Home) -> None:
    os.mkfifo(home.directory / "a.ndjson")
    home.journal("b", home.change(), Done(1))
    home.platform.config["memory_size"] = 512
    said = await home.restore()
    assert said.code == 1
    assert "a.ndjson: expected a regular file" in said.stderr
    assert home.platform.config["memory_size"] == 128


async def test_an_empty_journal_is_kept_and_exit_code_1(home: Home) -> None:
    path = home.directory / "a.ndjson"
    path.touch()
    said = await home.restore()
    assert said.code == 1
    assert f"error: {path}: it is empty" in said.stderr
    assert Path(f"{path}.damaged").exists()


async def test_a_journal_with_a_number_used_twice_is_left_whole(home: Home) -> None:
    path = home.journal("a", home.change(), Done(1), Begun("b", 2, "t"), home.change(), Done(1), Undone(1))
    home.journal("b", home.change(), Done(1))
    text = path.read_bytes()
    assert (await home.restore("a")).stderr.startswith(f"error: {path}: lines 2 and 5 are both change 1, as if two ")
    assert home.platform.requests == []
    home.platform.config["memory_size"] = 512
    assert (await home.restore()).code == 1
    assert home.platform.config["memory_size"] == 128  # as the other journal says
    assert path.read_bytes() == text


async def test_a_value_that_was_changed_often_is_one_line_from_the_last_to_the_first(home: Home) -> None:
    resource = home.change().resource
    whole = Change(1, resource, (Edit(("user_data",), "", '{"LOADGEN_RUN": "r-1"}'),), {})
    runs = [
        Change(n, resource, (Edit(("user_data", "LOADGEN_RUN"), f"r-{n - 1}", f"r-{n}"),), {}) for n in range(2, 10)
    ]
    home.journal("a", whole, Done(1), *(entry for run in runs for entry in (run, Done(run.number))))
    home.platform.config["user_data"] = '{"LOADGEN_RUN": "r-9"}'
    said = await home.restore()
    assert (said.code, said.stderr) == (0, "")
    shown = f'{resource.text}: user_data.LOADGEN_RUN "r-9" -> absent'
    assert said.stdout.splitlines()[1:] == [f"  {shown}", f"put back: {shown}"]
    assert home.platform.config["user_data"] == ""


async def test_two_at_once_do_it_once(home: Home) -> None:
    home.journal("run-1", home.change(), Done(1))
    home.platform.config["memory_size"] = 512

    async def slowly(request: Request) -> web.Response | None:
        await asyncio.sleep(1)
        return None

    home.platform.before = slowly
    first, second = await asyncio.gather(home.process(), home.process())
    assert sorted([first.code or 0, second.code or 0]) == [0, 1]  # the one that is left alone cannot say how it ended
    assert len(home.platform.writes) == 1
    assert home.platform.config["memory_size"] == 128


async def test_somebody_elses_change_is_exit_code_1_until_it_is_forced(home: Home) -> None:
    path = home.journal("run-1", home.change(), Done(1))
    home.platform.config["memory_size"] = 1024
    said = await home.restore()
    assert said.code == 1
    assert "somebody else has changed it since: memory_size is 1024, was 128" in said.stderr
    assert f"The journal stays at {path}; try again with: loadgen restore run-1. What somebody else " in said.stderr
    assert "kept for good with --keep, and overwritten with --force" in said.stderr
    assert home.platform.config["memory_size"] == 1024
    assert (await home.restore("--force")).code == 0
    assert home.platform.config["memory_size"] == 128


async def test_somebody_elses_change_can_be_kept_and_the_rest_is_put_back(home: Home) -> None:
    resource = home.change().resource
    other = Change(2, resource, (Edit(("strategy_config", "concurrency"), 100, 7),), {})
    path = home.journal("run-1", home.change(), Done(1), other, Done(2))
    home.platform.config["memory_size"] = 768
    home.platform.config["strategy_config"]["concurrency"] = 7
    said = await home.restore("--keep", "run-1")
    assert (said.code, path.exists()) == (0, False)
    assert said.stderr == (
        f"note: {resource.text}: somebody else has changed it since: memory_size is 768, was 128 before "
        "loadgen changed it. Kept as it is\n"
    )
    assert f"put back: {resource.text}: strategy_config.concurrency 7 -> 100\n" in said.stdout
    assert "as it was" not in said.stdout
    assert home.platform.config["memory_size"] == 768
    assert home.platform.config["strategy_config"]["concurrency"] == 100
    assert await home.restore() == Said(0, "nothing to put back\n", "")


async def test_what_another_run_has_set_is_not_kept_for_good_while_it_holds_the_function(home: Home) -> None:
    resource = home.change().resource
    mark = Change(1, resource, (Edit(MARK, UNSET, "run-1"),), {})
    path = home.journal("run-1", mark, Done(1), home.change(2), Done(2))
    home.platform.config |= {"memory_size": 768, "user_data": json.dumps({NAME: "run-2"})}
    said = await home.restore("--keep")
    assert (said.code, path.exists(), home.platform.writes) == (1, True, [])
    assert "the function is held by another run now (run-2)" in said.stderr


async def test_keeping_and_forcing_exclude_each_other(home: Home) -> None:
    path = home.journal("run-1", home.change(), Done(1))
    said = await home.restore("--keep", "--force")
    assert (said.code, path.exists(), home.platform.requests) == (2, True, [])
    assert "give one of them" in said.stderr


async def test_a_platform_that_does_not_answer_is_exit_code_1_and_the_journal_stays(home: Home) -> None:
    path = home.journal("run-1", home.change(), Done(1))

    async def down(request: Request) -> web.Response:
        return failure(503, "FSS.0503", "down")

    home.platform.before = down
    said = await home.restore()
    assert said.code == 1
    assert "answered 503 FSS.0503" in said.stderr
    assert path.exists()


async def test_a_cut_line_is_named_kept_and_exit_code_1_and_everything_else_put_back(home: Home) -> None:
    path = home.journal("run-1", home.change(), Done(1), torn=b'{"entry":"change","number":2,"res')
    home.platform.config["memory_size"] = 512
    said = await home.restore()
    assert said.code == 1
    cut, kept = said.stderr.splitlines()
    assert cut.startswith(f"error: {path}:4: the last line is cut off: if")
    assert kept == f"note: the journal is kept as {path}.damaged"
    assert home.platform.config["memory_size"] == 128
    assert await home.restore() == Said(0, "nothing to put back\n", "")


async def test_a_spoilt_line_is_named_kept_and_exit_code_1(home: Home) -> None:
    path = home.journal("run-1", home.change(2), Done(2))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"%%%\n" + b"".join(lines[1:]))
    home.platform.config["memory_size"] = 512
    said = await home.restore()
    assert said.code == 1
    assert said.stderr.splitlines()[:2] == [
        f"error: {path}:2: this is no entry of a journal (JSON is malformed: invalid character (byte 0)): "
        "what it says is lost",
        f"error: {path}: change 1 is not in it: what it changed cannot be put back from here",
    ]
    assert home.platform.config["memory_size"] == 128
    assert b"%%%\n" in Path(f"{path}.damaged").read_bytes()


async def test_a_journal_of_a_newer_version_is_left_whole_for_the_loadgen_that_wrote_it(home: Home) -> None:
    path = home.journal("run-1", replace(home.change(1), v=9), home.change(2), Done(2))
    text = path.read_bytes()
    home.journal("run-2", home.change(), Done(1))
    home.platform.config["memory_size"] = 512
    said = await home.restore("run-1")
    assert said.code == 1
    assert said.stderr.startswith(f"error: {path}: a newer loadgen wrote it (got an entry of version 9): what that ")
    assert (home.platform.requests, path.read_bytes()) == ([], text)
    assert (await home.restore()).code == 1
    assert home.platform.config["memory_size"] == 128  # as the other journal says
    assert path.read_bytes() == text


async def test_a_function_that_a_run_holds_is_left_alone(home: Home) -> None:
    path = home.journal("run-1", home.change(), Done(1))
    home.platform.config["memory_size"] = 512
    alive = Begun("alive", os.getpid(), "2026-01-02T03:04:05Z")
    with FunctionLock.take(home.directory, home.change().resource, alive):
        said = await home.restore()
    assert said.code == 1
    assert f"is held by run alive (process {os.getpid()} on this machine, since 2026-01-02T03:04:05Z)" in said.stderr
    assert "--force" not in said.stderr  # it would not help
    assert (home.platform.writes, path.exists()) == ([], True)


@pytest.mark.skipif(not disk.possible(), reason="needs a mount namespace")
async def test_a_journal_that_cannot_be_written_is_said_with_what_to_do(home: Home) -> None:
    path = home.journal("run-1", home.change(), Done(1))
    home.platform.config["memory_size"] = 512
    said = await home.process(disk=disk.READ_ONLY)
    assert said.code == 1
    assert said.stderr == (
        f"error: cannot read {path}: Read-only file system. What is put back is written down in it: have it writable, "
        "and restore again\n"
    )
    assert (home.platform.writes, path.exists()) == ([], True)


@pytest.mark.skipif(not disk.possible(), reason="needs a mount namespace")
async def test_on_a_full_disk_everything_is_put_back_and_the_journal_stays(home: Home) -> None:
    short = written(Begun("run-1", 1, ""), home.change(), Done(1))
    filled = Begun("run-1", 1, "." * (disk.PAGE - 1 - len(short)))
    path = home.journal("run-1", home.change(), Done(1), begun=filled)
    home.platform.config["memory_size"] = 512
    said = await home.process(disk=disk.FULL)
    assert said.code == 1
    assert f"error: cannot write the journal {path}: No space left on device" in said.stderr
    assert "Free space on that disk" in said.stderr
    assert home.platform.config["memory_size"] == 128
    assert (await home.restore()).code == 0


async def test_what_ended_with_its_emulator_needs_nothing(home: Home) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    change = replace(home.change(), resource=replace(home.change().resource, endpoint=gone))
    path = home.journal("run-1", change, Done(1), begun=Begun("run-1", 1, "t", emulated=True))
    said = await home.restore()
    assert (said.code, path.exists()) == (0, False)
    assert "note: it was the emulator's, which ended with its run" in said.stderr
    path = home.journal("run-2", change, Done(1))
    assert (await home.restore()).code == 1
    assert path.exists()


async def test_credentials_come_from_the_scenario_of_the_run(home: Home) -> None:
    scenario = home.path / "s.yaml"
    scenario.write_text(SCENARIO.format(url=home.platform.url))
    begun = Begun("run-1", 1, "2026-01-02T03:04:05Z", scenario=str(scenario))
    home.journal("run-1", home.change(), Done(1), begun=begun)
    home.platform.config["memory_size"] = 512
    said = await home.restore()
    assert said.code == 2
    assert "FG_TOKEN" in said.stderr
    assert "--scenario FILE names another" in said.stderr
    said = await home.restore(FG_TOKEN="t0ken-t0ken-t0ken")
    assert said.code == 0
    assert {request.headers["X-Auth-Token"] for request in home.platform.requests} == {"t0ken-t0ken-t0ken"}
    assert "t0ken" not in said.stdout + said.stderr


@pytest.mark.parametrize("elsewhere", ["endpoint", "project"])
async def test_credentials_go_only_where_their_scenario_says(home: Home, elsewhere: str) -> None:
    text = SCENARIO.format(url=home.platform.url)
    if elsewhere == "endpoint":
        text = text.replace(home.platform.url, "https://functiongraph.eu-de.example.invalid")
    else:
        text = text.replace("project_id: demo", "project_id: other")
    scenario = home.path / "s.yaml"
    scenario.write_text(text)
    path = home.journal("run-1", home.change(), Done(1), begun=Begun("run-1", 1, "t", scenario=str(scenario)))
    said = await home.restore(FG_TOKEN="t0ken-t0ken-t0ken")
    assert said.code == 1
    assert f"the change was made at {home.platform.url} in project {PROJECT}" in said.stderr
    expected = (
        "https://functiongraph.eu-de.example.invalid, project demo" if elsewhere == "endpoint" else "project other"
    )
    assert expected in said.stderr
    assert home.platform.requests == []
    assert path.exists()


async def test_credentials_for_an_emulator_go_to_no_other_machine_and_to_no_real_platform(home: Home) -> None:
    scenario = home.path / "s.yaml"
    scenario.write_text(SCENARIO.format(url="https://functiongraph.eu-de.example.invalid"))
    begun = Begun("run-1", 1, "t", scenario=str(scenario), emulated=True)
    home.journal("run-1", home.change(), Done(1), begun=begun)
    said = await home.restore(FG_TOKEN="t0ken-t0ken-t0ken")
    assert said.code == 1
    assert "they are not sent elsewhere" in said.stderr
    assert [request.headers.get("X-Auth-Token") for request in home.platform.requests] == [None]  # is it still there?


async def test_another_machine_is_not_changed_unasked(home: Home) -> None:
    change = home.change()
    remote = replace(change, resource=replace(change.resource, endpoint="https://functiongraph.example.invalid"))
    path = home.journal("run-1", remote, Done(1))
    said = await home.restore()
    assert said.code == 2
    assert "allow it with --yes" in said.stderr
    assert "memory_size 512 -> 128" in said.stdout
    said = await home.restore("--yes")
    assert said.code == 1
    assert "no answer" in said.stderr
    assert path.exists()


async def test_at_a_terminal_it_asks_and_a_no_changes_nothing(home: Home) -> None:
    change = home.change()
    remote = replace(change, resource=replace(change.resource, endpoint="https://functiongraph.example.invalid"))
    path = home.journal("run-1", remote, Done(1))
    ours, theirs = os.openpty()
    try:
        os.write(ours, b"n\n")
        said = await home.process(stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert said.code == 1
    assert "Put this back? [y/N]" in said.stderr
    assert "no answer" not in said.stderr
    assert path.exists()


async def test_a_journal_with_everything_undone_goes_away(home: Home) -> None:
    path = home.journal("run-1", home.change(), Done(1), Undone(1))
    assert (await home.restore()).code == 0
    assert not path.exists()
    assert home.platform.requests == []


def test_the_help_says_what_it_leaves_alone() -> None:
    text = " ".join(CliRunner().invoke(restore, ["--help"]).output.split())
    assert "Runs that are still going on are left alone" in text


async def test_the_start_of_a_run_says_what_an_earlier_one_left(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home.path))
    say_what_is_left()
    assert capsys.readouterr().err == ""
    home.journal("run-1", home.change())
    say_what_is_left()
    assert capsys.readouterr().err == (
        "note: an earlier run ended without putting back what was changed on the platform; "
        "do it with: loadgen restore\n"
    )
    home.journal("run-2", home.change())
    say_what_is_left()
    assert capsys.readouterr().err.startswith("note: 2 earlier runs ended without")


async def test_what_the_platform_and_a_journal_hold_commands_no_terminal_and_forges_no_line(home: Home) -> None:
    hostile = "\x1b[32m\x9b31m\u202e\nput back: everything"
    resource = home.change().resource
    edits = (Edit(("handler",), hostile, "mine"), Edit(("depend_version_list",), [hostile], ["x"]))
    home.journal("run-1", Change(1, resource, edits, {"description": "old", hostile: 1}), Done(1))
    home.platform.config |= {"handler": f"other {hostile}", "description": hostile, f"new{hostile}": hostile}
    said = await home.restore()
    assert said.code == 1
    assert "somebody else has changed it since" in said.stderr
    for stream in (said.stdout, said.stderr):
        assert all(c == "\n" or c.isprintable() for c in stream)
        assert not any(line.startswith("put back: everything") for line in stream.splitlines())


async def test_a_directory_or_pipe_among_the_journals_is_refused_and_a_foreign_file_not_quoted(home: Home) -> None:
    os.mkfifo(home.directory / "a.ndjson")
    (home.directory / "b.ndjson").write_text("HOME=/root\nPLANTED=secret\n")
    said = await home.restore()
    assert said.code == 1
    assert "a.ndjson: expected a regular file" in said.stderr
    assert "b.ndjson:1: this is no entry of a journal" in said.stderr
    assert "PLANTED" not in said.stderr + said.stdout
    assert "HOME" not in said.stderr + said.stdout


async def test_what_was_masked_in_the_journal_is_neither_compared_nor_shown(home: Home) -> None:
    edits = (Edit(("memory_size",), 128, 512),)
    home.journal(
        "run-1", Change(1, home.change().resource, edits, {"description": "called with ***", "handler": "old"})
    )
    home.platform.config |= {"memory_size": 512, "description": "called with PLANTED", "handler": "new"}
    said = await home.restore()
    assert said.code == 0
    assert "handler was" in said.stderr, "what is not masked is"
    assert "PLANTED" not in said.stderr + said.stdout
