"""``loadgen compare BASE NEW…``: what became better or worse, as far as the runs say."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from loadgen.cli import output
from loadgen.cli.baseline import NOT_OURS, read
from loadgen.comparison import page
from loadgen.comparison.compare import compare as compare_runs
from loadgen.comparison.comparison import NOISE, SEVERAL, Comparison, Several, applies
from loadgen.comparison.text import markdown, terminal
from loadgen.text import foreign, units

BROKEN = 99
NOT_COMPARABLE = 2
_LARGEST_NOISE = 0.5


def _noise(_context: click.Context, _option: click.Parameter, text: str) -> float:
    try:
        share = units.share(text)
    except ValueError as error:
        raise click.BadParameter(f"got {foreign.quote(text)}, expected {error}") from error
    if share > _LARGEST_NOISE:
        raise click.BadParameter(f"got {foreign.quote(text)}, expected at most 50%: more is no noise")
    return share


@click.command(
    epilog="Exit codes: 0 compared, 2 usage error, or runs that cannot be compared, 99 --fail-on applies.",
)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("news", metavar="NEW...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "markdown", "html"]),
    default="terminal",
    show_default=True,
    help="How it is written to stdout; html is one page, with pictures.",
)
@click.option(
    "--noise",
    default=units.share_text(NOISE),
    show_default=True,
    metavar="PERCENT",
    callback=_noise,
    help="What runs of the same may differ by: less is neither better nor worse.",
)
@click.option(
    "--fail-on", type=click.Choice(["worse", "unclear"]),
    help="Exit with 99 where a figure is worse; unclear: or cannot be told.",
)  # fmt: skip
def compare(base: Path, news: tuple[Path, ...], form: str, noise: float, fail_on: str | None) -> None:
    """Compare each NEW run with the run BASE, figure by figure.

    They are directories that `loadgen run` wrote, or summary.json files. Three or more NEW runs of one scenario say how
    much such runs differ from each other.
    """
    try:
        base_run, runs = read(base), [read(new) for new in news]
        compared = compare_runs(base_run, runs, noise)
        text = page.html(compared, base_run, runs, noise) if form == "html" else _written(compared, form, noise)
    except NOT_OURS as error:
        why = foreign.unquoted(str(error))
        raise click.UsageError(f"one of the runs holds something that no loadgen writes: {why}") from error
    unprinted = output.show(text, painted=form == "terminal")
    if unprinted is not None:
        raise click.ClickException(f"cannot print the comparison: {unprinted}")
    apart = [each for each in compared if not each.comparable]
    for each in apart:
        output.say(f"error: {foreign.quote(each.new.path)} cannot be compared with {foreign.quote(each.base.path)}")
    if apart:
        sys.exit(NOT_COMPARABLE)
    if applies(fail_on, compared):
        sys.exit(BROKEN)


def _written(compared: list[Comparison], form: str, noise: float) -> str:
    if form == "json":
        whole = compared[0] if len(compared) == 1 else Several(SEVERAL, compared)
        return foreign.json(msgspec.json.format(msgspec.json.encode(whole), indent=1)).decode() + "\n"
    if form == "markdown":
        return "\n".join(markdown(each, noise) for each in compared)
    # a table of five columns needs no more room than this, and 80 columns hold it
    return "\n".join(terminal(each, noise, width=min(100, output.width()), colour=output.colour()) for each in compared)
