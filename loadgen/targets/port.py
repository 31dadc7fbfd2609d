"""The port: all that loadgen knows of what it invokes.

A platform, or a protocol, that can be invoked is a *tenant*: one package with everything of its own in it. Its target
is a struct (``loadgen.targets.target.Target``) whose tag is the tenant's name; what is to be known of such a target is
asked of the ``Tenant``. This side of it is pure, and all that agents import of it. What only the parent does (reading
limits, changing settings, obtaining credentials) is its settings side, see ``loadgen.targets.settings``, which the
tenant names and nobody imports before it is needed.

Outcomes are a closed list; the reasons that tell the causes of one outcome apart are the tenant's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from loadgen.invocation.facts import Facts
from loadgen.targets.quick import QuickReader
from loadgen.targets.request import RequestTemplate


class Timeout(Struct, frozen=True):
    """Limits of one invocation, each counted from its start, in ns."""

    connect_ns: int
    first_byte_ns: int
    total_ns: int


class Tls(Struct, frozen=True):
    """How the server's certificate is checked. ``ca`` is the path of a PEM file that replaces the system's."""

    verify: bool
    ca: str | None


class Probe(Struct, frozen=True):
    """Where a probe function's answer has its fields: paths of keys and list positions, joined by dots.

    ``cold`` is whether this was the first call of its instance, ``instance`` the instance's name, ``count`` the number
    of its calls so far, this one included.
    """

    cold: str = "cold"
    instance: str = "instance"
    count: str = "n"


MemoryTurns = int | tuple[int, ...] | None
"""The memory size that calls ask for, in MB; sizes that they take in turns; None for the target's own."""


class Answer(Protocol):
    """An answer as it was read."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Those of the wanted headers that came."""

    @property
    def body(self) -> bytes:
        """The body, or the beginning of it that is kept."""


Classify = Callable[[Answer], Facts]
"""What an answer says. Never raises, whatever the bytes. On the hot path."""

KEEP = 64 * 1024
"""Bytes that are kept of an answer whose body nobody has to read whole: enough for error bodies and examples."""


class Reading(Struct, frozen=True):
    """How a target's answers are read.

    ``headers`` are the names of the response headers that are wanted, in lower case; all others are skipped. Of a
    repeated header the values that differ come joined by line feeds. ``keep`` is how many bytes are kept of a body, and
    ``most`` how long one may be, None for any length. ``quick`` reads answers that nearly always come; it must say what
    ``classify`` would.
    """

    headers: frozenset[bytes]
    classify: Classify
    keep: int = KEEP
    most: int | None = None
    quick: type[QuickReader] | None = None


class Secret(Struct, frozen=True):
    """A secret that is sent to a target.

    ``place`` is its key in the scenario, below ``target``; ``value`` is all of it, and ``parts`` what must be seen
    nowhere of what is written, none where it is in the documentation anyway.
    """

    place: str
    value: str
    parts: frozenset[str]

    def __repr__(self) -> str:
        return f"Secret({self.place!r}, ***)"


class Surroundings(Struct, frozen=True):
    """What a process can see: environment variables, home and current directory."""

    environment: Mapping[str, str]
    home: Path
    directory: Path

    def __repr__(self) -> str:
        return f"Surroundings(***, home={self.home}, directory={self.directory})"


class TargetError(Exception):
    """What is invoked cannot be used as the scenario says; the message says why and what to do."""


T = TypeVar("T")


class Tenant(ABC, Generic[T]):
    """What is invoked, and how. It has no state; each of its answers follows from the target alone.

    ``name`` is the tag of its target's struct ``form``. ``told`` says that answers tell durations and bills.
    ``memory_sizes_mb`` are the sizes that a call may be billed at, in ascending order; empty where there is no bill.
    ``settings`` is where its settings side is found, as ``module:name``; None where it has none.
    """

    name: str
    form: type[T]
    told: bool = False
    memory_sizes_mb: tuple[int, ...] = ()
    settings: str | None = None

    @abstractmethod
    def urls(self, target: T) -> tuple[str, ...]:
        """Every URL or origin that a run of the target speaks to, that of calls first."""

    @abstractmethod
    def template(self, target: T) -> RequestTemplate:
        """The target's request but for its body; raises ValueError for what cannot be sent."""

    @abstractmethod
    def reading(self, target: T, probe: Probe | None = None) -> Reading:
        """How its answers are read; what a ``probe`` says is among their Facts."""

    @abstractmethod
    def described(self, target: T) -> str:
        """The target on one line."""

    @abstractmethod
    def where(self, target: T) -> str:
        """What answered, as the subject of a sentence, without secrets."""

    @abstractmethod
    def advice(self, facts: Facts, target: T, message: str = "", ahead_s: int | None = None) -> str:
        """What to do about an answer that is not as it should be: what it means and a remedy, without the full stop.

        ``message`` is what the answer's body says, and ``ahead_s`` by how much this machine's clock is ahead of the
        server's, None where that is not known.
        """

    def secrets(self, target: T) -> Iterable[Secret]:
        """What is sent to the target and must not be written anywhere."""
        return ()

    def public(self, target: T) -> T:
        """The target with its secrets masked, the same for any two that differ in nothing else."""
        return target

    def variant(self, target: T, memory_mb: int | None, version: str | None) -> T:
        """The target with another memory size (MB), at another version (or ``!`` and an alias); None for its own.

        Asked for where experiments want it; raises ValueError for a name that none can have.
        """
        return target

    def asked_mb(self, target: T) -> int | None:
        """The memory size (MB) that each call asks for; None where it leaves that to what is invoked."""
        return None

    def clock_doubt(self, target: T, ahead_s: int | None) -> str | None:
        """What to do about this machine's clock where credentials depend on it; ``ahead_s`` as in ``advice``."""
        return None

    def expired(self, reason: str) -> str | None:
        """What to tell the user where calls fail for this reason as their credentials are out of date; else None."""
        return None
