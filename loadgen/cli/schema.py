"""``loadgen schema``: the formats, for editors and other programs."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("what", type=click.Choice(["scenario", "summary"]))
def schema(what: str) -> None:
    """Print the JSON Schema of scenario files or of summary.json."""
    if what == "scenario":
        from loadgen.scenario.schema import scenario_schema

        found = scenario_schema()
    else:
        from loadgen.measure.summary import schema as summary_schema

        found = summary_schema()
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))
