"""``loadgen history``: the runs that there were, newest first."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from loadgen.cli import output
from loadgen.history import index
from loadgen.history.index import Entry
from loadgen.measure.summary import Summary
from loadgen.report import figures, units
from loadgen.text import file, foreign

SCHEMA = "loadgen.history/1"
REPORTS = Path("reports")
_DASH = "—"
_HEAD = ("started", "name", "kind", "outcome", "p50", "p99", "rate", "verdict")
_NUMBERS = ("p50", "p99", "rate")
_NARROWEST = {"name": 8, "kind": 6}
"""Columns that are cut where a terminal is narrow, and how far."""
_TONES = {"failed": "1;31", "invalid": "1;31", "unreadable": "33", "unfinished": "33", "partial": "33", "passed": "32"}


class History(Struct, frozen=True):
    """What ``--format json`` prints; ``left_out`` are runs beyond ``--limit``."""

    schema: str
    directory: str
    left_out: int
    runs: list[Entry]


def _tag(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    asked = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"got {foreign.quote(text)}, expected KEY=VALUE as in the scenario's tags")
        asked[key] = value
    return asked


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    default=REPORTS,
    show_default=True,
    help="Where the run directories are.",
)
@click.option("--name", help="Only runs of the scenario of this name.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="K=V",
    callback=_tag,
    help="Only runs whose scenario has this tag; repeatable.",
)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="So many of the newest.")
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True,
              help="How it is written to stdout.")  # fmt: skip
def history(directory: Path, name: str | None, tags: dict[str, str], limit: int, form: str) -> None:
    """List the runs that there were, newest first.

    What is read of them is kept in an index beside them, which may be deleted at any time.
    """
    if not file.there(directory / "."):
        if directory == REPORTS and not file.there(directory):
            raise click.UsageError("there is no directory reports/ here; run a scenario first, or give --dir another")
        raise click.UsageError(f"{foreign.quote(str(directory))} is not a directory; expected one with runs in it")
    try:
        found = index.listing(directory, entry)
    except OSError as error:
        raise click.UsageError(f"cannot read {foreign.quote(str(directory))}: {error.strerror or error}") from error
    if found.without is not None:
        output.say(f"note: listed without {index.INDEX}: {foreign.quote(found.without)}")
    wanted = [each for each in found.entries if _is_wanted(each, name, tags)]
    shown, left_out = wanted[:limit], max(0, len(wanted) - limit)
    if form == "json":
        whole = History(SCHEMA, str(directory), left_out, shown)
        text = foreign.json(msgspec.json.format(msgspec.json.encode(whole), indent=1)).decode() + "\n"
    else:
        text = table(shown, output.width(), colour=output.colour())
    unprinted = output.show(text, painted=form == "terminal")
    if unprinted is not None:
        raise click.ClickException(f"cannot print the runs: {unprinted}")
    if not shown:
        output.say("no run" + (" like that" if found.entries else "") + f" in {foreign.quote(str(directory))}")
    elif left_out and form == "terminal":
        output.say(f"{left_out} older ones are left out; --limit shows more")


def entry(directory: str, summary: Summary) -> Entry:
    """What is told of a run."""
    tags = summary.scenario.get("tags")
    return Entry(
        directory=foreign.line(directory),
        name=summary.run.name,
        started_at=summary.run.started_at,
        outcome=index.outcome(summary),
        kind=summary.run.kind,
        verdict=summary.verdict.status,
        p50_ns=_headline(summary, 50.0),
        p99_ns=_headline(summary, 99.0),
        rate=summary.totals.achieved_rate,
        tags={str(k): str(v) for k, v in tags.items()} if isinstance(tags, dict) else {},
    )


def table(entries: list[Entry], width: int, *, colour: bool = False) -> str:
    """The runs as lines of at most ``width`` columns, for which names are cut, and kinds where that is not enough."""
    if not entries:
        return ""
    rows = [_cells(each) for each in entries]
    widths = [max(len(line[i]) for line in (_HEAD, *rows)) for i in range(len(_HEAD))]
    gap = 2 if sum(widths) + 2 * (len(widths) - 1) <= width else 1
    for title, least in _NARROWEST.items():
        at, over = _HEAD.index(title), sum(widths) + gap * (len(widths) - 1) - width
        widths[at] = min(widths[at], max(least, widths[at] - over))
    lines = [_line(line, widths, gap, colour=colour and line is not _HEAD) for line in (_HEAD, *rows)]
    for each in entries:
        if each.why:
            lines += textwrap.wrap(f"{foreign.quote(each.directory, 60)}: {foreign.quote(each.why)}", width)
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int], gap: int, *, colour: bool) -> str:
    parts = []
    for title, text, size in zip(_HEAD, cells, widths, strict=True):
        cut = text if len(text) <= size else text[: size - 1] + "…"
        padded = cut.rjust(size) if title in _NUMBERS else cut.ljust(size)
        tone = _TONES.get(text) if colour and title == "outcome" else None
        parts.append(f"\x1b[{tone}m{padded}\x1b[0m" if tone else padded)
    return (" " * gap).join(parts).rstrip()


def _cells(each: Entry) -> tuple[str, ...]:
    return (
        foreign.quote(each.started_at[:16].replace("T", " "), 16) or _DASH,
        foreign.line(" ".join(each.name.split())[:500]),
        foreign.quote(each.kind or _DASH, 12),
        each.outcome,
        _DASH if each.p50_ns is None else units.duration(each.p50_ns),
        _DASH if each.p99_ns is None else units.duration(each.p99_ns),
        _DASH if each.rate is None else f"{units.amount(each.rate)}/s",
        foreign.quote(each.verdict or _DASH, 12),
    )


def _headline(summary: Summary, p: float) -> int | None:
    """A percentile of latency where it is one number that may be shown."""
    found = figures.shown(figures.totals(summary), "latency", p)
    plain = isinstance(found, figures.Shown) and found.ends is None and not found.failed
    return found.value if plain and isinstance(found, figures.Shown) else None


def _is_wanted(each: Entry, name: str | None, tags: dict[str, str]) -> bool:
    unread = each.kind is None and each.directory.startswith(f"{name}-")  # then its directory tells what ran
    return (name is None or each.name == name or unread) and all(
        each.tags.get(key) == value for key, value in tags.items()
    )
