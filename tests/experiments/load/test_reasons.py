from __future__ import annotations

import pytest

from loadgen.experiments.load.findings import LoadResult
from loadgen.experiments.load.reasons import found
from loadgen.invocation.start import Cuts
from loadgen.measure.labelling import Labelling
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.summary import Reason
from tests.frames import frame, labelled, total


def of_load(total: PhaseTotal, sensitivity: float, specificity: float, asked: tuple[str, ...] = ()) -> list[Reason]:
    told = Labelling("warm-up", 900, None, Cuts(60_000_000, 90_000_000), 6.0, sensitivity, specificity)
    return list(found(LoadResult(told)).reasons([total], asked))


def test_labels_that_hardly_err_mix_nothing() -> None:
    assert of_load(labelled(cold=500, warm=9_500), 0.9999, 0.99999) == []


def test_cold_ones_among_the_warm_withhold_the_warm_figures() -> None:
    (reason,) = of_load(labelled(cold=500, warm=9_500), 0.97, 0.99999)
    assert (reason.rule, reason.severity, reason.withholds, reason.phase) == (
        "mixed_starts",
        "withheld",
        "warm",
        "steady",
    )
    assert reason.value == pytest.approx(500 / 0.97 * 0.03 / 9_500, rel=0.01)
    assert reason.message.startswith(
        "Of 9500 invocations called warm by their overhead about 0.2% are cold, expected at most 0.1%"
    )


def test_where_cold_starts_are_rare_even_rare_slips_are_much_of_what_is_called_cold() -> None:
    """The same labels are good enough where a twentieth is cold."""
    assert of_load(labelled(cold=1_000, warm=19_000), 1.0, 0.9999) == []
    (reason,) = of_load(labelled(cold=20, warm=19_980), 1.0, 0.9999)
    assert reason.withholds == "cold"
    assert reason.value == pytest.approx(0.1, rel=0.02)


def test_of_so_few_that_nothing_is_shown_nothing_is_said_unless_a_threshold_asks() -> None:
    few = labelled(cold=2, warm=19_998)
    assert of_load(few, 1.0, 0.9999) == []
    assert [reason.withholds for reason in of_load(few, 1.0, 0.9999, ("cold",))] == ["cold"]


def test_an_overhead_below_the_resolution_is_no_ground_to_fail() -> None:
    cold = frame({"ok": [20_000] * 500}, start="cold", metrics={"ok/overhead": [400] * 500}, final=False)
    warm = frame({"ok": [20_000] * 500}, start="warm", metrics={"ok/overhead": [0] * 500}, seq=1)
    told = Labelling("warm-up", 900, None, Cuts(60_000, 90_000), 6.0, 0.9999, 0.99999, warm_ns=1_000)
    assert list(found(LoadResult(told)).reasons([total(cold, warm)], ())) == []
