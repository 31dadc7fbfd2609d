"""What the experiment on cold starts finds out.

It is published as the ``experiment`` object of summary.json, so it carries its ``version``, and its fields say their
unit in their names.
"""

from __future__ import annotations

from msgspec import Struct

from loadgen.measure.figure import Figure
from loadgen.measure.labelling import Labelling


class Spread(Struct, frozen=True):
    """The distribution of one time over ``count`` invocations, in ns; null what so few do not support."""

    count: int
    mean_ns: int | None
    p50_ns: Figure | None
    p95_ns: Figure | None
    p99_ns: Figure | None
    max_ns: int | None


class Population(Struct, frozen=True):
    """Invocations that started alike; ``times`` by metric: latency to billed_duration."""

    count: int
    times: dict[str, Spread]


class Means(Struct, frozen=True):
    """What one way of bringing about cold starts gave.

    Of ``invocations`` that were meant to be cold, ``cold`` were, ``warm`` were not, ``ambiguous`` and ``unknown`` may
    have been, and ``failed`` had no outcome to judge. ``cold_share`` is corrected for invocations taken for the other
    kind; null where too little is known.
    """

    name: str
    rounds: int
    invocations: int
    cold: int
    warm: int
    ambiguous: int
    unknown: int
    failed: int
    cold_share: Figure | None
    population: Population


class GapProbe(Struct, frozen=True):
    """An invocation after ``gap_ns`` of silence, and whether it was cold."""

    gap_ns: int
    cold: bool


class KeepAlive(Struct, frozen=True):
    """How long an idle instance lives, from invocations after silences of different lengths.

    ``policy`` is ``fixed`` (one time explains all of them), ``random`` (it does not), ``longer`` or ``shorter`` (than
    any silence tried), or ``unknown``, for which ``why`` is given. ``estimate_ns`` is the time, the median of a random
    one, and lies between ``low_ns`` and ``high_ns``: bounds that hold for a fixed time, a 95 % interval of a random
    one. ``quantiles_ns`` are those of a random time, by percent.
    """

    policy: str
    why: str
    estimate_ns: int | None
    low_ns: int | None
    high_ns: int | None
    quantiles_ns: dict[str, int]
    probes: list[GapProbe]


class PoolCheck(Struct, frozen=True):
    """How many cold starts this traffic must and can have had, by a replay on pools of instances.

    Between ``fewest`` and ``most``, if an idle instance lives between ``low_ns`` and ``high_ns``, nobody else calls the
    function and the platform starts no instances ahead. ``seen`` were labelled cold, ``unclear`` neither cold nor warm.
    """

    fewest: int
    most: int
    seen: int
    unclear: int
    low_ns: int
    high_ns: int


class ColdStartsResult(Struct, frozen=True, tag="cold-starts", tag_field="kind"):
    """Cold and warm invocations beside each other.

    ``evidence`` counts the labelled invocations by what labelled them: ``probe``, ``log``, ``mixture`` (of overheads,
    see ``labelling``) or ``none``. ``cold`` and ``warm`` are the invocations of either label, but for those at other
    memory sizes and of other versions, where handlers may run at another speed; ``means`` are the cold ones by how they
    were brought about.
    ``penalty_ns`` is by how much the median service time of a cold invocation exceeds that of a warm one,
    ``billed_penalty_ns`` by how much its mean billed duration does, and ``penalty_cost`` what a million of them cost
    more for that, in ``cost_unit``: a currency, or ``GB-s`` without prices; null where not all have one known memory
    size.
    ``complete`` is False when the run ended early; ``notes`` say what else should be known, ``next`` what would
    make the answer better.
    """

    version: int
    complete: bool
    evidence: dict[str, int]
    labelling: Labelling | None
    means: list[Means]
    cold: Population
    warm: Population
    penalty_ns: Figure | None
    billed_penalty_ns: Figure | None
    penalty_cost: Figure | None
    cost_unit: str
    keep_alive: KeepAlive | None
    pool: PoolCheck | None
    notes: list[str]
    next: str = ""
