from __future__ import annotations

import msgspec

from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.decision import compare
from loadgen.experiments.memory.findings import MemoryResult
from loadgen.experiments.memory.section import section
from loadgen.invocation.bill import GB_SECONDS, Rates
from loadgen.invocation.metric import Metric
from loadgen.measure.figure import Figure
from loadgen.measure.rule import MetricRule
from loadgen.measure.summary import decode, encode
from loadgen.report.html import html
from loadgen.report.markdown import markdown
from loadgen.report.terminal import terminal
from loadgen.report.timeline import Timeline
from loadgen.text.units import NS_PER_S
from tests.report.builders import valid
from tests.simulate.memory import Function, FunctionWorld
from tests.simulate.world import play

NEEDY = Function(0.1, 0.0, 1, 0.2, 200, 0.0, "affine", 0.0, 0.0, 0.0)
RULE = MetricRule("latency.p95 < 260ms", None, None, Metric.LATENCY, "p", 95.0, 260_000_000)


def found(rates: Rates = GB_SECONDS, rounds: int = 10) -> MemoryResult:
    settings = MemoryComparison((128, 256, 512, 1024), MemoryBy.HEADER, 20, rounds, (RULE,), 0.02, 90 * NS_PER_S)
    return play(compare(settings, rates, 1, 100 * NS_PER_S), FunctionWorld(NEEDY, 1))


RESULT = found()


def text(result: MemoryResult) -> list[list[str]]:
    return [[f"{cell.text} {cell.detail}".strip() for cell in row] for row in section(result).tables[0].rows]


def test_the_recommended_size_and_why_others_are_not_are_said() -> None:
    standings = [row[0].replace("\N{NO-BREAK SPACE}", " ") for row in text(RESULT)]
    assert standings[:3] == ["128 MB left out", "256 MB breaks a rule", "512 MB recommended"]
    notes = section(RESULT).tables[0].notes
    assert notes[0].startswith("Next: ")
    assert notes[1].startswith("512 MB is the cheapest size that is shown to meet the rules (latency.p95 < 260ms).")
    assert "128\N{NO-BREAK SPACE}MB left the comparison: out_of_memory: 4205." in notes


def test_a_percentile_that_is_not_supported_is_a_dash_with_what_it_needs() -> None:
    row = text(RESULT)[2]
    assert row[6].startswith("— n < ")
    assert "ms" in row[4]


def test_the_evidence_on_each_rule_is_beside_its_verdict() -> None:
    rows = {row[0].text: row[1] for row in section(RESULT).tables[1].rows}
    assert rows["256\N{NO-BREAK SPACE}MB"].text == "broken"
    assert rows["512\N{NO-BREAK SPACE}MB"].text == "met"
    assert " of " in rows["512\N{NO-BREAK SPACE}MB"].detail


def test_the_picture_tells_sizes_that_break_a_rule_from_others_by_their_shape() -> None:
    chart = section(RESULT).pictures[0]
    assert chart is not None
    broken = {size.memory_mb for size in RESULT.sizes if any(rule.verdict == "broken" for rule in size.rules)}
    assert broken
    for spot in chart.spots:
        assert (spot.shape == "ring") == (int(spot.name.split("\N{NO-BREAK SPACE}")[0]) in broken)


def test_a_size_whose_time_is_not_shown_stands_in_no_place_of_a_time() -> None:
    chart = section(RESULT).pictures[0]
    assert chart is not None
    for size, spot in zip([each for each in RESULT.sizes if each.cost is not None], chart.spots, strict=True):
        p50 = size.service_time_ns.get("p50")
        if p50 is None or p50.low is None:
            assert chart.lane is not None
            assert spot.y > chart.lane[0]
            assert spot.y_range is None
        else:
            assert spot.y == p50.value
            assert spot.y_range == (p50.low, p50.high)


def test_the_link_says_what_it_shows_as_money() -> None:
    assert "GB-s" in section(RESULT).tables[3].notes[0]
    assert "GB-s" not in section(found(Rates("CNY", 1e-4, 1e-6), 3)).tables[3].notes[0]


def test_every_renderer_has_the_section_and_no_times_over_all_sizes() -> None:
    whole = msgspec.structs.replace(valid(), experiment=RESULT)
    for said in (terminal(whole), markdown(whole), html(whole, Timeline((), 1, None))):
        assert "Rules by memory size" in said
        assert "Cold calls by memory size" in said
        assert "lambda-power-tuning.show" in said
    assert "\nTimes\n" not in terminal(whole)
    assert "## Times\n" not in markdown(whole)
    assert "<h2>Times</h2>" not in html(whole, Timeline((), 1, None))
    assert "Cost and time" in html(whole, Timeline((), 1, None))


def test_the_link_is_whole_on_a_narrow_terminal() -> None:
    assert RESULT.share_url is not None
    assert RESULT.share_url in terminal(msgspec.structs.replace(valid(), experiment=RESULT), width=60)


def test_a_result_survives_the_file() -> None:
    assert decode(encode(msgspec.structs.replace(valid(), experiment=RESULT))).experiment == RESULT


def test_a_percentile_of_calls_on_instances_that_differ_is_not_said_to_have_too_few_calls() -> None:
    size = next(each for each in RESULT.sizes if each.memory_mb == 512)
    spread = {**size.service_time_ns, "p50": Figure(1e8, None, None)}
    differing = msgspec.structs.replace(size, service_time_ns=spread)
    result = msgspec.structs.replace(RESULT, sizes=[differing])
    assert text(result)[0][4].endswith("instances differ")


def test_nothing_is_compared_with_a_size_that_there_is_not() -> None:
    assert "None" not in " ".join(section(msgspec.structs.replace(RESULT, reference_mb=None)).tables[0].notes)
