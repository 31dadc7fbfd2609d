"""``loadgen`` and ``python -m loadgen``: what happens when a command ends before it has begun.

Half a second of imports comes before a command's first line. An exception in the middle of them, such as the
KeyboardInterrupt that an interrupt becomes, may be lost or turn into any other, so until there is something to clean up
an interrupt ends the process at once. What has to be finished first is guarded where it is done (``interruptible`` in
``loadgen.cli.output``, ``loadgen.cli.run``).

A limit of memory shows anywhere: as a MemoryError, a library that cannot be loaded, a process or a thread that cannot
be started. All of them are one sentence.
"""

from __future__ import annotations

import os

# what the module signal is made of; that one takes milliseconds to import
from _signal import SIG_DFL, SIGINT, signal  # type: ignore[import-not-found]

INTERRUPTED = 130


def _end(number: int, frame: object) -> None:
    _say("interrupted")
    os._exit(INTERRUPTED)


def _say(text: str) -> None:
    try:  # noqa: SIM105 - no import before the interrupt is handled
        os.write(2, f"{text}\n".encode())
    except OSError:  # nobody hears it
        pass


signal(SIGINT, _end)

import errno  # noqa: E402 - the rest can be interrupted
import gc  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402

from loadgen import COLLECTED_AT  # noqa: E402

gc.set_threshold(COLLECTED_AT)
_SHORT = (errno.ENOMEM, errno.EAGAIN)  # of fork: no memory, or as many processes as the user may have


def main() -> None:
    """The command line, on the process's own arguments."""
    try:
        from loadgen.cli import main as command

        command(prog_name="loadgen")
    except Exception as error:
        if not any(map(_of_a_limit, _chain(error))):
            raise
        _say(f"error: {_what()}")
        sys.exit(1)
    finally:
        signal(SIGINT, SIG_DFL)  # while the interpreter ends nobody handles it


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it comes of."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_a_limit(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno in _SHORT)
        or (isinstance(error, ImportError) and "failed to map segment" in str(error))
        or (isinstance(error, RuntimeError) and "can't start new thread" in str(error))
    )


def _what() -> str:
    """Of what there is no more, as far as is known, and what to do."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        return f"no more memory: this process may have {soft >> 20:,} MiB, expected 500. Raise the limit (ulimit -v)"
    return "no more memory, processes or threads to be had. Free some, or raise the limit (of the container, ulimit -u)"


if __name__ == "__main__":
    main()
