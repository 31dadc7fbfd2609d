"""``loadgen export RUN``: a run for another program."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from loadgen.cli import output
from loadgen.export.registry import EXPORTERS
from loadgen.export.source import ExportError, Of, Source
from loadgen.history.rundir import RunDirectoryError
from loadgen.text import file, foreign

_FORMATS = ". ".join(f"{each.name}: {each.says}" for each in EXPORTERS.values())


@click.command(epilog=f"{_FORMATS}. Exit codes: 0 exported, 1 it could not be written, 2 usage error, or no run.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "form", type=click.Choice(list(EXPORTERS)), required=True, help="The format, see below.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; default: stdout.")
@click.option(
    "--of", type=click.Choice(["samples", "figures"]),
    help="Of csv and parquet: what the rows are; default: samples where the run kept any.",
)  # fmt: skip
def export(run: Path, form: str, out: Path | None, of: Of | None) -> None:
    """Write the run directory RUN in the format of another program."""
    exporter, source = EXPORTERS[form], Source(run, of)
    if of is not None and form not in ("csv", "parquet"):
        raise click.UsageError(f"--of is for csv and parquet; {form} is of the figures")
    if out is not None and file.there(out) and not out.is_file():
        raise click.UsageError(f"--out {foreign.quote(str(out))} is no file that can be written; give another name")
    output.interruptible()
    try:
        if out is None:
            if exporter.text is None:
                raise click.UsageError(f"--to {form} needs --out FILE: it is no text for a terminal or a pipe")
            if (unprinted := output.pour(exporter.text(source))) is not None:
                raise click.ClickException(f"cannot print the export: {unprinted}")
        else:
            # in a directory of its own: whole or not there, and nobody else can have put a link in its place
            with tempfile.TemporaryDirectory(dir=out.parent, prefix=".loadgen-") as aside:
                part = Path(aside) / "export"
                if exporter.text is None:
                    assert exporter.file is not None
                    exporter.file(source, part)
                else:
                    with part.open("w", encoding="utf-8", newline="") as written:
                        written.writelines(exporter.text(source))
                part.replace(out)
    except (RunDirectoryError, ExportError) as error:
        raise click.UsageError(str(error)) from error
    except (ValueError, ArithmeticError, LookupError) as error:
        why = foreign.unquoted(str(error))
        raise click.UsageError(f"{run} holds a file with something that no loadgen writes: {why}") from error
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror or error}; check the directory") from error
    for note in source.notes:
        output.say(f"note: {note}")
    if form in ("csv", "parquet"):
        output.say(f"exported: {source.of}{'' if out is None else f', to {out}'}")
