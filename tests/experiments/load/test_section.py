from __future__ import annotations

from msgspec.structs import replace

from loadgen.experiments.load.findings import LoadResult
from loadgen.experiments.load.reasons import found
from loadgen.experiments.load.section import section
from loadgen.invocation.start import Cuts
from loadgen.measure.labelling import Labelling
from loadgen.measure.starts import NOTHING_FOUND
from loadgen.measure.summary import Reason, Summary, Verdict
from loadgen.report.terminal import terminal
from tests.report.builders import valid

MS = 1_000_000
TOLD = Labelling("again-4", 612, None, Cuts(60 * MS, 90 * MS), 12.0, 1.0, 1.0, [380 * MS])
ABSTAINED = Labelling("warm-up", 900, "about 8 cold calls, at least 30 needed", outliers=8, outlier_limit_ns=70 * MS)


def summary(result: LoadResult) -> Summary:
    return replace(valid(), experiment=result)


def said(result: LoadResult) -> str:
    """What the terminal says, as one line without no-break spaces."""
    return " ".join(terminal(summary(result), width=200).replace("\u00a0", " ").split())


def test_a_load_that_could_not_tell_says_why_and_how_many_were_out_of_the_ordinary() -> None:
    text = said(LoadResult(ABSTAINED))
    assert "could not be told apart by overhead, of 900 invocations: about 8 cold calls, at least 30 needed." in text
    assert "8 had an overhead above 70.0 ms" in text


def test_a_load_that_could_tell_lists_its_invocations_by_start() -> None:
    text = said(LoadResult(TOLD))
    assert "warm below 60.0 ms and cold from 90.0 ms on" in text


def test_a_load_whose_answers_told_lists_its_invocations_by_start_and_doubts_none() -> None:
    seen = summary(LoadResult(None))
    metrics = {"latency": seen.totals.metrics["latency"]}
    seen = replace(seen, totals=replace(seen.totals, by_start={"cold": metrics, "warm": metrics}))
    (table,) = section(seen, LoadResult(None)).tables
    assert [row[0].text for row in table.rows] == ["cold", "warm"]
    assert "Answers told by themselves whether their call was cold (target.probe)." in table.notes
    assert found(LoadResult(None)) == NOTHING_FOUND


def test_figures_of_a_label_that_holds_too_many_of_the_other_kind_are_not_shown() -> None:
    seen = summary(LoadResult(TOLD))
    metrics = {"latency": seen.totals.metrics["latency"]}
    seen = replace(seen, totals=replace(seen.totals, by_start={"cold": metrics, "warm": metrics}))
    reason = Reason("mixed_starts", "withheld", "of 80 about 5% are warm", 0.05, 0.01, None, "cold")
    shown, hidden = (
        {row[0].text: [cell.text for cell in row[2:5]] for row in section(each, LoadResult(TOLD)).tables[0].rows}
        for each in (seen, replace(seen, verdict=Verdict("degraded", [reason])))
    )
    assert hidden["warm"] == shown["warm"] == shown["cold"]
    assert "—" not in shown["cold"]
    assert hidden["cold"] == ["—"] * 3


def test_the_times_of_a_load_come_before_its_starts() -> None:
    text = terminal(summary(LoadResult(TOLD)), width=200)
    assert text.index("\nTimes\n") < text.index("\nCold and warm starts\n")
