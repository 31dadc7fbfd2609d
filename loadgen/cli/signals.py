"""The signals that end a run in good order, and who may hear them.

A signal goes to any thread of a process that does not block it, and what a thread hears the interpreter handles as if
the main one had heard it. So that the main thread can put a signal off, by blocking it, all others have to be deaf.
Those that libraries start (numpy's) inherit that from the thread that imports them.
"""

from __future__ import annotations

import signal

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def put_off() -> None:
    """From here on a signal waits; in a thread other than the main one, it goes to that one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def heed() -> None:
    """From here on signals are heard again, also one that came meanwhile."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
