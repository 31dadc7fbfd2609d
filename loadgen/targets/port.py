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
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar, cast

import msgspec
from msgspec import Struct

from loadgen.invocation.facts import Facts
from loadgen.targets.quick import QuickReader
from loadgen.targets.request import RequestTemplate
from loadgen.text.fault import Found
from loadgen.text.form import Duration, Text, doc, matching, secret_fields, tag, without_unit, words
from loadgen.text.secret import MASK
from loadgen.text.units import NS_PER_S


class Timeout(Struct, frozen=True, rename=without_unit):
    """Limits of one invocation, each counted from its start."""

    connect_ns: Annotated[Duration, doc("Until the connection stands, TLS included.")] = 10 * NS_PER_S
    first_byte_ns: Annotated[Duration, doc("Until the first byte of the answer.")] = 100 * NS_PER_S
    total_ns: Annotated[Duration, doc("Until the whole answer is there.")] = 100 * NS_PER_S


def is_pem(text: str) -> bool:
    """Whether it is the text of a PEM file, rather than the path of one."""
    return text.lstrip().startswith("-----BEGIN ")


class Tls(Struct, frozen=True):
    """How server and client show each other who they are; unused with http://.

    ``ca``, ``cert`` and ``key`` are absolute paths of PEM files, or the text of one.
    """

    verify: Annotated[bool, doc("Whether the certificate is checked.")] = True
    ca: Annotated[Text | None, doc("PEM file of the authorities to trust, instead of the system's; or its text.")] = (
        None
    )
    cert: Annotated[
        Text | None, doc("PEM file of the client's certificate, with all above it but the root; or its text.")
    ] = None
    key: Annotated[
        Text | None,
        doc("PEM file of the certificate's key, without a passphrase; or its text.", secret_text=is_pem),
    ] = None
    server_name: Annotated[
        str | None,
        matching(r"^[A-Za-z0-9._-]{1,253}$", "a host name such as example.com"),
        doc("The name that the server is asked for and that its certificate has to be of; default the host."),
    ] = None

    def __repr__(self) -> str:
        return f"Tls(verify={self.verify}, ca={self.ca!r}, ***)"


PEM_FILES = ("ca", "cert", "key")
"""The keys of ``Tls`` that name one, or are its text."""


class Addresses(Enum):
    """Which addresses of a name are called: the first that answers, or all, connections in turn."""

    FIRST = "first"
    ROTATE = "rotate"


Fresh = Annotated[
    bool,
    words({"reuse": False, "fresh": True}),
    doc("Whether connections are kept, or each invocation opens its own."),
]
Limits = Annotated[Timeout, doc("Limits of one invocation.")]
Trust = Annotated[Tls, doc("How server and client show each other who they are.")]
Pinned = Annotated[
    str | None,
    doc("The address to call, whatever the host's name resolves to.", "192.0.2.7"),
]
Which = Annotated[
    Addresses,
    doc("Of a name with several addresses: `first` calls the first that answers, `rotate` all, connections in turn."),
]
Preflight = Annotated[bool, doc("Make one invocation before the load, and stop when it shows a wrong set-up.")]


class Probe(Struct, frozen=True):
    """Where a probe function's answer has its fields: keys and list positions joined by dots, such as `body.n`."""

    cold: Annotated[Text, doc("Whether this was the first call of its instance.")] = "cold"
    instance: Annotated[Text, doc("What tells this instance from others.")] = "instance"
    count: Annotated[Text, doc("Which call of its instance this was; the first is 1.")] = "n"


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

MAX_LINES = 1024
"""Most lines of a head, and most trailers; servers and proxies commonly take 100."""
MAX_VALUE = 32 * 1024
"""Longest value of a header that is read; the platforms' gateways allow no longer one."""
KEEP = 64 * 1024
"""Bytes that are kept of an answer whose body nobody has to read whole: enough for error bodies and examples."""


