from __future__ import annotations

import multiprocessing
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from loadgen.targets.functiongraph.settings.journal import Done, Undone, read
from loadgen.targets.functiongraph.settings.journalfile import JournalError, JournalFile, abandoned, begun, journals
from tests.targets.functiongraph.settings.entries import BEGUN, memory, written

HOLD = """
import sys
from pathlib import Path
from loadgen.targets.functiongraph.settings.journalfile import JournalFile, begun
from tests.targets.functiongraph.settings.entries import memory
journal = JournalFile.create(Path(sys.argv[1]), begun("run-1", scenario=None, emulated=False))
journal.append(memory(1, 128, 256))
print("ready", flush=True)
sys.stdin.read()
"""


def create(directory: Path) -> JournalFile:
    return JournalFile.create(directory, BEGUN)


def test_a_journal_is_for_its_user_only(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "journal"
    with create(directory) as journal:
        assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [path.name for path in directory.iterdir()] == ["run-1.ndjson"]


def test_a_run_whose_name_is_no_file_name_has_one_all_the_same(tmp_path: Path) -> None:
    run = begun("../ä b/c:1", scenario=Path("s.yaml"), emulated=True)
    with JournalFile.create(tmp_path, run) as journal:
        assert journal.path == tmp_path / "b-c-1.ndjson"
    assert (run.pid, run.scenario) == (os.getpid(), str(Path("s.yaml").absolute()))


def test_an_entry_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    with create(tmp_path) as journal:
        journal.append(memory(1, 128, 256))
        assert journal.path.read_bytes() == written(BEGUN, memory(1, 128, 256))


def test_a_journal_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    with create(tmp_path) as journal:
        with pytest.raises(JournalError, match="is there already; loadgen restore puts back"):
            create(tmp_path)
        assert read(journal.path.read_bytes()).entries == (BEGUN,)
    assert len(list(tmp_path.iterdir())) == 1


def test_while_its_process_lives_a_journal_is_neither_taken_nor_abandoned(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        path = tmp_path / "run-1.ndjson"
        assert JournalFile.take(path) is None
        assert abandoned(tmp_path) == []
        process.kill()
        process.wait()
        assert abandoned(tmp_path) == ["run-1"]
        taken = JournalFile.take(path)
        assert taken is not None
        with taken[0]:
            assert taken[1].entries[1:] == (memory(1, 128, 256),)
            assert JournalFile.take(path) is None


def test_looking_whether_a_journal_is_somebodys_takes_it_from_nobody(tmp_path: Path) -> None:
    create(tmp_path).__exit__(None, None, None)
    assert abandoned(tmp_path) == abandoned(tmp_path) == ["run-1"]


def test_a_torn_line_stays_and_what_is_added_stands_apart(tmp_path: Path) -> None:
    path = tmp_path / "run-1.ndjson"
    path.write_bytes(written(BEGUN, memory(1, 128, 256)) + b'{"entry":"chan')
    taken = JournalFile.take(path)
    assert taken is not None
    with taken[0] as journal:
        journal.append(Undone(1))
    assert path.read_bytes().splitlines()[2:] == [b'{"entry":"chan', written(Undone(1)).strip()]


def test_a_finished_journal_goes_away_and_one_with_something_left_stays(tmp_path: Path) -> None:
    with create(tmp_path) as journal:
        journal.append(memory(1, 128, 256))
        journal.append(Done(1))
        assert journal.finish() is None
        assert journals(tmp_path) == [journal.path]
        journal.append(Undone(1))
        assert journal.finish() is None
        assert list(tmp_path.iterdir()) == []
        assert JournalFile.take(journal.path) is None


def test_a_damaged_journal_is_kept_under_another_name(tmp_path: Path) -> None:
    with create(tmp_path) as journal:
        kept = journal.finish(damaged=True)
    assert kept == tmp_path / "run-1.ndjson.damaged"
    assert journals(tmp_path) == []
    assert kept.read_bytes() == written(BEGUN)


@pytest.mark.timeout(10)
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "run-1.ndjson"
    os.mkfifo(path)
    with pytest.raises(JournalError, match=r"run-1\.ndjson: expected a regular file"):
        JournalFile.take(path)
    assert abandoned(tmp_path) == []


def test_somebody_elses_file_is_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path).__exit__(None, None, None)
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(JournalError, match=f"it belongs to user {owner}, not to you, user {owner + 1}"):
        JournalFile.take(tmp_path / "run-1.ndjson")
    assert abandoned(tmp_path) == []


def test_no_directory_holds_no_journals(tmp_path: Path) -> None:
    assert (journals(tmp_path / "none"), abandoned(tmp_path / "none")) == ([], [])


def fill(directory: Path) -> None:
    """In a process that may write no more than 2000 bytes to a file."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with create(directory) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        for number in range(1, 100):
            try:
                journal.append(memory(number, 128, 256))
            except JournalError as error:
                (directory / "error").write_text(f"{number} {error}")
                return


def test_an_entry_that_cannot_be_written_whole_is_not_written_at_all(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=fill, args=(tmp_path,))
    process.start()
    process.join(30)
    number, _, message = (tmp_path / "error").read_text().partition(" ")
    assert "nothing is changed on the platform without one" in message
    said = read((tmp_path / "run-1.ndjson").read_bytes())
    assert said.damage == ()
    assert len(said.entries) == int(number)  # the first line, and the changes before the one that failed


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"cannot write the journal .*run-1\.ndjson: Not a directory"):
        create(tmp_path / "file" / "journal")
