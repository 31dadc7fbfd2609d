from __future__ import annotations

import pytest

from tests.simulate.adversaries.starts import CASES, LOADS, NONE, Case, Load, labelled_load, told


def of(cases: tuple[Case, ...], *words: str) -> list[Case]:
    return [each for each in cases if any(word in each.name for word in words)]


@pytest.mark.parametrize("case", of(NONE, "0.5 % outliers", "five minutes", "queue"), ids=lambda case: case.name)
def test_where_there_is_no_cold_start_none_is_reported(case: Case) -> None:
    assert told(1, case).cold == 0


@pytest.mark.parametrize("case", of(CASES, "0.5 %", "last fifth", "two gateways"), ids=lambda case: case.name)
def test_labels_that_are_often_wrong_are_withheld(case: Case) -> None:
    found = told(2, case)
    assert found.wrong <= 0.01 or found.flagged


def test_cold_starts_that_are_easily_told_apart_are() -> None:
    found = told(3, CASES[0])
    assert found.labelled
    assert found.held
    assert found.wrong == 0


@pytest.mark.parametrize("case", LOADS, ids=lambda case: case.name)
def test_a_load_that_overheads_tell_nothing_about_shows_no_cold_start(case: Load) -> None:
    found = labelled_load(1, case)
    assert found.flagged != case.easy
    assert bool(found.cold) == case.easy
