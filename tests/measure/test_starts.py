from __future__ import annotations

import pytest

from loadgen.measure.starts import mixture_of, unknown_starts
from tests.frames import labelled


def test_the_mixture_of_labels_follows_from_how_often_they_err() -> None:
    assert mixture_of(0, 0, 0.9, 0.9) == (0.0, 0.0)
    assert mixture_of(0, 100, 0.9, 0.99) == (0.0, 0.0)
    assert mixture_of(1, 9_999, 1.0, 0.99) == (0.0, 1.0)  # fewer than slips alone would give
    among_warm, among_cold = mixture_of(900 * 9 // 10 + 91, 9_100 - 91 + 90, 0.9, 0.99)  # 900 of 10,000 are cold
    assert among_warm == pytest.approx(90 / 9_099, rel=0.01)
    assert among_cold == pytest.approx(91 / 901, rel=0.01)


def test_starts_of_a_phase_are_unknown_when_more_than_a_hundredth_has_no_label() -> None:
    assert unknown_starts(labelled(warm=990, unknown=10)) is None
    assert unknown_starts(labelled(warm=989, unknown=11)) == (11, 1000)
