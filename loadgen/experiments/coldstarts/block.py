"""The experiment ``cold-starts``, as a scenario describes it."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from loadgen.targets.port import Probe


class Induce(Enum):
    """How cold starts are brought about.

    By silence, by many calls at once after it, by other memory sizes, by other versions, or by a change of settings.
    """

    GAP = "gap"
    BURST = "burst"
    MEMORY = "memory"
    VERSION = "version"
    CONFIG = "config"


class ColdStarts(Struct, frozen=True):
    """The experiment ``cold-starts``.

    ``gap_ns`` of silence is meant to end all instances; then come one call, ``burst`` calls at once, or one at each of
    ``sizes_mb`` or of ``versions``, which are names of versions, or ``!`` and an alias. It goes on until there were
    ``cold`` cold calls, and ``warm`` warm ones. The keep-alive time is looked for between the two times of
    ``keep_alive_ns``; None leaves it out. ``probe`` says that the function is a probe.
    """

    induce: tuple[Induce, ...]
    gap_ns: int
    burst: int
    cold: int
    warm: int
    keep_alive_ns: tuple[int, int] | None
    sizes_mb: tuple[int, ...]
    probe: Probe | None
    versions: tuple[str, ...] = ()
