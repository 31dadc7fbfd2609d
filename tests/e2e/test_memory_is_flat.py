"""What a process holds does not depend on what a server sends it: the peak of each, in processes of their own.

``PYTHONPATH=. python -m tests.e2e.test_memory_is_flat`` prints the figures.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from loadgen.targets.functiongraph.settings.edit import Edit
from loadgen.targets.functiongraph.settings.journal import Begun, Change, Resource
from loadgen.targets.functiongraph.settings.journalfile import DIRECTORY
from tests.e2e.conftest import environment
from tests.servers.endless import HEADS, NESTED, TOKEN, UNREADABLE, Flood, flooding
from tests.servers.management import HELLO, PROJECT
from tests.servers.ports import free_port
from tests.targets.functiongraph.settings.entries import written

MOST_MIB = 32
FLOODS = (*UNREADABLE, *NESTED, *HEADS)
RUN = """
name: x
target:
  endpoint: "http://127.0.0.1:1"
  project_id: demo
  function: hello
  auth: {{iam: {{url: "{url}", username: u, password: p, domain: d}}}}
phases: [{{name: a, rate: 1/s, duration: 1s}}]
"""
RESTORE = """
name: x
target: {{endpoint: "{url}", project_id: demo, function: hello, auth: {{token: t}}}}
phases: [{{name: a, workers: 1, duration: 1s}}]
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stderr: str
    peak_mib: float


AND_SAY_THE_PEAK = """
import atexit, sys
from loadgen.__main__ import main
atexit.register(lambda: sys.stderr.write(open("/proc/self/status").read()))
main()
"""


async def ended(directory: Path, *command: str) -> Ended:
    """Run ``loadgen`` and see the most memory it ever held. Source: proc_pid_status(5), VmHWM."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AND_SAY_THE_PEAK, *command),
        env={**environment(), "XDG_STATE_HOME": str(directory)},
        stdout=PIPE,
        stderr=PIPE,
    )
    _, stderr = await process.communicate()
    said, _, status = stderr.decode().partition("Name:")
    assert process.returncode is not None
    return Ended(process.returncode, said, int(status.partition("VmHWM:")[2].split()[0]) / 1024)


async def iam(url: str, directory: Path) -> Ended:
    """A run that needs a token first."""
    (directory / "scenario.yaml").write_text(RUN.format(url=url))
    return await ended(directory, "run", str(directory / "scenario.yaml"), "--yes", "--out", str(directory / "run"))


async def restore(url: str, directory: Path) -> Ended:
    """Putting back what a run changed."""
    journals = directory / "loadgen" / DIRECTORY
    journals.mkdir(parents=True, exist_ok=True)
    resource = Resource(url, PROJECT, HELLO.text)
    change = Change(1, resource, (Edit(("memory_size",), 128, 512),), {})
    (journals / "r.ndjson").write_bytes(written(Begun("r", 1, "2026-01-02T03:04:05Z"), change))
    scenario = directory / "scenario.yaml"
    scenario.write_text(RESTORE.format(url=url))
    return await ended(directory, "restore", "--yes", "--scenario", str(scenario))


Command = Callable[[str, Path], Awaitable[Ended]]


def nobody() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("flood", [UNREADABLE[0], UNREADABLE[2]], ids=lambda flood: flood.name)
@pytest.mark.parametrize("command", [iam, restore])
async def test_a_command_holds_no_more_than_without_an_answer(tmp_path: Path, command: Command, flood: Flood) -> None:
    status, headers = (b"201 Created", TOKEN) if command is iam else (b"200 OK", b"")
    idle = await command(nobody(), tmp_path)
    async with flooding(flood, status, headers) as url:
        flooded = await command(url, tmp_path)
    assert idle.code == flooded.code == 1
    assert "Traceback" not in flooded.stderr
    assert flood.said in flooded.stderr
    assert flooded.peak_mib - idle.peak_mib < MOST_MIB


async def print_all() -> None:
    for command, status, headers in ((iam, b"201 Created", TOKEN), (restore, b"200 OK", b"")):
        with tempfile.TemporaryDirectory() as made:
            directory = Path(made)
            idle = await command(nobody(), directory)
            name = "iam" if command is iam else "restore"
            print(f"{name}: {idle.peak_mib:.0f} MiB without an answer")  # noqa: T201
            for flood in FLOODS:
                async with flooding(flood, status, headers) as url:
                    found = await command(url, directory)
                print(f"  {found.peak_mib - idle.peak_mib:+6.1f} MiB  {flood.name}: exit code {found.code}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(print_all())
