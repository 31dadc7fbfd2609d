from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from loadgen.targets.functiongraph.settings.journalfile import JournalError
from loadgen.targets.functiongraph.settings.lock import FunctionLock, HeldError, Holder
from tests.servers import disk
from tests.targets.functiongraph.settings.entries import BEGUN, CONFIG

HOLD = """
import sys
from pathlib import Path
from loadgen.targets.functiongraph.settings.lock import FunctionLock
from tests.targets.functiongraph.settings.entries import BEGUN, CONFIG
with FunctionLock.take(Path(sys.argv[1]), CONFIG, BEGUN):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_the_second_is_refused_with_who_has_it(tmp_path: Path) -> None:
    with FunctionLock.take(tmp_path, CONFIG, BEGUN), pytest.raises(HeldError) as refused:
        FunctionLock.take(tmp_path, CONFIG, replace(BEGUN, run="run-2"))
    assert str(refused.value) == (
        f"{CONFIG.function} at {CONFIG.endpoint} is held by run run-1 (process 1 on this machine, since "
        "2026-01-02T03:04:05Z), which changes its settings. Two runs that do would take each other's values for the "
        "original. Wait for it to end; this run has changed nothing"
    )


def test_in_the_end_it_can_be_had_and_nothing_is_left(tmp_path: Path) -> None:
    for _ in range(2):
        with FunctionLock.take(tmp_path, CONFIG, BEGUN) as lock:
            assert lock.left is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (replace(CONFIG, function=f"{CONFIG.function}:latest"), True),
        (replace(CONFIG, function="demo:default:hello"), True),
        (replace(CONFIG, endpoint=f"{CONFIG.endpoint}/"), True),
        (replace(CONFIG, function=CONFIG.function.replace("hello", "hello2")), False),
        (replace(CONFIG, function=CONFIG.function.replace("default", "shop")), False),
        (replace(CONFIG, endpoint="http://127.0.0.1:10"), False),
        (replace(CONFIG, endpoint=CONFIG.endpoint.replace("http", "https")), False),
    ],
)
def test_a_function_is_one_however_it_is_named(tmp_path: Path, other: object, same: bool) -> None:
    assert isinstance(other, type(CONFIG))
    with FunctionLock.take(tmp_path, CONFIG, BEGUN):
        if same:
            with pytest.raises(HeldError):
                FunctionLock.take(tmp_path, other, BEGUN)
        else:
            FunctionLock.take(tmp_path, other, BEGUN).__exit__(None, None, None)


def test_what_a_killed_process_left_is_taken_over_and_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(HeldError, match="held by run run-1"):
            FunctionLock.take(tmp_path, CONFIG, BEGUN)
        process.kill()
        process.wait()
    with FunctionLock.take(tmp_path, CONFIG, replace(BEGUN, run="run-2", pid=2)) as lock:
        assert lock.left == Holder("run-1", 1, BEGUN.started_at)


@pytest.mark.parametrize("text", [b"", b"{", b"\x00" * 5000, b'{"run": "\\u001b[2J", "pid": 1, "since": "x"}'])
def test_a_lock_that_says_nothing_is_one_all_the_same(tmp_path: Path, text: bytes) -> None:
    with FunctionLock.take(tmp_path, CONFIG, BEGUN) as lock:
        lock.path.write_bytes(text)
        with pytest.raises(HeldError, match="is held by another run"):
            FunctionLock.take(tmp_path, CONFIG, BEGUN)
    lock.path.write_bytes(text)
    with FunctionLock.take(tmp_path, CONFIG, BEGUN) as lock:
        assert lock.left is None


def test_what_is_no_regular_file_is_no_lock(tmp_path: Path) -> None:
    with FunctionLock.take(tmp_path, CONFIG, BEGUN) as lock:
        pass
    os.mkfifo(lock.path)
    with pytest.raises(JournalError, match="expected a regular file"):
        FunctionLock.take(tmp_path, CONFIG, BEGUN)


@pytest.mark.skipif(not disk.possible(), reason="needs a mount namespace")
def test_on_a_disk_that_cannot_be_written_there_is_none(tmp_path: Path) -> None:
    command = disk.within(disk.READ_ONLY, tmp_path, sys.executable, "-c", HOLD, str(tmp_path))
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "JournalError: cannot write the journal " in said.stderr
    assert "Read-only file system; nothing is changed on the platform without one" in said.stderr
