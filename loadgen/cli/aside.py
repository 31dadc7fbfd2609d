"""Writing to a terminal from a loop that must not wait for it.

A terminal that is held (Ctrl-S), or a pipe whose reader is slow, blocks whoever writes to it. The loop that renews the
agents' leases must not stand still for that, so what is shown during a run is written by a thread.
"""

from __future__ import annotations

import time
from queue import SimpleQueue
from threading import Thread
from typing import TextIO

from loadgen.cli import output, signals

_BEHIND = 4  # writes: a redraw is two of them


class Aside:
    """A text stream whose writes are done by a thread, in order, and never wait. ``close`` it, then ``drain`` it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: SimpleQueue[str | None] = SimpleQueue()
        self._error: OSError | None = None
        self._thread = Thread(target=self._work, name="terminal", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> bool:
        """Whether the reader is slow, so that what is of no use later had better not be written."""
        return self._texts.qsize() > _BEHIND

    @property
    def encoding(self) -> str:
        """That of the stream."""
        return self._stream.encoding

    def fileno(self) -> int:
        """That of the stream."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """That of the stream."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Have it written soon. Raises the OSError that an earlier write met."""
        if self._error is not None:
            raise self._error
        self._texts.put(text)
        return len(text)

    def flush(self) -> None:
        """Nothing to do: everything is written as soon as possible."""

    def close(self) -> None:
        """Write nothing more; what was given is still written."""
        self._texts.put(None)

    def drain(self, at_most_s: float | None = None) -> bool:
        """Wait until all is written, once it is closed; whether it is. An interrupt ends that."""
        self._thread.join(at_most_s)
        return not self._thread.is_alive()

    def settle(self, at_most_s: float = 1.0) -> None:
        """Wait a moment, until what was given is written."""
        end = time.monotonic() + at_most_s
        while self._texts.qsize() and time.monotonic() < end:
            time.sleep(0.01)

    def _work(self) -> None:
        signals.put_off()
        while (text := self._texts.get()) is not None:
            if self._error is None:
                try:
                    self._stream.write(text)
                    self._stream.flush()
                except OSError as error:
                    self._error = error
                    output.silence(self._stream)
