"""The bars for the sentence of why, on fewer runs than ``make simulate`` has."""

from __future__ import annotations

import pytest

from tests.simulate.causes import CORRELATED, MEANINGLESS, ONE, SEED, SEVERAL, Case, Truth, named


@pytest.mark.parametrize("truth", [*MEANINGLESS, *SEVERAL], ids=lambda truth: truth.name)
def test_where_no_one_cause_dominates_hardly_anything_is_named(truth: Truth) -> None:
    found = [named(Case(truth, SEED + n)) for n in range(10)]
    assert sum(map(bool, found)) <= 2  # where 5 % name something, 1 in 87 has more


@pytest.mark.parametrize("truth", [*ONE, *CORRELATED], ids=lambda truth: truth.name)
def test_the_one_cause_is_named_and_no_other(truth: Truth) -> None:
    found = [named(Case(truth, SEED + n)) for n in range(10)]
    assert sum(each in truth.slow for each in found) >= 8
    assert set(found) <= {"", *truth.slow}
