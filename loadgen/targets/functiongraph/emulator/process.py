"""The emulator as a process of its own.

``python -m loadgen.targets.functiongraph.emulator.process`` is the child: it reads its settings from one line on stdin,
prints one line with its origin when it is ready, and serves until stdin ends. As the pipe ends with the parent, however
the parent ends, the child can never outlive it. `embedded` is the parent's side.

The two never share a process with the load: the emulator would slow down what measures it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import uvloop
from msgspec import Struct

from loadgen.engine.child import child_command, child_environment
from loadgen.targets.functiongraph.emulator import EmulatorError
from loadgen.targets.functiongraph.protocol.platform import Emulator

START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 2.0
_STDIN: Final = 0
_STDERR_TAIL_BYTES: Final = 2000


class Setup(Struct, frozen=True):
    """What an emulator process serves; ``truth`` is the path of its truth log, and port 0 takes a free one.

    ``emulator`` is the platform to serve; None stands for a stub that answers at once whatever it is asked, and keeps
    no truth.
    """

    emulator: Emulator | None
    project_id: str
    truth: str | None = None
    port: int = 0


class Ready(Struct, frozen=True):
    """What it says once it accepts connections: its origin, such as ``http://127.0.0.1:40123``."""

    url: str


def run(
    setup: Setup,
    ready: Callable[[str], None],
    *,
    stop_on: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
    stop_at_end_of: int | None = None,
) -> None:
    """Serve in this process until one of the signals comes, or the file descriptor (a pipe) ends.

    ``ready`` is called with the origin once connections are accepted. Raises EmulatorError, see `serve`.
    """
    _allow_many_connections()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_stopped(setup, ready, stop_on, stop_at_end_of))


@asynccontextmanager
async def embedded(
    settings: Emulator | None,
    project_id: str,
    truth: Path | None,
    died: Callable[[EmulatorError], None] = lambda error: None,
) -> AsyncIterator[str]:
    """An emulator in a process of its own, for as long as the context lasts; gives its origin.

    ``settings`` are as in Setup. ``truth`` is the file of its truth log, complete when the context ends. A Ctrl-C at
    the terminal does not reach the emulator: whoever is interrupted decides when to stop it. ``died`` is told as soon
    as it has ended before it was told to. Raises EmulatorError when it does not start, and at the end of the context,
    whatever else ended that, when it ended before. One that is suspended is not told from one that is slow.
    """
    setup = Setup(settings, project_id, None if truth is None else str(truth))
    with tempfile.TemporaryFile() as stderr:
        try:
            process = await asyncio.create_subprocess_exec(
                *child_command(__name__),
                stdin=PIPE,
                stdout=PIPE,
                stderr=stderr,
                start_new_session=True,
                env=child_environment(os.environ),
            )
        except OSError as error:
            raise EmulatorError(f"the emulator did not start: {error.strerror or error}") from error
        watching: asyncio.Task[None] | None = None
        try:
            url = await _started(process, setup, stderr)
            watching = asyncio.create_task(_watch(process, stderr, died))
            yield url
        finally:
            if watching is not None:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
            ended = process.returncode is not None
            unforced = await _stop(process)
            # whoever noticed its death by a broken connection was here before its exit code
            if watching is not None and (ended or (unforced and process.returncode)):
                raise _on_its_own(process, stderr)


async def _serve_until_stopped(
    setup: Setup, ready: Callable[[str], None], stop_on: Iterable[signal.Signals], stop_at_end_of: int | None
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in stop_on:
        loop.add_signal_handler(number, stop.set)
    if stop_at_end_of is not None:
        try:
            loop.add_reader(stop_at_end_of, _stop_at_end, stop_at_end_of, stop)
        except PermissionError as error:  # of epoll, for a regular file
            raise EmulatorError("got a file on stdin: expected a pipe, whose end says when to stop") from error
    if setup.emulator is None:
        from loadgen.targets.functiongraph.emulator import stub

        await stub.serve(ready, stop)
        return
    # aiohttp takes a third of a second to import, which the parent of an emulator need not spend
    from loadgen.targets.functiongraph.emulator.server import serve

    gc.freeze()  # going through everything that was imported takes milliseconds, in which nobody is answered
    truth = None if setup.truth is None else Path(setup.truth)
    await serve(setup.emulator, project_id=setup.project_id, truth=truth, ready=ready, stop=stop, port=setup.port)


def _stop_at_end(fd: int, stop: asyncio.Event) -> None:
    if not os.read(fd, 4096):
        asyncio.get_running_loop().remove_reader(fd)
        stop.set()


def _allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard one; each connection takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _started(process: Process, setup: Setup, stderr: BinaryIO) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(setup) + b"\n")
        async with asyncio.timeout(START_TIMEOUT_S):
            await process.stdin.drain()
            line = await process.stdout.readline()
            if line:
                return msgspec.json.decode(line, type=Ready).url
            code = await process.wait()
    except TimeoutError:
        raise EmulatorError(f"the emulator was not ready after {START_TIMEOUT_S:.0f} s: {_tail(stderr)}") from None
    except ConnectionError:
        code = await process.wait()
    raise EmulatorError(f"the emulator did not start: {_last_words(code, stderr)}")


async def _watch(process: Process, stderr: BinaryIO, died: Callable[[EmulatorError], None]) -> None:
    await process.wait()
    died(_on_its_own(process, stderr))


def _on_its_own(process: Process, stderr: BinaryIO) -> EmulatorError:
    assert process.returncode is not None
    return EmulatorError(f"the emulator ended on its own: {_last_words(process.returncode, stderr)}")


async def _stop(process: Process) -> bool:
    """End the process: by the end of its stdin, or else by signals; whether the former was enough."""
    assert process.stdin is not None
    process.stdin.close()
    unforced = True
    for insist in (process.terminate, process.kill):
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
                return unforced
        except TimeoutError:
            insist()
            unforced = False
    await process.wait()
    return unforced


def _last_words(code: int, stderr: BinaryIO) -> str:
    return f"exit code {code}; {_tail(stderr)}"


def _tail(stderr: BinaryIO) -> str:
    """The end of what the process wrote on stderr."""
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - _STDERR_TAIL_BYTES))
    return stderr.read().decode(errors="replace").strip() or "it wrote nothing on stderr"


def main() -> int:
    """The child: exit code 0 when told to stop, 1 when the emulator cannot start, 2 when stdin holds no settings."""
    # Ctrl-C goes to every process of a terminal; when the emulator stops is for its parent to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        setup = msgspec.json.decode(sys.stdin.buffer.readline(), type=Setup)
    except msgspec.DecodeError as error:
        sys.stderr.write(f"expected one line of settings on stdin: {error}\n")
        return 2
    try:
        run(setup, _print_ready, stop_on=(signal.SIGTERM,), stop_at_end_of=_STDIN)
    except EmulatorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _print_ready(url: str) -> None:
    sys.stdout.write(msgspec.json.encode(Ready(url)).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