class Reading(Struct, frozen=True):
    """How a target's answers are read.

    ``headers`` are the names of the response headers that are wanted, in lower case; all others are skipped. Of a
    repeated header the values that differ come joined by line feeds. ``keep`` is how many bytes are kept of a body, and
    ``most`` how long one may be, None for any length. ``quick`` makes a reader of a buffer for answers that nearly
    always come; it must say what ``classify`` would. ``starts`` says that answers may tell cold from warm.
    """

    headers: frozenset[bytes]
    classify: Classify
    keep: int = KEEP
    most: int | None = None
    quick: Callable[[memoryview], QuickReader] | None = None
    starts: bool = False


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

    ``form`` is the struct of its target, whose tag is its name, and whose keys are those of ``target`` in a scenario; a
    mapping with the ``key`` is one of its targets. ``noun`` is what such a target is in sentences, ``about`` in the
    description of the block. ``told`` says that answers tell durations, and ``told_in`` where; ``untold`` completes
    "duration …" where they do not. ``settings`` is where its settings side is found, as ``module:name``; None where it
    has none. ``memory_sizes_mb`` are the sizes that a call may be billed at, in ascending order; empty where answers
    tell no bills. ``asks_memory`` and ``asks_version`` say whether each call may ask for a memory size, and for a
    version or alias; see ``variant``. ``only_json`` says that whatever is sent is called JSON. ``per_call`` are
    the keys of its target that each call of a mix may have of its own.
    """

    form: type[T]
    key: str
    noun: str
    about: str
    told: bool = False
    told_in: str = "answers"
    untold: str = "is told by no answer"
    memory_sizes_mb: tuple[int, ...] = ()
    asks_memory: bool = False
    asks_version: bool = False
    only_json: bool = False
    per_call: tuple[str, ...] = ()
    settings: str | None = None

    @property
    def name(self) -> str:
        """What messages between processes call it: the tag of its target's struct."""
        return tag(self.form)

    @property
    def bills(self) -> bool:
        """Whether answers tell bills."""
        return bool(self.memory_sizes_mb)

    def made(self, data: dict[str, Any]) -> T:
        """The target of a scenario's data without faults, of which ``target`` is the block."""
        return msgspec.convert(data["target"], self.form)

    def rules(self, data: dict[str, Any], foreign: Sequence[str]) -> Found:
        """What does not go together in a scenario's data for such a target, by its path there; see ``walk.read``.

        ``foreign`` are the keys of the block that only other tenants have.
        """
        yield from ()

    def key_rules(self, data: dict[str, Any]) -> Found:
        """What does not go together of the keys that are this tenant's, whoever's the target is; as ``rules``.

        So of a target that lacks the key which says whose it is every fault is found at once, too.
        """
        yield from ()

    @abstractmethod
    def urls(self, target: T) -> tuple[str, ...]:
        """Every URL or origin that a run of the target speaks to, that of calls first."""

    @abstractmethod
    def template(self, target: T) -> RequestTemplate:
        """The target's request but for its body; raises ValueError for what cannot be sent."""

    @abstractmethod
    def reading(self, target: T, probe: Probe | None = None) -> Reading:
        """How its answers are read; what a ``probe`` says is among their Facts."""

    def result(self, target: T, body: bytes) -> bytes:
        """What was called returned, of an answer's body that may wrap it."""
        return body

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
        """What is sent to the target and must not be written anywhere; here the texts that its form says are secret."""
        for name, key in secret_fields(self.form):
            if value := getattr(target, name):
                yield Secret(key, value, frozenset({value}))

    def public(self, target: T) -> T:
        """The target with its secrets masked, the same for any two that differ in nothing else; see ``secrets``."""
        fields = (name for name, _ in secret_fields(self.form) if getattr(target, name))
        masked: T = msgspec.structs.replace(cast("Any", target), **dict.fromkeys(fields, MASK))
        return masked

    def joined(self, call: T, target: T) -> T:
        """The target of a call of a mix, with the credentials and the place of the run's."""
        return call

    def variant(self, target: T, memory_mb: int | None, version: str | None) -> T:
        """The target with another memory size (MB), at another version (or ``!`` and an alias); None for its own.

        Asked for where experiments want it and calls may ask for it; raises ValueError for a name that none can have.
        """
        return target

    def shows_starts(self, block: dict[str, Any]) -> bool:
        """Whether answers to a target of this block may show by themselves which calls were cold."""
        return False

    def tells_starts(self, target: T) -> bool:
        """Whether each answer tells by itself whether its call was cold."""
        return False

    def stand_in(self, target: T, data: dict[str, Any]) -> Any:
        """What the run itself starts in place of a platform, as a scenario's data say; None where it starts none."""
        return None

    def at_once(self, target: T, stand_in: Any) -> int | None:
        """How many calls may be under way at once as long as nobody says otherwise; None where that is not known."""
        return None

    def asked_mb(self, target: T) -> int | None:
        """The memory size (MB) that each call asks for; None where it leaves that to what is invoked."""
        return None

    def clock_doubt(self, target: T, ahead_s: int | None) -> str | None:
        """What to do about this machine's clock where credentials depend on it; ``ahead_s`` as in ``advice``."""
        return None

    def expired(self, reason: str) -> str | None:
        """What to tell the user where calls fail for this reason as their credentials are out of date; else None."""
        return None
