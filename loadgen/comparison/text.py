"""A comparison in words: the answer in one sentence, then the rows, the worst first, then what else differs.

Everything foreign in it (names of runs, phases and calls, values of scenarios) goes through ``loadgen.text.foreign``.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence

from loadgen.comparison.comparison import BETTER, SAME, UNCLEAR, WORSE, Comparison, Row, Side
from loadgen.report import units
from loadgen.text import foreign
from loadgen.text.foreign import GAP

DASH = "—"
_ORDER = (WORSE, UNCLEAR, BETTER, SAME)
_TONE = {WORSE: "1;31", BETTER: "32", UNCLEAR: "33", SAME: "2"}
HEAD = ("", "base", "new", "change", "")
_NAMED = 3
_LONGEST = 60
"""Characters of a row's name in a sentence."""
_SHORTEST = 24
"""Columns that a row's name is cut to at most."""
_MORE_IS_BETTER = ("achieved_rate",)
LONGEST_NOTE = 600
_ENDLESS = 1e9
"""The badness of what was 0 before; the negative of what is 0 now."""


def terminal(compared: Comparison, noise: float, *, width: int = 80, colour: bool = False) -> str:
    """The comparison as lines of at most ``width`` columns; ``colour`` adds ANSI sequences."""
    lines = [*_wrapped(heading(compared), width, ""), ""]
    lines += _answered(compared, noise, width, colour=colour)
    if compared.rows:
        lines += ["", *_table(worst_first(compared.rows), width, colour=colour)]
        lines += ["", *_wrapped(held(noise), width, "  ")]
    notes = compared.notes if compared.comparable or len(compared.notes) > _NAMED else []  # else the answer says them
    if notes:
        lines.append("")
    for note in notes:
        lines += _wrapped(f"- {foreign.quote(note, LONGEST_NOTE)}", width, "  ", "    ")
    return "\n".join(lines) + "\n"


def brief(compared: Comparison, noise: float, *, width: int = 80, colour: bool = False) -> str:
    """What it is compared with, and the answer, in a few lines."""
    lines = _wrapped(f"compared with {_side(compared.base)}", width, "")
    return "\n".join([*lines, *_answered(compared, noise, width, colour=colour)]) + "\n"


def _answered(compared: Comparison, noise: float, width: int, *, colour: bool) -> list[str]:
    """The answer, its first word painted."""
    said, tone = answer(compared, noise)
    first, *more = _wrapped(foreign.line(said), width, "") or [""]
    word, colon, rest = first.partition(":")
    return [_painted(word, tone, colour) + colon + rest, *more]


def markdown(compared: Comparison, noise: float) -> str:
    """The comparison as GitHub-flavoured Markdown."""
    write = foreign.markdown
    word, _, rest = answer(compared, noise)[0].partition(":")
    lines = [f"# {write(heading(compared))}", "", f"**{write(word)}**:{write(rest)}"]
    if compared.rows:
        lines += ["", f"| {' | '.join(HEAD)} |", "|---|---:|---:|---|---|"]
        lines += [f"| {' | '.join(map(write, cells(row, 200)))} |" for row in worst_first(compared.rows)]
        lines += ["", write(held(noise))]
    if compared.notes:
        lines += ["", *(f"- {write(foreign.quote(note, LONGEST_NOTE))}" for note in compared.notes)]
    return "\n".join(lines) + "\n"


def worst_first(rows: Sequence[Row]) -> list[Row]:
    """What is worse, then what is not clear, what is better and what is the same; in each the worst first."""
    return sorted(rows, key=lambda row: (_ORDER.index(row.verdict), -round(_badness(row), 2)))


def _badness(row: Row) -> float:
    """The logarithm of how many times as bad it became."""
    if row.ratio is None:
        return _ENDLESS if row.new else -_ENDLESS
    logarithm = math.log(row.ratio) if row.ratio > 0 else -_ENDLESS
    return -logarithm if row.metric in _MORE_IS_BETTER else logarithm


def answer(compared: Comparison, noise: float) -> tuple[str, str]:
    """The answer in one sentence, and its tone."""
    if not compared.comparable:
        more = "; and more" if len(compared.notes) > _NAMED else ""
        said = "; ".join(foreign.quote(note, LONGEST_NOTE).rstrip(".") for note in compared.notes[:_NAMED])
        return f"NOT COMPARABLE: {said}{more}.", WORSE
    by_verdict = {verdict: [row for row in worst_first(compared.rows) if row.verdict == verdict] for verdict in _ORDER}
    count, within = len(compared.rows), f"within {_percent(noise)}"
    worse, better, unclear = by_verdict[WORSE], by_verdict[BETTER], by_verdict[UNCLEAR]
    said = f"{len(unclear)} of {count} figures are unclear" if unclear else ""
    if worse:
        parts = [f"{_named(worse)}", f"better: {_named(_best(better))}" if better else "", said]
        return f"WORSE: {'; '.join(part for part in parts if part)}.", WORSE
    if better:
        parts = [_named(_best(better)), "nothing is shown to be worse", said]
        return f"BETTER: {'; '.join(part for part in parts if part)}.", BETTER
    if unclear:
        same = len(by_verdict[SAME])
        others = f", {same} are the same {within}" if same else ""
        return f"UNCLEAR: no difference is shown; {said}{others}.", UNCLEAR
    return f"SAME: all {count} figures are the same {within}.", SAME


