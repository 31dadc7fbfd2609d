"""A server that answers each request after the same time, in C: it takes a few µs of CPU for one.

It is compiled when it is used (``delaying_server.c``), which takes a C compiler and a moment.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import process
from benchmarks.tool import ToolError

COMPILER = shutil.which("cc")
_SOURCE = Path(__file__).with_suffix(".c")


class DelayingServer:
    """The server as a process, while the context is open; it holds every answer for ``delay_ns``.

    Raises ToolError without a C compiler. ``longest_ns`` is for how long it held one at most, known after it.
    """

    def __init__(self, delay_ns: int, *, core: int | None = None) -> None:
        self._delay_ns = delay_ns
        self._core = core
        self.longest_ns = 0

    def __enter__(self) -> Self:
        if COMPILER is None:
            raise ToolError("no C compiler, which the server needs (Debian: gcc)")
        self._directory = tempfile.TemporaryDirectory()
        binary = Path(self._directory.name, "delaying_server")
        subprocess.run([COMPILER, "-O2", "-o", binary, _SOURCE], check=True)
        with process.pinned(self._core):
            self._process = subprocess.Popen(
                [binary, f"{self._delay_ns}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.origin = f"http://127.0.0.1:{self.port}"
        self.pid = self._process.pid
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        out, _ = self._process.communicate(timeout=30)
        self.longest_ns = int(out)
        self._directory.cleanup()
