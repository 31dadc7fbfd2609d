"""Between a worker and its connection: what is sent, who makes an invocation, and who is told how it ended.

They are classes and not protocols because the compiled build calls them in C.
"""

from __future__ import annotations

from loadgen.invocation.facts import Facts


class Caller:
    """Who has an invocation made."""

    __slots__ = ()

    def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        """It is over: told exactly once per invocation, and never from within ``invoke``.

        ``arrived_ns`` is when the last byte arrived or the invocation was given up, ``read_ns`` when that was noticed,
        ``connect_ns`` what opening a connection took, 0 where one was reused, ``body`` as much of the answer's body as
        was kept.
        """
        raise NotImplementedError


class Invoker:
    """Makes one invocation at a time, for a Caller; ``call`` is which of the scenario's calls the next one is."""

    __slots__ = ("call",)

    def __init__(self) -> None:
        self.call = 0

    def invoke(self, request: bytes, started_ns: int) -> int:
        """Send a request now, at ``started_ns``; the instant it was sent at, which may be later by its preparation."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Give up the invocation under way; its end will not be told."""
        raise NotImplementedError


class Requests:
    """What each arrival sends. ``fixed`` is the request of every one, None where they differ or none is known.

    ``call`` is which of the scenario's calls the request is that ``of`` gave last.
    """

    __slots__ = ("call", "fixed")

    def __init__(self) -> None:
        self.fixed: bytes | None = None
        self.call = 0

    def of(self, index: int) -> bytes | None:
        """The request of an arrival, by its global index; None when the feeder has run out."""
        raise NotImplementedError

    def call_of(self, index: int) -> int:
        """Which of the scenario's calls an arrival is."""
        return 0
