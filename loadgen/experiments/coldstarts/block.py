"""The experiment ``cold-starts``, as a scenario describes it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from loadgen.measure.labelling import LEAST_CALIBRATION, LEAST_COLD
from loadgen.targets.port import Probe
from loadgen.targets.registry import Memory
from loadgen.text.fault import Found
from loadgen.text.form import (
    INVALID,
    OPTIONAL,
    Duration,
    doc,
    items,
    listed,
    matching,
    twice,
    within,
    without_unit,
    written,
)
from loadgen.text.units import NS_PER_S, duration_text

_GAP_NS = 90 * NS_PER_S
_WITHIN_NS = (10 * NS_PER_S, 120 * NS_PER_S)
Version = Annotated[
    str,
    matching(
        r"^!?[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", 'the name of a version such as "v1", or of an alias such as "!prod"'
    ),
    Meta(examples=["v1", "!prod"]),
]


class Induce(Enum):
    """How cold starts are brought about.

    By silence, by many calls at once after it, by other memory sizes, by other versions, or by a change of settings.
    """

    GAP = "gap"
    BURST = "burst"
    MEMORY = "memory"
    VERSION = "version"
    CONFIG = "config"


class KeepAlive(Struct, rename=without_unit):
    """Between which times the keep-alive time is looked for."""

    from_: Annotated[Duration, doc("Idle instances surely live this long.")] = _WITHIN_NS[0]
    to: Annotated[Duration, doc("Idle instances surely end before.")] = _WITHIN_NS[1]


def _within(keep_alive: Any) -> Any:
    if isinstance(keep_alive, dict):
        return keep_alive.get("from", _WITHIN_NS[0]), keep_alive.get("to", _WITHIN_NS[1])
    return None


class ColdStarts(Struct, frozen=True, rename=without_unit):
    """The experiment that measures cold starts beside warm ones.

    ``gap_ns`` of silence is meant to end all instances; then come one call, ``burst`` calls at once, or one at each of
    ``sizes_mb`` or of ``versions``, which are names of versions, or ``!`` and an alias. It goes on until there were
    ``cold`` cold calls, and ``warm`` warm ones. The keep-alive time is looked for between the two times of
    ``keep_alive_ns``; None leaves it out. ``probe`` says that the function is a probe.
    """

    induce: Annotated[
        tuple[Induce, ...],
        OPTIONAL,
        items(1, 5),
        doc(
            "How, in turns: silence, many calls at once after it, calls at other memory sizes or of other "
            "versions, or a change of the function's settings, which is put back."
        ),
    ] = (Induce.GAP, Induce.BURST)
    gap_ns: Annotated[Duration, doc("Silence that ends every instance; default 1.5 times 60s.")] = _GAP_NS
    burst: Annotated[int, within(2, 1000), doc("Calls at once.")] = 20
    cold: Annotated[int, within(1, 100_000), doc("Cold calls wanted.")] = 100
    warm: Annotated[int, within(1, 1_000_000), doc("Warm calls wanted, one after another.")] = 1000
    keep_alive_ns: Annotated[
        tuple[int, int] | None,
        written(Literal["skip"] | KeepAlive, _within),
        doc("Whether to look for the keep-alive time, and where."),
    ] = _WITHIN_NS
    sizes_mb: Annotated[
        tuple[Memory, ...], OPTIONAL, items(1), doc("Memory sizes for `memory`; default all but target.memory.")
    ] = ()
    probe: Annotated[Probe | None, doc("The function is a probe (docs/probe/): where its fields are.")] = None
    versions: Annotated[tuple[Version, ...], OPTIONAL, items(1), doc("Versions and aliases for `version`.")] = ()


def cold_starts(block: dict[str, Any], own_mb: int | None, sizes_mb: Sequence[int]) -> ColdStarts:
    """The ColdStarts of a block without faults.

    ``own_mb`` is the memory that calls ask for otherwise, and ``sizes_mb`` are all sizes that there are.
    """
    sizes = [size for size in block.get("sizes", sizes_mb) if size != own_mb]
    return msgspec.convert({**block, "sizes": sizes}, ColdStarts)


def rules(block: dict[str, Any], tells_starts: bool) -> Found:
    """What does not go together in it; ``tells_starts`` says that invocations are labelled in any case."""
    within = block.get("keep_alive")
    if isinstance(within, tuple) and INVALID not in within and within[0] >= within[1]:
        low, high = map(duration_text, within)
        yield ("keep_alive",), f"from is {low} and to is {high}; from must be the shorter time"
    means = listed(block, "induce")
    for key, mean in (("sizes", Induce.MEMORY), ("versions", Induce.VERSION)):
        if key in block and mean not in means:
            yield (key,), f"{key} are for induce: [{mean.value}], which is not written; remove one of them"
    if Induce.VERSION in means and "versions" not in block:
        yield (("induce",), 'version needs names: write versions: ["v1", "!prod"], those of versions or of aliases')
    yield from twice(("versions",), listed(block, "versions"))
    yield from twice(("induce",), means, lambda mean: str(mean.value))
    if tells_starts or "probe" in block:
        return
    for key, least in (("cold", LEAST_COLD), ("warm", LEAST_CALIBRATION)):
        count = block.get(key)
        if isinstance(count, int) and count < least:
            yield (
                (key,),
                f"got {count}, and cold calls are told from warm ones by at least {least} {key} ones; write more, or "
                "probe for a function that tells by itself",
            )


def silence_ns(block: dict[str, Any]) -> int | None:
    """The silence that is to end all instances, None where it does not matter or does not fit."""
    means = block.get("induce", [Induce.GAP, Induce.BURST])
    gap_ns = block.get("gap", _GAP_NS)
    matters = isinstance(means, list) and (Induce.GAP in means or Induce.BURST in means)
    return gap_ns if matters and isinstance(gap_ns, int) else None
