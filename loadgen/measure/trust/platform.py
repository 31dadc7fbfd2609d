"""Rules about what the platform says of its own work: durations, bills, sizes."""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.invocation.believed import LARGEST_MB
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.summary import Reason
from loadgen.measure.trust.rule import WITHHELD, TrustRule, Whose, words
from loadgen.text.units import NS_PER_US

NEGATIVE_OVERHEAD = TrustRule("negative_overhead", Whose.PLATFORM, WITHHELD, "overhead")
SUMMARY_MISSING = TrustRule("summary_missing", Whose.PLATFORM, WITHHELD)
UNBELIEVABLE = TrustRule("unbelievable", Whose.PLATFORM, WITHHELD)
FEW_UNBELIEVABLE = TrustRule("unbelievable", Whose.PLATFORM)
MISBILLED = TrustRule("billing_mismatch", Whose.TARGET)
MEMORY_IGNORED = TrustRule("memory_ignored", Whose.PLATFORM, WITHHELD)

MISSING_SHARE = 0.001
_OF_MEMORY = ("duration", "billed_duration", "cost")
_HANGING_ON = {
    "duration": ("duration", "overhead"),
    "billed_duration": ("billed_duration",),
    "memory_size": (),
    "memory_used": ("memory_used",),
}
"""The metrics that lack an answer which tells a figure that cannot be. Costs are lower bounds by themselves."""


def negative_overhead(total: PhaseTotal) -> Iterator[Reason]:
    """Durations above what the client saw."""
    count = total.tally.negative_overhead
    if count:
        yield NEGATIVE_OVERHEAD.found(
            f"{count} invocations ran longer by the platform's clock than they took by ours, by more than 1 µs: one of "
            "the two is wrong, so overhead is not shown.",
            count,
            0,
            total.name,
        )


def summary_missing(total: PhaseTotal) -> Iterator[Reason]:
    """Answers that lack the platform's own summary."""
    tally = total.tally
    missing = tally.summary_missing
    if not missing:
        return
    # Every answer with status 200 either told its duration, and is in that histogram, or was counted.
    answers = missing + tally.unbelieved.get("duration", 0) + total.merged("duration").count
    if missing / answers > MISSING_SHARE:
        for metric in ("duration", "overhead"):
            yield SUMMARY_MISSING.found(
                f"{missing} of {answers} answers ({missing / answers:.2%}) lack the platform's own summary, expected "
                f"at most {MISSING_SHARE:.1%}: {metric} is not shown, as the rest may differ.",
                missing / answers,
                MISSING_SHARE,
                total.name,
                withholds=metric,
            )


def unbelievable(total: PhaseTotal, told_in: str) -> Iterator[Reason]:
    """Figures that cannot be; ``told_in`` is where answers tell them."""
    tally = total.tally
    for name, n in sorted(tally.unbelieved.items()):
        answers = n + (tally.metered if name == "memory_size" else total.merged(name).count)
        many = n / answers > MISSING_SHARE
        for metric in _HANGING_ON[name] if many else ():
            yield _disbelieved(total, name, n, answers, metric, told_in)
        if not many or not _HANGING_ON[name]:
            yield _disbelieved(total, name, n, answers, None, told_in)


def _disbelieved(total: PhaseTotal, name: str, n: int, answers: int, withholds: str | None, told_in: str) -> Reason:
    limit = "1 h" if name in ("duration", "billed_duration") else f"{LARGEST_MB // 1024} GB"
    allowed = f", expected at most {MISSING_SHARE:.1%}: {withholds} is not shown" if withholds else ""
    unknown = "" if name in ("duration", "memory_used") else " What these are billed is not known."
    return (UNBELIEVABLE if withholds else FEW_UNBELIEVABLE).found(
        f"{n} of {answers} answers ({n / answers:.2%}) tell a {name.replace('_', ' ')} that cannot be, negative or "
        f"above {limit}{allowed}. It counts as not told.{unknown} Compare their {told_in} with the function's log.",
        n / answers,
        MISSING_SHARE if withholds else 0,
        total.name,
        withholds=withholds,
    )


def misbilled(total: PhaseTotal) -> Iterator[Reason]:
    """Bills that do not follow from the durations told with them."""
    tally = total.tally
    worst = tally.worst_bill
    if worst is None:
        return
    audited = tally.misbilled + sum(tally.billing_units.values())
    less = f", {tally.underbilled} of them for less than they ran" if tally.underbilled else ""
    ran, billed = words(worst.duration_ns / NS_PER_US), words(worst.billed_duration_ns / NS_PER_US)
    yield MISBILLED.found(
        f"{tally.misbilled} of {audited} invocations were billed for other than their duration rounded up to 1 ms, "
        f"100 ms or 1 s{less}; the one furthest off ran {ran} and was billed {billed}. An initializer that is billed "
        "with a call would look like this.",
        tally.misbilled,
        0,
        total.name,
    )


def memory_ignored(total: PhaseTotal, memory_mb: int | None) -> Iterator[Reason]:
    """Another memory size than the one that every invocation asked for, None where they asked for none."""
    tally = total.tally
    others = sorted(size for size in tally.billed_ns if size != memory_mb)
    if memory_mb is None or not others:
        return
    share = sum(tally.billed_ns[size] for size in others) / sum(tally.billed_ns.values())
    for metric in _OF_MEMORY:
        yield MEMORY_IGNORED.found(
            f"Invocations asked for {memory_mb} MB (target.memory), and {share:.1%} of the billed time was with "
            f"{' and '.join(f'{size} MB' for size in others)}, expected none: {metric} is not shown. Turn on dynamic "
            "memory for the function, or leave target.memory out.",
            share,
            0,
            total.name,
            withholds=metric,
        )
