from __future__ import annotations

import pytest

from loadgen.measure.labelling import Labelling
from loadgen.measure.starts import mixed, mixture_of, unknown_starts
from tests.frames import labelled


def test_the_mixture_of_labels_follows_from_how_often_they_err() -> None:
    assert mixture_of(0, 0, 0.9, 0.9) == (0.0, 0.0)
    assert mixture_of(0, 100, 0.9, 0.99) == (0.0, 0.0)
    assert mixture_of(1, 9_999, 1.0, 0.99) == (0.0, 1.0)  # fewer than slips alone would give
    among_warm, among_cold = mixture_of(900 * 9 // 10 + 91, 9_100 - 91 + 90, 0.9, 0.99)  # 900 of 10,000 are cold
    assert among_warm == pytest.approx(90 / 9_099, rel=0.01)
    assert among_cold == pytest.approx(91 / 901, rel=0.01)


@pytest.mark.parametrize(
    ("cold", "warm", "sensitivity", "specificity", "mixture"),
    [
        (50, 50, 0.5, 0.5, (0.5, 0.5)),  # labels that tell nothing leave it at half
        (100, 0, 0.9, 0.99, (0.0, 0.0)),  # more are called cold than labels that err would call: all are
        (100, 1, 0.5, 1.0, (1.0, 0.0)),  # more are missed than are called warm: all of these are cold
        (1, 100, 1.0, 0.5, (0.0, 1.0)),
    ],
)
def test_no_mixture_is_below_nothing_or_above_all(
    cold: int, warm: int, sensitivity: float, specificity: float, mixture: tuple[float, float]
) -> None:
    assert mixture_of(cold, warm, sensitivity, specificity) == mixture


@pytest.mark.parametrize(
    ("cold", "warm", "sensitivity", "specificity", "withheld"),
    [
        (9, 10_000, 0.5, 1.0, []),  # of labels that miss every other cold one, as many are among the warm
        (11, 10_000, 0.5, 1.0, ["warm"]),
        (10_000, 99, 1.0, 0.5, []),
        (10_000, 101, 1.0, 0.5, ["cold"]),
        (20, 19, 1.0, 0.5, ["cold"]),
        (19, 19, 1.0, 0.5, []),  # of so few no figure is shown
    ],
)
def test_figures_hold_a_thousandth_of_cold_ones_or_a_hundredth_of_warm_ones_at_most(
    cold: int, warm: int, sensitivity: float, specificity: float, withheld: list[str]
) -> None:
    told = Labelling("warm-up", 900, None, sensitivity=sensitivity, specificity=specificity)
    assert [reason.withholds for reason in mixed(cold, warm, told, (), "steady")] == withheld


def test_starts_of_a_phase_are_unknown_when_more_than_a_hundredth_has_no_label() -> None:
    assert unknown_starts(labelled(warm=990, unknown=10)) is None
    assert unknown_starts(labelled(warm=989, unknown=11)) == (11, 1000)
