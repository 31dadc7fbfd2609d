"""``loadgen init``: a scenario to start from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from loadgen.cli import output

SCHEMA_PATH = Path(".loadgen") / "scenario.schema.json"

STARTER = """\
# yaml-language-server: $schema=.loadgen/scenario.schema.json
# A first scenario. Try it with `loadgen run {file}`, see what it would do with `loadgen check {file}`.
name: first

target:
  # The embedded emulator needs no account; its numbers are synthetic. For a real function write the platform's
  # origin, e.g. https://functiongraph.eu-de.otc.t-systems.com, and the lines below.
  endpoint: emulator
  function: hello
  # project_id: ${{FG_PROJECT_ID}}
  # function: urn:fss:eu-de:<project id>:function:default:hello:latest
  # auth: {{token: "${{FG_TOKEN}}"}}

event: {{name: world}}

phases:
  # Eight workers call back to back until instances are warm; a warm-up is not judged.
  - {{name: warm-up, workers: 8, duration: 2s, warmup: true}}
  # Then calls start at this rate whatever the function does, as real users would.
  # Some 1500 calls; a p99 is known from 1000 on.
  - {{name: steady, rate: 100/s, duration: 15s, arrivals: poisson}}

# Hard limits: without asking anybody, a run never takes more.
budget: {{invocations: 10000, duration: 5m}}

# A broken rule makes the exit code 99, one that cannot be decided 96.
thresholds:
  - errors < 1%
  - duration.p99 < 1s  # as the platform reports it; latency.p99 is what a user waits
"""


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("scenario.yaml"))
def init(path: Path) -> None:
    """Write a commented scenario to PATH (default scenario.yaml), and its schema for editors beside it."""
    from loadgen.scenario.schema import scenario_schema

    schema_path = path.parent / SCHEMA_PATH
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, STARTER.format(file=path).encode())
    except UnicodeEncodeError:
        output.say(f"cannot write {path}: its name is not UTF-8; choose another one")
        sys.exit(2)
    except FileExistsError as error:
        output.say(f"{error.filename} exists and is left as it is; name another file: loadgen init PATH")
        sys.exit(2)
    except OSError as error:
        output.say(
            f"cannot write {error.filename or path}: {error.strerror}. Nothing was written; name a place that can be: "
            "loadgen init PATH"
        )
        sys.exit(2)
    try:
        schema_path.parent.mkdir(exist_ok=True)
        schema_path.write_text(json.dumps(scenario_schema(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:  # the scenario is complete without what editors use
        output.say(
            f"wrote {path}, which is complete; cannot write what editors use, {error.filename or schema_path}: "
            f"{error.strerror}. Once there is room: loadgen schema scenario > {schema_path}"
        )
        sys.exit(2)
    click.echo(output.clean(f"wrote {path} and {schema_path}; next: loadgen check {path}"))


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that there is not yet, whole or not at all. Raises OSError, of a full disk without a name."""
    path.touch(exist_ok=False)
    try:
        path.write_bytes(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise
