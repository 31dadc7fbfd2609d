"""Files that are no such files are not read to their end, and what says so is one sentence."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from loadgen.engine import address, messages
from loadgen.engine.address import AddressError, tls_context
from loadgen.fleet.local import _end_of
from loadgen.history import rundir
from loadgen.history.rundir import RunDirectoryError, read_intervals, read_journal, read_summary
from loadgen.load import trace
from loadgen.scenario import feeder
from loadgen.scenario.load import load_file
from loadgen.targets.port import Tls
from loadgen.text.fault import ScenarioError

MIB = 2**20


def sparse(path: Path, size: int) -> Path:
    """A file of so many NULs that takes no place."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


SCENARIO = """
name: x
target: {endpoint: "https://127.0.0.1:1", project_id: p, function: hello}
phases: [{name: a, rate: 1/s, duration: 1s}]
"""
PRICES = "prices: prices.yaml\n"
EVENT = "event_file: event.json\n"
FEEDER = 'event: {u: "{{u}}"}\nfeeder: {file: users.csv}\n'
TRACE = "trace: {file: t.csv, format: huawei-minute, function: f}"


@pytest.mark.parametrize(
    ("more", "name", "size", "said"),
    [
        ("", "scenario.yaml", 2**34, "the file holds more than 1 MiB"),
        (PRICES, "prices.yaml", 2**34, "the file holds more than 1 MiB"),
        (EVENT, "event.json", 2**34, "it holds more than 256 MiB"),
        (FEEDER, "users.csv", 2**34, "it holds more than 1024 MiB"),
        (FEEDER, "users.csv", 2**29, "a line holds more than 16 MiB"),
        (TRACE, "t.csv", 2**34, "a line has more than 1,048,576 characters"),
    ],
)
@pytest.mark.timeout(20)
def test_a_file_of_a_scenario_is_read_as_far_as_one_may_be_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, name: str, size: int, said: str
) -> None:
    monkeypatch.setattr(feeder, "LARGEST", 4 * MIB)  # of which 256 take a second
    said = said.replace("256 MiB", "4 MiB")
    text = SCENARIO.replace("rate: 1/s", TRACE) if more == TRACE else SCENARIO + more
    (tmp_path / "scenario.yaml").write_text(text)
    sparse(tmp_path / name, size)
    began = time.process_time()
    with pytest.raises(ScenarioError) as error:
        load_file(tmp_path / "scenario.yaml", environment={})
    assert said in str(error.value)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("make", [lambda path: sparse(path, 2**34), lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.timeout(10)
def test_a_ca_file_is_a_file_of_certificates(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "ca.pem")
    with pytest.raises(AddressError, match=r"cannot be used \((it holds more than 16 MiB|it is a device, no regular)"):
        tls_context(Tls(verify=True, ca=str(tmp_path / "ca.pem")))
    assert address.LARGEST_CA == 16 * MIB


@pytest.mark.timeout(10)
def test_what_a_run_left_is_read_as_far_as_a_run_writes(tmp_path: Path) -> None:
    sparse(tmp_path / rundir.SUMMARY, 2**34)
    with pytest.raises(RunDirectoryError, match=r"cannot read summary.json: it holds more than 64 MiB"):
        read_summary(tmp_path)
    sparse(tmp_path / rundir.JOURNAL, 2**34)
    with pytest.raises(RunDirectoryError, match=r"cannot read .*frames.journal: it holds more than 256 MiB"):
        read_journal(tmp_path)
    sparse(tmp_path / rundir.INTERVALS, 2**34)
    with pytest.raises(RunDirectoryError, match=r"a line of more than 1 MiB"):
        list(read_intervals(tmp_path))


@pytest.mark.parametrize("depth", [200, 900, 5000])
def test_a_summary_that_is_nested_without_end_is_none(tmp_path: Path, depth: int) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    (tmp_path / rundir.SUMMARY).write_text(f'{{"schema": "x", "scenario": {nested}}}')
    with pytest.raises(RunDirectoryError):
        read_summary(tmp_path)


@pytest.mark.parametrize("size", [messages.LONGEST + 1, 2**32 - 1])
async def test_a_frame_of_four_gigabytes_is_not_waited_for(size: int) -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(size.to_bytes(4, "big") + b"x" * 1000)
    with pytest.raises(msgspec.DecodeError, match="expected at most 268,435,456"):
        await messages.read_body(stream)


async def test_of_what_an_agent_says_on_stderr_the_end_is_kept() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"x" * MIB + b"the last words")
    stream.feed_eof()
    assert await _end_of(stream) == b"x" * 1986 + b"the last words"


def test_the_longest_line_of_a_trace_is_wider_than_any_layout() -> None:
    assert trace.LONGEST_LINE > 1440 * 20


def test_every_limit_that_is_documented_names_the_tests_that_exceed_it() -> None:
    root = Path(__file__).parents[1]
    rows = [
        row for row in (root / "docs" / "limits.md").read_text().splitlines() if row.count("|") > 4 and "**" not in row
    ]
    named = {name for row in rows for name in re.findall(r"tests/[\w/]+\.py", row)}
    assert len(rows) > 35
    assert {name for name in named if not (root / name).exists()} == set()