def _best(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=_badness)


def _named(rows: Sequence[Row]) -> str:
    """The first rows with their changes, and how many more there are."""
    named = [f"{name_of(row, _LONGEST)} {change(row)}" for row in rows[:_NAMED]]
    more = len(rows) - _NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def heading(compared: Comparison) -> str:
    """Which runs it is of."""
    return f"{_side(compared.new)} compared with {_side(compared.base)}"


def _side(side: Side) -> str:
    return f"{foreign.quote(side.name, 60)} ({foreign.quote(side.path, 120)})"


def held(noise: float) -> str:
    """What the limits of all changes mean."""
    return (
        f"Changes are new against base, with limits that hold for all rows at once in 95{GAP}% of comparisons. "
        f"Changes within {_percent(noise)} are noise (--noise)."
    )


def _table(rows: Sequence[Row], width: int, *, colour: bool) -> Iterator[str]:
    """The rows by verdict; those of which nothing is known are in the notes, and counted here."""
    known = [row for row in rows if row.low is not None]
    every = [cells(row, width) for row in known]
    widths = [max(len(line[i]) for line in (HEAD, *every)) for i in range(len(HEAD) - 1)]
    room = min(widths[0], width - sum(widths[1:]) - 2 * len(widths))
    narrow = room < min(widths[0], _SHORTEST)
    if known and not narrow:
        yield _line(("", *HEAD[1:]), [room, *widths[1:]])
    for verdict in _ORDER:
        of_verdict = [row for row in known if row.verdict == verdict]
        unknown = sum(row.verdict == verdict for row in rows) - len(of_verdict)
        if of_verdict or unknown:
            also = f" ({unknown} more without an interval: see below)" if unknown else ""
            yield _painted(verdict, verdict, colour) + also
        for row in of_verdict:
            if narrow:
                yield from _stacked(row, width)
            else:
                yield _line(cells(row, room), [room, *widths[1:]])


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    name, base, new, changed = (
        text.rjust(size) if i in (1, 2) else text.ljust(size)
        for i, (text, size) in enumerate(zip(texts, widths, strict=False))
    )
    return f"  {name}  {base}  {new}  {changed}".rstrip()


def _stacked(row: Row, width: int) -> Iterator[str]:
    """Two lines, where a terminal is narrow."""
    name, base, new, changed, _ = cells(row, width - 2)
    yield f"  {name}"
    yield from _wrapped(f"{base} to {new}, {changed}", width, "    ")


def cells(row: Row, longest: int) -> tuple[str, str, str, str, str]:
    """A row of the table, as HEAD says; its name has at most ``longest`` characters."""
    return name_of(row, longest), _figure(row, row.base), _figure(row, row.new), change(row), row.verdict


def name_of(row: Row, longest: int) -> str:
    """The name of a row, with the phase and the call cut where they are too long: what it is of stands at its end."""
    figure = f"{row.metric}.{row.statistic}"
    where = foreign.line(" ".join(str(row.place).removesuffix(figure).split()))
    room = longest - len(figure) - 1
    if len(where) > room:
        where = where[: max(0, room - 1)] + "…" if room > 1 else ""
    return f"{where} {figure}" if where else figure


def _figure(row: Row, value: float | None) -> str:
    if value is None:
        return DASH
    writers: dict[str, Callable[[float], str]] = {"share": units.share, "rate": units.rate, "per_million": units.amount}
    return writers.get(row.statistic, units.duration)(value)


def change(row: Row) -> str:
    """``+12 % (8 to 16 %)``, ``4.5 times (3.9 to 5.1)``; a dash where nothing is known."""
    if row.low is None:
        return DASH
    if row.ratio is None:
        return f"from 0 (at least {row.low:.3g} times)" if row.new and row.low else "none in either"
    if row.ratio >= 3:
        high = "" if row.high is None else f" to {row.high:.3g}"
        return f"{row.ratio:.3g} times ({'from ' if row.high is None else ''}{row.low:.3g}{high})"
    low, high = _points(row.low), "no limit" if row.high is None else f"{_points(row.high)}{GAP}%"
    return f"{100 * (row.ratio - 1):+.{_digits(row.ratio)}f}{GAP}% ({low} to {high})"


def _points(ratio: float) -> str:
    text = f"{100 * (ratio - 1):.{_digits(ratio)}f}"
    return "0" if float(text) == 0 else text


def _digits(ratio: float) -> int:
    """Decimals of a change in percent: one below 10 %."""
    return 1 if abs(ratio - 1) < 0.0995 else 0


def _percent(share: float) -> str:
    return f"{100 * share:.3g}{GAP}%"


def _painted(text: str, tone: str, colour: bool) -> str:
    return f"\x1b[{_TONE[tone]}m{text}\x1b[0m" if colour and text else text


def _wrapped(text: str, width: int, indent: str, further: str | None = None) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent if further is None else further,
        break_on_hyphens=False,
    )  # fmt: skip
