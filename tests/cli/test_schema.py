from __future__ import annotations

import json

from click.testing import CliRunner

from loadgen.cli.schema import schema
from loadgen.measure import summary
from loadgen.scenario.schema import scenario_schema


def test_each_schema_is_printed_as_json() -> None:
    printed = {what: json.loads(CliRunner().invoke(schema, [what]).stdout) for what in ("scenario", "summary")}
    assert printed == {"scenario": scenario_schema(), "summary": summary.schema()}


def test_another_name_is_a_usage_error() -> None:
    result = CliRunner().invoke(schema, ["report"])
    assert result.exit_code == 2
    assert "scenario" in result.stderr
