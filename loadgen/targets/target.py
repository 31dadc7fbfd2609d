"""What every target has, whoever's it is."""

from __future__ import annotations

from loadgen.targets.port import Addresses, Timeout, Tls


class Target:
    """What is invoked: the base of each tenant's own frozen struct, whose tag is the tenant's name."""

    __slots__ = ()

    @property
    def fresh_connections(self) -> bool:
        """Whether each invocation opens its own."""
        raise NotImplementedError

    @property
    def timeout(self) -> Timeout:
        """Limits of one invocation."""
        raise NotImplementedError

    @property
    def tls(self) -> Tls:
        """How the server's certificate is checked."""
        raise NotImplementedError

    @property
    def preflight(self) -> bool:
        """Whether one invocation is made before the load."""
        raise NotImplementedError

    @property
    def address(self) -> str | None:
        """The address to call, whatever the host's name resolves to; None for what it does."""
        return None

    @property
    def addresses(self) -> Addresses:
        """Which of several addresses are called."""
        return Addresses.FIRST

    @property
    def emulated(self) -> bool:
        """Whether the run itself starts what is invoked, so that its numbers are synthetic."""
        return False
