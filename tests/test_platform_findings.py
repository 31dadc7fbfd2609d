"""What scenarios/platform/findings.py says of runs that no emulator gives."""

from __future__ import annotations

import gzip
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

FINDINGS = runpy.run_path(str(Path(__file__).parents[1] / "scenarios" / "platform" / "findings.py"))
COLD = {
    "started_ns": 0, "ended_ns": 5_400_000_000, "connect_ns": 0, "outcome": "ok", "reason": "ok",
    "start_source": "none", "duration_ns": 1_000_000, "billed_duration_ns": 1_000_000, "memory_size_mb": 128,
}  # fmt: skip


def finding(directory: Path, name: str, samples: list[dict[str, Any]], **summary: Any) -> str:
    """The line of a run with these samples, each of which says how it differs from a cold call of the kit."""
    run = {"name": name, "started_at": "2026-11-30T10:00:00Z", "version": "0.1.0"}
    target = {"target": {"endpoint": "https://functiongraph.example"}}
    whole = {"run": run, "environment": {"synthetic": False}, "scenario": target, "phases": [], "experiment": None}
    (directory / "summary.json").write_text(json.dumps(whole | summary))
    with gzip.open(directory / "samples.ndjson.gz", "wt") as file:
        file.writelines(f"{json.dumps(COLD | sample)}\n" for sample in samples)
    return str(FINDINGS["finding"](directory))


@pytest.mark.parametrize(
    ("name", "samples", "said"),
    [
        ("init-billing", [{"duration_ns": 5_001_000_000}] * 2, "an initializer is in the duration of the call"),
        ("init-billing", [{}, {"billed_duration_ns": 5_100_000_000}], "cannot be told: cold calls differ"),
        ("init-billing", [{"duration_ns": None}], "cannot be told: cold calls did not tell a duration"),
        ("log-tail", [{}, {"start_source": "log"}], "1 of 2 cold calls have lines of the start"),
        ("log-tail", [{}], "cannot be told: outside of the function"),
        ("log-tail", [], "cannot be told: no call was cold"),
        ("cpu-share", [{}] * 10, "cannot be told: enough calls ran at 128 MB alone"),
        ("cpu-share", [{}] * 5 + [{"memory_size_mb": 1024, "duration_ns": 100_000}] * 5, "neither as documented"),
        ("cpu-share", [{"memory_size_mb": size} for size in (1024, 2048)] * 5, "cannot be told: these sizes have the"),
        ("throttled", [{}] * 10, "cannot be told: none of 10 calls was throttled"),
        ("keep-alive", [], "cannot be told: the run ended before"),
    ],
)  # fmt: skip
def test_what_calls_do_not_agree_in_or_tell_cannot_be_told(
    tmp_path: Path, name: str, samples: list[dict[str, Any]], said: str
) -> None:
    line = finding(tmp_path, name, samples)
    assert line.startswith(f"{name}: ")
    assert said in line
    assert line.endswith(" · functiongraph.example, 2026-11-30, loadgen 0.1.0")


def test_a_body_of_several_lines_is_shown_in_one(tmp_path: Path) -> None:
    failure = {"outcome": "throttled", "status": 429, "error_code": None, "body": "<html>\n  busy\n</html>\n"}
    phases = [{"examples": {"failures": [failure]}}]
    line = finding(tmp_path, "throttled", [{"outcome": "throttled", "ended_ns": 2_000_000}, {}], phases=phases)
    assert "1 of 2 calls were throttled, at once (2 ms); status 429, no code, body <html> busy </html> ·" in line


def test_a_run_of_another_scenario_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is of quickstart, expected one of log-tail"):
        finding(tmp_path, "quickstart", [])
