"""A Dask cluster on loopback: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.conftest import environment

_START_S = 40.0


def children(pid: int) -> list[int]:
    """The processes that a process has started, and are there."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in found.read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether there is such a process that is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Cluster:
    """Its ``address`` and its ``workers``, by the addresses of their own."""

    def __init__(self, address: str, scheduler: subprocess.Popen[bytes]) -> None:
        self.address = address
        self.scheduler = scheduler
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def agent(self, address: str) -> int:
        """The process of the agent beside a worker."""
        (agent,) = children(self.workers[address].pid)
        return agent

    def agents(self) -> list[int]:
        """All of them."""
        return [agent for worker in self.workers.values() for agent in children(worker.pid)]


@contextmanager
def cluster(
    directory: Path,
    workers: int,
    *,
    before: Sequence[Sequence[str]] = (),
    more: Sequence[dict[str, str]] = (),
    hosts: Sequence[str] = (),
    tls: Sequence[str] = (),
) -> Iterator[Cluster]:
    """A scheduler with so many workers; ``before`` is what goes before the command of each, ``more`` environment.

    The scheduler listens on the first of the ``hosts``, and each worker on one of the others.
    """
    own = {**environment(), "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH")]))}
    file = directory / "scheduler.json"
    scheme = "tls" if tls else "tcp"
    here, *theirs = hosts or ("127.0.0.1",)
    scheduler = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", f"{scheme}://{here}", "--port", "0"),
            *("--no-dashboard", "--scheduler-file", str(file), *tls),
        ],
        env=own,
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    started = [scheduler]
    try:
        _until(lambda: file.exists() and file.stat().st_size > 0)
        of = Cluster(json.loads(file.read_text())["address"], scheduler)
        for number in range(workers):
            with (directory / f"worker-{number}.log").open("wb") as log:
                process = subprocess.Popen(
                    [
                        *(before[number] if number < len(before) else ()),
                        *(sys.executable, "-m", "distributed.cli.dask_worker", of.address, "--nworkers", "1"),
                        *(
                            "--nthreads",
                            "1",
                            "--memory-limit",
                            "0",
                            "--no-nanny",
                            "--no-dashboard",
                            "--host",
                            "127.0.0.1",
                        ),
                        *("--host", theirs[number] if number < len(theirs) else here),
                        *("--local-directory", str(directory / f"worker-{number}"), *tls),
                    ],
                    env={**own, **(more[number] if number < len(more) else {})},
                    cwd=directory,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    start_new_session=True,
                )
            started.append(process)
        for number, process in enumerate(started[1:]):
            said = directory / f"worker-{number}.log"
            _until(lambda said=said: b"Registered to" in said.read_bytes())
            (line,) = [each for each in said.read_text().splitlines() if "Start worker at" in each]
            of.workers[line.split()[-1]] = process
        yield of
    finally:
        for process in reversed(started):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + _START_S
    while not condition():
        assert time.monotonic() < deadline, "the cluster did not start"
        time.sleep(0.02)
