"""Time that passes only when it is slept through."""

from __future__ import annotations

from loadgen.targets.functiongraph.settings.again import Patience


class Hours:
    """A clock and a sleep for ``Patience``."""

    def __init__(self) -> None:
        self.now_ns = 0

    async def sleep(self, seconds: float) -> None:
        """Let it pass at once."""
        self.now_ns += round(seconds * 1e9)

    @property
    def patience(self) -> Patience:
        """As in production, in no time."""
        return Patience(clock=lambda: self.now_ns, sleep=self.sleep)
