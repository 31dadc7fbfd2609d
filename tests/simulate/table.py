"""The table that ``make simulate`` prints: a bar, what was measured, and what the baselines reach."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

STALE = "Not measured anew"
"""How a paragraph begins that says which rows are older than what they judge; it stays until somebody takes it out."""


class Row(Struct, frozen=True):
    """A line of the table. ``met`` None says that there is no bar; ``evidence`` is how many cases stand behind it."""

    experiment: str
    what: str
    bar: str
    measured: str
    met: bool | None
    evidence: str
    baselines: str = ""


def markdown(rows: Sequence[Row]) -> str:
    """The table as GitHub-flavoured Markdown."""
    head = ("experiment", "what", "bar", "measured", "met", "over", "baselines")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        cells = (row.experiment, row.what, row.bar, row.measured, met, row.evidence, row.baselines)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def quantile(values: Sequence[float], q: float) -> float:
    """An observed quantile; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")


def merged(rows: Sequence[Row], before: str) -> str:
    """The table with these rows in place of those of the same experiments in the document before; others stay."""
    head, body = markdown(rows).splitlines(keepends=True)[:2], markdown(rows).splitlines(keepends=True)[2:]
    renewed = {row.experiment for row in rows}
    old = [line for line in before.splitlines(keepends=True) if line.startswith("| ")][1:]
    kept = [line for line in old if line.split(" | ")[0].removeprefix("| ") not in renewed]
    at = next((at for at, line in enumerate(old) if line not in kept), len(old))
    return "".join([*head, *kept[:at], *body, *kept[at:]])


def document(rows: Sequence[Row], before: str, *, quick: bool) -> str:
    """docs/simulations.md, from what it was before."""
    stale = [f"{each}\n\n" for each in before.split("\n\n") if each.startswith(STALE)]
    made = "make simulate ARGS=--quick, on fewer cases than it takes to judge a bar" if quick else "make simulate"
    return (
        "# Simulations\n\n"
        "How well the experiments do where the truth is known: their decisions, unchanged, on the emulator's platform\n"
        "model in virtual time, beside what other tools do, re-implemented on the same model. Seeds are fixed, so\n"
        f"the same code gives the same table. Written by `{made}`.\n\n" + "".join(stale) + merged(rows, before)
    )
