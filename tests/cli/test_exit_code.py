from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loadgen.cli import INTERRUPTED
from loadgen.cli.run import BUDGET, FAILED, INVALID, THRESHOLD, UNDECIDED, exit_code, run
from loadgen.measure.summary import Summary, ThresholdResult, Verdict
from loadgen.run.runner import Finished
from tests.report.builders import valid


def summary(*, interrupted: bool, invalid: bool, broken: bool | None) -> Summary:
    built = valid()
    return msgspec.structs.replace(
        built,
        run=msgspec.structs.replace(built.run, interrupted=interrupted),
        verdict=Verdict("invalid" if invalid else "valid", []),
        thresholds=[ThresholdResult("errors < 1%", 0.0, broken is not True and broken is not None, "")]
        if broken is not None
        else [ThresholdResult("errors < 1%", None, None, "withheld")],
    )


@pytest.mark.parametrize(
    ("failed", "interrupted", "budget", "invalid", "broken", "code"),
    [
        (None, False, False, False, False, 0),
        (None, False, False, False, True, 99),
        (None, False, False, False, None, 96),
        (None, False, False, True, None, 97),
        (None, False, True, False, None, 98),
        (None, False, False, True, True, 97),
        (None, False, True, True, True, 98),
        (None, True, True, True, True, 130),
        ("no space left", True, True, True, True, 1),
    ],
)
def test_of_several_causes_the_first_in_the_documented_order_is_the_exit_code(
    failed: str | None, interrupted: bool, budget: bool, invalid: bool, broken: bool | None, code: int
) -> None:
    built = summary(interrupted=interrupted, invalid=invalid, broken=broken)
    assert exit_code(Finished(built, budget, failed)) == code


def test_a_broken_threshold_comes_before_one_that_could_not_be_decided() -> None:
    ends = (True, None, False)
    built = msgspec.structs.replace(valid(), thresholds=[ThresholdResult("rule", None, end, "") for end in ends])
    assert exit_code(Finished(built, False, None)) == 99


def test_every_exit_code_is_in_the_help_and_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for code in (FAILED, UNDECIDED, INVALID, BUDGET, THRESHOLD, INTERRUPTED):
        assert f"{code} " in (run.epilog or "")
        assert f"| {code} |" in readme
