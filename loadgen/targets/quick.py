"""A short cut past the reader of answers, for the compiled build.

What answers nearly always look like can be read in one go: bytes in, Facts out, without the objects in between. A
tenant's own quick reader does so, and declines whatever it does not know, so that no rule lives there alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.status import STATUS_INSIDE

Broken = Callable[[int, Mapping[bytes, bytes], bytes], str | None]
"""The text of the first check that an answer breaks, of its status, headers and result; None where all hold."""
_OK = Outcome.OK
_INSIDE = STATUS_INSIDE
_NO_HEADERS: Mapping[bytes, bytes] = {}


class QuickReader:
    """Reads answers from the buffer ``view``. This one declines them all.

    ``body_at`` is where the body, which is the function's result, begins of the answer that was read last, -1 where
    that is not told.
    """

    def __init__(self, view: memoryview) -> None:
        self.body_at = -1

    def read(self, nbytes: int) -> Facts | None:
        """What the first ``nbytes`` of the buffer say, None where that takes more than a glance."""
        return None


class CheckedReader(QuickReader):
    """What a quick reader of the tenant's reads, unless a check is broken: the answer is then read in full."""

    def __init__(
        self, quick: Callable[[memoryview], QuickReader], broken: Broken, whole: bool, view: memoryview
    ) -> None:
        """``whole`` says that some check is of the result."""
        super().__init__(view)
        self._view = view
        self._quick = quick(view)
        self._broken = broken
        self._whole = whole

    def read(self, nbytes: int) -> Facts | None:
        """See QuickReader."""
        facts = self._quick.read(nbytes)
        if facts is None or facts.outcome is not _OK:
            return facts
        at = self._quick.body_at
        if at < 0 or facts.reason == _INSIDE:
            return None
        result = self._view[at:nbytes].tobytes() if self._whole else b""
        return facts if self._broken(facts.status, _NO_HEADERS, result) is None else None
