"""What a run shows on a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from itertools import groupby
from pathlib import Path

import pytest

from loadgen.cli.drawing import cells
from tests.e2e.conftest import environment
from tests.e2e.processes import wait_for

COLD_STARTS = """
name: silent
kind: cold-starts
target: {endpoint: emulator, function: hello}
cold-starts: {induce: [gap], gap: 4s, cold: 30, warm: 200, keep_alive: skip}
emulator:
  keep_alive: 2s
  functions: {hello: {work: {median: 2ms, sigma: 0.1}, cold_start: r2-php}}
"""
SLOW = """
name: slow
target: {endpoint: emulator, function: hello, timeout: {total: 30s}}
phases: [{name: steady, rate: 4/s, duration: 60s}]
thresholds: [errors < 1%, latency.p99 < 10s]
budget: {invocations: 1000}
emulator:
  functions: {hello: {memory: 1024MB, work: {median: 3s, sigma: 0}, cold_start: none}}
"""


class Terminal:
    """A run whose stderr is a terminal with so many columns, in a session of its own; what it showed there."""

    def __init__(self, directory: Path, scenario: str, columns: int = 80, **extra: str) -> None:
        (directory / "scenario.yaml").write_text(scenario)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        env = {name: value for name, value in environment().items() if name not in ("NO_COLOR", "CI", "COLUMNS")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--out", "run"],
            cwd=directory,
            env={**env, "TERM": "xterm-256color", **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.raw = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        taken = b""
        try:
            while part := os.read(self._master, 65_536):
                taken += part
                self.raw = taken.decode(errors="replace")
        except OSError:  # EIO: nobody has the other end any more
            pass
        os.close(self._master)

    @property
    def text(self) -> str:
        """All that was drawn, one drawing after another, without the commands for the terminal."""
        bare = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw)
        return bare.replace("\u00a0", " ").replace("\u202f", " ")

    def wait_for(self, pattern: str, within_s: float = 30) -> str:
        """What matches the pattern, once it was shown."""
        wait_for(lambda: re.search(pattern, self.text) is not None or self.process.poll() is not None, within_s)
        found = re.search(pattern, self.text)
        assert found is not None, self.text
        return found[0]

    def end(self) -> int:
        """The exit code, once it has ended."""
        code = self.process.wait(30)
        self._reader.join(10)
        assert "Traceback" not in self.text, self.text
        return code


def test_silence_is_counted_down_on_a_terminal_and_an_interrupt_ends_it(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, COLD_STARTS)
    terminal.wait_for(r"silence of 4 s, [123] s left, then one call, turn 1 of")
    terminal.wait_for(r"\d+ of 200 warm calls, 0 calls meant to be cold, 30 wanted")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert "waiting for the last invocations" not in terminal.text
    seconds = [int(left) for left in re.findall(r"silence of 4 s, (\d) s left", terminal.text)]
    assert seconds == sorted(seconds, reverse=True)


def test_calls_in_flight_are_counted_down_after_an_interrupt(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, SLOW, columns=70)
    terminal.wait_for(r"[1-9]\d* in flight")
    terminal.wait_for(r"2 met|1 met, 1 open")
    terminal.wait_for(r"\d+ of 1 000 invocations")
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for(r"draining \d+")
    assert terminal.end() == 130
    counts = [int(n) for n, _ in groupby(re.findall(r"draining (\d+)", terminal.text))]
    largest = counts.index(max(counts))
    assert (
        largest <= 1
    )  # what was shown first is of the last report before the interrupt, and more may have begun since
    assert counts[largest:] == sorted(counts[largest:], reverse=True)
    assert counts[largest] > counts[-1]
    assert max(map(cells, re.split(r"[\r\n]+", terminal.text))) <= 70


@pytest.mark.parametrize(("name", "value", "coloured"), [("TERM", "xterm-256color", True), ("NO_COLOR", "1", False)])
def test_colours_are_there_unless_they_are_not_wanted(tmp_path: Path, name: str, value: str, coloured: bool) -> None:
    broken = SLOW.replace("errors < 1%", "achieved_rate > 900/s")
    terminal = Terminal(tmp_path, broken, 80, **{name: value})
    terminal.wait_for(r"broken +achieved_rate > 900/s")
    terminal.process.send_signal(signal.SIGINT)
    terminal.process.send_signal(signal.SIGINT)
    terminal.end()
    assert ("\x1b[31m" in terminal.raw) is coloured


def test_what_is_no_terminal_gets_lines_that_are_never_redrawn(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SLOW.replace("60s", "1s").replace("3s", "100ms"))
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--out", "run"],
        cwd=tmp_path,
        env={name: value for name, value in environment().items() if name != "NO_COLOR"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    assert re.search(r"^steady: ended after \d\u00a0s; ok 4$", done.stderr, re.MULTILINE), done.stderr
